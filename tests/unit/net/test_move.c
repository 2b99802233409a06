/* Handing a connection from loop to loop: not a byte is lost or told twice, and one that cannot go is closed. */
#include <dirent.h>

#include "lib/failing_alloc.h"
#include "lib/rng.h"
#include "net/net_int.h"
#include "side.h"

enum {
	LOOPS = 3,
	STREAM_BYTES = 1 << 20,
	CHUNK_BYTES_MAX = 8000,
};

static struct harness h;
static struct sides sides;
static struct rng rng;

static void start(const struct net_pool_options *options, const struct side_hooks *hooks)
{
	struct net_pool_options o = *options;

	o.loops = o.loops == 0 ? LOOPS : o.loops;
	sides_start(&h, &sides, &o, hooks);
}

static void move_on(struct side *s)
{
	uint32_t here = net_loop_index(net_conn_loop(s->conn));

	net_conn_move(s->conn, (here + 1) % net_pool_loops(h.pool));
}

static void close_itself(struct side *s)
{
	side_close(s);
}

/* Chunks of any size, most of them back to back: some wait in the kernel while their connection is between two loops. */
static void send_in_chunks(int fd, struct side *s)
{
	for (size_t at = 0, bytes; at < STREAM_BYTES; at += bytes) {
		bytes = 1 + rng_below(&rng, rng_below(&rng, 4) == 0 ? CHUNK_BYTES_MAX : 50);
		bytes = bytes < STREAM_BYTES - at ? bytes : STREAM_BYTES - at;
		client_send_stream(fd, at, bytes);
		if (rng_below(&rng, 8) == 0)
			WAIT_FOR(atomic_load(&s->received) == at + bytes);
	}
}

static void unread_bytes_travel(void **state)
{
	(void)state;
	rng_init(&rng);
	start(&(struct net_pool_options){ 0 },
		&(struct side_hooks){ .data = move_on, .ended = close_itself });
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);
	struct net_counters c;

	send_in_chunks(fd, s);
	WAIT_FOR(atomic_load(&s->received) == STREAM_BYTES);
	WAIT_FOR(atomic_load(&s->moves) == atomic_load(&s->datas));
	assert_true(atomic_load(&s->moves) > 10);
	close(fd);
	WAIT_FOR(atomic_load(&s->cut));
	assert_int_equal(atomic_load(&s->ends), 1);
	net_pool_counters(h.pool, &c);
	assert_int_equal(c.moved, atomic_load(&s->moves));
	harness_finish(&h);
}

/* More is there than one read takes: nothing of it is touched here any more once it moves. */
static void send_much(struct net_loop *loop, void *ctx)
{
	static char much[8 * NET_RECV_BYTES];
	int fd = *(const int *)ctx;
	ssize_t n = send(fd, much, sizeof(much), MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)loop;
	assert(n > NET_RECV_BYTES);
}

static void take_any(struct side *s)
{
	s->raw = true;
}

static void moving_within_a_full_read(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ 0 },
		&(struct side_hooks){ .accepted = take_any, .data = move_on, .ended = close_itself });
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_connect(&h);
		struct side *s = sides_wait(&sides, i);

		harness_call(&h, atomic_load(&s->loop), send_much, &fd);
		close(fd);
		WAIT_FOR(atomic_load(&s->cut));
		assert_true(atomic_load(&s->received) > NET_RECV_BYTES);
	}
	harness_finish(&h);
}

/* An answer first, and on when it has gone: as a server does it between two requests. */
static void echo(struct side *s)
{
	side_send(s, atomic_load(&s->received) - atomic_load(&s->out));
}

static void move_when_answered(struct side *s)
{
	if (atomic_load(&s->sent) == atomic_load(&s->out) && !net_conn_blocked(s->conn))
		move_on(s);
}

static void *read_all(void *arg)
{
	uint8_t data[4096];

	for (size_t at = 0; at < STREAM_BYTES;) {
		ssize_t n = client_recv(*(int *)arg, data, sizeof(data));

		assert(n > 0);
		for (size_t i = 0; i < (size_t)n; i++)
			assert(data[i] == side_byte(at + i));
		at += (size_t)n;
	}
	return NULL;
}

static void moving_between_answers(void **state)
{
	(void)state;
	pthread_t thread;

	start(&(struct net_pool_options){ 0 },
		&(struct side_hooks){ .data = echo, .sent = move_when_answered, .ended = close_itself });
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	assert_int_equal(pthread_create(&thread, NULL, read_all, &fd), 0);
	send_in_chunks(fd, s);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(atomic_load(&s->moves) > 10);
	close(fd);
	WAIT_FOR(atomic_load(&s->cut));
	harness_finish(&h);
}

