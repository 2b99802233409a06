/* ws/conn.c -- see ws/conn.h. */
#include "ws/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "ws/message.h"

enum ws_conn_state {
	WS_OPEN,
	WS_CLOSING, /* the owner's queue, then the close frame */
	WS_ENDING, /* the owner has been told; what is ready goes, then our end */
	WS_FINISHED, /* net/ waits for the peer's end */
};

enum {
	CLOSE_HEADER_BYTES = 2,
	CLOSE_FRAME_BYTES = CLOSE_HEADER_BYTES + 2, /* header and code; a reason is behind them */
	/* Room behind the handshake's answer for what comes with it: growing would leave a hole beside what stays. */
	HANDSHAKE_SPARE_BYTES = 128,
	GATHERED_OWNER = UINT16_MAX, /* more than the reserve */
};

/* The answer to the handshake, pings and pongs, waiting. */
struct urgent {
	uint16_t bytes, sent, cap;
	uint16_t pong_at; /* where a pong begins + 1; 0: none */
	uint8_t frames[];
};

struct ws_conn {
	struct net_conn *net;
	const struct ws_conn_ops *ops;
	void *ctx;
	struct ws_reader reader;
	struct urgent *urgent; /* NULL: nothing of the transport's is waiting */
	uint16_t
		reserved; /* bytes that may wait beside WS_RESERVE_BYTES_MAX: the handshake's further headers */
	uint8_t close[CLOSE_FRAME_BYTES]; /* our close frame but for its reason; zeros: there is none */
	uint8_t close_sent; /* of the frame, with its reason */
	uint8_t close_why; /* enum ws_error, whose text is the reason; WS_ERROR_NONE: there is none */
	uint16_t pings, ping_s; /* in the second with these lowest bits */
	/* The last gather: the rest of a frame of the owner's, then urgent, the owner's next, then the close frame. */
	uint16_t gathered_urgent; /* GATHERED_OWNER: the other figures say nothing */
	uint8_t state : 2; /* enum ws_conn_state */
	bool busy : 1; /* within a callback that goes on using it: freeing waits */
	bool freed : 1;
	bool peer_closed : 1; /* CLOSING: it has said so first */
	uint32_t gathered_rest, gathered_owner;
};

static const struct net_conn_ops net_ops;

enum ws_verdict ws_upgrade_check(const struct http_head *head)
{
	struct ws_handshake h = {
		.method = head->method_text,
		.http_minor = head->minor,
		.upgrade = http_head_get(head, STR("upgrade")),
		.connection = head->upgrade ? STR("upgrade") : STR(""), /* a list, looked through by http/ */
		.key = http_head_get(head, STR("sec-websocket-key")),
		.version = http_head_get(head, STR("sec-websocket-version")),
	};

	if (http_head_count(head, STR("sec-websocket-version")) > 1)
		return WS_VERDICT_BAD_VERSION;
	if (http_head_count(head, STR("sec-websocket-key")) > 1)
		return WS_VERDICT_BAD_KEY;
	return ws_handshake_check(&h);
}

/* False: the reserve is full, or no memory. */
static bool put_urgent(struct ws_conn *w, const void *data, size_t bytes)
{
	size_t had = w->urgent == NULL ? 0 : w->urgent->bytes;

	if (had + bytes > (size_t)WS_RESERVE_BYTES_MAX + w->reserved)
		return false;
	if (w->urgent == NULL || had + bytes > w->urgent->cap) {
		struct urgent *bigger = realloc(w->urgent, sizeof(*bigger) + had + bytes);
		if (bigger == NULL)
			return false;
		if (had == 0)
			*bigger = (struct urgent){ 0 };
		bigger->cap = (uint16_t)(had + bytes);
		w->urgent = bigger;
	}
	memcpy(w->urgent->frames + had, data, bytes);
	w->urgent->bytes = (uint16_t)(had + bytes);
	return true;
}

