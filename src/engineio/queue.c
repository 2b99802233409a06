/* engineio/queue.c -- see engineio/queue.h. */
#include "engineio/queue.h"

#include <stdlib.h>

bool eio_queue_grow(struct eio_queue *q)
{
	uint32_t cap = q->ring == NULL ? 8 * EIO_QUEUE_FEW : q->cap * 2;

	if (cap > EIO_QUEUE_UNITS_MAX)
		return false;
	struct blob_share **ring = malloc(cap * sizeof(struct blob_share *));
	if (ring == NULL)
		return false;
	for (uint32_t i = 0; i < q->count; i++)
		ring[i] = eio_queue_at(q, i);
	free(q->ring);
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
	return true;
}

/* An empty queue owns nothing. */
static void rest(struct eio_queue *q)
{
	if (q->count > 0 || q->ring == NULL)
		return;
	assert(q->bytes == 0 && q->sent == 0);
	free(q->ring);
	q->ring = NULL;
	q->cap = q->head = 0;
}

static void pop(struct eio_queue *q)
{
	struct blob_share *front = eio_queue_at(q, 0);

	assert(q->count > 0);
	q->bytes -= front->bytes;
	q->sent = 0;
	q->head++;
	q->count--;
	blob_unref(front);
}

void eio_queue_clear(struct eio_queue *q)
{
	while (q->count > 0)
		pop(q);
	rest(q);
}

void eio_queue_gather(const struct eio_queue *q, struct net_gather *g)
{
	uint32_t sent = q->sent;

	for (uint32_t i = 0; i < q->count; i++) {
		const struct blob_share *unit = eio_queue_at(q, i);

		if (!net_gather_add(g, unit->data + sent, unit->bytes - sent))
			return;
		sent = 0;
	}
}

void eio_queue_sent(struct eio_queue *q, size_t bytes)
{
	while (bytes > 0) {
		assert(q->count > 0);
		size_t left = eio_queue_at(q, 0)->bytes - q->sent;

		if (bytes < left) {
			q->sent += (uint32_t)bytes;
			return;
		}
		bytes -= left;
		pop(q);
	}
	rest(q);
}

void eio_queue_drop(struct eio_queue *q, uint32_t units)
{
	assert(units <= q->count && q->sent == 0);
	while (units-- > 0)
		pop(q);
	rest(q);
}
