/*
 * socketio/away.c -- who is sent away while its connection is broken: it does not come back as who it was.
 *
 *      by its id:     ENDING --> `ends`; KEPT --> out of all tables and to loop->forgotten --> bury
 *      by a target:   an entry of the backlog without a unit, which is found when somebody comes back whom it is for
 *      on its way:    what has been asked of the loop that gave it is counted, and what that loop had done by then
 *
 * What is kept with an identity is destroyed at the end of the iteration's callbacks, as with sockets: who sends it away may hold a lock.
 */
#include "base/assert.h"
#include "socketio/recovery_int.h"

void sio_away_asked(struct sio_space *space, uint32_t loop)
{
	atomic_fetch_add_explicit(&space->loops[loop].aways_asked, 1, memory_order_release);
}

void sio_recoverable_forget(struct sio_recoverable *r)
{
	struct sio_loop *at = r->backlog->at;

	assert(r->socket == NULL && r->elsewhere == 0);
	sio_word_tell(r->space, r, net_loop_index(at->loop), 0);
	sio_recoverable_leave(r);
	list_push_back(&at->forgotten, &r->delay.node);
	net_defer(at->loop, &at->bury);
}

/* Of that id, if that is of this loop, else maybe another's; NULL: none here is away. */
static struct sio_recoverable *away_by_id(
	const struct sio_loop *at, const struct sio_space *space, struct sio_id id)
{
	const struct sio_backlog *b = sio_here(space, at)->backlog;

	return b == NULL ? NULL : sio_recoverable_by_id(b, id);
}

static void end(struct sio_recoverable *r)
{
	if (r->socket == NULL)
		sio_recoverable_forget(r);
	else
		r->ends = true; /* its handlers have not all been called: it will not be kept */
}

void sio_away_send(struct sio_loop *at, const struct sio_target *t)
{
	struct sio_space_loop *here = sio_here(t->space, at);

	here->aways_done++;
	if (t->only.generation != 0) {
		struct sio_recoverable *r = away_by_id(at, t->space, t->only);
		if (r != NULL && sio_target_was_for(t, r))
			end(r);
	} else if (here->backlog != NULL) /* else nobody has been here */
		(void)sio_backlog_add(here->backlog, t, (struct sio_offset){ 0 }, NULL);
}

bool sio_away_send_id(struct sio_loop *at, struct sio_space *space, struct sio_id id)
{
	struct sio_recoverable *r = away_by_id(at, space, id);

	sio_here(space, at)->aways_done++;
	if (r != NULL)
		end(r);
	return r != NULL;
}

void sio_away_bury(struct sio_loop *at)
{
	while (!list_empty(&at->forgotten))
		sio_recoverable_destroy(
			list_entry(list_take_first(&at->forgotten), struct sio_recoverable, delay.node));
}

bool sio_away_is_meant(const struct sio_past *p, const struct sio_recoverable *r)
{
	return p != NULL && p->unit == NULL && p->place > r->closed && sio_target_was_for(&p->target, r);
}

uint32_t sio_away_done(const struct sio_space *space, uint32_t loop)
{
	return space->loops[loop].aways_done;
}

bool sio_away_was_asked(const struct sio_space *space, uint32_t loop, uint32_t done)
{
	return atomic_load_explicit(&space->loops[loop].aways_asked, memory_order_acquire) != done;
}
