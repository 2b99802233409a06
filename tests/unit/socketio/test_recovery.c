/*
 * Who comes back on another loop than the one it was on: what that loop is ahead or behind; identities that are handed on and on; the
 * end of the server, and of memory, at any time.
 *
 * An emit is handed to loop 0, then to loop 2; the emitter, loop 1, is held up between the two, where it makes the second message.
 */
#include "base/clock.h"
#include "guest.h"
#include "lib/failing_alloc.h"

enum { LOOPS = 3, EMITTER = 1 };

static struct served s;
static struct sio_space *root;
static atomic_bool holds, held;
static atomic_int emitted;
static atomic_uint destroyed, connected, recovered;
static char kept[] = "kept";

/* While it emits. The messages are the only two things of one size, one behind the other. */
static void on_alloc(size_t bytes)
{
	static _Thread_local size_t before;
	bool second = bytes == before;

	before = bytes;
	if (!second || !atomic_load(&holds))
		return;
	atomic_store(&held, true);
	while (atomic_load(&holds))
		;
}

static void on_emit(const struct sio_event *e)
{
	char text[32];

	(void)e;
	snprintf(text, sizeof(text), "[%d]", atomic_fetch_add(&emitted, 1));
	failing_alloc_watch(on_alloc);
	assert(sio_emit(sio_all(root), "said", sio_json(text)) == 0);
	failing_alloc_watch(NULL);
}

static void destroy(void *data)
{
	assert(data == kept);
	atomic_fetch_add(&destroyed, 1);
}

static void on_connection(const struct sio_event *e)
{
	(void)!failing_alloc_disarm();
	assert(sio_recovered(e->socket) == (sio_data(e->socket) != NULL));
	atomic_fetch_add(&connected, 1);
	if (sio_recovered(e->socket))
		atomic_fetch_add(&recovered, 1);
	else
		sio_set_data(e->socket, kept, destroy);
}

static void on_echo(const struct sio_event *e)
{
	(void)sio_answer(e->ack, e->args);
}

/* Said to itself alone, and so much that a small backlog keeps nothing else. */
static void on_fill(const struct sio_event *e)
{
	static char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "[\"", 2);
	memcpy(text + sizeof(text) - 3, "\"]", 2);
	for (unsigned i = 0; i < 2; i++)
		assert(sio_emit(sio_self(e->socket), "filled", sio_json(text)) == 0);
}

static void start_with(uint32_t loops, struct sio_recovery recovery)
{
	atomic_store(&holds, false);
	atomic_store(&held, false);
	atomic_store(&emitted, 0);
	atomic_store(&destroyed, 0);
	atomic_store(&connected, 0);
	atomic_store(&recovered, 0);
	served_create(&s, &(struct sio_options){ .threads = loops, .recovery = &recovery });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "emit", on_emit, NULL), 0);
	assert_int_equal(sio_on(root, "echo", on_echo, NULL), 0);
	assert_int_equal(sio_on(root, "fill", on_fill, NULL), 0);
	served_run(&s);
}

static void start(uint32_t loops)
{
	start_with(loops, (struct sio_recovery){ .window_ms = 60000 });
}

/* From one loop to the other while an event is between them. */
static void moves(uint32_t from, uint32_t to)
{
	struct client all[LOOPS], guest;
	char text[4096];

	start(LOOPS);
	for (uint32_t i = 0; i < LOOPS; i++) {
		open_on(&s, &all[i], i);
		join(&all[i], NULL, NULL);
		joined(&all[i], text);
	}
	open_on(&s, &guest, from);
	join(&guest, NULL, NULL);
	joined(&guest, text);
	leave(&guest);
	WAIT_FOR(atomic_load(&connected) == LOOPS + 1);
	char pid[SIO_SID_BYTES];
	memcpy(pid, guest.pid, sizeof(pid));
	open_on(&s, &guest, to); /* before a loop stands still */
	atomic_store(&holds, true);
	client_send_text(all[EMITTER].fd, "POST ");
	client_send_text(all[EMITTER].fd, all[EMITTER].target);
	client_send_text(all[EMITTER].fd, " HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n42[\"emit\"]");
	WAIT_FOR(atomic_load(&held));
	poll_until(&all[0], text, "[\"said\",0"); /* loop 0 has had it, loop 2 has not */
	join(&guest, pid, NULL);
	for (unsigned i = 0; i < 8; i++) {
		echo(&all[0]);
		echo(&all[2]);
	}
	assert_int_equal(atomic_load(&recovered), 0); /* it waits */
	atomic_store(&holds, false);
	joined(&guest, text);
	assert_string_equal(guest.pid, pid);
	assert_int_equal(count_of(text, "[\"said\",0"), 1);
	assert_int_equal(served_ask(all[0].fd, "POST", all[0].target, "42[\"emit\"]", NULL), 200);
	poll_until(&guest, text, "[\"said\",1");
	assert_int_equal(count_of(text, "[\"said\""), 1);
	for (uint32_t i = 0; i < LOOPS; i++)
		close(all[i].fd);
	close(guest.fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), LOOPS + 1);
}

