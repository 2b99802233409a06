/*
 * tests/unit/ws/talk.h -- a WebSocket server on a real loop for tests, the layer above it, and a client.
 *
 *      client: send_frame() --> ws/conn.c --message--> struct owner, which may answer --gather--> read_frame()
 *
 * An owner belongs to its loop; the test's thread reads its atomic figures, and all else by harness_call().
 */
#ifndef TESTS_UNIT_WS_TALK_H
#define TESTS_UNIT_WS_TALK_H

#include "client.h"
#include "unit/http/web.h"
#include "ws/conn.h"

enum {
	MESSAGE_BYTES_MAX = 100000,
	FRAGMENTS_MAX = 100,
	OWNERS_MAX = 200,
	FRAMES_MAX = 200,
	OUT_BYTES_MAX = 24 << 20,
	QUEUED_BYTES = 60000, /* a frame of the tests with a long queue */
	LONG_QUEUE = 150,
};

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455, 1.3 */

/* The layer above: frames that wait one behind another, and what it was told. */
struct owner {
	struct ws_conn *ws;
	struct buf out;
	size_t ends[FRAMES_MAX]; /* of each frame, in out */
	size_t frames, front, sent; /* front: the first frame that has not gone whole */
	atomic_uint messages, closes, code, fault;
	atomic_size_t sent_bytes;
};

static struct web w;
static struct owner owners[OWNERS_MAX];
static atomic_uint owner_count;
static const struct ws_conn_ops *owner_ops;

static inline void put_frame(struct owner *o, enum ws_opcode op, const void *payload, size_t bytes)
{
	uint8_t header[WS_SERVER_HEADER_BYTES_MAX];

	assert(o->frames < FRAMES_MAX);
	if (o->out.data == NULL) { /* what has been gathered may not move */
		bool room = buf_reserve(&o->out, bytes + 100 < 1 << 16 ? 1 << 18 : OUT_BYTES_MAX);

		assert(room);
	}
	append(&o->out, header, ws_frame_header_encode(header, op, true, bytes));
	append(&o->out, payload, bytes);
	o->ends[o->frames++] = o->out.bytes;
	ws_conn_want_send(o->ws);
}

static inline void on_gather(void *ctx, struct net_gather *g)
{
	struct owner *o = ctx;
	size_t from = o->sent;

	for (size_t i = o->front; i < o->frames; i++) {
		if (!net_gather_add(g, o->out.data + from, o->ends[i] - from))
			return;
		from = o->ends[i];
	}
}

static inline bool on_waits(void *ctx)
{
	const struct owner *o = ctx;

	return o->front < o->frames;
}

static inline bool on_mid_frame(void *ctx)
{
	const struct owner *o = ctx;

	return o->sent > (o->front == 0 ? 0 : o->ends[o->front - 1]);
}

static inline void on_sent(void *ctx, size_t bytes)
{
	struct owner *o = ctx;

	assert(bytes > 0 && o->sent + bytes <= o->out.bytes);
	o->sent += bytes;
	while (o->front < o->frames && o->ends[o->front] <= o->sent)
		o->front++;
	atomic_fetch_add(&o->sent_bytes, bytes);
}

static inline void on_closed(void *ctx, uint16_t code, bool fault)
{
	struct owner *o = ctx;

	o->ws = NULL;
	buf_finish(&o->out);
	atomic_store(&o->code, code);
	atomic_store(&o->fault, fault);
	assert(atomic_fetch_add(&o->closes, 1) == 0);
}

static inline void echo_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct owner *o = ctx;

	assert(atomic_load(&o->closes) == 0);
	put_frame(o, binary ? WS_OP_BINARY : WS_OP_TEXT, data, bytes);
	if (bytes > 0)
		memset(data, 0xee, bytes); /* it is ours to write on */
	atomic_fetch_add(&o->messages, 1);
}

static void on_pong(void *ctx)
{
	(void)ctx;
}

static const struct ws_conn_ops echo_ops = { echo_message, on_pong, on_gather, on_waits, on_mid_frame,
	on_sent, on_closed };

static inline void count_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct owner *o = ctx;

	(void)binary;
	(void)data;
	(void)bytes;
	atomic_fetch_add(&o->messages, 1);
}

static const struct ws_conn_ops count_ops = { count_message, on_pong, on_gather, on_waits, on_mid_frame,
	on_sent, on_closed };

static inline void serve_ws(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	enum ws_verdict verdict = ws_upgrade_check(r->head);

	(void)ctx;
	if (verdict != WS_VERDICT_OK) {
		char text[2] = { (char)('0' + (int)verdict), '\0' };

		http_answer_text(x, 400, false, str_c(text));
		return;
	}
	struct owner *o = &owners[atomic_load(&owner_count)];

	assert(o < owners + OWNERS_MAX);
	buf_init(&o->out, OUT_BYTES_MAX);
	o->ws = ws_conn_accept(x, r->head, NULL, 0, MESSAGE_BYTES_MAX, FRAGMENTS_MAX, owner_ops, o);
	if (o->ws == NULL) {
		http_answer_text(x, 503, false, STR("no memory"));
		return;
	}
	assert(net_conn_loop(ws_conn_net(o->ws)) == net_loop_current());
	atomic_fetch_add(&owner_count, 1);
}

