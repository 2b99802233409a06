/* Deadlines through a real loop: when they come, in which order, and whatever may be stopped and started meanwhile. */
#include "net/timer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "lib/failing_alloc.h"
#include "lib/rng.h"
#include "net/net_int.h"

enum {
	EXACT = 40, /* timers of the test of exactness */
	MANY = 5000,
	MANY_MS = 150,
	FIFO = 300,
	LATE_MS_MAX = 5, /* half of all, on a machine that has other things to do too */
};

static struct harness h;

static int start_pool(void **state)
{
	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 1, .sender = NET_SENDER_PLAIN });
	harness_run(&h);
	return 0;
}

static int finish_pool(void **state)
{
	(void)state;
	harness_finish(&h);
	return 0;
}

/* A timer that notes when it came. */
struct noted {
	struct net_timer timer;
	struct net_delay delay;
	uint64_t delay_ms, started_ns, due_ns; /* started_ns by the clock, due_ns by the loop */
	int64_t late_ns;
	uint32_t turn; /* the how manieth it was */
	int fired;
};

static atomic_uint fired;
static uint64_t last_due_ns;

static void note(struct noted *n)
{
	uint64_t now_ns = net_loop_now_ns(net_loop_current());

	assert(now_ns >= n->due_ns);
	n->late_ns = (int64_t)(clock_now_ns() - n->started_ns - n->delay_ms * CLOCK_NS_PER_MS);
	n->fired++;
	n->turn = atomic_load(&fired);
	atomic_fetch_add(&fired, 1);
}

static void on_timer(struct net_timer *t)
{
	struct noted *n = list_entry(t, struct noted, timer);

	assert(!net_timer_running(t));
	note(n);
}

static void on_delay(struct net_delay *d, void *ctx)
{
	struct noted *n = list_entry(d, struct noted, delay);

	assert(ctx == &h);
	assert(!net_delay_running(d));
	note(n);
}

static void start(struct noted *n, struct net_loop *loop, uint64_t delay_ms)
{
	n->delay_ms = delay_ms;
	n->started_ns = clock_now_ns();
	n->due_ns = net_loop_now_ns(loop) + delay_ms * CLOCK_NS_PER_MS;
	bool started = net_timer_start(&n->timer, loop, delay_ms);

	assert(started && net_timer_running(&n->timer));
}

static void start_delay(struct noted *n, struct net_delays *list, struct net_loop *loop, uint64_t delay_ms)
{
	n->delay_ms = delay_ms;
	n->started_ns = clock_now_ns();
	n->due_ns = net_loop_now_ns(loop) + delay_ms * CLOCK_NS_PER_MS;
	net_delay_start(&n->delay, list, loop);
	assert(net_delay_running(&n->delay));
}

static int by_lateness(const void *a, const void *b)
{
	int64_t x = ((const struct noted *)a)->late_ns, y = ((const struct noted *)b)->late_ns;

	return (x > y) - (x < y);
}

static struct noted exact[EXACT];
static struct net_delays tens;

static void start_exact(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	for (uint64_t i = 0; i < EXACT; i++) {
		net_timer_init(&exact[i].timer, on_timer);
		net_delay_init(&exact[i].delay);
		if (i % 8 == 0)
			start_delay(&exact[i], &tens, loop, 10);
		else
			start(&exact[i], loop, 1 + 7 * i % 120);
	}
}

static void add_tens(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	net_delays_init(&tens, loop, 10, on_delay, &h);
}

/* Never early; half of them within a few milliseconds. */
static void they_come_when_they_are_due(void **state)
{
	(void)state;
	harness_call(&h, 0, add_tens, NULL);
	harness_call(&h, 0, start_exact, NULL);
	WAIT_FOR(atomic_load(&fired) == EXACT);
	qsort(exact, EXACT, sizeof(*exact), by_lateness);
	printf("# late by %.2f ms in the middle, %.2f at most\n", (double)exact[EXACT / 2].late_ns / 1e6,
		(double)exact[EXACT - 1].late_ns / 1e6);
	for (int i = 0; i < EXACT; i++) {
		assert_int_equal(exact[i].fired, 1);
		/* Counted from the iteration in which it was started: at most so much before the call itself. */
		assert_true(exact[i].late_ns > -(int64_t)(harness_slower() * 100 * CLOCK_NS_PER_MS));
	}
	assert_true(exact[EXACT / 2].late_ns < (int64_t)(harness_slower() * LATE_MS_MAX * CLOCK_NS_PER_MS));
}

