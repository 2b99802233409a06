/* socketio/socket.c -- one client in one namespace: joining, leaving, and what may be asked of it. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "socketio/recovery_int.h"

void sio_call_own(struct sio_socket *s, enum sio_own which, struct str auth, struct str reason)
{
	sio_handler_fn *fn = s->space->hooks->own[which].fn;

	if (fn == NULL)
		return;
	struct sio_event e = {
		.socket = s,
		.name = { sio_own_names[which], strlen(sio_own_names[which]) },
		.args = sio_json("[]"),
		.ack = { .socket = sio_id(s), .space = s->space },
		.auth = { auth.s, auth.bytes },
		.reason = { reason.s, reason.bytes },
		.ctx = s->space->hooks->own[which].ctx,
	};
	fn(&e);
}

void sio_sid(const struct sio_socket *s, char *out)
{
	uint8_t bytes[SIO_SOCKET_ID_BYTES];

	if (s->recoverable != NULL) {
		memcpy(out, sio_recoverable_sid(s->recoverable), SIO_SID_BYTES);
		return;
	}
	memcpy(bytes, s->random, sizeof(s->random));
	bytes[11] = (uint8_t)net_loop_index(s->client->at->loop);
	bytes[12] = (uint8_t)(s->slot >> 16);
	bytes[13] = (uint8_t)(s->slot >> 8);
	bytes[14] = (uint8_t)s->slot;
	out[base64url_encode(out, bytes, sizeof(bytes))] = '\0';
}

void sio_socket_free(struct sio_socket *s)
{
	assert(s->membership_count == 0 && (s->asks == NULL || s->asks->count == 0));
	sio_set_data(s, NULL, NULL);
	free(s->label);
	free(s->memberships);
	free(s->acks);
	free(s->asks);
	free(s);
}

void sio_socket_close(struct sio_socket *s, const char *reason)
{
	struct sio_loop *at = s->client->at;

	if (s->session == NULL)
		return;
	if (s->recoverable != NULL)
		sio_recoverable_closed(s, reason);
	s->session = NULL;
	s->reason = reason;
	list_remove(&s->in_client);
	s->client->socket_count--;
	sio_expiry_end(s);
	slots_take(&at->sockets, s->slot);
	sio_count(&at->counts.disconnected, 1);
	sio_count(&sio_here(s->space, at)->counts.disconnected, 1);
	list_push_back(&at->dead_sockets, &s->in_client);
	net_defer(at->loop, &at->bury);
}

/* Handlers are called here, and may disconnect others: those come behind. Until then it is in its rooms, where nobody meets it. */
static void bury_socket(struct sio_socket *s)
{
	if (s->reason == NULL) { /* it had not joined: nobody has heard of it */
		sio_socket_free(s);
		return;
	}
	sio_asks_end(s);
	sio_call_own(s, SIO_ON_DISCONNECTING, STR(""), str_c(s->reason));
	if (s->recoverable != NULL)
		sio_recoverable_leaves(s);
	sio_rooms_leave_all(s);
	sio_call_own(s, SIO_ON_DISCONNECT, STR(""), str_c(s->reason));
	if (s->recoverable != NULL)
		sio_recoverable_gone(s);
	sio_socket_free(s);
}

