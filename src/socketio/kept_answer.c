/*
 * socketio/kept_answer.c -- answers to the events of who may come back: see socketio/recovery_int.h.
 *
 *      sio_answer() --its connection stands--> queued, and kept in the backlog
 *                  `--it has broken----------> kept; sent when its client is back
 */
#include <stdlib.h>
#include <string.h>

#include "socketio/recovery_int.h"

void sio_recoverable_answer(struct sio_socket *s, struct blob_share *unit)
{
	struct sio_target self = sio_self(s);
	struct sio_recoverable *r = s->recoverable;

	r->last_answer = sio_backlog_add(r->backlog, &self, (struct sio_offset){ 0 }, unit);
	if (!sio_deliver(s, unit, 0))
		sio_recoverable_refused(r, r->last_answer);
}

void sio_recoverable_refused(struct sio_recoverable *r, uint64_t place)
{
	if (r->refused == 0)
		r->refused = place;
}

void sio_recoverable_answer_lost(const struct sio_past *p)
{
	const struct sio_socket *s = sio_socket_find(p->backlog->at, p->target.only);
	struct sio_recoverable *r =
		s != NULL ? s->recoverable : sio_recoverable_by_id(p->backlog, p->target.only);

	if (r != NULL)
		r->lost_answer = p->place;
}

/* Its client's event waits for this answer. */
static bool take_ack(struct sio_recoverable *r, uint64_t id)
{
	if (r->socket != NULL)
		return sio_take_ack(r->socket, id);
	for (uint16_t i = 0; i < r->ack_count; i++) {
		if (r->acks[i] != id)
			continue;
		memmove(&r->acks[i], &r->acks[i + 1], (size_t)(r->ack_count - i - 1) * sizeof(r->acks[0]));
		r->ack_count--;
		r->backlog->at->kept_bytes -= sizeof(r->acks[0]);
		return true;
	}
	return false;
}

bool sio_recoverable_answer_kept(
	const struct sio_loop *here, const struct sio_ack *ack, struct blob_share *unit)
{
	struct sio_backlog *b = sio_here(ack->space, here)->backlog;

	if (b == NULL)
		return false;
	struct sio_recoverable *r = sio_recoverable_by_id(b, ack->socket);
	if (r == NULL || !take_ack(r, ack->id))
		return false;
	struct sio_target only = { .space = ack->space, .only = ack->socket };
	r->last_answer = sio_backlog_add(b, &only, (struct sio_offset){ 0 }, unit);
	return true;
}
