/* Unit tests of base/inbox.h and base/pile.h: everything arrives, once, and in the order of its thread. */
#include "base/inbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lib/cmocka.h"

enum { THREADS = 4, EACH = 20000 };

struct item {
	struct pile_node node;
	uint32_t from, number;
};

struct sender {
	struct inbox *in;
	struct item *items;
	uint32_t from;
};

static void *send_all(void *ctx)
{
	struct sender *s = ctx;

	for (uint32_t i = 0; i < EACH; i++) {
		s->items[i] = (struct item){ .from = s->from, .number = i };
		inbox_push(s->in, &s->items[i].node);
	}
	return NULL;
}

static void test_everything_once_in_order_of_its_thread(void **state)
{
	struct inbox in;
	struct sender senders[THREADS];
	pthread_t threads[THREADS];
	uint32_t next[THREADS] = { 0 }, left = THREADS * EACH;

	(void)state;
	inbox_init(&in);
	for (uint32_t i = 0; i < THREADS; i++) {
		senders[i] = (struct sender){ &in, calloc(EACH, sizeof(struct item)), i };
		assert_non_null(senders[i].items);
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	while (left > 0) {
		struct pile_node *node = inbox_take(&in, INBOX_FOR_EVER);

		assert_non_null(node);
		for (; node != NULL; node = node->next, left--) {
			struct item *item = pile_entry(node, struct item, node);
			assert_int_equal(item->number, next[item->from]++);
		}
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		free(senders[i].items);
	}
	assert_null(inbox_take(&in, 0));
	inbox_finish(&in);
}

static void test_an_empty_one_is_waited_for_so_long_and_no_longer(void **state)
{
	struct inbox in;
	struct item item = { .number = 7 };

	(void)state;
	inbox_init(&in);
	assert_null(inbox_take(&in, 0));
	uint64_t until = clock_now_ns() + 20 * CLOCK_NS_PER_MS;
	assert_null(inbox_take(&in, until));
	assert_true(clock_now_ns() >= until);
	inbox_push(&in, &item.node);
	assert_ptr_equal(inbox_take(&in, 1), &item.node); /* what is there is taken, however late */
	assert_null(item.node.next);
	/* The wake of what was taken without waiting ends no later wait. */
	until = clock_now_ns() + 20 * CLOCK_NS_PER_MS;
	assert_null(inbox_take(&in, until));
	assert_true(clock_now_ns() >= until);
	inbox_finish(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_once_in_order_of_its_thread),
		cmocka_unit_test(test_an_empty_one_is_waited_for_so_long_and_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
