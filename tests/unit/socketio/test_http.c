/* sio/http.h: what can be served and said, whose exchange it is, and what happens without memory. */
#include "sio/http.h"

#include "lib/failing_alloc.h"
#include "served.h"
#include "sio/stats.h"

enum { BODY_BYTES = 20000, TRIES_MAX = 60 };

static struct served s;
static struct sio_exchange last; /* of /held */
static atomic_uint held, fail_at, answered;

static int reply(struct sio_exchange x, const char *text)
{
	return sio_reply(x, &(struct sio_response){ .status = 200 }, (struct sio_str){ text, strlen(text) });
}

static void on_held(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	(void)r;
	(void)ctx;
	last = x;
	atomic_fetch_add(&held, 1);
}

static void on_large(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	static char body[BODY_BYTES];
	struct sio_header headers[] = { { "X-A", "a" }, { "X-B", "" } };
	struct sio_response response = { .status = 200, .headers = headers, .header_count = 2 };

	(void)r;
	(void)ctx;
	memset(body, 'x', sizeof(body));
	failing_alloc_arm(atomic_load(&fail_at));
	int rc = sio_reply(x, &response, (struct sio_str){ body, sizeof(body) });
	assert(rc == 0 || rc == -ENOMEM);
	atomic_fetch_add(&answered, 1);
}

static void serve_held(uint32_t threads)
{
	atomic_store(&held, 0);
	served_create(&s, &(struct sio_options){ .threads = threads });
	assert_int_equal(sio_http(s.io, "/held", 100, on_held, NULL), 0);
	assert_int_equal(sio_http(s.io, "/large", 100, on_large, NULL), 0);
	served_run(&s);
}

