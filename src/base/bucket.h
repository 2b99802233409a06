/*
 * base/bucket.h -- token buckets for many keys, shared by all threads.
 *
 * A bucket is one atomic word: a tag of whose it is, and the time at which it would be full again (GCRA). The table has a
 * fixed size and evicts only what is full, which says nothing; where all of a set's buckets are in use, two share one.
 * Lock-free. Used by: engineio/throttle.c, app/limits.c. Threads: any.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	BUCKETS_SETS = 8192,
	BUCKETS_WAYS = 8, /* buckets of a set: half a MiB in all */
	BUCKET_RATE_MAX = 1000000, /* a second */
	BUCKET_BURST_MAX = 1000000,
	BUCKET_DEBT_S = 60, /* unless a rate says otherwise */
};

/* How fast a bucket fills, and how much it holds. */
struct bucket_rate {
	uint64_t step_us, ahead_us; /* of one; of a whole burst. step_us 0: unlimited */
	uint64_t debt_us; /* the longest of a debt */
};
/* `rate` (0: unlimited) in `per_s` seconds, `burst` at once after a rest; both within their maximum, burst and per_s at least 1. */
struct bucket_rate bucket_rate(uint32_t rate, uint32_t per_s, uint32_t burst);

/*
 * One bucket alone, as buckets_charge(): *full_us is when it is full again.
 */
uint64_t bucket_charge(const struct bucket_rate *, uint64_t *full_us, uint64_t now_us);

struct buckets;

/* NULL: no memory. */
__attribute__((warn_unused_result)) struct buckets *buckets_create(void);
/* NULL is fine. */
void buckets_destroy(struct buckets *);
/*
 * Count one in the bucket of that kind and key, come what may, and have how long it is until it would have been there: 0 where it
 * was. Debts are at most the rate's debt_us. O(1).
 */
uint64_t buckets_charge(
	struct buckets *, const struct bucket_rate *, uint64_t kind, uint64_t key, uint64_t now_ns);
/*
 * Take `count` out of the bucket of that kind and key (a keyed hash, or an id), if they are there; otherwise none is taken, and
 * *ret_retry_us is after how long they are. More than a burst count as a burst, else they could never be had. now_ns:
 * monotonic. O(1).
 */
__attribute__((warn_unused_result)) bool buckets_take(struct buckets *, const struct bucket_rate *,
	uint64_t kind, uint64_t key, uint32_t count, uint64_t now_ns, uint64_t *ret_retry_us);

#endif
