/*
 * socketio/client.c -- one Engine.IO session: its messages are packets, which go to its sockets.
 *
 *      text --> packet --> CONNECT     a socket more
 *                      --> EVENT, ACK  the socket of that namespace
 *                      --> binary ...  wait for the attachments, then the same
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "socketio/server_int.h"

enum { JUST_LEFT_MAX = 64 }; /* sockets that are looked at for one who has just left */

static const char left_itself[] = "client namespace disconnect";
static const char not_joined[] = "a packet for a namespace that was not joined";

static void drop_pending(struct sio_client *c)
{
	struct sio_pending *p = c->pending;

	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->have; i++)
		free((void *)(uintptr_t)p->attachments[i].data);
	net_delay_stop(&p->delay);
	free(p);
	c->pending = NULL;
}

/* Its session has ended, or is to. Sockets go, in the order in which they came. */
static void end_client(struct sio_client *c, const char *reason)
{
	struct net_peer peer = eio_session_peer(c->session);

	c->session = NULL;
	net_delay_stop(&c->connecting);
	drop_pending(c);
	c->peer = peer;
	sio_joining_end(c);
	while (!list_empty(&c->sockets))
		sio_socket_close(list_entry(c->sockets.next, struct sio_socket, in_client), reason);
	list_init(&c->dead);
	list_push_back(&c->at->dead_clients, &c->dead);
	net_defer(c->at->loop, &c->at->bury);
}

void sio_client_free(struct sio_client *c)
{
	assert(c->session == NULL && list_empty(&c->sockets));
	if (c->destroy_data != NULL && c->data != NULL)
		c->destroy_data(c->data);
	free(c->handshake);
	free(c);
}

void sio_client_close(struct sio_client *c, const char *reason)
{
	struct eio_session *session = c->session;

	if (session == NULL)
		return;
	end_client(c, reason); /* first, while it is known what has left the session's queue */
	eio_close(session);
}

void sio_client_address(const struct sio_client *c, char *out)
{
	struct net_peer peer = c->session != NULL ? eio_session_peer(c->session) : c->peer;

	net_peer_text(&peer, out);
}

/* What it sent is no packet, or has no business here. */
static void reject(struct sio_client *c, const char *reason, const char *why)
{
	char address[NET_ADDRESS_BYTES];

	sio_client_address(c, address);
	sio_count(&c->at->counts.packets_bad, 1);
	log_line(LOG_DEBUG, "%s: %s", address, why);
	sio_client_close(c, reason);
}

void sio_connecting_over(struct net_delay *d, void *loop)
{
	struct sio_loop *at = loop;

	sio_count(&at->counts.not_joined, 1);
	sio_client_close(list_entry(d, struct sio_client, connecting), "forced server close");
}

void sio_pending_over(struct net_delay *d, void *loop)
{
	struct sio_pending *p = list_entry(d, struct sio_pending, delay);
	struct sio_loop *at = loop;

	if (eio_session_waits(p->client->session)) /* it may have sent it */
		net_delay_start(&p->delay, &at->pendings, at->loop);
	else
		reject(p->client, "forced close", "an attachment that does not come");
}

