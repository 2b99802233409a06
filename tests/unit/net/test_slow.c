/* Peers that take what is sent slowly, or not at all: who takes enough is kept, who does not is cut in time. */
#include "net/conn.h"
#include "side.h"

enum {
	HUGE_BYTES = 7 << 20,
	WINDOW_BYTES = 8192, /* of the clients that read something */
	SLOW_BYTES = 2048, /* a turn: some 8 kB a second */
	SIP_BYTES = 100, /* a turn: too little */
	TURN_MS = 250,
	LATEST_MS = NET_SEND_STALL_MS + NET_SEND_STALL_STEP_MS,
	REST_MS = 2000, /* how much later than its time a deadline may come here */
};

static struct harness h;
static struct sides sides;

static void do_send_huge(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, HUGE_BYTES);
}

static int connect_small(void)
{
	int fd = client_connect(&h), window = WINDOW_BYTES;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	return fd;
}

/* All have far more to take than fits on the way: one takes none of it, one too little, and one enough. */
static void who_takes_nothing_is_cut(void **state)
{
	(void)state;
	char bytes[SLOW_BYTES];
	uint64_t began_ns, took_ms = 0, idle_ms = 0;
	struct net_counters counters;

	sides_start(&h, &sides, &(struct net_pool_options){ .loops = 1 }, NULL);
	int idle = client_connect(&h), sips = connect_small(), slow = connect_small();
	struct side *s = sides_wait(&sides, 0), *t = sides_wait(&sides, 1), *u = sides_wait(&sides, 2);

	s->piece_bytes = t->piece_bytes = u->piece_bytes = 100000;
	harness_call(&h, 0, do_send_huge, s);
	harness_call(&h, 0, do_send_huge, t);
	harness_call(&h, 0, do_send_huge, u);
	began_ns = clock_now_ns();
	while (atomic_load(&s->closes) == 0 || atomic_load(&t->closes) == 0 || took_ms < LATEST_MS) {
		if (atomic_load(&t->closes) == 0)
			client_receive(sips, bytes, SIP_BYTES);
		client_receive(slow, bytes, SLOW_BYTES);
		poll(NULL, 0, TURN_MS);
		took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
		if (idle_ms == 0 && atomic_load(&s->closes) > 0)
			idle_ms = took_ms;
		assert_true(took_ms < LATEST_MS + NET_SEND_STALL_MS + harness_slower() * REST_MS);
	}
	assert_in_range(idle_ms, NET_SEND_STALL_MS - 1, LATEST_MS + harness_slower() * REST_MS);
	assert_int_equal(atomic_load(&s->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&t->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&u->closes), 0);
	net_pool_counters(h.pool, &counters);
	assert_int_equal(counters.cut, 2);
	client_expect_gone(idle);
	close(idle);
	close(sips);
	close(slow);
	sides_finish(&h, &sides);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_takes_nothing_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
