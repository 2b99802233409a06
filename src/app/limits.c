/* app/limits.c -- see app/limits.h. */
#include "app/limits.h"

#include <stdlib.h>

enum { US_PER_MS = 1000 };

struct limits {
	struct buckets *buckets;
	struct bucket_rate kinds[LIMIT_KINDS];
};

struct limits *limits_create(const struct limit *limits)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->buckets = buckets_create();
	if (l->buckets == NULL) {
		free(l);
		return NULL;
	}
	for (int i = 0; i < LIMIT_KINDS; i++)
		l->kinds[i] =
			bucket_rate(limits[i].rate, limits[i].per == 0 ? 1 : limits[i].per, limits[i].burst);
	return l;
}

void limits_destroy(struct limits *l)
{
	if (l == NULL)
		return;
	buckets_destroy(l->buckets);
	free(l);
}

bool limits_take(struct limits *l, enum limit_kind kind, uint64_t key, uint32_t count, uint64_t now_ns,
	uint64_t *ret_retry_ms)
{
	uint64_t retry_us;

	if (buckets_take(l->buckets, &l->kinds[kind], (uint64_t)kind, key, count, now_ns, &retry_us))
		return true;
	*ret_retry_ms = (retry_us + US_PER_MS - 1) / US_PER_MS;
	return false;
}