static void new_loop_is_behind(void **state)
{
	(void)state;
	moves(0, 2);
}

/* With a polling client on it to tell when loop 2 waits, loop 0 is the one that is ahead. */
static void new_loop_is_ahead(void **state)
{
	struct client all[LOOPS], guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	start(LOOPS);
	for (uint32_t i = 0; i < LOOPS; i++) {
		open_on(&s, &all[i], i);
		join(&all[i], NULL, NULL);
		joined(&all[i], text);
	}
	open_on(&s, &guest, 2);
	join(&guest, NULL, NULL);
	joined(&guest, text);
	leave(&guest);
	memcpy(pid, guest.pid, sizeof(pid));
	WAIT_FOR(atomic_load(&connected) == LOOPS + 1);
	open_on(&s, &guest, 0);
	atomic_store(&holds, true);
	client_send_text(all[EMITTER].fd, "POST ");
	client_send_text(all[EMITTER].fd, all[EMITTER].target);
	client_send_text(all[EMITTER].fd, " HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n42[\"emit\"]");
	WAIT_FOR(atomic_load(&held));
	poll_until(&all[0], text, "[\"said\",0");
	join(&guest, pid, NULL);
	joined(&guest, text); /* at once: its new loop has had all that its old one had */
	assert_string_equal(guest.pid, pid);
	assert_int_equal(count_of(text, "[\"said\",0"), 1);
	atomic_store(&holds, false);
	assert_int_equal(served_ask(all[0].fd, "POST", all[0].target, "42[\"emit\"]", NULL), 200);
	poll_until(&guest, text, "[\"said\",1");
	assert_int_equal(count_of(text, "[\"said\""), 1);
	for (uint32_t i = 0; i < LOOPS; i++)
		close(all[i].fd);
	close(guest.fd);
	served_finish(&s);
}

/* Round and round; each time something is said meanwhile, and the same identity is asked for by the first loop. */
static void on_and_on(void **state)
{
	struct client talker, guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	start(LOOPS);
	open_on(&s, &talker, 0);
	join(&talker, NULL, NULL);
	joined(&talker, text);
	open_on(&s, &guest, 1);
	join(&guest, NULL, NULL);
	joined(&guest, text);
	memcpy(pid, guest.pid, sizeof(pid));
	for (unsigned i = 0; i < 12; i++) {
		char said[32];

		leave(&guest);
		WAIT_FOR(atomic_load(&connected) == 2 + i);
		assert_int_equal(served_ask(talker.fd, "POST", talker.target, "42[\"emit\"]", NULL), 200);
		open_on(&s, &guest, i % LOOPS);
		join(&guest, pid, i == 0 ? NULL : guest.offset);
		joined(&guest, text);
		assert_string_equal(guest.pid, pid);
		snprintf(said, sizeof(said), "[\"said\",%u", i);
		assert_int_equal(count_of(text, said), 1);
		assert_int_equal(count_of(text, "[\"said\""), 1);
		heard(&guest, text);
	}
	assert_int_equal(atomic_load(&recovered), 12);
	close(guest.fd);
	close(talker.fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), 2);
}

/* Several ask for it at once: one is it, the others are new; whoever comes later takes it over. */
static void asked_for_by_many(void **state)
{
	struct client guests[6];
	char text[4096], pid[SIO_SID_BYTES];
	unsigned same = 0;

	(void)state;
	start(LOOPS);
	open_on(&s, &guests[0], 0);
	join(&guests[0], NULL, NULL);
	joined(&guests[0], text);
	memcpy(pid, guests[0].pid, sizeof(pid));
	leave(&guests[0]);
	for (unsigned i = 1; i < 6; i++)
		open_on(&s, &guests[i], i % LOOPS);
	for (unsigned i = 1; i < 6; i++)
		join(&guests[i], pid, NULL);
	WAIT_FOR(atomic_load(&connected) == 6);
	for (unsigned i = 1; i < 6; i++) {
		char last[4096];

		last[0] = '\0';
		joined(&guests[i], last);
		same += strcmp(guests[i].pid, pid) == 0;
		close(guests[i].fd);
	}
	assert_true(same >= 1);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), 6 - atomic_load(&recovered));
}

