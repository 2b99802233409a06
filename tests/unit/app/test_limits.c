/* Token buckets over simulated time: bursts, rates and waits to the millisecond, many keys, a full table, many threads. */
#include "app/limits.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum {
	MS = 1000000, /* in ns */
	THREADS = 4,
	TAKES = 20000,
	KEYS = 8192,
	ROUNDS = 30,
	CROWD = 200000,
};

#define S (UINT64_C(1000) * MS)

static uint64_t began;

static struct limits *make(enum limit_kind kind, struct limit limit)
{
	struct limit limits[LIMIT_KINDS] = { { .rate = 0 } };
	struct limits *l;

	limits[kind] = limit;
	l = limits_create(limits);
	assert_non_null(l);
	began = clock_now_ns();
	return l;
}

/* At a time behind the start. */
static bool take(struct limits *l, enum limit_kind kind, uint64_t key, uint64_t at_ns, uint64_t *ret_retry_ms)
{
	uint64_t retry_ms = UINT64_MAX;
	bool taken = limits_take(l, kind, key, 1, began + at_ns, &retry_ms);

	if (!taken)
		assert_in_range(retry_ms, 1, UINT64_MAX - 1);
	*ret_retry_ms = retry_ms;
	return taken;
}

static unsigned take_all(struct limits *l, enum limit_kind kind, uint64_t key, uint64_t at_ns)
{
	uint64_t retry_ms;
	unsigned count = 0;

	while (take(l, kind, key, at_ns, &retry_ms))
		count++;
	return count;
}

static void a_burst_is_as_large_as_it_is_said_to_be(void **state)
{
	(void)state;
	static const struct limit limits[] = { { 1, 0, 1 }, { 10, 0, 40 }, { 1, 3, 1 }, { 50, 1, 200 },
		{ 3, 0, 7 }, { 7, 60, 2 }, { 1000, 0, 1 }, { 1, 0, 100000 } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct limits *l = make(LIMIT_SEND, limits[i]);

		assert_int_equal(take_all(l, LIMIT_SEND, 5, 0), limits[i].burst);
		/* And no larger after a rest of a year. */
		assert_int_equal(take_all(l, LIMIT_SEND, 5, 365 * 86400 * S), limits[i].burst);
		limits_destroy(l);
	}
}

/* All of them or none; more than a burst are a burst. */
static void several_at_once(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_READ, (struct limit){ 10, 0, 40 });
	uint64_t retry_ms = 0;

	assert_true(limits_take(l, LIMIT_READ, 5, 30, began, &retry_ms));
	assert_false(limits_take(l, LIMIT_READ, 5, 30, began, &retry_ms));
	assert_int_equal(retry_ms, 2000);
	assert_int_equal(take_all(l, LIMIT_READ, 5, 0), 10);
	assert_false(limits_take(l, LIMIT_READ, 5, 30, began + UINT64_C(2999) * MS, &retry_ms));
	assert_int_equal(retry_ms, 1);
	assert_true(limits_take(l, LIMIT_READ, 5, 30, began + UINT64_C(3000) * MS, &retry_ms));
	assert_false(limits_take(l, LIMIT_READ, 5, 1000, began + UINT64_C(3000) * MS, &retry_ms));
	assert_int_equal(retry_ms, 4000);
	assert_true(limits_take(l, LIMIT_READ, 5, 1000, began + UINT64_C(7000) * MS, &retry_ms));
	assert_false(limits_take(l, LIMIT_READ, 5, 1, began + UINT64_C(7000) * MS, &retry_ms));
	limits_destroy(l);
}

/* Asked each millisecond for a while: the burst, and then as many as the rate says. */
static void the_rate_is_kept_over_time(void **state)
{
	(void)state;
	static const struct limit limits[] = { { 1, 0, 1 }, { 10, 0, 40 }, { 1, 3, 1 }, { 50, 1, 200 },
		{ 20, 0, 100 }, { 4, 10, 3 }, { 500, 0, 1 } };
	enum { SECONDS = 30 };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct limits *l = make(LIMIT_READ, limits[i]);
		uint64_t per = limits[i].per == 0 ? 1 : limits[i].per, retry_ms;
		uint64_t count = take_all(l, LIMIT_READ, 5, 0);

		for (uint64_t ms = 1; ms <= SECONDS * 1000; ms++)
			count += take(l, LIMIT_READ, 5, ms * MS, &retry_ms);
		assert_int_equal(count, limits[i].burst + SECONDS * limits[i].rate / per);
		limits_destroy(l);
	}
}

