/* Kinds of answers, connections that are taken over for another protocol, and sessions without memory. */
#include "http/server.h"

#include "lib/failing_alloc.h"
#include "web.h"

enum { ROUNDS = 40 };

static struct web w;

static void get(int fd, const char *path)
{
	char request[256];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	client_send_text(fd, request);
}

static int get_new(const char *path)
{
	int fd = client_connect(&w.h);

	get(fd, path);
	return fd;
}

/* A connection that is taken over: what came behind the request belongs to its new owner. */
static struct sides taken;

static void serve_take(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	(void)ctx;
	(void)r;
	struct net_conn *conn = http_exchange_take(x);

	sides_accepted(conn, &taken);
	/* Not before this call has returned. */
	assert(atomic_load(&taken.all[atomic_load(&taken.count) - 1].received) == 0);
}

static void echo(struct side *s)
{
	side_send(s, atomic_load(&s->received) - atomic_load(&s->out));
}

static void close_itself(struct side *s)
{
	side_close(s);
}

static void connections_taken_over(void **state)
{
	static const char request[] = "GET /take HTTP/1.1\r\nHost: a\r\n\r\n";
	struct buf all;

	(void)state;
	memset(&taken, 0, sizeof(taken));
	taken.hooks = (struct side_hooks){ .data = echo, .ended = close_itself };
	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/take", .serve = serve_take });
	web_run(&w);
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = client_connect(&w.h);
		size_t behind = i % 4 * 300;

		/* Alone, with bytes behind it, and behind another request; whole and in two. */
		buf_init(&all, 1 << 20);
		if (i % 3 == 0)
			assert_true(buf_append_str(&all, STR("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")));
		assert_true(buf_append(&all, request, sizeof(request) - 1));
		for (size_t n = 0; n < behind; n++)
			assert_true(buf_append(&all, &(uint8_t){ side_byte(n) }, 1));
		size_t first = i % 2 == 0 ? all.bytes : all.bytes / 2;

		client_send(fd, all.data, first);
		client_send(fd, all.data + first, all.bytes - first);
		if (i % 3 == 0)
			web_expect(fd, 200, "GET  ");
		client_send_stream(fd, behind, 1000);
		client_expect_stream(fd, 0, behind + 1000);
		close(fd);
		WAIT_FOR(atomic_load(&sides_wait(&taken, i)->cut));
		buf_finish(&all);
	}
	web_finish(&w);
}

static void serve_answers(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	static const struct http_header headers[] = { { STR_INIT("X-One"), STR_INIT("1") },
		{ STR_INIT("X-Two"), STR_INIT("2") } };
	struct http_response answer_of = { .status = 200,
		.content_type = STR("text/x"),
		.cache_control = STR("no-store"),
		.headers = headers,
		.header_count = 2 };
	char how = r->path.s[r->path.bytes - 1];
	struct buf body;

	(void)ctx;
	if (how == 'n' || how == 'm') {
		answer_of.status = how == 'n' ? 204 : 304;
		http_answer(x, &answer_of, NULL, 0);
		return;
	}
	buf_init(&body, 100);
	bool ok = buf_append_str(&body, STR("a body"));

	assert(ok);
	http_answer_buf(x, &answer_of, &body);
	assert(body.data == NULL && body.bytes == 0);
}

