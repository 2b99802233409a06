/*
 * store/op.h -- a verb under way: its arguments, who answers it, and until when.
 *
 *                 the worker takes it             the worker has its result
 *      WAITING -----------------------> BEGUN ---------------------------> ANSWERED
 *         |                               |  the watch: it is late            ^
 *         +-------------------------------+-----------------------------------+
 *
 * The state is one atomic word: whoever moves it to ANSWERED answers, so each is answered once. Two hold the object: its
 * worker (writer or reader) and the watch (store/watch.h). The last one to let go frees it.
 *
 * Used by: the backends. Threads: as said with each function.
 */
#ifndef STORE_OP_H
#define STORE_OP_H

#include <stdatomic.h>

#include "base/pile.h"
#include "store/store.h"

enum store_op_state {
	STORE_OP_WAITING,
	STORE_OP_BEGUN,
	STORE_OP_ANSWERED,
};

struct store_op;

/* One per verb and backend: const. */
struct store_verb {
	bool writes;
	/* Call fn with a status; with the op's result if that is STORE_OK or STORE_SAME. */
	void (*tell)(const struct store_op *, enum store_status);
	/* In the worker. 0: op->status and the result are set. Else an error of the backend. `worker` is the writer or a reader. */
	int (*run)(void *worker, struct store_op *);
};

struct store_op {
	struct pile_node queued, watched;
	struct store_op *next; /* the worker's */
	const struct store_verb *verb;
	_Atomic(uint32_t) state; /* enum store_op_state */
	_Atomic(uint32_t) holders;
	uint64_t late_at_ns; /* base/clock.h */

	/* The caller's. */
	union {
		store_sent_fn *sent;
		store_user_fn *user;
		store_rooms_fn *rooms;
		store_page_fn *page;
	} fn;
	void *ctx;
	char *bytes; /* what name, text and cid point into; NULL: they are empty */
	uint32_t bytes_count;
	uint32_t messages_max;
	struct str name, text, cid;
	int64_t room, user;
	uint64_t seq;
	uint32_t nonce;
	uint8_t token_hash[STORE_TOKEN_HASH_BYTES];
	uint64_t request_hash[2]; /* of name and text */

	/* The result, the worker's. */
	enum store_status status;
	bool committed_new; /* append(): there is a new entry to tell of */
	struct store_sent sent;
	struct store_user made;
	const struct store_page *page;
	const struct store_room *rooms;
	size_t rooms_count;
};

/* A new one, WAITING, with two holders; its texts are copied. NULL: no memory. `send` may be NULL. */
__attribute__((warn_unused_result)) struct store_op *store_op_create(
	const struct store_verb *, const struct store_send *send, uint64_t late_at_ns);
/* One of the holders lets go. */
void store_op_drop(struct store_op *);
/* The copies of its texts are freed now: by its worker, or by who moved it to ANSWERED before that began it. */
void store_op_forget_texts(struct store_op *);

static inline enum store_op_state store_op_state(const struct store_op *op)
{
	return (enum store_op_state)atomic_load_explicit(&op->state, memory_order_acquire);
}

/* The only change of a state. False: somebody else has moved it on meanwhile. */
__attribute__((warn_unused_result)) bool store_op_move(
	struct store_op *, enum store_op_state from, enum store_op_state to);

#endif
