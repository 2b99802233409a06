/*
 * socketio/emit.c -- from an event to queues: encoded once, one share a loop, a reference a receiver.
 *
 *      sio_emit --encode--> unit --+--> this loop: room's members, eio_send() each
 *                                  `--> post to each other loop: import a share, its members likewise
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "socketio/recovery_int.h"

enum {
	HEAD_BYTES_MAX = 64, /* type, attachments, ack id and brackets: all but names and arguments */
	LOGGED_BYTES_MAX = 80, /* of what an application wanted to send */
};

static bool is_space_char(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Of a valid JSON array: what stands between its brackets, without white space around it. */
static struct str array_inside(struct sio_str json)
{
	const char *from = json.s, *to = json.s + json.bytes;

	while (*from != '[')
		from++;
	while (to[-1] != ']')
		to--;
	from++;
	to--;
	while (from < to && is_space_char(*from))
		from++;
	while (from < to && is_space_char(to[-1]))
		to--;
	return str_of(from, (size_t)(to - from));
}

/* What a handler was lent a moment ago was validated when it came. */
static bool is_lent(const struct sio_space *space, const struct sio_args *args)
{
	const struct sio_loop *here = sio_loop_here(space->server);

	return here != NULL && args->json.s != NULL && here->lent.json.s == args->json.s &&
	       here->lent.json.bytes == args->json.bytes && here->lent.attachments == args->attachments &&
	       here->lent.attachment_count == args->attachment_count;
}

/* Their sender may not look at what sio_emit() says. At most once a second. */
static void log_invalid(struct str json)
{
	static atomic_uint_fast64_t last_s;
	uint64_t now_s = clock_now_ns() / CLOCK_NS_PER_S;

	if (atomic_exchange_explicit(&last_s, now_s, memory_order_relaxed) != now_s)
		log_line(LOG_WARN,
			"not sent, for it is no JSON array of UTF-8, or names what is not attached: %.*s",
			(int)(json.bytes > LOGGED_BYTES_MAX ? LOGGED_BYTES_MAX : json.bytes), json.s);
}

bool sio_args_valid(const struct sio_space *space, const struct sio_args *args)
{
	struct str json = { .s = args->json.s, .bytes = args->json.bytes };
	size_t count;

	if (args->json.s == NULL || args->attachment_count > SIO_ATTACHMENTS_MAX)
		return false;
	if (is_lent(space, args))
		return true;
	bool valid = utf8_valid((const uint8_t *)json.s, json.bytes) &&
		     json_scan_array(json, NULL, 0, &count) &&
		     (args->attachment_count == 0 || sio_placeholders_valid(json, args->attachment_count));
	if (!valid)
		log_invalid(json);
	return valid;
}

bool sio_event_name_valid(struct str name)
{
	return name.bytes > 0 && name.bytes <= SIO_EVENT_NAME_BYTES_MAX && !sio_event_reserved(name) &&
	       utf8_valid((const uint8_t *)name.s, name.bytes);
}

static size_t put_number(char *out, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits), n;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	n = sizeof(digits) - at;
	memcpy(out, digits + at, n);
	return n;
}

/* Type to ack id. Returns the bytes written, at most HEAD_BYTES_MAX and the namespace's name. */
static size_t put_head(char *out, const struct sio_message *m)
{
	const struct sio_space *space = m->space;
	bool event = m->name.s != NULL, binary = m->args.attachment_count > 0;
	size_t at = 0;

	out[at++] = (char)('0' + (event           ? binary ? SIO_BINARY_EVENT : SIO_EVENT
					 : binary ? SIO_BINARY_ACK
						  : SIO_ACK));
	if (binary) {
		at += put_number(out + at, m->args.attachment_count);
		out[at++] = '-';
	}
	if (space->name_bytes > 1) {
		memcpy(out + at, space->name, space->name_bytes);
		at += space->name_bytes;
		out[at++] = ',';
	}
	if (m->has_id)
		at += put_number(out + at, m->id);
	out[at++] = '[';
	return at;
}

