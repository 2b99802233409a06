/*
 * What recovery holds on to, and for how long: bytes of who is away and of what was sent again, deadlines, several namespaces at once,
 * answers in the moment of the break, and what middleware gives to who comes back.
 */
#include "guest.h"
#include "sio/stats.h"
#include "socketio/recovery_int.h"

enum {
	EXPIRES_MS = 60,
	GRACE_MS = 60,
	ROOMS = 40000,
	ROOM_NAME_BYTES = 240,
	QUEUE_BYTES = 30000,
	MANY = 120,
	LARGE_BYTES = 1 << 20,
	LARGE_COUNT = 10,
};

static struct served s;
static struct sio_space *root, *two;
static atomic_uint connected, recovered, left, destroyed, asked;
static struct sio_ack held;
static char kept[] = "kept", given[] = "given";
static _Atomic(const char *) data_seen, label_seen, before_seen;
static atomic_bool destroy_sends_away; /* all of them */

static void destroy(void *data)
{
	assert(data == kept || data == given);
	atomic_fetch_add(&destroyed, 1);
	if (atomic_exchange(&destroy_sends_away, false))
		assert(sio_disconnect_all(sio_all(root), true) == 0);
}

static const char *known_label(struct sio_str label)
{
	return label.bytes == 0 ? "" : strcmp(label.s, kept) == 0 ? kept : given;
}

static void on_connection(const struct sio_event *e)
{
	atomic_store(&data_seen, (const char *)sio_data(e->socket));
	atomic_store(&before_seen, (const char *)sio_data_before(e->socket));
	atomic_store(&label_seen, known_label(sio_label(e->socket)));
	if (!sio_recovered(e->socket)) {
		sio_set_data(e->socket, kept, destroy);
		assert(sio_set_label(e->socket, SIO_STR("kept")) == 0);
	}
	atomic_fetch_add(&recovered, sio_recovered(e->socket));
	atomic_fetch_add(&connected, 1);
}

static void on_disconnect(const struct sio_event *e)
{
	(void)e;
	if (held.wanted)
		assert(sio_answer(held, sio_json("[\"late\"]")) == 0);
	held.wanted = false;
	atomic_fetch_add(&left, 1);
}

static void on_hold(const struct sio_event *e)
{
	held = e->ack;
}

static void nothing(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
}

static void on_cut(const struct sio_event *e)
{
	assert(sio_with(root, sio_id(e->socket), nothing, NULL) == 0);
	sio_connection_close(e->socket);
}

static void on_expire(const struct sio_event *e)
{
	assert(sio_set_expiry(e->socket, EXPIRES_MS * harness_slower(), GRACE_MS * harness_slower()) == 0);
}

static void ban(struct sio_socket *socket, void *ctx)
{
	if (ctx == NULL)
		sio_disconnect(socket, true);
	else
		assert(sio_disconnect_id(root, sio_id(socket), false) == 0);
}

/* The function has its turn before what closes the connection. */
static void on_ban_and_cut(const struct sio_event *e)
{
	static char by_id[] = "by id";

	assert(sio_with(root, sio_id(e->socket), ban, e->args.json.bytes > 2 ? by_id : NULL) == 0);
	sio_connection_close(e->socket);
}

static void on_rooms(const struct sio_event *e)
{
	char name[ROOM_NAME_BYTES + 1];

	memset(name, 'r', ROOM_NAME_BYTES);
	name[ROOM_NAME_BYTES] = '\0';
	for (unsigned i = 0; i < ROOMS; i++) {
		snprintf(name + ROOM_NAME_BYTES - 8, 9, "%08u", i * 7919 % ROOMS);
		assert(sio_join(e->socket, name) == 0);
	}
}

/* Gives data to every other one. */
static enum sio_verdict middleware(const struct sio_event *e, struct sio_refusal *refusal)
{
	(void)refusal;
	if (atomic_fetch_add(&asked, 1) % 2 == 1) {
		sio_set_data(e->socket, given, destroy);
		assert(sio_set_label(e->socket, SIO_STR("given")) == 0);
	}
	return SIO_ADMIT;
}