static void many_connections_in_a_circle(void **state)
{
	(void)state;
	enum { CONNS = 50 };
	int fds[CONNS];

	start(&(struct net_pool_options){ 0 },
		&(struct side_hooks){ .data = move_on, .ended = close_itself });
	for (unsigned i = 0; i < CONNS; i++)
		fds[i] = client_connect(&h);
	for (size_t round = 0; round < 40; round++) {
		for (unsigned i = 0; i < CONNS; i++)
			client_send_stream(fds[i], round * 10, 10);
	}
	for (unsigned i = 0; i < CONNS; i++) {
		struct side *s = sides_wait(&sides, i);

		WAIT_FOR(atomic_load(&s->received) == 400);
		WAIT_FOR(atomic_load(&s->moves) == atomic_load(&s->datas));
		close(fds[i]);
	}
	for (unsigned i = 0; i < CONNS; i++)
		WAIT_FOR(atomic_load(&sides.all[i].cut));
	harness_finish(&h);
}

/* The peer's end or its reset comes while it is on its way: told once, on the loop where it arrives. */
static void the_peer_goes_meanwhile(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ 0 },
		&(struct side_hooks){ .data = move_on, .ended = close_itself });
	for (unsigned i = 0; i < 200; i++) {
		int fd = client_connect(&h);

		client_send_stream(fd, 0, 10);
		if (i % 2 == 0)
			close(fd);
		else
			client_reset(fd);
	}
	for (unsigned i = 0; i < 200; i++) {
		struct side *s = sides_wait(&sides, i);

		WAIT_FOR(atomic_load(&s->cut) || atomic_load(&s->closes) == 1);
		assert_true(atomic_load(&s->moves) <= 1);
	}
	harness_finish(&h);
	for (unsigned i = 0; i < 200; i++)
		assert_true(atomic_load(&sides.all[i].closes) <= 1);
}

static void move_without_memory(struct side *s)
{
	failing_alloc_arm_from(1);
	move_on(s);
}

static void memory_is_back(struct side *s)
{
	(void)s;
	assert(failing_alloc_disarm());
}

static void one_that_cannot_go_is_closed(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ 0 },
		&(struct side_hooks){ .data = move_without_memory, .closed = memory_is_back });
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	client_send_stream(fd, 0, 1);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_int_equal(atomic_load(&s->error), ENOMEM);
	assert_int_equal(atomic_load(&s->moves), 0);
	client_expect_gone(fd);
	close(fd);
	harness_finish(&h);
}

/* From within `moved`, closing and finishing. */
static void finish_itself(struct side *s)
{
	side_send(s, 1000);
	net_conn_finish(s->conn);
}

static void ending_where_it_arrives(void **state)
{
	(void)state;
	for (int finishing = 0; finishing < 2; finishing++) {
		start(&(struct net_pool_options){ 0 },
			&(struct side_hooks){
				.data = move_on, .moved = finishing ? finish_itself : close_itself });
		for (unsigned i = 0; i < 20; i++) {
			int fd = client_connect(&h);
			struct side *s = sides_wait(&sides, i);

			client_send_stream(fd, 0, 10);
			client_expect_stream(fd, 0, finishing ? 1000 : 0);
			client_expect_gone(fd);
			close(fd);
			WAIT_FOR(finishing ? atomic_load(&s->closes) == 1 : atomic_load(&s->cut));
			assert_int_equal(atomic_load(&s->moves), 1);
			assert_int_equal(atomic_load(&s->error), 0);
		}
		harness_finish(&h);
	}
}

/* Threads of this process. */
static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(dir);
	for (const struct dirent *e; (e = readdir(dir)) != NULL;)
		count += e->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* As many went as came. */
static void nobody_is_left(uint64_t came)
{
	struct net_counters c;

	net_pool_counters(h.pool, &c);
	assert_int_equal(c.accepted, came);
	assert_int_equal(c.closed, came);
	assert_int_equal(atomic_load(&h.pool->conns), 0);
}

/* It goes to a loop that has ended: `closed` is called at once, and not when the pool is closed. */
static void the_other_loop_has_ended(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ .loops = 2 },
		&(struct side_hooks){ .data = move_on, .ended = close_itself });
	int fd = client_connect(&h);
	unsigned n = 0;

	/* One that is on loop 0: the other has a thread whose end can be seen. */
	while (atomic_load(&sides_wait(&sides, n)->loop) != 0) {
		close(fd);
		WAIT_FOR(atomic_load(&sides.all[n].cut));
		fd = client_connect(&h);
		n++;
	}
	struct side *s = &sides.all[n];
	unsigned before = threads();

	net_pool_stop(h.pool);
	WAIT_FOR(threads() == before - 1);
	client_send_stream(fd, 0, 1);
	client_expect_gone(fd);
	harness_join(&h);
	assert_int_equal(atomic_load(&s->moves), 0);
	assert_int_equal(atomic_load(&s->closes), 1);
	assert_int_equal(atomic_load(&s->error), ECANCELED);
	nobody_is_left(n + 1);
	close(fd);
	harness_finish(&h);
}