int sio_encode(const struct sio_message *m, struct blob_share **ret_unit)
{
	char head[HEAD_BYTES_MAX + SIO_SPACE_BYTES_MAX];
	uint8_t *text, *binaries[SIO_ATTACHMENTS_MAX];
	size_t sizes[SIO_ATTACHMENTS_MAX];

	if (!m->is_valid && !sio_args_valid(m->space, &m->args))
		return -EINVAL;
	size_t head_bytes = put_head(head, m);
	struct str inside = array_inside(m->args.json);
	size_t name_bytes = m->name.s != NULL ? json_quoted_bytes(m->name) : 0;
	bool comma = name_bytes > 0 && inside.bytes > 0;
	size_t offset_bytes = m->offset.bytes == 0 ? 0 : m->offset.bytes + sizeof(",\"\"") - 1;
	for (uint32_t i = 0; i < m->args.attachment_count; i++)
		sizes[i] = m->args.attachments[i].bytes;
	struct blob_share *unit =
		eio_unit_create(head_bytes + name_bytes + comma + inside.bytes + offset_bytes + 1, sizes,
			m->args.attachment_count, &text, binaries);
	if (unit == NULL)
		return -ENOMEM;
	memcpy(text, head, head_bytes);
	text += head_bytes;
	if (name_bytes > 0)
		text += json_quote((char *)text, m->name);
	if (comma)
		*text++ = ',';
	memcpy(text, inside.s, inside.bytes);
	text += inside.bytes;
	if (offset_bytes > 0) { /* behind the name, at least */
		memcpy(text, ",\"", 2);
		memcpy(text + 2, m->offset.s, m->offset.bytes);
		text[offset_bytes - 1] = '"';
		text += offset_bytes;
	}
	*text = ']';
	for (uint32_t i = 0; i < m->args.attachment_count; i++) {
		if (sizes[i] > 0)
			memcpy(binaries[i], m->args.attachments[i].data, sizes[i]);
	}
	*ret_unit = unit;
	return 0;
}

bool sio_deliver(struct sio_socket *s, struct blob_share *unit, unsigned flags)
{
	if (s->session == NULL)
		return false;
	enum eio_send sent = eio_send(s->session, unit, flags);
	if (sent == EIO_SEND_SKIPPED)
		sio_count(&s->client->at->counts.skipped_volatile, 1);
	if (sent != EIO_SEND_QUEUED)
		return false;
	sio_count(&s->client->at->counts.deliveries, 1);
	sio_count(&sio_here(s->space, s->client->at)->counts.deliveries, 1);
	return true;
}

/* A broadcast's walk: the cost of a delivery is here and in eio_send(). */
static void deliver_room(struct sio_loop *here, const struct sio_target *t, const struct sio_room *room,
	const struct sio_socket *except, struct blob_share *unit)
{
	uint64_t delivered = 0, skipped = 0;
	unsigned flags = (t->is_volatile ? EIO_VOLATILE : 0) | EIO_SHARED;

	for (uint32_t i = 0; i < room->count; i++) {
		const struct sio_socket *s = room->members[i].socket;

		if (s == except || s->session == NULL)
			continue;
		enum eio_send sent = eio_send(s->session, unit, flags);
		delivered += sent == EIO_SEND_QUEUED;
		skipped += sent == EIO_SEND_SKIPPED;
	}
	sio_count(&here->counts.deliveries, delivered);
	sio_count(&sio_here(t->space, here)->counts.deliveries, delivered);
	if (skipped > 0)
		sio_count(&here->counts.skipped_volatile, skipped);
}

struct delivery {
	struct blob_share *unit;
	unsigned flags;
	uint64_t delivered, skipped;
	struct sio_offset offset; /* of an event that may be sent again, and its place; 0: it is none */
	uint64_t place;
};

static void deliver_one(struct sio_socket *s, void *ctx)
{
	struct delivery *d = ctx;
	enum eio_send sent = eio_send(s->session, d->unit, d->flags);

	d->delivered += sent == EIO_SEND_QUEUED;
	d->skipped += sent == EIO_SEND_SKIPPED;
	if (d->place > 0 && s->recoverable != NULL) {
		s->recoverable->last_place = d->place;
		s->recoverable->last = d->offset;
		if (sent != EIO_SEND_QUEUED)
			sio_recoverable_refused(s->recoverable, d->place);
	}
}

/* A target of several rooms, or with some excepted; whatever may be sent again. */
static void deliver_each(struct sio_loop *here, const struct sio_target *t, struct delivery *d)
{
	d->flags = (t->is_volatile ? EIO_VOLATILE : 0) | (t->only.generation == 0 ? EIO_SHARED : 0);
	sio_visit(here, t, deliver_one, d);
	sio_count(&here->counts.deliveries, d->delivered);
	sio_count(&sio_here(t->space, here)->counts.deliveries, d->delivered);
	sio_count(&here->counts.skipped_volatile, d->skipped);
}

/* For those who come back. Its place in this loop's order; 0: no memory, and nobody has been here yet. */
static uint64_t keep(
	struct sio_loop *here, const struct sio_target *t, struct sio_offset offset, struct blob_share *unit)
{
	struct sio_backlog *b = sio_backlog_of(here, t->space);

	return b == NULL ? 0 : sio_backlog_add(b, t, offset, unit);
}

