/*
 * socketio/away.c -- who is sent away while its connection is broken: it does not come back as who it was.
 *
 *      ENDING, KEPT: of this loop, by what it was when it left --> `ends`, or out of all tables and to loop->forgotten --> bury
 *      on its way to another loop: what has been asked of the loop that gave it is counted, and what that loop had done by then
 *
 * What is kept with an identity is destroyed at the end of the iteration's callbacks, as with sockets: who sends it away may hold a lock.
 */
#include "base/assert.h"
#include "socketio/recovery_int.h"

void sio_away_asked(struct sio_space *space, uint32_t loop)
{
	atomic_fetch_add_explicit(&space->loops[loop].aways_asked, 1, memory_order_release);
}

/* It has no tables any more, and no one finds it. */
static void forget(struct sio_recoverable *r)
{
	struct sio_loop *at = r->backlog->at;

	assert(r->socket == NULL && r->elsewhere == 0);
	sio_word_tell(r->space, r, net_loop_index(at->loop), 0);
	sio_recoverable_leave(r);
	list_push_back(&at->forgotten, &r->delay.node);
	net_defer(at->loop, &at->bury);
}

/* Its handlers have not all been called: it will not be kept. */
static bool forget_ending(struct sio_socket *s, const struct sio_target *t)
{
	struct sio_recoverable *r = s->recoverable;

	if (r == NULL || r->ends || s->space != t->space || !sio_target_was_for(t, r))
		return false;
	r->ends = true;
	return true;
}

void sio_away_forget(struct sio_loop *at, const struct sio_target *t)
{
	struct list *next;

	if (t->only.generation != 0) {
		(void)sio_away_forget_id(at, t->space, t->only);
		return;
	}
	sio_here(t->space, at)->aways_done++;
	for (struct list *n = at->keeps.delays.next; n != &at->keeps.delays; n = next) {
		struct sio_recoverable *r = list_entry(n, struct sio_recoverable, delay.node);

		next = n->next;
		if (r->space == t->space && sio_target_was_for(t, r))
			forget(r);
	}
	for (struct list *n = at->dead_sockets.next; n != &at->dead_sockets; n = n->next)
		(void)forget_ending(list_entry(n, struct sio_socket, in_client), t);
	if (at->burying != NULL)
		(void)forget_ending(at->burying, t);
}

bool sio_away_forget_id(struct sio_loop *at, struct sio_space *space, struct sio_id id)
{
	struct sio_space_loop *here = sio_here(space, at);
	struct sio_recoverable *r = here->backlog == NULL ? NULL : sio_recoverable_by_id(here->backlog, id);

	here->aways_done++;
	if (r == NULL)
		return false;
	if (r->socket == NULL)
		forget(r);
	else
		r->ends = true;
	return true;
}

void sio_away_bury(struct sio_loop *at)
{
	while (!list_empty(&at->forgotten))
		sio_recoverable_destroy(
			list_entry(list_take_first(&at->forgotten), struct sio_recoverable, delay.node));
}

uint32_t sio_away_done(const struct sio_space *space, uint32_t loop)
{
	return space->loops[loop].aways_done;
}

bool sio_away_was_asked(const struct sio_space *space, uint32_t loop, uint32_t done)
{
	return atomic_load_explicit(&space->loops[loop].aways_asked, memory_order_acquire) != done;
}