static void drop_urgent(struct ws_conn *w)
{
	free(w->urgent);
	w->urgent = NULL;
}

static uint8_t *put_text(uint8_t *at, struct str text)
{
	if (text.bytes > 0)
		memcpy(at, text.s, text.bytes);
	return at + text.bytes;
}

/* The answer is what goes first, and may be longer than what else is put there. */
static bool put_handshake(
	struct ws_conn *w, struct str key, const struct http_header *headers, size_t header_count)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
				   "Connection: Upgrade\r\nSec-WebSocket-Accept: ";
	size_t more = 0;

	for (size_t i = 0; i < header_count; i++)
		more += headers[i].name.bytes + headers[i].value.bytes + sizeof(": \r\n") - 1;
	assert(w->urgent == NULL && more < WS_HEADERS_BYTES_MAX);
	size_t bytes = sizeof(head) - 1 + WS_ACCEPT_BYTES + 2 + more + 2;
	size_t cap = bytes + HANDSHAKE_SPARE_BYTES;
	struct urgent *u = malloc(sizeof(*u) + cap);
	if (u == NULL)
		return false;
	*u = (struct urgent){ .bytes = (uint16_t)bytes, .cap = (uint16_t)cap };
	uint8_t *at = put_text(u->frames, str_of(head, sizeof(head) - 1));
	ws_handshake_accept((char *)at, key);
	at = put_text(at + WS_ACCEPT_BYTES, STR("\r\n"));
	for (size_t i = 0; i < header_count; i++) {
		at = put_text(put_text(at, headers[i].name), STR(": "));
		at = put_text(put_text(at, headers[i].value), STR("\r\n"));
	}
	at = put_text(at, STR("\r\n"));
	assert(at == u->frames + bytes);
	w->urgent = u;
	w->reserved = (uint16_t)more;
	return true;
}

struct ws_conn *ws_conn_accept(struct http_exchange *x, const struct http_head *head,
	const struct http_header *headers, size_t header_count, uint32_t message_bytes_max,
	uint32_t fragments_max, const struct ws_conn_ops *ops, void *ctx)
{
	struct ws_conn *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	ws_reader_init(&w->reader, message_bytes_max, fragments_max);
	if (!put_handshake(w, http_head_get(head, STR("sec-websocket-key")), headers, header_count)) {
		free(w);
		return NULL;
	}
	w->ops = ops;
	w->ctx = ctx;
	w->net = http_exchange_take(x);
	net_conn_set_ops(w->net, &net_ops, w);
	net_conn_want_send(w->net);
	return w;
}

void ws_conn_set_ops(struct ws_conn *w, const struct ws_conn_ops *ops, void *ctx)
{
	assert(w->state <= WS_CLOSING);
	w->ops = ops;
	w->ctx = ctx;
}

struct net_conn *ws_conn_net(const struct ws_conn *w)
{
	return w->net;
}

size_t ws_conn_partial_bytes(const struct ws_conn *w)
{
	return w->reader.message_lent ? 0 : w->reader.message.bytes;
}

void ws_conn_want_send(struct ws_conn *w)
{
	net_conn_want_send(w->net);
}

/* Its connection has been let go. Memory that a callback stands on is freed when that returns. */
static void release(struct ws_conn *w)
{
	w->freed = true;
	if (w->busy)
		return;
	ws_reader_finish(&w->reader);
	drop_urgent(w);
	free(w);
}

/* The owner's queue is not to be asked any more: a frame of it that has begun can never be ended, nor another follow it. */
static void leave_owner(struct ws_conn *w)
{
	assert(w->state <= WS_CLOSING);
	if (w->ops->mid_frame(w->ctx)) {
		drop_urgent(w);
		memset(w->close, 0, sizeof(w->close));
		w->close_sent = 0;
	}
	w->state = WS_ENDING;
	net_conn_want_send(w->net);
}

