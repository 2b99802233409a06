/*
 * What must not become of recovery: events in another order on their own loop, who was sent away, deadlines, names that change, and what
 * is destroyed when the server ends.
 */
#include "guest.h"
#include "sio/stats.h"
#include "socketio/recovery_int.h"

enum { EXPIRES_MS = 100, GRACE_MS = 100 };

static struct served s;
static struct sio_space *root, *second;
static atomic_int emitted;
static atomic_uint connected, recovered, left, left_other, destroyed, expired;
static char sids[2][SIO_SID_BYTES]; /* at the last "connection", and at the last "disconnect" */
static char kept[] = "kept";

/* When the server ends, too: figures may be asked for. */
static void destroy(void *data)
{
	struct sio_stats stats;

	assert(data == kept);
	sio_stats(s.io, &stats);
	assert(stats.sockets_connected > 0);
	atomic_fetch_add(&destroyed, 1);
}

static void on_connection(const struct sio_event *e)
{
	sio_sid(e->socket, sids[0]);
	if (!sio_recovered(e->socket))
		sio_set_data(e->socket, kept, destroy);
	atomic_fetch_add(&recovered, sio_recovered(e->socket));
	atomic_fetch_add(&connected, 1);
}

static void on_disconnect(const struct sio_event *e)
{
	sio_sid(e->socket, sids[1]);
	atomic_fetch_add(&left, 1);
}

static void say(struct sio_socket *socket, void *ctx)
{
	char text[32];

	(void)socket;
	(void)ctx;
	snprintf(text, sizeof(text), "[%d]", atomic_fetch_add(&emitted, 1));
	assert(sio_emit(sio_all(root), "said", sio_json(text)) == 0);
}

/* The first to have a number is put off, and comes behind the second on its own loop alone. */
static void on_swap(const struct sio_event *e)
{
	assert(sio_with(root, sio_id(e->socket), say, NULL) == 0);
	say(NULL, NULL);
}

static void nothing(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
}

static void on_ban(const struct sio_event *e)
{
	assert(sio_with(root, sio_id(e->socket), nothing, NULL) == 0);
	sio_disconnect(e->socket, true);
}

/* None of these closes a connection: the socket has not joined, leaves already, or has gone. */
static enum sio_verdict admit(const struct sio_event *e, struct sio_refusal *refusal)
{
	(void)refusal;
	sio_disconnect(e->socket, true);
	return SIO_ADMIT;
}

static void on_leave(const struct sio_event *e)
{
	assert(sio_with(root, sio_id(e->socket), nothing, NULL) == 0);
	sio_disconnect(e->socket, false);
	sio_disconnect(e->socket, true);
}

static void on_other_disconnect(const struct sio_event *e)
{
	sio_disconnect(e->socket, true);
	atomic_fetch_add(&left_other, 1);
}

static void on_expire(const struct sio_event *e)
{
	assert(sio_set_expiry(e->socket, EXPIRES_MS, GRACE_MS) == 0);
}

static void on_expired(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&expired, 1);
}

static void start(uint32_t loops)
{
	static const struct sio_recovery recovery = { .window_ms = 60000 };
	const struct {
		const char *event;
		sio_handler_fn *fn;
	} handlers[] = {
		{ "connection", on_connection },
		{ "disconnect", on_disconnect },
		{ "swap", on_swap },
		{ "ban", on_ban },
		{ "leave", on_leave },
		{ "expire", on_expire },
		{ "expired", on_expired },
	};
	atomic_uint *counts[] = { &connected, &recovered, &left, &left_other, &destroyed, &expired };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		atomic_store(counts[i], 0);
	atomic_store(&emitted, 0);
	served_create(&s, &(struct sio_options){ .threads = loops, .recovery = &recovery });
	root = sio_of(s.io, "/");
	second = sio_of(s.io, "/other");
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		assert_int_equal(sio_on(root, handlers[i].event, handlers[i].fn, NULL), 0);
	assert_int_equal(sio_use(second, admit, NULL), 0);
	assert_int_equal(sio_on(second, "leave", on_leave, NULL), 0);
	assert_int_equal(sio_on(second, "disconnect", on_other_disconnect, NULL), 0);
	served_run(&s);
}

static void arrive(struct client *c, uint32_t loop, char text[4096])
{
	open_on(&s, c, loop);
	join(c, NULL, NULL);
	joined(c, text);
}

static void moves_behind_swapped_events(uint32_t from, uint32_t to)
{
	struct client talker, other, guest;
	char text[4096], pid[SIO_SID_BYTES];

	start(2);
	arrive(&talker, 0, text);
	arrive(&other, 1, text);
	arrive(&guest, from, text);
	memcpy(pid, guest.pid, sizeof(pid));
	leave(&guest);
	WAIT_FOR(atomic_load(&left) == 1);
	assert_int_equal(served_ask(talker.fd, "POST", talker.target, "42[\"swap\"]", NULL), 200);
	poll_until(&other, text, "[\"said\",1");
	open_on(&s, &guest, to);
	join(&guest, pid, NULL);
	joined(&guest, text);
	assert_string_equal(guest.pid, pid);
	assert_int_equal(count_of(text, "[\"said\",0"), 1);
	assert_int_equal(count_of(text, "[\"said\",1"), 1);
	close(talker.fd);
	close(other.fd);
	close(guest.fd);
	served_finish(&s);
}

static void swapped_on_their_own_loop(void **state)
{
	(void)state;
	moves_behind_swapped_events(0, 1);
	moves_behind_swapped_events(1, 0);
}

