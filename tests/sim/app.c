/* tests/sim/app.c -- the server's handlers in the simulation: see tests/sim/world.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/world.h"

enum { PAD_MAX = 1500, PAD_LARGE = 6000 };

static const char *const room_names[WORLD_ROOMS + WORLD_LOOSE] = { "r0", "r1", "r2", "r3", "loose0",
	"loose1" };

static struct identity *find_identity(const char *sid)
{
	for (uint32_t i = 0; i < world->identity_count; i++) {
		if (strcmp(world->identities[i]->sid, sid) == 0)
			return world->identities[i];
	}
	return NULL;
}

static int index_of(const struct identity *who)
{
	for (uint32_t i = 0; i < world->identity_count; i++) {
		if (world->identities[i] == who)
			return (int)i;
	}
	return WORLD_NOBODY;
}

static uint32_t space_of(const struct sio_socket *socket)
{
	return sio_space_of(socket) == world->spaces[0] ? 0 : 1;
}

static bool is_in_room(const struct identity *who, int room)
{
	return room < WORLD_ROOMS && (who->client >> (room % 2) & 1) == (uint32_t)(room / 2);
}

/* Whoever is here for certain is to hear it. Of rooms that are joined and left nobody is. */
static void note_receivers(const struct emission *m, uint32_t number)
{
	for (uint32_t i = 0; i < world->identity_count; i++) {
		struct identity *who = world->identities[i];
		bool all = m->room == WORLD_NOBODY && m->only == WORLD_NOBODY;
		bool is_for = all || m->only == (int)i || (m->room >= 0 && is_in_room(who, m->room)) ||
			      (m->other_room >= 0 && is_in_room(who, m->other_room));

		if (who->space == m->space && who->presence != IS_GONE && is_for && m->except != (int)i &&
			!m->is_volatile)
			who->must[number] = 1;
	}
}

static uint32_t choose_pad(void)
{
	if (kernel_chance(30))
		return (uint32_t)kernel_below(PAD_LARGE);
	return (uint32_t)kernel_below(kernel_chance(100) ? PAD_MAX : 60);
}

static void emit(struct emission m, struct sio_target to)
{
	static _Thread_local uint8_t data[CLIENT_ATTACHMENTS_MAX][300];
	static _Thread_local char json[PAD_LARGE + 1024], pad[PAD_LARGE + 1];
	struct sio_bytes attachments[CLIENT_ATTACHMENTS_MAX];
	uint32_t number = world->emission_count;

	if (number == WORLD_EMISSIONS_MAX)
		return;
	world->emission_count++;
	m.at_ns = kernel_now_ns();
	m.pad = choose_pad();
	m.attachments = kernel_chance(100) ? 1 + (uint32_t)kernel_below(3) : 0;
	world->emissions[number] = m;
	note_receivers(&m, number);
	memset(pad, 'a' + (int)(number % 26), m.pad);
	pad[m.pad] = '\0';
	int n = snprintf(json, sizeof(json), "[%u,{\"pad\":\"%s\"}", number, pad);
	for (uint32_t i = 0; i < m.attachments; i++) {
		size_t bytes = 1 + (number * 7 + i * 31) % sizeof(data[0]);

		memset(data[i], (int)((number + i) & 0xff), bytes);
		attachments[i] = (struct sio_bytes){ data[i], bytes };
		n += snprintf(json + n, sizeof(json) - (size_t)n, ",{\"_placeholder\":true,\"num\":%u}", i);
	}
	snprintf(json + n, sizeof(json) - (size_t)n, "]");
	struct sio_args args = { { json, strlen(json) }, attachments, m.attachments };
	to.is_volatile = m.is_volatile;
	kernel_note("emission %u by %u in %u: room %d, only %d, except %d%s", number, m.emitter, m.space,
		m.room, m.only, m.except, m.is_volatile ? ", volatile" : "");
	int rc = sio_emit(to, "said", args);
	if (rc != 0)
		kernel_fail("emission %u: sio_emit() gives %d", number, rc);
}

