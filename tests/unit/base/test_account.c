/* The account of what is held: sums of threads, and who is told of growth. */
#include "base/account.h"

#include <pthread.h>
#include <stdatomic.h>

#include "lib/cmocka.h"

enum { THREADS = 100, ROUNDS = 1000, STEP = 1 << ACCOUNT_STEP_BITS };

static atomic_uint told;

static void grown(void)
{
	atomic_fetch_add(&told, 1);
}

static void it_sums(void **state)
{
	(void)state;
	assert_int_equal(account_bytes(), 0);
	account_add(1000);
	account_take(300);
	assert_int_equal(account_bytes(), 700);
	account_take(700);
	assert_int_equal(account_bytes(), 0);
}

static void *give(void *bytes)
{
	int n = *(int *)bytes;

	for (int i = 0; i < ROUNDS; i++) {
		if (n > 0)
			account_add((size_t)n);
		else
			account_take((size_t)-n);
	}
	return NULL;
}

static void all_at_once(int bytes)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, give, &bytes), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* More threads than places; those who give back are others than those who took. */
static void of_many_threads(void **state)
{
	(void)state;
	all_at_once(3);
	assert_int_equal(account_bytes(), 3 * THREADS * ROUNDS);
	all_at_once(-3);
	assert_int_equal(account_bytes(), 0);
}

static void growth_is_told_by_steps(void **state)
{
	(void)state;
	account_watch(grown);
	account_add(STEP / 2);
	account_take(STEP / 2);
	account_add(STEP - 1);
	assert_int_equal(atomic_load(&told), 0);
	account_add(1);
	assert_int_equal(atomic_load(&told), 1);
	account_take(1);
	assert_int_equal(atomic_load(&told), 1); /* that it shrinks, nobody wants to know */
	account_add(10 * STEP);
	assert_int_equal(atomic_load(&told), 2);
	account_watch(NULL);
	account_add(STEP);
	assert_int_equal(atomic_load(&told), 2);
	account_take(12 * STEP - 1);
	assert_int_equal(account_bytes(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_sums),
		cmocka_unit_test(growth_is_told_by_steps),
		cmocka_unit_test(of_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