/* The server ends with identities kept, and on their way. */
static void stopped_under_way(void **state)
{
	struct client guests[6];
	char text[4096], pids[6][SIO_SID_BYTES];

	(void)state;
	start(LOOPS);
	for (unsigned i = 0; i < 6; i++) {
		open_on(&s, &guests[i], i % LOOPS);
		join(&guests[i], NULL, NULL);
		joined(&guests[i], text);
		memcpy(pids[i], guests[i].pid, sizeof(pids[i]));
		leave(&guests[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		open_on(&s, &guests[i], (i + 1) % LOOPS);
		join(&guests[i], pids[i], NULL);
	}
	served_end(&s);
	for (unsigned i = 0; i < 3; i++)
		close(guests[i].fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), atomic_load(&connected) - atomic_load(&recovered));
}

static void say(struct client *talker, const char *event)
{
	assert_int_equal(served_ask(talker->fd, "POST", talker->target, event, NULL), 200);
}

/* A talker, and a guest that has heard event 0, or nothing, and was away for event 1. */
static void miss_one(struct client *talker, struct client *guest, bool hears, char pid[SIO_SID_BYTES])
{
	char text[4096];

	open_on(&s, talker, 0);
	join(talker, NULL, NULL);
	joined(talker, text);
	open_on(&s, guest, 0);
	join(guest, NULL, NULL);
	joined(guest, text);
	memcpy(pid, guest->pid, SIO_SID_BYTES);
	if (hears) {
		say(talker, "42[\"emit\"]");
		poll_until(guest, text, "[\"said\",0");
		heard(guest, text);
	}
	leave(guest);
	say(talker, "42[\"emit\"]");
	open_on(&s, guest, 0);
	join(guest, pid, hears ? guest->offset : NULL);
}

/* Its last event is no more kept, but known by its offset: what it was sent when it came back does not come again. */
static void comes_back_twice(void **state)
{
	struct client talker, guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	start_with(1, (struct sio_recovery){ .window_ms = 60000, .backlog_bytes_max = 4000 });
	miss_one(&talker, &guest, true, pid);
	joined(&guest, text);
	assert_int_equal(count_of(text, "[\"said\",1"), 1);
	say(&talker, "42[\"emit\"]");
	poll_until(&guest, text, "[\"said\",2");
	heard(&guest, text);
	say(&talker, "42[\"fill\"]");
	leave(&guest);
	open_on(&s, &guest, 0);
	join(&guest, pid, guest.offset);
	joined(&guest, text);
	assert_string_equal(guest.pid, pid);
	assert_int_equal(count_of(text, "[\"said\""), 0);
	close(guest.fd);
	close(talker.fd);
	served_finish(&s);
}

/* It was sent what it had missed, and took none of it until that was not kept any more: then it is new, and knows it. */
static void take_nothing(bool hears)
{
	struct client talker, guest;
	char text[4096], pid[SIO_SID_BYTES];
	uint32_t window_ms = 50;

	start_with(1, (struct sio_recovery){ .window_ms = window_ms });
	miss_one(&talker, &guest, hears, pid);
	uint64_t began_ns = clock_now_ns();
	WAIT_FOR(clock_now_ns() - began_ns > 4 * window_ms * CLOCK_NS_PER_MS);
	int old = guest.fd;
	open_on(&s, &guest, 0);
	join(&guest, pid, hears ? guest.offset : NULL);
	joined(&guest, text);
	assert_string_not_equal(guest.pid, pid);
	close(old);
	close(guest.fd);
	close(talker.fd);
	served_finish(&s);
}

static void takes_nothing(void **state)
{
	(void)state;
	take_nothing(true);
}

static void takes_nothing_and_has_had_nothing(void **state)
{
	(void)state;
	take_nothing(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_loop_is_behind),
		cmocka_unit_test(new_loop_is_ahead),
		cmocka_unit_test(on_and_on),
		cmocka_unit_test(asked_for_by_many),
		cmocka_unit_test(stopped_under_way),
		cmocka_unit_test(comes_back_twice),
		cmocka_unit_test(takes_nothing),
		cmocka_unit_test(takes_nothing_and_has_had_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