static void tell_closed(struct ws_conn *w, uint16_t code, bool fault)
{
	leave_owner(w);
	w->ops->closed(w->ctx, code, fault);
}

static bool put_control(struct ws_conn *w, enum ws_opcode op, const void *payload, size_t bytes)
{
	uint8_t frame[WS_HEADER_BYTES_MAX + WS_CONTROL_BYTES_MAX];
	size_t at = ws_frame_header_encode(frame, op, true, bytes);

	assert(bytes <= WS_CONTROL_BYTES_MAX);
	if (bytes > 0)
		memcpy(frame + at, payload, bytes);
	if (!put_urgent(w, frame, at + bytes))
		return false;
	net_conn_want_send(w->net);
	return true;
}

static struct str reason_of(uint8_t why)
{
	return why == WS_ERROR_NONE ? STR("") : str_c(ws_error_text((enum ws_error)why));
}

/* Of our close frame; 0: there is none. */
static size_t close_bytes(const struct ws_conn *w)
{
	return w->close[0] == 0 ? 0 : CLOSE_HEADER_BYTES + (size_t)w->close[1];
}

/* What it says. */
static uint16_t close_code(const struct ws_conn *w)
{
	return close_bytes(w) == CLOSE_HEADER_BYTES
		       ? WS_CLOSE_NONE
		       : (uint16_t)(w->close[CLOSE_HEADER_BYTES] << 8 | w->close[CLOSE_HEADER_BYTES + 1]);
}

static void put_close(struct ws_conn *w, uint16_t code, enum ws_error why)
{
	struct str reason = reason_of((uint8_t)why);
	uint8_t frame[WS_HEADER_BYTES_MAX + WS_CONTROL_BYTES_MAX], payload[WS_CONTROL_BYTES_MAX];
	size_t bytes = ws_close_encode(payload, code, reason);
	size_t at = ws_frame_header_encode(frame, WS_OP_CLOSE, true, bytes);

	memcpy(frame + at, payload, bytes);
	assert(at + bytes <=
		CLOSE_FRAME_BYTES + reason.bytes); /* all of the reason, which stays where it is */
	memcpy(w->close, frame, at + bytes - reason.bytes);
	w->close_why = (uint8_t)why;
	net_conn_want_send(w->net);
}

bool ws_conn_send_urgent(struct ws_conn *w, const void *frame, size_t bytes)
{
	if (w->state != WS_OPEN || !put_urgent(w, frame, bytes))
		return false;
	net_conn_want_send(w->net);
	return true;
}

void ws_conn_close(struct ws_conn *w, uint16_t code)
{
	if (w->state != WS_OPEN)
		return;
	w->state = WS_CLOSING;
	put_close(w, code, WS_ERROR_NONE);
}

void ws_conn_cut(struct ws_conn *w)
{
	net_conn_close(w->net);
	w->state = WS_FINISHED;
	release(w);
}

/* Take a pong out that has not begun to go. */
static void drop_pong(struct urgent *u)
{
	if (u == NULL || u->pong_at == 0 || u->sent >= u->pong_at)
		return;
	size_t at = u->pong_at - 1u, old = 2 + (size_t)u->frames[at + 1];

	memmove(u->frames + at, u->frames + at + old, u->bytes - at - old);
	u->bytes = (uint16_t)(u->bytes - old);
	u->pong_at = 0;
}

/* Only the last of several pings is answered: a pong that has not begun to go is replaced (RFC 6455, 5.5.3). */
static bool answer_ping(struct ws_conn *w, const struct ws_event *e)
{
	uint16_t now_s = (uint16_t)(net_loop_now_ns(net_conn_loop(w->net)) / CLOCK_NS_PER_S);

	if (w->close_sent > 0)
		return true; /* nothing goes into a close frame, or behind it */
	if (now_s != w->ping_s) {
		w->ping_s = now_s;
		w->pings = 0;
	}
	if (++w->pings > WS_PINGS_PER_S_MAX)
		return false;
	drop_pong(w->urgent);
	size_t at = w->urgent == NULL ? 0 : w->urgent->bytes;
	if (put_control(w, WS_OP_PONG, e->data, e->data_bytes))
		w->urgent->pong_at = (uint16_t)(at + 1);
	return true;
}

