/* Bodies of requests: by length and in chunks, in pieces, too long, and waited for. */
#include "http/server.h"

#include "http/server_int.h"
#include "web.h"

enum {
	CHUNKS = 50,
	SHORT_MS = 200, /* a deadline, shortened: the real one is seconds */
};

static struct web w;

static void bodies_of_all_sizes(void **state)
{
	static char body[WEB_BODY_BYTES_MAX + 100];
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, WEB_BODY_BYTES_MAX - 1,
		WEB_BODY_BYTES_MAX };

	(void)state;
	web_start(&w, 1);
	int fd = client_connect(&w.h);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct web_answer a;
		char head[128];

		for (size_t n = 0; n < sizes[i]; n++)
			body[n] = (char)side_byte(n);
		for (int chunked = 0; chunked < 2; chunked++) {
			snprintf(head, sizeof(head),
				chunked ? "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
					  "chunked\r\n\r\n"
					: "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
				sizes[i]);
			client_send_text(fd, head);
			for (size_t at = 0, n; chunked && at < sizes[i]; at += n) {
				n = sizes[i] - at < 30000 ? sizes[i] - at : 30000;
				snprintf(head, sizeof(head), "%zx\r\n", n);
				client_send_text(fd, head);
				client_send(fd, body + at, n);
				client_send_text(fd, "\r\n");
			}
			if (chunked)
				client_send_text(fd, "0\r\n\r\n");
			else
				client_send(fd, body, sizes[i]);
			web_read(fd, &a, false);
			assert_int_equal(a.status, 200);
			assert_int_equal(a.body.bytes, sizes[i] + 6);
			assert_memory_equal(a.body.data + 6, body, sizes[i]);
			buf_finish(&a.body);
		}
	}
	close(fd);
	web_finish(&w);
}

static atomic_uint looks;

static uint32_t count_looks(void *ctx, const struct http_head *head)
{
	(void)ctx;
	(void)head;
	atomic_fetch_add(&looks, 1);
	return HTTP_ANY_LOOP;
}

/* However many pieces a chunked body comes in, its head is looked at only when it comes and when all is there. */
static void a_chunked_body_in_single_bytes(void **state)
{
	static const char head[] = "POST /echo/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct net_counters c = { 0 };
	struct buf rest, body;

	(void)state;
	buf_init(&rest, 1000);
	buf_init(&body, 1000);
	bool appended = buf_append_str(&body, STR("POST /1 "));
	for (int i = 0; i < CHUNKS; i++)
		appended = appended && buf_append_str(&rest, STR("1\r\nx\r\n")) && buf_append(&body, "x", 1);
	assert_true(appended && buf_append_str(&rest, STR("0\r\n\r\n")) && buf_append(&body, "", 1));
	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/echo/1",
			    .body_bytes_max = CHUNKS,
			    .loop_of = count_looks,
			    .serve = web_echo });
	web_run(&w);
	for (int round = 0; round < 2; round++) {
		int fd = client_connect(&w.h);
		uint64_t before = c.bytes_in;

		atomic_store(&looks, 0);
		/* The head too, in two pieces or in one. */
		client_send(fd, head, round == 0 ? sizeof(head) - 1 : 20);
		WAIT_FOR((net_pool_counters(w.h.pool, &c), c.bytes_in >= before + 20));
		client_send_text(fd, round == 0 ? "" : head + 20);
		for (size_t at = 0; at < rest.bytes; at++) {
			client_send(fd, rest.data + at, 1);
			WAIT_FOR((net_pool_counters(w.h.pool, &c), c.bytes_in == before + sizeof(head) + at));
		}
		web_expect(fd, 200, (const char *)body.data);
		assert_in_range(atomic_load(&looks), 2, 3);
		client_send_text(fd, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
		web_expect(fd, 200, NULL);
		net_pool_counters(w.h.pool, &c);
		close(fd);
	}
	buf_finish(&rest);
	buf_finish(&body);
	web_finish(&w);
}

