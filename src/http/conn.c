/* http/conn.c -- one connection's requests, from bytes to `serve`: see http/server.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/server_int.h"
#include "http/url.h"

static void process(struct http_exchange *x, uint8_t *data, size_t bytes);
static void tell_fate(struct http_exchange *x, enum http_fate);
static void tell_gone(struct http_exchange *x);

static struct http_exchange *of_task(struct net_task *task)
{
	return list_entry(task, struct http_exchange, task);
}

/* The next request, or more of this one, is in `in` already. */
static void go_on(struct net_task *task)
{
	struct http_exchange *x = of_task(task);

	if (x->state == HTTP_CONN_IDLE)
		tell_fate(x, HTTP_FATE_ARRIVED); /* who asks on has taken the answer before */
	if (x->in.bytes > 0 && x->state < HTTP_CONN_SERVING)
		process(x, NULL, 0);
	if (x->state < HTTP_CONN_SERVING)
		net_conn_resume(x->net); /* what there is makes no request: read on */
	if (x->peer_ended && (x->state == HTTP_CONN_HEAD || x->state == HTTP_CONN_BODY))
		http_conn_refuse(x, 400, "the request was cut short");
}

static void free_later(struct net_task *task)
{
	buf_finish(&of_task(task)->in);
	free(of_task(task));
}

static void drop_chunks(struct http_exchange *x)
{
	if (x->chunks == NULL)
		return;
	buf_finish(&x->chunks->body);
	free(x->chunks);
	x->chunks = NULL;
}

void http_conn_bury(struct http_exchange *x)
{
	assert(x->state != HTTP_CONN_GONE);
	assert(net_loop_current() == x->at->loop ||
		net_loop_current() == NULL); /* none: the pool is being destroyed */
	x->state = HTTP_CONN_GONE;
	x->watch = NULL;
	net_delay_stop(&x->deadline);
	list_remove(&x->all);
	http_out_clear(x);
	drop_chunks(x);
	/* `in` may be what `serve` was lent: it goes with the memory. */
	net_task_cancel(&x->task);
	x->task.run = free_later;
	net_defer(x->at->loop, &x->task);
}

/* The answer's fate is known. The watcher may do anything but touch this exchange. */
static void tell_fate(struct http_exchange *x, enum http_fate fate)
{
	const struct http_watch_ops *watch = x->watch;

	x->watch = NULL;
	if (watch != NULL)
		watch->fate(x->watch_ctx, fate);
}

/* The peer has ended its side: in order, if it has taken all. What is not known yet is told when it has closed. */
static void tell_ended(struct http_exchange *x)
{
	enum net_fate fate = net_conn_fate(x->net);

	if (fate != NET_FATE_ENDING)
		tell_fate(x, fate == NET_FATE_ENDED ? HTTP_FATE_ARRIVED : HTTP_FATE_RESET);
}

static void tell_gone(struct http_exchange *x)
{
	const struct http_watch_ops *watch = x->watch;

	x->watch = NULL;
	if (watch != NULL)
		watch->gone(x->watch_ctx);
}

void http_conn_refuse(struct http_exchange *x, uint16_t status, const char *reason)
{
	if (status != 408)
		http_count(&x->at->refused);
	net_delay_stop(&x->deadline);
	tell_gone(x);
	drop_chunks(x);
	buf_finish(&x->in);
	x->keep_alive = false;
	x->head_only = x->head_only && status != 408;
	x->state = HTTP_CONN_SERVING;
	http_answer_text(x, status, false, str_c(reason));
}

/* More is needed before anything can be done: keep what there is, and its deadline. */
static void await(struct http_exchange *x, enum http_conn_state state)
{
	struct net_delays *which = state == HTTP_CONN_HEAD ? &x->at->heads : &x->at->bodies;

	if (x->state == state)
		return;
	x->state = (uint8_t)state;
	x->turn_bytes = 0;
	net_delay_start(&x->deadline, which, x->at->loop);
}

