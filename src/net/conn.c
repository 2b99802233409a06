/* net/conn.c -- see net/conn.h. Opening, receiving and closing; flush.c sends, move.c hands over. */
#include "net/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/net_int.h"

static struct net_conn *conn_of(struct net_source *source)
{
	return list_entry(source, struct net_conn, source);
}

static void read_turn(struct net_conn *c);

/* Both sides have ended. What is not known yet comes as an event. */
static void take_both_ends(struct net_conn *c)
{
	enum net_fate fate = net_conn_fate(c);

	if (fate != NET_FATE_ENDING)
		net_conn_fail(c, fate == NET_FATE_LOST ? ECONNRESET : 0);
}

static void read_again(struct net_task *task)
{
	struct net_conn *c = list_entry(task, struct net_conn, again);

	if (c->state == NET_CONN_LINGERING && c->peer_ended)
		take_both_ends(c);
	else
		read_turn(c);
}

/* The dirty list must take every connection twice: once being flushed, once marked anew meanwhile. */
bool net_loop_make_room(struct net_loop *loop)
{
	if ((loop->conns_held + 1) * 2 <= loop->dirty_cap)
		return true;
	uint32_t cap = loop->dirty_cap == 0 ? 64 : loop->dirty_cap * 2;
	struct net_conn **bigger = realloc(loop->dirty, cap * sizeof(struct net_conn *));
	if (bigger == NULL)
		return false;
	loop->dirty = bigger;
	loop->dirty_cap = cap;
	return true;
}

struct net_conn *net_conn_adopt(struct net_loop *loop, int fd, const union net_address *peer, bool counted)
{
	struct net_conn *c = calloc(1, sizeof(*c));

	if (c == NULL || !net_loop_make_room(loop)) {
		free(c);
		return NULL;
	}
	c->source.ready = net_conn_ready;
	c->loop = loop;
	c->fd = fd;
	c->state = NET_CONN_OPEN;
	c->counted = counted;
	c->peer = net_peer_of(peer);
	net_delay_init(&c->stall);
	net_task_init(&c->again, read_again);
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = &c->source,
	};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		free(c);
		return NULL;
	}
	list_init(&c->all);
	list_push_back(&loop->conns, &c->all);
	loop->conn_count++;
	loop->conns_held++;
	return c;
}

void net_conn_set_ops(struct net_conn *c, const struct net_conn_ops *ops, void *ctx)
{
	assert(c->state != NET_CONN_CLOSED);
	c->ops = ops;
	c->ctx = ctx;
}

struct net_loop *net_conn_loop(const struct net_conn *c)
{
	return c->loop;
}

bool net_conn_blocked(const struct net_conn *c)
{
	return c->blocked;
}

struct net_peer net_conn_peer(const struct net_conn *c)
{
	return c->peer;
}

/* The peer's end, an error or nothing more to read. False: stop reading. */
static bool take_received(struct net_conn *c, ssize_t n)
{
	if (n > 0) {
		net_count(&c->loop->counts.bytes_in, (uint64_t)n);
		if (c->state == NET_CONN_OPEN)
			c->ops->data(c, c->ctx, c->loop->recv, (size_t)n);
		return true;
	}
	c->unread = false;
	if (n == 0) {
		c->peer_ended = true;
		if (c->broken || c->state == NET_CONN_LINGERING)
			take_both_ends(c);
		else if (c->state == NET_CONN_OPEN)
			c->ops->ended(c, c->ctx);
	} else if (n != -EAGAIN) {
		net_conn_fail(c, (int)-n);
	}
	return false;
}

