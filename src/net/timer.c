/* net/timer.c -- see net/timer.h. */
#include "net/timer.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "net/net_int.h"

void net_delays_init(
	struct net_delays *l, struct net_loop *loop, uint64_t delay_ms, net_delay_fn *expired, void *ctx)
{
	list_init(&l->delays);
	l->delay_ns = delay_ms * CLOCK_NS_PER_MS;
	l->expired = expired;
	l->ctx = ctx;
	list_push_back(&loop->delay_lists, &l->node);
}

static void note_due(struct net_loop *loop, uint64_t due_ns)
{
	if (due_ns < loop->delays_due_ns)
		loop->delays_due_ns = due_ns;
}

void net_delay_start(struct net_delay *d, struct net_delays *l, struct net_loop *loop)
{
	list_remove(&d->node);
	d->due_ns = loop->now_ns + l->delay_ns;
	list_push_back(&l->delays, &d->node);
	note_due(loop, d->due_ns);
}

/* The heap: heap[i] is due no later than heap[2i+1] and heap[2i+2]. */

static void place(struct net_loop *loop, uint32_t at, struct net_timer *t)
{
	loop->heap[at] = t;
	t->heap_at = at + 1;
}

static void sift_up(struct net_loop *loop, uint32_t at, struct net_timer *t)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (loop->heap[parent]->due_ns <= t->due_ns)
			break;
		place(loop, at, loop->heap[parent]);
		at = parent;
	}
	place(loop, at, t);
}

static void sift_down(struct net_loop *loop, uint32_t at, struct net_timer *t)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= loop->heap_count)
			break;
		if (child + 1 < loop->heap_count && loop->heap[child + 1]->due_ns < loop->heap[child]->due_ns)
			child++;
		if (t->due_ns <= loop->heap[child]->due_ns)
			break;
		place(loop, at, loop->heap[child]);
		at = child;
	}
	place(loop, at, t);
}

bool net_timer_start(struct net_timer *t, struct net_loop *loop, uint64_t delay_ms)
{
	assert(t->expired != NULL);
	net_timer_stop(t, loop);
	if (loop->heap_count == loop->heap_cap) {
		uint32_t cap = loop->heap_cap == 0 ? 16 : loop->heap_cap * 2;
		if (cap > NET_TIMERS_MAX)
			return false;
		struct net_timer **bigger = realloc(loop->heap, cap * sizeof(struct net_timer *));
		if (bigger == NULL)
			return false;
		loop->heap = bigger;
		loop->heap_cap = cap;
	}
	/* From now, not from when this iteration began: a handler may have worked for long. A stall is taken out. */
	uint64_t now_ns = clock_now_ns();
	uint64_t from_ns = now_ns - loop->woke_ns > NET_STALL_NS ? loop->now_ns : now_ns - loop->stalled_ns;
	t->due_ns = from_ns + delay_ms * CLOCK_NS_PER_MS;
	sift_up(loop, loop->heap_count++, t);
	return true;
}

void net_timer_stop(struct net_timer *t, struct net_loop *loop)
{
	if (t->heap_at == 0)
		return;
	uint32_t at = t->heap_at - 1;
	assert(at < loop->heap_count && loop->heap[at] == t);
	struct net_timer *last = loop->heap[--loop->heap_count];

	t->heap_at = 0;
	if (last == t)
		return;
	if (at > 0 && loop->heap[(at - 1) / 2]->due_ns > last->due_ns)
		sift_up(loop, at, last);
	else
		sift_down(loop, at, last);
}

/* All that are due, a turn's worth of each list at least; and what is due then. */
static void run_delays(struct net_loop *loop)
{
	loop->delays_due_ns = UINT64_MAX;
	for (struct list *n = loop->delay_lists.next; n != &loop->delay_lists; n = n->next) {
		struct net_delays *l = list_entry(n, struct net_delays, node);

		for (uint32_t turn = 0; !list_empty(&l->delays); turn++) {
			struct net_delay *d = list_entry(l->delays.next, struct net_delay, node);

			if (d->due_ns > loop->now_ns)
				break;
			if (turn >= NET_DELAYS_TURN_MAX &&
				d->due_ns + NET_DELAYS_LATE_MS * CLOCK_NS_PER_MS > loop->now_ns)
				break;
			net_delay_stop(d);
			l->expired(d, l->ctx);
		}
		if (!list_empty(&l->delays))
			note_due(loop, list_entry(l->delays.next, struct net_delay, node)->due_ns);
	}
}

void net_timers_run(struct net_loop *loop)
{
	if (loop->delays_due_ns <= loop->now_ns)
		run_delays(loop);
	while (loop->heap_count > 0 && loop->heap[0]->due_ns <= loop->now_ns) {
		struct net_timer *t = loop->heap[0];

		net_timer_stop(t, loop);
		t->expired(t);
	}
}

uint64_t net_timers_next_ns(const struct net_loop *loop)
{
	uint64_t due = loop->delays_due_ns;

	if (loop->heap_count > 0 && loop->heap[0]->due_ns < due)
		due = loop->heap[0]->due_ns;
	if (due == UINT64_MAX)
		return due;
	return due <= loop->now_ns ? 0 : due - loop->now_ns;
}