enum { LONGER = 3 };
static struct noted shorter, halted, longer[LONGER], longest;
static struct net_delays fives, forties, sixes, hours;

static void start_longer(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	net_delays_init(&forties, loop, 40, on_delay, &h);
	net_delays_init(&fives, loop, 5, on_delay, &h);
	for (int i = 0; i < LONGER; i++) {
		net_delay_init(&longer[i].delay);
		start_delay(&longer[i], &forties, loop, 40);
	}
	net_delay_init(&shorter.delay);
	start_delay(&shorter, &fives, loop, 5);
	net_delay_init(&halted.delay);
	start_delay(&halted, &fives, loop, 5);
	net_delay_stop(&halted.delay);
	net_delay_stop(&longer[0].delay);
}

/* What was stopped does not come, and hides none of the others. */
static void lists_of_other_lengths_do_not_hide_each_other(void **state)
{
	unsigned before = atomic_load(&fired);

	(void)state;
	harness_call(&h, 0, start_longer, NULL);
	WAIT_FOR(atomic_load(&fired) == before + LONGER);
	assert_int_equal(shorter.fired, 1);
	assert_int_equal(halted.fired + longer[0].fired, 0);
	assert_true(shorter.late_ns < (int64_t)(harness_slower() * 1000 * CLOCK_NS_PER_MS));
	for (int i = 1; i < LONGER; i++)
		assert_true(longer[i].fired == 1 &&
			    longer[i].late_ns < (int64_t)(harness_slower() * 1000 * CLOCK_NS_PER_MS));
}

static void start_longest(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	net_delays_init(&hours, loop, 3600000, on_delay, &h);
	net_delay_init(&longest.delay);
	start_delay(&longest, &hours, loop, 3600000);
	net_delays_init(&sixes, loop, 6, on_delay, &h);
	net_delay_init(&shorter.delay);
	shorter.fired = 0;
	start_delay(&shorter, &sixes, loop, 6);
}

static void stop_longest(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
	net_delay_stop(&longest.delay);
}

/* What is due first comes first, though it began last. */
static void a_longer_one_does_not_hide_a_shorter_one(void **state)
{
	unsigned before = atomic_load(&fired);

	(void)state;
	harness_call(&h, 0, start_longest, NULL);
	WAIT_FOR(atomic_load(&fired) == before + 1);
	assert_int_equal(shorter.fired, 1);
	harness_call(&h, 0, stop_longest, NULL);
}

static struct noted many[MANY];
static struct rng rng;
static atomic_uint expected;

static void on_ordered(struct net_timer *t)
{
	struct noted *n = list_entry(t, struct noted, timer);

	note(n);
	assert(t->due_ns >= last_due_ns);
	last_due_ns = t->due_ns;
}

/* Start all; then stop a third and start another third anew, some of them with the same delay. */
static void start_many(struct net_loop *loop, void *ctx)
{
	unsigned stopped = 0;

	(void)ctx;
	last_due_ns = 0;
	for (size_t i = 0; i < MANY; i++) {
		net_timer_init(&many[i].timer, on_ordered);
		start(&many[i], loop, rng_below(&rng, MANY_MS));
	}
	for (size_t i = 0; i < MANY; i++) {
		struct noted *n = &many[rng_below(&rng, MANY)];

		if (i % 3 == 0) {
			net_timer_stop(&n->timer, loop);
			assert(!net_timer_running(&n->timer));
			net_timer_stop(&n->timer, loop);
		} else if (net_timer_running(&n->timer)) {
			start(n, loop, rng_below(&rng, MANY_MS));
		}
	}
	for (size_t i = 0; i < MANY; i++) {
		many[i].turn = net_timer_running(&many[i].timer);
		stopped += !net_timer_running(&many[i].timer);
	}
	assert(stopped > 0);
	atomic_store(&fired, 0);
	atomic_store(&expected, MANY - stopped);
}

