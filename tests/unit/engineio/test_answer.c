/*
 * Answers to polls: those who get the same share one body, which counts as what waits until all of them have been sent; and what is being
 * sent to who is closed for waiting too much is let go.
 */
#include "base/account.h"
#include "engineio/unit.h"
#include "unit/engineio/engine.h"

enum {
	CLIENTS = 12,
	MEGA = 1 << 20,
	LARGE_BYTES = 5 * MEGA, /* more than goes on the way to who reads nothing */
	MORE_BYTES = MEGA / 2, /* queues, heads, frames */
	BUDGET = 28 * MEGA,
	SMALL_BYTES = 5000,
	LET_GO_MS = 5000, /* far less than for that a connection may stand still */
};

static struct engine e;
static struct eio_session *sessions[CLIENTS];
static atomic_uint opened, closed;
static int fds[CLIENTS];

static void *on_opened(void *ctx, struct eio_session *s, const struct http_head *head,
	const struct net_conn *peer, const struct eio_admission *admission)
{
	(void)ctx;
	(void)head;
	(void)peer;
	(void)admission;
	sessions[atomic_fetch_add(&opened, 1)] = s;
	return s;
}

static void on_closed(void *ctx, enum eio_reason reason)
{
	assert(reason == EIO_OVERFLOW || reason == EIO_SHUTTING_DOWN);
	for (size_t i = 0; i < CLIENTS; i++) {
		if (sessions[i] == ctx)
			sessions[i] = NULL;
	}
	if (reason == EIO_OVERFLOW)
		atomic_fetch_add(&closed, 1);
}

static const struct eio_events events = {
	.opened = on_opened,
	.message = engine_ignores_message,
	.closed = on_closed,
	.lagging = engine_ignores_lagging,
	.owed = engine_owes_nothing,
};

/* All of them wait with a poll; every third takes gzip. */
static void start(size_t budget)
{
	struct eio_options options = engine_options();
	char text[500];

	options.queue_bytes_soft = options.queue_bytes_max = 10 * LARGE_BYTES;
	options.queued_bytes_max = budget;
	atomic_store(&opened, 0);
	atomic_store(&closed, 0);
	engine_create(&e, &options, &events, 1, NULL);
	engine_run(&e);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct web_answer a;

		fds[i] = client_connect(&e.h);
		client_send_text(fds[i], "GET /e/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
		web_read(fds[i], &a, false);
		assert_int_equal(a.status, 200);
		snprintf(text, sizeof(text),
			"GET /e/?EIO=4&transport=polling&sid=%.20s HTTP/1.1\r\nHost: a\r\n%s\r\n",
			(const char *)a.body.data + sizeof("0{\"sid\":\"") - 1,
			i % 3 == 2 ? "Accept-Encoding: gzip\r\n" : "");
		client_send_text(fds[i], text);
		buf_finish(&a.body);
	}
}

static void finish(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		close(fds[i]);
	engine_finish(&e);
	assert_int_equal(account_bytes(), 0);
}

static struct blob_share *unit_of(char content, size_t bytes)
{
	uint8_t *text;
	struct blob_share *unit = eio_unit_create(bytes, NULL, 0, &text, NULL);

	assert(unit != NULL);
	memset(text, content, bytes);
	return unit;
}

struct order {
	size_t bytes;
	bool own; /* to each two of them their own */
	bool twice; /* to every fourth one more */
};

static void obey(struct net_loop *loop, void *ctx)
{
	const struct order *o = ctx;
	struct blob_share *unit = unit_of('a', o->bytes);

	(void)loop;
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (o->own && i > 0 && i % 2 == 0) {
			blob_unref(unit);
			unit = unit_of((char)('a' + i / 2), o->bytes);
		}
		if (sessions[i] != NULL)
			(void)eio_send(sessions[i], unit, 0);
		if (sessions[i] != NULL && o->twice && i % 4 == 3)
			(void)eio_send(sessions[i], unit, 0);
	}
	blob_unref(unit);
}

static void order(struct order o)
{
	harness_call(&e.h, 0, obey, &o);
}

static void nobody_has_a_copy_of_its_own(void **state)
{
	(void)state;
	start(SIZE_MAX);
	order((struct order){ .bytes = LARGE_BYTES });
	for (unsigned i = 0; i < CLIENTS; i++)
		WAIT_FOR(client_readable(fds[i]));
	/* The message, and the body of those who take it as it is, and of those who do not. */
	assert_true(account_bytes() < 3 * LARGE_BYTES + MORE_BYTES);
	assert_true(account_bytes() > 2 * LARGE_BYTES);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct web_answer a;

		web_read(fds[i], &a, false);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body.bytes, LARGE_BYTES + 1);
		for (size_t at = 1; at < a.body.bytes; at += 1000)
			assert_int_equal(a.body.data[at], 'a');
		buf_finish(&a.body);
	}
	finish();
}

/* The same, though neither by what they take nor by what waits. */
static void each_gets_its_own(void **state)
{
	bool own = *state != NULL;

	start(SIZE_MAX);
	order((struct order){ .bytes = SMALL_BYTES, .twice = !own, .own = own });
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct web_answer a;

		web_read(fds[i], &a, false);
		assert_int_equal(a.status, 200);
		if (i % 3 == 2) {
			assert_true(a.body.bytes < SMALL_BYTES / 10 && a.body.data[0] == 0x1f);
		} else {
			assert_int_equal(a.body.bytes,
				!own && i % 4 == 3 ? 2 * (SMALL_BYTES + 1) + 1 : SMALL_BYTES + 1);
			assert_int_equal(a.body.data[0], '4');
			assert_int_equal(a.body.data[a.body.bytes - 1], own ? 'a' + i / 2 : 'a');
		}
		buf_finish(&a.body);
	}
	finish();
}

static void what_is_sent_to_who_is_closed_goes(void **state)
{
	struct eio_counters counters = { 0 };

	(void)state;
	start(BUDGET);
	uint64_t began_ns = clock_now_ns();
	order((struct order){ .bytes = LARGE_BYTES, .own = true });
	WAIT_FOR(atomic_load(&closed) > 0);
	WAIT_FOR(account_bytes() <= BUDGET);
	assert_true(clock_now_ns() - began_ns < LET_GO_MS * harness_slower() * CLOCK_NS_PER_MS);
	order((struct order){ .bytes = 0 }); /* behind whatever that was a part of */
	eio_server_counters(e.eio, &counters);
	assert_int_equal(counters.shed, atomic_load(&closed));
	assert_true(atomic_load(&closed) < CLIENTS);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_has_a_copy_of_its_own),
		cmocka_unit_test(each_gets_its_own),
		cmocka_unit_test_prestate(each_gets_its_own, &e),
		cmocka_unit_test(what_is_sent_to_who_is_closed_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
