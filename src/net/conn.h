/*
 * net/conn.h -- one TCP connection on one loop.
 *
 *      OPEN ---> FLUSHING ---> LINGERING ---> CLOSED        close when all is sent, wait for the peer's end
 *        `------------'-------------'-----------^           or at once
 *        `---> MOVING ---> OPEN on another loop
 *
 * Output is pulled: net_conn_want_send() marks the connection, and at the end of the iteration its owner is asked for what
 * is next to go (gather), then told how much went (sent). Received bytes are lent to `data`; the connection keeps none.
 *
 * Close now, free after the iteration: any callback may close any connection, its own included.
 * Threads: the owner loop's thread.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/loop.h"

enum {
	/*
	 * The loop's one receive buffer, and what is read of one connection before others have their turn. Beside one who floods
	 * their answers take three times as long with 8 KiB, twice with 4, and as long as without with 2.
	 */
	NET_RECV_BYTES = 2 << 10,
	NET_BUNDLE_PARTS_MAX = 256,
	NET_BUNDLE_BYTES_MAX = 8192, /* larger parts are better sent from where they lie */
	NET_BUNDLES_BYTES = 256 << 10, /* of all bundles of a batch */
	NET_ADDRESS_BYTES = 64, /* text of a peer's address with its NUL */
	NET_CONNS_PER_ADDRESS_MAX = 1024,
	NET_SEND_STALL_MS = 15000, /* the time in which a peer must take ... */
	NET_SEND_STALL_BYTES = 10000, /* ... so much of what waits for it: else it is cut */
	NET_SEND_STALL_STEP_MS = 5000, /* between two looks */
	NET_LINGER_MS = 5000, /* for the peer's end after ours */
};

struct net_conn;
struct net_listener;
struct net_tls_context;

/*
 * Many connections of a room have the same small parts waiting, in the same order: they are put together once, and the
 * next connection sends the same run of bytes. Valid until the batch has been sent.
 */
struct net_bundle {
	const void *parts[NET_BUNDLE_PARTS_MAX]; /* what was put together last, by its owner's names for it */
	uint32_t count; /* 0: nothing yet */
	const uint8_t *data;
	size_t bytes;
	uint8_t *room; /* for the next */
	size_t room_bytes;
};

/* Where gather puts what is next to go. */
struct net_gather {
	struct iovec *iov;
	uint32_t count, max;
	size_t bytes;
	bool more; /* set when something was left out for want of room */
	struct net_bundle *bundle;
};

/* True if it was added; else `more` is set. The bytes must stay until `sent` or `closed`. */
static inline bool net_gather_add(struct net_gather *g, const void *data, size_t bytes)
{
	if (g->count == g->max) {
		g->more = true;
		return false;
	}
	g->iov[g->count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
	g->bytes += bytes;
	return true;
}

/* What the layer above does with a connection. Const; there is no optional slot. */
struct net_conn_ops {
	/* Bytes have come; lent for the call, and writable. */
	void (*data)(struct net_conn *, void *ctx, uint8_t *data, size_t bytes);
	/* The peer will send no more. Nothing is closed by itself. */
	void (*ended)(struct net_conn *, void *ctx);
	/*
	 * What is next to go, from the first unsent byte. Adding nothing means there is nothing. Others' output has been
	 * gathered before and is not sent yet: nothing may be closed or released here.
	 */
	void (*gather)(struct net_conn *, void *ctx, struct net_gather *);
	/* The first `bytes` of what gather gave have gone to the kernel, or wait for it encrypted. */
	void (*sent)(struct net_conn *, void *ctx, size_t bytes);
	/* It has closed, by the peer, a deadline or the pool's end; error is 0 or an errno. The last call. */
	void (*closed)(struct net_conn *, void *ctx, int error);
	/* It has arrived on this loop after net_conn_move(). */
	void (*moved)(struct net_conn *, void *ctx);
};

/* A new connection: call net_conn_set_ops() before returning, or net_conn_close(). */
typedef void net_accepted_fn(struct net_conn *, void *ctx);

/*
 * Listen on "ADDRESS:PORT" ("[::1]:3000", port 0: any free one) with a listener on every loop. Proves first, by a bind
 * without SO_REUSEPORT, that nobody else listens there. 0 or -errno, with a text in err. Before net_pool_run().
 */
__attribute__((warn_unused_result)) int net_listen(
	struct net_pool *, const char *where, net_accepted_fn *, void *ctx, char *err, size_t err_bytes);
/* The same for connections that speak TLS (net/tls.h), by a context that lives until net_pool_destroy(). */
__attribute__((warn_unused_result)) int net_listen_tls(struct net_pool *, const char *where,
	struct net_tls_context *, net_accepted_fn *, void *ctx, char *err, size_t err_bytes);
/* The port of the first net_listen(), or 0. */
uint16_t net_pool_port(const struct net_pool *);

void net_conn_set_ops(struct net_conn *, const struct net_conn_ops *, void *ctx);
struct net_loop *net_conn_loop(const struct net_conn *);
/* The peer's address, without the port. A value. */
struct net_peer {
	uint8_t bytes[16]; /* v4 is mapped to v6 */
};
struct net_peer net_conn_peer(const struct net_conn *);
/* It speaks TLS. */
bool net_conn_encrypted(const struct net_conn *);
/* As text, to out, which has NET_ADDRESS_BYTES. */
void net_peer_text(const struct net_peer *, char *out);

/* There is something to send: gather is called in this iteration's flush. O(1), repeated calls cost nothing. */
void net_conn_want_send(struct net_conn *);
/* The kernel's buffer is full: nothing goes until the peer has read. */
bool net_conn_blocked(const struct net_conn *);

/* Stop and go on reading. While paused the peer's bytes wait in the kernel. */
void net_conn_pause(struct net_conn *);
void net_conn_resume(struct net_conn *);

/* Lend bytes to the owner as if they had just come: after one layer has taken a connection over from another. */
void net_conn_lend(struct net_conn *, uint8_t *data, size_t bytes);

/* Cut now, with what waits encrypted: the owner lets go of it, and no callback comes any more. */
void net_conn_close(struct net_conn *);
/*
 * Send what gather still gives, then end our side; `closed` comes when the peer has ended its own and has all (or is reset), or
 * after NET_LINGER_MS. What is received meanwhile is thrown away.
 */
void net_conn_finish(struct net_conn *);

/*
 * Hand it to another loop after this iteration's flush. Nothing of its owner's may be waiting to be sent, and no callback comes meanwhile. Until `moved` is called there,
 * the owner must not touch it. If it cannot go, `closed` is called.
 */
void net_conn_move(struct net_conn *, uint32_t loop_index);

/* What became of the bytes that went to the kernel, as far as it knows. */
enum net_fate {
	NET_FATE_ACKED, /* all arrived at the peer's kernel, the connection stands */
	NET_FATE_OPEN, /* some are under way */
	NET_FATE_ENDING, /* some are under way, and the peer has ended its side: an ACK is to come, or a reset if it has gone */
	NET_FATE_ENDED, /* all arrived, and the peer has ended its side */
	NET_FATE_LOST, /* the connection was reset */
};
enum net_fate net_conn_fate(struct net_conn *);
/* All that `sent` has told of went to the kernel. */
bool net_conn_handed_over(const struct net_conn *);

#endif
