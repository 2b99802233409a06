/*
 * engineio/queue.h -- a session's outbound queue: references to units, in order.
 *
 *      [ unit | unit | unit | unit ]        a ring; the first few need no memory, and an empty queue owns none
 *        ^ sent bytes of it have gone
 *
 * It belongs to the session, not to a transport: a transport takes from its front. Threads: the session's loop.
 */
#ifndef ENGINEIO_QUEUE_H
#define ENGINEIO_QUEUE_H

#include "base/assert.h"
#include "base/blob.h"
#include "net/conn.h"

enum {
	EIO_UNIT_OVERHEAD_BYTES = 96,
	EIO_QUEUE_FEW = 2,
	EIO_RING_UNITS = 16, /* of the smallest ring */
	EIO_RINGS_SPARE_MAX = 1024, /* of a loop, kept for the next burst */
	EIO_QUEUE_UNITS_MAX = 1 << 20,
};

/* Small rings that no queue of this loop has just now. Zeroed is none. */
struct eio_rings {
	struct blob_share **first; /* each holds the address of the next in its first place */
	uint32_t count;
};
void eio_rings_finish(struct eio_rings *);

struct eio_queue {
	struct blob_share **ring; /* NULL: `few` is it */
	struct blob_share *few[EIO_QUEUE_FEW];
	uint32_t head, count, cap; /* cap: a power of two; 0 means EIO_QUEUE_FEW */
	uint32_t sent; /* bytes of the front unit that have gone */
	uint32_t taken; /* units that have left it, ever; it wraps */
	size_t bytes; /* of all units, what has gone included */
};

__attribute__((warn_unused_result)) bool eio_queue_grow(struct eio_queue *, struct eio_rings *);
/* Drop all but a front unit that has begun to go. */
void eio_queue_trim(struct eio_queue *, struct eio_rings *);
/* Drop everything. */
void eio_queue_clear(struct eio_queue *, struct eio_rings *);
/* What is next to go over a WebSocket. */
void eio_queue_gather(const struct eio_queue *, struct net_gather *);
/* `bytes` from the front have gone. */
void eio_queue_sent(struct eio_queue *, struct eio_rings *, size_t bytes);
/* Drop `units` from the front, none of which has gone in part. */
void eio_queue_drop(struct eio_queue *, struct eio_rings *, uint32_t units);

/* What it costs, for the limits: bytes, and what each unit takes beside them. */
static inline size_t eio_queue_weight(const struct eio_queue *q)
{
	return q->bytes + q->count * (size_t)EIO_UNIT_OVERHEAD_BYTES;
}

static inline struct blob_share *eio_queue_at(const struct eio_queue *q, uint32_t i)
{
	return q->ring == NULL ? q->few[(q->head + i) & (EIO_QUEUE_FEW - 1)]
			       : q->ring[(q->head + i) & (q->cap - 1)];
}

/* Append a reference of one's own. False: no memory, or EIO_QUEUE_UNITS_MAX. */
__attribute__((warn_unused_result)) static inline bool eio_queue_push(
	struct eio_queue *q, struct eio_rings *rings, struct blob_share *unit)
{
	if (q->count == (q->ring == NULL ? EIO_QUEUE_FEW : q->cap) && !eio_queue_grow(q, rings))
		return false;
	if (q->ring == NULL)
		q->few[(q->head + q->count) & (EIO_QUEUE_FEW - 1)] = blob_ref(unit);
	else
		q->ring[(q->head + q->count) & (q->cap - 1)] = blob_ref(unit);
	q->count++;
	q->bytes += unit->bytes;
	return true;
}

#endif
