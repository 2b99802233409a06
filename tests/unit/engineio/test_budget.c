/* What waits for all clients together: who has to go when it is too much, and who has not. */
#include "base/account.h"
#include "engineio/unit.h"
#include "net/net_int.h"
#include "unit/engineio/engine.h"

enum {
	LOOPS = 2,
	CLIENTS_MAX = 64,
	BUDGET = 2 << 20,
	KILO = 1000,
	SMALL_UNITS = 4096, /* whose ring has 32 KiB */
};

static struct engine e, other; /* one that is there beside the one that is tested */

/* Who has come, in order; on whose loop. */
static struct client {
	struct eio_session *session;
	uint32_t loop;
	atomic_bool closed;
} clients[CLIENTS_MAX];
static atomic_uint count;
static atomic_uint lines; /* that the log has of it */

static void on_line(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	atomic_fetch_add(&lines, level == LOG_WARN && strstr(text, "wait for clients") != NULL);
}

static void *on_opened(void *ctx, struct eio_session *s, const struct http_head *head,
	const struct net_conn *peer, const struct eio_admission *admission)
{
	struct client *c = &clients[atomic_load(&count)];

	(void)ctx;
	(void)head;
	(void)peer;
	(void)admission;
	c->session = s;
	c->loop = net_loop_index(eio_session_loop(s));
	atomic_store(&c->closed, false);
	atomic_fetch_add(&count, 1);
	return c;
}

static void on_closed(void *ctx, enum eio_reason reason)
{
	struct client *c = ctx;

	assert(reason == EIO_OVERFLOW || reason == EIO_SHUTTING_DOWN || reason == EIO_FORCED_CLOSE);
	atomic_store(&c->closed, true);
}

static const struct eio_events events = {
	.opened = on_opened,
	.message = engine_ignores_message,
	.closed = on_closed,
	.lagging = engine_ignores_lagging,
	.owed = engine_owes_nothing,
};

static void create(struct engine *engine, size_t budget)
{
	struct eio_options options = engine_options();

	options.queue_bytes_soft = options.queue_bytes_max = 8 << 20;
	options.queued_bytes_max = budget;
	atomic_store(&count, 0);
	engine_create(engine, &options, &events, LOOPS, NULL);
	atomic_store(&lines, 0);
	log_set(LOG_WARN, on_line, NULL);
}

static void start(size_t budget)
{
	create(&e, budget);
	engine_run(&e);
}

static void finish(void)
{
	engine_finish(&e);
	assert_int_equal(account_bytes(), 0);
}

/* Clients who never poll. */
static void come(unsigned clients_count)
{
	for (unsigned i = 0; i < clients_count; i++) {
		int fd = client_connect(&e.h);

		client_send_text(fd, "GET /e/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
		web_expect(fd, 200, NULL);
		close(fd);
	}
	assert_int_equal(atomic_load(&count), clients_count);
}

static struct blob_share *unit_of(size_t bytes)
{
	uint8_t *text;
	struct blob_share *unit = eio_unit_create(bytes, NULL, 0, &text, NULL);

	assert(unit != NULL);
	memset(text, 'x', bytes);
	return unit;
}

struct order {
	struct client *client; /* NULL: all of the loop */
	size_t bytes;
	uint32_t times;
	bool kept;
};

static void obey(struct net_loop *loop, void *ctx)
{
	const struct order *o = ctx;
	struct blob_share *unit = unit_of(o->bytes);

	if (o->kept)
		blob_keep(unit);
	for (uint32_t i = 0; i < atomic_load(&count); i++) {
		struct client *c = &clients[i];
		bool meant = o->client == NULL ? c->loop == net_loop_index(loop) : o->client == c;

		for (uint32_t n = 0; meant && n < o->times && !atomic_load(&c->closed); n++)
			(void)eio_send(c->session, unit, 0);
	}
	if (o->kept)
		blob_unkeep(unit);
	blob_unref(unit);
}

static void send_one(unsigned client, size_t bytes)
{
	harness_call(&e.h, clients[client].loop, obey,
		&(struct order){ .client = &clients[client], .bytes = bytes, .times = 1 });
}

static void nothing(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

/* All that has been posted so far is done, and what that has posted: weighing, closing, and once more. */
static void settle(void)
{
	for (int i = 0; i < 8; i++) {
		for (uint32_t loop = 0; loop < LOOPS; loop++)
			harness_call(&e.h, loop, nothing, NULL);
	}
}

static bool is_closed(unsigned client)
{
	return atomic_load(&clients[client].closed);
}

static unsigned closed_count(void)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < atomic_load(&count); i++)
		closed += is_closed(i);
	return closed;
}