/* To all targets on this loop. */
static void deliver(
	struct sio_loop *here, const struct sio_target *t, struct sio_offset offset, struct blob_share *unit)
{
	const struct sio_space_loop *rooms = &t->space->loops[net_loop_index(here->loop)];
	uint32_t index = net_loop_index(here->loop);
	const struct sio_socket *except = NULL;
	struct delivery each = { .unit = unit, .offset = offset };

	if (offset.count > 0 || !sio_target_plain(t)) {
		if (t->space->hooks->any_out.fn != NULL)
			sio_any_out(here, t, unit);
		if (offset.count > 0)
			each.place = keep(here, t, offset, unit);
		deliver_each(here, t, &each);
		return;
	}
	if (t->only.generation != 0) {
		struct sio_socket *only = sio_socket_find(here, t->only);
		if (only != NULL && only->space == t->space)
			(void)sio_deliver(only, unit, t->is_volatile ? EIO_VOLATILE : 0);
		return;
	}
	if (t->except.generation != 0 && t->except.loop == index)
		except = sio_socket_find(here, t->except);
	const struct sio_room *room = t->room == NULL ? rooms->all : sio_room_find(rooms, t->room);
	if (t->room != NULL && sio_socket_called(here, t->space, t->room) != NULL)
		deliver_each(here, t, &each);
	else if (room != NULL)
		deliver_room(here, t, room, except, unit);
}

struct posted {
	struct net_message message;
	struct blob *unit;
	struct sio_offset offset;
	struct sio_target target; /* its names lie in the array */
	_Alignas(char *) char names[];
};

static void posted_run(struct net_loop *loop, struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);
	struct sio_server *server = p->target.space->server;
	struct blob_share *unit = blob_import(p->unit);

	if (unit == NULL) {
		/* Its receivers would miss it without a word: they are better closed. */
		sio_overrun(server, loop);
	} else {
		deliver(&server->loops[net_loop_index(loop)], &p->target, p->offset, unit);
		blob_unref(unit);
	}
	free(p);
}

static void posted_discard(struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);

	blob_drop(p->unit);
	free(p);
}

/* 0, or -ENOBUFS: that loop's clients will miss it, and are closed. */
static int post(struct sio_server *server, uint32_t loop, const struct sio_target *t,
	struct sio_offset offset, struct blob_share *unit)
{
	size_t names_bytes = sio_target_names_bytes(t);
	struct posted *p = malloc(sizeof(*p) + names_bytes);

	if (p == NULL) {
		atomic_fetch_add_explicit(&server->broadcasts_refused, 1, memory_order_relaxed);
		net_overrun(net_pool_loop(server->pool, loop));
		return -ENOBUFS;
	}
	p->message = (struct net_message){
		.run = posted_run,
		.discard = posted_discard,
		.bytes = sizeof(*p) + names_bytes + unit->bytes,
	};
	p->unit = blob_export(unit);
	p->offset = offset;
	p->target = sio_target_copy(t, p->names);
	if (sio_hand_over(server, loop, &p->message))
		return 0;
	atomic_fetch_add_explicit(&server->broadcasts_refused, 1, memory_order_relaxed);
	posted_discard(&p->message);
	net_overrun(net_pool_loop(server->pool, loop));
	return -ENOBUFS;
}

/* Who watches what goes out is not called within another visit. */
static bool is_now(const struct sio_loop *here, uint32_t loop, const struct sio_target *t)
{
	return here != NULL && sio_is_now(here, loop) &&
	       (!here->visiting || t->space->hooks->any_out.fn == NULL);
}

/* To each loop that may have some of its receivers. */
static int send_out(struct sio_server *server, struct sio_loop *here, const struct sio_target *target,
	struct sio_offset offset, struct blob_share *unit)
{
	bool at_once = false;
	int rc = 0;

	for (uint32_t i = 0; i < server->loop_count; i++) {
		if (target->only.generation != 0 && target->only.loop != i)
			continue;
		if (is_now(here, i, target)) {
			at_once = true;
			continue;
		}
		int posted = post(server, i, target, offset, unit);
		rc = posted < 0 ? posted : rc;
	}
	if (at_once) /* last: what watches it may emit, and that comes behind it, on other loops too */
		deliver(here, target, offset, unit);
	return rc;
}

void sio_count_emitted(struct sio_server *server, struct sio_loop *here)
{
	atomic_fetch_add_explicit(
		here != NULL ? &here->counts.events_out : &server->events_out, 1, memory_order_relaxed);
}

/* Numbered: it may be sent again. */
static int encode_and_send(
	struct sio_loop *here, const struct sio_target *target, struct sio_message *m, bool numbered)
{
	struct sio_server *server = target->space->server;
	char text[SIO_OFFSET_CHARS_MAX + 1];
	struct sio_offset offset = { 0 };
	struct blob_share *unit;

