/* The HTTP server over real loops: requests in all their forms, refusals, deadlines, and connections that change loops. */
#include "http/server.h"

#include <netinet/tcp.h>

#include "http/server_int.h"
#include "lib/rng.h"
#include "web.h"

enum {
	PIPELINED = 50,
	SHORT_MS = 200, /* deadlines, shortened: the real ones are seconds */
	CLIENTS = 8,
};

static struct web w;

static void get(int fd, const char *path)
{
	char request[256];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	client_send_text(fd, request);
}

static void one_after_another(void **state)
{
	(void)state;
	web_start(&w, 1);
	int fd = client_connect(&w.h);

	for (int i = 0; i < PIPELINED; i++) {
		char path[32], body[32];

		snprintf(path, sizeof(path), "/echo/%d", i);
		snprintf(body, sizeof(body), "GET /%d ", i);
		get(fd, path);
		web_expect(fd, 200, body);
	}
	close(fd);
	web_finish(&w);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	(void)state;
	struct buf all;

	web_start(&w, 1);
	int fd = client_connect(&w.h);

	buf_init(&all, 1 << 20);
	for (int i = 0; i < PIPELINED; i++) {
		char request[200];

		snprintf(request, sizeof(request),
			"POST /echo/%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%.*s", i, i % 10,
			i % 10, "123456789");
		assert_true(buf_append_str(&all, str_c(request)));
	}
	client_send(fd, all.data, all.bytes);
	for (int i = 0; i < PIPELINED; i++) {
		char body[64];

		snprintf(body, sizeof(body), "POST /%d %.*s", i, i % 10, "123456789");
		web_expect(fd, 200, body);
	}
	buf_finish(&all);
	close(fd);
	web_finish(&w);
}

/* The same requests, cut into pieces of any size that arrive one by one: byte by byte, at first. */
static void requests_in_pieces(void **state)
{
	static const char requests[] =
		"GET /echo/1?q HTTP/1.1\r\nHost: a\r\n\r\n"
		"POST /echo/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
		"POST /echo/3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
		"POST /echo/4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
		"\r\nPOST /loop/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
		"POST /loop/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\ndef\r\n0\r\n\r\n"
		"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
		"GET /echo/5 HTTP/1.1\r\nHost: a\r\n\r\n";
	struct rng rng;
	int one = 1;

	(void)state;
	rng_init(&rng);
	web_start(&w, WEB_LOOPS);
	for (int round = 0; round < 20; round++) {
		int fd = client_connect(&w.h);

		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
		for (size_t at = 0, n; at < sizeof(requests) - 1; at += n) {
			n = round == 0 ? 1 : 1 + rng_below(&rng, round % 2 == 0 ? 20 : 200);
			n = n < sizeof(requests) - 1 - at ? n : sizeof(requests) - 1 - at;
			client_send(fd, requests + at, n);
		}
		web_expect(fd, 200, "GET /1 ");
		web_expect(fd, 200, "POST /2 hello");
		web_expect(fd, 200, "POST /3 hello world");
		web_expect(fd, 200, "POST /4 ");
		web_expect(fd, 200, "abc");
		web_expect(fd, 200, "def");
		web_expect(fd, 404, NULL);
		web_expect(fd, 200, "GET /5 ");
		close(fd);
	}
	web_finish(&w);
}

/* Each in one figure. */
static void expect_counted(uint64_t requests, uint64_t refused)
{
	struct http_counters c;

	http_server_counters(w.server, &c);
	assert_int_equal(c.requests, requests);
	assert_int_equal(c.refused, refused);
}