static struct eio_counters counters(void)
{
	struct eio_counters c = { 0 };

	eio_server_counters(e.eio, &c);
	return c;
}

static void who_has_most_is_closed(void **state)
{
	(void)state;
	start(BUDGET);
	come(4);
	send_one(0, 300 * KILO);
	send_one(1, 900 * KILO);
	send_one(2, 600 * KILO);
	settle();
	assert_int_equal(closed_count(), 0);
	send_one(3, 300 * KILO);
	WAIT_FOR(is_closed(1));
	settle();
	assert_int_equal(closed_count(), 1);
	assert_int_equal(counters().shed, 1);
	assert_int_equal(counters().overflows, 1);
	assert_int_equal(atomic_load(&lines), 1);
	assert_true(account_bytes() >= 1200 * KILO && account_bytes() < 1210 * KILO);
	/* And again, when there is too much again. */
	send_one(3, 500 * KILO);
	send_one(0, 500 * KILO);
	WAIT_FOR(closed_count() == 2);
	settle();
	assert_int_equal(closed_count(), 2);
	assert_int_equal(atomic_load(&lines), 2);
	assert_true(account_bytes() < BUDGET);
	finish();
}

static void of_equals_no_more_than_needed(void **state)
{
	(void)state;
	start(BUDGET);
	come(8);
	for (unsigned i = 0; i < 7; i++)
		send_one(i, 300 * KILO);
	WAIT_FOR(closed_count() == 1);
	settle();
	assert_int_equal(closed_count(), 1);
	send_one(7, 300 * KILO);
	WAIT_FOR(closed_count() == 2);
	settle();
	assert_int_equal(closed_count(), 2);
	finish();
}

/* Several heavy ones: none of the light has to go, wherever they are. */
static void all_the_heavy_before_the_light(void **state)
{
	(void)state;
	start(BUDGET);
	come(24);
	for (unsigned i = 0; i < 20; i++)
		send_one(i, 40 * KILO);
	for (unsigned i = 20; i < 23; i++)
		send_one(i, 400 * KILO);
	settle();
	assert_int_equal(closed_count(), 0);
	send_one(23, 1200 * KILO);
	WAIT_FOR(is_closed(23));
	settle();
	for (unsigned i = 0; i < 20; i++)
		assert_false(is_closed(i));
	assert_true(account_bytes() <= BUDGET);
	finish();
}

static void what_is_shared_counts_once(void **state)
{
	(void)state;
	start(BUDGET);
	come(16);
	for (uint32_t loop = 0; loop < LOOPS; loop++)
		harness_call(&e.h, loop, obey, &(struct order){ .bytes = 600 * KILO, .times = 1 });
	settle();
	assert_int_equal(closed_count(), 0);
	assert_true(account_bytes() >= 600 * KILO);
	finish();
}

static void places_in_queues_count_too(void **state)
{
	(void)state;
	start(BUDGET / 2);
	come(40);
	for (uint32_t loop = 0; loop < LOOPS; loop++)
		harness_call(&e.h, loop, obey, &(struct order){ .bytes = 1, .times = SMALL_UNITS });
	WAIT_FOR(closed_count() > 0 && account_bytes() <= BUDGET / 2);
	assert_true(closed_count() < 40);
	finish();
}

static void what_others_keep_does_not_count(void **state)
{
	(void)state;
	start(BUDGET);
	come(1);
	struct blob_share *kept[4];
	for (unsigned i = 0; i < 4; i++) {
		kept[i] = unit_of(600 * KILO);
		blob_keep(kept[i]);
		blob_keep(kept[i]); /* by two */
		blob_unkeep(kept[i]);
	}
	assert_true(account_bytes() < KILO);
	send_one(0, 1500 * KILO);
	settle();
	assert_int_equal(closed_count(), 0);
	for (unsigned i = 0; i < 4; i++)
		blob_unkeep(kept[i]);
	assert_true(account_bytes() > 2400 * KILO); /* who has most may be closed by now */
	WAIT_FOR(closed_count() == 1);
	for (unsigned i = 0; i < 4; i++)
		blob_unref(kept[i]);
	finish();
}

