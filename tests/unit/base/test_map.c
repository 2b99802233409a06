/* The hash map: many keys up and down, emptying, strange keys, threads, and no memory. */
#include "base/map.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"
#include "lib/rng.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	KEYS = 50000,
	STEPS = 200000,
	THREADS = 4,
};

struct item {
	struct map_node node;
	char name[24];
	bool in;
};

static struct item *items;

static struct str name_of(const struct item *i)
{
	return str_c(i->name);
}

static int set_up(void **state)
{
	(void)state;
	items = calloc(KEYS, sizeof(*items));
	for (int i = 0; items && i < KEYS; i++)
		snprintf(items[i].name, sizeof(items[i].name), "room-%d", i);
	return items ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(items);
	return 0;
}

static void insert(struct map *m, struct item *i)
{
	assert_true(map_insert(m, &i->node, name_of(i)));
	i->in = true;
}

static void take_out(struct map *m, struct item *i)
{
	map_remove(m, &i->node);
	i->in = false;
}

static void assert_found(const struct map *m, struct item *i)
{
	struct map_node *node = map_find(m, name_of(i));

	assert_ptr_equal(node, i->in ? &i->node : NULL);
	if (node)
		assert_ptr_equal(map_entry(node, struct item, node), i);
}

static void test_empty(void **state)
{
	(void)state;
	struct map m = { 0 };

	assert_null(map_find(&m, STR("a")));
	assert_null(map_find(&m, (struct str){ 0 }));
	assert_null(map_any(&m));
	map_finish(&m);
	map_finish(&m);
}

static void test_up_and_down(void **state)
{
	(void)state;
	struct map m = { 0 };

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < KEYS; i++) {
			insert(&m, &items[i]);
			assert_int_equal(m.count, i + 1);
			assert_true(m.bucket_count >= m.count);
		}
		for (size_t i = 0; i < KEYS; i++)
			assert_found(&m, &items[i]);
		assert_null(map_find(&m, STR("room-")));
		assert_null(map_find(&m, STR("room--1")));
		for (size_t i = 0; i < KEYS; i++) {
			take_out(&m, &items[i * 7919 % KEYS]);
			assert_true(m.bucket_count <= 8 || m.count >= m.bucket_count / 4);
		}
		assert_int_equal(m.count, 0);
		assert_int_equal(m.bucket_count, 8);
	}
	map_finish(&m);
	assert_null(m.buckets);
}

static void test_at_random(void **state)
{
	(void)state;
	struct map m = { 0 };
	struct rng r;
	size_t count = 0;

	rng_init(&r);
	for (size_t i = 0; i < STEPS; i++) {
		/* The map grows and shrinks by waves. */
		struct item *item = &items[rng_below(&r, i / 20000 % 2 == 0 ? KEYS : KEYS / 50)];

		if (item->in && rng_below(&r, 4) != 0) {
			take_out(&m, item);
			count--;
		} else if (!item->in) {
			insert(&m, item);
			count++;
		}
		assert_found(&m, item);
		assert_found(&m, &items[rng_below(&r, KEYS)]);
		assert_int_equal(m.count, count);
	}
	for (size_t i = 0; i < KEYS; i++)
		if (items[i].in)
			take_out(&m, &items[i]);
	map_finish(&m);
}

static clock_t fill(struct map *m)
{
	clock_t begin = clock();

	for (size_t i = 0; i < KEYS; i++)
		insert(m, &items[i]);
	return clock() - begin;
}

/* Taking all out by map_any() ends, meets each once, and does not take quadratic time: not much more than filling. */
static void test_any(void **state)
{
	(void)state;
	struct map m = { 0 };
	struct map_node *node;
	size_t taken = 0;
	clock_t filling = fill(&m), begin = clock();

	for (; (node = map_any(&m)); taken++) {
		assert_true(map_entry(node, struct item, node)->in);
		take_out(&m, map_entry(node, struct item, node));
	}
	assert_int_equal(taken, KEYS);
	assert_in_range(clock() - begin, 0, 10 * filling + CLOCKS_PER_SEC / 20);
	map_finish(&m);
}

