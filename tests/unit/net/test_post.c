/* Messages between threads: all arrive once and in order, the bound refuses and is reported, none is lost at the end. */
#include <stdatomic.h>
#include <stdlib.h>

#include "harness.h"
#include "net/loop.h"

enum {
	POSTERS = 4,
	POSTS = 100000, /* of each */
	LARGE_BYTES = 1 << 20, /* what a message says to be, for the bound */
	LARGE_MAX = NET_POST_BYTES_MAX / LARGE_BYTES,
};

static atomic_uint overruns;
static atomic_int overrun_on;

static void on_overrun(struct net_loop *loop, void *ctx)
{
	assert(ctx == &overruns);
	assert(net_loop_current() == loop);
	atomic_store(&overrun_on, (int)net_loop_index(loop));
	atomic_fetch_add(&overruns, 1);
}

static void create(struct harness *h, uint32_t loops)
{
	atomic_store(&overruns, 0);
	harness_create(h, &(struct net_pool_options){ .loops = loops,
				  .sender = NET_SENDER_PLAIN,
				  .overrun = on_overrun,
				  .ctx = &overruns });
}

/* A message of a thread, with its number. */
struct numbered {
	struct net_message message;
	uint32_t poster, number;
};

static uint32_t next_number[POSTERS];
static atomic_uint arrived, discarded;
static struct net_loop *target;

static void take(struct net_loop *loop, struct net_message *message)
{
	struct numbered *n = list_entry(message, struct numbered, message);

	assert(loop == target && net_loop_current() == loop);
	assert(n->number == next_number[n->poster]);
	next_number[n->poster]++;
	free(n);
	atomic_fetch_add(&arrived, 1);
}

static void discard(struct net_message *message)
{
	free(list_entry(message, struct numbered, message));
	atomic_fetch_add(&discarded, 1);
}

static struct numbered *new_message(uint32_t poster, uint32_t number, size_t bytes)
{
	struct numbered *n = malloc(sizeof(*n));

	assert(n != NULL);
	*n = (struct numbered){
		.message = { .run = take, .discard = discard, .bytes = bytes },
		.poster = poster,
		.number = number,
	};
	return n;
}

static void *post_many(void *arg)
{
	uint32_t poster = (uint32_t)(uintptr_t)arg;

	for (uint32_t i = 0; i < POSTS; i++) {
		struct numbered *n = new_message(poster, i, sizeof(*n));

		if (poster % 2 == 0)
			net_post_reserved(target, &n->message);
		else
			while (!net_post(target, &n->message))
				poll(NULL, 0, 1);
	}
	return NULL;
}

static void all_arrive_in_order(void **state)
{
	struct harness h;
	pthread_t threads[POSTERS];

	(void)state;
	create(&h, 2);
	target = net_pool_loop(h.pool, 1);
	atomic_store(&arrived, 0);
	memset(next_number, 0, sizeof(next_number));
	/* Some are there before the loops run. */
	assert_int_equal(pthread_create(&threads[0], NULL, post_many, NULL), 0);
	harness_run(&h);
	for (uintptr_t i = 1; i < POSTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, (void *)i), 0);
	for (size_t i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	WAIT_FOR(atomic_load(&arrived) == POSTERS * POSTS);
	harness_finish(&h);
	for (size_t i = 0; i < POSTERS; i++)
		assert_int_equal(next_number[i], POSTS);
	assert_int_equal(atomic_load(&arrived), POSTERS * POSTS);
}

/* Holds a loop until it is let go. */
struct held {
	struct net_message message;
	sem_t held, go;
};

static void hold(struct net_loop *loop, struct net_message *message)
{
	struct held *held = list_entry(message, struct held, message);

	(void)loop;
	sem_post(&held->held);
	while (sem_wait(&held->go) != 0)
		assert(errno == EINTR);
}

static void never(struct net_message *message)
{
	(void)message;
	assert(false && "discarded");
}

static void hold_begin(struct held *held, struct net_loop *loop)
{
	held->message = (struct net_message){ .run = hold, .discard = never, .bytes = sizeof(*held) };
	assert_int_equal(sem_init(&held->held, 0, 0), 0);
	assert_int_equal(sem_init(&held->go, 0, 0), 0);
	net_post_reserved(loop, &held->message);
}

static void hold_wait(struct held *held)
{
	while (sem_wait(&held->held) != 0)
		assert_int_equal(errno, EINTR);
}

static void hold_loop(struct held *held, struct net_loop *loop)
{
	hold_begin(held, loop);
	hold_wait(held);
}

