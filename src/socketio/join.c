/*
 * socketio/join.c -- a client joins a namespace: its middleware is asked, one after the other, now or later.
 *
 *      CONNECT --> new socket --> middleware 1 --> 2 --> ... --> joined: `0{"sid":...}`, "connection"
 *                                     |  ^`--refused: `4{"message":...}`
 *                              "later"|  |sio_decide()
 *                                     v  |
 *                            client->joining: with a copy of its auth
 *
 * Until it has joined, a socket has a slot (its id is told to the application) but no session, by which sio_socket_find() knows.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"
#include "socketio/server_int.h"

/* A step that is no middleware's: it is looked for who came back. */
enum { STEP_RECOVERY = UINT16_MAX };

/* One whose middleware takes its time. */
struct sio_joining {
	struct sio_joining *next; /* in client->joining */
	struct sio_socket *socket;
	uint32_t step; /* the middleware that has said "later" */
	size_t auth_bytes;
	char auth[];
};

/* Packets that concern a namespace: the type, its name where it is not "/", then `rest`. */
static void send_packet(
	struct sio_client *c, char type, const struct sio_space *space, const struct str *rest, size_t count)
{
	bool named = space->name_bytes > 1;
	struct str parts[10] = {
		str_of(&type, 1),
		str_of(space->name, named ? space->name_bytes : 0),
		named ? STR(",") : STR(""),
	};

	assert(count <= sizeof(parts) / sizeof(parts[0]) - 3);
	for (size_t i = 0; i < count; i++)
		parts[3 + i] = rest[i];
	sio_client_send_text(c, parts, 3 + count);
}

/* `0{"sid":"..."}`, or `0/custom,{"sid":"..."}`. */
static void send_connected(struct sio_socket *s)
{
	char sid[SIO_SID_BYTES];

	sio_sid(s, sid);
	struct str rest[] = {
		STR("{\"sid\":\""),
		str_c(sid),
		s->recoverable == NULL ? STR("") : STR("\",\"pid\":\""),
		s->recoverable == NULL ? STR("") : str_c(sio_recoverable_pid(s->recoverable)),
		STR("\"}"),
	};
	send_packet(s->client, '0', s->space, rest, sizeof(rest) / sizeof(rest[0]));
}

/* `4{"message":"...","data":...}`, or `4/custom,{...}`. */
static void send_refused(
	struct sio_client *c, const struct sio_space *space, const struct sio_refusal *refusal)
{
	struct str message = refusal->message == NULL ? STR("Forbidden") : str_c(refusal->message);
	struct str data = str_of(refusal->data_json.s, refusal->data_json.bytes);
	struct json_value value;

	if (!utf8_valid((const uint8_t *)message.s, message.bytes))
		message = STR("Forbidden");
	if (data.bytes > 0 && !(utf8_valid((const uint8_t *)data.s, data.bytes) && json_scan(data, &value))) {
		log_line(LOG_WARN, "the data of a refusal in %s is no JSON, and left out", space->name);
		data.bytes = 0;
	}
	char *quoted = malloc(json_quoted_bytes(message));
	if (quoted == NULL) {
		sio_client_close(c, "forced server close"); /* it must not wait for ever */
		return;
	}
	struct str rest[] = {
		STR("{\"message\":"),
		str_of(quoted, json_quote(quoted, message)),
		data.bytes > 0 ? STR(",\"data\":") : STR(""),
		data,
		STR("}"),
	};
	send_packet(c, '4', space, rest, sizeof(rest) / sizeof(rest[0]));
	free(quoted);
}

/* It has not joined, and will not. */
static void drop_socket(struct sio_socket *s)
{
	slots_take(&s->client->at->sockets, s->slot);
	s->session = NULL;
	if (s->recoverable != NULL)
		sio_recoverable_end(s->recoverable);
	sio_socket_free(s);
}

/* Ask from `*step` on, which is moved to who has not said SIO_ADMIT. */
static enum sio_verdict ask(
	struct sio_socket *s, struct str auth, uint32_t *step, struct sio_refusal *refusal)
{
	const struct sio_hooks *hooks = s->space->hooks;

	for (; *step < hooks->middleware_count; ++*step) {
		struct sio_event e = {
			.socket = s,
			.name = { "connection", sizeof("connection") - 1 },
			.args = sio_json("[]"),
			.ack = { .socket = sio_id(s), .space = s->space, .id = *step, .wanted = true },
			.auth = { auth.s, auth.bytes },
			.ctx = hooks->middleware[*step].ctx,
		};

		*refusal = (struct sio_refusal){ 0 };
		enum sio_verdict verdict = hooks->middleware[*step].fn(&e, refusal);
		if (s->client->session == NULL)
			return SIO_REFUSE; /* its connection was closed meanwhile: nobody is told */
		if (verdict != SIO_ADMIT)
			return verdict;
	}
	return SIO_ADMIT;
}