/* To one of the targets that there are. */
static void emit_from(const struct sio_socket *socket, uint32_t emitter, uint32_t space)
{
	struct emission m = { .emitter = emitter,
		.space = space,
		.room = WORLD_NOBODY,
		.other_room = WORLD_NOBODY,
		.only = WORLD_NOBODY,
		.except = WORLD_NOBODY,
		.is_volatile = kernel_chance(120) };
	struct sio_target to = sio_all(world->spaces[space]);
	const char *second;
	uint64_t kind = kernel_below(10);

	if (socket != NULL && kind == 0) {
		m.only = index_of(sio_data(socket));
		to = sio_self(socket);
	} else if (socket != NULL && kind == 1) {
		m.except = index_of(sio_data(socket));
		to = sio_to(socket, NULL);
	} else if (kind >= 6) {
		m.room = (int)kernel_below(WORLD_ROOMS + WORLD_LOOSE);
		to.room = room_names[m.room];
	}
	if (kind == 9) {
		m.other_room = (int)kernel_below(WORLD_ROOMS);
		second = room_names[m.other_room];
		to.rooms = &second;
		to.room_count = 1;
	}
	emit(m, to);
}

void app_emit_outside(void)
{
	emit_from(NULL, WORLD_OUTSIDE, (uint32_t)kernel_below(CLIENT_SPACES));
}

static void destroy_data(void *data)
{
	(void)data;
	world->data_destroyed++;
}

static struct identity *new_identity(const struct sio_event *e, const char *sid, uint32_t client)
{
	struct identity *who = kernel_alloc(sizeof(*who));

	if (world->identity_count == WORLD_IDENTITIES_MAX)
		kernel_fail("too many identities");
	world->identities[world->identity_count++] = who;
	snprintf(who->sid, sizeof(who->sid), "%s", sid);
	who->client = client;
	who->space = space_of(e->socket);
	for (uint32_t i = 0; i < WORLD_EMITTERS; i++)
		who->last[i] = WORLD_NOBODY;
	sio_set_data(e->socket, who, destroy_data);
	for (int room = 0; room < WORLD_ROOMS; room++) {
		if (is_in_room(who, room) && sio_join(e->socket, room_names[room]) != 0)
			kernel_fail("a room cannot be joined");
	}
	return who;
}

static void on_connection(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES];
	const char *client = strstr(e->auth.s, "\"c\":");

	if (e->auth.bytes == 0 || client == NULL)
		kernel_fail("a connection without the client's number");
	sio_sid(e->socket, sid);
	struct identity *who = find_identity(sid);
	world->connections++;
	if (sio_recovered(e->socket) != (who != NULL))
		kernel_fail("%s is recovered or new, and was there before or not", sid);
	if (who != NULL && (who != sio_data(e->socket) || who->presence != IS_AWAY))
		kernel_fail("%s is recovered, but has other data or was not away", sid);
	if (who == NULL)
		who = new_identity(e, sid, (uint32_t)strtoul(client + 4, NULL, 10));
	kernel_note("identity %d is client %u in %u, loop %u%s", index_of(who), who->client, who->space,
		sio_id(e->socket).loop, sio_recovered(e->socket) ? ", recovered" : "");
	for (uint32_t i = 0; i < WORLD_LOOSE; i++)
		who->came_back_in_loose[i] |= who->in_loose[i];
	who->presence = IS_MEMBER;
	who->connected_ns = kernel_now_ns();
	who->id = sio_id(e->socket);
	who->heard_from = 0;
	who->lags = false;
	if (kernel_chance(500)) {
		struct emission m = { .emitter = who->id.loop,
			.space = who->space,
			.room = WORLD_NOBODY,
			.other_room = WORLD_NOBODY,
			.only = index_of(who),
			.except = WORLD_NOBODY };

		emit(m, sio_self(e->socket));
	}
}

