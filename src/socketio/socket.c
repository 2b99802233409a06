/* socketio/socket.c -- one client in one namespace: joining, leaving, and what may be asked of it. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"
#include "socketio/server_int.h"

void sio_call_own(struct sio_socket *s, enum sio_own which, struct str auth, struct str reason)
{
	static const char *const names[] = { "connection", "disconnect", "lagging", "drained" };
	sio_handler_fn *fn = s->space->own[which].fn;

	if (fn == NULL)
		return;
	struct sio_event e = {
		.socket = s,
		.name = { names[which], strlen(names[which]) },
		.args = sio_json("[]"),
		.ack = { .socket = sio_id(s), .space = s->space },
		.auth = { auth.s, auth.bytes },
		.reason = { reason.s, reason.bytes },
		.ctx = s->space->own[which].ctx,
	};
	fn(&e);
}

void sio_sid(const struct sio_socket *s, char *out)
{
	uint8_t bytes[15];

	memcpy(bytes, s->random, sizeof(s->random));
	bytes[11] = (uint8_t)net_loop_index(s->client->at->loop);
	bytes[12] = (uint8_t)(s->slot >> 16);
	bytes[13] = (uint8_t)(s->slot >> 8);
	bytes[14] = (uint8_t)s->slot;
	out[base64url_encode(out, bytes, sizeof(bytes))] = '\0';
}

static void free_socket(struct sio_socket *s)
{
	assert(s->membership_count == 0 && list_empty(&s->asks));
	sio_set_data(s, NULL, NULL);
	free(s->memberships);
	free(s->acks);
	free(s);
}

/* `40{"sid":"..."}`, or `40/custom,{"sid":"..."}`. */
static void send_connected(struct sio_socket *s)
{
	char sid[SIO_SID_BYTES];
	const struct sio_space *space = s->space;
	bool named = space->name_bytes > 1;

	sio_sid(s, sid);
	struct str parts[] = {
		STR("0"),
		str_of(space->name, named ? space->name_bytes : 0),
		named ? STR(",{\"sid\":\"") : STR("{\"sid\":\""),
		str_c(sid),
		STR("\"}"),
	};
	sio_client_send_text(s->client, parts, sizeof(parts) / sizeof(parts[0]));
}

/* `44{"message":"...","data":...}`, or `44/custom,{...}`. */
static void send_refused(
	struct sio_client *c, const struct sio_space *space, const struct sio_refusal *refusal)
{
	bool named = space->name_bytes > 1;
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
	struct str parts[] = {
		STR("4"),
		str_of(space->name, named ? space->name_bytes : 0),
		named ? STR(",{\"message\":") : STR("{\"message\":"),
		str_of(quoted, json_quote(quoted, message)),
		data.bytes > 0 ? STR(",\"data\":") : STR(""),
		data,
		STR("}"),
	};
	sio_client_send_text(c, parts, sizeof(parts) / sizeof(parts[0]));
	free(quoted);
}

/* Ask the application. False: it has been refused, or its connection is closed. */
static bool is_admitted(struct sio_socket *s, struct str auth)
{
	struct sio_refusal refusal = { 0 };
	struct sio_event e = {
		.socket = s,
		.name = { "connection", sizeof("connection") - 1 },
		.args = sio_json("[]"),
		.ack = { .socket = sio_id(s), .space = s->space },
		.auth = { auth.s, auth.bytes },
		.ctx = s->space->admit_ctx,
	};

	if (s->space->admit == NULL)
		return true;
	bool admitted = s->space->admit(&e, &refusal);
	if (s->client->session == NULL)
		return false; /* it was closed meanwhile */
	if (!admitted) {
		sio_count(&s->client->at->counts.refused, 1);
		send_refused(s->client, s->space, &refusal);
	}
	return admitted;
}

/* It has not joined. */
static void drop_socket(struct sio_socket *s)
{
	slots_take(&s->client->at->sockets, s->slot);
	s->session = NULL;
	free_socket(s);
}