/* Its auth is lent: kept until somebody has decided. False: no memory. */
static bool wait(struct sio_socket *s, struct str auth, uint32_t step)
{
	struct sio_joining *j = malloc(sizeof(*j) + auth.bytes);

	if (j == NULL)
		return false;
	j->socket = s;
	j->step = step;
	j->auth_bytes = auth.bytes;
	memcpy(j->auth, auth.s, auth.bytes);
	j->next = s->client->joining;
	s->client->joining = j;
	return true;
}

static void refuse(struct sio_socket *s, const struct sio_refusal *refusal)
{
	struct sio_client *c = s->client;

	if (c->session != NULL) {
		sio_count(&c->at->counts.refused, 1);
		sio_count(&sio_here(s->space, c->at)->counts.refused, 1);
		send_refused(c, s->space, refusal);
	}
	drop_socket(s);
}

/* Its identity: that which has come for it, or a new one. False: no memory. */
static bool have_identity(struct sio_socket *s)
{
	if (!s->client->at->server->recovers)
		return true;
	return s->recoverable == NULL ? sio_recoverable_create(s) != NULL : sio_recoverable_restore(s);
}

/* All have let it in. False: no memory. */
static bool join(struct sio_socket *s, struct str auth)
{
	struct sio_client *c = s->client;

	assert(c->session != NULL);
	s->session = c->session;
	if (!sio_room_enter_all(s) || !have_identity(s)) {
		sio_rooms_leave_all(s);
		drop_socket(s);
		return false;
	}
	net_delay_stop(&c->connecting);
	list_push_back(&c->sockets, &s->in_client);
	c->socket_count++;
	sio_count(&c->at->counts.connected, 1);
	sio_count(&sio_here(s->space, c->at)->counts.connected, 1);
	send_connected(s);
	sio_call_own(s, SIO_ON_CONNECTION, auth, STR(""));
	/* Its client was told before; and the handler may have sent it away. */
	if (sio_is_heard(s) && c->is_lagging)
		sio_call_own(s, SIO_ON_LAGGING, STR(""), STR(""));
	if (s->recoverable != NULL)
		sio_recoverable_joined(s);
	sio_handshake_used(c);
	return true;
}

/* It waits to hear whether it was here before. False: it has not asked, or there is no memory. */
static bool wait_recovery(struct sio_socket *s, struct str auth, bool *ret_no_memory)
{
	if (!s->client->at->server->recovers)
		return false;
	switch (sio_recover_begin(s, auth)) {
	case SIO_RECOVER_NOT:
		return false;
	case SIO_RECOVER_LATER:
		if (wait(s, auth, STEP_RECOVERY))
			return true;
		break; /* what it has begun finds nobody */
	case SIO_RECOVER_NO_MEMORY:
		break;
	}
	*ret_no_memory = true;
	return false;
}

/* Middleware has let it in. */
static bool admitted(struct sio_socket *s, struct str auth)
{
	bool no_memory = false;

	if (s->client->at->server->recovery_asks && wait_recovery(s, auth, &no_memory))
		return true;
	if (!no_memory)
		return join(s, auth);
	drop_socket(s);
	return false;
}

/* Go on from middleware `step`. False: no memory. */
static bool proceed(struct sio_socket *s, struct str auth, uint32_t step)
{
	struct sio_refusal refusal;

	switch (ask(s, auth, &step, &refusal)) {
	case SIO_ADMIT:
		return admitted(s, auth);
	case SIO_LATER:
		if (wait(s, auth, step))
			return true;
		drop_socket(s);
		return false;
	case SIO_REFUSE:
		break;
	}
	refuse(s, &refusal);
	return true;
}

bool sio_socket_connect(struct sio_client *c, struct sio_space *space, struct str auth)
{
	struct sio_socket *s = calloc(1, sizeof(*s));
	bool no_memory = false;

	assert(c->session != NULL);
	if (s == NULL)
		return false;
	list_init(&s->in_client);
	s->client = c;
	s->space = space;
	if (!slots_put(&c->at->sockets, s, &s->slot, &s->generation)) {
		sio_socket_free(s);
		return false;
	}
	random_bytes(s->random, sizeof(s->random));
	if (!c->at->server->recovery_asks && wait_recovery(s, auth, &no_memory))
		return true;
	if (!no_memory)
		return proceed(s, auth, 0);
	drop_socket(s);
	return false;
}

/* Whatever is decided for it comes too late. What is kept with it is destroyed when all handlers have returned. */
static void give_up(struct sio_joining *j)
{
	struct sio_loop *at = j->socket->client->at;

	slots_take(&at->sockets, j->socket->slot);
	list_push_back(&at->dead_sockets, &j->socket->in_client);
	net_defer(at->loop, &at->bury);
	free(j);
}

bool sio_joining_forget(struct sio_client *c, struct str space)
{
	for (struct sio_joining **link = &c->joining; *link != NULL; link = &(*link)->next) {
		struct sio_joining *j = *link;
		const struct sio_space *its = j->socket->space;

		if (!str_equal(space, str_of(its->name, its->name_bytes)))
			continue;
		*link = j->next;
		give_up(j);
		return true;
	}
	return false;
}