/* A client whose request for /held is there. */
static int hold(void)
{
	unsigned before = atomic_load(&held);
	int fd = client_connect(&s.h);

	client_send_text(fd, "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
	WAIT_FOR(atomic_load(&held) == before + 1);
	return fd;
}

static struct sio_asset asset_at(const char *path)
{
	return (struct sio_asset){
		.path = path,
		.content_type = "text/plain",
		.etag = "\"a\"",
		.cache_control = "no-cache",
		.identity = { "a", 1 },
	};
}

static void paths_have_limits(void **state)
{
	char path[2][SIO_PATH_BYTES_MAX + 2];
	struct sio_asset a;
	int count = 4;

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	assert_int_equal(sio_http(s.io, "held", 0, on_held, NULL), -EINVAL);
	assert_int_equal(sio_http(s.io, "", 0, on_held, NULL), -EINVAL);
	assert_int_equal(sio_http(s.io, "/a", HTTP_BODY_BYTES_MAX + 1, on_held, NULL), -EINVAL);
	for (int i = 0; i < 2; i++) {
		memset(path[i], '/' + i, sizeof(path[i]));
		path[i][0] = '/';
		path[i][SIO_PATH_BYTES_MAX + i] = '\0';
	}
	assert_int_equal(sio_http(s.io, path[0], HTTP_BODY_BYTES_MAX, on_held, NULL), 0);
	assert_int_equal(sio_http(s.io, path[1], 0, on_held, NULL), -EINVAL);
	assert_int_equal(sio_http(s.io, "/a", 0, on_held, NULL), 0);
	assert_int_equal(sio_http(s.io, "/a", 0, on_held, NULL), -EEXIST);
	assert_int_equal(sio_http(s.io, "/a/", 0, on_held, NULL), 0); /* what is below is another */
	assert_int_equal(sio_http(s.io, "/a/", 0, on_held, NULL), -EEXIST);
	a = asset_at("/a/");
	assert_int_equal(sio_serve_asset(s.io, &a), 0); /* and just that path a third */
	assert_int_equal(sio_serve_asset(s.io, &a), -EEXIST);
	for (; count < SIO_HTTP_PATHS_MAX; count++) {
		snprintf(path[0], sizeof(path[0]), "/%d", count);
		assert_int_equal(sio_http(s.io, path[0], 0, on_held, NULL), 0);
	}
	assert_int_equal(sio_http(s.io, "/b", 0, on_held, NULL), -ENOSPC);
	a = asset_at("/b");
	assert_int_equal(sio_serve_asset(s.io, &a), -ENOSPC);
	assert_int_equal(sio_serve_file(s.io, "/b", "/proc/self/exe"), -ENOSPC);
	served_finish(&s);
}

static void assets_that_cannot_be(void **state)
{
	struct sio_header many[SIO_HTTP_HEADERS_MAX + 1], bad = { "Bad Name", "a" };
	char long_tag[HTTP_ETAG_BYTES_MAX];

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	memset(long_tag, 'a', sizeof(long_tag));
	long_tag[0] = long_tag[HTTP_ETAG_BYTES_MAX - 8] = '"';
	long_tag[HTTP_ETAG_BYTES_MAX - 7] = '\0';
	for (size_t i = 0; i < SIO_HTTP_HEADERS_MAX + 1; i++)
		many[i] = (struct sio_header){ "X-A", "a" };
	struct sio_asset good = asset_at("/a"),
			 wrong[] = { good, good, good, good, good, good, good, good, good, good, good };
	wrong[0].content_type = NULL;
	wrong[1].content_type = "a\r\n";
	wrong[2].etag = NULL;
	wrong[3].etag = "";
	wrong[4].etag = "a";
	wrong[5].etag = "\"a\"b\"";
	wrong[6].etag = long_tag;
	wrong[7].cache_control = "a\nb";
	wrong[8].identity.data = NULL;
	wrong[9].headers = many;
	wrong[9].header_count = SIO_HTTP_HEADERS_MAX + 1;
	wrong[10].headers = &bad;
	wrong[10].header_count = 1;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(sio_serve_asset(s.io, &wrong[i]), -EINVAL);
	good.headers = many;
	good.header_count = SIO_HTTP_HEADERS_MAX;
	long_tag[HTTP_ETAG_BYTES_MAX - 9] = '"';
	long_tag[HTTP_ETAG_BYTES_MAX - 8] = '\0';
	good.etag = long_tag;
	good.gzip = (struct sio_bytes){ "z", 1 };
	assert_int_equal(sio_serve_asset(s.io, &good), 0);
	served_run(&s);
	int fd = client_connect(&s.h);
	struct web_answer answer;
	client_send_text(fd, "GET /a HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
	web_read(fd, &answer, false);
	assert_int_equal(answer.status, 200);
	assert_true(web_says(&answer, "x-a: a") && web_says(&answer, "content-encoding: gzip"));
	buf_finish(&answer.body);
	close(fd);
	served_finish(&s);
}

/* From this thread, which is none of its loops'. */
static void exchanges_are_answered_once(void **state)
{
	(void)state;
	serve_held(2);
	int fd = hold();
	struct sio_exchange first = last, nobody = { 0 }, elsewhere = first;
	elsewhere.id.loop = 2;
	assert_int_equal(reply(nobody, "a"), -ENOENT);
	assert_int_equal(reply(elsewhere, "a"), -ENOENT);
	assert_int_equal(reply(first, "one"), 0);
	assert_int_equal(reply(first, "two"), 0); /* handed over, and too late */
	web_expect(fd, 200, "one");
	close(fd);
	/* Its place is another's by now. */
	fd = hold();
	int second_fd = hold();
	assert_int_equal(reply(first, "late"), 0);
	assert_int_equal(reply(last, "second"), 0);
	web_expect(second_fd, 200, "second");
	close(second_fd);
	client_reset(fd);
	served_finish(&s);
}

/* It is stopped with one that waits, which is cut at the end of the drain; then nobody is there to be answered. */
static void answers_to_who_has_gone(void **state)
{
	(void)state;
	serve_held(1);
	int fd = hold(), gone_fd = hold();
	struct sio_exchange gone = last;
	close(gone_fd); /* it may be noticed or not: it asked to be answered */
	assert_int_equal(reply(gone, "gone"), 0);
	gone_fd = hold();
	client_reset(gone_fd);
	sio_stop(s.io);
	struct sio_stats stats;
	WAIT_FOR((sio_stats(s.io, &stats), stats.connections_closed >= 2));
	assert_int_equal(reply(last, "gone"), 0);
	client_reset(fd);
	assert_int_equal(pthread_join(s.thread, NULL), 0);
	s.running = false;
	assert_int_equal(reply(last, "after the end"), 0);
	assert_int_equal(reply(gone, "after the end"), 0);
	served_finish(&s);
}

/* One request, in which the n-th allocation fails: within its answering, or from its first byte on. */
static void ask_without_memory(unsigned n, bool from_its_answer)
{
	int fd = client_connect(&s.h);
	struct buf body = { 0 };

	atomic_store(&fail_at, from_its_answer ? n : n + 1);
	if (!from_its_answer)
		failing_alloc_arm(n);
	int status = served_ask(fd, "POST", "/large", "a body", &body);
	assert_true(status == 0 || status == 503 || status == 200);
	if (status == 200)
		assert_int_equal(body.bytes, BODY_BYTES);
	buf_finish(&body);
	close(fd);
}

static void requests_without_memory(void **state)
{
	(void)state;
	serve_held(1);
	for (unsigned n = 1; n < TRIES_MAX; n++) {
		ask_without_memory(n, false);
		ask_without_memory(n, true);
	}
	served_end(&s);
	assert_true(atomic_load(&answered) > TRIES_MAX);
	assert_int_equal(s.io->loops[0].waiting.count, 0);
	served_finish(&s);
}

/* From another thread each allocation of an answer fails in turn: it says so, and the exchange waits still. */
static void answers_without_memory(void **state)
{
	struct sio_header header = { "X-A", "a" };
	struct sio_response response = { .status = 200, .headers = &header, .header_count = 1 };
	unsigned n = 0;
	bool failed;
	int rc;

	(void)state;
	serve_held(1);
	int fd = hold();
	do {
		failing_alloc_arm(++n);
		rc = sio_reply(last, &response, (struct sio_str){ "at last", 7 });
		failed = failing_alloc_disarm();
		assert_true(rc == 0 || (rc == -ENOMEM && failed));
	} while (rc != 0 && n < TRIES_MAX);
	assert_int_equal(rc, 0);
	assert_true(n > 2);
	if (failed) /* it was one of the loop, which has cut the connection */
		client_expect_gone(fd);
	else
		web_expect(fd, 200, "at last");
	close(fd);
	served_finish(&s);
}

static void paths_without_memory(void **state)
{
	struct sio_asset a = asset_at("/b");
	unsigned n = 0;

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	do {
		failing_alloc_arm(++n);
		int rc = sio_http(s.io, "/a", 0, on_held, NULL);
		assert_int_equal(rc, failing_alloc_disarm() ? -ENOMEM : 0);
		if (rc == 0)
			break;
	} while (n < TRIES_MAX);
	assert_true(n > 1);
	failing_alloc_arm(1);
	assert_int_equal(sio_serve_asset(s.io, &a), -ENOMEM);
	assert_true(failing_alloc_disarm());
	assert_int_equal(sio_serve_asset(s.io, &a), 0);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_have_limits),
		cmocka_unit_test(assets_that_cannot_be),
		cmocka_unit_test(exchanges_are_answered_once),
		cmocka_unit_test(answers_to_who_has_gone),
		cmocka_unit_test(requests_without_memory),
		cmocka_unit_test(answers_without_memory),
		cmocka_unit_test(paths_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
