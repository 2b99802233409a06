/*
 * prototypes/libuv_broadcast.c -- examples/broadcast on libuv, as well as libuv can do it. For measuring alone.
 *
 *      read --> frames --> events --> queues of references --> once an iteration: one uv_try_write() a connection
 *
 * It speaks what bench/load needs: Socket.IO over WebSocket, the default namespace, heartbeats, `message` to all and `echo`
 * answered. JSON is validated, a broadcast encoded once and shared, and an idle connection holds no buffer, as in the
 * library; the codecs of src/ are used where there are some, so that what differs is the loop and the sends. One thread.
 * Input that its generator does not send closes the connection. PORT names the port of 127.0.0.1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/list.h"
#include "base/random.h"
#include "base/utf8.h"
#include "ws/frame.h"
#include "ws/handshake.h"

enum {
	RECV_BYTES = 64 << 10,
	KEPT_BYTES_MAX = 16 << 10, /* of a request or a frame that is not whole */
	MESSAGE_BYTES_MAX = 8 << 10,
	IOV_MAX_OURS = 64,
	PING_MS = 25000,
	PONG_MS = 20000,
	TICK_MS = 100,
	CONNS_MAX = 20000,
};

/* Encoded once, shared by all who are to get it. */
struct blob {
	uint32_t refs, bytes;
	uint8_t data[];
};

struct conn {
	uv_tcp_t tcp; /* first: libuv gives us this */
	bool upgraded, joined, dirty, writing, closing;
	uint32_t at; /* place among the joined */
	struct list beat; /* in `pings` or `pongs` */
	uint64_t due_ms;
	uint8_t *kept;
	uint32_t kept_bytes;
	struct blob **ring;
	uint32_t head, count, cap; /* cap is a power of two */
	uint32_t sent; /* bytes of the front one that have gone */
	uv_write_t request;
	uint32_t requested; /* references that the request carries */
};

static uv_loop_t *loop;
static uint8_t received[RECV_BYTES];
static struct conn *joined[CONNS_MAX], *dirty[CONNS_MAX];
static uint32_t conn_count, joined_count, dirty_count;
static struct list pings, pongs;

