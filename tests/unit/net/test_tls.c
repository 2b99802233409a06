/* Connections that speak TLS: what comes and goes, hand-over, ends of every kind, and what is no TLS. */
#include <signal.h>

#include "lib/rng.h"
#include "tls_client.h"

enum {
	STREAM_BYTES = 1 << 20,
	HUGE_BYTES = 7 << 20,
	TOGETHER = 8,
	LOOPS = 3,
};

static struct harness h;
static struct sides sides;
static struct net_tls_context *context;

static void start(uint32_t loops, const struct side_hooks *hooks)
{
	tls_sides_start(&h, &sides, &(struct net_pool_options){ .loops = loops }, hooks, &context);
}

static void finish(void)
{
	harness_finish(&h);
	net_tls_context_destroy(context);
}

static struct net_counters counters(void)
{
	struct net_counters c;

	net_pool_counters(h.pool, &c);
	return c;
}

static void do_send(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, STREAM_BYTES);
}

static void do_finish(struct net_loop *loop, void *ctx)
{
	(void)loop;
	net_conn_finish(((struct side *)ctx)->conn);
}

static void streams_both_ways(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	start(1, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct tls_client c;

		tls_client_open(&c, client_connect(&h), versions[i]);
		struct side *s = sides_wait(&sides, i);
		assert_true(net_conn_encrypted(s->conn));
		harness_call(&h, 0, do_send, s);
		tls_client_send(&c, 0, STREAM_BYTES / 2);
		tls_client_expect(&c, 0, STREAM_BYTES);
		tls_client_send(&c, STREAM_BYTES / 2, STREAM_BYTES / 2);
		WAIT_FOR(atomic_load(&s->received) == STREAM_BYTES);
		WAIT_FOR(atomic_load(&s->sent) == STREAM_BYTES);
		harness_call(&h, 0, do_finish, s);
		tls_client_expect_end(&c);
		client_expect_end(c.fd);
		assert_int_equal(atomic_load(&s->closes), 0);
		client_send_stream(c.fd, 0, 100000); /* what comes now is thrown away */
		close(c.fd);
		WAIT_FOR(atomic_load(&s->closes) == 1);
		tls_client_free(&c);
	}
	assert_int_equal(counters().tls_failed, 0);
	assert_true(counters().bytes_out > 2 * STREAM_BYTES);
	finish();
}

static void move_on(struct side *s)
{
	uint32_t here = net_loop_index(net_conn_loop(s->conn));

	net_conn_move(s->conn, (here + 1) % LOOPS);
}

static void close_itself(struct side *s)
{
	side_close(s);
}

/* Records of any size: what of them has been decrypted, and what has not come yet, goes with the connection. */
static void unread_bytes_travel(void **state)
{
	struct rng rng;
	struct tls_client c;

	(void)state;
	rng_init(&rng);
	start(LOOPS, &(struct side_hooks){ .data = move_on, .ended = close_itself });
	tls_client_open(&c, client_connect(&h), TLS1_3_VERSION);
	struct side *s = sides_wait(&sides, 0);
	for (size_t at = 0, bytes; at < STREAM_BYTES; at += bytes) {
		bytes = 1 + rng_below(&rng, rng_below(&rng, 4) == 0 ? 4096 : 50);
		bytes = bytes < STREAM_BYTES - at ? bytes : STREAM_BYTES - at;
		tls_client_send(&c, at, bytes);
		if (rng_below(&rng, 8) == 0)
			WAIT_FOR(atomic_load(&s->received) == at + bytes);
	}
	WAIT_FOR(atomic_load(&s->received) == STREAM_BYTES);
	assert_true(atomic_load(&s->moves) > 10);
	SSL_shutdown(c.ssl);
	WAIT_FOR(atomic_load(&s->cut));
	assert_int_equal(atomic_load(&s->ends), 1);
	close(c.fd);
	tls_client_free(&c);
	finish();
}

