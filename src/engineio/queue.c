/* engineio/queue.c -- see engineio/queue.h. */
#include "engineio/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/account.h"

/* A ring of the smallest size. */
static struct blob_share **take_ring(struct eio_rings *rings)
{
	struct blob_share **ring = rings->first;

	if (ring == NULL)
		return malloc(EIO_RING_UNITS * sizeof(struct blob_share *));
	memcpy(&rings->first, ring, sizeof(rings->first));
	rings->count--;
	return ring;
}

static void give_ring(struct eio_rings *rings, struct blob_share **ring, uint32_t cap)
{
	if (cap != EIO_RING_UNITS || rings->count == EIO_RINGS_SPARE_MAX) {
		if (cap != EIO_RING_UNITS)
			account_take(cap * sizeof(*ring));
		free(ring);
		return;
	}
	memcpy(ring, &rings->first, sizeof(rings->first));
	rings->first = ring;
	rings->count++;
}

void eio_rings_finish(struct eio_rings *rings)
{
	while (rings->first != NULL)
		free(take_ring(rings));
}

bool eio_queue_grow(struct eio_queue *q, struct eio_rings *rings)
{
	uint32_t cap = q->ring == NULL ? EIO_RING_UNITS : q->cap * 2;

	if (cap > EIO_QUEUE_UNITS_MAX)
		return false;
	struct blob_share **ring =
		q->ring == NULL ? take_ring(rings) : malloc(cap * sizeof(struct blob_share *));
	if (ring == NULL)
		return false;
	if (cap != EIO_RING_UNITS) /* the smallest are not in the account */
		account_add(cap * sizeof(*ring));
	for (uint32_t i = 0; i < q->count; i++)
		ring[i] = eio_queue_at(q, i);
	if (q->ring != NULL)
		give_ring(rings, q->ring, q->cap);
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
	return true;
}

/* An empty queue owns nothing. */
static inline void rest(struct eio_queue *q, struct eio_rings *rings)
{
	if (q->count > 0)
		return;
	assert(q->bytes == 0 && q->sent == 0);
	if (q->ring == NULL)
		return;
	give_ring(rings, q->ring, q->cap);
	q->ring = NULL;
	q->cap = q->head = 0;
}

static inline void pop(struct eio_queue *q)
{
	struct blob_share *front = eio_queue_at(q, 0);

	assert(q->count > 0);
	q->bytes -= front->bytes;
	q->sent = 0;
	q->head++;
	q->taken++;
	q->count--;
	blob_unref(front);
}

void eio_queue_clear(struct eio_queue *q, struct eio_rings *rings)
{
	while (q->count > 0)
		pop(q);
	rest(q, rings);
}

void eio_queue_trim(struct eio_queue *q, struct eio_rings *rings)
{
	uint32_t keep = q->sent > 0;

	while (q->count > keep) {
		struct blob_share *last = eio_queue_at(q, q->count - 1);

		q->bytes -= last->bytes;
		q->count--;
		blob_unref(last);
	}
	rest(q, rings);
}

/* The same units, in the same order, as the connection before has: then its bytes serve again. */
static bool bundle_fits(const struct eio_queue *q, const struct net_bundle *b, uint32_t units)
{
	if (b->count != units)
		return false;
	for (uint32_t i = 0; i < units; i++) {
		if (b->parts[i] != eio_queue_at(q, i))
			return false;
	}
	return true;
}

/* False: too much for a bundle. */
static bool make_bundle(const struct eio_queue *q, struct net_bundle *b, uint32_t units)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < units; i++) {
		b->parts[i] = eio_queue_at(q, i);
		bytes += eio_queue_at(q, i)->bytes;
	}
	b->count = 0;
	if (bytes > NET_BUNDLE_BYTES_MAX || bytes > b->room_bytes)
		return false;
	b->data = b->room;
	b->bytes = bytes;
	b->count = units;
	for (uint32_t i = 0; i < units; i++) {
		const struct blob_share *unit = eio_queue_at(q, i);

		memcpy(b->room, unit->data, unit->bytes);
		b->room += unit->bytes;
	}
	b->room_bytes -= bytes;
	return true;
}

/* Apart, as sent_some() is: the usual case then saves no registers for it. */
static __attribute__((noinline)) void gather_many(const struct eio_queue *q, struct net_gather *g)
{
	uint32_t units = q->count < NET_BUNDLE_PARTS_MAX ? q->count : NET_BUNDLE_PARTS_MAX;

	if (units > 1 && q->sent == 0 &&
		(bundle_fits(q, g->bundle, units) || make_bundle(q, g->bundle, units))) {
		(void)net_gather_add(g, g->bundle->data, g->bundle->bytes);
		g->more = g->more || units < q->count;
		return;
	}
	uint32_t sent = q->sent;

	for (uint32_t i = 0; i < q->count; i++) {
		const struct blob_share *unit = eio_queue_at(q, i);

		if (!net_gather_add(g, unit->data + sent, unit->bytes - sent))
			return;
		sent = 0;
	}
}

void eio_queue_gather(const struct eio_queue *q, struct net_gather *g)
{
	if (q->count != 1) {
		gather_many(q, g);
		return;
	}
	/* One message is under way: nearly always. */
	const struct blob_share *unit = eio_queue_at(q, 0);

	(void)net_gather_add(g, unit->data + q->sent, unit->bytes - q->sent);
}

static __attribute__((noinline)) void sent_some(struct eio_queue *q, struct eio_rings *rings, size_t bytes)
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
	rest(q, rings);
}

void eio_queue_sent(struct eio_queue *q, struct eio_rings *rings, size_t bytes)
{
	if (q->count != 1 || bytes != q->bytes - q->sent) {
		sent_some(q, rings, bytes);
		return;
	}
	pop(q);
	rest(q, rings);
}

void eio_queue_drop(struct eio_queue *q, struct eio_rings *rings, uint32_t units)
{
	assert(units <= q->count && q->sent == 0);
	while (units-- > 0)
		pop(q);
	rest(q, rings);
}
