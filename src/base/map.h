/*
 * base/map.h -- a hash map from byte strings to objects, intrusive and chained.
 *
 *      buckets [ *-]--> node --> node        the node lives in its object, the key's bytes too
 *              [ 0 ]
 *
 * The map owns the bucket array only; it grows and shrinks with the number of nodes. Hashing is SipHash with a
 * random key of the process, so keys may come from outside. Threads: a map belongs to one thread.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
	struct str key; /* kept until map_remove(): must outlive the node's time in the map */
};

/* Zeroed is an empty map that owns nothing. */
struct map {
	struct map_node **buckets;
	size_t bucket_count; /* 0 or a power of two */
	size_t count;
};

#define map_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Frees the bucket array. The map must be empty. */
void map_finish(struct map *m);
/* The node with that key, or NULL. O(1). */
struct map_node *map_find(const struct map *m, struct str key);
/* Insert a node whose key is not in the map. False: no memory for the first bucket array; nothing changed. */
__attribute__((warn_unused_result)) bool map_insert(struct map *m, struct map_node *node, struct str key);
void map_remove(struct map *m, struct map_node *node);

/* Any node, or NULL when empty: to take all out one by one. */
struct map_node *map_any(const struct map *m);

#endif