/* Rates that do not divide a second: never more than is said, and not much less. */
static void odd_rates_are_not_passed(void **state)
{
	(void)state;
	static const uint32_t rates[] = { 3, 7, 11, 13, 999, 1001, 3333, 300001, 600000, 999999, 1000000 };
	enum { SECONDS = 5, US = 1000 };

	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct limits *l = make(LIMIT_SEND, (struct limit){ rates[i], 0, 2 });
		uint64_t count = take_all(l, LIMIT_SEND, 9, 0), retry_ms;
		uint64_t step_us = rates[i] > 10000 ? 1 : 50;

		for (uint64_t us = step_us; us <= SECONDS * 1000 * 1000 / (rates[i] > 10000 ? 10u : 1u);
			us += step_us)
			count += take(l, LIMIT_SEND, 9, us * US, &retry_ms);
		uint64_t allowed = (uint64_t)rates[i] * SECONDS / (rates[i] > 10000 ? 10u : 1u) + 2;
		assert_in_range(count, allowed / 2, allowed);
		if (rates[i] < 10000)
			assert_in_range(count, allowed - allowed / 50 - 1, allowed);
		limits_destroy(l);
	}
}

/* The wait that is told is the shortest that helps. */
static void the_wait_is_exact(void **state)
{
	(void)state;
	static const struct limit limits[] = { { 1, 0, 1 }, { 10, 0, 40 }, { 1, 3, 1 }, { 7, 0, 3 },
		{ 1, 60, 2 }, { 1000, 0, 5 }, { 5000, 0, 1 }, { 1000000, 0, 1 } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct limits *l = make(LIMIT_HELLO, limits[i]);
		uint64_t per = limits[i].per == 0 ? 1 : limits[i].per, at = 0, retry_ms, again_ms;

		take_all(l, LIMIT_HELLO, 1, at);
		for (int round = 0; round < 20; round++) {
			assert_false(take(l, LIMIT_HELLO, 1, at, &retry_ms));
			assert_in_range(retry_ms, 1, per * 1000 / limits[i].rate + 1);
			if (retry_ms > 1) {
				assert_false(take(l, LIMIT_HELLO, 1, at + (retry_ms - 1) * MS, &again_ms));
				assert_int_equal(again_ms, 1);
			}
			at += retry_ms * MS;
			/* More than one a millisecond may have grown meanwhile. */
			assert_true(take_all(l, LIMIT_HELLO, 1, at) >= 1);
		}
		limits_destroy(l);
	}
	/* In numbers: ten a second are 100 ms each, and half of them later 50 are left. */
	struct limits *l = make(LIMIT_HELLO, (struct limit){ 10, 0, 1 });
	uint64_t retry_ms;
	assert_true(take(l, LIMIT_HELLO, 1, 0, &retry_ms));
	assert_false(take(l, LIMIT_HELLO, 1, 0, &retry_ms));
	assert_int_equal(retry_ms, 100);
	assert_false(take(l, LIMIT_HELLO, 1, 50 * MS, &retry_ms));
	assert_int_equal(retry_ms, 50);
	assert_false(take(l, LIMIT_HELLO, 1, 99 * MS, &retry_ms));
	assert_int_equal(retry_ms, 1);
	assert_true(take(l, LIMIT_HELLO, 1, 100 * MS, &retry_ms));
	limits_destroy(l);
}

/* To be refused costs nothing: who asks all the time is let through as often as who waits. */
static void refusals_are_not_counted(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_TYPING, (struct limit){ 1, 3, 1 });
	uint64_t retry_ms;
	unsigned passed = 0;

	/* A thousand a second for 30 s; threats: one per 3 s goes out. */
	for (uint64_t ms = 0; ms < 30000; ms++)
		passed += take(l, LIMIT_TYPING, 77, ms * MS, &retry_ms);
	assert_int_equal(passed, 10);
	limits_destroy(l);
}

static void keys_and_kinds_have_their_own(void **state)
{
	(void)state;
	struct limit limits[LIMIT_KINDS];

	for (int i = 0; i < LIMIT_KINDS; i++)
		limits[i] = (struct limit){ 1, 0, (uint32_t)i + 1 };
	struct limits *l = limits_create(limits);
	assert_non_null(l);
	began = clock_now_ns();
	for (uint64_t key = 0; key < 100; key++) {
		for (int i = 0; i < LIMIT_KINDS; i++)
			assert_int_equal(take_all(l, (enum limit_kind)i, key, 0), i + 1);
	}
	assert_int_equal(take_all(l, LIMIT_GUEST, UINT64_MAX, 0), 1);
	limits_destroy(l);
}

static void what_is_unlimited_is_never_refused(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_SEND, (struct limit){ 0, 0, 0 });
	uint64_t retry_ms;

	for (uint64_t i = 0; i < 100000; i++)
		assert_true(take(l, LIMIT_SEND, i % 2, 0, &retry_ms));
	limits_destroy(l);
	limits_destroy(NULL);
}