/* The peer has said that it sends no more, and goes on reading. */
static void who_has_ended_is_answered(void **state)
{
	struct tls_client c;

	(void)state;
	start(1, NULL);
	tls_client_open(&c, client_connect(&h), TLS1_3_VERSION);
	struct side *s = sides_wait(&sides, 0);
	SSL_shutdown(c.ssl);
	WAIT_FOR(atomic_load(&s->ends) == 1);
	harness_call(&h, 0, do_send, s);
	harness_call(&h, 0, do_finish, s);
	tls_client_expect(&c, 0, STREAM_BYTES);
	tls_client_expect_end(&c);
	client_expect_end(c.fd);
	/* Its kernel has not ended: so nobody knows yet that it has all. */
	assert_int_equal(atomic_load(&s->closes), 0);
	close(c.fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_int_equal(atomic_load(&s->error), 0);
	tls_client_free(&c);
	finish();
}

static void finish_it(struct side *s)
{
	net_conn_finish(s->conn);
}

/* Who says its end and closes at once has all, and is not told ours, which it would answer by a reset. Who waits for ours is told it. */
static void who_has_closed_in_order(void **state)
{
	(void)state;
	start(1, &(struct side_hooks){ .ended = finish_it });
	for (unsigned i = 0; i < 40; i++) {
		struct tls_client c;

		tls_client_open(&c, client_connect(&h), i % 2 == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
		struct side *s = sides_wait(&sides, i);
		atomic_store(&s->out, 0);
		harness_call(&h, 0, do_send, s);
		tls_client_expect(&c, 0, STREAM_BYTES);
		SSL_shutdown(c.ssl);
		if (i % 4 == 3)
			tls_client_expect_end(&c);
		close(c.fd);
		WAIT_FOR(atomic_load(&s->closes) == 1);
		assert_int_equal(atomic_load(&s->error), 0);
		tls_client_free(&c);
	}
	finish();
}

struct asked {
	struct side *side;
	enum net_fate fate;
	bool blocked;
};

static void do_ask(struct net_loop *loop, void *ctx)
{
	struct asked *a = ctx;

	(void)loop;
	a->fate = net_conn_fate(a->side->conn);
	a->blocked = net_conn_blocked(a->side->conn);
}

static void do_send_huge(struct net_loop *loop, void *ctx)
{
	(void)loop;
	((struct side *)ctx)->piece_bytes = 100000;
	side_send(ctx, HUGE_BYTES);
}

/* What is encrypted and has not gone counts as under way. */
static void who_reads_slowly_gets_all(void **state)
{
	struct tls_client c;
	struct asked a = { 0 };

	(void)state;
	start(1, NULL);
	int fd = client_connect(&h);
	tls_client_open(&c, fd, TLS1_3_VERSION);
	a.side = sides_wait(&sides, 0);
	harness_call(&h, 0, do_send_huge, a.side);
	do
		harness_call(&h, 0, do_ask, &a);
	while (!a.blocked);
	assert_int_equal(a.fate, NET_FATE_OPEN);
	assert_true(atomic_load(&a.side->sent) < HUGE_BYTES);
	tls_client_expect(&c, 0, HUGE_BYTES);
	WAIT_FOR(atomic_load(&a.side->sent) == HUGE_BYTES);
	do
		harness_call(&h, 0, do_ask, &a);
	while (a.fate != NET_FATE_ACKED);
	close(fd);
	WAIT_FOR(atomic_load(&a.side->ends) == 1);
	tls_client_free(&c);
	sides_finish(&h, &sides);
	net_tls_context_destroy(context);
}

static void close_others(struct side *s)
{
	for (unsigned i = 0; i < atomic_load(&sides.count); i++) {
		if (&sides.all[i] != s && !side_over(&sides.all[i]))
			side_close(&sides.all[i]);
	}
}

static void answer(struct side *s)
{
	side_send(s, 100);
}

static unsigned cut_sides(void)
{
	unsigned cut = 0;

	for (unsigned i = 0; i < TOGETHER; i++)
		cut += atomic_load(&sides.all[i].cut);
	return cut;
}

/* With the loop held: all are ready in one iteration. */
static void send_from_all(struct net_loop *loop, void *ctx)
{
	struct tls_client *c = ctx;

	(void)loop;
	for (size_t i = 0; i < TOGETHER; i++) {
		uint8_t byte = side_byte(0);
		int n = SSL_write(c[i].ssl, &byte, 1);

		assert(n == 1);
	}
}

static void closing_others_in_a_flush(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		struct tls_client c[TOGETHER];

		start(1, &(struct side_hooks){ .data = answer, .sent = close_others });
		for (unsigned i = 0; i < TOGETHER; i++) {
			tls_client_open(&c[i], client_connect(&h), TLS1_2_VERSION);
			sides_wait(&sides, i);
		}
		harness_call(&h, 0, send_from_all, c);
		WAIT_FOR(cut_sides() == TOGETHER - 1);
		for (unsigned i = 0; i < TOGETHER; i++) {
			if (!atomic_load(&sides.all[i].cut))
				tls_client_expect(&c[i], 0, 100);
			close(c[i].fd);
			tls_client_free(&c[i]);
		}
		sides_finish(&h, &sides);
		net_tls_context_destroy(context);
	}
}

/* A fatal alert is the last that is there to be read. */
static void expect_alert(int fd)
{
	uint8_t bytes[4096];
	size_t have = 0;
	ssize_t n;

	while ((n = client_recv(fd, bytes + have, sizeof(bytes) - have)) > 0)
		have += (size_t)n;
	assert_int_equal(n, 0);
	assert_true(have >= 7);
	assert_int_equal(bytes[0], SSL3_RT_ALERT);
}

static void do_move(struct net_loop *loop, void *ctx)
{
	struct side *s = ctx;

	net_conn_move(s->conn, 1 - net_loop_index(loop));
}

/* New keys without end, and nothing else. */
static void new_keys_without_end(void **state)
{
	struct tls_client c;
	int rc = 1;

	(void)state;
	start(1, NULL);
	tls_client_open(&c, client_connect(&h), TLS1_3_VERSION);
	struct side *s = sides_wait(&sides, 0);
	for (int i = 0; i < 100; i++) { /* some do no harm */
		assert_int_equal(SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(c.ssl), 1);
	}
	tls_client_send(&c, 0, 1000);
	WAIT_FOR(atomic_load(&s->received) == 1000);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 5000 && rc == 1; i++) {
		rc = SSL_key_update(c.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		rc = rc == 1 ? SSL_do_handshake(c.ssl) : rc;
	}
	WAIT_FOR(counters().tls_failed == 1);
	close(c.fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_true(atomic_load(&s->error) != 0);
	tls_client_free(&c);
	finish();
}

static void what_is_no_tls(void **state)
{
	static const uint8_t bad_record[] = { 0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
		14, 15, 16, 17, 18, 19, 20 };
	static const uint8_t no_hello[] = { 0x16, 3, 1, 0, 6, 1, 0, 0, 2, 9, 9 };
	struct tls_client c;

	(void)state;
	start(2, NULL);
	int fd = client_connect(&h);
	client_send(fd, no_hello, sizeof(no_hello));
	expect_alert(fd);
	close(fd);
	WAIT_FOR(atomic_load(&sides.all[0].closes) == 1);
	assert_int_equal(atomic_load(&sides.all[0].datas), 0);
	assert_int_equal(atomic_load(&sides.all[0].error), ECONNRESET);
	/* In the midst of a connection. */
	tls_client_open(&c, client_connect(&h), TLS1_2_VERSION);
	tls_client_send(&c, 0, 1000);
	struct side *s = sides_wait(&sides, 1);
	WAIT_FOR(atomic_load(&s->received) == 1000);
	client_send(c.fd, bad_record, sizeof(bad_record));
	WAIT_FOR(counters().tls_failed == 2);
	harness_call(&h, atomic_load(&s->loop), do_move, s); /* by an owner that does not know of it yet */
	expect_alert(c.fd);
	close(c.fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_int_equal(atomic_load(&s->received), 1000);
	assert_int_equal(atomic_load(&s->error), ECONNRESET);
	assert_int_equal(counters().tls_failed, 2);
	tls_client_free(&c);
	finish();
}

static void finish_at_once(struct side *s)
{
	side_send(s, 100);
	net_conn_finish(s->conn);
}

/* Its owner ends a connection whose handshake is not done: there is nothing that could be said. */
static void ending_before_the_handshake(void **state)
{
	(void)state;
	start(1, &(struct side_hooks){ .accepted = finish_at_once });
	int fd = client_connect(&h);
	client_expect_gone(fd);
	close(fd);
	struct side *s = sides_wait(&sides, 0);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_int_equal(atomic_load(&s->error), EPROTO);
	assert_int_equal(atomic_load(&s->gathers), 0);
	finish();
}

static void expect_refusal(const char *certificate, const char *key, const char *reason)
{
	struct net_tls_context *c = NULL;
	char err[256] = "";

	assert_true(net_tls_context_load(certificate, key, &c, err, sizeof(err)) < 0);
	if (strstr(err, reason) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err, reason);
}

static void files_that_are_of_no_use(void **state)
{
	struct tls_files one, other, closed;

	(void)state;
	tls_files_make(&one, NULL);
	tls_files_make(&other, NULL);
	tls_files_make(&closed, "secret");
	expect_refusal("/nowhere/at/all", one.key, "/nowhere/at/all: No such file");
	expect_refusal(one.certificate, "/nowhere/at/all", "/nowhere/at/all: No such file");
	expect_refusal(one.key, one.certificate, one.key);
	expect_refusal(one.certificate, one.certificate, one.certificate);
	expect_refusal(one.certificate, other.key, "key values mismatch");
	expect_refusal(closed.certificate, closed.key, closed.key);
	tls_files_remove(&one);
	tls_files_remove(&other);
	tls_files_remove(&closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_both_ways),
		cmocka_unit_test(unread_bytes_travel),
		cmocka_unit_test(who_has_ended_is_answered),
		cmocka_unit_test(who_has_closed_in_order),
		cmocka_unit_test(who_reads_slowly_gets_all),
		cmocka_unit_test(closing_others_in_a_flush),
		cmocka_unit_test(new_keys_without_end),
		cmocka_unit_test(what_is_no_tls),
		cmocka_unit_test(ending_before_the_handshake),
		cmocka_unit_test(files_that_are_of_no_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