static void serve(struct http_exchange *x, const struct http_route *route, uint8_t *body, size_t body_bytes)
{
	const struct http_head *head = &x->at->head;
	struct http_request request = { .head = head, .body = body, .body_bytes = body_bytes };

	net_delay_stop(&x->deadline);
	x->state = HTTP_CONN_SERVING;
	x->asked_once = true;
	x->continued = false;
	x->minor = head->minor;
	x->keep_alive = head->keep_alive;
	x->head_only = head->method == HTTP_HEAD;
	memset(&x->scan, 0, sizeof(x->scan));
	x->need_bytes = 0;
	http_count(&x->at->requests);
	enum http_path verdict =
		http_path_decode(head->path, x->at->path, sizeof(x->at->path), &request.path);
	assert(verdict == HTTP_PATH_OK); /* the route was found by it */
	route->serve(route->ctx, x, &request);
}

/* A chunked body begins behind the head in `in`. False: no memory, and it is refused. */
static bool begin_chunks(struct http_exchange *x, size_t head_bytes, uint32_t body_bytes_max)
{
	x->chunks = calloc(1, sizeof(*x->chunks));
	if (x->chunks == NULL) {
		http_conn_refuse(x, 503, "no memory");
		return false;
	}
	buf_init(&x->chunks->body, body_bytes_max);
	x->head_bytes = head_bytes;
	return true;
}

/* Take what is there of it. 1: whole; 0: more is needed; -1: refused. */
static int take_chunks(struct http_exchange *x)
{
	size_t head_bytes = x->head_bytes, at = head_bytes;
	struct buf *body = &x->chunks->body;

	assert(x->in.data != NULL && x->in.bytes >= head_bytes);
	for (;;) {
		size_t used;
		struct str piece;
		enum http_chunk got = http_chunked_decode(
			&x->chunks->decoder, x->in.data + at, x->in.bytes - at, &used, &piece);

		at += used;
		if (got == HTTP_CHUNK_FAIL) {
			http_conn_refuse(x, 400, x->chunks->decoder.fail_reason);
			return -1;
		}
		bool over = x->chunks->decoder.left_bytes > body->bytes_max - body->bytes;
		if (got == HTTP_CHUNK_DATA)
			over = !buf_append_str(body, piece);
		if (over) {
			http_conn_refuse(x, 413, "");
			return -1;
		}
		if (got == HTTP_CHUNK_DATA)
			continue;
		/* Keep the head, and what has not been decoded. */
		memmove(x->in.data + head_bytes, x->in.data + at, x->in.bytes - at);
		x->in.bytes -= at - head_bytes;
		return got == HTTP_CHUNK_END;
	}
}

/* Its body is too long; but if the route does not want it anyway, that is what it is told. */
static void refuse_long(struct http_exchange *x, const struct http_route *route)
{
	x->at->head.keep_alive = false;
	if (route->begin(route->ctx, x, &x->at->head))
		http_conn_refuse(x, 413, "");
	else
		serve(x, route, NULL, 0);
}

/* Look at the request's route and length. NULL: it was refused (or served as one without its body), or moves. */
static const struct http_route *admit(struct http_exchange *x)
{
	struct http_head *head = &x->at->head;
	struct str path;
	enum http_path verdict = http_path_decode(head->path, x->at->path, sizeof(x->at->path), &path);

	x->minor = head->minor;
	x->head_only = head->method == HTTP_HEAD;
	if (verdict != HTTP_PATH_OK) {
		http_conn_refuse(x, 400, http_path_reason(verdict));
		return NULL;
	}
	const struct http_route *route = http_route_find(x->server, path);
	if (route == NULL) {
		if (head->body != HTTP_BODY_NONE) { /* nobody wants its body: do not wait for it */
			http_conn_refuse(x, 404, "not found");
			return NULL;
		}
		static const struct http_route nowhere = { .path = "/", .loop_of = http_route_any_loop };
		return &nowhere;
	}
	if (route->head != NULL)
		route->head(route->ctx, x, head);
	uint32_t loop_index = route->loop_of(route->ctx, head);
	if (loop_index == HTTP_ANY_LOOP || loop_index == net_loop_index(x->at->loop)) {
		bool is_long = head->body == HTTP_BODY_LENGTH && head->content_length > route->body_bytes_max;
		if (is_long)
			refuse_long(x, route);
		return is_long ? NULL : route;
	}
	/* A loop that stops is there until its connections end. */
	if (net_loop_stopping(x->at->loop) && http_loop_stopping(&x->server->loops[loop_index])) {
		http_conn_refuse(x, 503, "the server is stopping");
		return NULL;
	}
	x->state = HTTP_CONN_MOVING;
	net_delay_stop(&x->deadline);
	list_remove(&x->all);
	net_conn_move(x->net, loop_index);
	return NULL;
}

