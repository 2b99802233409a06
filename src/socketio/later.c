/*
 * socketio/later.c -- what is not done at once: handed to another loop, or put off on this one; and sio_with().
 *
 *      another thread:     post --> run there
 *      the loop's own:     [ with | emit | with | answer ] --end of the callbacks--> run
 *
 * A function that was asked for on a loop's own thread runs after the call has returned. What the same thread emits behind that
 * call must stay behind it, so while the list is not empty emits and answers to this loop's clients join it. What runs from the
 * list may emit: that goes at once, and so comes before what is still in the list.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "socketio/server_int.h"

bool sio_is_closed(const struct sio_server *server)
{
	return net_loop_closed(net_pool_loop(server->pool, 0)); /* the first of them */
}

static void put_off_reserved(struct sio_loop *here, struct net_message *m)
{
	struct sio_later *later = &here->later;

	m->node.next = NULL;
	if (later->last == NULL)
		later->first = &m->node;
	else
		later->last->next = &m->node;
	later->last = &m->node;
	later->bytes += m->bytes;
	net_defer(here->loop, &later->task);
}

static bool put_off(struct sio_loop *here, struct net_message *m)
{
	const struct sio_later *later = &here->later;

	/* The bound of what others may post, and one message always fits, as there. */
	if (later->bytes > 0 && later->bytes + m->bytes > NET_POST_BYTES_MAX)
		return false;
	put_off_reserved(here, m);
	return true;
}

bool sio_hand_over(struct sio_server *server, uint32_t loop, struct net_message *m)
{
	struct sio_loop *here = sio_loop_here(server);

	if (here != NULL && net_loop_index(here->loop) == loop)
		return put_off(here, m);
	return net_post(net_pool_loop(server->pool, loop), m);
}

void sio_hand_over_reserved(struct sio_server *server, uint32_t loop, struct net_message *m)
{
	struct sio_loop *here = sio_loop_here(server);

	if (here != NULL && net_loop_index(here->loop) == loop)
		put_off_reserved(here, m);
	else
		net_post_reserved(net_pool_loop(server->pool, loop), m);
}

void sio_later_run(struct net_task *task)
{
	struct sio_loop *here = list_entry(task, struct sio_loop, later.task);
	struct pile_node *node = here->later.first;

	/* What is put off from now on has its turn in the next iteration. */
	here->later.first = here->later.last = NULL;
	here->later.bytes = 0;
	while (node != NULL) {
		struct net_message *m = pile_entry(node, struct net_message, node);

		node = node->next;
		m->run(here->loop, m);
	}
}

struct posted_with {
	struct net_message message;
	struct sio_space *space;
	struct sio_id id;
	sio_with_fn *fn;
	void *ctx;
};

static void with_run(struct net_loop *loop, struct net_message *message)
{
	struct posted_with *p = list_entry(message, struct posted_with, message);
	const struct sio_loop *at = &p->space->server->loops[net_loop_index(loop)];
	/* Who has not joined yet is found too. Nobody's id has generation 0. */
	struct sio_socket *s = p->id.loop == net_loop_index(loop)
				       ? slots_get(&at->sockets, p->id.slot, p->id.generation)
				       : NULL;

	p->fn(s == NULL || s->space != p->space ? NULL : s, p->ctx);
	free(p);
}

static void with_discard(struct net_message *message)
{
	struct posted_with *p = list_entry(message, struct posted_with, message);

	p->fn(NULL, p->ctx);
	free(p);
}

int sio_with(struct sio_space *space, struct sio_id id, sio_with_fn *fn, void *ctx)
{
	if (space == NULL)
		return -EINVAL;
	struct sio_server *server = space->server;
	struct posted_with *p = malloc(sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct posted_with){
		.message = { .run = with_run, .discard = with_discard, .bytes = sizeof(*p) },
		.space = space,
		.id = id,
		.fn = fn,
		.ctx = ctx,
	};
	/* Nobody's loop is as good as any. */
	if (sio_hand_over(server, id.loop < server->loop_count ? id.loop : 0, &p->message))
		return 0;
	free(p);
	return -ENOBUFS;
}
