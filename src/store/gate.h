/*
 * store/gate.h -- where reads begin: the writer may hold new ones back until those under way have ended.
 *
 * While it is open, entering and leaving are one atomic operation each. The lock guards nothing but the waiting.
 *
 * Used by: sqlite_reader.c (enters), sqlite_checkpoint.c (closes). Threads: enter and leave from any, the rest by one.
 */
#ifndef STORE_GATE_H
#define STORE_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct store_gate {
	_Atomic(bool) closed;
	_Atomic(uint32_t) inside;
	pthread_mutex_t lock;
	pthread_cond_t opened, left;
};

void store_gate_init(struct store_gate *);
void store_gate_finish(struct store_gate *);

void store_gate_enter(struct store_gate *); /* waits while it is closed */
void store_gate_leave(struct store_gate *);

void store_gate_close(struct store_gate *);
void store_gate_open(struct store_gate *);
/* Nobody is inside any more. Waits for that until the monotonic time `until_ns` (0: not at all). It is closed. */
__attribute__((warn_unused_result)) bool store_gate_wait_empty(struct store_gate *, uint64_t until_ns);

#endif