/* However it closes in the moment before it is sent away. */
static void who_was_sent_away_stays_away(void **state)
{
	/* With its connection, or from its namespace alone. */
	static const char *const ways[] = { "42[\"ban\"]" NEXT "1", "42[\"leave\"]" NEXT "1" };
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		start(1);
		arrive(&guest, 0, text);
		memcpy(pid, guest.pid, sizeof(pid));
		assert_int_equal(served_ask(guest.fd, "POST", guest.target, ways[i], NULL), 200);
		close(guest.fd);
		WAIT_FOR(atomic_load(&left) == 1);
		open_on(&s, &guest, 0);
		join(&guest, pid, NULL);
		joined(&guest, text);
		assert_string_not_equal(guest.pid, pid);
		close(guest.fd);
		served_finish(&s);
		assert_int_equal(atomic_load(&recovered), 0);
		assert_int_equal(atomic_load(&destroyed), 2);
	}
}

/* Its client's other socket was to be sent away where that did nothing: neither is banned. */
static void who_was_not_sent_away_comes_back(void **state)
{
	static const struct {
		const char *says;
		unsigned others; /* that have left by then */
	} cases[] = {
		{ "40/other,", 0 },
		{ "40/other," NEXT "42/other,[\"leave\"]", 1 },
		{ "40/other," NEXT "41/other,", 1 },
	};
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(1);
		arrive(&guest, 0, text);
		memcpy(pid, guest.pid, sizeof(pid));
		assert_int_equal(served_ask(guest.fd, "POST", guest.target, cases[i].says, NULL), 200);
		WAIT_FOR(atomic_load(&left_other) == cases[i].others);
		leave(&guest);
		WAIT_FOR(atomic_load(&left) == 1);
		open_on(&s, &guest, 0);
		join(&guest, pid, NULL);
		joined(&guest, text);
		assert_string_equal(guest.pid, pid);
		close(guest.fd);
		served_finish(&s);
	}
}

static void a_deadline_comes_along(void **state)
{
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	start(1);
	arrive(&guest, 0, text);
	memcpy(pid, guest.pid, sizeof(pid));
	assert_int_equal(served_ask(guest.fd, "POST", guest.target, "42[\"expire\"]" NEXT "1", NULL), 200);
	close(guest.fd);
	WAIT_FOR(atomic_load(&left) == 1);
	open_on(&s, &guest, 0);
	join(&guest, pid, NULL);
	joined(&guest, text);
	assert_string_equal(guest.pid, pid);
	WAIT_FOR(atomic_load(&left) == 2); /* it has given no new proof */
	assert_int_equal(atomic_load(&expired), 1);
	close(guest.fd);
	served_finish(&s);
}

/* From "connection" to "disconnect", also of one that came back and goes for good. */
static void a_name_stays(void **state)
{
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES], first[SIO_SID_BYTES];

	(void)state;
	start(1);
	arrive(&guest, 0, text);
	memcpy(pid, guest.pid, sizeof(pid));
	memcpy(first, sids[0], sizeof(first));
	leave(&guest);
	WAIT_FOR(atomic_load(&left) == 1);
	assert_string_equal(sids[1], first);
	open_on(&s, &guest, 0);
	join(&guest, pid, NULL);
	joined(&guest, text);
	assert_string_equal(sids[0], first);
	assert_int_equal(served_ask(guest.fd, "POST", guest.target, "41", NULL), 200);
	WAIT_FOR(atomic_load(&left) == 2);
	assert_string_equal(sids[1], first);
	close(guest.fd);
	served_finish(&s);
}

/* One is there, one is kept: what they have is destroyed, and asks for figures. */
static void destroyed_at_the_end(void **state)
{
	struct client guests[2];
	char text[4096];

	(void)state;
	start(1);
	arrive(&guests[0], 0, text);
	arrive(&guests[1], 0, text);
	leave(&guests[0]);
	WAIT_FOR(atomic_load(&left) == 1);
	close(guests[1].fd);
	served_end(&s);
	assert_int_equal(atomic_load(&destroyed), 1);
	sio_destroy(s.io);
	assert_int_equal(atomic_load(&destroyed), 2);
}

/* It says an offset that is none, and it is not known what of the rest has left: that is no place. */
static void what_it_says_is_no_offset(void **state)
{
	static struct sio_server server = { .epoch = "epoch678" };
	static struct sio_loop at = { .server = &server };
	static struct sio_backlog b = { .at = &at, .first_place = 1, .next_place = 10 };
	struct sio_resent resent[1] = { 0 }; /* of who had come back without an offset, too */
	struct sio_recoverable r = {
		.backlog = &b, .resent = resent, .resent_count = 1, .has_come_back = true, .joined = 3
	};
	struct sio_cut cut;

	(void)state;
	r.last_place = r.closed = 5;
	r.sent = (struct sio_cut){ .resent = 1, .place = 4 };
	assert_true(sio_recoverable_cut(&r, true, STR("said"), &cut));
	assert_int_equal(cut.place, 4);
	r.sent_is_lost = true;
	assert_false(sio_recoverable_cut(&r, true, STR("said"), &cut));
	r.resent_count = 0;
	assert_false(sio_recoverable_cut(&r, true, STR("said"), &cut));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says_is_no_offset),
		cmocka_unit_test(swapped_on_their_own_loop),
		cmocka_unit_test(who_was_sent_away_stays_away),
		cmocka_unit_test(who_was_not_sent_away_comes_back),
		cmocka_unit_test(a_deadline_comes_along),
		cmocka_unit_test(a_name_stays),
		cmocka_unit_test(destroyed_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
