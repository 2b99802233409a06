/* fuzz/server/app.c -- what the server does with its sockets: see fuzz/server/scene.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/scene.h"
#include "sio/json.h"

enum { ROOM_BYTES = 64, WORD_BYTES = 16 };

void app_destroy_data(void *data)
{
	scene->tally.destroyed++;
	free(data);
}

struct keepsake *app_data(void)
{
	struct keepsake *kept = calloc(1, sizeof(*kept));

	if (kept == NULL)
		kernel_fail("no memory");
	scene->tally.made++;
	return kept;
}

/* Those of sockets. */

static bool is_witness(const struct sio_socket *socket)
{
	char address[SIO_ADDRESS_BYTES];

	sio_address(socket, address);
	return strcmp(address, "10.0.0.1") == 0;
}

static void on_connection(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	scene->tally.connections++;
	if (sio_recovered(e->socket) != (sio_data(e->socket) != NULL))
		kernel_fail("a socket is recovered without its data, or new with another's");
	if (!sio_recovered(e->socket))
		sio_set_data(e->socket, app_data(), app_destroy_data);
	((struct keepsake *)sio_data(e->socket))->lags = false;
	if (is_witness(e->socket)) {
		scene->witness_id = sio_id(e->socket);
		return;
	}
	scene->ids[scene->id_count++ % SCENE_IDS_MAX] = sio_id(e->socket);
	snprintf(room, sizeof(room), "r%u", (unsigned)(scene->tally.connections % SCENE_ROOMS));
	if (sio_join(e->socket, room) != 0)
		kernel_fail("a room cannot be joined");
	if (scene_has(e->auth, "\"x\"") && sio_set_expiry(e->socket, 1000, 500) != 0)
		kernel_fail("no deadline");
	(void)sio_emit(sio_self(e->socket), "welcome", sio_json("[\"you\"]"));
}

static void on_disconnecting(const struct sio_event *e)
{
	uint32_t rooms = 0;

	while (sio_room_at(e->socket, rooms) != NULL)
		rooms++;
	if (e->reason.bytes == 0)
		kernel_fail("somebody goes without a reason");
	(void)sio_emit(sio_to(e->socket, "r0"), "goes", sio_json("[]"));
}

static void on_disconnect(const struct sio_event *e)
{
	scene->tally.disconnections++;
	if (sio_data(e->socket) == NULL)
		kernel_fail("somebody goes without its data");
	(void)sio_connection_data(e->socket);
}

static void on_lagging(const struct sio_event *e)
{
	struct keepsake *kept = sio_data(e->socket);

	if (kept->lags)
		kernel_fail("somebody lags twice");
	kept->lags = true;
}

static void on_drained(const struct sio_event *e)
{
	struct keepsake *kept = sio_data(e->socket);

	if (!kept->lags)
		kernel_fail("somebody has drained, and did not lag");
	kept->lags = false;
}

static void on_expired(const struct sio_event *e)
{
	if (scene->tally.connections % 2 == 0 && sio_set_expiry(e->socket, 0, 0) != 0)
		kernel_fail("no deadline");
}

static void room_of(const struct sio_event *e, char out[ROOM_BYTES])
{
	if (!sio_arg_string(e, 0, out, ROOM_BYTES))
		snprintf(out, ROOM_BYTES, "r1");
}

static void on_echo(const struct sio_event *e)
{
	if (e->ack.wanted)
		(void)sio_answer(e->ack, e->args);
	else
		(void)sio_emit(sio_self(e->socket), "echo", e->args);
}

static void on_say(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	room_of(e, room);
	(void)sio_emit(sio_to(e->socket, room), "said", e->args);
}

/* To all but in "/", where the witness is. */
static void on_cry(const struct sio_event *e)
{
	struct sio_target to = sio_all(sio_space_of(e->socket));

	to.room = to.space == scene->spaces[0] ? "r0" : NULL;
	to.is_volatile = e->args.attachment_count > 0;
	to.uncompressed = e->ack.wanted;
	(void)sio_emit(to, "cried", e->args);
}

