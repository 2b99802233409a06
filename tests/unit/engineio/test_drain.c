/* A stop closes sessions one after the other, in random order, and keeps its loop until then, whatever fails. */
#include "lib/failing_alloc.h"
#include "unit/engineio/engine.h"

enum { SESSIONS = 300, EVERYBODY, SHORT_MS = 60, LONG_MS = 3000 };

static struct engine e;
static uint32_t opened, closed, order[SESSIONS]; /* of the loop: which was closed when */
static uint64_t closed_ns[SESSIONS];
static struct eio_session *sessions[SESSIONS];
static bool without_memory;
static uint32_t owed_to = SESSIONS; /* which session is owed something, or EVERYBODY ... */
static uint32_t owed_until; /* ... as long as fewer than so many have been closed */
static unsigned drains, closed_when_drained;

static void *on_opened(void *ctx, struct eio_session *s, const struct http_head *head,
	const struct net_conn *peer, const struct eio_admission *admission)
{
	(void)ctx;
	(void)head;
	(void)peer;
	(void)admission;
	assert(opened < SESSIONS);
	sessions[opened] = s;
	return &sessions[opened++];
}

static void on_closed(void *ctx, enum eio_reason reason)
{
	assert(reason == EIO_SHUTTING_DOWN);
	order[closed] = (uint32_t)((struct eio_session **)ctx - sessions);
	closed_ns[closed++] = clock_now_ns();
}

static bool is_owed(void *ctx)
{
	return (owed_to == EVERYBODY || (uint32_t)((struct eio_session **)ctx - sessions) == owed_to) &&
	       closed < owed_until;
}

static const struct eio_events events = {
	.opened = on_opened,
	.message = engine_ignores_message,
	.closed = on_closed,
	.lagging = engine_ignores_lagging,
	.owed = is_owed,
};

static void drained(struct net_loop *loop, void *ctx)
{
	drains++;
	closed_when_drained = closed;
	engine_drained(loop, ctx);
}

static void stopping(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	if (without_memory)
		failing_alloc_arm(1);
	eio_server_stopping(e.eio, loop, drained);
	bool failed = without_memory && failing_alloc_disarm();
	assert(failed == without_memory);
}

static void start(uint32_t drain_ms)
{
	struct eio_options options = engine_options();

	options.drain_ms = drain_ms;
	opened = closed = 0;
	drains = closed_when_drained = 0;
	engine_create(&e, &options, &events, 1, stopping);
	engine_run(&e);
}

/* Sessions without a connection. */
static void open_sessions(unsigned count)
{
	int fd = client_connect(&e.h);

	for (unsigned i = 0; i < count; i++) {
		client_send_text(fd, "GET /e/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
		web_expect(fd, 200, NULL);
	}
	close(fd);
}

/* Stop it; how long that took. */
static uint64_t stop(void)
{
	uint64_t began_ns = clock_now_ns();

	engine_end(&e);
	uint64_t took_ns = clock_now_ns() - began_ns;
	assert_int_equal(drains, 1);
	assert_int_equal(closed_when_drained, opened);
	engine_destroy(&e);
	return took_ns;
}

/* Over the time that there is, or a millisecond each; the first at once. */
static void one_after_the_other(void **state)
{
	static const uint32_t spans[][2] = { { SHORT_MS, SHORT_MS }, { LONG_MS, SESSIONS } };
	uint32_t before[SESSIONS] = { 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint64_t span_ns = spans[i][1] * CLOCK_NS_PER_MS;

		start(spans[i][0]);
		open_sessions(SESSIONS);
		uint64_t took_ns = stop(), spread_ns = closed_ns[SESSIONS - 1] - closed_ns[0];
		/* By valgrind the first is late, and nothing can be said of the pace. */
		bool slow = harness_slower() > HARNESS_SANITIZED;
		assert_true(spread_ns > span_ns * (slow ? 5 : 9) / 10 && took_ns > spread_ns);
		assert_true(took_ns < harness_slower() * 4 * span_ns + NET_DRAIN_MS * CLOCK_NS_PER_MS / 5);
		/* Half of them in half of the time, as far as a busy machine lets it. */
		assert_true(slow || closed_ns[SESSIONS / 2] - closed_ns[0] >= span_ns * 4 / 10);
		unsigned ascents = 0, same = 0, seen[SESSIONS] = { 0 };
		for (unsigned j = 0; j < SESSIONS; j++) {
			ascents += j > 0 && order[j] > order[j - 1];
			same += order[j] == before[j];
			seen[order[j]]++;
		}
		for (unsigned j = 0; j < SESSIONS; j++)
			assert_int_equal(seen[j], 1);
		assert_true(ascents > SESSIONS / 3 && ascents < SESSIONS * 2 / 3);
		assert_true(same < SESSIONS / 10);
		memcpy(before, order, sizeof(before));
	}
}

static void nobody_is_waited_for(void **state)
{
	(void)state;
	start(LONG_MS);
	assert_true(stop() < harness_slower() * LONG_MS * CLOCK_NS_PER_MS / 2);
	start(LONG_MS);
	open_sessions(3);
	assert_true(stop() < harness_slower() * LONG_MS * CLOCK_NS_PER_MS / 2);
}

/* Until it has what it is owed, which never comes to the second: then for as long as there is. */
static void who_is_owed_something_is_put_off(void **state)
{
	(void)state;
	for (uint32_t never = 0; never < 2; never++) {
		owed_to = 7;
		owed_until = never ? UINT32_MAX : 19; /* all the others */
		start(SHORT_MS);
		open_sessions(20 + never);
		(void)stop();
		uint64_t late_ns = closed_ns[19 + never] - closed_ns[0];
		assert_int_equal(order[19 + never], 7);
		if (never)
			assert_true(late_ns > EIO_DRAIN_LATE_MS * CLOCK_NS_PER_MS * 9 / 10);
		else
			assert_true(late_ns < harness_slower() * EIO_DRAIN_LATE_MS * CLOCK_NS_PER_MS / 2);
	}
	owed_to = SESSIONS;
}

/* What never comes, to all of them: they go late, but one after the other all the same. */
static void all_are_owed_what_never_comes(void **state)
{
	(void)state;
	owed_to = EVERYBODY;
	owed_until = UINT32_MAX;
	start(LONG_MS);
	open_sessions(SESSIONS);
	uint64_t took_ns = stop(), spread_ns = closed_ns[SESSIONS - 1] - closed_ns[0];
	assert_true(took_ns > EIO_DRAIN_LATE_MS * CLOCK_NS_PER_MS);
	assert_true(spread_ns > SESSIONS * CLOCK_NS_PER_MS / 2);
	assert_true(closed_ns[SESSIONS / 2] - closed_ns[0] > SESSIONS * CLOCK_NS_PER_MS / 4);
	owed_to = SESSIONS;
}

static void without_memory_all_at_once(void **state)
{
	(void)state;
	start(LONG_MS);
	open_sessions(SESSIONS);
	without_memory = true;
	(void)stop();
	without_memory = false;
	assert_true(closed_ns[SESSIONS - 1] - closed_ns[0] < SESSIONS / 2 * CLOCK_NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_after_the_other),
		cmocka_unit_test(nobody_is_waited_for),
		cmocka_unit_test(who_is_owed_something_is_put_off),
		cmocka_unit_test(all_are_owed_what_never_comes),
		cmocka_unit_test(without_memory_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
