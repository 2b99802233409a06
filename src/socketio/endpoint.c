/*
 * socketio/endpoint.c -- peers that exchange messages, over an engine of their own: see sio/endpoint.h.
 *
 *      session of engineio/ <--> sio_peer          from its handshake until "closed" has been called
 *
 * A peer that closes is told at the end of the iteration's callbacks, as sockets are: what has closed it may go on using it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/utf8.h"
#include "socketio/endpoint_int.h"

/* Peers whose end has not been told. Callbacks may close others: those come behind. */
static void bury(struct net_task *task)
{
	struct endpoint_loop *at = list_entry(task, struct endpoint_loop, bury);
	const struct sio_endpoint *e = at->endpoint;

	while (!list_empty(&at->dead)) {
		struct sio_peer *p = list_entry(list_take_first(&at->dead), struct sio_peer, dead);

		if (e->events.closed != NULL)
			e->events.closed(p, &p->end, e->ctx);
		sio_peer_set_data(p, NULL, NULL);
		free(p);
	}
}

/* Its session ends. */
static void end(struct sio_peer *p, const char *reason)
{
	struct endpoint_loop *at = p->at;

	p->end = (struct sio_end){
		.reason = reason,
		.code = eio_session_on_websocket(p->session) ? eio_close_code(p->session) : 0,
	};
	p->session = NULL;
	slots_take(&at->peers, p->slot);
	atomic_fetch_sub_explicit(&at->endpoint->count, 1, memory_order_relaxed);
	list_push_back(&at->dead, &p->dead);
	net_defer(at->loop->loop, &at->bury);
}

static void *on_opened(void *endpoint, struct eio_session *session, const struct http_head *head,
	const struct net_conn *peer, const struct eio_admission *admission)
{
	struct sio_endpoint *e = endpoint;
	struct endpoint_loop *at = &e->loops[net_loop_index(eio_session_loop(session))];
	struct sio_peer *p = calloc(1, sizeof(*p));

	if (p == NULL || !slots_put(&at->peers, p, &p->slot, &p->generation)) {
		free(p);
		return NULL;
	}
	p->session = session;
	p->at = at;
	p->address = net_conn_peer(peer);
	p->protocol = e->plain ? eio_plain_protocol(&e->protocol, head) : NULL;
	p->data = admission->data;
	p->destroy_data = admission->destroy;
	atomic_fetch_add_explicit(&e->count, 1, memory_order_relaxed);
	if (e->events.opened != NULL)
		e->events.opened(p, e->ctx);
	return p;
}

static void on_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct sio_peer *p = ctx;
	const struct sio_endpoint *e = p->at->endpoint;

	if (e->events.message != NULL && !p->is_leaving)
		e->events.message(p, binary, (struct sio_bytes){ data, bytes }, e->ctx);
}

static void on_closed(void *ctx, enum eio_reason reason)
{
	end(ctx, eio_reason_text(reason));
}

static void on_lagging(void *ctx, bool lagging)
{
	struct sio_peer *p = ctx;
	const struct sio_endpoint *e = p->at->endpoint;

	if (e->events.lagging != NULL)
		e->events.lagging(p, lagging, e->ctx);
}

static bool is_owed(void *ctx)
{
	(void)ctx;
	return false;
}

static const struct eio_events events = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
	.lagging = on_lagging,
	.owed = is_owed,
};

static bool on_allow(void *endpoint, void *peer, const struct http_request *request,
	const struct net_conn *conn, struct eio_admission *ret)
{
	const struct sio_endpoint *e = endpoint;
	const struct sio_peer *p = peer;
	struct sio_request r = sio_request_of(request, conn);
	struct sio_admission said = { .data = p == NULL ? NULL : p->data };
	bool allowed = e->allow(e->ctx, &r, &said);

	*ret = (struct eio_admission){ .message = said.message, .data = said.data, .destroy = said.destroy };
	return allowed;
}

static void on_initial_headers(void *endpoint, const struct http_request *request,
	const struct net_conn *conn, struct eio_headers *h)
{
	const struct sio_endpoint *e = endpoint;
	struct sio_request r = sio_request_of(request, conn);

	e->initial_headers(e->ctx, &r, (struct sio_headers *)h);
}

