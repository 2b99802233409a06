/* net/address.c -- see net/address.h. */
#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "net/net_int.h"

struct entry {
	struct map_node node;
	struct net_peer key;
	uint32_t conns;
};

struct net_addresses {
	uint32_t each_max;
	bool limit_loopback;
	pthread_mutex_t lock; /* guards map and the entries' counts */
	struct map map;
};

struct net_peer net_peer_counted(const struct net_peer *peer)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct net_peer key = *peer;

	if (memcmp(peer->bytes, mapped, sizeof(mapped)) != 0)
		memset(key.bytes + 8, 0, 8);
	return key;
}

struct net_addresses *net_addresses_create(uint32_t each_max, bool limit_loopback)
{
	struct net_addresses *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->each_max = each_max;
	a->limit_loopback = limit_loopback;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void net_addresses_destroy(struct net_addresses *a)
{
	struct map_node *n;

	if (a == NULL)
		return;
	while ((n = map_any(&a->map)) != NULL) {
		map_remove(&a->map, n);
		free(map_entry(n, struct entry, node));
	}
	map_finish(&a->map);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

struct net_peer net_peer_of(const union net_address *address)
{
	struct net_peer key = { .bytes = { [10] = 0xff, [11] = 0xff } };

	if (address->any.sa_family == AF_INET)
		memcpy(key.bytes + 12, &address->v4.sin_addr, 4);
	else
		memcpy(key.bytes, &address->v6.sin6_addr, 16);
	return key;
}

void net_peer_text(const struct net_peer *peer, char *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v4 = memcmp(peer->bytes, mapped, sizeof(mapped)) == 0;

	if (inet_ntop(v4 ? AF_INET : AF_INET6, peer->bytes + (v4 ? 12 : 0), out, NET_ADDRESS_BYTES) == NULL)
		snprintf(out, NET_ADDRESS_BYTES, "unknown");
}

bool net_peer_is_loopback(const struct net_peer *key)
{
	static const uint8_t mapped[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 };
	static const uint8_t v6[16] = { [15] = 1 };

	return memcmp(key->bytes, mapped, sizeof(mapped)) == 0 || memcmp(key->bytes, v6, sizeof(v6)) == 0;
}

static struct str key_text(const struct net_peer *key)
{
	return str_of((const char *)key->bytes, sizeof(key->bytes));
}

/* Under the lock. */
static bool enter_locked(struct net_addresses *a, const struct net_peer *key)
{
	struct map_node *n = map_find(&a->map, key_text(key));
	struct entry *e = n != NULL ? map_entry(n, struct entry, node) : NULL;

	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL)
			return false;
		e->key = *key;
		if (!map_insert(&a->map, &e->node, key_text(&e->key))) {
			free(e);
			return false;
		}
	}
	if (e->conns >= a->each_max)
		return false;
	e->conns++;
	return true;
}

bool net_addresses_enter(struct net_addresses *a, const struct net_peer *key, bool *ret_counted)
{
	*ret_counted = false;
	if (net_peer_is_loopback(key) && !a->limit_loopback)
		return true;
	struct net_peer one = net_peer_counted(key);
	pthread_mutex_lock(&a->lock);
	bool ok = enter_locked(a, &one);
	pthread_mutex_unlock(&a->lock);
	*ret_counted = ok;
	return ok;
}

void net_addresses_leave(struct net_addresses *a, const struct net_peer *key)
{
	struct net_peer one = net_peer_counted(key);
	pthread_mutex_lock(&a->lock);
	struct map_node *n = map_find(&a->map, key_text(&one));
	assert(n != NULL);
	struct entry *e = map_entry(n, struct entry, node);
	if (--e->conns == 0) {
		map_remove(&a->map, n);
		free(e);
	}
	pthread_mutex_unlock(&a->lock);
}