static void start_keeping(uint32_t window_ms, const struct sio_options *o, bool asks)
{
	const struct sio_recovery recovery = { .window_ms = window_ms,
		.asks_middleware = asks,
		.backlog_bytes_max = 4 * LARGE_COUNT * LARGE_BYTES };
	struct sio_options options = *o;
	atomic_uint *counts[] = { &connected, &recovered, &left, &destroyed, &asked };
	static const struct {
		const char *event;
		sio_handler_fn *fn;
	} handlers[] = {
		{ "connection", on_connection },
		{ "disconnect", on_disconnect },
		{ "hold", on_hold },
		{ "cut", on_cut },
		{ "ban and cut", on_ban_and_cut },
		{ "expire", on_expire },
		{ "rooms", on_rooms },
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		atomic_store(counts[i], 0);
	options.recovery = &recovery;
	options.threads = 1;
	served_create(&s, &options);
	root = sio_of(s.io, "/");
	two = sio_of(s.io, "/two");
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		assert_int_equal(sio_on(root, handlers[i].event, handlers[i].fn, NULL), 0);
	if (asks)
		assert_int_equal(sio_use(root, middleware, NULL), 0);
	served_run(&s);
}

static void start(const struct sio_options *o, bool asks)
{
	start_keeping(60000, o, asks);
}

static void arrive(struct client *c)
{
	char text[4096];

	open_on(&s, c, 0);
	join(c, NULL, NULL);
	joined(c, text);
}

/* Says something, and is gone then. */
static void say_and_leave(struct client *c, const char *text)
{
	unsigned before = atomic_load(&left);

	assert_int_equal(served_ask(c->fd, "POST", c->target, text, NULL), 200);
	close(c->fd);
	WAIT_FOR(atomic_load(&left) == before + 1);
}

/* True: as who it was. */
static bool comes_back(struct client *c, char text[4096])
{
	char pid[SIO_SID_BYTES];

	memcpy(pid, c->pid, sizeof(pid));
	open_on(&s, c, 0);
	join(c, pid, NULL);
	joined(c, text);
	return strcmp(pid, c->pid) == 0;
}

/* A deadline that has passed, with what it lets time for, is not told anew; and it does not move by coming and going. */
static void a_deadline_ends_meanwhile(void **state)
{
	struct client guest;
	char text[4096];
	unsigned times = 0;

	(void)state;
	start(&(struct sio_options){ 0 }, false);
	arrive(&guest);
	uint64_t began_ns = clock_now_ns(),
		 end_ns = harness_slower() * (EXPIRES_MS + GRACE_MS) * CLOCK_NS_PER_MS;
	say_and_leave(&guest, "42[\"expire\"]" NEXT "1");
	while (comes_back(&guest, text)) {
		(void)served_ask(
			guest.fd, "POST", guest.target, "1", NULL); /* it may have been sent away just then */
		close(guest.fd);
		WAIT_FOR(atomic_load(&left) == atomic_load(&connected));
		times++;
		assert_true(clock_now_ns() - began_ns < 20 * end_ns);
	}
	assert_true(times > 0 || clock_now_ns() - began_ns >= end_ns);
	say_and_leave(&guest, "42[\"expire\"]" NEXT "1");
	struct timespec pause = { .tv_sec = (time_t)(2 * end_ns / 1000000000),
		.tv_nsec = (long)(2 * end_ns % 1000000000) };
	assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL), 0);
	assert_false(comes_back(&guest, text));
	close(guest.fd);
	served_finish(&s);
}

static void a_connection_that_is_closed_comes_back(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start(&(struct sio_options){ 0 }, false);
	arrive(&guest);
	say_and_leave(&guest, "42[\"cut\"]");
	assert_true(comes_back(&guest, text));
	close(guest.fd);
	served_finish(&s);
}

static void who_is_banned_meanwhile_stays_away(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start(&(struct sio_options){ 0 }, false);
	arrive(&guest);
	say_and_leave(&guest, "42[\"ban and cut\"]");
	assert_false(comes_back(&guest, text));
	say_and_leave(&guest, "42[\"ban and cut\",\"by id\"]");
	assert_false(comes_back(&guest, text));
	close(guest.fd);
	served_finish(&s);
}

/* The connection has broken, and "disconnect" is called: an answer is given just then. */
static void answers_in_the_moment_of_the_break(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start(&(struct sio_options){ 0 }, false);
	arrive(&guest);
	say_and_leave(&guest, "427[\"hold\"]" NEXT "1");
	assert_true(comes_back(&guest, text));
	assert_int_equal(count_of(text, "437[\"late\"]"), 1);
	close(guest.fd);
	served_finish(&s);
}

static void middleware_may_give_others(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start(&(struct sio_options){ 0 }, true);
	arrive(&guest);
	say_and_leave(&guest, "1");
	assert_true(comes_back(&guest, text)); /* gives */
	assert_ptr_equal(atomic_load(&data_seen), given);
	assert_ptr_equal(atomic_load(&before_seen), kept);
	assert_string_equal(atomic_load(&label_seen), "given");
	assert_int_equal(atomic_load(&destroyed), 1);
	say_and_leave(&guest, "1");
	assert_true(comes_back(&guest, text)); /* gives nothing */
	assert_ptr_equal(atomic_load(&data_seen), given);
	assert_null(atomic_load(&before_seen));
	assert_string_equal(atomic_load(&label_seen), "given");
	close(guest.fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), 2);
}