	if (numbered) {
		offset = sio_number(target->space, here, target->only.generation != 0);
		m->offset = str_of(text, sio_offset_text(server, offset, text));
	}
	int rc = sio_encode(m, &unit);
	m->offset = STR(""); /* its text ends with this call */
	if (rc < 0) {
		if (numbered)
			sio_number_back(target->space, here, target->only.generation != 0);
		return rc;
	}
	if (numbered || target->uncompressed)
		blob_set_tag(unit, (numbered ? sio_past_tag(target->space) : 0) |
					   (target->uncompressed ? EIO_UNIT_UNCOMPRESSED : 0));
	rc = send_out(server, here, target, offset, unit);
	sio_count_emitted(server, here);
	blob_unref(unit);
	return rc;
}

static int emit(const struct sio_target *target, struct str event, const struct sio_args *args)
{
	struct sio_server *server = target->space->server;
	struct sio_loop *here = sio_loop_here(server);
	struct sio_message m = { .space = target->space, .name = event, .args = *args };
	bool numbered = server->recovers && !target->is_volatile;

	if (!numbered)
		return encode_and_send(here, target, &m, false);
	/* Before it has its number: the application's log may be called, and emit. */
	if (!sio_args_valid(target->space, args))
		return -EINVAL;
	m.is_valid = true;
	if (here != NULL)
		return encode_and_send(here, target, &m, true);
	/* All loops are to see what other threads emit in one order. */
	pthread_mutex_lock(&target->space->outside_lock);
	int rc = encode_and_send(NULL, target, &m, true);
	pthread_mutex_unlock(&target->space->outside_lock);
	return rc;
}

/* To all children: a packet names its namespace, so each is an event of its own. */
static int emit_to_children(struct sio_target target, struct str event, const struct sio_args *args)
{
	struct sio_space *child = atomic_load_explicit(&target.space->children, memory_order_acquire);
	int rc = 0;

	if (!sio_args_valid(target.space, args))
		return -EINVAL;
	for (; child != NULL; child = child->next_child) {
		target.space = child;
		int emitted = emit(&target, event, args);
		rc = emitted < 0 ? emitted : rc;
	}
	return rc;
}

void sio_on_broadcast(struct sio_space *space, sio_broadcast_fn *fn, void *ctx)
{
	if (!sio_sets(space, __func__))
		return;
	space->hooks->broadcast = fn;
	space->hooks->broadcast_ctx = ctx;
}

static void tell_others(const struct sio_target *target, const char *event, const struct sio_args *args)
{
	const struct sio_hooks *hooks = target->space->hooks;
	struct sio_broadcast told = {
		.target = *target,
		.event = event,
		.args = *args,
		.ctx = hooks->broadcast_ctx,
	};

	told.target.except = (struct sio_id){ 0 };
	told.target.is_local = true;
	hooks->broadcast(&told);
}

static int emit_everywhere(const struct sio_target *target, const char *event, const struct sio_args *args)
{
	struct str name = str_c(event);

	if (target->space->hooks->broadcast != NULL && !target->is_local && target->only.generation == 0) {
		if (!sio_args_valid(target->space, args))
			return -EINVAL;
		tell_others(target, event, args); /* first: a watcher of what goes out may emit */
	}
	return target->space->names != NULL ? emit_to_children(*target, name, args)
					    : emit(target, name, args);
}

int sio_emit(struct sio_target target, const char *event, struct sio_args args)
{
	if (target.space == NULL)
		return -EINVAL;
	const struct sio_hooks *hooks = target.space->hooks;
	if (!sio_event_name_valid(str_c(event)) || !sio_target_valid(&target))
		return -EINVAL;
	if (hooks->any_out.fn == NULL && hooks->broadcast == NULL)
		return emit_everywhere(&target, event, &args);
	/* A name may be a room's own, which goes when whoever is called meanwhile makes the last one leave. */
	char *names = malloc(sio_target_names_bytes(&target) + 1);
	if (names == NULL)
		return -ENOMEM;
	target = sio_target_copy(&target, names);
	int rc = emit_everywhere(&target, event, &args);
	free(names);
	return rc;
}

struct sio_target sio_all(struct sio_space *space)
{
	return (struct sio_target){ .space = space };
}

struct sio_target sio_to(const struct sio_socket *s, const char *room)
{
	return (struct sio_target){ .space = s->space, .room = room, .except = sio_id(s) };
}

struct sio_target sio_self(const struct sio_socket *s)
{
	return (struct sio_target){ .space = s->space, .only = sio_id(s) };
}