/* What stands in the way of one. NULL: nothing. */
static const char *wrong_with(
	const struct sio_server *server, const char *path, const struct eio_options *options)
{
	if (path[0] != '/' || strlen(path) > SIO_PATH_BYTES_MAX || strpbrk(path, "?#") != NULL)
		return "that is no path of up to 255 bytes";
	if (atomic_load(&server->running))
		return "the server runs already";
	if (server->endpoint_count == SIO_ENDPOINTS_MAX)
		return "there are as many endpoints as there may be";
	return sio_engine_wrong(options);
}

struct sio_endpoint *sio_endpoint_create(struct sio_server *server, const char *path,
	struct eio_options *options, const struct sio_endpoint_events *said, void *ctx)
{
	options->queued_bytes_max = server->queued_bytes_max;
	sio_engine_defaults(options);
	const char *wrong = wrong_with(server, path, options);
	struct sio_endpoint *e = wrong == NULL ? calloc(1, sizeof(*e)) : NULL;

	if (e == NULL) {
		log_line(LOG_ERROR, "%.300s: %s", path, wrong == NULL ? "no memory" : wrong);
		return NULL;
	}
	e->server = server;
	e->events = *said;
	e->ctx = ctx;
	memcpy(e->path, path, strlen(path) + 1);
	e->loops = calloc(server->loop_count, sizeof(*e->loops));
	if (e->loops == NULL)
		return sio_endpoint_fail(e, "no memory");
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct endpoint_loop *at = &e->loops[i];

		at->endpoint = e;
		at->loop = &server->loops[i];
		list_init(&at->dead);
		net_task_init(&at->bury, bury);
	}
	return e;
}

struct sio_endpoint *sio_endpoint_fail(struct sio_endpoint *e, const char *why)
{
	log_line(LOG_ERROR, "%s: %s", e->path, why);
	sio_endpoint_destroy(e);
	return NULL;
}

struct sio_endpoint *sio_endpoint_start(struct sio_endpoint *e, const struct eio_options *options)
{
	struct eio_options o = *options;

	o.path = e->path;
	o.plain = e->plain ? &e->protocol : NULL;
	o.drain_ms = e->server->drain_ms;
	o.allow = e->allow == NULL ? NULL : on_allow;
	o.initial_headers = e->initial_headers == NULL ? NULL : on_initial_headers;
	int rc = eio_server_create(e->server->http, e->server->pool, &o, &events, e, &e->eio);
	if (rc < 0)
		return sio_endpoint_fail(e, rc == -EEXIST   ? "it is served already"
					    : rc == -ENOSPC ? "as many paths are served as may be"
							    : "no memory");
	e->server->endpoints[e->server->endpoint_count++] = e;
	return e;
}

void sio_endpoint_destroy(struct sio_endpoint *e)
{
	if (e == NULL)
		return;
	free(e->engine);
	free(e->kept);
	free(e->loops);
	free(e);
}

void sio_endpoints_close(struct sio_server *server)
{
	for (uint32_t i = 0; i < server->endpoint_count; i++) {
		eio_server_destroy(server->endpoints[i]->eio);
		server->endpoints[i]->eio = NULL;
		for (uint32_t loop = 0; loop < server->loop_count; loop++)
			slots_finish(&server->endpoints[i]->loops[loop].peers);
	}
}

void sio_endpoints_finish(struct sio_server *server)
{
	for (uint32_t i = 0; i < server->endpoint_count; i++)
		sio_endpoint_destroy(server->endpoints[i]);
}

static void on_drained(struct net_loop *loop, void *endpoint)
{
	const struct sio_endpoint *e = endpoint;

	sio_engine_drained(e->server, loop);
}

void sio_endpoints_stopping(struct sio_server *server, struct net_loop *loop)
{
	for (uint32_t i = 0; i < server->endpoint_count; i++)
		eio_server_stopping(server->endpoints[i]->eio, loop, on_drained);
}

void sio_endpoints_overrun(struct sio_server *server, struct net_loop *loop)
{
	for (uint32_t i = 0; i < server->endpoint_count; i++)
		eio_server_overrun(server->endpoints[i]->eio, loop);
}

void sio_endpoints_count(const struct sio_server *server, struct eio_counters *ret)
{
	for (uint32_t i = 0; i < server->endpoint_count; i++) {
		if (server->endpoints[i]->eio != NULL)
			eio_server_counters(server->endpoints[i]->eio, ret);
	}
}