static void take_event(struct ws_conn *w, enum ws_read what, struct ws_event *e)
{
	switch (what) {
	case WS_READ_TEXT:
	case WS_READ_BINARY:
		w->ops->message(w->ctx, what == WS_READ_BINARY, e->data, e->data_bytes);
		break;
	case WS_READ_PING:
		if (!answer_ping(w, e)) {
			put_close(w, WS_CLOSE_POLICY, WS_ERROR_PINGS);
			tell_closed(w, WS_CLOSE_POLICY, true);
		}
		break;
	case WS_READ_CLOSE:
		if (w->state == WS_OPEN && w->ops->waits(w->ctx)) {
			/* What it asked for just before is still said; its end is told behind that. */
			w->peer_closed = true;
			ws_conn_close(w, e->code);
			break;
		}
		/* fallthrough */
	case WS_READ_FAIL:
		if (w->state == WS_OPEN)
			put_close(w, e->code, e->error);
		tell_closed(w, e->code, what == WS_READ_FAIL);
		break;
	case WS_READ_PONG:
		w->ops->pong(w->ctx);
		break;
	case WS_READ_MORE:
		break;
	}
}

static void on_data(struct net_conn *net, void *ctx, uint8_t *data, size_t bytes)
{
	struct ws_conn *w = ctx;
	size_t at = 0;

	(void)net;
	w->busy = true;
	while (w->state <= WS_CLOSING) {
		struct ws_event event;
		size_t used;
		enum ws_read what = ws_read(&w->reader, data + at, bytes - at, &used, &event);

		at += used;
		if (what == WS_READ_MORE)
			break;
		take_event(w, what, &event);
	}
	w->busy = false;
	if (w->freed)
		release(w);
}

static void on_ended(struct net_conn *net, void *ctx)
{
	struct ws_conn *w = ctx;

	if (w->state == WS_ENDING || (w->state == WS_CLOSING && w->peer_closed))
		return; /* it closed in order, and gets our close frame */
	if (w->state <= WS_CLOSING)
		tell_closed(w, WS_CLOSE_LOST, false);
	net_conn_close(net);
	release(w);
}

static void gather_urgent(struct ws_conn *w, struct net_gather *g)
{
	const struct urgent *u = w->urgent;

	if (u == NULL || u->sent == u->bytes)
		return;
	if (net_gather_add(g, u->frames + u->sent, (size_t)(u->bytes - u->sent)))
		w->gathered_urgent = (uint16_t)(u->bytes - u->sent);
}

static void gather_owner(struct ws_conn *w, struct net_gather *g)
{
	size_t before = g->bytes;

	if (w->gathered_rest > 0) {
		g->more = true; /* it has given its first already: the others in the next pass */
		return;
	}
	w->ops->gather(w->ctx, g);
	w->gathered_owner = (uint32_t)(g->bytes - before);
}

static void gather_close(const struct ws_conn *w, struct net_gather *g)
{
	struct str reason = reason_of(w->close_why);
	size_t front = close_bytes(w) - reason.bytes, sent = w->close_sent;

	if (sent < front && !net_gather_add(g, w->close + sent, front - sent))
		return;
	sent -= sent < front ? sent : front;
	if (sent < reason.bytes)
		(void)net_gather_add(g, reason.s + sent, reason.bytes - sent);
}

/* All that we had to say is said, and the owner knows. */
static void end(struct ws_conn *w, struct net_conn *net)
{
	w->state = WS_FINISHED;
	net_conn_finish(net);
}

/* The close frame is next. */
static bool closing_is_due(const struct ws_conn *w, const struct net_gather *g)
{
	return w->state == WS_ENDING || (w->state == WS_CLOSING && !g->more);
}

