/*
 * app/limits.h -- how often something may be done: token buckets (base/bucket.h) for users and addresses, shared by all threads.
 *
 * Lock-free. Used by: app/command.c, app/root.c, app/typing.c, app/peer.c. Threads: any.
 */
#ifndef APP_LIMITS_H
#define APP_LIMITS_H

#include "base/bucket.h"

/* What is limited, each for itself. The defaults are in app/config.c. */
enum limit_kind {
	LIMIT_GUEST, /* new guests, for an address */
	LIMIT_HELLO, /* other hellos, for an address */
	LIMIT_SEND, /* messages, for a user or a connection on `/` */
	LIMIT_SEND_ADDRESS, /* messages, for an address */
	LIMIT_READ, /* history and sync, for a user or a connection on `/` */
	LIMIT_READ_ADDRESS, /* the same, for an address */
	LIMIT_TOKEN, /* tokens that are looked up, but for those of a hello, for an address */
	LIMIT_TYPING, /* passed on, for a user and room */
	LIMIT_LOG, /* sockets whose coming and going is logged, for an address */
	LIMIT_KINDS,
};

struct limit {
	uint32_t rate; /* a second, or `per` seconds; 0: unlimited */
	uint32_t per; /* 0: 1 */
	uint32_t burst; /* at once, after a rest; at least 1 */
};

struct limits;

/* limits[LIMIT_KINDS] are copied. NULL: no memory. */
__attribute__((warn_unused_result)) struct limits *limits_create(const struct limit *limits);
void limits_destroy(struct limits *);
/*
 * Whether whoever `key` stands for (a keyed hash, or an id) may do it now so many times, and if so all are counted. Otherwise
 * none is, and *ret_retry_ms is when he may, at least 1. More than a burst count as a burst, else they could never be done.
 * now_ns: monotonic. O(1).
 */
__attribute__((warn_unused_result)) bool limits_take(struct limits *, enum limit_kind, uint64_t key,
	uint32_t count, uint64_t now_ns, uint64_t *ret_retry_ms);

#endif