static void on_disconnect(const struct sio_event *e)
{
	struct identity *who = sio_data(e->socket);

	if (who == NULL || who->presence != IS_MEMBER)
		kernel_fail("somebody disconnects who is not there");
	world->disconnections++;
	who->presence = world->recovers ? IS_AWAY : IS_GONE;
	who->sent_away = memmem(e->reason.s, e->reason.bytes, "namespace", 9) != NULL;
	kernel_note("identity %d disconnects: %.*s", index_of(who), (int)e->reason.bytes, e->reason.s);
}

static void on_lagging(const struct sio_event *e)
{
	struct identity *who = sio_data(e->socket);

	if (who->lags)
		kernel_fail("client %u lags twice", who->client);
	who->lags = true;
	world->figures.lagging++;
}

static void on_drained(const struct sio_event *e)
{
	struct identity *who = sio_data(e->socket);

	if (!who->lags)
		kernel_fail("client %u has drained, and did not lag", who->client);
	who->lags = false;
}

static uint64_t number_at(const struct sio_event *e, size_t i)
{
	struct sio_str text;
	char copy[24];

	if (!sio_arg(e, i, &text) || text.bytes >= sizeof(copy))
		kernel_fail("argument %zu of %.*s is missing", i, (int)e->name.bytes, e->name.s);
	memcpy(copy, text.s, text.bytes);
	copy[text.bytes] = '\0';
	return strtoull(copy, NULL, 10);
}

/* What clients say comes in order, and all of it, as long as their connection stands. */
static struct identity *judge_said(const struct sio_event *e)
{
	struct identity *who = sio_data(e->socket);
	uint64_t n = number_at(e, 0);

	if (n != who->heard_from)
		kernel_fail("client %u says %llu in %u, and %u was due", who->client, (unsigned long long)n,
			who->space, who->heard_from);
	who->heard_from++;
	for (uint32_t i = 0; i < e->args.attachment_count; i++) {
		const uint8_t *data = e->args.attachments[i].data;

		if (e->args.attachments[i].bytes != 1 + n % 200 || data[0] != (uint8_t)(n + i) ||
			data[n % 200] != (uint8_t)(n + i))
			kernel_fail("client %u says %llu with a wrong attachment", who->client,
				(unsigned long long)n);
	}
	return who;
}

static void on_query_answered(const struct sio_reply *r)
{
	world->queries_open--;
	if (r->status == 0) {
		char want[24];
		int n = snprintf(want, sizeof(want), "[%u]", (unsigned)(uintptr_t)r->ctx);

		world->figures.acks++;
		if (r->args.json.bytes != (size_t)n || memcmp(r->args.json.s, want, (size_t)n) != 0)
			kernel_fail("query %s is answered with %.*s", want, (int)r->args.json.bytes,
				r->args.json.s);
	}
}

static void query(const struct identity *who)
{
	static unsigned queries;
	char json[24];

	snprintf(json, sizeof(json), "[%u]", ++queries);
	uint32_t timeout_ms = kernel_chance(300) ? 1 + (uint32_t)kernel_below(500) : 0;
	world->queries_open++;
	if (sio_ask(world->spaces[who->space], who->id, "query", sio_json(json), timeout_ms,
		    on_query_answered, (void *)(uintptr_t)queries) != 0)
		world->queries_open--;
}

static void answer(struct sio_ack ack, uint64_t n)
{
	char json[64];

	snprintf(json, sizeof(json), "[%llu]", (unsigned long long)n);
	int rc = sio_answer(ack, sio_json(json));
	if (rc != 0 && rc != -ENOENT)
		kernel_fail("sio_answer() gives %d", rc);
}

void app_answer_kept(bool all)
{
	do {
		if (world->kept_count == 0)
			return;
		uint64_t chosen = kernel_below(world->kept_count);
		struct sio_ack ack = world->kept[chosen].ack;
		uint64_t n = world->kept[chosen].n;
		world->kept[chosen] = world->kept[--world->kept_count];
		answer(ack, n);
	} while (all);
}

static void on_say(const struct sio_event *e)
{
	struct identity *who = judge_said(e);
	uint64_t count = kernel_chance(50) ? kernel_below(20) : 1;

	for (uint64_t i = 0; i < count; i++)
		emit_from(e->socket, sio_id(e->socket).loop, who->space);
	if (kernel_chance(80))
		query(who);
	if (kernel_chance(100))
		app_answer_kept(false);
}