/* Whether the kernel has more is known as far as `unread` says. */
static ssize_t receive(struct net_conn *c)
{
	ssize_t n;

	if (c->tls != NULL && c->state != NET_CONN_LINGERING)
		return net_conn_decrypt(c);
	do
		n = recv(c->fd, c->loop->recv, NET_RECV_BYTES, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	/* A short read has emptied the socket; what comes later makes an edge of its own. */
	if (n > 0 && n < NET_RECV_BYTES && !c->hung_up)
		c->unread = false;
	return n < 0 ? -errno : n;
}

/* One read: who sends more has another turn in the next iteration, after others. */
static void read_turn(struct net_conn *c)
{
	while (c->unread && !c->paused && !c->peer_ended && c->state < NET_CONN_MOVING) {
		ssize_t n = receive(c);

		if (n == -EBUSY) {
			net_defer_next(c->loop, &c->again);
			return;
		}
		if (!take_received(c, n))
			return;
		if (n < NET_RECV_BYTES && c->tls == NULL)
			continue;
		if (c->unread &&
			c->state < NET_CONN_MOVING) /* its owner may have closed it, or handed it over */
			net_defer_next(c->loop, &c->again);
		return;
	}
}

/* The peer's kernel has ended, or reset. */
static void hang_up(struct net_conn *c)
{
	c->hung_up = true;
	if (c->tls != NULL && c->state == NET_CONN_FLUSHING)
		net_conn_want_send(c); /* it may have waited for that */
}

void net_conn_ready(struct net_source *source, uint32_t events)
{
	struct net_conn *c = conn_of(source);

	if (c->state >= NET_CONN_MOVING)
		return;
	if ((events & EPOLLOUT) && c->blocked) {
		c->blocked = false;
		if (c->tls == NULL || !net_conn_await_handshake(c))
			net_delay_stop(&c->stall);
		net_conn_want_send(c);
	}
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		hang_up(c);
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->unread = true;
	if (c->paused && (events & EPOLLERR)) {
		int error = ECONNRESET;
		socklen_t bytes = sizeof(error);
		(void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
		net_conn_fail(c, error == 0 ? ECONNRESET : error);
		return;
	}
	if (c->state == NET_CONN_LINGERING && c->peer_ended)
		take_both_ends(c);
	else
		read_turn(c);
}

void net_conn_pause(struct net_conn *c)
{
	c->paused = true;
}

void net_conn_resume(struct net_conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	if (c->unread && c->state < NET_CONN_MOVING)
		net_defer(c->loop, &c->again);
}

void net_conn_lend(struct net_conn *c, uint8_t *data, size_t bytes)
{
	if (bytes > 0 && c->state == NET_CONN_OPEN)
		c->ops->data(c, c->ctx, data, bytes);
}

void net_conn_detach(struct net_conn *c)
{
	struct net_loop *loop = c->loop;

	assert(c->state != NET_CONN_CLOSED);
	c->state = NET_CONN_CLOSED;
	net_delay_stop(&c->stall);
	net_task_cancel(&c->again);
	list_remove(&c->all);
	list_push_back(&loop->dead, &c->all);
	if (c->counted)
		net_addresses_leave(loop->pool->addresses, &c->peer);
	loop->conn_count--;
	atomic_fetch_sub_explicit(&loop->pool->conns, 1, memory_order_relaxed);
	net_count(&loop->counts.closed, 1);
}

void net_conn_close(struct net_conn *c)
{
	if (c->state != NET_CONN_CLOSED)
		net_conn_detach(c);
}

void net_conn_fail(struct net_conn *c, int error)
{
	if (c->state == NET_CONN_CLOSED)
		return;
	net_conn_detach(c);
	if (c->ops != NULL)
		c->ops->closed(c, c->ctx, error);
}

void net_conn_finish(struct net_conn *c)
{
	if (c->state != NET_CONN_OPEN)
		return;
	c->state = NET_CONN_FLUSHING;
	net_conn_resume(c);
	net_conn_want_send(c);
}

void net_conn_end_output(struct net_conn *c)
{
	assert(c->state == NET_CONN_FLUSHING);
	c->state = NET_CONN_LINGERING;
	if (shutdown(c->fd, SHUT_WR) != 0)
		c->peer_ended = true; /* it has gone */
	net_delay_start(&c->stall, &c->loop->lingers, c->loop);
	if (c->unread || c->peer_ended)
		net_defer(c->loop, &c->again);
}

/* Bytes that the peer's kernel has not acknowledged, or our kernel not taken of what is encrypted; our end counts for one. */
uint32_t net_conn_unacked(const struct net_conn *c)
{
	int unacked = 0;

	if (ioctl(c->fd, SIOCOUTQ, &unacked) != 0)
		return UINT32_MAX;
	return (uint32_t)unacked + (c->tls == NULL ? 0 : (uint32_t)net_tls_waiting(c->tls));
}

void net_conn_watch_stall(struct net_conn *c)
{
	c->stalled = 0;
	c->unacked = net_conn_unacked(c);
	net_delay_start(&c->stall, &c->loop->stalls, c->loop);
}

/* The kernel calls it writable only when much of its buffer is free: who reads slowly is not who reads nothing. */
void net_conn_stalled(struct net_delay *d, void *ctx)
{
	struct net_conn *c = list_entry(d, struct net_conn, stall);
	struct net_loop *loop = ctx;
	uint32_t unacked = net_conn_unacked(c);

	if ((uint64_t)unacked + NET_SEND_STALL_BYTES <= c->unacked) {
		c->unacked = unacked;
		c->stalled = 0;
	} else if (++c->stalled == NET_SEND_STALL_MS / NET_SEND_STALL_STEP_MS) {
		net_count(&loop->counts.cut, 1);
		net_conn_fail(c, ETIMEDOUT);
		return;
	}
	net_delay_start(d, &loop->stalls, loop);
}

void net_conn_lingered(struct net_delay *d, void *loop)
{
	struct net_conn *c = list_entry(d, struct net_conn, stall);

	bool acked = net_conn_fate(c) == NET_FATE_ACKED;

	(void)loop;
	net_count(&c->loop->counts.cut, 1);
	net_conn_fail(c, acked ? 0 : ETIMEDOUT);
}

void net_conns_cut_all(struct net_loop *loop)
{
	while (!list_empty(&loop->conns))
		net_conn_fail(list_entry(loop->conns.next, struct net_conn, all), ECANCELED);
}

void net_conns_free_dead(struct net_loop *loop)
{
	struct list *n = loop->dead.next;

	while (n != &loop->dead) {
		struct net_conn *c = list_entry(n, struct net_conn, all);

		n = n->next;
		if (c->dirty) /* the next flush takes it off the dirty list */
			continue;
		list_remove(&c->all);
		close(c->fd);
		net_tls_destroy(c->tls);
		free(c);
		loop->conns_held--;
	}
}

enum net_fate net_conn_fate(struct net_conn *c)
{
	struct tcp_info info;
	socklen_t bytes = sizeof(info), error_bytes = sizeof(int);
	int error = 0;

	/* A reset is told once, here or by the next read: remember it. */
	if (c->state == NET_CONN_CLOSED ||
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0 || error != 0 ||
		getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0)
		c->broken = true;
	if (c->broken)
		return NET_FATE_LOST;
	switch (info.tcpi_state) {
	case TCP_ESTABLISHED:
		if (c->peer_ended) /* so TLS has told; its kernel is to follow, or to reset */
			return NET_FATE_ENDING;
		return net_conn_unacked(c) == 0 ? NET_FATE_ACKED : NET_FATE_OPEN;
	case TCP_CLOSE_WAIT:
		return net_conn_unacked(c) == 0 ? NET_FATE_ENDED : NET_FATE_ENDING;
	case TCP_FIN_WAIT1:
		return NET_FATE_OPEN;
	case TCP_FIN_WAIT2:
		return NET_FATE_ACKED;
	case TCP_CLOSE: /* by a reset, or with all acknowledged */
		return net_conn_unacked(c) <= 1 ? NET_FATE_ENDED : NET_FATE_LOST;
	default: /* both sides have ended */
		return net_conn_unacked(c) <= 1 ? NET_FATE_ENDED : NET_FATE_ENDING;
	}
}