static inline void start(const struct ws_conn_ops *ops)
{
	memset(owners, 0, sizeof(owners));
	atomic_store(&owner_count, 0);
	owner_ops = ops;
	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/ws", .body_bytes_max = 100, .serve = serve_ws });
	web_run(&w);
}

static inline void cut_here(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
	for (unsigned i = 0; i < atomic_load(&owner_count); i++) {
		if (owners[i].ws == NULL)
			continue;
		ws_conn_cut(owners[i].ws);
		owners[i].ws = NULL;
		buf_finish(&owners[i].out);
	}
}

static inline void finish(void)
{
	harness_call(&w.h, 0, cut_here, NULL);
	web_finish(&w);
}

/* The client. */

#define REQUEST(method, version, headers)                                                                    \
	method " /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"       \
	       "Sec-WebSocket-Version: " version "\r\n" headers "\r\n"

static const char handshake[] = REQUEST("GET", "13", "Sec-WebSocket-Key: " KEY "\r\n");

static inline void expect_welcome(int fd)
{
	char head[1024];
	size_t bytes = 0;

	while (bytes < 4 || memcmp(head + bytes - 4, "\r\n\r\n", 4) != 0) {
		assert_true(bytes < sizeof(head) - 1);
		client_receive(fd, head + bytes++, 1);
	}
	head[bytes] = '\0';
	assert_memory_equal(head, "HTTP/1.1 101 ", 13);
	assert_non_null(strcasestr(head, "\r\nupgrade: websocket\r\n"));
	assert_non_null(strcasestr(head, "\r\nconnection: upgrade\r\n"));
	assert_non_null(strstr(head, ": " ACCEPT "\r\n"));
	assert_null(strcasestr(head, "sec-websocket-extensions"));
	assert_null(strcasestr(head, "sec-websocket-protocol"));
}

static inline int ws_connect(void)
{
	int fd = client_connect(&w.h);

	client_send_text(fd, handshake);
	expect_welcome(fd);
	return fd;
}

static inline struct owner *owner_wait(unsigned n)
{
	WAIT_FOR(atomic_load(&owner_count) > n);
	return &owners[n];
}

static inline void send_frame(int fd, unsigned first, const void *payload, size_t bytes)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	append_frame(&b, first, 0x37fa213d, payload, bytes);
	client_send(fd, b.data, b.bytes);
	buf_finish(&b);
}

/* The next frame, whose first byte is this; its payload is in *ret. */
static inline void read_frame(int fd, unsigned first, struct buf *ret)
{
	uint8_t header[10];
	uint64_t bytes = 0;

	client_receive(fd, header, 2);
	assert_int_equal(header[0], first);
	bytes = header[1];
	assert_true(bytes < 128); /* a server does not mask */
	if (bytes >= 126) {
		size_t more = bytes == 126 ? 2 : 8;

		client_receive(fd, header + 2, more);
		bytes = 0;
		for (size_t i = 0; i < more; i++)
			bytes = bytes << 8 | header[2 + i];
	}
	assert_true(bytes <= 1 << 20);
	buf_init(ret, 1 << 20);
	assert_true(buf_reserve(ret, (size_t)bytes + 1));
	client_receive(fd, ret->data, (size_t)bytes);
	ret->bytes = (size_t)bytes;
}

static inline void expect_frame(int fd, unsigned first, const void *payload, size_t bytes)
{
	struct buf got;

	read_frame(fd, first, &got);
	assert_int_equal(got.bytes, bytes);
	assert_memory_equal(got.data, bytes > 0 ? payload : (const void *)got.data, bytes);
	buf_finish(&got);
}

/* A close frame with this code (0: without one) and reason, then the end of the server's side. */
static inline void expect_close_saying(int fd, unsigned code, const char *reason)
{
	uint8_t payload[WS_CONTROL_BYTES_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };
	size_t bytes = strlen(reason);

	assert_true(bytes <= sizeof(payload) - 2);
	memcpy(payload + 2, reason, bytes);
	expect_frame(fd, 0x88, payload, code == 0 ? 0 : 2 + bytes);
	client_expect_end(fd);
}

static inline void expect_close(int fd, unsigned code)
{
	expect_close_saying(fd, code, "");
}

static inline void expect_told(struct owner *o, unsigned code, bool fault)
{
	WAIT_FOR(atomic_load(&o->closes) == 1);
	assert_int_equal(atomic_load(&o->code), code);
	assert_int_equal(atomic_load(&o->fault), fault);
}

#endif