/* What is destroyed for it may send away whom it likes, also who is just coming back. */
static void data_of_before_sends_it_away(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start(&(struct sio_options){ 0 }, true);
	arrive(&guest);
	say_and_leave(&guest, "1");
	atomic_store(&destroy_sends_away, true);
	assert_true(comes_back(&guest, text)); /* gives */
	assert_ptr_equal(atomic_load(&data_seen), given);
	WAIT_FOR(atomic_load(&left) == 2 && atomic_load(&destroyed) == 2);
	close(guest.fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&left), atomic_load(&connected));
}

/* What a loop holds, as it sees it. */
struct holds {
	size_t kept, resent;
	uint64_t past_root, past_two;
};

static uint64_t past_of(const struct sio_space *space)
{
	const struct sio_backlog *b = space->loops[0].backlog;

	return b == NULL ? 0 : b->next_place - b->first_place;
}

static void see(struct net_loop *loop, void *ctx)
{
	struct holds *h = ctx;

	(void)loop;
	*h = (struct holds){
		.kept = s.io->loops[0].kept_bytes,
		.resent = s.io->loops[0].resent_bytes,
		.past_root = past_of(root),
		.past_two = past_of(two),
	};
}

static struct holds held_now(void)
{
	struct holds h;

	harness_call(&s.h, 0, see, &h);
	return h;
}

/* Names of rooms are what a client may make much of. */
static void who_holds_much_goes_first(void **state)
{
	struct client first, second;
	char text[4096];

	(void)state;
	_Static_assert((size_t)ROOMS * ROOM_NAME_BYTES * 2 > (size_t)SIO_KEPT_BYTES_MAX &&
			       (size_t)ROOMS * ROOM_NAME_BYTES < (size_t)SIO_KEPT_BYTES_MAX,
		"one of them fits");
	start(&(struct sio_options){ 0 }, false);
	arrive(&first);
	arrive(&second);
	say_and_leave(&first, "42[\"rooms\"]" NEXT "1");
	assert_true(held_now().kept > (size_t)ROOMS * ROOM_NAME_BYTES);
	say_and_leave(&second, "42[\"rooms\"]" NEXT "1");
	assert_true(held_now().kept <= SIO_KEPT_BYTES_MAX);
	assert_false(comes_back(&first, text));
	assert_true(comes_back(&second, text));
	close(first.fd);
	close(second.fd);
	served_finish(&s);
}

/* Polls until `what` has come so often. */
static void poll_for(struct client *c, const char *what, unsigned times)
{
	unsigned got = 0;

	while (got < times) {
		struct buf body;

		assert_int_equal(served_ask(c->fd, "GET", c->target, "", &body), 200);
		assert_true(buf_append(&body, "", 1));
		got += count_of((const char *)body.data, what);
		buf_finish(&body);
	}
	assert_int_equal(got, times);
}

/* Each fits into a client's queue, both do not. */
static void several_namespaces_at_once(void **state)
{
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES];
	struct sio_stats stats;

	(void)state;
	_Static_assert(2 * MANY * 140 > QUEUE_BYTES, "not both at once");
	start(&(struct sio_options){ .queue_bytes_max = QUEUE_BYTES }, false);
	arrive(&guest);
	memcpy(pid, guest.pid, sizeof(pid));
	assert_int_equal(served_ask(guest.fd, "POST", guest.target, "40/two,", NULL), 200);
	joined(&guest, text);
	say_and_leave(&guest, "1");
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(sio_emit(sio_all(root), "said", sio_json("[\"in one\"]")), 0);
		assert_int_equal(sio_emit(sio_all(two), "said", sio_json("[\"in two\"]")), 0);
	}
	open_on(&s, &guest, 0);
	snprintf(text, sizeof(text), "40{\"pid\":\"%s\"}" NEXT "40/two,{\"pid\":\"%s\"}", pid, guest.pid);
	assert_int_equal(served_ask(guest.fd, "POST", guest.target, text, NULL), 200);
	poll_for(&guest, "\"said\"", 2 * MANY);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.sockets_recovered, 2);
	assert_int_equal(stats.queue_overflows, 0);
	close(guest.fd);
	served_finish(&s);
}

static void say_much(unsigned count)
{
	static char large[LARGE_BYTES + 8];

	memset(large, 'x', sizeof(large));
	memcpy(large, "[\"", 2);
	memcpy(large + LARGE_BYTES, "\"]", 3);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(sio_emit(sio_all(root), "said", sio_json(large)), 0);
}

