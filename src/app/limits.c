/*
 * app/limits.c -- see app/limits.h.
 *
 *      word:  tag (16 bits) | when the bucket is full again, in us since the table's start (48 bits: 8 years)
 *
 * Each thing done moves that time on by 1/rate, rounded up; it may not come to lie further ahead than burst/rate.
 * Several at once move it on by so many, or not at all.
 */
#include "app/limits.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"

enum { TIME_BITS = 48, NS_PER_US = 1000, US_PER_MS = 1000 };

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
#define US_PER_S  UINT64_C(1000000)

struct limits {
	uint64_t began_ns;
	struct siphash_key key;
	struct {
		uint64_t step_us, ahead_us; /* of one; of a whole burst. step 0: unlimited */
	} kinds[LIMIT_KINDS];
	_Atomic uint64_t words[LIMITS_SETS][LIMITS_WAYS];
};

struct limits *limits_create(const struct limit *limits)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	random_bytes(&l->key, sizeof(l->key));
	l->began_ns = clock_now_ns();
	for (int i = 0; i < LIMIT_KINDS; i++) {
		uint64_t per = limits[i].per == 0 ? 1 : limits[i].per;

		if (limits[i].rate == 0)
			continue;
		assert(limits[i].rate <= LIMITS_RATE_MAX && limits[i].burst >= 1);
		l->kinds[i].step_us = (per * US_PER_S + limits[i].rate - 1) / limits[i].rate;
		l->kinds[i].ahead_us = l->kinds[i].step_us * limits[i].burst;
	}
	return l;
}

void limits_destroy(struct limits *l)
{
	free(l);
}

/*
 * The bucket with that tag, else one that says nothing any more, else the one that is full soonest. *ret_was is what was in it:
 * if it has changed meanwhile it may be somebody else's.
 */
static _Atomic uint64_t *find(_Atomic uint64_t *set, uint64_t tag, uint64_t now_us, uint64_t *ret_was)
{
	size_t best = 0;
	uint64_t best_word = UINT64_MAX;

	for (size_t i = 0; i < LIMITS_WAYS; i++) {
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

bool limits_take(struct limits *l, enum limit_kind kind, uint64_t key, uint32_t count, uint64_t now_ns,
	uint64_t *ret_retry_ms)
{
	uint64_t who[2] = { (uint64_t)kind, key };
	uint64_t step = l->kinds[kind].step_us * count, ahead = l->kinds[kind].ahead_us;

	if (step == 0)
		return true;
	if (step > ahead)
		step = ahead;
	uint64_t hash = siphash(l->key, who, sizeof(who));
	uint64_t tag = hash >> TIME_BITS, now = (now_ns - l->began_ns) / NS_PER_US;
	_Atomic uint64_t *set = l->words[hash % LIMITS_SETS], *word;
	uint64_t was, time;

	do {
		word = find(set, tag, now, &was);
		time = was & TIME_MASK;
		if (time < now)
			time = now;
		if (time + step > now + ahead) {
			*ret_retry_ms = (time + step - now - ahead + US_PER_MS - 1) / US_PER_MS;
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		word, &was, tag << TIME_BITS | (time + step), memory_order_relaxed, memory_order_relaxed));
	return true;
}