bool sio_socket_connect(struct sio_client *c, struct sio_space *space, struct str auth)
{
	struct sio_socket *s = calloc(1, sizeof(*s));
	struct sio_loop *at = c->at;

	if (s == NULL)
		return false;
	list_init(&s->in_client);
	list_init(&s->asks);
	s->client = c;
	s->space = space;
	if (!slots_put(&at->sockets, s, &s->slot, &s->generation)) {
		free_socket(s);
		return false;
	}
	random_bytes(s->random, sizeof(s->random));
	if (!is_admitted(s, auth)) {
		drop_socket(s);
		return true;
	}
	net_delay_stop(&c->connecting);
	s->session = c->session;
	if (!sio_room_enter_all(s)) {
		drop_socket(s);
		return false;
	}
	list_push_back(&c->sockets, &s->in_client);
	sio_count(&at->counts.connected, 1);
	send_connected(s);
	sio_call_own(s, SIO_ON_CONNECTION, auth, STR(""));
	/* Its client was told before; and the handler may have closed it. */
	if (s->session != NULL && c->is_lagging)
		sio_call_own(s, SIO_ON_LAGGING, STR(""), STR(""));
	return true;
}

void sio_socket_close(struct sio_socket *s, const char *reason)
{
	struct sio_loop *at = s->client->at;

	if (s->session == NULL)
		return;
	s->session = NULL;
	s->reason = reason;
	list_remove(&s->in_client);
	sio_rooms_leave_all(s);
	slots_take(&at->sockets, s->slot);
	sio_count(&at->counts.disconnected, 1);
	list_push_back(&at->dead_sockets, &s->in_client);
	net_defer(at->loop, &at->bury);
}

/* Handlers are called here, and may disconnect others: those come behind. */
static void bury_socket(struct sio_socket *s)
{
	sio_asks_end(s);
	sio_call_own(s, SIO_ON_DISCONNECT, STR(""), str_c(s->reason));
	free_socket(s);
}

void sio_bury(struct net_task *task)
{
	struct sio_loop *at = list_entry(task, struct sio_loop, bury);

	/* A client goes when none of its sockets is left. What is destroyed with it may send others away too. */
	for (;;) {
		while (!list_empty(&at->dead_sockets))
			bury_socket(
				list_entry(list_take_first(&at->dead_sockets), struct sio_socket, in_client));
		if (list_empty(&at->dead_clients))
			return;
		sio_client_free(list_entry(list_take_first(&at->dead_clients), struct sio_client, dead));
	}
}

struct sio_socket *sio_socket_find(const struct sio_loop *at, struct sio_id id)
{
	if (id.generation == 0 || id.loop != net_loop_index(at->loop))
		return NULL;
	struct sio_socket *s = slots_get(&at->sockets, id.slot, id.generation);
	return s == NULL || s->session == NULL ? NULL : s; /* not of the namespace yet */
}

/* `1`, or `1/custom,`. */
static void send_disconnect(struct sio_socket *s)
{
	bool named = s->space->name_bytes > 1;
	struct str parts[] = {
		STR("1"),
		str_of(s->space->name, named ? s->space->name_bytes : 0),
		named ? STR(",") : STR(""),
	};

	sio_client_send_text(s->client, parts, 3);
}

enum way {
	AWAY, /* from its namespace */
	AWAY_ALL, /* from all its namespaces: each is told, then the connection is closed, as Node's disconnect(true) */
	CUT, /* the connection is closed without a word of theirs */
};

static void send_away(struct sio_socket *s, enum way way)
{
	struct sio_client *c = s->client;
	static const char reason[] = "server namespace disconnect";

	if (s->session == NULL)
		return;
	if (way == AWAY) {
		send_disconnect(s);
		sio_socket_close(s, reason);
		return;
	}
	while (way == AWAY_ALL && !list_empty(&c->sockets)) {
		struct sio_socket *each = list_entry(c->sockets.next, struct sio_socket, in_client);

		send_disconnect(each);
		sio_socket_close(each, reason);
	}
	sio_client_close(c, "forced server close");
}

void sio_disconnect(struct sio_socket *s, bool close)
{
	send_away(s, close ? AWAY_ALL : AWAY);
}

void sio_connection_close(struct sio_socket *s)
{
	send_away(s, CUT);
}

struct posted {
	struct net_message message;
	struct sio_server *server;
	struct sio_id id;
	enum way way;
};

static void disconnect_run(struct net_loop *loop, struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);
	struct sio_socket *s = sio_socket_find(&p->server->loops[net_loop_index(loop)], p->id);

	if (s != NULL)
		send_away(s, p->way);
	free(p);
}

static void disconnect_discard(struct net_message *message)
{
	free(list_entry(message, struct posted, message));
}