/* There is no such path. */
static void answer_nowhere(struct http_exchange *x)
{
	x->keep_alive = x->at->head.keep_alive;
	x->state = HTTP_CONN_SERVING;
	x->asked_once = true;
	net_delay_stop(&x->deadline);
	http_count(&x->at->requests);
	http_answer_text(x, 404, false, STR("not found"));
}

/* The head is there, and some of its body is not. Returns what of `bytes` it used: all, if the body is not wanted. */
static size_t await_body(
	struct http_exchange *x, const struct http_route *route, size_t whole_bytes, size_t bytes)
{
	struct http_head *head = &x->at->head;

	if (x->state != HTTP_CONN_BODY && !route->begin(route->ctx, x, head)) {
		head->keep_alive = false;
		serve(x, route, NULL, 0);
		return bytes;
	}
	x->head_bytes = head->head_bytes;
	x->need_bytes = head->body == HTTP_BODY_CHUNKED ? 0 : whole_bytes;
	if (head->expect_continue && !x->continued) {
		x->continued = true;
		http_out_continue(x);
	}
	await(x, HTTP_CONN_BODY);
	return 0;
}

/* Its body was chunked, and has all come. */
static void serve_chunked(struct http_exchange *x, const struct http_route *route)
{
	struct chunks *chunks = x->chunks;

	assert(chunks != NULL);
	x->chunks = NULL;
	serve(x, route, chunks->body.data, chunks->body.bytes);
	buf_finish(&chunks->body);
	free(chunks);
}

/* Serve the request at the front of data if it is whole. Returns what it used; 0 if it is not whole, or moves. */
static size_t serve_next(struct http_exchange *x, uint8_t *data, size_t bytes)
{
	struct http_head *head = &x->at->head;
	int taken = 0; /* of a chunked body: see take_chunks() */

	if (x->chunks != NULL) {
		/* Its head is looked at again when all of it is there, not with each piece. */
		taken = take_chunks(x);
		if (taken <= 0)
			return 0;
		bytes = x->in.bytes;
	}
	enum http_parse parsed = http_head_parse(&x->scan, data, bytes, head);

	if (parsed == HTTP_PARSE_MORE) {
		await(x, HTTP_CONN_HEAD);
		return 0;
	}
	if (parsed == HTTP_PARSE_FAIL) {
		x->minor = 1;
		x->head_only = false;
		http_conn_refuse(x, head->fail_status, head->fail_reason);
		return bytes;
	}
	memset(&x->scan, 0, sizeof(x->scan)); /* to be parsed again when all of it is there */
	const struct http_route *route = admit(x);
	if (route == NULL)
		return x->state == HTTP_CONN_MOVING ? 0 : bytes;
	if (route->serve == NULL) {
		answer_nowhere(x);
		return head->head_bytes;
	}
	if (head->body == HTTP_BODY_CHUNKED) {
		if (x->chunks == NULL && data == x->in.data) {
			if (!begin_chunks(x, head->head_bytes, route->body_bytes_max))
				return 0;
			taken = take_chunks(x);
		}
		if (taken < 0)
			return 0; /* `in` is empty now */
		if (taken == 0)
			return await_body(x, route, 0, bytes);
		serve_chunked(x, route);
		return head->head_bytes;
	}
	size_t whole = head->head_bytes + (head->body == HTTP_BODY_LENGTH ? (size_t)head->content_length : 0);
	if (whole > bytes)
		return await_body(x, route, whole, bytes);
	serve(x, route, data + head->head_bytes, whole - head->head_bytes);
	return whole;
}

