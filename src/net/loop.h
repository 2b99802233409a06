/*
 * net/loop.h -- a pool of loops: one thread, one epoll, its timers, connections and posts each.
 *
 *      +--> wait for events --> read --> posts --> timers --> deferred --> flush dirty --> free the dead --+
 *      +---------------------------------------------------------------------------------------------------+
 *
 * One iteration in this order. Nothing is sent before the flush; nothing is freed before the end. A loop's clock stands
 * still while its process was stalled for more than NET_STALL_NS, so a stop of 30 s fires no deadline.
 *
 * Threads: an object belongs to one loop, and only that loop's thread touches it; net_post() and net_pool_stop()
 * alone may be called from any thread. A pool is made and listeners added before net_pool_run().
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/pile.h"

#define NET_STALL_NS UINT64_C(1000000000)

enum {
	NET_LOOPS_MAX = 64,
	NET_POST_BYTES_MAX = 64 << 20, /* what may wait for one loop, by net_post() */
	NET_POST_TURN = 256, /* posted messages that a loop runs in an iteration, ... */
	NET_POST_TURNS_MAX = 32, /* or more: what it took at once is done after so many */
	NET_DRAIN_MS =
		4800, /* from net_pool_stop() to the last connection cut: the loops have ended within 5 s */
};

enum net_sender_kind {
	NET_SENDER_AUTO, /* io_uring where the kernel allows it, else plain */
	NET_SENDER_PLAIN,
	NET_SENDER_URING,
};

struct net_pool;
struct net_loop;

struct net_pool_options {
	uint32_t loops; /* 0: one per core that the process may use */
	enum net_sender_kind sender;
	uint32_t conns_max; /* 0: what the descriptor limit allows */
	uint32_t conns_per_address_max; /* 0: NET_CONNS_PER_ADDRESS_MAX of net/conn.h */
	bool limit_loopback; /* count connections from this machine too */
	/* The pool stops: called once on each loop's thread, when its listeners no longer take new connections. */
	void (*stopping)(struct net_loop *, void *ctx);
	/* After net_overrun(): called on that loop, in its next iteration. */
	void (*overrun)(struct net_loop *, void *ctx);
	void *ctx;
};

/* NULL on failure, with a text for people in err. */
__attribute__((warn_unused_result)) struct net_pool *net_pool_create(
	const struct net_pool_options *, char *err, size_t err_bytes);
/* Run until stopped: loop 0 on this thread, a thread for each other. 0 or -errno (no thread could be had). */
__attribute__((warn_unused_result)) int net_pool_run(struct net_pool *);
/* Ask all loops to drain and end. Any thread, also a signal handler. Repeated: no effect. */
void net_pool_stop(struct net_pool *);
/*
 * After net_pool_run() has returned, or instead of it: cut what connections there still are, discard posts and run what
 * was deferred, so that the layers above can be freed. NULL is fine.
 */
void net_pool_close(struct net_pool *);
/* Closes, and frees. NULL is fine. */
void net_pool_destroy(struct net_pool *);

uint32_t net_pool_loops(const struct net_pool *);
struct net_loop *net_pool_loop(struct net_pool *, uint32_t index);
/* The kind in use, after net_pool_create(). */
enum net_sender_kind net_pool_sender(const struct net_pool *);
/* The limits in force. */
uint32_t net_pool_conns_max(const struct net_pool *);
uint32_t net_pool_conns_per_address_max(const struct net_pool *);
bool net_pool_limits_loopback(const struct net_pool *);

struct net_counters {
	uint64_t accepted, closed, refused_limit, refused_address, refused_descriptors;
	uint64_t moved, bytes_in, bytes_out, flushes, posts_refused, stalls, tls_failed;
	uint64_t cut; /* their peer took nothing, or nothing more */
};
/* The sum over all loops. Any thread; each figure is exact, their set is not one instant. */
void net_pool_counters(const struct net_pool *, struct net_counters *ret);

/* The loop whose thread this is, or NULL. */
struct net_loop *net_loop_current(void);
uint32_t net_loop_index(const struct net_loop *);
struct net_pool *net_loop_pool(const struct net_loop *);
/* The loop's clock, read once an iteration: monotonic less the stalls. Not comparable between loops. */
uint64_t net_loop_now_ns(const struct net_loop *);
bool net_loop_stopping(const struct net_loop *);
/* It is closed: what is posted to it is discarded within the call. */
bool net_loop_closed(const struct net_loop *);
/*
 * Something is to be posted to it, and it does not end before that has come, which calls net_loop_arrived(). False: its thread has
 * ended, or its pool is not run yet. Any thread.
 */
__attribute__((warn_unused_result)) bool net_loop_expect(struct net_loop *);
void net_loop_arrived(struct net_loop *); /* on its thread */
/* While it is held a loop that stops does not end for want of connections. Each hold is released, before NET_DRAIN_MS. */
void net_loop_hold(struct net_loop *);
void net_loop_release(struct net_loop *);

/*
 * Across threads: `run` is called on the loop's thread, once, in the order of the posts from one thread. The message is
 * given; `run` frees it. `discard` is called instead, on whatever thread destroys the pool, if the loop has ended.
 */
struct net_message {
	struct pile_node node;
	void (*run)(struct net_loop *, struct net_message *);
	void (*discard)(struct net_message *);
	size_t bytes; /* counted against NET_POST_BYTES_MAX; >= sizeof *this */
};
/* False: the bound is reached, or the loop has been closed; the message is still the caller's. */
__attribute__((warn_unused_result)) bool net_post(struct net_loop *, struct net_message *);
/* Something that could not be posted must not go unnoticed there: `overrun` will be called on that loop. Any thread. */
void net_overrun(struct net_loop *);
/* For what is bounded otherwise, by a connection or a slot reserved with the request. Always taken. */
void net_post_reserved(struct net_loop *, struct net_message *);

/* Run once, after the callbacks of this iteration and before its flush (from a deferred task: in the next). */
struct net_task {
	struct list node;
	void (*run)(struct net_task *);
};
void net_task_init(struct net_task *, void (*run)(struct net_task *));
/* No effect if it is already waiting. */
void net_defer(struct net_loop *, struct net_task *);
/* Run it in the next iteration: others have their turn before. */
void net_defer_next(struct net_loop *, struct net_task *);
void net_task_cancel(struct net_task *);

#endif
