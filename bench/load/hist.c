/* load/hist.c -- see load/hist.h. */
#include "hist.h"

#include <assert.h>
#include <stddef.h>

/*
 * Values below 32 have a bucket each. Above, the leading one's position picks a group of 32 and the
 * five bits after it the bucket in the group.
 */
static size_t bucket_of(uint64_t ns)
{
	if (ns >> LOAD_HIST_SUB_BITS == 0)
		return (size_t)ns;
	unsigned top = 63u - (unsigned)__builtin_clzll(ns);
	unsigned shift = top - LOAD_HIST_SUB_BITS;

	return ((size_t)(shift + 1) << LOAD_HIST_SUB_BITS) + (size_t)(ns >> shift & 31u);
}

static uint64_t bucket_start_ns(size_t bucket)
{
	size_t group = bucket >> LOAD_HIST_SUB_BITS;

	if (group == 0)
		return bucket;
	return (32u + (bucket & 31u)) << (group - 1);
}

void load_hist_add(struct load_hist *h, uint64_t ns)
{
	size_t bucket = bucket_of(ns);

	assert(bucket < LOAD_HIST_BUCKETS);
	h->counts[bucket]++;
	h->total++;
}

uint64_t load_hist_quantile_ns(const struct load_hist *h, double fraction)
{
	uint64_t wanted = (uint64_t)((double)h->total * fraction), seen = 0;

	assert(fraction >= 0 && fraction <= 1);
	if (h->total == 0)
		return 0;
	for (size_t i = 0; i < LOAD_HIST_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen > 0 && seen >= wanted)
			return bucket_start_ns(i);
	}
	return bucket_start_ns(LOAD_HIST_BUCKETS - 1);
}
