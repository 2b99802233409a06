/*
 * tests/unit/net/side.h -- the server's side of a connection for tests: what came, what is to go, which calls were made;
 * and hooks, by which a test has it do something within each callback.
 *
 * A side belongs to its connection's loop. The test's thread reads the atomic figures, and all else by harness_call() or
 * after `closed`. Bytes are told apart by where they stand in their stream: side_byte().
 */
#ifndef TESTS_UNIT_NET_SIDE_H
#define TESTS_UNIT_NET_SIDE_H

#include <stdatomic.h>

#include "harness.h"

enum {
	SIDES_MAX = 600,
	SIDE_PIECE_BYTES = 1000, /* of what gather gives at once */
	SIDE_OUT_BYTES_MAX = 8 << 20,
};

struct side;
typedef void side_hook_fn(struct side *);

struct side_hooks {
	side_hook_fn *accepted, *data, *ended, *sent, *closed, *moved;
};

struct side {
	_Atomic(struct net_conn *) conn;
	struct side_hooks hooks;
	void *ctx;
	/* The stream in: every byte is compared with side_byte(); `raw` takes any. */
	bool raw;
	atomic_size_t received;
	/* The stream out: `out` bytes in all, of which `sent` have gone. */
	atomic_size_t out, sent;
	size_t piece_bytes; /* 0: SIDE_PIECE_BYTES */
	atomic_uint datas, ends, gathers, closes, moves;
	atomic_uint loop; /* where it is */
	atomic_int error; /* of closed */
	atomic_bool cut; /* by side_close() */
	atomic_bool ready; /* accepted, hook and all */
	uint8_t first[16]; /* the first bytes received */
};

/* Each accepted connection is the next of these. */
struct sides {
	struct side_hooks hooks;
	atomic_uint count;
	struct side all[SIDES_MAX];
};

/* The byte at a place of every stream: no period that a buffer's size has. */
static inline uint8_t side_byte(size_t at)
{
	return (uint8_t)(at * 31 + at / 251 + at / 65521);
}

static inline void side_call(struct side *s, side_hook_fn *hook)
{
	if (hook != NULL)
		hook(s);
}

/* It has been closed, by whom ever: no callback comes any more. */
static inline bool side_over(const struct side *s)
{
	return atomic_load(&s->closes) > 0 || atomic_load(&s->cut);
}

static inline void side_data(struct net_conn *conn, void *ctx, uint8_t *data, size_t bytes)
{
	struct side *s = ctx;
	size_t at = atomic_load(&s->received);

	assert(conn == s->conn && bytes > 0 && net_conn_loop(conn) == net_loop_current());
	assert(!side_over(s) && atomic_load(&s->ends) == 0);
	for (size_t i = 0; i < bytes; i++) {
		assert(s->raw || data[i] == side_byte(at + i));
		if (at + i < sizeof(s->first))
			s->first[at + i] = data[i];
		data[i] = 0xee; /* it is ours to write on */
	}
	atomic_fetch_add(&s->datas, 1);
	atomic_store(&s->received, at + bytes);
	side_call(s, s->hooks.data);
}

static inline void side_ended(struct net_conn *conn, void *ctx)
{
	struct side *s = ctx;

	assert(conn == s->conn && !side_over(s));
	assert(atomic_fetch_add(&s->ends, 1) == 0);
	side_call(s, s->hooks.ended);
}

/* What has been asked for stays where it is until it has gone: a piece of it at a time. */
static inline const uint8_t *side_content(size_t at, size_t *ret_left)
{
	static uint8_t *content;
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (content == NULL) {
		static uint8_t memory[SIDE_OUT_BYTES_MAX];

		for (size_t i = 0; i < SIDE_OUT_BYTES_MAX; i++)
			memory[i] = side_byte(i);
		content = memory;
	}
	pthread_mutex_unlock(&lock);
	assert(at < SIDE_OUT_BYTES_MAX);
	*ret_left = SIDE_OUT_BYTES_MAX - at;
	return content + at;
}

static inline void side_gather(struct net_conn *conn, void *ctx, struct net_gather *g)
{
	struct side *s = ctx;
	size_t at = atomic_load(&s->sent), piece = s->piece_bytes == 0 ? SIDE_PIECE_BYTES : s->piece_bytes;

	assert(conn == s->conn && !side_over(s) && net_conn_loop(conn) == net_loop_current());
	assert(g->count == 0 && g->bytes == 0 && g->max > 0 && !g->more);
	atomic_fetch_add(&s->gathers, 1);
	while (at < atomic_load(&s->out)) {
		size_t left, bytes = atomic_load(&s->out) - at;
		const uint8_t *data = side_content(at, &left);

		bytes = bytes < piece ? bytes : piece;
		bytes = bytes < left ? bytes : left;
		if (!net_gather_add(g, data, bytes))
			return;
		at += bytes;
	}
}