static void kinds_of_answers(void **state)
{
	(void)state;
	struct web_answer a;
	size_t left;

	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/answers/", .prefix = true, .serve = serve_answers });
	web_run(&w);
	int fd = get_new("/answers/b");

	web_read(fd, &a, false);
	assert_true(str_equal(buf_str(&a.body), STR("a body")));
	assert_true(web_says(&a, "content-type: text/x") && web_says(&a, "cache-control: no-store"));
	assert_true(
		web_says(&a, "x-one: 1") && web_says(&a, "x-two: 2") && web_says(&a, "content-length: 6"));
	assert_true(web_says(&a, "x-content-type-options: nosniff"));
	assert_non_null(strcasestr(a.head, "\r\ndate: "));
	assert_null(strcasestr(a.head, "\r\nserver: "));
	buf_finish(&a.body);
	get(fd, "/answers/n");
	web_read(fd, &a, true);
	assert_int_equal(a.status, 204);
	assert_null(strcasestr(a.head, "content-length"));
	get(fd, "/answers/m");
	web_read(fd, &a, true);
	assert_int_equal(a.status, 304);
	client_send_text(fd, "HEAD /answers/b HTTP/1.1\r\nHost: a\r\n\r\n");
	web_read(fd, &a, true);
	assert_true(web_says(&a, "content-length: 6"));
	get(fd, "/large");
	web_read(fd, &a, false);
	assert_int_equal(a.body.bytes, WEB_LARGE_BYTES);
	assert_memory_equal(a.body.data, side_content(0, &left), WEB_LARGE_BYTES);
	buf_finish(&a.body);
	close(fd);
	web_finish(&w);
}

/* A session in which the n-th allocation fails harms nobody but itself. It must not allocate on our own side. */
static void session(int fd)
{
	static const char requests[] =
		"GET /loop/0 HTTP/1.1\r\nHost: a\r\n\r\n"
		"POST /loop/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe";
	static const char rest[] =
		"\r\n3\r\nllo\r\n0\r\n\r\nPOST /loop/0 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
		"Content-Length: 5\r\n\r\n";
	char got[4096];
	size_t bytes = 0;
	ssize_t n;

	(void)send(fd, requests, sizeof(requests) - 1, MSG_NOSIGNAL);
	(void)send(fd, rest, sizeof(rest) - 1, MSG_NOSIGNAL);
	(void)send(fd, "hello", 5, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (bytes < sizeof(got) && (n = client_recv(fd, got + bytes, sizeof(got) - bytes)) > 0)
		bytes += (size_t)n;
	assert_true(bytes < sizeof(got));
}

static void without_memory(void **state)
{
	(void)state;
	unsigned n = 0;
	bool failed;

	web_start(&w, 1);
	do {
		failing_alloc_arm(++n);
		int fd = client_connect(&w.h);

		session(fd);
		failed = failing_alloc_disarm();
		close(fd);
		web_ask(&w, "GET /loop/0 HTTP/1.1\r\nHost: a\r\n\r\n", 200, false);
	} while (failed);
	assert_true(n > 5);
	web_finish(&w);
}

/* A connection that moves may be lost before it leaves, or where it arrives: there a table must grow for it. */
static void moves_without_memory(void **state)
{
	(void)state;
	enum { MOVERS = 16, OTHERS = 32 }; /* the 33rd of a loop needs a larger table */
	int movers[MOVERS], others[OTHERS];
	unsigned n = 0;
	bool failed = true;

	web_start(&w, 2);
	for (unsigned i = 0; i < MOVERS; i++) {
		movers[i] = get_new("/loop/0");
		web_expect(movers[i], 200, "0");
	}
	for (unsigned i = 0; i < OTHERS; i++) {
		others[i] = get_new("/loop/1");
		web_expect(others[i], 200, "1");
	}
	while (failed && n < MOVERS) {
		int fd = movers[n];

		failing_alloc_arm(++n);
		client_send_text(fd, "GET /loop/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		client_expect_gone(fd); /* with an answer or without */
		failed = failing_alloc_disarm();
	}
	assert_true(n > 2);
	assert_false(failed);
	for (unsigned i = 0; i < OTHERS; i++) {
		get(others[i], "/loop/1");
		web_expect(others[i], 200, "1");
		close(others[i]);
	}
	for (unsigned i = 0; i < MOVERS; i++)
		close(movers[i]);
	web_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_of_answers),
		cmocka_unit_test(connections_taken_over),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(moves_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
