/*
 * tests/unit/http/web.h -- an HTTP server on real loops for tests, with a few routes; and a client that reads answers.
 *
 *      /echo       the method, the path's rest and the body, as text     /large      WEB_LARGE_BYTES of bytes
 *      /loop/N     N, from that loop                                      /held       kept until the test answers it
 *      /refused    its body is not wanted
 *
 * Handlers run on the loops and say what they think by assert().
 */
#ifndef TESTS_UNIT_HTTP_WEB_H
#define TESTS_UNIT_HTTP_WEB_H

#include <stdatomic.h>
#include <stdio.h>

#include "http/server.h"
#include "unit/net/side.h"

enum {
	WEB_LOOPS = 2,
	WEB_BODY_BYTES_MAX = 100000,
	WEB_LARGE_BYTES = 6 << 20,
	WEB_HELD_MAX = 64,
};

struct web {
	struct harness h;
	struct http_server *server;
	/* Of /held: requests that wait, the n-th at its place; belongs to the loop that serves it. */
	struct http_exchange *held[WEB_HELD_MAX];
	atomic_uint held_count;
	atomic_uint served;
};

static inline struct str web_rest(const struct http_request *r, size_t skip)
{
	assert(r->path.bytes >= skip);
	return str_of(r->path.s + skip, r->path.bytes - skip);
}

static inline void web_echo(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	struct web *w = ctx;
	struct buf text;

	buf_init(&text, 1 << 20);
	bool ok = buf_append_str(&text, r->head->method_text) && buf_append(&text, " ", 1) &&
		  buf_append_str(&text, web_rest(r, sizeof("/echo") - 1)) && buf_append(&text, " ", 1) &&
		  buf_append(&text, r->body, r->body_bytes);

	assert(ok);
	assert(net_conn_loop(http_exchange_conn(x)) == net_loop_current());
	if (r->body_bytes > 0)
		memset(r->body, 0xee, r->body_bytes); /* it is ours to write on */
	atomic_fetch_add(&w->served, 1);
	http_answer_text(x, 200, false, buf_str(&text));
	assert(http_exchange_fate(x) == NET_FATE_OPEN);
	buf_finish(&text);
}

static inline void web_large(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	struct http_response answer = { .status = 200, .content_type = STR("application/octet-stream") };
	size_t left;

	(void)ctx;
	(void)r;
	http_answer_static(x, &answer, side_content(0, &left), WEB_LARGE_BYTES);
}

static inline uint32_t web_loop_of(void *ctx, const struct http_head *head)
{
	(void)ctx;
	uint32_t n = (uint32_t)(head->path.s[head->path.bytes - 1] - '0');

	return n < WEB_LOOPS ? n : HTTP_ANY_LOOP;
}

static inline void web_loop(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	struct web *w = ctx;
	char text[2] = { (char)('0' + net_loop_index(net_loop_current())), '\0' };

	assert(net_conn_loop(http_exchange_conn(x)) == net_loop_current());
	atomic_fetch_add(&w->served, 1);
	http_answer(x, &(struct http_response){ .status = 200 },
		r->body_bytes > 0 ? (const char *)r->body : text, r->body_bytes > 0 ? r->body_bytes : 1);
}

static inline void web_held(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	struct web *w = ctx;
	unsigned n = atomic_load(&w->held_count);

	(void)r;
	assert(n < WEB_HELD_MAX && http_exchange_fate(x) != NET_FATE_OPEN);
	w->held[n] = x;
	atomic_store(&w->held_count, n + 1);
}

/* What /refused answers; its bodies are never let come. */
static inline void web_refused(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	(void)ctx;
	assert(r->body_bytes == 0);
	http_answer_text(x, 400, false, STR("no bodies here"));
}

static inline bool web_refuse(void *ctx, struct http_exchange *x, const struct http_head *head)
{
	(void)ctx;
	(void)x;
	assert(head->body != HTTP_BODY_NONE);
	return false;
}

static inline void web_add(struct web *w, const struct http_route *route)
{
	struct http_route full = *route;

	full.ctx = full.ctx == NULL ? w : full.ctx;
	full.loop_of = full.loop_of == NULL ? http_route_any_loop : full.loop_of;
	full.begin = full.begin == NULL ? http_route_begin : full.begin;
	assert_int_equal(http_server_route(w->server, &full), 0);
}

static inline void web_stopping(struct net_loop *loop, void *ctx)
{
	struct web *w = ctx;

	http_server_stopping(w->server, loop);
}

