/* Answers that come later, what became of them, and requests that are under way when the pool stops. */
#include "http/server.h"

#include "lib/failing_alloc.h"
#include "web.h"

enum {
	ROUNDS = 10,
	BODY_BYTES = 50000,
	BODIES = 400,
	STALLED_MS = 200,
};

static struct web w;

/* Answer the n-th of /held with its number. */
static void answer_held(struct net_loop *loop, void *ctx)
{
	unsigned n = *(const unsigned *)ctx;
	struct http_exchange *x = w.held[n];
	char text[20];

	(void)loop;
	assert(http_exchange_fate(x) != NET_FATE_OPEN);
	snprintf(text, sizeof(text), "held %u", n);
	http_answer_text(x, 200, false, str_c(text));
	assert(http_exchange_fate(x) == NET_FATE_OPEN);
}

static void answer(unsigned n)
{
	harness_call(&w.h, 0, answer_held, &n);
}

static void get(int fd, const char *path)
{
	char request[256];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
	client_send_text(fd, request);
}

static int get_new(const char *path)
{
	int fd = client_connect(&w.h);

	get(fd, path);
	return fd;
}

static void what_is_behind_waits(void **state)
{
	(void)state;
	web_start(&w, 1);
	int fd = get_new("/held"), other = client_connect(&w.h);

	get(fd, "/echo/1");
	get(fd, "/held");
	get(fd, "/echo/2");
	WAIT_FOR(atomic_load(&w.held_count) == 1);
	/* Others are served meanwhile, and nothing of this one is. */
	get(other, "/echo/other");
	web_expect(other, 200, "GET /other ");
	assert_int_equal(atomic_load(&w.served), 1);
	assert_false(client_readable(fd));
	answer(0);
	web_expect(fd, 200, "held 0");
	web_expect(fd, 200, "GET /1 ");
	WAIT_FOR(atomic_load(&w.held_count) == 2);
	assert_false(client_readable(fd));
	assert_int_equal(atomic_load(&w.served), 2);
	answer(1);
	web_expect(fd, 200, "held 1");
	web_expect(fd, 200, "GET /2 ");
	close(fd);
	close(other);
	web_finish(&w);
}

static void *send_rest(void *arg)
{
	size_t *from = arg;
	static char request[BODY_BYTES + 100];
	int head = snprintf(request, sizeof(request),
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
	size_t bytes = (size_t)head + BODY_BYTES;

	memset(request + head, 'x', BODY_BYTES);
	/* From any place in the middle of a request on. */
	for (size_t at = from[1]; at < BODIES * bytes;) {
		size_t within = at % bytes;
		ssize_t n = send((int)from[0], request + within, bytes - within,
			MSG_NOSIGNAL | (from[2] != 0 ? MSG_DONTWAIT : 0));
		struct pollfd p = { .fd = (int)from[0], .events = POLLOUT };

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && poll(&p, 1, STALLED_MS) == 1)
			continue;
		from[1] = at;
		if (n < 0)
			break;
		at += (size_t)n;
		from[1] = at;
	}
	return NULL;
}

/* Who pipelines without end is not read without end. */
static void a_pipeline_has_an_end(void **state)
{
	(void)state;
	web_start(&w, 1);
	int fd = get_new("/held");

	WAIT_FOR(atomic_load(&w.held_count) == 1);
	size_t from[3] = { (size_t)fd, 0, 1 };
	struct net_counters c;

	send_rest(from);
	net_pool_counters(w.h.pool, &c);
	assert_true(c.bytes_in < HTTP_PIPELINE_BYTES_MAX + 2 * NET_RECV_BYTES);
	assert_true(from[1] < BODIES * (size_t)BODY_BYTES);
	client_reset(fd);
	web_finish(&w);
}