static void *need(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

/* A text frame with room for `bytes`. */
static struct blob *blob_of_text(size_t bytes, uint8_t **ret_text)
{
	struct blob *b = need(malloc(sizeof(*b) + WS_SERVER_HEADER_BYTES_MAX + bytes));
	size_t header = ws_frame_header_encode(b->data, WS_OP_TEXT, true, bytes);

	*b = (struct blob){ .refs = 1, .bytes = (uint32_t)(header + bytes) };
	*ret_text = b->data + header;
	return b;
}

static void unref(struct blob *b)
{
	if (--b->refs == 0)
		free(b);
}

static void push(struct conn *c, struct blob *b)
{
	if (c->closing)
		return;
	if (c->count == c->cap) {
		uint32_t cap = c->cap == 0 ? 4 : c->cap * 2;
		struct blob **ring = need(malloc(cap * sizeof(*ring)));
		for (uint32_t i = 0; i < c->count; i++)
			ring[i] = c->ring[(c->head + i) & (c->cap - 1)];
		free(c->ring);
		c->ring = ring;
		c->cap = cap;
		c->head = 0;
	}
	b->refs++;
	c->ring[(c->head + c->count++) & (c->cap - 1)] = b;
	if (!c->dirty) {
		c->dirty = true;
		dirty[dirty_count++] = c;
	}
}

static void pop(struct conn *c)
{
	unref(c->ring[c->head & (c->cap - 1)]);
	c->head++;
	c->count--;
	c->sent = 0;
	if (c->count == 0) {
		free(c->ring);
		c->ring = NULL;
		c->cap = c->head = 0;
	}
}

static void send_text(struct conn *c, const char *text, size_t bytes)
{
	uint8_t *room;
	struct blob *b = blob_of_text(bytes, &room);

	memcpy(room, text, bytes);
	push(c, b);
	unref(b);
}

static void closed(uv_handle_t *handle)
{
	struct conn *c = (struct conn *)handle;

	while (c->count > 0)
		pop(c);
	free(c->kept);
	free(c);
	conn_count--;
}

static void cut(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	list_remove(&c->beat);
	if (c->joined) {
		joined[c->at] = joined[--joined_count];
		joined[c->at]->at = c->at;
	}
	for (uint32_t i = 0; c->dirty && i < dirty_count; i++) {
		if (dirty[i] == c) {
			dirty[i] = dirty[--dirty_count];
			c->dirty = false;
		}
	}
	uv_close((uv_handle_t *)&c->tcp, closed);
}

static void written(uv_write_t *request, int status)
{
	struct conn *c = request->data;

	c->writing = false;
	while (c->requested > 0) {
		pop(c);
		c->requested--;
	}
	if (status < 0)
		cut(c);
	else if (c->count > 0 && !c->dirty && !c->closing) {
		c->dirty = true;
		dirty[dirty_count++] = c;
	}
}

static uint32_t gather(struct conn *c, uv_buf_t *bufs)
{
	uint32_t n = c->count < IOV_MAX_OURS ? c->count : IOV_MAX_OURS;

	for (uint32_t i = 0; i < n; i++) {
		struct blob *b = c->ring[(c->head + i) & (c->cap - 1)];
		uint32_t skip = i == 0 ? c->sent : 0;

		bufs[i] = uv_buf_init((char *)b->data + skip, b->bytes - skip);
	}
	return n;
}

/* One system call; what the kernel does not take at once is left to libuv. */
static void flush_one(struct conn *c)
{
	uv_buf_t bufs[IOV_MAX_OURS];

	c->dirty = false;
	while (c->count > 0 && !c->writing) {
		uint32_t n = gather(c, bufs);
		int sent = uv_try_write((uv_stream_t *)&c->tcp, bufs, n);

		if (sent < 0 && sent != UV_EAGAIN) {
			cut(c);
			return;
		}
		for (uint32_t left = sent < 0 ? 0 : (uint32_t)sent; left > 0;) {
			uint32_t front = c->ring[c->head & (c->cap - 1)]->bytes - c->sent;
			if (left < front) {
				c->sent += left;
				sent = UV_EAGAIN;
				break;
			}
			left -= front;
			pop(c);
			n--;
		}
		if (n == 0)
			continue;
		c->requested = gather(c, bufs);
		c->request.data = c;
		c->writing = true;
		if (uv_write(&c->request, (uv_stream_t *)&c->tcp, bufs, c->requested, written) != 0)
			cut(c);
	}
}

/* After an iteration's reads. */
static void flush(uv_check_t *check)
{
	(void)check;
	for (uint32_t i = 0; i < dirty_count; i++)
		flush_one(dirty[i]); /* may cut this one, which is then no longer marked, and no other */
	dirty_count = 0;
}

static void beat_start(struct conn *c, struct list *which, uint64_t ms)
{
	list_remove(&c->beat);
	c->due_ms = uv_now(loop) + ms;
	list_push_back(which, &c->beat);
}

static void tick(uv_timer_t *timer)
{
	(void)timer;
	while (!list_empty(&pings) && list_entry(pings.next, struct conn, beat)->due_ms <= uv_now(loop)) {
		struct conn *c = list_entry(pings.next, struct conn, beat);
		beat_start(c, &pongs, PONG_MS);
		send_text(c, "2", 1);
	}
	while (!list_empty(&pongs) && list_entry(pongs.next, struct conn, beat)->due_ms <= uv_now(loop))
		cut(list_entry(pongs.next, struct conn, beat));
}

/* `42["message",...]` or `427["echo",...]`. */
static bool take_event(struct conn *c, const char *text, size_t bytes)
{
	size_t digits = 2, count;
	struct json_value items[2];
	uint8_t *room;

	while (digits < bytes && text[digits] >= '0' && text[digits] <= '9')
		digits++;
	struct str json = str_of(text + digits, bytes - digits);
	if (!json_scan_array(json, items, 2, &count) || count < 2 || items[0].type != JSON_STRING)
		return false;
	if (str_equal(items[0].text, STR("\"message\""))) {
		struct blob *b = blob_of_text(bytes, &room);
		memcpy(room, text, bytes);
		for (uint32_t i = 0; i < joined_count; i++)
			push(joined[i], b);
		unref(b);
	} else if (str_equal(items[0].text, STR("\"echo\"")) && digits > 2) {
		size_t rest = (size_t)(text + bytes - items[1].text.s);
		struct blob *b = blob_of_text(digits + 1 + rest, &room);
		memcpy(room, text, digits);
		room[1] = '3';
		room[digits] = '[';
		memcpy(room + digits + 1, items[1].text.s, rest);
		push(c, b);
		unref(b);
	}
	return true;
}

static bool take_text(struct conn *c, char *text, size_t bytes)
{
	if (!utf8_valid((uint8_t *)text, bytes))
		return false;
	if (bytes == 1 && text[0] == '3') {
		beat_start(c, &pings, PING_MS);
		return true;
	}
	if (bytes == 2 && memcmp(text, "40", 2) == 0 && !c->joined && joined_count < CONNS_MAX) {
		static const char answer[] = "40{\"sid\":\"AAAAAAAAAAAAAAAAAAAA\"}";
		c->joined = true;
		c->at = joined_count;
		joined[joined_count++] = c;
		send_text(c, answer, sizeof(answer) - 1);
		return true;
	}
	return c->joined && bytes > 2 && memcmp(text, "42", 2) == 0 && take_event(c, text, bytes);
}

/* The frame at the front. 0: it is not whole; -1: none of ours. */
static int64_t take_frame(struct conn *c, uint8_t *in, size_t in_bytes)
{
	struct ws_decoder d;
	struct ws_piece piece;
	size_t used;

	ws_decoder_init(&d, MESSAGE_BYTES_MAX);
	/* A whole frame is one piece; else it is decoded again when all of it is there. So look before unmasking. */
	if (in_bytes < 2)
		return 0;
	size_t length = in[1] & 0x7f, header = length == 126 ? 8 : 6;
	if (length == 127)
		return -1;
	if (in_bytes < header)
		return 0;
	if (length == 126)
		length = (size_t)in[2] << 8 | in[3];
	if (in_bytes < header + length)
		return 0;
	if (ws_decode(&d, in, in_bytes, &used, &piece) != WS_DECODE_PIECE || piece.op != WS_OP_TEXT ||
		!piece.fin || !take_text(c, (char *)piece.data, piece.data_bytes))
		return -1;
	return (int64_t)(header + length);
}

/* The request. 0: it is not whole; -1: none of ours. */
static int64_t take_request(struct conn *c, const uint8_t *in, size_t in_bytes)
{
	static const char key_name[] = "Sec-WebSocket-Key: ";
	const uint8_t *end = memmem(in, in_bytes, "\r\n\r\n", 4);
	const uint8_t *key = memmem(in, in_bytes, key_name, sizeof(key_name) - 1);
	char accept[WS_ACCEPT_BYTES], text[512];
	uint8_t random[15];
	char sid[21] = { 0 };

	if (end == NULL)
		return 0;
	if (key == NULL || end - key < (ptrdiff_t)(sizeof(key_name) - 1 + WS_KEY_BYTES))
		return -1;
	ws_handshake_accept(accept, str_of((const char *)key + sizeof(key_name) - 1, WS_KEY_BYTES));
	random_bytes(random, sizeof(random));
	(void)base64url_encode(sid, random, sizeof(random));
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %.*s\r\n\r\n",
		WS_ACCEPT_BYTES, accept);
	struct blob *b = need(malloc(sizeof(*b) + (size_t)n));
	*b = (struct blob){ .refs = 1, .bytes = (uint32_t)n };
	memcpy(b->data, text, (size_t)n);
	push(c, b);
	unref(b);
	n = snprintf(text, sizeof(text),
		"0{\"sid\":\"%s\",\"upgrades\":[],\"pingInterval\":%d,\"pingTimeout\":%d,\"maxPayload\":%d}",
		sid, PING_MS, PONG_MS, MESSAGE_BYTES_MAX);
	send_text(c, text, (size_t)n);
	c->upgraded = true;
	beat_start(c, &pings, PING_MS);
	return end + 4 - in;
}