uint32_t sio_joining_count(const struct sio_client *c)
{
	uint32_t count = 0;

	for (const struct sio_joining *j = c->joining; j != NULL; j = j->next)
		count++;
	return count;
}

size_t sio_joining_auth_bytes(const struct sio_client *c)
{
	size_t bytes = 0;

	for (const struct sio_joining *j = c->joining; j != NULL; j = j->next)
		bytes += j->auth_bytes;
	return bytes;
}

void sio_joining_end(struct sio_client *c)
{
	while (c->joining != NULL) {
		struct sio_joining *j = c->joining;

		c->joining = j->next;
		give_up(j);
	}
}

/* Take who waits for the middleware of that number out of its client's list. NULL: it does not, or no more. */
static struct sio_joining *take_joining(const struct sio_loop *at, const struct sio_ack *ticket)
{
	const struct sio_socket *s = slots_get(&at->sockets, ticket->socket.slot, ticket->socket.generation);

	if (s == NULL || s->space != ticket->space)
		return NULL;
	for (struct sio_joining **link = &s->client->joining; *link != NULL; link = &(*link)->next) {
		struct sio_joining *j = *link;

		if (j->socket != s)
			continue;
		if (j->step != ticket->id)
			return NULL;
		*link = j->next;
		return j;
	}
	return NULL;
}

struct sio_socket *sio_joining_recovers(
	const struct sio_loop *at, const struct sio_space *space, struct sio_id id)
{
	struct sio_socket *s = slots_get(&at->sockets, id.slot, id.generation);

	if (s == NULL || s->space != space)
		return NULL;
	for (const struct sio_joining *j = s->client->joining; j != NULL; j = j->next) {
		if (j->socket == s)
			return j->step == STEP_RECOVERY ? s : NULL;
	}
	return NULL;
}

void sio_joining_recovered(struct sio_loop *at, struct sio_space *space, struct sio_id id)
{
	struct sio_ack ticket = { .socket = id, .space = space, .id = STEP_RECOVERY };
	struct sio_joining *j = take_joining(at, &ticket);

	assert(j != NULL);
	struct sio_socket *s = j->socket;
	struct sio_client *c = s->client;
	struct str auth = str_of(j->auth, j->auth_bytes);
	bool joins = s->recoverable != NULL || at->server->recovery_asks;
	if (!(joins ? join(s, auth) : proceed(s, auth, 0)))
		sio_client_close(c, "forced server close");
	free(j);
}

struct decision {
	struct net_message message;
	struct sio_ack ticket;
	bool refused;
	struct sio_refusal refusal; /* its texts lie in `text` */
	char text[];
};

static void decide(struct net_loop *loop, struct net_message *message)
{
	struct decision *d = list_entry(message, struct decision, message);
	struct sio_server *server = d->ticket.space->server;
	struct sio_joining *j = take_joining(&server->loops[net_loop_index(loop)], &d->ticket);

	if (j == NULL) {
		atomic_fetch_add_explicit(&server->answers_late, 1, memory_order_relaxed);
	} else if (d->refused) {
		refuse(j->socket, &d->refusal);
	} else {
		struct sio_client *c = j->socket->client;

		if (!proceed(j->socket, str_of(j->auth, j->auth_bytes), j->step + 1))
			sio_client_close(c, "forced server close");
	}
	free(j);
	free(d);
}

static void decide_discard(struct net_message *message)
{
	free(list_entry(message, struct decision, message));
}

int sio_decide(struct sio_ack ticket, const struct sio_refusal *refusal)
{
	static const struct sio_refusal none;
	const struct sio_refusal *r = refusal == NULL ? &none : refusal;
	size_t message_bytes = r->message == NULL ? 0 : strlen(r->message) + 1;

	if (ticket.socket.generation == 0 || ticket.socket.loop >= ticket.space->server->loop_count)
		return -ENOENT;
	struct decision *d = malloc(sizeof(*d) + message_bytes + r->data_json.bytes);
	if (d == NULL)
		return -ENOMEM;
	*d = (struct decision){
		.message = { .run = decide,
			.discard = decide_discard,
			.bytes = sizeof(*d) + message_bytes + r->data_json.bytes },
		.ticket = ticket,
		.refused = refusal != NULL,
	};
	if (message_bytes > 0)
		d->refusal.message = memcpy(d->text, r->message, message_bytes);
	if (r->data_json.bytes > 0) {
		char *data = memcpy(d->text + message_bytes, r->data_json.s, r->data_json.bytes);
		d->refusal.data_json = (struct sio_str){ data, r->data_json.bytes };
	}
	/* One for each who waits, of whom a client has few: a loop that is far behind takes it too. */
	sio_hand_over_reserved(ticket.space->server, ticket.socket.loop, &d->message);
	return 0;
}