/* And yet each of its requests is answered. */
static void a_long_pipeline_is_answered(void **state)
{
	(void)state;
	pthread_t thread;

	web_start(&w, 1);
	int fd = get_new("/held");
	size_t from[3] = { (size_t)fd, 0, 0 };

	WAIT_FOR(atomic_load(&w.held_count) == 1);
	assert_int_equal(pthread_create(&thread, NULL, send_rest, from), 0);
	answer(0);
	web_expect(fd, 200, "held 0");
	for (int i = 0; i < BODIES; i++) {
		struct web_answer a;

		web_read(fd, &a, false);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body.bytes, BODY_BYTES + 6);
		buf_finish(&a.body);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(fd);
	web_finish(&w);
}

/* Watches: what they were told. */
static atomic_uint gone, arrived, lost, whole; /* whole: of the lost, those that had gone to the kernel */

static void on_gone(void *ctx)
{
	assert(ctx == &gone);
	atomic_fetch_add(&gone, 1);
}

static void on_fate(void *ctx, enum http_fate fate)
{
	assert(ctx == &gone);
	if (fate == HTTP_FATE_RESET)
		atomic_fetch_add(&whole, 1);
	atomic_fetch_add(fate == HTTP_FATE_ARRIVED ? &arrived : &lost, 1);
}

static const struct http_watch_ops watch_ops = { .gone = on_gone, .fate = on_fate };
static const struct http_watch_ops patient_ops = {
	.gone = on_gone, .fate = on_fate, .half_closed_stays = true
};

static void serve_watched(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	struct str how = web_rest(r, sizeof("/watched/") - 1);

	http_watch(x, str_equal(how, STR("patiently")) ? &patient_ops : &watch_ops, &gone);
	assert(http_exchange_fate(x) == NET_FATE_ACKED || str_equal(how, STR("half")));
	if (str_equal(how, STR("later")) || str_equal(how, STR("patiently"))) {
		web_held(ctx, x, r);
	} else if (str_equal(how, STR("large"))) {
		web_large(ctx, x, r);
	} else if (str_equal(how, STR("full"))) {
		failing_alloc_arm_from(1);
		http_answer_text(x, 200, false, how);
		assert(failing_alloc_disarm());
	} else {
		if (str_equal(how, STR("not")))
			http_unwatch(x);
		if (str_equal(how, STR("last")))
			http_exchange_close_after(x);
		http_answer_text(x, 200, false, how);
		assert(http_exchange_fate(x) == NET_FATE_OPEN);
	}
}

static void start_watching(void)
{
	atomic_store(&gone, 0);
	atomic_store(&arrived, 0);
	atomic_store(&lost, 0);
	atomic_store(&whole, 0);
	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/watched/", .prefix = true, .serve = serve_watched });
	web_run(&w);
}

static void expect_told(unsigned want_gone, unsigned want_arrived, unsigned want_lost)
{
	WAIT_FOR(atomic_load(&gone) + atomic_load(&arrived) + atomic_load(&lost) ==
		 want_gone + want_arrived + want_lost);
	assert_int_equal(atomic_load(&gone), want_gone);
	assert_int_equal(atomic_load(&arrived), want_arrived);
	assert_int_equal(atomic_load(&lost), want_lost);
}

static void finish_watching(unsigned want_gone, unsigned want_arrived, unsigned want_lost)
{
	web_finish(&w);
	expect_told(want_gone, want_arrived, want_lost);
}

/* The client goes before it has been answered: in order, or not. */
static void gone_before_the_answer(void **state)
{
	(void)state;
	start_watching();
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = get_new("/watched/later");

		WAIT_FOR(atomic_load(&w.held_count) == i + 1);
		if (i % 3 == 0)
			client_reset(fd);
		else if (i % 3 == 1)
			close(fd);
		else
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		expect_told(i + 1, 0, 0);
		if (i % 3 == 2) {
			client_expect_gone(fd);
			close(fd);
		}
	}
	finish_watching(ROUNDS, 0, 0);
}