static void take(struct conn *c, uint8_t *in, size_t in_bytes)
{
	size_t at = 0;

	while (at < in_bytes && !c->closing) {
		int64_t used = c->upgraded ? take_frame(c, in + at, in_bytes - at)
					   : take_request(c, in + at, in_bytes - at);

		if (used < 0 || (used == 0 && in_bytes - at > KEPT_BYTES_MAX)) {
			cut(c);
			return;
		}
		if (used == 0)
			break;
		at += (size_t)used;
	}
	uint8_t *old = c->kept;
	c->kept = NULL;
	c->kept_bytes = 0;
	if (at < in_bytes && !c->closing) {
		c->kept = need(malloc(in_bytes - at));
		c->kept_bytes = (uint32_t)(in_bytes - at);
		memcpy(c->kept, in + at, in_bytes - at);
	}
	free(old);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	const struct conn *c = (struct conn *)handle;

	(void)suggested;
	/* Behind what is kept of this connection. */
	*buf = uv_buf_init((char *)received + c->kept_bytes, RECV_BYTES - c->kept_bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct conn *c = (struct conn *)stream;

	(void)buf;
	if (n == 0)
		return;
	if (n < 0) {
		cut(c);
		return;
	}
	if (c->kept_bytes > 0)
		memcpy(received, c->kept, c->kept_bytes);
	take(c, received, c->kept_bytes + (size_t)n);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct conn *c = status < 0 ? NULL : need(calloc(1, sizeof(*c)));

	if (c == NULL)
		return;
	list_init(&c->beat);
	uv_tcp_init(loop, &c->tcp);
	conn_count++;
	if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 || conn_count > CONNS_MAX ||
		uv_tcp_nodelay(&c->tcp, 1) != 0 || uv_read_start((uv_stream_t *)&c->tcp, lend, on_read) != 0)
		cut(c);
}

int main(void)
{
	struct sockaddr_in address;
	uv_tcp_t server;
	uv_check_t check;
	uv_timer_t timer;

	loop = uv_default_loop();
	list_init(&pings);
	list_init(&pongs);
	uv_ip4_addr("127.0.0.1", getenv("PORT") ? (int)strtol(getenv("PORT"), NULL, 10) : 3000, &address);
	uv_tcp_init(loop, &server);
	uv_check_init(loop, &check);
	uv_check_start(&check, flush);
	uv_timer_init(loop, &timer);
	uv_timer_start(&timer, tick, TICK_MS, TICK_MS);
	if (uv_tcp_bind(&server, (struct sockaddr *)&address, 0) != 0 ||
		uv_listen((uv_stream_t *)&server, 4096, on_connection) != 0) {
		fprintf(stderr, "cannot listen\n");
		return 1;
	}
	return uv_run(loop, UV_RUN_DEFAULT);
}