void sio_client_send_text(struct sio_client *c, const struct str *parts, size_t count)
{
	size_t bytes = 0;
	uint8_t *text;

	if (c->session == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		bytes += parts[i].bytes;
	struct blob_share *unit = eio_unit_create(bytes, NULL, 0, &text, NULL);
	if (unit == NULL) {
		eio_fail(c->session); /* it must not miss one without a word */
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (parts[i].bytes > 0)
			memcpy(text, parts[i].s, parts[i].bytes);
		text += parts[i].bytes;
	}
	(void)eio_send(c->session, unit, 0);
	blob_unref(unit);
}

static bool is_in(const struct sio_socket *s, struct str space)
{
	return str_equal(space, str_of(s->space->name, s->space->name_bytes));
}

static struct sio_socket *socket_in(const struct sio_client *c, struct str space)
{
	for (struct list *n = c->sockets.next; n != &c->sockets; n = n->next) {
		struct sio_socket *s = list_entry(n, struct sio_socket, in_client);

		if (is_in(s, space))
			return s;
	}
	return NULL;
}

/* In this iteration: what had been sent by then is as of one who has gone, and no fault. */
static const struct sio_socket *just_left(const struct sio_client *c, struct str space)
{
	const struct list *dead = &c->at->dead_sockets;
	unsigned looked_at = 0;

	/* The list is of all clients, so no more than its end is looked at. */
	for (struct list *n = dead->prev; n != dead && looked_at < JUST_LEFT_MAX; n = n->prev, looked_at++) {
		const struct sio_socket *s = list_entry(n, struct sio_socket, in_client);

		if (s->client == c && s->reason != NULL && is_in(s, space))
			return s;
	}
	return NULL;
}

/*
 * But a DISCONNECT that has crossed ours: behind it there may be a CONNECT, and a client that is told of its end then would not know
 * that it has joined.
 */
static bool is_late(const struct sio_client *c, const struct sio_packet *p)
{
	const struct sio_socket *left = just_left(c, p->space);

	return left != NULL && (p->type != SIO_DISCONNECT || strcmp(left->reason, left_itself) == 0);
}

/* `4{"message":"..."}`, or `4/custom,{"message":"..."}`; the message needs no escapes. */
static void send_connect_error(struct sio_client *c, struct str space, struct str message)
{
	bool named = space.bytes > 1;
	struct str parts[] = {
		STR("4"),
		named ? space : STR(""),
		named ? STR(",{\"message\":\"") : STR("{\"message\":\""),
		message,
		STR("\"}"),
	};

	sio_count(&c->at->counts.refused, 1);
	sio_client_send_text(c, parts, sizeof(parts) / sizeof(parts[0]));
}

static void take_connect(struct sio_client *c, const struct sio_packet *p)
{
	struct str auth = p->json.bytes == 0 ? STR("{}") : p->json;

	if (p->space.bytes > SIO_SPACE_BYTES_MAX) {
		reject(c, "forced close", "an overlong namespace");
		return;
	}
	/* An official client that disconnects and connects again before it is let in says so by another CONNECT alone. */
	if (sio_joining_forget(c, p->space) && ++c->anew > SIO_CONNECTS_ANEW_MAX) {
		reject(c, "forced server close",
			"CONNECTs again and again"); /* what the first began may go on */
		return;
	}
	if (c->socket_count + sio_joining_count(c) >= SIO_SOCKETS_PER_CLIENT_MAX) {
		send_connect_error(c, p->space, STR("Too many namespaces"));
		return;
	}
	size_t waiting_bytes = sio_joining_auth_bytes(c);
	if (waiting_bytes > 0 && waiting_bytes + auth.bytes > SIO_AUTHS_BYTES_MAX) {
		send_connect_error(c, p->space, STR("Too much auth"));
		return;
	}
	struct sio_space *space = sio_space_find(c->at->server, p->space, auth);
	if (c->session == NULL)
		return; /* who was asked for the name has closed it */
	if (space == NULL)
		send_connect_error(c, p->space, STR("Invalid namespace"));
	else if (!sio_socket_connect(c, space, auth))
		sio_client_close(c, "forced server close"); /* no memory */
}

static void take_event(struct sio_socket *s, const struct sio_packet *p, const struct sio_args *args)
{
	struct sio_loop *at = s->client->at;
	const struct sio_hooks *hooks = s->space->hooks;
	struct map_node *n = map_find(&hooks->handlers, p->name);
	bool watched = hooks->any.fn != NULL || hooks->filter_count > 0;

	struct sio_hook hook = hooks->other;
	const struct sio_handler *h = n == NULL ? NULL : map_entry(n, struct sio_handler, node);
	if (h != NULL && h->fn != NULL)
		hook = (struct sio_hook){ .fn = h->fn, .ctx = h->ctx };
	sio_count(&sio_here(s->space, at)->counts.events_in, 1);
	if (hook.fn == NULL && !watched)
		return; /* nobody will answer it either */
	bool wanted = p->has_id && sio_ack_expect(s, p->id);
	struct sio_event e = {
		.socket = s,
		.name = { p->name.s, p->name.bytes },
		.args = *args,
		.ack = { .socket = sio_id(s), .space = s->space, .id = p->id, .wanted = wanted },
	};
	at->lent = *args;
	if ((!watched || sio_any_in(&e)) && hook.fn != NULL) {
		e.ctx = hook.ctx;
		hook.fn(&e);
	}
	at->lent = (struct sio_args){ 0 };
}

/* A whole packet, attachments and all. */
static void take_packet(struct sio_client *c, const struct sio_packet *p, const struct sio_bytes *attachments)
{
	struct sio_socket *s = socket_in(c, p->space);
	struct sio_args args = {
		.json = { p->json.s, p->json.bytes },
		.attachments = attachments,
		.attachment_count = p->attachments,
	};

	if (s != NULL && s->is_leaving && p->type != SIO_DISCONNECT)
		return; /* as of one that has gone already */
	if (s == NULL && p->type != SIO_CONNECT && is_late(c, p))
		return;
	if ((s == NULL) != (p->type == SIO_CONNECT) || p->type == SIO_CONNECT_ERROR) {
		reject(c, "forced server close", s == NULL ? not_joined : "a packet out of place");
		return;
	}
	switch (p->type) {
	case SIO_CONNECT:
		take_connect(c, p);
		break;
	case SIO_DISCONNECT:
		sio_socket_close(s, left_itself);
		break;
	case SIO_EVENT:
	case SIO_BINARY_EVENT:
		take_event(s, p, &args);
		break;
	case SIO_ACK:
	case SIO_BINARY_ACK:
		if (p->has_id)
			sio_ask_answered(s, p->id, &args);
		break;
	case SIO_CONNECT_ERROR:
		assert(false);
	}
}

static void take_text(struct sio_client *c, char *text, size_t bytes)
{
	struct sio_packet p;
	bool binary = bytes > 0 && (text[0] == '5' || text[0] == '6');

	if (c->pending != NULL) {
		reject(c, "forced close", "text while attachments are awaited");
		return;
	}
	if (binary) {
		/* Decoding changes the text, and it is decoded again when all has come: so, a copy. */
		struct sio_pending *pending = malloc(sizeof(*pending) + bytes);
		if (pending == NULL) {
			sio_client_close(c, "forced server close");
			return;
		}
		net_delay_init(&pending->delay);
		net_delay_start(&pending->delay, &c->at->pendings, c->at->loop);
		pending->client = c;
		pending->have = 0;
		pending->bytes = 0;
		pending->text_bytes = bytes;
		memcpy(pending->text, text, bytes);
		c->pending = pending;
	}
	const char *wrong = sio_packet_decode(text, bytes, &p);
	if (wrong != NULL) {
		reject(c, "forced close", wrong);
		return;
	}
	if (!binary)
		take_packet(c, &p, NULL);
	else if (socket_in(c, p.space) == NULL && !is_late(c, &p))
		reject(c, "forced server close", not_joined);
	else {
		c->pending->need = p.attachments;
		c->pending->late = socket_in(c, p.space) == NULL;
	}
}

static void take_binary(struct sio_client *c, uint8_t *data, size_t bytes)
{
	struct sio_pending *pending = c->pending;
	struct sio_packet p;

	if (pending == NULL) {
		reject(c, "forced close", "binary that was not announced");
		return;
	}
	if (pending->have + 1 < pending->need) {
		if (bytes > c->at->server->pending_bytes_max - pending->bytes) {
			reject(c, "forced close", "more attachments than may wait");
			return;
		}
		void *copy = malloc(bytes == 0 ? 1 : bytes);
		if (copy == NULL) {
			sio_client_close(c, "forced server close");
			return;
		}
		pending->bytes += bytes;
		memcpy(copy, data, bytes);
		pending->attachments[pending->have++] = (struct sio_bytes){ .data = copy, .bytes = bytes };
		net_delay_start(&pending->delay, &c->at->pendings, c->at->loop);
		return;
	}
	/* The last one need not be kept. The packet is ours alone from here: a handler may end the client. */
	c->pending = NULL;
	net_delay_stop(&pending->delay);
	pending->attachments[pending->have] = (struct sio_bytes){ .data = data, .bytes = bytes };
	const char *wrong = sio_packet_decode(pending->text, pending->text_bytes, &p);
	assert(wrong == NULL);
	if (!pending->late || socket_in(c, p.space) != NULL)
		take_packet(c, &p, pending->attachments);
	for (uint32_t i = 0; i < pending->have; i++)
		free((void *)(uintptr_t)pending->attachments[i].data);
	free(pending);
}

static void *on_opened(void *server_ctx, struct eio_session *session, const struct http_head *head,
	const struct net_conn *peer, const struct eio_admission *admission)
{
	struct sio_server *server = server_ctx;
	struct sio_loop *at = &server->loops[net_loop_index(eio_session_loop(session))];
	struct sio_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->session = session;
	c->at = at;
	if (!sio_handshake_keep(c, head, net_conn_encrypted(peer))) {
		free(c);
		return NULL;
	}
	list_init(&c->sockets);
	c->data = admission->data;
	c->destroy_data = admission->destroy;
	net_delay_init(&c->connecting);
	net_delay_start(&c->connecting, &at->connectings, at->loop);
	return c;
}

static void on_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct sio_client *c = ctx;

	sio_count(&c->at->counts.packets_in, 1);
	if (c->leaves)
		return;
	if (binary)
		take_binary(c, data, bytes);
	else
		take_text(c, (char *)data, bytes);
}