static void do_move(struct net_loop *loop, void *ctx)
{
	(void)loop;
	move_on(ctx);
}

static void do_stand(struct net_loop *loop, void *ctx)
{
	(void)loop;
	while (!atomic_load((atomic_bool *)ctx))
		poll(NULL, 0, 1);
}

struct stand {
	atomic_bool over;
	uint32_t loop;
};

static void *stand_main(void *arg)
{
	struct stand *stand = arg;

	harness_call(&h, stand->loop, do_stand, &stand->over);
	return NULL;
}

/* It is on its way when the pool is told to stop: the loop that it goes to stays until it has come. */
static void the_other_loop_waits_for_it(void **state)
{
	pthread_t thread;

	(void)state;
	start(&(struct net_pool_options){ .loops = 2 },
		&(struct side_hooks){ .moved = close_itself, .ended = close_itself });
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);
	struct stand stand = { .loop = 1 - atomic_load(&s->loop) };

	assert_int_equal(pthread_create(&thread, NULL, stand_main, &stand), 0);
	harness_call(&h, atomic_load(&s->loop), do_move, s);
	net_pool_stop(h.pool);
	atomic_store(&stand.over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	harness_join(&h);
	assert_int_equal(atomic_load(&s->moves), 1);
	assert_true(atomic_load(&s->cut));
	nobody_is_left(1);
	client_expect_gone(fd);
	close(fd);
	harness_finish(&h);
}

static void *run_one(void *loop)
{
	net_loop_run(loop);
	return NULL;
}

/* The pool is closed before: `closed` is called then, and what was counted of it is given back. */
static void it_never_arrives(void **state)
{
	pthread_t thread;

	(void)state;
	memset(&sides, 0, sizeof(sides));
	sides.hooks.data = move_on;
	harness_create(&h, &(struct net_pool_options){ .loops = 2, .limit_loopback = true });
	harness_listen(&h, sides_accepted, &sides);
	net_listeners_close(h.pool->loops[1]); /* it is not run */
	for (uint32_t i = 0; i < 2; i++)
		net_loop_begin(h.pool->loops[i]);
	assert_int_equal(pthread_create(&thread, NULL, run_one, h.pool->loops[0]), 0);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	client_send_stream(fd, 0, 1);
	WAIT_FOR(!pile_empty(&h.pool->loops[1]->posted));
	net_pool_stop(h.pool);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&s->closes), 0);
	net_pool_close(h.pool);
	assert_int_equal(atomic_load(&s->closes), 1);
	assert_int_equal(atomic_load(&s->error), ECANCELED);
	nobody_is_left(1);
	client_expect_gone(fd);
	close(fd);
	harness_finish(&h);
}

/* What counts against an address travels along, and is given back where it ends. */
static void the_address_is_counted_once(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ .limit_loopback = true, .conns_per_address_max = 2 },
		&(struct side_hooks){ .data = move_on, .ended = close_itself });
	int fds[2] = { client_connect(&h), client_connect(&h) };

	for (size_t i = 0; i < 2; i++) {
		client_send_stream(fds[i], 0, 1);
		WAIT_FOR(atomic_load(&sides.count) == 2);
	}
	WAIT_FOR(atomic_load(&sides.all[0].moves) == 1 && atomic_load(&sides.all[1].moves) == 1);
	int third = client_connect(&h);

	client_expect_gone(third);
	close(third);
	close(fds[0]);
	WAIT_FOR(atomic_load(&sides.all[0].cut) || atomic_load(&sides.all[1].cut));
	third = client_connect(&h);
	sides_wait(&sides, 2);
	close(third);
	close(fds[1]);
	WAIT_FOR(atomic_load(&sides.all[0].cut) && atomic_load(&sides.all[1].cut) &&
		 atomic_load(&sides.all[2].cut));
	harness_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unread_bytes_travel),
		cmocka_unit_test(moving_within_a_full_read),
		cmocka_unit_test(moving_between_answers),
		cmocka_unit_test(many_connections_in_a_circle),
		cmocka_unit_test(the_peer_goes_meanwhile),
		cmocka_unit_test(ending_where_it_arrives),
		cmocka_unit_test(one_that_cannot_go_is_closed),
		cmocka_unit_test(the_other_loop_has_ended),
		cmocka_unit_test(the_other_loop_waits_for_it),
		cmocka_unit_test(it_never_arrives),
		cmocka_unit_test(the_address_is_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