/* Keep bytes for later. False: there is no memory, and the connection is gone. */
static bool keep(struct http_exchange *x, const uint8_t *data, size_t bytes)
{
	if (buf_append(&x->in, data, bytes)) {
		if (x->state >= HTTP_CONN_SERVING && x->in.bytes > HTTP_PIPELINE_BYTES_MAX)
			net_conn_pause(x->net);
		return true;
	}
	struct net_conn *net = x->net;
	if (x->state == HTTP_CONN_ANSWERING || x->state == HTTP_CONN_IDLE)
		tell_fate(x, HTTP_FATE_LOST);
	else
		tell_gone(x);
	http_conn_bury(x);
	net_conn_close(net);
	return false;
}

/* Go on with `in` and these further bytes behind it. At most one request is served; the rest is kept. */
static void process(struct http_exchange *x, uint8_t *data, size_t bytes)
{
	struct net_conn *net = x->net;
	bool kept = x->in.bytes > 0;

	if (x->state >= HTTP_CONN_FINISHING)
		return;
	if (x->state >= HTTP_CONN_SERVING) {
		(void)keep(x, data, bytes);
		return;
	}
	x->turn_bytes += bytes;
	if (kept && !keep(x, data, bytes))
		return;
	if (kept && x->in.bytes < x->need_bytes)
		return;
	uint8_t *from = kept ? x->in.data : data;
	size_t have = kept ? x->in.bytes : bytes;
	size_t used = serve_next(x, from, have);

	if (x->state == HTTP_CONN_GONE) { /* taken over (or cut): the rest is the new owner's */
		net_conn_lend(net, from + used, have - used);
		if (kept)
			buf_finish(&x->in);
		return;
	}
	if (kept) {
		size_t drop = used < x->in.bytes ? used : x->in.bytes;
		buf_drop_front(&x->in, drop);
		if (x->in.bytes == 0)
			buf_finish(&x->in);
		if (x->state >= HTTP_CONN_SERVING && x->in.bytes > HTTP_PIPELINE_BYTES_MAX)
			net_conn_pause(net);
	} else if (used < have && x->state != HTTP_CONN_FINISHING) {
		if (keep(x, from + used, have - used) && x->state == HTTP_CONN_BODY && x->need_bytes == 0)
			net_defer(x->at->loop, &x->task); /* chunks are decoded out of `in` */
	}
}

static void on_data(struct net_conn *net, void *ctx, uint8_t *data, size_t bytes)
{
	struct http_exchange *x = ctx;

	(void)net;
	/* It has taken the last answer, or it would not ask again. */
	if (x->state == HTTP_CONN_IDLE)
		tell_fate(x, HTTP_FATE_ARRIVED);
	if (x->state != HTTP_CONN_GONE)
		process(x, data, bytes);
}

static void on_ended(struct net_conn *net, void *ctx)
{
	struct http_exchange *x = ctx;

	x->peer_ended = true;
	if (x->state == HTTP_CONN_SERVING && x->watch != NULL && !x->watch->half_closed_stays) {
		/* Whoever waits long gives up by closing; one that waits for an answer at once is still answered. */
		tell_gone(x);
		http_conn_bury(x);
		net_conn_close(net);
	} else if (x->state < HTTP_CONN_SERVING && x->in.bytes == 0) {
		if (x->state == HTTP_CONN_IDLE)
			tell_ended(x);
		if (x->state == HTTP_CONN_GONE)
			return;
		x->state = HTTP_CONN_FINISHING;
		net_delay_stop(&x->deadline);
		net_conn_finish(net);
	} else if (x->state < HTTP_CONN_SERVING && list_empty(&x->task.node)) {
		http_conn_refuse(x, 400, "the request was cut short");
	}
}

