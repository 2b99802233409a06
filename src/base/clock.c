/* base/clock.c -- see base/clock.h. */
#include "base/clock.h"

#include "base/assert.h"

#include <time.h>

uint64_t clock_now_ns(void)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_MONOTONIC, &now);

	assert(!failed);
	return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}
