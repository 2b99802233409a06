/* Random bytes fill exactly what was asked for, and no two draws are alike. */
#include "base/random.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

static void test_fills(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 16, 255, 256, 257, 100000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t *memory = guard_alloc(sizes[i] + 1);
		size_t zeros = 0;

		memory[0] = 0x5a;
		random_bytes(memory + 1, sizes[i]);
		assert_int_equal(memory[0], 0x5a);
		for (size_t k = 1; k <= sizes[i]; k++)
			zeros += memory[k] == 0;
		/* One in 256 is expected, one in 16 does not happen. */
		if (sizes[i] >= 256)
			assert_in_range(zeros, 0, sizes[i] / 16);
		guard_free(memory, sizes[i] + 1);
	}
}

static void test_differs(void **state)
{
	(void)state;
	uint8_t draws[100][16];

	for (size_t i = 0; i < 100; i++) {
		random_bytes(draws[i], sizeof(draws[i]));
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(draws[i], draws[k], sizeof(draws[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills),
		cmocka_unit_test(test_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
