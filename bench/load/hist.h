/*
 * load/hist.h -- a histogram of latencies: 32 buckets to each power of two, so 3 % of error at most.
 *
 * A caller-owned value, zeroed is empty. Used by: slice*.c.
 */
#ifndef LOAD_HIST_H
#define LOAD_HIST_H

#include <stdint.h>

enum {
	LOAD_HIST_SUB_BITS = 5,
	LOAD_HIST_BUCKETS = (64 - LOAD_HIST_SUB_BITS + 1) << LOAD_HIST_SUB_BITS,
};

struct load_hist {
	uint64_t total;
	uint64_t counts[LOAD_HIST_BUCKETS];
};

void load_hist_add(struct load_hist *h, uint64_t ns);

/* The smallest bucket start with at least `fraction` (0..1) of all values at or below its bucket; 0 if empty. */
uint64_t load_hist_quantile_ns(const struct load_hist *h, double fraction);

#endif
