/*
 * net/net_int.h -- the insides of a loop and of a connection, shared by the files of net/.
 */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "net/address.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/sender.h"
#include "net/timer.h"
#include "net/tls.h"

enum {
	NET_EVENTS_MAX = 256, /* taken from epoll at once */
	NET_IOV_POOL = 4096, /* pieces of a batch in all */
	NET_FLUSH_PASSES_MAX = 32, /* sends to one connection in an iteration */
	NET_LISTENERS_MAX = 8,
	NET_ACCEPT_TURN_MAX = 32, /* before others have their turn */
	NET_DELAYS_TURN_MAX =
		32, /* of one duration, likewise: those who came at once are late at once; ... */
	NET_DELAYS_LATE_MS = 20, /* ... but for those that have been due for longer */
	NET_ACCEPT_RETRY_MS =
		100, /* after the kernel had no memory for one, no descriptor to spare, or forbade it */
	NET_LISTEN_BACKLOG = 4096,
	NET_STOP_ACCEPT_MS = 50, /* handshakes under way when the listeners stop */
	NET_TIMERS_MAX = 1 << 22,
	NET_TLS_FAREWELL_MS =
		100, /* for the kernel's end of a peer whose end TLS has told, before we say ours */
	NET_TLS_HANDSHAKE_MS = 9000, /* less than what is above gives a client for its first words */
};
_Static_assert(NET_TLS_HANDSHAKE_MS < 10000,
	"a handshake that does not end is closed within 10 s, whatever is above");

#define NET_LOOP_LEFT UINT32_MAX

/* The first member of whatever epoll points to. */
struct net_source {
	void (*ready)(struct net_source *, uint32_t events);
};

union net_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

enum net_conn_state {
	NET_CONN_OPEN,
	NET_CONN_FLUSHING, /* to finish when gather gives nothing more */
	NET_CONN_LINGERING, /* our side has ended; waiting for the peer's end */
	NET_CONN_MOVING,
	NET_CONN_CLOSED,
};

struct net_conn {
	struct net_source source;
	const struct net_conn_ops *ops;
	void *ctx;
	struct net_loop *loop;
	int fd;
	uint32_t unacked; /* bytes, when it was looked at last; see `stalled` */
	uint8_t state; /* enum net_conn_state */
	bool dirty; /* in the loop's dirty list */
	bool blocked; /* the kernel took less than all: wait for writable */
	bool unread; /* readable, as far as edges told */
	uint16_t move_to;
	uint8_t stalled; /* looks at it, while blocked, since it has taken enough */
	bool paused : 1;
	bool hung_up : 1; /* an edge told of the peer's end or an error: read up to it */
	bool peer_ended : 1;
	bool broken : 1; /* a reset was seen when its fate was asked, or what came was no TLS */
	bool answers_end : 1; /* TLS: the peer has said its end, and waits for more */
	bool shaking : 1; /* TLS: `stall` is a handshake's deadline */
	bool counted : 1; /* in the table of addresses */
	struct net_delay stall; /* running while blocked, while lingering, or in a handshake of TLS */
	struct net_task again; /* read on, or move, after this iteration's callbacks */
	struct list all; /* in loop->conns, or loop->dead */
	struct net_tls *tls; /* NULL: it is plain */
	struct net_peer peer;
};

/* A loop's end of one net_listen(). */
struct net_listener {
	struct net_source source;
	struct net_loop *loop;
	int fd; /* -1: none */
	net_accepted_fn *accepted;
	void *ctx;
	struct net_tls_context *tls; /* NULL: plain */
	struct net_task again;
	struct net_timer retry;
	bool complained; /* of what all accepts fail with; once */
};

/* Written by its loop only, read by anybody. */
struct net_counts {
	atomic_uint_fast64_t accepted, closed, refused_limit, refused_address, refused_descriptors;
	atomic_uint_fast64_t moved, bytes_in, bytes_out, flushes, posts_refused, stalls, tls_failed, cut;
};