/* Made, with its routes; more may be added before web_run(). */
static inline void web_create(struct web *w, uint32_t loops)
{
	struct web empty = { .server = NULL };

	memcpy(w, &empty, sizeof(*w));
	harness_create(
		&w->h, &(struct net_pool_options){ .loops = loops, .stopping = web_stopping, .ctx = w });
	w->server = http_server_create(w->h.pool);
	assert_non_null(w->server);
	web_add(w, &(struct http_route){ .path = "/echo",
			   .prefix = true,
			   .body_bytes_max = WEB_BODY_BYTES_MAX,
			   .serve = web_echo });
	web_add(w, &(struct http_route){ .path = "/large", .serve = web_large });
	web_add(w, &(struct http_route){ .path = "/loop/",
			   .prefix = true,
			   .body_bytes_max = WEB_BODY_BYTES_MAX,
			   .loop_of = web_loop_of,
			   .serve = web_loop });
	web_add(w, &(struct http_route){
			   .path = "/held", .body_bytes_max = WEB_BODY_BYTES_MAX, .serve = web_held });
	web_add(w, &(struct http_route){ .path = "/refused",
			   .body_bytes_max = 1000,
			   .begin = web_refuse,
			   .serve = web_refused });
}

static inline void web_run(struct web *w)
{
	harness_listen(&w->h, http_server_accepted, w->server);
	harness_run(&w->h);
}

static inline void web_start(struct web *w, uint32_t loops)
{
	web_create(w, loops);
	web_run(w);
}

static inline void web_finish(struct web *w)
{
	net_pool_stop(w->h.pool);
	harness_join(&w->h);
	net_pool_close(w->h.pool);
	http_server_destroy(w->server);
	harness_finish(&w->h);
}

/* An answer as it came. */
struct web_answer {
	int status;
	char head[4096]; /* status line and headers, with the empty line */
	struct buf body;
};

/* Read one; `head_only` where no body follows what content-length says. */
static inline void web_read(int fd, struct web_answer *a, bool head_only)
{
	size_t bytes = 0;
	uint64_t length = 0;

	/* Byte by byte: what is behind it belongs to the next. */
	while (bytes < 4 || memcmp(a->head + bytes - 4, "\r\n\r\n", 4) != 0) {
		assert_true(bytes < sizeof(a->head) - 1);
		client_receive(fd, a->head + bytes++, 1);
	}
	a->head[bytes] = '\0';
	assert_memory_equal(a->head, "HTTP/1.1 ", 9);
	a->status = (int)strtol(a->head + 9, NULL, 10);
	const char *at = strcasestr(a->head, "\r\ncontent-length: ");

	if (at != NULL)
		length = strtoull(at + sizeof("\r\ncontent-length: ") - 1, NULL, 10);
	assert_true(at != NULL || a->status < 200 || a->status == 204 || a->status == 304);
	assert_true(length <= WEB_LARGE_BYTES);
	buf_init(&a->body, WEB_LARGE_BYTES);
	if (head_only || length == 0)
		return;
	assert_true(buf_reserve(&a->body, (size_t)length));
	client_receive(fd, a->body.data, (size_t)length);
	a->body.bytes = (size_t)length;
}

static inline bool web_says(const struct web_answer *a, const char *line)
{
	char want[200];

	snprintf(want, sizeof(want), "\r\n%s\r\n", line);
	return strcasestr(a->head, want) != NULL;
}

/* The next answer has this status and this body; body NULL: any. */
static inline void web_expect(int fd, int status, const char *body)
{
	struct web_answer a;

	web_read(fd, &a, false);
	assert_int_equal(a.status, status);
	if (body != NULL) {
		assert_int_equal(a.body.bytes, strlen(body));
		assert_memory_equal(
			a.body.data == NULL ? (const uint8_t *)"" : a.body.data, body, a.body.bytes);
	}
	buf_finish(&a.body);
}

/* Send a request and read what it gets, on a connection of its own, which the server must then close or keep open. */
static inline void web_ask(struct web *w, const char *request, int status, bool closes)
{
	int fd = client_connect(&w->h);

	client_send_text(fd, request);
	web_expect(fd, status, NULL);
	if (closes) {
		client_expect_end(fd);
	} else {
		client_send_text(fd, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
		web_expect(fd, 200, "GET  ");
	}
	close(fd);
}

#endif