static inline void side_sent(struct net_conn *conn, void *ctx, size_t bytes)
{
	struct side *s = ctx;

	assert(conn == s->conn && bytes > 0 && !side_over(s));
	atomic_fetch_add(&s->sent, bytes);
	assert(atomic_load(&s->sent) <= atomic_load(&s->out));
	side_call(s, s->hooks.sent);
}

static inline void side_closed(struct net_conn *conn, void *ctx, int error)
{
	struct side *s = ctx;

	assert(conn == s->conn && !side_over(s));
	atomic_store(&s->error, error);
	assert(atomic_fetch_add(&s->closes, 1) == 0);
	side_call(s, s->hooks.closed);
}

static inline void side_moved(struct net_conn *conn, void *ctx)
{
	struct side *s = ctx;

	assert(conn == s->conn && !side_over(s) && net_conn_loop(conn) == net_loop_current());
	atomic_store(&s->loop, net_loop_index(net_conn_loop(conn)));
	atomic_fetch_add(&s->moves, 1);
	side_call(s, s->hooks.moved);
}

static const struct net_conn_ops side_ops = {
	.data = side_data,
	.ended = side_ended,
	.gather = side_gather,
	.sent = side_sent,
	.closed = side_closed,
	.moved = side_moved,
};

/* For net_listen(), with a struct sides as ctx. */
static inline void sides_accepted(struct net_conn *conn, void *ctx)
{
	struct sides *sides = ctx;
	unsigned at = atomic_fetch_add(&sides->count, 1);
	struct side *s = &sides->all[at];

	assert(at < SIDES_MAX);
	s->hooks = sides->hooks;
	atomic_store(&s->conn, conn);
	net_conn_set_ops(conn, &side_ops, s);
	atomic_store(&s->loop, net_loop_index(net_conn_loop(conn)));
	side_call(s, s->hooks.accepted);
	atomic_store(&s->ready, true);
}

/* Once the server has accepted as many: the one that came n-th. */
static inline struct side *sides_wait(struct sides *sides, unsigned n)
{
	WAIT_FOR(atomic_load(&sides->count) > n && atomic_load(&sides->all[n].ready));
	return &sides->all[n];
}

/* More is to go. On its loop. */
static inline void side_send(struct side *s, size_t bytes)
{
	atomic_fetch_add(&s->out, bytes);
	net_conn_want_send(s->conn);
}

static inline void side_close(struct side *s)
{
	net_conn_close(s->conn);
	atomic_store(&s->cut, true);
}

static inline void sides_close_here(struct net_loop *loop, void *ctx)
{
	struct sides *sides = ctx;

	for (unsigned i = 0; i < atomic_load(&sides->count); i++) {
		struct side *s = &sides->all[i];

		if (atomic_load(&s->closes) == 0 && !atomic_load(&s->cut) && net_conn_loop(s->conn) == loop)
			side_close(s);
	}
}

/* Close what is still open, so that stopping does not wait for it; stop and free. One loop: else a side may be elsewhere. */
static inline void sides_finish(struct harness *h, struct sides *sides)
{
	assert_int_equal(net_pool_loops(h->pool), 1);
	harness_call(h, 0, sides_close_here, sides);
	harness_finish(h);
}

/* The client's ends of the two streams. */
static inline void client_send_stream(int fd, size_t at, size_t bytes)
{
	uint8_t data[4096];

	for (size_t n; bytes > 0; at += n, bytes -= n) {
		n = bytes < sizeof(data) ? bytes : sizeof(data);
		for (size_t i = 0; i < n; i++)
			data[i] = side_byte(at + i);
		client_send(fd, data, n);
	}
}

static inline void client_expect_stream(int fd, size_t at, size_t bytes)
{
	uint8_t data[4096];

	for (size_t n; bytes > 0; at += n, bytes -= n) {
		n = bytes < sizeof(data) ? bytes : sizeof(data);
		client_receive(fd, data, n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(data[i], side_byte(at + i));
	}
}

/* A harness with sides: a pool of so many loops that listens. */
static inline void sides_start(struct harness *h, struct sides *sides, const struct net_pool_options *options,
	const struct side_hooks *hooks)
{
	memset(sides, 0, sizeof(*sides));
	if (hooks != NULL)
		sides->hooks = *hooks;
	harness_create(h, options);
	harness_listen(h, sides_accepted, sides);
	harness_run(h);
}

#endif
