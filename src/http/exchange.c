/* http/exchange.c -- answering: see http/server.h. What is sent is two runs of bytes, head and body. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/account.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/server_int.h"

struct str http_loop_date(struct http_loop *at)
{
	uint64_t now_ns = net_loop_now_ns(at->loop);

	if (at->date_ns == 0 || now_ns - at->date_ns >= CLOCK_NS_PER_S) {
		http_date_format(at->date, (int64_t)time(NULL));
		at->date_ns = now_ns;
	}
	return str_of(at->date, HTTP_DATE_BYTES);
}

void http_out_clear(struct http_exchange *x)
{
	free(x->out_head);
	x->out_head = NULL;
	http_shared_unref(x->out_shared);
	x->out_shared = NULL;
	x->out_body = NULL;
	x->out_head_bytes = x->out_body_bytes = x->out_sent = 0;
}

void http_out_gather(struct http_exchange *x, struct net_gather *g)
{
	size_t sent = x->out_sent;

	if (sent < x->out_head_bytes) {
		if (!net_gather_add(g, x->out_head + sent, x->out_head_bytes - sent))
			return;
		sent = x->out_head_bytes;
	}
	sent -= x->out_head_bytes;
	if (sent < x->out_body_bytes)
		(void)net_gather_add(g, x->out_body + sent, x->out_body_bytes - sent);
}

bool http_out_sent(struct http_exchange *x, size_t bytes)
{
	x->out_sent += bytes;
	assert(x->out_sent <= x->out_head_bytes + x->out_body_bytes);
	return x->out_sent == x->out_head_bytes + x->out_body_bytes;
}

/* Append to the head run, behind what of it is still unsent. False: no memory. */
static bool out_append(struct http_exchange *x, size_t more, uint8_t **ret_room)
{
	size_t left = x->out_head_bytes - x->out_sent;
	uint8_t *grown;

	assert(x->out_body_bytes == 0 && x->out_sent <= x->out_head_bytes);
	if (left == 0)
		http_out_clear(x);
	else
		memmove(x->out_head, x->out_head + x->out_sent, left);
	x->out_sent = 0;
	x->out_head_bytes = left;
	grown = realloc(x->out_head, left + more);
	if (grown == NULL)
		return false;
	x->out_head = grown;
	*ret_room = grown + left;
	return true;
}

void http_out_continue(struct http_exchange *x)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uint8_t *room;

	if (!out_append(x, sizeof(text) - 1, &room))
		return; /* the client sends its body anyway, after a while */
	memcpy(room, text, sizeof(text) - 1);
	x->out_head_bytes += sizeof(text) - 1;
	net_conn_want_send(x->net);
}

/* No memory. */
static void out_lose(struct http_exchange *x)
{
	struct net_conn *net = x->net;
	const struct http_watch_ops *watch = x->watch;
	void *ctx = x->watch_ctx;

	http_conn_bury(x);
	net_conn_close(net);
	if (watch != NULL)
		watch->fate(ctx, HTTP_FATE_LOST);
}

/* Encode the head, with room behind it for `copy_bytes`, which is returned; NULL: no memory, the connection is cut. */
static uint8_t *out_begin(
	struct http_exchange *x, const struct http_response *given, size_t body_bytes, size_t copy_bytes)
{
	struct http_response r = *given;
	uint8_t *room;

	assert(x->state == HTTP_CONN_SERVING);
	if (http_loop_stopping(x->at))
		x->keep_alive = false;
	r.minor = x->minor;
	r.keep_alive = x->keep_alive;
	r.content_length = body_bytes;
	r.date = http_loop_date(x->at);
	r.more_headers = x->more_headers;
	r.more_count = x->more_count;
	x->more_count = 0;
	size_t head_max = http_response_bytes_max(&r);
	if (!out_append(x, head_max + copy_bytes, &room)) {
		out_lose(x);
		return NULL;
	}
	size_t bytes = http_response_encode(&r, (char *)room, head_max);
	assert(bytes > 0);
	x->out_head_bytes += bytes;
	x->state = HTTP_CONN_ANSWERING;
	net_conn_want_send(x->net);
	return room + bytes;
}

/* HEAD gets the head alone, and so do statuses that have no body. */
static bool has_body(const struct http_exchange *x, const struct http_response *r)
{
	return !x->head_only && r->status != 204 && r->status != 304;
}

void http_exchange_add(struct http_exchange *x, const struct http_header *headers, uint32_t count)
{
	x->more_headers = headers;
	x->more_count = count;
}

void http_answer(struct http_exchange *x, const struct http_response *r, const void *body, size_t body_bytes)
{
	size_t copy_bytes = has_body(x, r) ? body_bytes : 0;
	uint8_t *room = out_begin(x, r, body_bytes, copy_bytes);

	if (room == NULL || copy_bytes == 0)
		return;
	memcpy(room, body, copy_bytes);
	x->out_head_bytes += copy_bytes;
}