static void on_closed(void *ctx, enum eio_reason reason)
{
	end_client(ctx, eio_reason_text(reason));
}

static void on_lagging(void *ctx, bool lagging)
{
	struct sio_client *c = ctx;
	struct sio_socket *sockets[SIO_SOCKETS_PER_CLIENT_MAX];
	size_t count = 0;

	c->is_lagging = lagging; /* who joins from now on is told then */
	/* A handler may disconnect any of them; their memory stays until the iteration ends. */
	for (struct list *n = c->sockets.next; n != &c->sockets && count < SIO_SOCKETS_PER_CLIENT_MAX;
		n = n->next)
		sockets[count++] = list_entry(n, struct sio_socket, in_client);
	for (size_t i = 0; i < count; i++) {
		if (sio_is_heard(sockets[i]))
			sio_call_own(sockets[i], lagging ? SIO_ON_LAGGING : SIO_ON_DRAINED, STR(""), STR(""));
	}
}

/* Answers to its events; or the time is not over that it has to answer a question. */
static bool is_owed(void *ctx)
{
	const struct sio_client *c = ctx;

	for (struct list *n = c->sockets.next; n != &c->sockets; n = n->next) {
		const struct sio_socket *s = list_entry(n, struct sio_socket, in_client);

		if (s->ack_count > 0 || (s->asks != NULL && s->asks->hurried > 0))
			return true;
	}
	return false;
}

const struct eio_events sio_client_events = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
	.lagging = on_lagging,
	.owed = is_owed,
};
