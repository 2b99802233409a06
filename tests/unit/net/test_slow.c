/* Peers that take what is sent slowly, or not at all: who takes anything is kept, who takes nothing is cut in time. */
#include "net/conn.h"
#include "side.h"

enum {
	HUGE_BYTES = 7 << 20,
	WINDOW_BYTES = 8192, /* of the client that reads slowly */
	SIP_BYTES = 2048,
	SIPS_PER_SECOND = 4,
	REST_MS = 2000, /* how much later than its time a deadline may come here */
};

static struct harness h;
static struct sides sides;

static void do_send_huge(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, HUGE_BYTES);
}

/* Both have far more to take than fits on the way, and one of them reads a little now and then. */
static void who_takes_nothing_is_cut(void **state)
{
	(void)state;
	char sip[SIP_BYTES];

	sides_start(&h, &sides, &(struct net_pool_options){ .loops = 1 }, NULL);
	int idle = client_connect(&h), slow = client_connect(&h);
	struct side *s = sides_wait(&sides, 0), *t = sides_wait(&sides, 1);
	int window = WINDOW_BYTES;

	assert_int_equal(setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window)), 0);
	s->piece_bytes = t->piece_bytes = 100000;
	harness_call(&h, 0, do_send_huge, s);
	harness_call(&h, 0, do_send_huge, t);
	uint64_t began_ns = clock_now_ns(), took_ms = 0, cut_ms = 0;

	while (took_ms < 2 * NET_SEND_STALL_MS + REST_MS) {
		client_receive(slow, sip, sizeof(sip));
		assert_int_equal(atomic_load(&t->closes), 0);
		poll(NULL, 0, 1000 / SIPS_PER_SECOND);
		took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
		if (cut_ms == 0 && atomic_load(&s->closes) == 1)
			cut_ms = took_ms;
	}
	assert_in_range(cut_ms, NET_SEND_STALL_MS, NET_SEND_STALL_MS * 4 / 3 + harness_slower() * REST_MS);
	assert_int_equal(atomic_load(&s->error), ETIMEDOUT);
	client_expect_gone(idle);
	close(idle);
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