void http_answer_static(
	struct http_exchange *x, const struct http_response *r, const void *body, size_t body_bytes)
{
	if (out_begin(x, r, body_bytes, 0) == NULL || !has_body(x, r))
		return;
	x->out_body = body;
	x->out_body_bytes = body_bytes;
}

void http_answer_buf(struct http_exchange *x, const struct http_response *r, struct buf *body)
{
	struct buf given = *body;

	buf_init(body, body->bytes_max);
	struct http_shared *whole = http_shared_create(&given);
	if (whole == NULL) {
		buf_finish(&given);
		out_lose(x);
		return;
	}
	http_answer_shared(x, r, whole);
	http_shared_unref(whole);
}

struct http_shared {
	uint32_t refs;
	struct buf buf;
};

struct http_shared *http_shared_create(struct buf *from)
{
	struct http_shared *b = malloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	*b = (struct http_shared){ .refs = 1, .buf = *from };
	buf_init(from, from->bytes_max);
	if (b->buf.bytes > 0 && b->buf.cap > b->buf.bytes + b->buf.bytes / 8) {
		uint8_t *smaller = realloc(b->buf.data, b->buf.bytes);
		if (smaller != NULL) {
			b->buf.data = smaller;
			b->buf.cap = b->buf.bytes;
		}
	}
	account_add(b->buf.cap);
	return b;
}

void http_shared_ref(struct http_shared *b)
{
	b->refs++;
}

void http_shared_unref(struct http_shared *b)
{
	if (b == NULL || --b->refs > 0)
		return;
	account_take(b->buf.cap);
	buf_finish(&b->buf);
	free(b);
}

void http_answer_shared(struct http_exchange *x, const struct http_response *r, struct http_shared *body)
{
	if (out_begin(x, r, body->buf.bytes, 0) == NULL || !has_body(x, r))
		return;
	http_shared_ref(body);
	x->out_shared = body;
	x->out_body = body->buf.data;
	x->out_body_bytes = body->buf.bytes;
}

void http_answer_text(struct http_exchange *x, uint16_t status, bool html, struct str text)
{
	struct http_response r = {
		.status = status,
		.content_type = html ? STR("text/html") : STR("text/plain; charset=utf-8"),
	};

	http_answer(x, &r, text.s, text.bytes);
}

void http_answer_asset(
	struct http_exchange *x, const struct http_request *request, const struct http_asset *asset)
{
	struct http_asset_answer a;

	http_asset_answer(asset, request->head, &a);
	http_answer_static(x, &a.response, a.body, a.response.content_length);
}

void http_exchange_close_after(struct http_exchange *x)
{
	x->keep_alive = false;
}

void http_watch(struct http_exchange *x, const struct http_watch_ops *ops, void *ctx)
{
	assert(x->watch == NULL && x->state <= HTTP_CONN_SERVING);
	x->watch = ops;
	x->watch_ctx = ctx;
}

void http_unwatch(struct http_exchange *x)
{
	x->watch = NULL;
}

enum net_fate http_exchange_fate(struct http_exchange *x)
{
	enum net_fate fate = net_conn_fate(x->net);

	if (x->state == HTTP_CONN_SERVING && x->peer_ended)
		return NET_FATE_ENDED;
	if (x->state == HTTP_CONN_SERVING && fate == NET_FATE_OPEN)
		return NET_FATE_ACKED; /* what is under way is an answer before this one */
	/* What has not even gone to the kernel has not arrived. */
	if (x->state == HTTP_CONN_ANSWERING && fate != NET_FATE_LOST && fate != NET_FATE_ENDING)
		return NET_FATE_OPEN;
	return fate;
}

bool http_exchange_sent(const struct http_exchange *x)
{
	return (x->state == HTTP_CONN_IDLE || x->state == HTTP_CONN_FINISHING) &&
	       net_conn_handed_over(x->net);
}

void http_exchange_cut(struct http_exchange *x)
{
	struct net_conn *net = x->net;

	assert(x->watch == NULL);
	http_conn_bury(x);
	net_conn_close(net);
}

struct net_conn *http_exchange_conn(const struct http_exchange *x)
{
	return x->net;
}

uint32_t *http_exchange_mark(struct http_exchange *x)
{
	return &x->mark;
}

struct net_conn *http_exchange_take(struct http_exchange *x)
{
	struct net_conn *net = x->net;

	assert(x->state == HTTP_CONN_SERVING && x->out_head_bytes == x->out_sent && x->watch == NULL);
	http_conn_bury(x);
	net_conn_resume(net);
	return net;
}