static void none(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

static void thousands_come_in_order(void **state)
{
	(void)state;
	rng_init(&rng);
	harness_call(&h, 0, start_many, NULL);
	WAIT_FOR(atomic_load(&fired) >= atomic_load(&expected));
	harness_call(&h, 0, none, NULL);
	assert_int_equal(atomic_load(&fired), atomic_load(&expected));
	for (size_t i = 0; i < MANY; i++)
		assert_true(many[i].fired <= 1 && !net_timer_running(&many[i].timer));
}

/* Timers that do things to each other; all of one time. */
static struct noted group[6];

static void on_group(struct net_timer *t)
{
	struct noted *n = list_entry(t, struct noted, timer);
	struct net_loop *loop = net_loop_current();

	note(n);
	if (n == &group[0]) { /* stops itself, stops one that is due as well, and puts one off */
		net_timer_stop(t, loop);
		net_timer_stop(&group[1].timer, loop);
		start(&group[2], loop, 30);
	} else if (n == &group[3] && n->fired < 5) { /* again and again */
		start(n, loop, 1);
	} else if (n == &group[4]) { /* starts one that is due at once */
		start(&group[5], loop, 0);
	}
}

static void start_group(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	atomic_store(&fired, 0);
	for (int i = 0; i < 6; i++)
		net_timer_init(&group[i].timer, on_group);
	start(&group[0], loop, 4);
	start(&group[1], loop, 5);
	start(&group[2], loop, 5);
	start(&group[3], loop, 6);
	start(&group[4], loop, 7);
}

/* All are due in one iteration: it has been kept busy meanwhile. */
static void stall_past_due(struct net_loop *loop, void *ctx)
{
	start_group(loop, ctx);
	poll(NULL, 0, 20);
}

static void expect_group(void)
{
	WAIT_FOR(atomic_load(&fired) == 9);
	harness_call(&h, 0, none, NULL);
	assert_int_equal(group[0].fired, 1);
	assert_int_equal(group[1].fired, 0);
	assert_int_equal(group[2].fired, 1);
	assert_true(group[2].turn >= 2);
	assert_int_equal(group[3].fired, 5);
	assert_int_equal(group[4].fired, 1);
	assert_int_equal(group[5].fired, 1);
}

static void callbacks_may_stop_and_start_any(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		memset(group, 0, sizeof(group));
		harness_call(&h, 0, round % 2 == 0 ? start_group : stall_past_due, NULL);
		expect_group();
	}
}

/* Lists of one duration each. */
static struct net_delays lists[3];
static const uint64_t list_ms[3] = { 20, 5, 40 };
static struct noted fifo[FIFO];
static uint32_t next_of[3];

static void on_fifo(struct net_delay *d, void *ctx)
{
	struct noted *n = list_entry(d, struct noted, delay);
	uint32_t list = (uint32_t)(uintptr_t)ctx, i = (uint32_t)(n - fifo);

	note(n);
	assert(i % 3 == list);
	/* In the order of their starts. */
	assert(i >= next_of[list]);
	next_of[list] = i;
	/* One takes the next of its list away, which may be due as well. */
	if (i % 30 < 3 && i + 3 < FIFO && net_delay_running(&fifo[i + 3].delay)) {
		net_delay_stop(&fifo[i + 3].delay);
		atomic_fetch_add(&fired, 1);
	}
}

static void add_lists(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	for (uintptr_t i = 0; i < 3; i++)
		net_delays_init(&lists[i], loop, list_ms[i], on_fifo, (void *)i);
}

static void start_fifo(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	atomic_store(&fired, 0);
	memset(next_of, 0, sizeof(next_of));
	memset(fifo, 0, sizeof(fifo));
	for (size_t i = 0; i < FIFO; i++) {
		net_delay_init(&fifo[i].delay);
		assert(!net_delay_running(&fifo[i].delay));
		start_delay(&fifo[i], &lists[i % 3], loop, list_ms[i % 3]);
	}
	/* The last of each list is stopped, twice; those in the middle start anew, and are then the last. */
	for (size_t i = FIFO - 3; i < FIFO; i++) {
		net_delay_stop(&fifo[i].delay);
		net_delay_stop(&fifo[i].delay);
		start_delay(&fifo[i], &lists[i % 3], loop, list_ms[i % 3]);
		start_delay(&fifo[i], &lists[i % 3], loop, list_ms[i % 3]);
	}
}

