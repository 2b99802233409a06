/*
 * net/flush.c -- once an iteration: every dirty connection is asked for its output, and a batch of them sent together.
 *
 *      dirty: [c1 c2 c3 ...]  --gather-->  sends: [c1: iov iov][c2: iov]...  --batch-->  results --sent-->
 */
#include <errno.h>

#include "base/assert.h"
#include "net/net_int.h"

void net_conn_want_send(struct net_conn *c)
{
	struct net_loop *loop = c->loop;

	if (c->dirty || c->blocked || c->state >= NET_CONN_LINGERING)
		return;
	assert(loop->dirty_count < loop->dirty_cap);
	c->dirty = true;
	loop->dirty[loop->dirty_count++] = c;
}

/* Returns the bytes that went. */
static size_t finish_send(struct net_conn *c, const struct net_send *s, bool more)
{
	if (c->state >= NET_CONN_LINGERING)
		return 0;
	if (s->result < 0 && s->result != -EAGAIN) {
		net_conn_fail(c, (int)-s->result);
		return 0;
	}
	size_t sent = s->result < 0 ? 0 : (size_t)s->result;
	assert(sent <= s->bytes);
	if (sent < s->bytes) {
		c->blocked = true;
		net_conn_watch_stall(c);
	}
	if (sent > 0)
		c->ops->sent(c, c->ctx, sent);
	/* While flushing, gather is asked until it gives nothing: then our side ends. */
	if (sent == s->bytes && (more || c->state == NET_CONN_FLUSHING))
		net_conn_want_send(c);
	return sent;
}

/* The next batch makes its own. */
static void reset_bundle(struct net_loop *loop)
{
	loop->bundle.count = 0;
	loop->bundle.room = loop->bundles;
	loop->bundle.room_bytes = sizeof(loop->bundles);
}

static void send_batch(struct net_loop *loop, uint32_t count)
{
	uint64_t sent = 0;

	if (count == 0)
		return;
	loop->sender->ops->batch(loop->sender, loop->sends, count);
	for (uint32_t i = 0; i < count; i++)
		sent += finish_send(loop->sends_conn[i], &loop->sends[i], loop->sends_more[i]);
	net_count(&loop->counts.bytes_out, sent);
	reset_bundle(loop);
}

/* Ask one connection; true if it has something for the batch, at entry `at`. */
static bool gather_one(struct net_loop *loop, struct net_conn *c, uint32_t at, uint32_t iov_used)
{
	struct net_gather g = {
		.iov = loop->iov + iov_used, .max = NET_SEND_IOV_MAX, .bundle = &loop->bundle
	};

	c->dirty = false;
	if (c->blocked || c->state >= NET_CONN_LINGERING)
		return false;
	c->ops->gather(c, c->ctx, &g);
	if (g.count == 0) {
		if (c->state == NET_CONN_FLUSHING)
			net_conn_end_output(c);
		return false;
	}
	loop->sends[at] =
		(struct net_send){ .fd = c->fd, .iov = g.iov, .iov_count = g.count, .bytes = g.bytes };
	loop->sends_conn[at] = c;
	loop->sends_more[at] = g.more;
	return true;
}

/* Not in a batch: its turn comes behind it. Apart, as it is rare: the usual case then saves no registers for it. */
static __attribute__((noinline)) void put_behind(struct net_loop *loop, struct net_conn *c)
{
	loop->dirty[loop->dirty_encrypted++] = c;
}

static __attribute__((noinline)) void flush_encrypted(struct net_loop *loop)
{
	for (uint32_t i = 0; i < loop->dirty_encrypted; i++) {
		reset_bundle(loop); /* the last one's messages may have gone, and others be where they were */
		net_conn_flush_encrypted(loop->dirty[i]);
	}
	loop->dirty_encrypted = 0;
}

/* Each dirty connection once. Those marked meanwhile are left for the next pass. */
static void flush_pass(struct net_loop *loop)
{
	uint32_t dirty = loop->dirty_count, batch = 0, iov_used = 0;

	reset_bundle(loop);
	for (uint32_t i = 0; i < dirty; i++) {
		if (__builtin_expect(loop->dirty[i]->tls != NULL, false)) {
			put_behind(loop, loop->dirty[i]);
			continue;
		}
		if (gather_one(loop, loop->dirty[i], batch, iov_used))
			iov_used += loop->sends[batch++].iov_count;
		if (batch == NET_SEND_BATCH_MAX || iov_used + NET_SEND_IOV_MAX > NET_IOV_POOL) {
			send_batch(loop, batch);
			batch = iov_used = 0;
		}
	}
	send_batch(loop, batch);
	if (loop->dirty_encrypted > 0)
		flush_encrypted(loop);
	uint32_t left = loop->dirty_count - dirty;
	for (uint32_t i = 0; i < left; i++)
		loop->dirty[i] = loop->dirty[dirty + i];
	loop->dirty_count = left;
}

void net_flush(struct net_loop *loop)
{
	if (loop->dirty_count == 0)
		return;
	/* Whoever has more than one send takes has it sent at once, or small answers would come slower than their questions. */
	for (uint32_t pass = 0; pass < NET_FLUSH_PASSES_MAX && loop->dirty_count > 0; pass++)
		flush_pass(loop);
	net_count(&loop->counts.flushes, 1);
}