static void nothing(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

/* Fill a loop that is held up to its bound, be refused, and let it go. */
static void fill_and_refuse(struct harness *h)
{
	struct held held;
	struct net_counters before, after;
	struct numbered *refused = new_message(0, LARGE_MAX + 1, LARGE_BYTES);
	struct numbered *small = new_message(0, LARGE_MAX + 2, sizeof(*small));

	net_pool_counters(h->pool, &before);
	atomic_store(&overruns, 0);
	atomic_store(&arrived, 0);
	memset(next_number, 0, sizeof(next_number));
	hold_loop(&held, target);
	for (uint32_t i = 0; i < LARGE_MAX; i++)
		assert_true(net_post(target, &new_message(0, i, LARGE_BYTES)->message));
	assert_false(net_post(target, &refused->message));
	assert_false(net_post(target, &small->message));
	assert_false(net_post(target, &refused->message));
	/* What is bounded otherwise is taken all the same. */
	net_post_reserved(target, &new_message(0, LARGE_MAX, LARGE_BYTES)->message);
	assert_false(net_post(target, &small->message));
	/* Whoever must not miss it says so; it is told once. */
	net_overrun(target);
	net_overrun(target);
	assert_int_equal(atomic_load(&overruns), 0);
	assert_int_equal(atomic_load(&arrived), 0);
	sem_post(&held.go);
	WAIT_FOR(atomic_load(&arrived) == LARGE_MAX + 1 && atomic_load(&overruns) > 0);
	harness_call(h, 1, nothing, NULL);
	assert_int_equal(atomic_load(&overruns), 1);
	assert_int_equal(atomic_load(&overrun_on), 1);
	net_pool_counters(h->pool, &after);
	assert_int_equal(after.posts_refused - before.posts_refused, 4);
	/* Those refused are still ours, and there is room again. */
	assert_true(net_post(target, &refused->message));
	assert_true(net_post(target, &small->message));
	WAIT_FOR(atomic_load(&arrived) == LARGE_MAX + 3);
	assert_int_equal(atomic_load(&overruns), 1);
}

static void the_bound_refuses_and_is_reported(void **state)
{
	struct harness h;

	(void)state;
	create(&h, 2);
	target = net_pool_loop(h.pool, 1);
	harness_run(&h);
	for (int round = 0; round < 3; round++)
		fill_and_refuse(&h);
	harness_finish(&h);
}

static void one_message_always_fits(void **state)
{
	struct harness h;
	struct held held;

	(void)state;
	create(&h, 1);
	target = net_pool_loop(h.pool, 0);
	harness_run(&h);
	atomic_store(&arrived, 0);
	memset(next_number, 0, sizeof(next_number));
	hold_loop(&held, target);
	assert_true(net_post(target, &new_message(0, 0, (size_t)NET_POST_BYTES_MAX * 2)->message));
	struct numbered *second = new_message(0, 1, sizeof(*second));

	assert_false(net_post(target, &second->message));
	sem_post(&held.go);
	WAIT_FOR(atomic_load(&arrived) == 1);
	assert_true(net_post(target, &second->message));
	WAIT_FOR(atomic_load(&arrived) == 2);
	harness_finish(&h);
}

/* From a loop to itself: not within the call. */
static atomic_bool returned;

static void take_later(struct net_loop *loop, struct net_message *message)
{
	assert(atomic_load(&returned));
	take(loop, message);
}

static void post_to_itself(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	for (uint32_t i = 0; i < 10; i++) {
		struct numbered *n = new_message(0, i, sizeof(*n));

		n->message.run = take_later;
		bool posted = net_post(loop, &n->message);

		assert(posted);
	}
	atomic_store(&returned, true);
}

static void a_post_never_runs_within_the_call(void **state)
{
	struct harness h;

	(void)state;
	create(&h, 1);
	target = net_pool_loop(h.pool, 0);
	harness_run(&h);
	atomic_store(&arrived, 0);
	memset(next_number, 0, sizeof(next_number));
	harness_call(&h, 0, post_to_itself, NULL);
	WAIT_FOR(atomic_load(&arrived) == 10);
	harness_finish(&h);
}

/* What was posted at once is run in turns, one in an iteration. */
static uint32_t turns[NET_POST_TURNS_MAX + 1]; /* messages run in each */
static atomic_uint turn_count;
static struct net_task turn_end;

static void end_turn(struct net_task *task)
{
	assert(task == &turn_end);
	atomic_fetch_add(&turn_count, 1);
}

static void count_in_turn(struct net_loop *loop, struct net_message *message)
{
	uint32_t turn = atomic_load(&turn_count);

	assert(turn < sizeof(turns) / sizeof(turns[0]));
	turns[turn]++;
	net_defer(loop, &turn_end);
	take(loop, message);
}

static void post_for_turns(uint32_t from, uint32_t posts)
{
	for (uint32_t i = from; i < from + posts; i++) {
		struct numbered *n = new_message(0, i, sizeof(*n));

		n->message.run = count_in_turn;
		net_post_reserved(target, &n->message);
	}
}

/* The loop is held by a message that it took alone. */
static void post_to_held(struct held *held, uint32_t posts)
{
	atomic_store(&arrived, 0);
	atomic_store(&turn_count, 0);
	memset(next_number, 0, sizeof(next_number));
	memset(turns, 0, sizeof(turns));
	hold_loop(held, target);
	post_for_turns(0, posts);
}

static void a_loop_runs_posts_in_turns(void **state)
{
	struct harness h;
	struct held held;

	(void)state;
	create(&h, 2);
	target = net_pool_loop(h.pool, 1);
	harness_run(&h);
	net_task_init(&turn_end, end_turn);
	post_to_held(&held, 2 * NET_POST_TURN + 10);
	sem_post(&held.go);
	WAIT_FOR(atomic_load(&turn_count) == 3);
	assert_int_equal(turns[0], NET_POST_TURN);
	assert_int_equal(turns[1], NET_POST_TURN);
	assert_int_equal(turns[2], 10);
	/* Many are not let wait for as many turns. */
	post_to_held(&held, 10 * NET_POST_TURN * NET_POST_TURNS_MAX);
	sem_post(&held.go);
	WAIT_FOR(atomic_load(&turn_count) == NET_POST_TURNS_MAX);
	for (uint32_t i = 0; i < NET_POST_TURNS_MAX; i++)
		assert_int_equal(turns[i], 10 * NET_POST_TURN);
	harness_finish(&h);
}

/* The loop is held by the first of many that it has taken. */
static void post_behind(struct held *held, struct held *first)
{
	hold_begin(held, target);
	post_for_turns(0, 3 * NET_POST_TURN);
	sem_post(&first->go);
	hold_wait(held);
}

static atomic_uint arrived_before_stop;

static void on_stopping(struct net_loop *loop, void *ctx)
{
	(void)ctx;
	if (loop == target)
		atomic_store(&arrived_before_stop, atomic_load(&arrived));
}

static void what_is_posted_before_the_stop_is_run_before_it(void **state)
{
	struct harness h;
	struct held first, held;

	(void)state;
	harness_create(&h, &(struct net_pool_options){
				   .loops = 2, .sender = NET_SENDER_PLAIN, .stopping = on_stopping });
	target = net_pool_loop(h.pool, 1);
	harness_run(&h);
	net_task_init(&turn_end, end_turn);
	/* Some have been taken when it stops, and wait for their turn; some have not. */
	post_to_held(&first, 0);
	post_behind(&held, &first);
	post_for_turns(3 * NET_POST_TURN, 2 * NET_POST_TURN);
	net_pool_stop(h.pool);
	sem_post(&held.go);
	harness_join(&h);
	assert_int_equal(atomic_load(&arrived_before_stop), 5 * NET_POST_TURN);
	harness_finish(&h);
}

static void what_a_loop_does_not_run_is_discarded(void **state)
{
	struct harness h;

	(void)state;
	/* A pool that has run ... */
	create(&h, 2);
	target = net_pool_loop(h.pool, 1);
	harness_run(&h);
	net_pool_stop(h.pool);
	harness_join(&h);
	atomic_store(&arrived, 0);
	atomic_store(&discarded, 0);
	for (uint32_t i = 0; i < 100; i++)
		net_post_reserved(target, &new_message(0, i, sizeof(struct numbered))->message);
	net_pool_close(h.pool);
	assert_int_equal(atomic_load(&discarded), 100);
	struct numbered *late = new_message(0, 0, sizeof(struct numbered));
	assert_false(net_post(target, &late->message));
	net_post_reserved(target, &late->message);
	assert_int_equal(atomic_load(&discarded), 101);
	harness_finish(&h);
	/* ... and one that never did. */
	create(&h, 2);
	target = net_pool_loop(h.pool, 1);
	for (uint32_t i = 0; i < 100; i++)
		assert_true(net_post(target, &new_message(0, i, sizeof(struct numbered))->message));
	harness_finish(&h);
	assert_int_equal(atomic_load(&discarded), 201);
	assert_int_equal(atomic_load(&arrived), 0);
}

/* Posts that come while it stops are run or discarded, each of them once. */
static void *post_until_the_end(void *arg)
{
	for (uint32_t i = 0; i < 20000; i++)
		net_post_reserved(
			target, &new_message((uint32_t)(uintptr_t)arg, i, sizeof(struct numbered))->message);
	return NULL;
}

static void posts_while_it_stops(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		struct harness h;
		pthread_t threads[2];

		create(&h, 2);
		target = net_pool_loop(h.pool, 1);
		atomic_store(&arrived, 0);
		atomic_store(&discarded, 0);
		memset(next_number, 0, sizeof(next_number));
		harness_run(&h);
		for (uintptr_t i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, post_until_the_end, (void *)i), 0);
		WAIT_FOR(atomic_load(&arrived) > 100);
		net_pool_stop(h.pool);
		harness_join(&h);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		harness_finish(&h);
		assert_int_equal(atomic_load(&arrived) + atomic_load(&discarded), 40000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_arrive_in_order),
		cmocka_unit_test(the_bound_refuses_and_is_reported),
		cmocka_unit_test(one_message_always_fits),
		cmocka_unit_test(a_post_never_runs_within_the_call),
		cmocka_unit_test(a_loop_runs_posts_in_turns),
		cmocka_unit_test(what_is_posted_before_the_stop_is_run_before_it),
		cmocka_unit_test(what_a_loop_does_not_run_is_discarded),
		cmocka_unit_test(posts_while_it_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