static void on_gather(struct net_conn *net, void *ctx, struct net_gather *g)
{
	(void)net;
	http_out_gather(ctx, g);
}

static void on_sent(struct net_conn *net, void *ctx, size_t bytes)
{
	struct http_exchange *x = ctx;

	(void)net;
	if (http_out_sent(x, bytes) && x->state == HTTP_CONN_ANSWERING)
		http_conn_answered(x);
}

void http_conn_answered(struct http_exchange *x)
{
	struct net_conn *net = x->net;

	http_out_clear(x);
	if (!x->keep_alive || http_loop_stopping(x->at) || (x->peer_ended && x->in.bytes == 0)) {
		x->state = HTTP_CONN_FINISHING;
		buf_finish(&x->in);
		if (x->peer_ended)
			tell_ended(x);
		net_conn_finish(net);
		return;
	}
	x->state = HTTP_CONN_IDLE;
	net_delay_start(&x->deadline, &x->at->idles, x->at->loop);
	if (x->in.bytes > 0)
		net_defer(x->at->loop, &x->task);
	else
		net_conn_resume(net);
}

static void on_closed(struct net_conn *net, void *ctx, int error)
{
	struct http_exchange *x = ctx;
	const struct http_watch_ops *watch = x->watch;
	void *watch_ctx = x->watch_ctx;
	bool unanswered = x->state == HTTP_CONN_SERVING || x->state == HTTP_CONN_BODY;
	bool sent = http_exchange_sent(x);

	if (x->state == HTTP_CONN_MOVING) /* it failed where it went to, on that loop's thread */
		x->at = &x->server->loops[net_loop_index(net_conn_loop(net))];
	http_conn_bury(x);
	if (watch == NULL)
		return;
	if (unanswered)
		watch->gone(watch_ctx);
	else
		watch->fate(watch_ctx, error == 0 ? HTTP_FATE_ARRIVED
				       : sent     ? HTTP_FATE_RESET
						  : HTTP_FATE_LOST);
}

static void on_moved(struct net_conn *net, void *ctx)
{
	struct http_exchange *x = ctx;

	x->at = &x->server->loops[net_loop_index(net_conn_loop(net))];
	x->state = HTTP_CONN_IDLE;
	list_push_back(&x->at->conns, &x->all);
	net_delay_start(&x->deadline, &x->at->heads, x->at->loop);
	memset(&x->scan, 0, sizeof(x->scan));
	process(x, NULL, 0);
	if (x->state < HTTP_CONN_SERVING)
		net_conn_resume(net);
}

static const struct net_conn_ops conn_ops = {
	.data = on_data,
	.ended = on_ended,
	.gather = on_gather,
	.sent = on_sent,
	.closed = on_closed,
	.moved = on_moved,
};

void http_conn_adopt(struct http_server *server, struct net_conn *net)
{
	/* By malloc(), which gives again what the one before had; calloc() leaves holes among what stays (glibc 2.36). */
	struct http_exchange *x = malloc(sizeof(*x));
	struct http_loop *at = &server->loops[net_loop_index(net_conn_loop(net))];

	if (x == NULL) {
		net_conn_close(net);
		return;
	}
	*x = (struct http_exchange){ .net = net, .server = server, .at = at, .state = HTTP_CONN_IDLE };
	buf_init(&x->in, server->in_bytes_max);
	net_task_init(&x->task, go_on);
	net_delay_init(&x->deadline);
	net_delay_start(&x->deadline, http_loop_stopping(at) ? &at->fresh : &at->heads, at->loop);
	list_push_back(&at->conns, &x->all);
	net_conn_set_ops(net, &conn_ops, x);
}
