/* The clock never goes back, and its unit is the nanosecond. */
#include "base/clock.h"
#include "lib/cmocka.h"

#include <time.h>

static void test_monotonic(void **state)
{
	(void)state;
	uint64_t last = clock_now_ns();

	for (int i = 0; i < 100000; i++) {
		uint64_t now = clock_now_ns();

		assert_true(now >= last);
		last = now;
	}
}

static void test_unit(void **state)
{
	(void)state;
	struct timespec before, after;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
	uint64_t now = clock_now_ns();

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
	assert_true(now >= (uint64_t)before.tv_sec * CLOCK_NS_PER_S + (uint64_t)before.tv_nsec);
	assert_true(now <= (uint64_t)after.tv_sec * CLOCK_NS_PER_S + (uint64_t)after.tv_nsec);
	assert_true(CLOCK_NS_PER_MS * 1000 == CLOCK_NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_monotonic),
		cmocka_unit_test(test_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