/* It is not held then, but it comes. */
static void more_than_may_be_held_is_sent_all_the_same(void **state)
{
	struct client guest;
	char pid[SIO_SID_BYTES];

	(void)state;
	_Static_assert(2 * LARGE_COUNT * LARGE_BYTES > SIO_RESENT_BYTES_MAX, "more than may be held");
	start(&(struct sio_options){ .queue_bytes_max = 3 * LARGE_COUNT * LARGE_BYTES }, false);
	arrive(&guest);
	say_and_leave(&guest, "1");
	say_much(2 * LARGE_COUNT);
	memcpy(pid, guest.pid, sizeof(pid));
	open_on(&s, &guest, 0);
	join(&guest, pid, NULL);
	poll_for(&guest, "\"said\"", 2 * LARGE_COUNT);
	assert_int_equal(atomic_load(&recovered), 1);
	assert_int_equal(held_now().resent, 0);
	close(guest.fd);
	served_finish(&s);
}

/* What was sent again is held for who is cut while it comes; not for everybody. */
static void what_was_sent_again_is_bounded(void **state)
{
	struct client guests[2];
	char pid[SIO_SID_BYTES];
	struct sio_stats stats;

	(void)state;
	start(&(struct sio_options){ .queue_bytes_max = 3 * LARGE_COUNT * LARGE_BYTES }, false);
	arrive(&guests[0]);
	arrive(&guests[1]);
	say_and_leave(&guests[0], "1");
	say_and_leave(&guests[1], "1");
	say_much(LARGE_COUNT);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(pid, guests[i].pid, sizeof(pid));
		open_on(&s, &guests[i], 0);
		join(&guests[i], pid, NULL);
		poll_for(&guests[i], "\"said\"", LARGE_COUNT);
	}
	assert_int_equal(atomic_load(&recovered), 2);
	assert_true(held_now().resent > (size_t)LARGE_COUNT * LARGE_BYTES);
	assert_true(held_now().resent <= SIO_RESENT_BYTES_MAX);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.resent_forgotten, 1);
	close(guests[0].fd);
	close(guests[1].fd);
	served_finish(&s);
}

/* What was sent again is in its queue, and held no more: who says nothing of what it has had cannot be sent the rest. */
static void who_took_nothing_is_not_told_that_it_has_all(void **state)
{
	uint32_t window_ms = 100 * harness_slower();
	struct timespec pause = { .tv_sec = 2 * window_ms / 1000,
		.tv_nsec = 2 * window_ms % 1000 * 1000000L };
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	start_keeping(window_ms, &(struct sio_options){ 0 }, false);
	arrive(&guest);
	memcpy(pid, guest.pid, sizeof(pid));
	say_and_leave(&guest, "1");
	assert_int_equal(sio_emit(sio_all(root), "said", sio_json("[1]")), 0);
	open_on(&s, &guest, 0);
	join(&guest, pid, NULL);
	WAIT_FOR(atomic_load(&recovered) == 1);
	assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL), 0);
	say_and_leave(&guest, "1");
	open_on(&s, &guest, 0);
	join(&guest, pid, "none");
	joined(&guest, text);
	assert_string_not_equal(guest.pid, pid);
	close(guest.fd);
	served_finish(&s);
}

/* Nothing is kept of what is said where nobody is. */
static void for_nobody_nothing_is_kept(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start(&(struct sio_options){ 0 }, false);
	arrive(&guest);
	assert_int_equal(sio_emit(sio_all(two), "said", sio_json("[1]")), 0);
	assert_int_equal(sio_emit(sio_all(root), "said", sio_json("[2]")), 0);
	poll_until(&guest, text, "[\"said\",2");
	assert_int_equal(held_now().past_two, 0);
	assert_int_equal(held_now().past_root, 1);
	close(guest.fd);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deadline_ends_meanwhile),
		cmocka_unit_test(a_connection_that_is_closed_comes_back),
		cmocka_unit_test(who_is_banned_meanwhile_stays_away),
		cmocka_unit_test(answers_in_the_moment_of_the_break),
		cmocka_unit_test(middleware_may_give_others),
		cmocka_unit_test(data_of_before_sends_it_away),
		cmocka_unit_test(who_holds_much_goes_first),
		cmocka_unit_test(several_namespaces_at_once),
		cmocka_unit_test(more_than_may_be_held_is_sent_all_the_same),
		cmocka_unit_test(what_was_sent_again_is_bounded),
		cmocka_unit_test(who_took_nothing_is_not_told_that_it_has_all),
		cmocka_unit_test(for_nobody_nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