static void bodies_that_are_too_large(void **state)
{
	(void)state;
	web_start(&w, 1);
	/* Told by its head alone: nobody waits for it. */
	web_ask(&w, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n", 413, true);
	web_ask(&w,
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\nExpect: "
		"100-continue\r\n\r\n",
		413, true);
	web_ask(&w, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n", 413,
		true);
	web_ask(&w,
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		413, true);
	/* One that comes piece by piece is refused when it has come too far. */
	int fd = client_connect(&w.h);

	client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 11; i++) {
		char chunk[10000] = { 0 };

		client_send_text(fd, "2710\r\n");
		client_send(fd, chunk, sizeof(chunk));
		client_send_text(fd, i < 10 ? "\r\n" : "");
	}
	web_expect(fd, 413, NULL);
	client_expect_end(fd);
	close(fd);
	struct http_counters c;

	http_server_counters(w.server, &c);
	assert_int_equal(c.refused, 5);
	assert_int_equal(c.requests, 0);
	web_finish(&w);
}

static void add_more(void *ctx, struct http_exchange *x, const struct http_head *head)
{
	static const struct http_header more = { .name = STR_INIT("X-More"), .value = STR_INIT("yes") };

	(void)ctx;
	(void)head;
	http_exchange_add(x, &more, 1);
}

/* Shorten the deadlines of bodies, before there is any connection. */
static void shorten(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	w.server->loops[net_loop_index(loop)].bodies.delay_ns = SHORT_MS * CLOCK_NS_PER_MS;
}

/* What a route says of all its answers is in each once, whoever gives it, and in no other. */
static void what_all_answers_have(void **state)
{
#define POST "POST /more HTTP/1.1\r\nHost: a\r\n"
#define LONG POST "Content-Length: "
	static const struct {
		const char *request;
		int status;
	} asked[] = { { LONG "101\r\n\r\n", 413 }, { POST "Transfer-Encoding: chunked\r\n\r\n65\r\n", 413 },
		{ LONG "5\r\n\r\nhe", 408 }, { POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", 408 },
		{ POST "Transfer-Encoding: chunked\r\n\r\nx", 400 }, { LONG "5\r\n\r\nhello", 200 },
		{ POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200 } };
#undef LONG
#undef POST

	(void)state;
	web_create(&w, 1);
	web_add(&w, &(struct http_route){
			    .path = "/more", .body_bytes_max = 100, .head = add_more, .serve = web_loop });
	web_run(&w);
	harness_call(&w.h, 0, shorten, NULL);
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		int fd = client_connect(&w.h);
		struct web_answer a;

		client_send_text(fd, asked[i].request);
		web_read(fd, &a, false);
		assert_int_equal(a.status, asked[i].status);
		const char *more = strstr(a.head, "\r\nX-More: yes\r\n");
		assert_non_null(more);
		assert_null(strstr(more + 3, "X-More"));
		buf_finish(&a.body);
		if (a.status == 200) { /* of what is asked next on that connection nothing is said */
			client_send_text(fd, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
			web_read(fd, &a, false);
			assert_null(strstr(a.head, "X-More"));
			buf_finish(&a.body);
		}
		close(fd);
	}
	web_finish(&w);
}

static void a_client_that_waits_for_100(void **state)
{
	static const char continued[] = "HTTP/1.1 100 Continue\r\n\r\n";

	(void)state;
	web_start(&w, 1);
	int fd = client_connect(&w.h);

	for (int round = 0; round < 3; round++) {
		client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: "
				     "100-continue\r\nContent-Length: 5\r\n\r\n");
		client_expect(fd, continued, sizeof(continued) - 1);
		client_send_text(fd, "hel");
		client_send_text(fd, "lo");
		web_expect(fd, 200, "POST  hello");
		client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: "
				     "100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
		client_expect(fd, continued, sizeof(continued) - 1);
		client_send_text(fd, "5\r\nhello\r\n0\r\n\r\n");
		web_expect(fd, 200, "POST  hello");
		/* Its body is there already: it need not be told. */
		client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: "
				     "100-continue\r\nContent-Length: 5\r\n\r\nhello");
		web_expect(fd, 200, "POST  hello");
	}
	close(fd);
	web_ask(&w, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\nContent-Length: 5\r\n\r\n",
		417, true);
	web_ask(&w, "POST /refused HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		400, true);
	web_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_of_all_sizes),
		cmocka_unit_test(a_chunked_body_in_single_bytes),
		cmocka_unit_test(bodies_that_are_too_large),
		cmocka_unit_test(what_all_answers_have),
		cmocka_unit_test(a_client_that_waits_for_100),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
