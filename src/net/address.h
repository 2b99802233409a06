/*
 * net/address.h -- how many of something each peer address has, over all loops.
 *
 * Asked when a connection or a session begins and ends, never for a message; so it may take a lock. IPv6 counts by /64,
 * which is what one host has. Threads: any.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"

struct net_addresses;

bool net_peer_is_loopback(const struct net_peer *);
/* What counts as one address. */
struct net_peer net_peer_counted(const struct net_peer *);

/* Loopback is not counted unless asked for. NULL: no memory. */
__attribute__((warn_unused_result)) struct net_addresses *net_addresses_create(
	uint32_t each_max, bool limit_loopback);
/* NULL is fine. */
void net_addresses_destroy(struct net_addresses *);
/* False: the address has its maximum (or no memory). *ret_counted: to be given back with leave. */
__attribute__((warn_unused_result)) bool net_addresses_enter(
	struct net_addresses *, const struct net_peer *, bool *ret_counted);
void net_addresses_leave(struct net_addresses *, const struct net_peer *);

#endif
