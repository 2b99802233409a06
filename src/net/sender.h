/*
 * net/sender.h -- sends an iteration's output of many connections together.
 *
 * The cost of a send call is constant, whatever is in it: so a connection sends at most once an iteration, and with
 * io_uring all of an iteration's sends are one system call. What is above cannot tell which is in use.
 *
 * Nothing is kept between calls: when net_send_batch() has returned, every entry has its result and the memory that
 * was sent is the caller's again. Threads: a sender belongs to one loop's
 * thread; it may be created on another.
 */
#ifndef NET_SENDER_H
#define NET_SENDER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/loop.h"

enum {
	NET_SEND_BATCH_MAX = 256, /* entries in a batch */
	NET_SEND_IOV_MAX = 64, /* pieces of one entry */
};

struct net_send {
	int fd;
	uint32_t iov_count; /* 1 to NET_SEND_IOV_MAX */
	struct iovec *iov;
	size_t bytes; /* of all pieces */
	int64_t result; /* set by the sender: bytes sent (maybe fewer than given), or -errno; -EAGAIN: none */
};

struct net_sender;

/* One per implementation: const, static, in its own file. */
struct net_sender_ops {
	const char *name; /* as the log says it */
	struct net_sender *(*create)(int *ret_errno);
	void (*destroy)(struct net_sender *);
	void (*batch)(struct net_sender *, struct net_send *sends, uint32_t count);
};

struct net_sender {
	const struct net_sender_ops *ops;
};

extern const struct net_sender_ops net_sender_plain;

/*
 * The implementations this build has, best first, ends with NULL. A build without io_uring has another file for it
 * (sender_table_*.c).
 */
extern const struct net_sender_ops *const net_senders[];

/* One send, by the plain system call. */
int64_t net_send_one(int fd, const struct iovec *iov, uint32_t iov_count);

#endif
