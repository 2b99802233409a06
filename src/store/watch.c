/* store/watch.c -- see store/watch.h. */
#include "store/watch.h"

#include <errno.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/thread.h"

uint64_t store_watch_late_at(const struct store_watch *w, uint64_t now_ns)
{
	return now_ns + w->answer_ns - w->answer_ns / 10;
}

static void count(_Atomic(uint64_t) *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* In its worker's stead, unless that was quicker. */
static void answer_late(struct store_watch *w, struct store_op *op)
{
	bool writes = op->verb->writes;

	if (store_op_move(op, STORE_OP_WAITING, STORE_OP_ANSWERED)) {
		if (w->withdrawn != NULL)
			w->withdrawn(w->ctx, op);
		count(writes ? &w->counts.withdrawn : &w->counts.reads);
		op->verb->tell(op, writes ? STORE_UNAVAILABLE : STORE_BUSY);
	} else if (store_op_state(op) == STORE_OP_BEGUN &&
		   store_op_move(op, STORE_OP_BEGUN, STORE_OP_ANSWERED)) {
		count(writes ? &w->counts.unknown : &w->counts.reads);
		op->verb->tell(op, writes ? STORE_UNKNOWN : STORE_BUSY);
	}
}

static void take_added(struct store_watch *w)
{
	uint32_t count_unused;
	struct pile_node *node = pile_take(&w->pile, &count_unused), *next;

	for (; node != NULL; node = next) {
		next = node->next;
		node->next = w->first;
		w->first = node;
	}
}

/* Drops what has been answered, answers what is late. Returns when the next one will be. */
static uint64_t look(struct store_watch *w, uint64_t now_ns)
{
	struct pile_node **link = &w->first;
	uint64_t next_ns = UINT64_MAX;

	while (*link != NULL) {
		struct store_op *op = pile_entry(*link, struct store_op, watched);

		if (op->late_at_ns <= now_ns)
			answer_late(w, op);
		if (store_op_state(op) == STORE_OP_ANSWERED) {
			*link = op->watched.next;
			store_op_drop(op);
			continue;
		}
		if (op->late_at_ns < next_ns)
			next_ns = op->late_at_ns;
		link = &op->watched.next;
	}
	return next_ns;
}

/* All of the process stood still, and its workers too: what is under way is not late for that. */
static void put_off(struct store_watch *w, uint64_t now_ns, uint64_t stalled_ns)
{
	uint64_t most_ns = store_watch_late_at(w, now_ns);

	take_added(w);
	for (struct pile_node *node = w->first; node != NULL; node = node->next) {
		struct store_op *op = pile_entry(node, struct store_op, watched);
		uint64_t later_ns = op->late_at_ns + stalled_ns;

		op->late_at_ns = later_ns < most_ns ? later_ns : most_ns;
	}
}

static void wait_for_work(struct store_watch *w)
{
	atomic_exchange_explicit(&w->idle, true, memory_order_acq_rel);
	/* Whoever adds after this look sees `idle`. */
	if (!pile_empty(&w->pile) || atomic_load(&w->stopping)) {
		atomic_store(&w->idle, false);
		return;
	}
	while (sem_wait(&w->wake) != 0)
		assert(errno == EINTR);
}

static void wait_until(struct store_watch *w, uint64_t until_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(until_ns % CLOCK_NS_PER_S),
	};

	while (sem_clockwait(&w->wake, CLOCK_MONOTONIC, &at) != 0 && errno == EINTR)
		;
}

static void *run(void *arg)
{
	struct store_watch *w = arg;

	while (!atomic_load(&w->stopping)) {
		uint64_t now_ns = clock_now_ns();

		take_added(w);
		uint64_t next_ns = look(w, now_ns);
		if (next_ns > now_ns + w->look_ns)
			next_ns = now_ns + w->look_ns;
		if (w->first == NULL) {
			wait_for_work(w);
			continue;
		}
		wait_until(w, next_ns);
		now_ns = clock_now_ns();
		if (now_ns > next_ns + STORE_WATCH_STALL_MS * CLOCK_NS_PER_MS)
			put_off(w, now_ns, now_ns - next_ns);
	}
	return NULL;
}

bool store_watch_start(
	struct store_watch *w, uint32_t answer_ms, void (*withdrawn)(void *ctx, struct store_op *), void *ctx)
{
	*w = (struct store_watch){ .withdrawn = withdrawn, .ctx = ctx };
	w->answer_ns = answer_ms * CLOCK_NS_PER_MS;
	w->look_ns = STORE_WATCH_LOOK_MS * CLOCK_NS_PER_MS;
	if (w->look_ns > w->answer_ns / 4)
		w->look_ns = w->answer_ns / 4;
	pile_init(&w->pile);
	int rc = sem_init(&w->wake, 0, 0);
	assert(rc == 0);
	if (!store_thread_start(&w->thread, "store watch", run, w)) {
		sem_destroy(&w->wake);
		return false;
	}
	return true;
}

void store_watch_stop(struct store_watch *w)
{
	atomic_store(&w->stopping, true);
	sem_post(&w->wake);
	pthread_join(w->thread, NULL);
}

void store_watch_finish(struct store_watch *w)
{
	take_added(w);
	while (w->first != NULL) {
		struct store_op *op = pile_entry(w->first, struct store_op, watched);

		assert(store_op_state(op) == STORE_OP_ANSWERED);
		w->first = op->watched.next;
		store_op_drop(op);
	}
	sem_destroy(&w->wake);
}

void store_watch_add(struct store_watch *w, struct store_op *op)
{
	/* Only who finds the pile empty may have to wake: whoever made it non-empty has looked. */
	if (pile_push(&w->pile, &op->watched) &&
		atomic_exchange_explicit(&w->idle, false, memory_order_acq_rel))
		sem_post(&w->wake);
}