/* 0; -EINVAL, -EMSGSIZE or -ENOMEM. */
static int encode(
	const struct sio_endpoint *e, bool binary, struct sio_bytes message, struct blob_share **ret_unit)
{
	uint8_t *payload;

	if (message.bytes > SIO_PEER_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	if (!binary && !utf8_valid(message.data, message.bytes))
		return -EINVAL;
	struct blob_share *unit = e->plain || binary
					  ? eio_unit_create_frame(binary, message.bytes, &payload)
					  : eio_unit_create(message.bytes, NULL, 0, &payload, NULL);
	if (unit == NULL)
		return -ENOMEM;
	if (message.bytes > 0)
		memcpy(payload, message.data, message.bytes);
	*ret_unit = unit;
	return 0;
}

/* What goes to another loop, or is put off on this one. */
struct posted {
	struct net_message message;
	struct sio_endpoint *endpoint;
	struct sio_id id; /* generation 0: all */
	struct blob *unit; /* NULL: to be closed */
	unsigned flags; /* as eio_send()'s */
	uint16_t code;
};

static int hand_over(const struct posted *what, uint32_t loop, struct blob_share *unit);

/* Behind what this loop has put off for its peers before. */
static bool is_put_off(const struct sio_peer *p)
{
	return p->at->loop->later.first != NULL;
}

static int send_flagged(struct sio_peer *p, bool binary, struct sio_bytes message, unsigned flags)
{
	struct blob_share *unit;

	if (p->session == NULL || p->is_leaving)
		return -EPIPE;
	int rc = encode(p->at->endpoint, binary, message, &unit);
	if (rc < 0)
		return rc;
	if (is_put_off(p)) {
		struct posted what = { .endpoint = p->at->endpoint, .id = sio_peer_id(p), .flags = flags };

		rc = hand_over(&what, what.id.loop, unit);
		blob_unref(unit);
		return rc;
	}
	enum eio_send sent = eio_send(p->session, unit, flags);
	blob_unref(unit);
	return sent == EIO_SEND_QUEUED ? 0 : sent == EIO_SEND_SKIPPED ? -EAGAIN : -EPIPE;
}

int sio_peer_send(struct sio_peer *p, bool binary, struct sio_bytes message)
{
	return send_flagged(p, binary, message, 0);
}

int sio_peer_send_volatile(struct sio_peer *p, bool binary, struct sio_bytes message)
{
	return send_flagged(p, binary, message, EIO_VOLATILE);
}

static bool code_valid(uint16_t code)
{
	return code == 0 || eio_close_code_valid(code);
}

static void close_peer(struct sio_peer *p, uint16_t code)
{
	if (p->session == NULL)
		return;
	if (code == 0)
		eio_close(p->session);
	else
		eio_close_saying(p->session, code);
	end(p, eio_reason_text(EIO_FORCED_CLOSE));
}

int sio_peer_close(struct sio_peer *p, uint16_t code)
{
	if (!code_valid(code))
		return -EINVAL;
	if (p->session == NULL || p->is_leaving)
		return 0;
	struct posted end = { .endpoint = p->at->endpoint, .id = sio_peer_id(p), .code = code };
	if (is_put_off(p) && hand_over(&end, end.id.loop, NULL) == 0)
		p->is_leaving = true; /* and is not heard any more */
	else
		close_peer(p, code);
	return 0;
}

static struct sio_peer *find(const struct sio_endpoint *e, struct sio_id id)
{
	return slots_get(&e->loops[id.loop].peers, id.slot, id.generation);
}

/* On its loop. */
static void deliver(
	struct sio_endpoint *e, uint32_t loop, struct sio_id id, struct blob_share *unit, unsigned flags)
{
	const struct slots *peers = &e->loops[loop].peers;

	if (id.generation != 0) {
		struct sio_peer *p = find(e, id);
		if (p != NULL)
			(void)eio_send(p->session, unit, flags);
		return;
	}
	for (uint32_t slot = 0; slot < peers->used; slot++) {
		struct sio_peer *p = slots_at(peers, slot);
		if (p != NULL)
			(void)eio_send(p->session, unit, flags | EIO_SHARED);
	}
}

static void posted_run(struct net_loop *loop, struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);
	uint32_t index = net_loop_index(loop);

	if (p->unit == NULL) {
		struct sio_peer *peer = find(p->endpoint, p->id);
		if (peer != NULL)
			close_peer(peer, p->code);
	} else {
		struct blob_share *unit = blob_import(p->unit);

		if (unit == NULL) { /* it would be missed without a word */
			eio_server_overrun(p->endpoint->eio, loop);
		} else {
			deliver(p->endpoint, index, p->id, unit, p->flags);
			blob_unref(unit);
		}
	}
	free(p);
}