static void on_join(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	room_of(e, room);
	(void)sio_join(e->socket, room);
}

static void on_leave(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	room_of(e, room);
	sio_leave(e->socket, room);
	if (sio_is_in(e->socket, room))
		kernel_fail("%s has been left, and somebody is in it", room);
}

/* In one of the ways that there are, of its own loop. */
static void on_kick(const struct sio_event *e)
{
	struct sio_space *space = sio_space_of(e->socket);
	struct sio_str value;
	uint64_t way = 0;

	if (sio_json_item(e->args.json, 0, &value))
		(void)!sio_json_number(value, 9, &way);
	switch (way) {
	case 0:
		sio_disconnect(e->socket, false);
		break;
	case 1:
		sio_disconnect(e->socket, true);
		break;
	case 2:
		sio_connection_close(e->socket);
		break;
	case 3:
		(void)sio_disconnect_id(space, sio_id(e->socket), false);
		break;
	case 4:
		(void)sio_connection_close_id(space, sio_id(e->socket));
		break;
	case 5:
		(void)!sio_disconnect_all(sio_in(space, "r1"), true);
		break;
	case 6:
		(void)!sio_connection_close_all(sio_in(space, "r1"));
		break;
	default:
		(void)!sio_disconnect_all(sio_self(e->socket), false);
	}
}

/* Its own words, as JSON again. */
static void on_word(const struct sio_event *e)
{
	char word[WORD_BYTES], json[8 * WORD_BYTES];
	struct sio_str value;

	if (!sio_json_member(e->auth, "none", &value) && sio_json_item(e->args.json, 0, &value) &&
		sio_json_string(value, word, sizeof(word)) &&
		sio_json_quote(json + 1, sizeof(json) - 2, sio_text(word)) > 0) {
		size_t bytes = strlen(json + 1);

		json[0] = '[';
		json[bytes + 1] = ']';
		(void)sio_emit(
			sio_self(e->socket), "word", (struct sio_args){ { json, bytes + 2 }, NULL, 0 });
	}
}

static void on_later(const struct sio_event *e)
{
	if (scene->ack_count < SCENE_KEPT_MAX)
		scene->acks[scene->ack_count++] = e->ack;
	else
		app_answer_ack();
}

void app_answer_ack(void)
{
	if (scene->ack_count > 0)
		(void)sio_answer(scene->acks[--scene->ack_count], sio_json("[\"late\"]"));
}

static void on_reply(const struct sio_reply *r)
{
	(void)r;
	scene->tally.replied++;
}

void app_ask(struct sio_space *space, struct sio_id id)
{
	static const struct sio_bytes attachment = { "\1\2", 2 };
	struct sio_args args = sio_json("[1,{\"_placeholder\":true,\"num\":0}]");

	args.attachments = &attachment;
	args.attachment_count = 1;
	scene->tally.asked++;
	if (sio_ask(space, id, "question", scene->tally.asked % 2 == 0 ? args : sio_json("[1]"),
		    scene->tally.asked % 3 * 200, on_reply, NULL) != 0)
		scene->tally.asked--;
}

static void on_ask(const struct sio_event *e)
{
	app_ask(sio_space_of(e->socket), sio_id(e->socket));
}

void app_walked(struct sio_socket *socket, void *ctx)
{
	(void)ctx;
	if (socket == NULL)
		scene->tally.replied++;
}

/* Once, with the socket or without; what it does belongs to nobody's handler. */
static void on_with_run(struct sio_socket *socket, void *ctx)
{
	(void)ctx;
	scene->tally.replied++;
	if (socket == NULL)
		return;
	(void)sio_emit(sio_self(socket), "with", sio_json("[]"));
	if (scene->tally.replied % 4 == 0)
		sio_disconnect(socket, false);
}

static void on_with(const struct sio_event *e)
{
	scene->tally.asked++;
	if (sio_with(sio_space_of(e->socket), sio_id(e->socket), on_with_run, NULL) != 0)
		scene->tally.asked--;
	(void)sio_emit(sio_self(e->socket), "behind", e->args);
}