static void requests_that_are_refused(void **state)
{
	(void)state;
	web_start(&w, 1);
	web_ask(&w, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, false);
	expect_counted(2, 0); /* with the one behind it, which is served */
	web_ask(&w, "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 404, true);
	expect_counted(2, 1);
	web_ask(&w, "TRACE /echo HTTP/1.1\r\nHost: a\r\n\r\n", 405, true);
	web_ask(&w, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, true);
	web_ask(&w, "GET /echo HTTP/1.1\r\n\r\n", 400, true);
	web_ask(&w, "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, true);
	web_ask(&w, "GET /echo HTTP/1.1\r\nHost : a\r\n\r\n", 400, true);
	web_ask(&w, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, true);
	web_ask(&w,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		400, true);
	web_ask(&w, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400,
		true);
	web_ask(&w, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400, true);
	web_ask(&w, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, true);
	web_ask(&w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, true);
	web_ask(&w, "\x16\x03\x01\x02", 400, true);
	/* A body that its route does not want. */
	web_ask(&w, "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 400, true);
	expect_counted(3, 13);
	web_finish(&w);
}

static void methods(void **state)
{
	(void)state;
	struct web_answer a;

	web_start(&w, 1);
	int fd = client_connect(&w.h);

	client_send_text(
		fd, "HEAD /echo/x HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/y HTTP/1.1\r\nHost: a\r\n\r\n");
	web_read(fd, &a, true);
	assert_int_equal(a.status, 200);
	assert_true(web_says(&a, "content-length: 8"));
	web_expect(fd, 200, "GET /y ");
	/* Where nothing is, HEAD has no body either. */
	client_send_text(
		fd, "HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\nHEAD /large HTTP/1.1\r\nHost: a\r\n\r\n");
	web_read(fd, &a, true);
	assert_int_equal(a.status, 404);
	web_read(fd, &a, true);
	assert_true(web_says(&a, "content-length: 6291456"));
	client_send_text(fd,
		"PUT /echo HTTP/1.1\r\nHost: a\r\n\r\nDELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n"
		"PATCH /echo HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n"
		"BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	web_expect(fd, 200, "PUT  ");
	web_expect(fd, 200, "DELETE  ");
	web_expect(fd, 200, "PATCH  ");
	web_expect(fd, 200, "OPTIONS  ");
	web_expect(fd, 200, "BREW  ");
	close(fd);
	web_finish(&w);
}

static void connections_that_are_not_kept(void **state)
{
	static const char *const requests[] = { "GET /echo HTTP/1.0\r\n\r\n",
		"GET /echo HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" };

	(void)state;
	web_start(&w, 1);
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		int fd = client_connect(&w.h);
		struct web_answer a;

		/* What is behind it is not looked at. */
		client_send_text(fd, requests[i]);
		client_send_text(fd, "GET /echo/behind HTTP/1.1\r\nHost: a\r\n\r\n");
		web_read(fd, &a, false);
		assert_int_equal(a.status, i < 3 ? 200 : 404);
		assert_true(i < 2 || web_says(&a, "connection: close"));
		buf_finish(&a.body);
		client_expect_end(fd);
		close(fd);
	}
	int fd = client_connect(&w.h);

	client_send_text(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	web_expect(fd, 200, "GET  ");
	get(fd, "/echo");
	web_expect(fd, 200, "GET  ");
	close(fd);
	web_finish(&w);
}

static void who_has_ended_its_side_is_answered(void **state)
{
	(void)state;
	web_start(&w, 1);
	int fd = client_connect(&w.h);

	client_send_text(
		fd, "GET /echo/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/2 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	web_expect(fd, 200, "GET /1 ");
	web_expect(fd, 200, "GET /2 ");
	client_expect_end(fd);
	close(fd);
	/* Cut short: there is nothing that could be answered but that. */
	static const char *const cut[] = { "GET /ec",
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel" };

	for (size_t i = 0; i < 3; i++) {
		fd = client_connect(&w.h);
		client_send_text(fd, cut[i]);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		web_expect(fd, 400, NULL);
		client_expect_end(fd);
		close(fd);
	}
	/* Nothing asked, nothing answered. */
	fd = client_connect(&w.h);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	client_expect_end(fd);
	close(fd);
	web_finish(&w);
}

/* Shorten the deadlines of all loops, before there is any connection. */
static void shorten(struct net_loop *loop, void *ctx)
{
	struct http_loop *at = &w.server->loops[net_loop_index(loop)];

	(void)ctx;
	at->heads.delay_ns = at->bodies.delay_ns = at->idles.delay_ns = SHORT_MS * CLOCK_NS_PER_MS;
}

static void requests_that_take_too_long(void **state)
{
	static const char *const slow[] = { "G", "GET /echo HTTP/1.1\r\n",
		"GET /echo HTTP/1.1\r\nHost: a\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel" };

	(void)state;
	web_start(&w, 1);
	harness_call(&w.h, 0, shorten, NULL);
	for (size_t i = 0; i < sizeof(slow) / sizeof(*slow); i++) {
		/* The first of a connection, and the second. */
		for (int second = 0; second < 2; second++) {
			int fd = client_connect(&w.h);

			if (second) {
				get(fd, "/echo");
				web_expect(fd, 200, NULL);
			}
			client_send_text(fd, slow[i]);
			web_expect(fd, 408, NULL);
			client_expect_end(fd);
			close(fd);
		}
	}
	struct http_counters c;

	http_server_counters(w.server, &c);
	assert_int_equal(c.timeouts, 10);
	/* Nothing asked: closed in order, without a word. */
	for (int second = 0; second < 2; second++) {
		int fd = client_connect(&w.h);

		if (second) {
			get(fd, "/echo");
			web_expect(fd, 200, NULL);
		}
		client_expect_end(fd);
		close(fd);
	}
	http_server_counters(w.server, &c);
	assert_int_equal(c.timeouts, 10);
	web_finish(&w);
}

/* Byte by byte a head does not last longer; a body lasts as long as enough of it comes in each turn. */
static void slow_and_steady(void **state)
{
	(void)state;
	static char some[HTTP_BODY_TURN_BYTES];

	web_start(&w, 1);
	harness_call(&w.h, 0, shorten, NULL);
	int fd = client_connect(&w.h);
	uint64_t began_ns = clock_now_ns();

	client_send_text(fd, "GET /echo HTTP/1.1\r\nHost: a\r\nX: ");
	while (!client_readable(fd)) {
		client_send_text(fd, "x");
		poll(NULL, 0, 5);
	}
	assert_true(clock_now_ns() - began_ns >= SHORT_MS * CLOCK_NS_PER_MS);
	web_expect(fd, 408, NULL);
	close(fd);

	fd = client_connect(&w.h);
	client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n");
	/* Nine turns' worth, each well within a turn. */
	for (int i = 0; i < 9; i++) {
		assert_false(client_readable(fd));
		client_send(fd, some, sizeof(some));
		struct pollfd p = { .fd = fd, .events = POLLIN };

		poll(&p, 1, SHORT_MS / 4);
	}
	web_expect(fd, 200, NULL);
	close(fd);
	web_finish(&w);
}

/* Each request goes to the loop that must serve it, whatever waits behind it. */
static void connections_that_change_loops(void **state)
{
	(void)state;
	int fds[CLIENTS];
	struct rng rng;
	struct net_counters c;

	rng_init(&rng);
	web_start(&w, WEB_LOOPS);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client_connect(&w.h);
	for (int round = 0; round < 20; round++) {
		char loops[CLIENTS][10], request[200];

		for (int i = 0; i < CLIENTS; i++) {
			for (int n = 0; n < 10; n++) {
				loops[i][n] = (char)('0' + rng_below(&rng, WEB_LOOPS));
				snprintf(request, sizeof(request), "GET /loop/%c HTTP/1.1\r\nHost: a\r\n\r\n",
					loops[i][n]);
				client_send_text(fds[i], request);
			}
			/* A body that is still to come when its connection moves. */
			client_send_text(fds[i],
				round % 2 == 0
					? "POST /loop/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo"
					: "POST /loop/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
					  "chunked\r\n\r\n4\r\nbo");
		}
		for (int i = 0; i < CLIENTS; i++)
			client_send_text(fds[i], round % 2 == 0 ? "dy" : "dy\r\n0\r\n\r\n");
		for (int i = 0; i < CLIENTS; i++) {
			for (int n = 0; n < 10; n++)
				web_expect(fds[i], 200, (char[2]){ loops[i][n], '\0' });
			web_expect(fds[i], 200, "body");
		}
	}
	net_pool_counters(w.h.pool, &c);
	assert_true(c.moved > CLIENTS * 20);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	web_finish(&w);
}

/* Answer at once, with a name. */
static void named(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	(void)r;
	http_answer_text(x, 200, true, str_c(ctx));
}

/* Just that path, else the longest prefix, in whatever order they were added; and as many as there may be. */
static void the_route_that_fits_best(void **state)
{
	(void)state;
	static char names[HTTP_ROUTES_MAX][20];
	struct http_route more = { .path = "/a",
		.loop_of = http_route_any_loop,
		.begin = http_route_begin,
		.serve = named,
		.ctx = "more" };
	struct web_answer a;
	int routes = 5;

	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/a", .serve = named, .ctx = "exact" });
	web_add(&w, &(struct http_route){ .path = "/a", .prefix = true, .serve = named, .ctx = "prefix" });
	web_add(&w, &(struct http_route){ .path = "/a/b", .serve = named, .ctx = "exact below" });
	web_add(&w, &(struct http_route){ .path = "/a/", .prefix = true, .serve = named, .ctx = "longer" });
	web_add(&w, &(struct http_route){ .path = "/b/", .prefix = true, .serve = named, .ctx = "other" });
	web_add(&w, &(struct http_route){ .path = "/c d", .serve = named, .ctx = "decoded" });
	assert_int_equal(http_server_route(w.server, &more), -EEXIST);
	more.prefix = true;
	assert_int_equal(http_server_route(w.server, &more), -EEXIST);
	more.path = "/b/";
	assert_int_equal(http_server_route(w.server, &more), -EEXIST);
	for (routes += 6; routes < HTTP_ROUTES_MAX; routes++) {
		snprintf(names[routes], sizeof(names[routes]), "/more%d", routes);
		more.path = names[routes];
		more.prefix = routes % 2 == 0;
		assert_int_equal(http_server_route(w.server, &more), 0);
	}
	more.path = "/one too many";
	assert_int_equal(http_server_route(w.server, &more), -ENOSPC);
	web_run(&w);
	int fd = client_connect(&w.h);

	get(fd, "/a");
	web_read(fd, &a, false);
	assert_true(web_says(&a, "content-type: text/html"));
	assert_true(str_equal(buf_str(&a.body), STR("exact")));
	buf_finish(&a.body);
	get(fd, "/a?b");
	web_expect(fd, 200, "exact");
	get(fd, "/a/b");
	web_expect(fd, 200, "exact below");
	get(fd, "/a/bc");
	web_expect(fd, 200, "longer");
	get(fd, "/a/");
	web_expect(fd, 200, "longer");
	get(fd, "/b/c");
	web_expect(fd, 200, "other");
	get(fd, "/abc");
	web_expect(fd, 200, "prefix");
	get(fd, "/%61/x");
	web_expect(fd, 200, "longer");
	get(fd, "/c%20d");
	web_expect(fd, 200, "decoded");
	get(fd, names[routes - 1]);
	web_expect(fd, 200, "more");
	get(fd, names[routes - 2]);
	web_expect(fd, 200, "more");
	get(fd, "/mor");
	web_expect(fd, 404, NULL);
	get(fd, "/more11/");
	web_expect(fd, 404, NULL);
	close(fd);
	web_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_after_another),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(requests_in_pieces),
		cmocka_unit_test(requests_that_are_refused),
		cmocka_unit_test(methods),
		cmocka_unit_test(connections_that_are_not_kept),
		cmocka_unit_test(who_has_ended_its_side_is_answered),
		cmocka_unit_test(requests_that_take_too_long),
		cmocka_unit_test(slow_and_steady),
		cmocka_unit_test(connections_that_change_loops),
		cmocka_unit_test(the_route_that_fits_best),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
