/* A waiting poll that is to be answered when there is no memory: what it would have carried comes once, or the session ends. */
#include "engineio/server.h"

#include <errno.h>

#include "engineio/unit.h"
#include "lib/failing_alloc.h"
#include "unit/http/web.h"

enum { MESSAGE_BYTES = 1500 }; /* less than a turn of a POST */

static struct harness h;
static struct http_server *http;
static struct eio_server *eio;
static atomic_uint fail_at, closes;
static atomic_bool closes_itself;

static void *on_opened(void *ctx, struct eio_session *s, const struct http_head *head,
	const struct net_conn *peer, const struct eio_admission *admission)
{
	(void)ctx;
	assert(admission->data == NULL); /* nobody is asked */
	(void)head;
	(void)peer;
	return s;
}

/* Sends back what came; of all that this needs, one allocation fails. */
static void on_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	uint8_t *text;
	struct blob_share *unit = eio_unit_create(bytes, NULL, 0, &text, NULL);

	assert(unit != NULL && !binary);
	memcpy(text, data, bytes);
	failing_alloc_arm(atomic_load(&fail_at));
	(void)eio_send(ctx, unit, 0);
	blob_unref(unit);
	if (atomic_load(&closes_itself))
		eio_close(ctx);
}

static void on_closed(void *ctx, enum eio_reason reason)
{
	(void)ctx;
	assert(reason == EIO_OVERFLOW || reason == EIO_SHUTTING_DOWN);
	if (reason == EIO_OVERFLOW)
		atomic_fetch_add(&closes, 1);
}

static void on_lagging(void *ctx, bool lagging)
{
	(void)ctx;
	(void)lagging;
}

static bool is_owed(void *ctx)
{
	(void)ctx;
	return false;
}

static const struct eio_events events = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
	.lagging = on_lagging,
	.owed = is_owed,
};

static void drained(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	http_server_stopping(http, loop);
}

static void stopping(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	eio_server_stopping(eio, loop, drained);
}

static void start(void)
{
	static const struct eio_options options = {
		.path = "/e/",
		.ping_interval_ms = 600000,
		.ping_timeout_ms = 600000,
		.upgrade_timeout_ms = 10000,
		.message_bytes_max = 100000,
		.queue_bytes_soft = 100000,
		.queue_bytes_max = 200000,
	};

	atomic_store(&closes, 0);
	harness_create(&h, &(struct net_pool_options){ .loops = 1, .stopping = stopping });
	http = http_server_create(h.pool);
	assert_non_null(http);
	assert_int_equal(eio_server_create(http, h.pool, &options, &events, NULL, &eio), 0);
	assert_non_null(eio);
	harness_listen(&h, http_server_accepted, http);
	harness_run(&h);
}

static void finish(void)
{
	net_pool_stop(h.pool);
	harness_join(&h);
	net_pool_close(h.pool);
	eio_server_destroy(eio);
	http_server_destroy(http);
	harness_finish(&h);
}

static void ask(int fd, const char *method, const char *sid, const char *body)
{
	char text[MESSAGE_BYTES + 500];
	int n = snprintf(text, sizeof(text),
		"%s /e/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
		method, sid, strlen(body), body);

	assert_true(n > 0 && (size_t)n < sizeof(text));
	client_send_text(fd, text);
}

static void open_session(int fd, char sid[EIO_SID_CHARS + 1])
{
	struct web_answer a;

	client_send_text(fd, "GET /e/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
	web_read(fd, &a, false);
	assert_int_equal(a.status, 200);
	memcpy(sid, a.body.data + sizeof("0{\"sid\":\"") - 1, EIO_SID_CHARS);
	sid[EIO_SID_CHARS] = '\0';
	buf_finish(&a.body);
}

/* What came to a poll. */
enum told { TOLD_NOTHING, TOLD_THE_MESSAGE, TOLD_ITS_END, TOLD_UNKNOWN };

static enum told read_poll(int fd, const char *message)
{
	struct web_answer a;
	char first;
	enum told told = TOLD_NOTHING;
	ssize_t n;

	do
		n = recv(fd, &first, 1, MSG_PEEK);
	while (n < 0 && errno == EINTR);

	if (n <= 0) /* the connection has ended instead */
		return TOLD_NOTHING;
	web_read(fd, &a, false);
	struct str body = buf_str(&a.body);
	if (str_equal(body, str_c(message)))
		told = TOLD_THE_MESSAGE;
	else if (str_equal(body, STR("1")))
		told = TOLD_ITS_END;
	else if (a.status == 400)
		told = TOLD_UNKNOWN;
	else
		fail_msg("told %d %.*s", a.status, (int)body.bytes, body.s);
	buf_finish(&a.body);
	return told;
}

/* One session, in which the n-th allocation from its message on fails. Returns whether there was one. */
static bool fail_once(unsigned n, bool closing)
{
	char sid[EIO_SID_CHARS + 1], message[MESSAGE_BYTES + 1];
	int poll_fd = client_connect(&h), post_fd = client_connect(&h);
	unsigned before = atomic_load(&closes);
	enum told told, next = TOLD_NOTHING;

	memset(message, 'x', MESSAGE_BYTES);
	message[0] = '4';
	message[MESSAGE_BYTES] = '\0';
	open_session(poll_fd, sid);
	atomic_store(&fail_at, n);
	ask(poll_fd, "GET", sid, "");
	ask(post_fd, "POST", sid, message);
	/* Answers, or ends. Reading them allocates. */
	WAIT_FOR(client_readable(post_fd) && client_readable(poll_fd));
	bool failed = failing_alloc_disarm();
	told = read_poll(poll_fd, message);
	if (told != TOLD_THE_MESSAGE || closing) {
		int again_fd = client_connect(&h);

		ask(again_fd, "GET", sid, "");
		next = read_poll(again_fd, message);
		close(again_fd);
	}
	close(poll_fd);
	close(post_fd);
	bool ended = told == TOLD_ITS_END && next == TOLD_UNKNOWN;

	assert_int_equal((told == TOLD_THE_MESSAGE) + (next == TOLD_THE_MESSAGE) + ended, 1);
	assert_int_equal(atomic_load(&closes) - before, ended && !closing);
	return failed;
}

static void try_all(bool closing)
{
	unsigned n = 1;

	start();
	atomic_store(&closes_itself, closing);
	while (fail_once(n, closing))
		n++;
	assert_true(n > 4);
	finish();
}

static void no_memory_for_a_poll(void **state)
{
	(void)state;
	try_all(false);
}

static void no_memory_for_the_last_poll(void **state)
{
	(void)state;
	try_all(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory_for_a_poll),
		cmocka_unit_test(no_memory_for_the_last_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
