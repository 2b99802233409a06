/* A waiting poll that is to be answered when there is no memory: what it would have carried comes once, or the session ends. */
#include <errno.h>

#include "engineio/unit.h"
#include "lib/failing_alloc.h"
#include "unit/engineio/engine.h"

enum { MESSAGE_BYTES = 1500 }; /* less than a turn of a POST */

static struct engine e;
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

static const struct eio_events events = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
	.lagging = engine_ignores_lagging,
	.owed = engine_owes_nothing,
};

static void start(void)
{
	struct eio_options options = engine_options();

	atomic_store(&closes, 0);
	engine_create(&e, &options, &events, 1, NULL);
	engine_run(&e);
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
	int poll_fd = client_connect(&e.h), post_fd = client_connect(&e.h);
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
		int again_fd = client_connect(&e.h);

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
	engine_finish(&e);
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