/* Of two classes on two loops: the heavier one goes, and of the others as many as are needed then. */
static void who_is_lighter_goes_for_the_rest_alone(void **state)
{
	(void)state;
	start(BUDGET);
	come(24);
	for (unsigned i = 1; i < 23; i++)
		send_one(i, 90 * KILO);
	settle();
	assert_int_equal(closed_count(), 0);
	send_one(0, 500 * KILO);
	WAIT_FOR(closed_count() >= 3);
	settle();
	assert_true(is_closed(0));
	assert_int_equal(closed_count(), 3);
	finish();
}

static void close_it(struct net_loop *loop, void *client)
{
	(void)loop;
	eio_close(((struct client *)client)->session);
}

/* The application has closed it, and it may take its time to hear of it; but not with all that. */
static void who_is_closing_goes_too(void **state)
{
	(void)state;
	start(BUDGET);
	come(2);
	send_one(0, 1500 * KILO);
	harness_call(&e.h, clients[0].loop, close_it, &clients[0]);
	settle();
	assert_true(account_bytes() > 1500 * KILO);
	send_one(1, 900 * KILO);
	WAIT_FOR(account_bytes() < 1000 * KILO);
	settle();
	assert_false(is_closed(1));
	assert_int_equal(counters().shed, 0);
	finish();
}

/* What was posted is never run: its loops are closed when the server has gone. */
static void a_server_that_never_ran_ends(void **state)
{
	struct blob_share *units[4];

	(void)state;
	create(&e, BUDGET);
	for (uint32_t i = 0; i < LOOPS; i++)
		net_loop_begin(net_pool_loop(e.h.pool, i));
	for (unsigned i = 0; i < 4; i++)
		units[i] = unit_of(600 * KILO);
	engine_destroy(&e);
	for (unsigned i = 0; i < 4; i++)
		blob_unref(units[i]);
	assert_int_equal(account_bytes(), 0);
	/* And the next one is served as if nothing had been. */
	who_has_most_is_closed(state);
}

static void the_heavy_one_goes(void)
{
	start(BUDGET);
	come(2);
	send_one(0, 1500 * KILO);
	send_one(1, 900 * KILO);
	WAIT_FOR(is_closed(0));
	settle();
	assert_false(is_closed(1));
	finish();
}

/* Of two servers one has ended its loops, or has not run them yet; the other one grows. */
static void a_server_that_does_not_run_is_not_waited_for(void **state)
{
	(void)state;
	create(&other, BUDGET);
	the_heavy_one_goes();
	engine_run(&other);
	engine_end(&other);
	the_heavy_one_goes();
	engine_destroy(&other);
}

/* What waits for the clients of one is too much for another, which has none; nobody is closed for that. */
static void a_server_with_less_room_closes_nobody_else(void **state)
{
	(void)state;
	create(&other, KILO * KILO);
	engine_run(&other);
	start(10 * KILO * KILO);
	come(2);
	send_one(0, 4000 * KILO);
	settle();
	send_one(1, 5900 * KILO);
	settle();
	assert_int_equal(closed_count(), 0);
	assert_int_equal(atomic_load(&lines), 0);
	/* More than it may be itself; nearly a step of the account, so that it is looked at, and less than one more than was in vain. */
	send_one(1, 260 * KILO);
	WAIT_FOR(is_closed(1));
	settle();
	assert_false(is_closed(0));
	assert_int_equal(atomic_load(&lines), 1);
	finish();
	engine_finish(&other);
}

/* Messages that are in no queue: nobody is to blame for them. */
static void the_light_are_not_closed_for_others(void **state)
{
	(void)state;
	start(BUDGET);
	come(4);
	for (unsigned i = 0; i < 4; i++)
		send_one(i, 100 * KILO);
	struct blob_share *elsewhere = unit_of(3000 * KILO);
	settle();
	assert_int_equal(closed_count(), 0);
	assert_int_equal(atomic_load(&lines), 0);
	blob_unref(elsewhere);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_most_is_closed),
		cmocka_unit_test(of_equals_no_more_than_needed),
		cmocka_unit_test(all_the_heavy_before_the_light),
		cmocka_unit_test(what_is_shared_counts_once),
		cmocka_unit_test(places_in_queues_count_too),
		cmocka_unit_test(what_others_keep_does_not_count),
		cmocka_unit_test(who_is_lighter_goes_for_the_rest_alone),
		cmocka_unit_test(who_is_closing_goes_too),
		cmocka_unit_test(a_server_that_never_ran_ends),
		cmocka_unit_test(a_server_that_does_not_run_is_not_waited_for),
		cmocka_unit_test(a_server_with_less_room_closes_nobody_else),
		cmocka_unit_test(the_light_are_not_closed_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