static int send_away_id(struct sio_space *space, struct sio_id id, enum way way)
{
	struct sio_server *server = space->server;
	struct sio_loop *here = sio_loop_here(server);

	if (id.generation == 0 || id.loop >= server->loop_count)
		return -ENOENT;
	if (sio_is_now(here, id.loop)) {
		struct sio_socket *s = sio_socket_find(here, id);
		if (s == NULL)
			return -ENOENT;
		send_away(s, way);
		return 0;
	}
	struct posted *p = malloc(sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct posted){
		.message = { .run = disconnect_run, .discard = disconnect_discard, .bytes = sizeof(*p) },
		.server = server,
		.id = id,
		.way = way,
	};
	sio_hand_over_reserved(server, id.loop, &p->message);
	return 0;
}

int sio_disconnect_id(struct sio_space *space, struct sio_id id, bool close)
{
	return send_away_id(space, id, close ? AWAY_ALL : AWAY);
}

int sio_connection_close_id(struct sio_space *space, struct sio_id id)
{
	return send_away_id(space, id, CUT);
}

/* All of one namespace on one loop. */
struct posted_all {
	struct net_message message;
	struct sio_space *space;
	enum way way;
};

static void send_all_away(const struct sio_space *space, const struct sio_loop *here, enum way way)
{
	const struct sio_space_loop *rooms = &space->loops[net_loop_index(here->loop)];

	/* Each leaves the room of all, which goes with its last member. Nobody is called back meanwhile. */
	while (rooms->all != NULL) {
		struct sio_socket *s = rooms->all->members[rooms->all->count - 1].socket;

		assert(s->space == space && s->session != NULL);
		send_away(s, way);
	}
}

static void disconnect_all_run(struct net_loop *loop, struct net_message *message)
{
	struct posted_all *p = list_entry(message, struct posted_all, message);

	send_all_away(p->space, &p->space->server->loops[net_loop_index(loop)], p->way);
	free(p);
}

static void disconnect_all_discard(struct net_message *message)
{
	free(list_entry(message, struct posted_all, message));
}

static int send_away_everywhere(struct sio_space *space, enum way way)
{
	struct sio_server *server = space->server;
	struct sio_loop *here = sio_loop_here(server);
	struct posted_all *posts[NET_LOOPS_MAX] = { NULL };
	const uint32_t count = server->loop_count;

	/* For all loops, or for none. */
	for (uint32_t i = 0; i < count; i++) {
		posts[i] = malloc(sizeof(*posts[i]));
		if (posts[i] == NULL) {
			while (i > 0)
				free(posts[--i]);
			return -ENOMEM;
		}
		*posts[i] = (struct posted_all){
			.message = { .run = disconnect_all_run,
				.discard = disconnect_all_discard,
				.bytes = sizeof(*posts[i]) },
			.space = space,
			.way = way,
		};
	}
	for (uint32_t i = 0; i < count; i++) {
		if (sio_is_now(here, i)) {
			send_all_away(space, here, way);
			free(posts[i]);
		} else {
			sio_hand_over_reserved(server, i, &posts[i]->message);
		}
	}
	return 0;
}

int sio_disconnect_all(struct sio_space *space, bool close)
{
	return send_away_everywhere(space, close ? AWAY_ALL : AWAY);
}

int sio_connection_close_all(struct sio_space *space)
{
	return send_away_everywhere(space, CUT);
}

struct sio_id sio_id(const struct sio_socket *s)
{
	return (struct sio_id){
		.loop = net_loop_index(s->client->at->loop), .slot = s->slot, .generation = s->generation
	};
}

struct sio_space *sio_space_of(const struct sio_socket *s)
{
	return s->space;
}

void sio_address(const struct sio_socket *s, char *out)
{
	_Static_assert((int)SIO_ADDRESS_BYTES >= (int)NET_ADDRESS_BYTES, "a peer's text fits");
	net_peer_text(&s->client->peer, out);
}

void *sio_connection_data(const struct sio_socket *s)
{
	return s->client->data;
}

void *sio_data(const struct sio_socket *s)
{
	return s->data;
}

void sio_set_data(struct sio_socket *s, void *data, void (*destroy)(void *))
{
	void *old = s->data;
	void (*destroy_old)(void *) = s->destroy_data;

	s->data = data;
	s->destroy_data = destroy;
	if (destroy_old != NULL && old != data)
		destroy_old(old);
}