static void test_strange_keys(void **state)
{
	(void)state;
	static const struct str keys[] = { STR_INIT(""), STR_INIT("\0"), STR_INIT("\0\0"), STR_INIT("a"),
		STR_INIT("a\0"), STR_INIT("a\0b"), STR_INIT("A"), STR_INIT("\xff"),
		STR_INIT("a key of more than sixteen bytes") };
	enum { COUNT = sizeof(keys) / sizeof(*keys) };
	struct map_node nodes[COUNT];
	struct map m = { 0 };

	for (size_t i = 0; i < COUNT; i++) {
		assert_null(map_find(&m, keys[i]));
		assert_true(map_insert(&m, &nodes[i], keys[i]));
	}
	for (size_t i = 0; i < COUNT; i++)
		assert_ptr_equal(map_find(&m, keys[i]), &nodes[i]);
	assert_ptr_equal(map_find(&m, (struct str){ 0 }), &nodes[0]);
	for (size_t i = 0; i < COUNT; i++)
		map_remove(&m, &nodes[i]);
	map_finish(&m);
}

/* Chains stay short: what the O(1) of the header means. */
static void test_spread(void **state)
{
	(void)state;
	struct map m = { 0 };
	size_t longest = 0;

	for (size_t i = 0; i < KEYS; i++)
		insert(&m, &items[i]);
	for (size_t b = 0; b < m.bucket_count; b++) {
		size_t chain = 0;

		for (struct map_node *node = m.buckets[b]; node; node = node->next)
			chain++;
		longest = chain > longest ? chain : longest;
	}
	assert_in_range(longest, 2, 14);
	for (size_t i = 0; i < KEYS; i++)
		take_out(&m, &items[i]);
	map_finish(&m);
}

static void test_no_memory(void **state)
{
	(void)state;
	struct map m = { 0 };
	enum { SOME = 500 };
	unsigned n = 0;
	bool failed;

	/* No first array: refused, and nothing has changed. */
	failing_alloc_arm(1);
	assert_false(map_insert(&m, &items[0].node, name_of(&items[0])));
	assert_true(failing_alloc_disarm());
	assert_int_equal(m.count, 0);
	assert_null(m.buckets);

	/* Whichever later array cannot be had, to grow or to shrink: the map works on. */
	do {
		insert(&m, &items[0]);
		failing_alloc_arm(++n);
		for (size_t i = 1; i < SOME; i++)
			insert(&m, &items[i]);
		for (size_t i = 0; i < SOME; i++)
			assert_found(&m, &items[i]);
		for (size_t i = 0; i < SOME; i++) {
			take_out(&m, &items[i]);
			assert_found(&m, &items[i]);
		}
		failed = failing_alloc_disarm();
		map_finish(&m);
	} while (failed);
	assert_in_range(n, 8, 100);

	/* None at all but the first. */
	insert(&m, &items[0]);
	failing_alloc_arm_from(1);
	for (size_t i = 1; i < SOME; i++)
		insert(&m, &items[i]);
	for (size_t i = 0; i < SOME; i++)
		assert_found(&m, &items[i]);
	assert_true(failing_alloc_disarm());
	assert_int_equal(m.bucket_count, 8);
	for (size_t i = 0; i < SOME; i++)
		take_out(&m, &items[i]);
	map_finish(&m);
}

/* Maps of several threads share the process's key, whoever makes it. */
static void *use_a_map(void *arg)
{
	struct item *mine = arg;
	struct map m = { 0 };
	uintptr_t bad = 0;

	for (int i = 0; i < KEYS / THREADS; i++)
		bad += !map_insert(&m, &mine[i].node, name_of(&mine[i]));
	for (int i = 0; i < KEYS / THREADS; i++)
		bad += map_find(&m, name_of(&mine[i])) != &mine[i].node;
	for (int i = 0; i < KEYS / THREADS; i++)
		map_remove(&m, &mine[i].node);
	map_finish(&m);
	return (void *)bad;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, use_a_map, items + i * (KEYS / THREADS)), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *bad;

		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the process has no key yet. */
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_up_and_down),
		cmocka_unit_test(test_at_random),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_strange_keys),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