void sio_bury(struct net_task *task)
{
	struct sio_loop *at = list_entry(task, struct sio_loop, bury);

	/* A client goes when none of its sockets is left. What is destroyed with it may send others away too. */
	for (;;) {
		while (!list_empty(&at->dead_sockets))
			bury_socket(
				list_entry(list_take_first(&at->dead_sockets), struct sio_socket, in_client));
		sio_away_bury(at);
		if (!list_empty(&at->dead_sockets))
			continue;
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

void sio_send_away_saying(struct sio_socket *s, const char *reason)
{
	s->goes_for_good = true;
	if (s->takes_client)
		return; /* all of its client goes soon, and is looked for by this socket */
	send_disconnect(s);
	sio_socket_close(s, reason);
}

void sio_send_away(struct sio_socket *s, enum sio_way way)
{
	struct sio_client *c = s->client;
	static const char reason[] = "server namespace disconnect";

	if (s->session == NULL)
		return;
	if (way == SIO_AWAY) {
		sio_send_away_saying(s, reason);
		return;
	}
	while (way == SIO_AWAY_ALL && !list_empty(&c->sockets)) {
		struct sio_socket *each = list_entry(c->sockets.next, struct sio_socket, in_client);

		send_disconnect(each);
		sio_socket_close(each, reason);
	}
	sio_client_close(c, "forced close"); /* as by Node's conn.close() */
}

struct posted {
	struct net_message message;
	struct sio_space *space;
	struct sio_id id;
	enum sio_way way;
};

/* On its loop. False: it is neither there nor kept for a client that is away. */
static bool send_away_here(struct sio_loop *here, struct sio_space *space, struct sio_id id, enum sio_way way)
{
	struct sio_socket *s = sio_socket_find(here, id);
	bool was_away = sio_away_holds(space, way) && sio_away_send_id(here, space, id);

	if (s != NULL)
		sio_send_away(s, way);
	return s != NULL || was_away;
}

static void disconnect_run(struct net_loop *loop, struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);

	(void)send_away_here(&p->space->server->loops[net_loop_index(loop)], p->space, p->id, p->way);
	free(p);
}

static void disconnect_discard(struct net_message *message)
{
	free(list_entry(message, struct posted, message));
}

static int send_away_id(struct sio_space *space, struct sio_id id, enum sio_way way)
{
	if (space == NULL)
		return -EINVAL;
	struct sio_server *server = space->server;
	struct sio_loop *here = sio_loop_here(server);

	if (id.generation == 0 || id.loop >= server->loop_count)
		return -ENOENT;
	if (sio_is_now(here, id.loop)) {
		if (sio_away_holds(space, way))
			sio_away_asked(space, id.loop);
		return send_away_here(here, space, id, way) ? 0 : -ENOENT;
	}
	struct posted *p = malloc(sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct posted){
		.message = { .run = disconnect_run, .discard = disconnect_discard, .bytes = sizeof(*p) },
		.space = space,
		.id = id,
		.way = way,
	};
	if (sio_away_holds(space, way))
		sio_away_asked(space, id.loop);
	sio_hand_over_reserved(server, id.loop, &p->message);
	return 0;
}

/* Behind what its handler has emitted before, which may be put off; what it says from now on is not heard. */
static void send_away_in_order(struct sio_socket *s, enum sio_way way)
{
	bool now = s->client->at->later.first == NULL;

	/* Who has not joined, has gone, or leaves its namespace already does so alone; but a ban counts while all of them go. */
	if (s->session == NULL || (s->is_leaving && !s->client->leaves))
		return;
	s->goes_for_good |= way != SIO_CUT;
	s->client->goes_for_good |= way == SIO_AWAY_ALL;
	if (s->is_leaving)
		return;
	if (now || send_away_id(s->space, sio_id(s), way) < 0) {
		sio_send_away(s, way);
		return;
	}
	s->is_leaving = true;
	if (way != SIO_AWAY && !s->client->leaves)
		s->client->leaves = s->takes_client = true;
}

void sio_disconnect(struct sio_socket *s, bool close)
{
	send_away_in_order(s, close ? SIO_AWAY_ALL : SIO_AWAY);
}

void sio_connection_close(struct sio_socket *s)
{
	send_away_in_order(s, SIO_CUT);
}

int sio_disconnect_id(struct sio_space *space, struct sio_id id, bool close)
{
	return send_away_id(space, id, close ? SIO_AWAY_ALL : SIO_AWAY);
}

int sio_connection_close_id(struct sio_space *space, struct sio_id id)
{
	return send_away_id(space, id, SIO_CUT);
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
	sio_client_address(s->client, out);
}

void *sio_connection_data(const struct sio_socket *s)
{
	return s->client->data;
}

void *sio_data(const struct sio_socket *s)
{
	return s->data;
}

struct sio_str sio_label(const struct sio_socket *s)
{
	return (struct sio_str){ .s = s->label == NULL ? "" : s->label,
		.bytes = s->label == NULL ? 0 : strlen(s->label) };
}

int sio_set_label(struct sio_socket *s, struct sio_str label)
{
	char *kept = NULL;

	if (label.bytes >= SIO_LABEL_BYTES)
		return -EINVAL;
	if (label.bytes > 0) {
		if (memchr(label.s, '\0', label.bytes) != NULL ||
			!utf8_valid((const uint8_t *)label.s, label.bytes))
			return -EINVAL;
		kept = malloc(label.bytes + 1);
		if (kept == NULL)
			return -ENOMEM;
		memcpy(kept, label.s, label.bytes);
		kept[label.bytes] = '\0';
	}
	free(s->label);
	s->label = kept;
	return 0;
}

void sio_set_data(struct sio_socket *s, void *data, void (*destroy)(void *))
{
	void *old = s->data;
	void (*destroy_old)(void *) = s->destroy_data;

	s->data = data;
	s->destroy_data = destroy;
	if (destroy_old != NULL && old != NULL && old != data)
		destroy_old(old);
}
