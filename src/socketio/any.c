/*
 * socketio/any.c -- handlers of every event, beside an event's own: of what comes, and of what goes to each socket; and filters of
 * what comes.
 *
 * What goes out is known to others as encoded bytes, maybe another loop's, so it is decoded for whom watches it, once an emit and
 * loop. Nobody pays for that where nobody watches.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "socketio/server_int.h"

int sio_use_events(struct sio_space *space, sio_filter_fn *fn, void *ctx)
{
	int rc = fn == NULL ? -EINVAL : sio_may_set(space);

	if (rc < 0)
		return rc;
	struct sio_hooks *hooks = space->hooks;
	if (hooks->filter_count == SIO_MIDDLEWARE_MAX)
		return -ENOSPC;
	hooks->filters[hooks->filter_count++] = (struct sio_filter){ .fn = fn, .ctx = ctx };
	return 0;
}

void sio_on_any(struct sio_space *space, sio_handler_fn *fn, void *ctx)
{
	if (sio_sets(space, __func__))
		space->hooks->any = (struct sio_hook){ .fn = fn, .ctx = ctx };
}

void sio_on_any_out(struct sio_space *space, sio_handler_fn *fn, void *ctx)
{
	if (sio_sets(space, __func__))
		space->hooks->any_out = (struct sio_hook){ .fn = fn, .ctx = ctx };
}

bool sio_any_in(struct sio_event *e)
{
	const struct sio_hooks *hooks = sio_space_of(e->socket)->hooks;

	if (hooks->any.fn != NULL) {
		e->ctx = hooks->any.ctx;
		hooks->any.fn(e);
	}
	for (uint32_t i = 0; i < hooks->filter_count && sio_is_heard(e->socket); i++) {
		e->ctx = hooks->filters[i].ctx;
		if (!hooks->filters[i].fn(e))
			return false;
	}
	return sio_is_heard(e->socket); /* else it has been sent away */
}

struct shown {
	struct sio_event event;
	struct sio_bytes attachments[SIO_ATTACHMENTS_MAX];
};

static void show(struct sio_socket *s, void *ctx)
{
	struct shown *shown = ctx;
	struct sio_loop *at = s->client->at;
	struct sio_args lent = at->lent;

	shown->event.socket = s;
	at->lent = shown->event.args;
	s->space->hooks->any_out.fn(&shown->event);
	at->lent = lent;
}

void sio_any_out(struct sio_loop *at, const struct sio_target *t, const struct blob_share *unit)
{
	struct shown shown = { .event.ctx = t->space->hooks->any_out.ctx };
	struct sio_packet packet;
	size_t next = 0, bytes;
	bool binary;
	const uint8_t *message = eio_unit_next(unit, &next, &binary, &bytes);

	/* Without the type of Engine.IO's packet before it; decoding changes the text. */
	assert(message != NULL && !binary && bytes > 1);
	char *text = malloc(bytes - 1);
	if (text == NULL) {
		log_line(LOG_WARN, "no memory to show what is emitted in %s", t->space->name);
		return;
	}
	memcpy(text, message + 1, bytes - 1);
	const char *wrong = sio_packet_decode(text, bytes - 1, &packet);
	assert(wrong == NULL);
	for (uint32_t i = 0; i < packet.attachments; i++) {
		const uint8_t *data = eio_unit_next(unit, &next, &binary, &bytes);

		assert(data != NULL && binary);
		shown.attachments[i] = (struct sio_bytes){ .data = data, .bytes = bytes };
	}
	shown.event.name = (struct sio_str){ packet.name.s, packet.name.bytes };
	shown.event.args = (struct sio_args){
		.json = { packet.json.s, packet.json.bytes },
		.attachments = shown.attachments,
		.attachment_count = packet.attachments,
	};
	sio_visit_all(at, t, show, &shown);
	free(text);
}