static void on_each(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	room_of(e, room);
	scene->tally.asked++;
	if (sio_each(sio_in(sio_space_of(e->socket), room), app_walked, NULL) != 0)
		scene->tally.asked--;
}

static void on_data(const struct sio_event *e)
{
	struct keepsake *kept = app_data();
	struct sio_str label;

	kept->lags = ((struct keepsake *)sio_data(e->socket))->lags;
	if (sio_json_item(e->args.json, 0, &label) && sio_set_label(e->socket, label) == 0 &&
		sio_label(e->socket).bytes != label.bytes)
		kernel_fail("a label is another than was said");
	sio_set_data(e->socket, kept, app_destroy_data);
}

static void on_expiry(const struct sio_event *e)
{
	if (sio_set_expiry(e->socket, 10, 20) != 0)
		kernel_fail("no deadline");
}

static void on_handshake(const struct sio_event *e)
{
	struct sio_handshake h;
	struct sio_str host;
	char value[WORD_BYTES];
	bool is_kept = sio_handshake(e->socket, &h);

	if (is_kept != sio_handshake_header(e->socket, "host", &host))
		kernel_fail("one half of a handshake is kept");
	if (is_kept && sio_handshake_param(e->socket, "j", value, sizeof(value)))
		(void)sio_emit(sio_self(e->socket), "handshake", sio_json("[\"j\"]"));
}

static void on_any(const struct sio_event *e)
{
	if (e->name.bytes == 0 && e->name.s == NULL)
		kernel_fail("an event without a name");
}

static bool filter(const struct sio_event *e)
{
	return e->name.bytes != 4 || memcmp(e->name.s, "drop", 4) != 0;
}

/* Who asks for it waits, or is refused; the witness is let in. */
static enum sio_verdict decide(const struct sio_event *e, struct sio_refusal *refusal)
{
	if (is_witness(e->socket))
		return SIO_ADMIT;
	if (scene_has(e->auth, "\"r\"")) {
		*refusal = (struct sio_refusal){ .message = "no \"thanks\"", .data_json = e->auth };
		return SIO_REFUSE;
	}
	struct sio_str value;
	if (!sio_json_member(e->auth, "l", &value))
		return SIO_ADMIT;
	if (scene->ticket_count == SCENE_KEPT_MAX)
		app_decide(true);
	scene->tickets[scene->ticket_count++] = e->ack;
	return SIO_LATER;
}

void app_decide(bool admits)
{
	static const struct sio_refusal refusal = { .message = "not now", .data_json = { "[1]", 3 } };

	if (scene->ticket_count > 0 &&
		sio_decide(scene->tickets[--scene->ticket_count], admits ? NULL : &refusal) != 0)
		kernel_fail("a ticket is refused");
}

void app_set_up(struct sio_space *space)
{
	static const struct {
		const char *name;
		sio_handler_fn *fn;
	} handlers[] = {
		{ "connection", on_connection },
		{ "disconnecting", on_disconnecting },
		{ "disconnect", on_disconnect },
		{ "lagging", on_lagging },
		{ "drained", on_drained },
		{ "expired", on_expired },
		{ "echo", on_echo },
		{ "say", on_say },
		{ "cry", on_cry },
		{ "join", on_join },
		{ "leave", on_leave },
		{ "kick", on_kick },
		{ "later", on_later },
		{ "ask", on_ask },
		{ "with", on_with },
		{ "each", on_each },
		{ "data", on_data },
		{ "expiry", on_expiry },
		{ "handshake", on_handshake },
		{ "word", on_word },
	};

	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (sio_on(space, handlers[i].name, handlers[i].fn, NULL) != 0)
			kernel_fail("a handler is refused");
	}
	if (sio_use(space, decide, NULL) != 0)
		kernel_fail("middleware is refused");
}

void app_watch(struct sio_space *space)
{
	sio_on_any(space, on_any, NULL);
	sio_on_any_out(space, on_any, NULL);
	sio_on_other(space, on_echo, NULL);
	if (sio_use_events(space, filter, NULL) != 0)
		kernel_fail("middleware of events is refused");
}
