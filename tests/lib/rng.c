/* tests/lib/rng.c -- see tests/lib/rng.h. */
#include "lib/rng.h"

#include "base/assert.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void rng_init(struct rng *r)
{
	const char *seed = getenv("SEED");

	if (seed)
		r->state = strtoull(seed, NULL, 10);
	else
		random_bytes(&r->state, sizeof(r->state));
	printf("# SEED=%" PRIu64 "\n", r->state);
	fflush(stdout);
}

/* splitmix64 */
uint64_t rng_u64(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

size_t rng_below(struct rng *r, size_t limit)
{
	assert(limit > 0);
	return (size_t)(rng_u64(r) % limit);
}
