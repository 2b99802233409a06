/*
 * base/bucket.c -- see base/bucket.h.
 *
 *      word:  tag (16 bits) | when the bucket is full again, in us since the table's start (48 bits: 8 years)
 *
 * Each thing done moves that time on by 1/rate, rounded up; it may not come to lie further ahead than burst/rate.
 * Several at once move it on by so many, or not at all.
 */
#include "base/bucket.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"

enum { TIME_BITS = 48, NS_PER_US = 1000 };

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define US_PER_S  UINT64_C(1000000)

struct buckets {
	uint64_t began_ns;
	struct siphash_key key;
	_Atomic uint64_t words[BUCKETS_SETS][BUCKETS_WAYS];
};

struct bucket_rate bucket_rate(uint32_t rate, uint32_t per_s, uint32_t burst)
{
	struct bucket_rate r = { 0 };

	if (rate == 0)
		return r;
	assert(rate <= BUCKET_RATE_MAX && per_s >= 1 && burst >= 1 && burst <= BUCKET_BURST_MAX);
	r.step_us = (per_s * US_PER_S + rate - 1) / rate;
	r.ahead_us = r.step_us * burst;
	r.debt_us = BUCKET_DEBT_S * US_PER_S;
	return r;
}

uint64_t bucket_charge(const struct bucket_rate *rate, uint64_t *full_us, uint64_t now_us)
{
	uint64_t most_us = now_us + rate->ahead_us + rate->debt_us;

	*full_us = (*full_us < now_us ? now_us : *full_us) + rate->step_us;
	if (*full_us > most_us)
		*full_us = most_us;
	return *full_us > now_us + rate->ahead_us ? *full_us - now_us - rate->ahead_us : 0;
}

struct buckets *buckets_create(void)
{
	struct buckets *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	random_bytes(&b->key, sizeof(b->key));
	b->began_ns = clock_now_ns();
	return b;
}

void buckets_destroy(struct buckets *b)
{
	free(b);
}

/*
 * The bucket with that tag, else one that says nothing any more, else the one that is full soonest. *ret_was is what was in it:
 * if it has changed meanwhile it may be somebody else's.
 */
static _Atomic uint64_t *find(_Atomic uint64_t *set, uint64_t tag, uint64_t now_us, uint64_t *ret_was)
{
	size_t best = 0;
	uint64_t best_word = UINT64_MAX;

	for (size_t i = 0; i < BUCKETS_WAYS; i++) {
		uint64_t word = atomic_load_explicit(&set[i], memory_order_relaxed);
		bool own = word >> TIME_BITS == tag && (word & TIME_MASK) > now_us;

		if (own || i == 0 || (word & TIME_MASK) < (best_word & TIME_MASK)) {
			best_word = word;
			best = i;
		}
		if (own)
			break;
	}
	*ret_was = best_word;
	return &set[best];
}

/* The set of a kind and key, and its bucket's tag. */
static _Atomic uint64_t *set_of(struct buckets *b, uint64_t kind, uint64_t key, uint64_t *ret_tag)
{
	uint64_t who[2] = { kind, key };
	uint64_t hash = siphash(b->key, who, sizeof(who));

	*ret_tag = hash >> TIME_BITS;
	return b->words[hash % BUCKETS_SETS];
}

uint64_t buckets_charge(
	struct buckets *b, const struct bucket_rate *rate, uint64_t kind, uint64_t key, uint64_t now_ns)
{
	uint64_t tag, was, time, wait, now = (now_ns - b->began_ns) / NS_PER_US;
	_Atomic uint64_t *set = set_of(b, kind, key, &tag), *word;

	if (rate->step_us == 0)
		return 0;
	do {
		word = find(set, tag, now, &was);
		time = was & TIME_MASK;
		wait = bucket_charge(rate, &time, now);
	} while (!atomic_compare_exchange_weak_explicit(
		word, &was, tag << TIME_BITS | time, memory_order_relaxed, memory_order_relaxed));
	return wait;
}

bool buckets_take(struct buckets *b, const struct bucket_rate *rate, uint64_t kind, uint64_t key,
	uint32_t count, uint64_t now_ns, uint64_t *ret_retry_us)
{
	uint64_t step = rate->step_us * count, ahead = rate->ahead_us;

	if (step == 0)
		return true;
	if (step > ahead)
		step = ahead;
	uint64_t tag, was, time, now = (now_ns - b->began_ns) / NS_PER_US;
	_Atomic uint64_t *set = set_of(b, kind, key, &tag), *word;

	do {
		word = find(set, tag, now, &was);
		time = was & TIME_MASK;
		if (time < now)
			time = now;
		if (time + step > now + ahead) {
			*ret_retry_us = time + step - now - ahead;
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		word, &was, tag << TIME_BITS | (time + step), memory_order_relaxed, memory_order_relaxed));
	return true;
}
