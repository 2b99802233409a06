/*
 * net/move.c -- handing a connection to another loop.
 *
 *      loop A: MOVING --after the flush--> off A's epoll --post--> loop B: on B's epoll, OPEN, `moved` is called
 *
 * The object itself travels: A does not touch it after the post. Bytes that come meanwhile wait in the kernel, and adding the
 * descriptor to B's epoll reports them.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/net_int.h"

struct move {
	struct net_message message;
	struct net_conn *conn;
	struct net_loop *to;
};

void net_conn_move(struct net_conn *c, uint32_t loop_index)
{
	if (c->broken && (c->state == NET_CONN_FLUSHING || c->state == NET_CONN_LINGERING))
		return; /* by what came that was no TLS: `closed` is to come */
	assert(c->state == NET_CONN_OPEN && (!c->blocked || c->tls != NULL));
	assert(loop_index < c->loop->pool->loop_count && loop_index != c->loop->index);
	c->state = NET_CONN_MOVING;
	c->move_to = (uint16_t)loop_index;
	c->blocked = false; /* by what is encrypted, which goes with it */
	c->shaking = false;
	net_delay_stop(&c->stall);
	net_task_cancel(&c->again);
	list_remove(&c->all);
	list_push_back(&c->loop->moving, &c->all);
}

/* What it has decrypted or encrypted makes no event here. */
static void take_up_encrypted(struct net_conn *c)
{
	(void)net_conn_await_handshake(c); /* a part of a later one may have come */
	c->unread = true;
	if (!c->paused)
		net_defer(c->loop, &c->again);
	if (net_tls_waiting(c->tls) > 0)
		net_conn_want_send(c);
}

static void arrive(struct net_loop *loop, struct net_message *message)
{
	struct net_conn *c = list_entry(message, struct move, message)->conn;
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = &c->source,
	};

	free(list_entry(message, struct move, message));
	assert(c->state == NET_CONN_MOVING);
	c->loop = loop;
	c->state = NET_CONN_OPEN;
	list_push_back(&loop->conns, &c->all);
	bool room = net_loop_make_room(loop);
	loop->conn_count++;
	loop->conns_held++;
	net_loop_arrived(loop);
	net_count(&loop->counts.moved, 1);
	bool too_late =
		loop->listeners_closed && !net_timer_running(&loop->stop_timer); /* all others were cut */
	if (!room || too_late || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) {
		net_conn_fail(c, ENOMEM);
		return;
	}
	if (c->tls != NULL)
		take_up_encrypted(c);
	c->ops->moved(c, c->ctx);
}

/* The pool is destroyed before it arrived. It belongs to no loop: where it came from may have been freed. */
static void discard(struct net_message *message)
{
	struct move *m = list_entry(message, struct move, message);
	struct net_conn *c = m->conn;
	struct net_pool *pool = m->to->pool;

	if (c->counted)
		net_addresses_leave(pool->addresses, &c->peer);
	atomic_fetch_sub_explicit(&pool->conns, 1, memory_order_relaxed);
	net_count(&m->to->counts.closed, 1);
	free(m);
	close(c->fd);
	c->ops->closed(c, c->ctx, ECANCELED);
	net_tls_destroy(c->tls);
	free(c);
}

/* It cannot go. */
static void fail_here(struct net_conn *c, int error)
{
	c->state = NET_CONN_OPEN;
	list_remove(&c->all);
	list_push_back(&c->loop->conns, &c->all);
	net_conn_fail(c, error);
}

static void depart(struct net_conn *c)
{
	struct net_loop *loop = c->loop, *to = loop->pool->loops[c->move_to];
	struct move *m = malloc(sizeof(*m));

	if (m == NULL) {
		fail_here(c, ENOMEM);
		return;
	}
	if (!net_loop_expect(to)) {
		free(m);
		fail_here(c, ECANCELED);
		return;
	}
	assert(!net_delay_running(&c->stall));
	*m = (struct move){
		.message = { .run = arrive, .discard = discard, .bytes = sizeof(*m) }, .conn = c, .to = to
	};
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	list_remove(&c->all);
	loop->conn_count--;
	loop->conns_held--;
	net_post_reserved(to, &m->message);
}

void net_moves_run(struct net_loop *loop)
{
	struct list *n = loop->moving.next;

	while (n != &loop->moving) {
		struct net_conn *c = list_entry(n, struct net_conn, all);

		n = n->next;
		if (!c->dirty) /* else the next flush takes it off the dirty list first */
			depart(c);
	}
}