/* Where that is wished, who has ended its side while it waits is answered; not who has gone altogether. */
static void half_closed_and_answered(void **state)
{
	(void)state;
	start_watching();
	int fd = get_new("/watched/patiently");

	WAIT_FOR(atomic_load(&w.held_count) == 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	int other = get_new("/watched/patiently");
	WAIT_FOR(atomic_load(&w.held_count) == 2);
	client_reset(other);
	expect_told(1, 0, 0);
	answer(0);
	web_expect(fd, 200, NULL);
	client_expect_end(fd);
	close(fd);
	finish_watching(1, 1, 0);
}

static void who_asks_again_has_the_answer(void **state)
{
	(void)state;
	start_watching();
	int fd = client_connect(&w.h);

	for (unsigned i = 0; i < ROUNDS; i++) {
		get(fd, i % 2 == 0 ? "/watched/now" : "/watched/later");
		if (i % 2 == 1) {
			WAIT_FOR(atomic_load(&w.held_count) == i / 2 + 1);
			expect_told(0, i, 0);
			answer(i / 2);
		}
		web_expect(fd, 200, NULL);
		expect_told(0, i, 0);
		get(fd, "/echo");
		web_expect(fd, 200, NULL);
		expect_told(0, i + 1, 0);
	}
	close(fd);
	finish_watching(0, ROUNDS, 0);
}

/* The next request is there before the answer has gone. */
static void who_has_asked_again_already(void **state)
{
	(void)state;
	start_watching();
	int fd = get_new("/watched/now");

	for (unsigned i = 1; i < ROUNDS; i++)
		get(fd, "/watched/now");
	get(fd, "/echo");
	for (unsigned i = 0; i < ROUNDS; i++)
		web_expect(fd, 200, "now");
	web_expect(fd, 200, "GET  ");
	expect_told(0, ROUNDS, 0);
	close(fd);
	finish_watching(0, ROUNDS, 0);
}

static void who_ends_in_order_has_the_answer(void **state)
{
	(void)state;
	start_watching();
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = get_new(i % 2 == 0 ? "/watched/now" : "/watched/last");

		web_expect(fd, 200, NULL);
		if (i % 2 == 1)
			client_expect_end(fd);
		close(fd);
		expect_told(0, i + 1, 0);
	}
	/* The last of its side first, and then it reads. */
	int fd = get_new("/watched/half");

	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	web_expect(fd, 200, "half");
	client_expect_end(fd);
	close(fd);
	WAIT_FOR(atomic_load(&arrived) == ROUNDS + 1);
	finish_watching(0, ROUNDS + 1, 0);
}

static void who_breaks_has_it_not(void **state)
{
	(void)state;
	start_watching();
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = get_new(i % 2 == 0 ? "/watched/large" : "/watched/now");
		char some[1000];

		if (i % 2 == 0)
			client_receive(fd, some, sizeof(some));
		else
			WAIT_FOR(client_readable(fd));
		close(fd); /* with bytes unread: a reset */
		expect_told(0, 0, i + 1);
	}
	finish_watching(0, 0, ROUNDS);
	assert_int_equal(atomic_load(&whole), ROUNDS / 2); /* of a large answer some is unsent */
}

static void without_memory_it_is_lost(void **state)
{
	(void)state;
	start_watching();
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = get_new("/watched/full");

		client_expect_gone(fd);
		close(fd);
		expect_told(0, 0, i + 1);
	}
	finish_watching(0, 0, ROUNDS);
	assert_int_equal(atomic_load(&whole), 0);
}

static void serve_marked(void *ctx, struct http_exchange *x, const struct http_request *r)
{
	char text[16];

	(void)ctx;
	(void)r;
	int n = snprintf(text, sizeof(text), "%u", (*http_exchange_mark(x))++);
	http_answer(x, &(struct http_response){ .status = 200 }, text, (size_t)n);
}

static void a_mark_stays_with_the_connection(void **state)
{
	(void)state;
	web_create(&w, 1);
	web_add(&w, &(struct http_route){ .path = "/marked", .serve = serve_marked });
	web_run(&w);
	for (unsigned i = 0; i < 3; i++) {
		int fd = get_new("/marked");

		web_expect(fd, 200, "0");
		get(fd, "/marked");
		web_expect(fd, 200, "1");
		get(fd, "/echo");
		web_expect(fd, 200, NULL);
		get(fd, "/marked");
		web_expect(fd, 200, "2");
		close(fd);
	}
	web_finish(&w);
}