static void posted_discard(struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);

	if (p->unit != NULL)
		blob_drop(p->unit);
	free(p);
}

/* unit NULL: to close it, which is always taken. 0, -ENOMEM or -ENOBUFS. */
static int hand_over(const struct posted *what, uint32_t loop, struct blob_share *unit)
{
	struct sio_server *server = what->endpoint->server;
	struct posted *p = malloc(sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	*p = *what;
	p->message = (struct net_message){
		.run = posted_run,
		.discard = posted_discard,
		.bytes = sizeof(*p) + (unit == NULL ? 0 : unit->bytes),
	};
	p->unit = unit == NULL ? NULL : blob_export(unit);
	if (unit == NULL) {
		sio_hand_over_reserved(server, loop, &p->message);
		return 0;
	}
	if (sio_hand_over(server, loop, &p->message))
		return 0;
	posted_discard(&p->message);
	return -ENOBUFS;
}

int sio_endpoint_send(struct sio_endpoint *e, struct sio_id id, bool binary, struct sio_bytes message)
{
	struct sio_loop *here = sio_loop_here(e->server);
	struct blob_share *unit;

	if (id.generation == 0 || id.loop >= e->server->loop_count)
		return -ENOENT;
	bool now = sio_is_now(here, id.loop);
	struct sio_peer *p = now ? find(e, id) : NULL;
	if (now)
		return p == NULL ? -ENOENT : sio_peer_send(p, binary, message);
	int rc = encode(e, binary, message, &unit);
	if (rc < 0)
		return rc;
	rc = hand_over(&(struct posted){ .endpoint = e, .id = id }, id.loop, unit);
	blob_unref(unit);
	return rc;
}

int sio_endpoint_send_all(struct sio_endpoint *e, bool binary, struct sio_bytes message)
{
	struct sio_server *server = e->server;
	struct sio_loop *here = sio_loop_here(server);
	struct blob_share *unit;

	int rc = encode(e, binary, message, &unit);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < server->loop_count; i++) {
		if (sio_is_now(here, i)) {
			deliver(e, i, (struct sio_id){ 0 }, unit, 0);
		} else if (hand_over(&(struct posted){ .endpoint = e, .id.loop = i }, i, unit) < 0) {
			atomic_fetch_add_explicit(&server->broadcasts_refused, 1, memory_order_relaxed);
			net_overrun(net_pool_loop(server->pool, i));
			rc = -ENOBUFS;
		}
	}
	blob_unref(unit);
	return rc;
}

int sio_endpoint_close(struct sio_endpoint *e, struct sio_id id, uint16_t code)
{
	if (!code_valid(code))
		return -EINVAL;
	if (id.generation == 0 || id.loop >= e->server->loop_count)
		return -ENOENT;
	if (!sio_is_now(sio_loop_here(e->server), id.loop))
		return hand_over(&(struct posted){ .endpoint = e, .id = id, .code = code }, id.loop, NULL);
	struct sio_peer *p = find(e, id);
	if (p == NULL)
		return -ENOENT;
	close_peer(p, code);
	return 0;
}

uint32_t sio_endpoint_count(const struct sio_endpoint *e)
{
	return atomic_load_explicit(&e->count, memory_order_relaxed);
}

struct sio_id sio_peer_id(const struct sio_peer *p)
{
	return (struct sio_id){
		.loop = net_loop_index(p->at->loop->loop), .slot = p->slot, .generation = p->generation
	};
}

struct sio_endpoint *sio_peer_endpoint(const struct sio_peer *p)
{
	return p->at->endpoint;
}

void sio_peer_address(const struct sio_peer *p, char *out)
{
	net_peer_text(&p->address, out);
}

void *sio_peer_data(const struct sio_peer *p)
{
	return p->data;
}

void sio_peer_set_data(struct sio_peer *p, void *data, void (*destroy)(void *))
{
	void *old = p->data;
	void (*destroy_old)(void *) = p->destroy_data;

	p->data = data;
	p->destroy_data = destroy;
	if (destroy_old != NULL && old != NULL && old != data)
		destroy_old(old);
}