/* Apart, as sent_mixed() is: the usual case then saves no registers for it. */
static __attribute__((noinline)) void gather_mixed(
	struct ws_conn *w, struct net_conn *net, struct net_gather *g)
{
	w->gathered_rest = w->gathered_owner = 0;
	w->gathered_urgent = 0;
	if (w->urgent != NULL && w->urgent->sent == 0 && w->state <= WS_CLOSING &&
		w->ops->mid_frame(w->ctx)) {
		/* The rest of the frame that has begun, and nothing else, may go before. */
		struct net_gather first = { .iov = g->iov, .max = 1, .bundle = g->bundle };
		w->ops->gather(w->ctx, &first);
		g->count = first.count;
		g->bytes = first.bytes;
		w->gathered_rest = (uint32_t)first.bytes;
	}
	gather_urgent(w, g);
	if (w->state <= WS_CLOSING && w->close_sent == 0) /* nothing goes into a close frame, or behind it */
		gather_owner(w, g);
	if (!closing_is_due(w, g))
		return;
	if (w->close_sent < close_bytes(w))
		gather_close(w, g);
	else if (g->count == 0 && w->state == WS_ENDING)
		end(w, net); /* a frame was cut in two: no close frame can follow */
}

static void on_gather(struct net_conn *net, void *ctx, struct net_gather *g)
{
	struct ws_conn *w = ctx;

	if (w->state != WS_OPEN || w->urgent != NULL) {
		gather_mixed(w, net, g);
		return;
	}
	w->gathered_urgent = GATHERED_OWNER;
	w->ops->gather(w->ctx, g);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void urgent_sent(struct ws_conn *w, size_t bytes)
{
	if (w->urgent == NULL)
		return;
	w->urgent->sent = (uint16_t)(w->urgent->sent + bytes);
	if (w->urgent->sent == w->urgent->bytes)
		drop_urgent(w);
}

static __attribute__((noinline)) void sent_mixed(struct ws_conn *w, struct net_conn *net, size_t bytes)
{
	size_t rest = least(bytes, w->gathered_rest);
	size_t urgent = least(bytes - rest, w->gathered_urgent);
	size_t owner = least(bytes - rest - urgent, w->gathered_owner);

	w->busy = true;
	w->close_sent = (uint8_t)(w->close_sent + (bytes - rest - urgent - owner));
	urgent_sent(w, urgent);
	if (rest + owner > 0 && w->state <= WS_CLOSING)
		w->ops->sent(w->ctx, rest + owner);
	bool said = w->close[0] != 0 && w->close_sent == close_bytes(w);
	if (said && w->state == WS_CLOSING)
		tell_closed(w, close_code(w), false);
	if (said && w->state == WS_ENDING)
		end(w, net);
	w->busy = false;
	if (w->freed)
		release(w);
}

static void on_sent(struct net_conn *net, void *ctx, size_t bytes)
{
	struct ws_conn *w = ctx;

	/* Nearly always all of it was the owner's. */
	if (w->gathered_urgent != GATHERED_OWNER)
		sent_mixed(w, net, bytes);
	else if (w->state <= WS_CLOSING)
		w->ops->sent(w->ctx, bytes);
}

static void on_closed(struct net_conn *net, void *ctx, int error)
{
	struct ws_conn *w = ctx;

	(void)net;
	(void)error;
	if (w->state <= WS_CLOSING)
		tell_closed(w, WS_CLOSE_LOST, false);
	release(w);
}

static void on_moved(struct net_conn *net, void *ctx)
{
	(void)net;
	(void)ctx;
	assert(false && "a WebSocket stays where it is");
}

static const struct net_conn_ops net_ops = {
	.data = on_data,
	.ended = on_ended,
	.gather = on_gather,
	.sent = on_sent,
	.closed = on_closed,
	.moved = on_moved,
};
