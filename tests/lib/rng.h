/*
 * tests/lib/rng.h -- repeatable random numbers for tests: the seed is printed, and taken back from SEED.
 */
#ifndef TESTS_LIB_RNG_H
#define TESTS_LIB_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* Seeded by the environment's SEED, else by the kernel; prints the seed as a TAP comment. */
void rng_init(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* In [0, limit); limit > 0. */
size_t rng_below(struct rng *r, size_t limit);

#endif