static void nobody_watches(void **state)
{
	(void)state;
	start_watching();
	int fd = get_new("/watched/not");

	web_expect(fd, 200, "not");
	get(fd, "/watched/not");
	web_expect(fd, 200, "not");
	close(fd);
	fd = get_new("/watched/not");
	WAIT_FOR(client_readable(fd));
	close(fd);
	finish_watching(0, 0, 0);
}

/* On the loop: the client breaks off, and the loop has not heard of it yet. */
static void break_and_ask(struct net_loop *loop, void *ctx)
{
	struct linger now = { .l_onoff = 1 };
	int fd = *(const int *)ctx;

	(void)loop;
	assert(http_exchange_fate(w.held[0]) == NET_FATE_ACKED);
	assert(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	close(fd);
	assert(http_exchange_fate(w.held[0]) == NET_FATE_LOST);
	/* Asking tells nobody. */
	assert(atomic_load(&gone) == 0);
}

static void asking_whether_it_is_alive(void **state)
{
	(void)state;
	start_watching();
	int fd = get_new("/watched/later");

	WAIT_FOR(atomic_load(&w.held_count) == 1);
	harness_call(&w.h, 0, break_and_ask, &fd);
	finish_watching(1, 0, 0);
}

static uint64_t accepted(void)
{
	struct net_counters c;

	net_pool_counters(w.h.pool, &c);
	return c.accepted;
}

/* Idle ones are closed at once; what is asked is answered, and that is the last. */
static void requests_under_way_when_it_stops(void **state)
{
	(void)state;
	struct web_answer a;

	web_start(&w, 1);
	int idle = get_new("/echo"), held = get_new("/held"), fresh = client_connect(&w.h),
	    silent = client_connect(&w.h);
	uint64_t began_ns = clock_now_ns();

	web_expect(idle, 200, NULL);
	WAIT_FOR(atomic_load(&w.held_count) == 1);
	WAIT_FOR(accepted() == 4);
	net_pool_stop(w.h.pool);
	client_expect_end(idle);
	close(idle);
	/* One that had not asked yet when it stopped has a moment for it. */
	get(fresh, "/echo/late");
	web_read(fresh, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(web_says(&a, "connection: close"));
	buf_finish(&a.body);
	client_expect_end(fresh);
	close(fresh);
	client_expect_end(silent);
	close(silent);
	answer(0);
	web_read(held, &a, false);
	assert_int_equal(a.status, 200);
	assert_true(web_says(&a, "connection: close"));
	buf_finish(&a.body);
	client_expect_end(held);
	close(held);
	web_finish(&w);
	assert_true(clock_now_ns() - began_ns < harness_slower() * (NET_DRAIN_MS - 500) * CLOCK_NS_PER_MS);
}

/* One that is never answered: its client is cut, and who watched it is told. */
static void one_that_is_never_answered(void **state)
{
	(void)state;
	start_watching();
	int fd = get_new("/watched/later");

	WAIT_FOR(atomic_load(&w.held_count) == 1);
	finish_watching(1, 0, 0);
	client_expect_gone(fd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_behind_waits),
		cmocka_unit_test(a_pipeline_has_an_end),
		cmocka_unit_test(a_long_pipeline_is_answered),
		cmocka_unit_test(gone_before_the_answer),
		cmocka_unit_test(half_closed_and_answered),
		cmocka_unit_test(who_asks_again_has_the_answer),
		cmocka_unit_test(who_has_asked_again_already),
		cmocka_unit_test(who_ends_in_order_has_the_answer),
		cmocka_unit_test(who_breaks_has_it_not),
		cmocka_unit_test(without_memory_it_is_lost),
		cmocka_unit_test(a_mark_stays_with_the_connection),
		cmocka_unit_test(nobody_watches),
		cmocka_unit_test(asking_whether_it_is_alive),
		cmocka_unit_test(requests_under_way_when_it_stops),
		cmocka_unit_test(one_that_is_never_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
