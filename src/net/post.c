/*
 * net/post.c -- what crosses threads: a pile (base/pile.h) that anyone pushes on and the loop takes whole.
 *
 * The loop is woken only by the push that found the pile empty. What it took it runs in turns, one in an iteration, so that
 * what a turn caused is sent before the next. Turns grow with what was taken: a loop that only ran so many would fall behind
 * for ever where others post more in its iterations.
 */
#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/net_int.h"

void net_posts_init(struct net_loop *loop)
{
	pile_init(&loop->posted);
	atomic_init(&loop->posted_bytes, 0);
	atomic_init(&loop->overrun, false);
	atomic_init(&loop->ended, false);
	atomic_init(&loop->arriving, NET_LOOP_LEFT);
}

/* Also from a signal handler. */
void net_wake(struct net_loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	/* It fails only when the counter is full, and then the loop is awake. */
	ssize_t wrote = write(loop->wake_fd, &one, sizeof(one));
	(void)wrote;
	errno = saved;
}

static void push(struct net_loop *loop, struct net_message *m)
{
	if (pile_push(&loop->posted, &m->node))
		net_wake(loop);
}

void net_post_reserved(struct net_loop *loop, struct net_message *m)
{
	assert(m->bytes >= sizeof(*m) && m->run != NULL && m->discard != NULL);
	if (atomic_load_explicit(&loop->ended, memory_order_relaxed)) {
		m->discard(m);
		return;
	}
	atomic_fetch_add_explicit(&loop->posted_bytes, m->bytes, memory_order_relaxed);
	push(loop, m);
}

bool net_post(struct net_loop *loop, struct net_message *m)
{
	assert(m->bytes >= sizeof(*m) && m->run != NULL && m->discard != NULL);
	size_t before = atomic_fetch_add_explicit(&loop->posted_bytes, m->bytes, memory_order_relaxed);

	/* One message always fits, however large. */
	bool ended = atomic_load_explicit(&loop->ended, memory_order_relaxed);
	if (ended || (before != 0 && before + m->bytes > NET_POST_BYTES_MAX)) {
		atomic_fetch_sub_explicit(&loop->posted_bytes, m->bytes, memory_order_relaxed);
		atomic_fetch_add_explicit(&loop->counts.posts_refused, 1, memory_order_relaxed);
		return false;
	}
	push(loop, m);
	return true;
}

void net_overrun(struct net_loop *loop)
{
	if (!atomic_exchange_explicit(&loop->overrun, true, memory_order_acq_rel))
		net_wake(loop);
}

static void run_turn(struct net_loop *loop)
{
	for (uint32_t i = 0; i < loop->turn && loop->taken != NULL; i++) {
		struct net_message *m = pile_entry(loop->taken, struct net_message, node);

		loop->taken = loop->taken->next;
		atomic_fetch_sub_explicit(&loop->posted_bytes, m->bytes, memory_order_relaxed);
		m->run(loop, m);
	}
}

/* Whatever has been posted since the last time is newer than what is left of that. */
static void take_more(struct net_loop *loop)
{
	uint32_t count;

	if (loop->taken != NULL)
		return;
	loop->taken = pile_take(&loop->posted, &count);
	loop->takes++;
	loop->turn = (count + NET_POST_TURNS_MAX - 1) / NET_POST_TURNS_MAX;
	if (loop->turn < NET_POST_TURN)
		loop->turn = NET_POST_TURN;
}

void net_posts_run(struct net_loop *loop)
{
	take_more(loop);
	run_turn(loop);
	if (atomic_exchange_explicit(&loop->overrun, false, memory_order_acq_rel) &&
		loop->pool->options.overrun)
		loop->pool->options.overrun(loop, loop->pool->options.ctx);
}

bool net_posts_caught_up(struct net_loop *loop)
{
	if (loop->last_take == 0)
		loop->last_take = loop->takes + 1;
	return loop->taken == NULL && loop->takes >= loop->last_take;
}

bool net_loop_closed(const struct net_loop *loop)
{
	return atomic_load_explicit(&loop->ended, memory_order_relaxed);
}

void net_posts_discard(struct net_loop *loop)
{
	uint32_t count;
	struct pile_node *node = pile_take(&loop->posted, &count);

	assert(loop->taken == NULL); /* no loop ends before it has run those */
	while (node != NULL) {
		struct net_message *m = pile_entry(node, struct net_message, node);

		node = node->next;
		m->discard(m);
	}
}
