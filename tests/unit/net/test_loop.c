/* The pool and its loops: options, threads, deferred tasks, the order within an iteration, and what a stall does to it. */
#include "net/loop.h"

#include <sched.h>
#include <signal.h>

#include "net/timer.h"
#include "side.h"

enum {
	TIMER_MS = 300,
	SHORT_STALL_MS = 500, /* none, as NET_STALL_NS has it */
	LONG_STALL_MS = 1600,
};

static struct harness h;
static struct sides sides;

static void do_nothing(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

static void options_that_cannot_be_had(void **state)
{
	(void)state;
	char err[200] = "";

	log_set(LOG_OFF, NULL, NULL);
	assert_null(
		net_pool_create(&(struct net_pool_options){ .loops = NET_LOOPS_MAX + 1 }, err, sizeof(err)));
	assert_true(err[0] != '\0');
	net_pool_destroy(NULL);
	net_pool_close(NULL);
}

static void a_loop_for_each_core(void **state)
{
	(void)state;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	harness_create(&h, &(struct net_pool_options){ 0 });
	uint32_t loops = net_pool_loops(h.pool);

	assert_int_equal(loops, CPU_COUNT(&set) < NET_LOOPS_MAX ? CPU_COUNT(&set) : NET_LOOPS_MAX);
	for (uint32_t i = 0; i < loops; i++) {
		assert_int_equal(net_loop_index(net_pool_loop(h.pool, i)), i);
		assert_ptr_equal(net_loop_pool(net_pool_loop(h.pool, i)), h.pool);
	}
	harness_finish(&h);
	/* The most there may be; and never run. */
	harness_create(&h, &(struct net_pool_options){ .loops = NET_LOOPS_MAX, .sender = NET_SENDER_PLAIN });
	assert_int_equal(net_pool_loops(h.pool), NET_LOOPS_MAX);
	harness_finish(&h);
}

static void the_sender_in_use(void **state)
{
	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 1, .sender = NET_SENDER_PLAIN });
	assert_int_equal(net_pool_sender(h.pool), NET_SENDER_PLAIN);
	harness_finish(&h);
	harness_create(&h, &(struct net_pool_options){ .loops = 1, .sender = NET_SENDER_AUTO });
	assert_true(
		net_pool_sender(h.pool) == NET_SENDER_PLAIN || net_pool_sender(h.pool) == NET_SENDER_URING);
	harness_finish(&h);
}

static pthread_t seen_thread[3];

static void see_thread(struct net_loop *loop, void *ctx)
{
	assert(net_loop_current() == loop && !net_loop_stopping(loop));
	assert(ctx == &seen_thread[net_loop_index(loop)]);
	*(pthread_t *)ctx = pthread_self();
}

static void each_loop_has_its_thread(void **state)
{
	(void)state;
	assert_null(net_loop_current());
	harness_create(&h, &(struct net_pool_options){ .loops = 3 });
	harness_run(&h);
	for (uint32_t i = 0; i < 3; i++)
		harness_call(&h, i, see_thread, &seen_thread[i]);
	for (size_t i = 0; i < 3; i++) {
		assert_false(pthread_equal(seen_thread[i], pthread_self()));
		assert_false(pthread_equal(seen_thread[i], seen_thread[(i + 1) % 3]));
	}
	assert_true(pthread_equal(seen_thread[0], h.thread));
	harness_finish(&h);
}

static void on_signal(int number)
{
	(void)number;
	net_pool_stop(h.pool);
}

static void a_signal_handler_may_stop_it(void **state)
{
	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 2 });
	assert_true(signal(SIGUSR1, on_signal) != SIG_ERR);
	harness_run(&h);
	harness_call(&h, 1, do_nothing, NULL);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	harness_join(&h);
	assert_true(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
	harness_finish(&h);
}

/* Deferred tasks: what they did, in order. */
struct noting {
	struct net_task task;
	char name;
};

static char notes[100];
static size_t noted;
static struct noting a, b, c, d, later;
static struct net_loop *home;

static void note(struct net_task *task)
{
	struct noting *n = list_entry(task, struct noting, task);

	notes[noted++] = n->name;
	if (n == &b) { /* one that waits is taken back; a new one is for the next iteration */
		net_task_cancel(&c.task);
		net_defer(home, &later.task);
		net_defer(home, &later.task);
	}
	if (n == &later && noted < 20) /* itself again */
		net_defer(home, task);
}

static void defer_some(struct net_loop *loop, void *ctx)
{
	struct noting *const all[] = { &a, &b, &c, &d, &later };

	(void)ctx;
	home = loop;
	noted = 0;
	for (size_t i = 0; i < 5; i++) {
		net_task_init(&all[i]->task, note);
		all[i]->name = "abcdl"[i];
	}
	net_task_cancel(&a.task); /* in no list: harmless */
	for (size_t i = 0; i < 4; i++)
		net_defer(loop, &all[i]->task);
	net_defer(loop, &a.task); /* it waits already */
	assert(noted == 0);
}

static atomic_uint notes_told;

static void tell_notes(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
	atomic_store(&notes_told, (unsigned)noted);
}

