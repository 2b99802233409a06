/* Debts of token buckets: how long whoever has taken too much waits. What is taken or not is looked at by tests/unit/app/test_limits.c. */
#include "base/bucket.h"

#include "base/clock.h"
#include "lib/cmocka.h"

enum { US_PER_S = 1000000, NS_PER_US = 1000 };

static void a_debt_is_paid_in_time(void **state)
{
	const struct bucket_rate rate = bucket_rate(10, 1, 5); /* one in 100 ms */
	uint64_t full_us = 0, now_us = 77 * US_PER_S;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(bucket_charge(&rate, &full_us, now_us), 0);
	assert_int_equal(bucket_charge(&rate, &full_us, now_us), 100000);
	assert_int_equal(bucket_charge(&rate, &full_us, now_us), 200000);
	now_us += 250000;
	assert_int_equal(bucket_charge(&rate, &full_us, now_us), 50000);
	now_us += 50000;
	assert_int_equal(bucket_charge(&rate, &full_us, now_us), 100000);
	now_us += 3600ull * US_PER_S; /* a rest */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(bucket_charge(&rate, &full_us, now_us), 0);
	for (unsigned i = 0; i < 100000; i++)
		(void)bucket_charge(&rate, &full_us, now_us);
	assert_int_equal(bucket_charge(&rate, &full_us, now_us), BUCKET_DEBT_S * (uint64_t)US_PER_S);
}

static void one_of_a_table_is_charged_as_one_alone(void **state)
{
	const struct bucket_rate rate = bucket_rate(1000, 1, 3), none = bucket_rate(0, 1, 1);
	struct buckets *b = buckets_create();
	uint64_t now_ns = clock_now_ns() + 5000, retry_us = 0;

	(void)state;
	assert_non_null(b);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(buckets_charge(b, &rate, 1, 7, now_ns), 0);
	assert_int_equal(buckets_charge(b, &rate, 1, 7, now_ns), 1000);
	assert_int_equal(buckets_charge(b, &rate, 1, 8, now_ns), 0); /* another key, another kind */
	assert_int_equal(buckets_charge(b, &rate, 2, 7, now_ns), 0);
	assert_int_equal(buckets_charge(b, &none, 1, 7, now_ns), 0);
	assert_false(buckets_take(b, &rate, 1, 7, 1, now_ns, &retry_us));
	assert_int_equal(retry_us, 2000);
	assert_int_equal(buckets_charge(b, &rate, 1, 7, now_ns + 2000 * (uint64_t)NS_PER_US), 0);
	buckets_destroy(b);
	buckets_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_debt_is_paid_in_time),
		cmocka_unit_test(one_of_a_table_is_charged_as_one_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
