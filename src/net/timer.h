/*
 * net/timer.h -- deadlines of one loop: a list per fixed duration, a heap for the rest.
 *
 *      net_delays  25 s:  [due 1] -> [due 5] -> [due 9]     all of one length, so the list is sorted by itself:
 *                                                           start and stop are O(1), and no clock is asked
 *      net_timers  heap:  any due time, O(log n)
 *
 * Exact to about a millisecond: epoll waits until the earliest. Times are those of net_loop_now_ns().
 * Threads: all of it belongs to the loop's thread.
 */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct net_loop;

/* One deadline in a list of equals. Init before use; 24 bytes, so that every session can have one. */
struct net_delay {
	struct list node;
	uint64_t due_ns;
};

typedef void net_delay_fn(struct net_delay *, void *ctx);

/* The deadlines of one duration. Register once with a loop; lives as long as the loop. */
struct net_delays {
	struct list delays;
	struct list node; /* in the loop's list of lists */
	uint64_t delay_ns;
	net_delay_fn *expired;
	void *ctx;
};

void net_delays_init(
	struct net_delays *, struct net_loop *, uint64_t delay_ms, net_delay_fn *expired, void *ctx);

static inline void net_delay_init(struct net_delay *d)
{
	list_init(&d->node);
	d->due_ns = 0;
}

static inline bool net_delay_running(const struct net_delay *d)
{
	return !list_empty(&d->node);
}

/* (Re)start: due one duration from now. */
void net_delay_start(struct net_delay *, struct net_delays *, struct net_loop *);

static inline void net_delay_stop(struct net_delay *d)
{
	list_remove(&d->node);
}

/* A deadline of any length. */
struct net_timer {
	uint64_t due_ns;
	uint32_t heap_at; /* 0: not running; else its place + 1 */
	void (*expired)(struct net_timer *);
};

static inline void net_timer_init(struct net_timer *t, void (*expired)(struct net_timer *))
{
	*t = (struct net_timer){ .expired = expired };
}

static inline bool net_timer_running(const struct net_timer *t)
{
	return t->heap_at != 0;
}

/* (Re)start: due delay_ms from now. False: no memory, and it is not running. */
__attribute__((warn_unused_result)) bool net_timer_start(
	struct net_timer *, struct net_loop *, uint64_t delay_ms);
void net_timer_stop(struct net_timer *, struct net_loop *);

#endif
