/*
 * socketio/away.c -- who is sent away while its connection is broken: it does not come back as who it was.
 *
 *      ENDING, KEPT: of this loop, by what it was when it left --> `ends`, or out of all tables and to loop->forgotten --> bury
 *      on its way to another loop: what has been asked of the loop that gave it is counted, and what that loop had done by then
 *      with all its namespaces: the identities of one connection share a `kin`, which is asked when one of them comes back
 *
 * What is kept with an identity is destroyed at the end of the iteration's callbacks, as with sockets: who sends it away may hold a lock.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "socketio/recovery_int.h"

struct sio_kin *sio_kin_of(const struct sio_client *c)
{
	for (const struct list *n = c->sockets.next; n != &c->sockets; n = n->next) {
		const struct sio_recoverable *r =
			list_entry((struct list *)(uintptr_t)n, struct sio_socket, in_client)->recoverable;

		if (r == NULL)
			continue;
		atomic_fetch_add_explicit(&r->kin->refs, 1, memory_order_relaxed);
		return r->kin;
	}
	struct sio_kin *kin = malloc(sizeof(*kin));
	if (kin == NULL)
		return NULL;
	atomic_init(&kin->refs, 1);
	atomic_init(&kin->sent_away, false);
	return kin;
}

void sio_kin_unref(struct sio_kin *kin)
{
	if (kin != NULL && atomic_fetch_sub_explicit(&kin->refs, 1, memory_order_acq_rel) == 1)
		free(kin);
}

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

static void send_away(struct sio_recoverable *r, enum sio_way way)
{
	if (way == SIO_AWAY_ALL)
		atomic_store_explicit(&r->kin->sent_away, true, memory_order_relaxed);
	if (r->socket == NULL)
		sio_recoverable_forget(r);
	else
		r->ends = true; /* its handlers have not all been called: it will not be kept */
}

struct going {
	const struct sio_target *target;
	enum sio_way way;
};

static void send_away_leaving(struct sio_socket *s, void *ctx)
{
	const struct going *g = ctx;

	if (s->space == g->target->space && s->recoverable != NULL &&
		sio_target_was_for(g->target, s->recoverable))
		send_away(s->recoverable, g->way);
}

void sio_away_send(struct sio_loop *at, const struct sio_target *t, enum sio_way way)
{
	struct sio_space_loop *here = sio_here(t->space, at);
	struct going going = { .target = t, .way = way };
	struct list *next;

	if (t->only.generation != 0) {
		(void)sio_away_send_id(at, t->space, t->only, way);
		return;
	}
	here->aways_done++;
	if (here->backlog == NULL)
		return;
	for (struct list *n = here->backlog->kept.next; n != &here->backlog->kept; n = next) {
		struct sio_recoverable *r = list_entry(n, struct sio_recoverable, kept_node);

		next = n->next;
		if (sio_target_was_for(t, r))
			send_away(r, way);
	}
	sio_visit_leaving(at, t, send_away_leaving, &going);
	if (at->burying != NULL) /* it may have left its rooms */
		send_away_leaving(at->burying, &going);
}

bool sio_away_send_id(struct sio_loop *at, struct sio_space *space, struct sio_id id, enum sio_way way)
{
	struct sio_space_loop *here = sio_here(space, at);
	bool mine = id.loop == net_loop_index(at->loop) && here->backlog != NULL;
	struct sio_recoverable *r = mine ? sio_recoverable_by_id(here->backlog, id) : NULL;

	here->aways_done++;
	if (r != NULL)
		send_away(r, way);
	return r != NULL;
}

void sio_away_bury(struct sio_loop *at)
{
	while (!list_empty(&at->forgotten))
		sio_recoverable_destroy(
			list_entry(list_take_first(&at->forgotten), struct sio_recoverable, delay.node));
}

bool sio_away_is(const struct sio_recoverable *r)
{
	return atomic_load_explicit(&r->kin->sent_away, memory_order_relaxed);
}

uint32_t sio_away_done(const struct sio_space *space, uint32_t loop)
{
	return space->loops[loop].aways_done;
}

bool sio_away_was_asked(const struct sio_space *space, uint32_t loop, uint32_t done)
{
	return atomic_load_explicit(&space->loops[loop].aways_asked, memory_order_acquire) != done;
}
