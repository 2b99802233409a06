/*
 * store/watch.h -- sees to it that every verb is answered in time, whatever its worker is stuck in.
 *
 * A thread that sleeps while nothing is under way, and looks once in STORE_WATCH_LOOK_MS while something is. A verb that is
 * nearly late is answered in its worker's stead:
 *
 *      a write that has not begun -- STORE_UNAVAILABLE; its worker will not touch it
 *      a write that has begun     -- STORE_UNKNOWN
 *      a read                     -- STORE_BUSY
 *
 * Threads: add from any; started and stopped by one.
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include <pthread.h>
#include <semaphore.h>

#include "store/op.h"

enum {
	STORE_WATCH_LOOK_MS = 1000,
	STORE_WATCH_STALL_MS = 1000, /* it wakes so late: all stood still, and nothing is late for that */
};

struct store_watch_counts {
	_Atomic(uint64_t) unknown, withdrawn, reads; /* answered so, in the order of the drawing */
};

struct store_watch {
	struct pile pile; /* added, not looked at yet */
	struct pile_node *first; /* under way, as far as the thread knows */
	_Atomic(bool) idle; /* it sleeps until somebody adds */
	_Atomic(bool) stopping;
	sem_t wake;
	pthread_t thread;
	uint64_t look_ns, answer_ns;
	void (*withdrawn)(
		void *ctx, struct store_op *); /* that had not begun: on its thread, before the answer */
	void *ctx;
	struct store_watch_counts counts;
};

/* answer_ms: the most that a verb may take. False: no thread. */
__attribute__((warn_unused_result)) bool store_watch_start(
	struct store_watch *, uint32_t answer_ms, void (*withdrawn)(void *ctx, struct store_op *), void *ctx);
/* All workers have ended. Late ones are answered no more. */
void store_watch_stop(struct store_watch *);
/* After the stop, when all that was added has been answered. */
void store_watch_finish(struct store_watch *);
/* When a verb that starts now must be answered by the watch: a little before it is late. */
uint64_t store_watch_late_at(const struct store_watch *, uint64_t now_ns);
/* The watch holds it from now on. */
void store_watch_add(struct store_watch *, struct store_op *);

#endif
