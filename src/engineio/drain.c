/*
 * engineio/drain.c -- the end of all sessions when the pool stops, spread so that not all clients come again at once.
 *
 *      sessions, shuffled: [ 7 | 2 | 9 | 4 | ... ]     the i-th of n goes i/n of the time after the stop; till then it is
 *                            ^ done                    served as ever
 *
 * A client that polls gets what waits for it a part at a time. So one that is about to is put off, for a while; so is one that
 * waits for answers.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "engineio/session_int.h"

void eio_end_all(struct eio_loop *at, enum eio_reason reason)
{
	for (uint32_t slot = 0; slot < at->sessions.used; slot++) {
		struct eio_session *s = slots_at(&at->sessions, slot);

		if (s != NULL)
			eio_session_end(s, reason);
	}
}

static void finish(struct eio_loop *at)
{
	struct eio_drain *d = &at->drain;

	free(d->turns);
	d->turns = NULL;
	net_loop_release(at->loop);
	d->drained(at->loop, at->server->ctx);
}

/* All that are left, whoever they are. */
static void end_rest(struct eio_loop *at)
{
	eio_end_all(at, EIO_SHUTTING_DOWN);
	finish(at);
}

/* More waits for it than it has, and it holds a connection by which it will have it. */
static bool is_fetching(const struct eio_session *s)
{
	return s->state == EIO_STATE_OPEN && s->ws == NULL && s->queue.count > 0 &&
	       (s->poll != NULL || (s->doubt != NULL && s->doubt->exchange != NULL));
}

/*
 * When one that is put off goes all the same. The first have EIO_DRAIN_LATE_MS; who comes later has less, so that all is over
 * in time, and also those who all wait for something that never comes go one after the other.
 */
static bool is_over(const struct eio_drain *d, const struct eio_drain_turn *turn, uint64_t gone_ns)
{
	uint64_t at_ns = d->span_ns * turn->number / d->count;

	return gone_ns >= EIO_DRAIN_LATE_MS * CLOCK_NS_PER_MS +
				  at_ns / EIO_DRAIN_MS_MAX * (EIO_DRAIN_MS_MAX - EIO_DRAIN_LATE_MS);
}

/* It is its turn. False: it is put off. */
static bool end_in_turn(struct eio_loop *at, const struct eio_drain_turn *turn, uint64_t gone_ns)
{
	struct eio_session *s = slots_at(&at->sessions, turn->slot);

	if (s == NULL)
		return true;
	bool waits = is_fetching(s) || (s->state == EIO_STATE_OPEN && at->server->events->owed(s->ctx));
	if (waits && !is_over(&at->drain, turn, gone_ns))
		return false;
	eio_session_end(s, EIO_SHUTTING_DOWN);
	return true;
}

/* End those whose turn has come, or had. */
static void step(struct eio_loop *at)
{
	struct eio_drain *d = &at->drain;
	uint64_t gone_ns = net_loop_now_ns(at->loop) - d->began_ns;
	uint64_t due = gone_ns >= d->span_ns ? d->count : gone_ns * d->count / d->span_ns + 1;
	uint32_t late = 0;

	for (uint32_t i = 0; i < d->late; i++) {
		if (!end_in_turn(at, &d->turns[i], gone_ns))
			d->turns[late++] = d->turns[i];
	}
	for (; d->done < due && d->done < d->count; d->done++) {
		if (!end_in_turn(at, &d->turns[d->done], gone_ns))
			d->turns[late++] = d->turns[d->done];
	}
	d->late = late;
	bool over = d->done == d->count && late == 0;
	if (over || !net_timer_start(&d->step, at->loop, EIO_DRAIN_EACH_MS))
		end_rest(at);
}

void eio_drain_step(struct net_timer *timer)
{
	step(list_entry(timer, struct eio_loop, drain.step));
}

/* Every order is as likely as any other. */
static void shuffle(struct eio_drain_turn *turns, uint32_t count)
{
	for (uint32_t left = count; left > 1; left--) {
		uint32_t chosen, last = turns[left - 1].slot;

		random_bytes(&chosen, sizeof(chosen));
		chosen %= left;
		turns[left - 1].slot = turns[chosen].slot;
		turns[chosen].slot = last;
	}
}

void eio_server_stopping(
	struct eio_server *server, struct net_loop *loop, void (*drained)(struct net_loop *, void *ctx))
{
	struct eio_loop *at = &server->loops[net_loop_index(loop)];
	struct eio_drain *d = &at->drain;
	uint64_t each_ns = EIO_DRAIN_EACH_MS * CLOCK_NS_PER_MS;

	assert(d->drained == NULL);
	d->drained = drained;
	d->began_ns = net_loop_now_ns(loop);
	net_loop_hold(loop);
	d->turns = at->sessions.count == 0 ? NULL : calloc(at->sessions.count, sizeof(d->turns[0]));
	if (d->turns == NULL) {
		end_rest(at);
		return;
	}
	for (uint32_t slot = 0; slot < at->sessions.used; slot++) {
		const struct eio_session *s = slots_at(&at->sessions, slot);

		if (s != NULL && s->state == EIO_STATE_OPEN) {
			d->turns[d->count] = (struct eio_drain_turn){ slot, d->count };
			d->count++;
		}
	}
	shuffle(d->turns, d->count);
	d->span_ns = server->options.drain_ms * CLOCK_NS_PER_MS;
	if (d->span_ns > d->count * each_ns)
		d->span_ns = d->count * each_ns;
	step(at);
}
