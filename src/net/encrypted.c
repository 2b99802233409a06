/*
 * net/encrypted.c -- a connection that speaks TLS (net/tls.h): what conn.c and flush.c do of a plain one, with what it has to do besides.
 *
 *      adopted --handshake, within NET_TLS_HANDSHAKE_MS--> open --gather, encrypt, send--> its end is told, then the kernel's
 *                        `---- what comes is no TLS ----------^---------------------------> an alert is told, likewise
 *
 * `sent` says of bytes that they are encrypted: at most a record of them waits here for the kernel, as if in its buffer, and counts as
 * not acknowledged.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "net/net_int.h"
#include "net/tls.h"

bool net_conn_encrypt(struct net_conn *c, struct net_tls_context *context)
{
	c->tls = net_tls_create(context);
	if (c->tls == NULL)
		return false;
	(void)net_conn_await_handshake(c);
	return true;
}

bool net_conn_await_handshake(struct net_conn *c)
{
	if (net_tls_open(c->tls))
		return false;
	if (!c->shaking)
		net_delay_start(&c->stall, &c->loop->handshakes, c->loop);
	c->shaking = true;
	return true;
}

bool net_conn_encrypted(const struct net_conn *c)
{
	return c->tls != NULL;
}

bool net_conn_handed_over(const struct net_conn *c)
{
	return c->tls == NULL || net_tls_waiting(c->tls) == 0;
}

void net_conn_handshake_late(struct net_delay *d, void *ctx)
{
	struct net_loop *loop = ctx;
	struct net_conn *c = list_entry(d, struct net_conn, stall);

	if (!c->broken)
		net_count(&loop->counts.tls_failed, 1);
	net_conn_fail(c, ETIMEDOUT);
}

/* It has just become what it was not, as reading has moved the handshake on. */
static void opened(struct net_conn *c)
{
	if (!c->blocked)
		net_delay_stop(&c->stall);
	else if (c->shaking)
		net_conn_watch_stall(c);
	c->shaking = false;
	net_conn_want_send(c); /* its owner has been asked for output in vain */
}

/* What came is no TLS. Its owner is told of the end, as of a connection that was reset, when the peer has had time to read why. */
static void give_up(struct net_conn *c)
{
	if (!c->broken)
		net_count(&c->loop->counts.tls_failed, 1);
	c->broken = true;
	if (c->state == NET_CONN_OPEN)
		net_conn_finish(c);
}

ssize_t net_conn_decrypt(struct net_conn *c)
{
	bool was_open = net_tls_open(c->tls);
	ssize_t n = net_tls_recv(c->tls, c->fd, c->loop->recv, NET_RECV_BYTES);

	if (!was_open && net_tls_open(c->tls))
		opened(c);
	else if (was_open && !c->blocked)
		(void)net_conn_await_handshake(c); /* a part of what would begin it anew, or renews keys */
	if (net_tls_waiting(c->tls) > 0)
		net_conn_want_send(c);
	if (n > 0 && !net_tls_unread(c->tls) && !c->hung_up)
		c->unread = false;
	if (n != -EPROTO)
		return n;
	give_up(c);
	c->unread = false;
	return -EAGAIN;
}

/* False: no more goes now, or ever. */
static bool push(struct net_conn *c)
{
	size_t before = net_tls_waiting(c->tls);
	int rc = before == 0 ? 0 : net_tls_send(c->tls, c->fd);

	net_count(&c->loop->counts.bytes_out, before - net_tls_waiting(c->tls));
	if (rc == -EAGAIN) {
		c->blocked = true;
		if (net_tls_open(c->tls)) /* else the handshake's deadline is running */
			net_conn_watch_stall(c);
	} else if (rc < 0) {
		net_conn_fail(c, -rc);
	}
	return rc == 0;
}

void net_conn_farewell_late(struct net_delay *d, void *loop)
{
	struct net_conn *c = list_entry(d, struct net_conn, stall);

	(void)loop;
	c->answers_end = true;
	net_conn_want_send(c);
}

/*
 * Nothing more is to come from its owner: say so, then end our side. To a peer that has closed altogether nothing may be said any more,
 * or it would answer by a reset, and nobody could tell whether it had all. Its kernel tells of that right behind TLS.
 */
static void end(struct net_conn *c)
{
	bool is_told = c->peer_ended && !c->answers_end && !net_tls_over(c->tls);

	if (is_told && !c->hung_up) {
		if (!net_delay_running(&c->stall))
			net_delay_start(&c->stall, &c->loop->farewells, c->loop);
		return;
	}
	if (!is_told)
		net_tls_end(c->tls);
	if (!push(c))
		return;
	/* The peer may have said that it sends no more; whether its kernel has ended is not known yet. */
	c->peer_ended = false;
	c->unread = true;
	net_conn_end_output(c);
}

static void send_gathered(struct net_conn *c, const struct net_gather *g)
{
	ssize_t taken = net_tls_encrypt(c->tls, g->iov, g->count, c->loop->record);

	if (taken < 0) {
		net_conn_fail(c, (int)-taken);
		return;
	}
	c->answers_end = c->peer_ended;
	bool pushed = push(c);
	if (c->state >= NET_CONN_LINGERING)
		return;
	c->ops->sent(c, c->ctx, (size_t)taken);
	if (pushed && (g->more || (size_t)taken < g->bytes || c->state == NET_CONN_FLUSHING))
		net_conn_want_send(c);
}

void net_conn_flush_encrypted(struct net_conn *c)
{
	struct net_loop *loop = c->loop;
	struct net_gather g = { .iov = loop->iov, .max = NET_SEND_IOV_MAX, .bundle = &loop->bundle };

	c->dirty = false;
	if (c->blocked || c->state >= NET_CONN_LINGERING || !push(c))
		return;
	if (net_tls_over(c->tls)) {
		end(c);
		return;
	}
	if (!net_tls_open(c->tls)) {
		if (c->state == NET_CONN_FLUSHING)
			net_conn_fail(c, EPROTO);
		return;
	}
	c->ops->gather(c, c->ctx, &g);
	if (g.count > 0)
		send_gathered(c, &g);
	else if (c->state == NET_CONN_FLUSHING)
		end(c);
}