static void on_ask(const struct sio_event *e)
{
	(void)judge_said(e);
	uint64_t n = number_at(e, 1);
	if (!e->ack.wanted)
		kernel_fail("a question comes without its id");
	if (kernel_chance(300) && world->kept_count < WORLD_KEPT_MAX) {
		world->kept[world->kept_count].ack = e->ack;
		world->kept[world->kept_count++].n = n;
		return;
	}
	answer(e->ack, n);
	if (kernel_chance(50)) /* a second answer is refused */
		answer(e->ack, n + 1000000);
}

static void on_loose(const struct sio_event *e)
{
	struct identity *who = judge_said(e);
	uint64_t room = kernel_below(WORLD_LOOSE);

	if (who->in_loose[room]) {
		sio_leave(e->socket, room_names[WORLD_ROOMS + room]);
		who->left_loose_ns[room] = kernel_now_ns();
	} else if (sio_join(e->socket, room_names[WORLD_ROOMS + room]) != 0) {
		kernel_fail("a room cannot be joined");
	}
	who->in_loose[room] = !who->in_loose[room];
}

static void on_kick(const struct sio_event *e)
{
	(void)judge_said(e);
	world->figures.disconnected++;
	sio_disconnect(e->socket, kernel_chance(300));
}

/* All loops run it soon: nothing that was posted is forgotten. */
static void on_each(struct sio_socket *socket, void *ctx)
{
	(void)ctx;
	if (socket == NULL)
		world->each_began_ns = 0;
}

static void look_at_each(void)
{
	uint64_t took_ms = (kernel_now_ns() - world->each_began_ns) / KERNEL_MS;

	if (world->each_began_ns != 0) {
		if (took_ms > WORLD_EACH_MS_MAX)
			kernel_fail("sio_each() has not ended after %u ms", (unsigned)took_ms);
		return;
	}
	world->each_began_ns = kernel_now_ns();
	if (sio_each(sio_all(world->spaces[0]), on_each, NULL) != 0)
		kernel_fail("sio_each() is refused");
}

/* One who is away does not come back; nor may others of the namespace who move to another loop just then. */
static void kick_outside(struct identity *who)
{
	kernel_note("identity %d is sent away", index_of(who));
	who->sent_away |= who->presence == IS_AWAY;
	world->kicked_ns[who->space] = kernel_now_ns();
	(void)sio_disconnect_id(world->spaces[who->space], who->id, kernel_chance(300));
}

void app_act_outside(void)
{
	struct identity *who =
		world->identity_count == 0 ? NULL : world->identities[kernel_below(world->identity_count)];

	look_at_each();
	switch (kernel_below(8)) {
	case 0:
		if (who != NULL)
			query(who);
		break;
	case 1:
		if (who != NULL && kernel_chance(world->kicks))
			kick_outside(who);
		break;
	case 2:
		if (who != NULL && kernel_chance(world->kicks))
			(void)sio_connection_close_id(world->spaces[who->space], who->id);
		break;
	case 3:
		app_answer_kept(false);
		break;
	default:
		app_emit_outside();
	}
}

void app_set_up(void)
{
	for (uint32_t i = 0; i < CLIENT_SPACES; i++) {
		struct sio_space *space = sio_of(world->io, client_space_names[i]);
		static const struct {
			const char *name;
			sio_handler_fn *fn;
		} handlers[] = {
			{ "connection", on_connection },
			{ "disconnect", on_disconnect },
			{ "lagging", on_lagging },
			{ "drained", on_drained },
			{ "say", on_say },
			{ "ask", on_ask },
			{ "loose", on_loose },
			{ "kick", on_kick },
		};

		world->spaces[i] = space;
		for (size_t h = 0; h < sizeof(handlers) / sizeof(handlers[0]); h++) {
			if (sio_on(space, handlers[h].name, handlers[h].fn, NULL) != 0)
				kernel_fail("a handler is refused");
		}
	}
}
