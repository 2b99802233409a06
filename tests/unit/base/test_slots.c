/* Objects by number: an old id never finds a new object. Random use is held against a list of all ids ever given. */
#include "base/slots.h"

#include <stdlib.h>

#include "lib/cmocka.h"
#include "lib/failing_alloc.h"
#include "lib/rng.h"

enum {
	MANY = 5000,
	STEPS = 20000,
};

/* An id, and the object it must find; NULL once that has been taken out. */
struct given {
	uint32_t slot, generation;
	void *object;
};

static struct given put(struct slots *t, void *object)
{
	struct given g = { .object = object };

	assert_true(slots_put(t, object, &g.slot, &g.generation));
	assert_true(g.generation > 0);
	return g;
}

static void expect(const struct slots *t, const struct given *g)
{
	assert_ptr_equal(slots_get(t, g->slot, g->generation), g->object);
}

static void an_empty_table(void **state)
{
	(void)state;
	struct slots t = { 0 };

	assert_null(slots_get(&t, 0, 0));
	assert_null(slots_get(&t, 0, 1));
	assert_null(slots_get(&t, UINT32_MAX, 1));
	assert_null(slots_at(&t, 0));
	assert_int_equal(t.count, 0);
	slots_finish(&t);
	slots_finish(&t);
}

static void an_old_id_finds_nothing(void **state)
{
	(void)state;
	struct slots t = { 0 };
	int a, b;
	struct given first = put(&t, &a);

	expect(&t, &first);
	assert_ptr_equal(slots_at(&t, first.slot), &a);
	assert_int_equal(t.count, 1);
	assert_null(slots_get(&t, first.slot, first.generation + 1));
	assert_null(slots_get(&t, first.slot, 0));
	assert_null(slots_get(&t, first.slot + 1, first.generation));
	slots_take(&t, first.slot);
	assert_int_equal(t.count, 0);
	assert_null(slots_at(&t, first.slot));
	first.object = NULL;
	expect(&t, &first);
	/* Nobody has the free slot's next id yet, and nobody may find anything by guessing it. */
	assert_null(slots_get(&t, first.slot, first.generation + 1));

	struct given second = put(&t, &b);

	assert_int_equal(second.slot, first.slot);
	assert_int_not_equal(second.generation, first.generation);
	expect(&t, &first);
	expect(&t, &second);
	slots_take(&t, second.slot);
	slots_finish(&t);
}

static void slots_are_used_again(void **state)
{
	static char objects[MANY];
	static struct given given[MANY];
	struct slots t = { 0 };

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		given[i] = put(&t, &objects[i]);
	uint32_t cap = t.cap;

	assert_true(cap >= MANY && cap <= 2 * MANY);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < MANY; i++) {
			expect(&t, &given[i]);
			slots_take(&t, given[i].slot);
		}
		assert_int_equal(t.count, 0);
		for (size_t i = 0; i < MANY; i++)
			given[i] = put(&t, &objects[i]);
	}
	assert_int_equal(t.cap, cap);
	for (size_t i = 0; i < MANY; i++)
		slots_take(&t, given[i].slot);
	slots_finish(&t);
	assert_null(t.slots);
}

/* After 2^32 - 1 uses of a slot its ids would come again: it is used no more. */
static void a_generation_never_comes_again(void **state)
{
	(void)state;
	struct slots t = { 0 };
	int a, b;
	struct given first = put(&t, &a);

	t.slots[first.slot].generation = UINT32_MAX;
	assert_ptr_equal(slots_get(&t, first.slot, UINT32_MAX), &a);
	slots_take(&t, first.slot);
	assert_int_equal(t.count, 0);
	struct given second = put(&t, &b);

	assert_int_not_equal(second.slot, first.slot);
	expect(&t, &second);
	assert_null(slots_get(&t, first.slot, UINT32_MAX));
	assert_null(slots_get(&t, first.slot, 0));
	assert_null(slots_get(&t, first.slot, 1));
	slots_take(&t, second.slot);
	slots_finish(&t);
}

static void a_full_table_refuses(void **state)
{
	(void)state;
	struct slot none[1] = { { 0 } };
	struct slots t = { .slots = none, .cap = SLOTS_MAX, .used = SLOTS_MAX };
	uint32_t slot = 7, generation = 8;

	assert_false(slots_put(&t, &t, &slot, &generation));
	assert_int_equal(slot, 7);
	assert_int_equal(generation, 8);
	assert_int_equal(t.count, 0);
}

static void without_memory_nothing_changes(void **state)
{
	static char objects[200];
	unsigned n = 0, failures = 0;
	bool failed;

	(void)state;
	do {
		struct slots t = { 0 };
		struct given given[200];

		failing_alloc_arm(++n);
		for (size_t i = 0; i < 200; i++) {
			given[i] = (struct given){ .slot = 7, .generation = 8, .object = &objects[i] };
			while (!slots_put(&t, &objects[i], &given[i].slot, &given[i].generation)) {
				failures++;
				assert_int_equal(given[i].slot, 7);
				assert_int_equal(given[i].generation, 8);
				assert_int_equal(t.count, i);
			}
		}
		failed = failing_alloc_disarm();
		for (size_t i = 0; i < 200; i++) {
			expect(&t, &given[i]);
			slots_take(&t, given[i].slot);
		}
		slots_finish(&t);
	} while (failed);
	assert_int_equal(failures, n - 1);
	assert_true(failures >= 2);
}

static void every_id_ever_given_is_remembered(void **state)
{
	static struct given given[STEPS];
	static char objects[STEPS];
	struct slots t = { 0 };
	struct rng rng;
	size_t count = 0, alive = 0;

	(void)state;
	rng_init(&rng);
	for (int step = 0; step < STEPS; step++) {
		size_t i = count == 0 ? 0 : rng_below(&rng, count);

		/* Waves: it fills up, and empties. */
		if (rng_below(&rng, 100) < (step / 2000 % 2 == 0 ? 65u : 35u)) {
			given[count] = put(&t, &objects[count]);
			count++;
			alive++;
		} else if (count > 0 && given[i].object != NULL) {
			slots_take(&t, given[i].slot);
			given[i].object = NULL;
			alive--;
		}
		assert_int_equal(t.count, alive);
		if (count > 0)
			expect(&t, &given[rng_below(&rng, count)]);
	}
	for (size_t i = 0; i < count; i++)
		expect(&t, &given[i]);
	for (size_t i = 0; i < count; i++) {
		if (given[i].object != NULL)
			slots_take(&t, given[i].slot);
	}
	slots_finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table),
		cmocka_unit_test(an_old_id_finds_nothing),
		cmocka_unit_test(slots_are_used_again),
		cmocka_unit_test(a_generation_never_comes_again),
		cmocka_unit_test(a_full_table_refuses),
		cmocka_unit_test(without_memory_nothing_changes),
		cmocka_unit_test(every_id_ever_given_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