/*
 * More keys than buckets, all at once: never more than the buckets allow together, and nothing is stuck afterwards. What is
 * in use is never forgotten for somebody new.
 */
static void a_full_table_shares(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_GUEST, (struct limit){ 1, 0, 1 });
	uint64_t retry_ms;
	size_t granted = 0, again = 0;

	for (uint64_t key = 0; key < CROWD; key++)
		granted += take(l, LIMIT_GUEST, key, 0, &retry_ms);
	assert_in_range(granted, BUCKETS_SETS * BUCKETS_WAYS * 9 / 10, BUCKETS_SETS * BUCKETS_WAYS);
	for (uint64_t key = 0; key < CROWD; key++)
		again += take(l, LIMIT_GUEST, key, 0, &retry_ms);
	assert_in_range(granted + again, 0, BUCKETS_SETS * BUCKETS_WAYS);
	/* All are full again: that says nothing, and gives way. */
	for (uint64_t key = CROWD; key < CROWD + 1000; key++)
		assert_true(take(l, LIMIT_GUEST, key, 2 * S, &retry_ms));
	limits_destroy(l);
}

/* Some at once, all in the table: each has what it may, whoever else is there. */
static void many_keys_do_not_disturb_each_other(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_SEND, (struct limit){ 10, 0, 3 });
	uint64_t retry_ms;
	size_t granted = 0;

	for (int round = 0; round < 4; round++) {
		for (uint64_t key = 0; key < KEYS; key++)
			granted += take(l, LIMIT_SEND, key * 977, 0, &retry_ms);
	}
	/* Two may share by chance: their tags have 16 bits. */
	assert_in_range(granted, 3 * (KEYS - 16), 3 * KEYS);
	limits_destroy(l);
}

struct taker {
	struct limits *limits;
	uint64_t now_ns;
	size_t granted;
};

static void *take_one_key(void *ctx)
{
	struct taker *t = ctx;
	uint64_t retry_ms;

	for (int i = 0; i < TAKES; i++)
		t->granted += limits_take(t->limits, LIMIT_SEND, 1, 1, t->now_ns, &retry_ms);
	return NULL;
}

static void *take_many_keys(void *ctx)
{
	struct taker *t = ctx;
	uint64_t retry_ms;

	for (uint64_t key = 0; key < KEYS; key++)
		t->granted += limits_take(t->limits, LIMIT_SEND, key, 1, t->now_ns, &retry_ms);
	return NULL;
}

static size_t take_with_threads(struct limits *l, uint64_t now_ns, void *(*fn)(void *))
{
	struct taker takers[THREADS];
	pthread_t threads[THREADS];
	size_t granted = 0;

	for (size_t i = 0; i < THREADS; i++) {
		takers[i] = (struct taker){ l, now_ns, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, fn, &takers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		granted += takers[i].granted;
	}
	return granted;
}

static void threads_share_a_bucket(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_SEND, (struct limit){ 100, 0, 5000 });

	assert_int_equal(take_with_threads(l, began, take_one_key), 5000);
	assert_int_equal(take_with_threads(l, began + S, take_one_key), 100);
	limits_destroy(l);
}

/* All keys by all threads in one order, so that new ones meet in one set at one time: each once, and no more. */
static void threads_do_not_take_a_bucket_twice(void **state)
{
	(void)state;
	struct limits *l = make(LIMIT_SEND, (struct limit){ 1, 0, 1 });

	for (uint64_t round = 0; round < ROUNDS; round++)
		assert_in_range(take_with_threads(l, began + round * 2 * S, take_many_keys), KEYS - 16, KEYS);
	limits_destroy(l);
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	struct limit limits[LIMIT_KINDS] = { { .rate = 0 } };

	failing_alloc_arm(1);
	assert_null(limits_create(limits));
	assert_true(failing_alloc_disarm());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_as_large_as_it_is_said_to_be),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(the_rate_is_kept_over_time),
		cmocka_unit_test(odd_rates_are_not_passed),
		cmocka_unit_test(the_wait_is_exact),
		cmocka_unit_test(refusals_are_not_counted),
		cmocka_unit_test(keys_and_kinds_have_their_own),
		cmocka_unit_test(what_is_unlimited_is_never_refused),
		cmocka_unit_test(a_full_table_shares),
		cmocka_unit_test(many_keys_do_not_disturb_each_other),
		cmocka_unit_test(threads_share_a_bucket),
		cmocka_unit_test(threads_do_not_take_a_bucket_twice),
		cmocka_unit_test(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