static void lists_are_first_in_first_out(void **state)
{
	(void)state;
	harness_call(&h, 0, add_lists, NULL);
	for (int round = 0; round < 3; round++) {
		harness_call(&h, 0, start_fifo, NULL);
		WAIT_FOR(atomic_load(&fired) >= FIFO);
		harness_call(&h, 0, none, NULL);
		assert_int_equal(atomic_load(&fired), FIFO);
		for (size_t i = 0; i < FIFO; i++)
			assert_true(fifo[i].fired == (i < 3 || i % 30 < 3 || i % 30 >= 6));
	}
}

enum { AT_ONCE = 200 };

static struct net_delays at_once;
static struct net_delay together[AT_ONCE];
static struct net_task between;
static unsigned in_turn, turn_most;
static atomic_uint turns, came;

static void on_between(struct net_task *task)
{
	(void)task;
	turn_most = in_turn > turn_most ? in_turn : turn_most;
	in_turn = 0;
	atomic_fetch_add(&turns, 1);
}

static void on_together(struct net_delay *d, void *loop)
{
	assert(d == &together[atomic_load(&came)]);
	in_turn++;
	net_defer(loop, &between);
	atomic_fetch_add(&came, 1);
}

static void start_together(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	net_task_init(&between, on_between);
	net_delays_init(&at_once, loop, 10, on_together, loop);
	for (size_t i = 0; i < AT_ONCE; i++) {
		net_delay_init(&together[i]);
		net_delay_start(&together[i], &at_once, loop);
	}
}

static void those_due_at_once_come_in_turns(void **state)
{
	(void)state;
	harness_call(&h, 0, start_together, NULL);
	WAIT_FOR(atomic_load(&came) == AT_ONCE);
	harness_call(&h, 0, none, NULL);
	harness_call(&h, 0, none, NULL);
	assert_int_equal(turn_most, NET_DELAYS_TURN_MAX);
	assert_int_equal(atomic_load(&turns), (AT_ONCE + NET_DELAYS_TURN_MAX - 1) / NET_DELAYS_TURN_MAX);
}

static bool started_without_memory, running_without_memory;

static void start_without_memory(struct net_loop *loop, void *ctx)
{
	static struct noted lots[200];

	(void)ctx;
	failing_alloc_arm_from(1);
	for (size_t i = 0; i < 200; i++) {
		net_timer_init(&lots[i].timer, on_timer);
		started_without_memory = net_timer_start(&lots[i].timer, loop, 100000);
		running_without_memory = net_timer_running(&lots[i].timer);
		assert(started_without_memory == running_without_memory);
		if (!started_without_memory)
			break;
	}
	bool failed = failing_alloc_disarm();

	assert(failed == !started_without_memory);
	for (size_t i = 0; i < 200; i++)
		net_timer_stop(&lots[i].timer, loop);
}

static void without_memory_it_does_not_run(void **state)
{
	struct harness fresh;

	(void)state;
	/* A loop that has had no timers yet: its heap has no room. */
	harness_create(&fresh, &(struct net_pool_options){ .loops = 1, .sender = NET_SENDER_PLAIN });
	harness_run(&fresh);
	harness_call(&fresh, 0, start_without_memory, NULL);
	assert_false(started_without_memory);
	assert_false(running_without_memory);
	harness_finish(&fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_come_when_they_are_due),
		cmocka_unit_test(lists_of_other_lengths_do_not_hide_each_other),
		cmocka_unit_test(a_longer_one_does_not_hide_a_shorter_one),
		cmocka_unit_test(thousands_come_in_order),
		cmocka_unit_test(callbacks_may_stop_and_start_any),
		cmocka_unit_test(lists_are_first_in_first_out),
		cmocka_unit_test(those_due_at_once_come_in_turns),
		cmocka_unit_test(without_memory_it_does_not_run),
	};

	return cmocka_run_group_tests(tests, start_pool, finish_pool);
}