static void deferred_tasks(void **state)
{
	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 1 });
	harness_run(&h);
	harness_call(&h, 0, defer_some, NULL);
	WAIT_FOR((harness_call(&h, 0, tell_notes, NULL), atomic_load(&notes_told) == 20));
	assert_memory_equal(notes, "abdlllllllllllllllll", 20);
	harness_finish(&h);
}

static void defer_one(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	noted = 0;
	home = loop;
	net_task_init(&d.task, note);
	d.name = 'd';
	net_defer(loop, &d.task);
}

/* What is deferred when the pool is stopped in the same iteration runs all the same. */
static void defer_and_stop(struct net_loop *loop, void *ctx)
{
	defer_one(loop, ctx);
	net_pool_stop(net_loop_pool(loop));
}

static void what_is_deferred_runs_before_the_end(void **state)
{
	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 1 });
	harness_run(&h);
	harness_call(&h, 0, defer_and_stop, NULL);
	harness_join(&h);
	assert_int_equal(noted, 1);
	/* And closing runs what has been deferred since. */
	defer_one(net_pool_loop(h.pool, 0), NULL);
	net_pool_close(h.pool);
	assert_int_equal(noted, 1);
	harness_finish(&h);
}

/* Stalls: a timer that is due while the loop stands still, and bytes that come meanwhile. */
static struct net_timer timer;
static uint64_t started_ns, fired_ns, fired_loop_ns, due_ns;
static atomic_bool fired;
static atomic_uint received_before;

static void on_timer(struct net_timer *t)
{
	(void)t;
	fired_ns = clock_now_ns();
	fired_loop_ns = net_loop_now_ns(net_loop_current());
	atomic_store(&received_before, (unsigned)atomic_load(&sides.all[0].received));
	atomic_store(&fired, true);
}

struct stall {
	int ms, fd;
	bool first; /* stand still before the timer is started */
};

/* Start the timer, have a client send, and stand still. */
static void stand_still(struct net_loop *loop, void *ctx)
{
	const struct stall *stall = ctx;
	uint8_t byte = side_byte(0);

	net_timer_init(&timer, on_timer);
	atomic_store(&fired, false);
	if (stall->first)
		poll(NULL, 0, stall->ms);
	started_ns = clock_now_ns();
	due_ns = net_loop_now_ns(loop) + TIMER_MS * CLOCK_NS_PER_MS;
	bool ok = net_timer_start(&timer, loop, TIMER_MS) && send(stall->fd, &byte, 1, MSG_NOSIGNAL) == 1;

	assert(ok);
	if (!stall->first)
		poll(NULL, 0, stall->ms);
}

static uint64_t stall_for(int ms, bool first)
{
	struct net_counters before, after;

	sides_start(&h, &sides, &(struct net_pool_options){ .loops = 1 }, NULL);
	struct stall stall = { ms, client_connect(&h), first };

	sides_wait(&sides, 0);
	net_pool_counters(h.pool, &before);
	harness_call(&h, 0, stand_still, &stall);
	WAIT_FOR(atomic_load(&fired));
	net_pool_counters(h.pool, &after);
	close(stall.fd);
	/* Reading comes before deadlines: whoever has sent in time is not too late by our own fault. */
	assert_int_equal(atomic_load(&received_before), 1);
	assert_true(fired_loop_ns >= due_ns);
	sides_finish(&h, &sides);
	return after.stalls - before.stalls;
}

static void a_short_stall_is_none(void **state)
{
	(void)state;
	assert_int_equal(stall_for(SHORT_STALL_MS, false), 0);
	uint64_t took_ms = (fired_ns - started_ns) / CLOCK_NS_PER_MS;

	assert_in_range(took_ms, SHORT_STALL_MS, SHORT_STALL_MS + harness_slower() * 200);
}

/* The loop's clock stands still as well: the timer has its time again from where it was. */
static void a_stall_shifts_deadlines(void **state)
{
	(void)state;
	assert_int_equal(stall_for(LONG_STALL_MS, false), 1);
	uint64_t took_ms = (fired_ns - started_ns) / CLOCK_NS_PER_MS;

	assert_true(took_ms >= LONG_STALL_MS + TIMER_MS - 50);
	assert_true(took_ms <= LONG_STALL_MS + TIMER_MS + harness_slower() * 300);
}

/* Who starts a timer at the end of a stall has it on time. */
static void a_timer_started_after_a_stall(void **state)
{
	(void)state;
	assert_int_equal(stall_for(LONG_STALL_MS, true), 1);
	uint64_t took_ms = (fired_ns - started_ns) / CLOCK_NS_PER_MS;

	assert_in_range(took_ms, TIMER_MS - 50, TIMER_MS + harness_slower() * 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_that_cannot_be_had),
		cmocka_unit_test(a_loop_for_each_core),
		cmocka_unit_test(the_sender_in_use),
		cmocka_unit_test(each_loop_has_its_thread),
		cmocka_unit_test(a_signal_handler_may_stop_it),
		cmocka_unit_test(deferred_tasks),
		cmocka_unit_test(what_is_deferred_runs_before_the_end),
		cmocka_unit_test(a_short_stall_is_none),
		cmocka_unit_test(a_stall_shifts_deadlines),
		cmocka_unit_test(a_timer_started_after_a_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