static inline void net_count(atomic_uint_fast64_t *figure, uint64_t more)
{
	/* One writer: a plain load and store do, no locked add. */
	atomic_store_explicit(
		figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

struct net_loop {
	struct net_pool *pool;
	uint32_t index;
	int epoll_fd;
	bool stopping, listeners_closed;
	uint32_t holds;

	uint64_t now_ns, stalled_ns; /* the loop's clock = monotonic - stalled_ns */
	uint64_t woke_ns; /* monotonic, when the last wait ended */

	struct list delay_lists; /* of struct net_delays */
	uint64_t delays_due_ns; /* nothing in them is due before; what was may have been stopped */
	struct net_timer **heap;
	uint32_t heap_count, heap_cap;
	struct list tasks, tasks_next; /* of this iteration, and of the next */

	struct net_source wake;
	int wake_fd;
	struct pile posted; /* messages */
	struct pile_node *taken; /* from it, oldest first, and not run yet */
	uint32_t turn; /* how many of them are run in an iteration */
	uint64_t takes; /* so far */
	uint64_t last_take; /* the one after which all is run that was posted before a stop; 0: no stop yet */
	atomic_size_t posted_bytes;
	atomic_bool overrun, ended;
	atomic_uint
		arriving; /* what has been promised to it, such as connections; NET_LOOP_LEFT: it takes none yet, or any more */

	struct net_listener listeners[NET_LISTENERS_MAX];
	uint32_t listener_count;

	struct list conns, dead, moving;
	uint32_t conn_count; /* open */
	uint32_t conns_held; /* open, or dead and not freed yet: what the dirty list may name */
	struct net_conn **dirty; /* room for every connection, so marking cannot fail */
	uint32_t dirty_count, dirty_cap;
	uint32_t dirty_encrypted; /* in a flush: those that speak TLS, at the front of what is done already */

	struct net_sender *sender;
	struct net_send sends[NET_SEND_BATCH_MAX];
	struct net_conn *sends_conn[NET_SEND_BATCH_MAX];
	bool sends_more[NET_SEND_BATCH_MAX];
	struct iovec iov[NET_IOV_POOL];
	struct net_bundle bundle;
	uint8_t bundles[NET_BUNDLES_BYTES];
	uint8_t record[NET_TLS_RECORD_BYTES]; /* what is encrypted at once */

	struct net_delays stalls; /* NET_SEND_STALL_STEP_MS */
	struct net_delays lingers; /* NET_LINGER_MS */
	struct net_delays handshakes; /* NET_TLS_HANDSHAKE_MS */
	struct net_delays farewells; /* NET_TLS_FAREWELL_MS */
	struct net_timer stop_timer; /* listeners close, then the last connections */

	uint8_t *recv;
	struct net_counts counts;
	pthread_t thread;
};

struct net_pool {
	struct net_pool_options options;
	uint32_t loop_count;
	uint16_t port;
	const struct net_sender_ops *sender_ops;
	uint32_t conns_max;
	atomic_uint conns; /* open in all */
	atomic_bool stop;
	struct net_addresses *addresses;
	struct net_reserve *reserve;
	struct net_loop *loops[NET_LOOPS_MAX];
};

/* loop.c */
void net_loop_run(struct net_loop *); /* it has begun */
int net_loop_create(struct net_pool *, uint32_t index, struct net_loop **ret);
void net_loop_close(struct net_loop *);
void net_loop_destroy(struct net_loop *);
void net_loop_stop(struct net_loop *);

/* Its thread ends. False: it is to stay, for something that is on its way. */
bool net_loop_leave(struct net_loop *);
/* It will be run: from now on it may be expected to take what is posted. */
void net_loop_begin(struct net_loop *);
/* Its thread was never there: nothing is to be expected of it. */
void net_loop_give_up(struct net_loop *);

/* post.c */
void net_posts_init(struct net_loop *);
/* A turn of what has been posted. */
void net_posts_run(struct net_loop *);
/* Whether all that was posted before the first call has been run, and flushed. */
bool net_posts_caught_up(struct net_loop *);
void net_posts_discard(struct net_loop *);
void net_wake(struct net_loop *);

/* timer.c */
/* Run what is due. */
void net_timers_run(struct net_loop *);
/* Nanoseconds from now until the earliest deadline; UINT64_MAX: none. */
uint64_t net_timers_next_ns(const struct net_loop *);

/* conn.c, flush.c, move.c */
struct net_conn *net_conn_adopt(struct net_loop *, int fd, const union net_address *, bool counted);
void net_conn_ready(struct net_source *, uint32_t events);
/* Close for another reason than its owner's wish: `closed` is called. */
void net_conn_fail(struct net_conn *, int error);
/* All is sent: end our side. Calls nobody back: it is called while a batch is gathered, whose bytes must stay. */
void net_conn_end_output(struct net_conn *);
/* Leave the loop's tables. Descriptor and memory go with net_conns_free_dead(): a batch may still name both. */
void net_conn_detach(struct net_conn *);
bool net_loop_make_room(struct net_loop *);
uint32_t net_conn_unacked(const struct net_conn *);
void net_conn_stalled(struct net_delay *, void *loop);
void net_conn_lingered(struct net_delay *, void *loop);
/* It is blocked: from now on it is watched. */
void net_conn_watch_stall(struct net_conn *);
void net_conns_cut_all(struct net_loop *);
void net_conns_free_dead(struct net_loop *);
void net_flush(struct net_loop *);
void net_moves_run(struct net_loop *);

/* encrypted.c */
/* A new one speaks TLS. False: no memory. */
bool net_conn_encrypt(struct net_conn *, struct net_tls_context *);
/*
 * False: it is open. Else its handshake has a deadline from now on, if it had none. Not of one that is blocked: its next look would be
 * put off for ever by who takes nothing, and begins to renew its keys again and again.
 */
bool net_conn_await_handshake(struct net_conn *);
/* To loop->recv, and `unread` is set as it is then. As net_tls_recv() (-EBUSY: go on in the next iteration), but for -EPROTO, which it sees to. */
ssize_t net_conn_decrypt(struct net_conn *);
/* Ask it for its output, and send it. Nothing else may have been gathered and not be sent. */
void net_conn_flush_encrypted(struct net_conn *);
void net_conn_handshake_late(struct net_delay *, void *loop);
void net_conn_farewell_late(struct net_delay *, void *loop);

/* reserve.c: descriptors kept, to be given up for refusing a connection when all others are taken. */
struct net_reserve *net_reserve_create(uint32_t count);
void net_reserve_destroy(struct net_reserve *);
/* accept4(), so that nobody takes the descriptor that a refusal needs. -errno. */
int net_reserve_accept(struct net_reserve *, int listener, union net_address *ret_peer);
/* Take one connection and turn it away. 0; -EAGAIN: nobody waits; -EMFILE: it cannot be done now. */
int net_reserve_refuse(struct net_reserve *, int listener);

/* listener.c */
void net_listeners_refuse_new(struct net_loop *);
void net_listeners_drain(struct net_loop *);
void net_listeners_close(struct net_loop *);

/* address.c */
struct net_peer net_peer_of(const union net_address *);

#endif
