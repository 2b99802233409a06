/* base/map.c -- see base/map.h. */
#include "base/map.h"

#include "base/assert.h"
#include "base/random.h"
#include "base/siphash.h"

#include <pthread.h>
#include <stdlib.h>

enum { MAP_BUCKETS_MIN = 8 };

static struct siphash_key process_key;
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void make_process_key(void)
{
	random_bytes(&process_key, sizeof(process_key));
}

static uint64_t hash_of(struct str key)
{
	pthread_once(&process_key_once, make_process_key);
	return siphash(process_key, key.s, key.bytes);
}

static struct map_node **bucket_of(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->bucket_count - 1)];
}

/* Without memory the map stays as it is: correct, with longer or emptier chains. */
static bool resize(struct map *m, size_t bucket_count)
{
	struct map resized = { .bucket_count = bucket_count, .count = m->count };

	assert((bucket_count & (bucket_count - 1)) == 0);
	resized.buckets = calloc(bucket_count, sizeof(*resized.buckets));
	if (!resized.buckets)
		return false;
	for (size_t i = 0; i < m->bucket_count; i++) {
		struct map_node *next;

		for (struct map_node *node = m->buckets[i]; node; node = next) {
			struct map_node **bucket = bucket_of(&resized, node->hash);

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	}
	free(m->buckets);
	*m = resized;
	return true;
}

void map_finish(struct map *m)
{
	assert(m->count == 0);
	free(m->buckets);
	*m = (struct map){ 0 };
}

static struct map_node *find_hashed(const struct map *m, struct str key, uint64_t hash)
{
	struct map_node *node = *bucket_of(m, hash);

	while (node && !(node->hash == hash && str_equal(node->key, key)))
		node = node->next;
	return node;
}

struct map_node *map_find(const struct map *m, struct str key)
{
	return m->count > 0 ? find_hashed(m, key, hash_of(key)) : NULL;
}

bool map_insert(struct map *m, struct map_node *node, struct str key)
{
	if (m->bucket_count == 0 && !resize(m, MAP_BUCKETS_MIN))
		return false;
	if (m->count >= m->bucket_count)
		(void)resize(m, m->bucket_count * 2);

	uint64_t hash = hash_of(key);
	struct map_node **bucket = bucket_of(m, hash);

	assert(!find_hashed(m, key, hash));
	*node = (struct map_node){ .next = *bucket, .hash = hash, .key = key };
	*bucket = node;
	m->count++;
	return true;
}

void map_remove(struct map *m, struct map_node *node)
{
	assert(m->count > 0);
	struct map_node **link = bucket_of(m, node->hash);

	while (*link && *link != node)
		link = &(*link)->next;
	assert(*link == node);
	*link = node->next;
	node->next = NULL;
	m->count--;
	/* A quarter, not a half: a map that goes up and down by one does not resize each time. */
	if (m->bucket_count > MAP_BUCKETS_MIN && m->count < m->bucket_count / 4)
		(void)resize(m, m->bucket_count / 2);
}

struct map_node *map_any(const struct map *m)
{
	if (m->count == 0)
		return NULL;
	/*
	 * The search starts elsewhere for each count: from one fixed place, taking out n nodes would walk over
	 * the ones already gone again and again, O(n^2) in all.
	 */
	size_t at = (size_t)((uint64_t)m->count * UINT64_C(0x9e3779b97f4a7c15) >> 32);

	while (!m->buckets[at & (m->bucket_count - 1)])
		at++;
	return m->buckets[at & (m->bucket_count - 1)];
}
