/* sio_with(): once, in order, with nobody where the socket has gone, within a bound, or not at all. */
#include <errno.h>

#include "lib/failing_alloc.h"
#include "served.h"

enum { SHARE_BYTES = 1 << 20, SHARES_MAX = 80, CALLS = 300 };

static struct served s;
static struct sio_space *root;
static struct sio_id id;
static atomic_uint connected, ran, without, within_call, shares;

static void on_run(struct sio_socket *socket, void *ctx)
{
	(void)ctx;
	assert(!atomic_load(&within_call));
	atomic_fetch_add(&ran, 1);
	atomic_fetch_add(&without, socket == NULL);
}

/* Within the handler: puts off, and emits behind it until no more can be put off. */
static void on_connection(const struct sio_event *e)
{
	id = sio_id(e->socket);
	if (e->ctx != NULL) {
		char *text = malloc(SHARE_BYTES);
		int rc = 0;

		assert(text != NULL);
		memset(text, '1', SHARE_BYTES);
		memcpy(text, "[\"", 2);
		memcpy(text + SHARE_BYTES - 2, "\"]", 2);
		atomic_store(&within_call, 1);
		assert(sio_with(root, id, on_run, NULL) == 0);
		struct sio_args args = { .json = { text, SHARE_BYTES } };
		while (rc == 0 && atomic_load(&shares) < SHARES_MAX) {
			rc = sio_emit(sio_self(e->socket), "share", args);
			atomic_fetch_add(&shares, rc == 0);
		}
		assert(rc == -ENOBUFS);
		assert(sio_disconnect_id(root, id, false) == 0); /* never refused */
		atomic_store(&within_call, 0);
		free(text);
	}
	atomic_fetch_add(&connected, 1);
}

static void start(uint32_t threads, void *ctx)
{
	atomic_store(&connected, 0);
	atomic_store(&ran, 0);
	atomic_store(&without, 0);
	atomic_store(&shares, 0);
	served_create(&s, &(struct sio_options){ .threads = threads, .queue_bytes_max = 256 << 20 });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, ctx), 0);
	served_run(&s);
}

/* A client in the namespace. */
static int join(void)
{
	int fd = client_connect(&s.h);
	char target[100];

	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
	WAIT_FOR(atomic_load(&connected) == 1);
	return fd;
}

static void with_a_socket_and_without(void **state)
{
	(void)state;
	start(2, NULL);
	int fd = join();
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(sio_with(root, id, on_run, NULL), 0);
	WAIT_FOR(atomic_load(&ran) == CALLS);
	assert_int_equal(atomic_load(&without), 0);
	/* Of another namespace, of no loop of ours, of a place where there was never anybody, and nobody. */
	struct sio_id odd[] = { id, id, id, { 0 } };
	odd[1].loop = 99;
	odd[2].slot = 1000;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(sio_with(root, odd[i], on_run, NULL), 0);
	WAIT_FOR(atomic_load(&ran) == CALLS + 4);
	assert_int_equal(atomic_load(&without), 3);
	assert_int_equal(sio_disconnect_id(root, id, false), 0);
	assert_int_equal(sio_with(root, id, on_run, NULL), 0);
	WAIT_FOR(atomic_load(&ran) == CALLS + 5);
	assert_int_equal(atomic_load(&without), 4);
	close(fd);
	served_finish(&s);
}

static void another_space_is_another_socket(void **state)
{
	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	struct sio_space *other = sio_of(s.io, "/other");
	atomic_store(&connected, 0);
	atomic_store(&ran, 0);
	atomic_store(&without, 0);
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	served_run(&s);
	int fd = join();
	assert_int_equal(sio_with(other, id, on_run, NULL), 0);
	WAIT_FOR(atomic_load(&ran) == 1);
	assert_int_equal(atomic_load(&without), 1);
	close(fd);
	served_finish(&s);
}

/* What is put off on a loop's own thread has the bound of what others may post. */
static void what_is_put_off_is_bounded(void **state)
{
	(void)state;
	start(1, "more");
	int fd = join();
	assert_true(atomic_load(&shares) >= 60 && atomic_load(&shares) <= 64);
	WAIT_FOR(atomic_load(&ran) >= 1);
	close(fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&connected), 1);
}

static void without_memory(void **state)
{
	(void)state;
	start(1, NULL);
	int fd = join();
	failing_alloc_arm(1);
	assert_int_equal(sio_with(root, id, on_run, NULL), -ENOMEM);
	assert_true(failing_alloc_disarm());
	assert_int_equal(sio_with(root, id, on_run, NULL), 0);
	WAIT_FOR(atomic_load(&ran) == 1);
	close(fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&ran), 1);
}

/* It has not been run, or has ended: then they are called when it is destroyed, by whom that does. */
static void when_it_is_destroyed(void **state)
{
	(void)state;
	start(2, NULL);
	int fd = join();
	served_end(&s);
	close(fd);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(sio_with(root, id, on_run, NULL), 0);
	assert_int_equal(atomic_load(&ran), 0);
	served_finish(&s);
	assert_int_equal(atomic_load(&ran), CALLS);
	assert_int_equal(atomic_load(&without), CALLS);
}

/* What a handler says and then sends its socket away for: said, whatever it has put off before. What comes after that is not heard. */
static void on_leave(const struct sio_event *e)
{
	struct sio_id nobody = { .loop = 0, .slot = 100000, .generation = 1 };

	assert(sio_with(root, nobody, on_run, NULL) == 0);
	assert(sio_emit(sio_self(e->socket), "bye", sio_json("[]")) == 0);
	assert(sio_answer(e->ack, sio_json("[\"gone\"]")) == 0);
	if (e->ctx != NULL)
		sio_connection_close(e->socket);
	else
		sio_disconnect(e->socket, false);
	sio_disconnect(e->socket, true); /* it goes as it was first said */
}

static void on_heard(const struct sio_event *e)
{
	(void)e;
	assert(false);
}

static void sent_away_in_order(void **state)
{
	static char cut[] = "cut";
	char target[100];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		served_create(&s, &(struct sio_options){ .threads = 1 });
		root = sio_of(s.io, "/");
		assert_int_equal(sio_on(root, "leave", on_leave, i == 0 ? NULL : cut), 0);
		assert_int_equal(sio_on(root, "heard", on_heard, NULL), 0);
		served_run(&s);
		int fd = client_connect(&s.h);
		assert_true(served_open(fd, target));
		assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
		assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
		assert_int_equal(served_ask(fd, "POST", target,
					 "420[\"leave\"]\x1e"
					 "42[\"heard\"]",
					 NULL),
			200);
		served_expect(fd, target,
			i == 0 ? "42[\"bye\"]\x1e"
				 "430[\"gone\"]\x1e"
				 "41"
			       : "42[\"bye\"]\x1e"
				 "430[\"gone\"]");
		close(fd);
		served_finish(&s);
	}
}

enum by { BY_ANY, BY_FILTER }; /* who sends it away */
static enum by by;
static atomic_uint filtered;
static struct sio_space
	*with_close; /* where its connection is closed, too; in the other it leaves but its namespace */

static void send_away_behind(struct sio_socket *socket)
{
	struct sio_id nobody = { .loop = 0, .slot = 100000, .generation = 1 };

	assert(sio_with(root, nobody, on_run, NULL) == 0);
	sio_disconnect(socket, sio_space_of(socket) == with_close);
}

static void on_each_event(const struct sio_event *e)
{
	if (by == BY_ANY)
		send_away_behind(e->socket);
}

static bool filter(const struct sio_event *e)
{
	atomic_fetch_add(&filtered, 1);
	if (by == BY_FILTER)
		send_away_behind(e->socket);
	return true;
}

/* Neither the filters behind who sends it away nor the event's handler hear of it, although it goes only when its turn comes. */
static void who_is_sent_away_is_not_heard(void **state)
{
	char target[100];

	(void)state;
	for (by = BY_ANY; by <= BY_FILTER; by++) {
		atomic_store(&filtered, 0);
		served_create(&s, &(struct sio_options){ .threads = 1 });
		root = sio_of(s.io, "/");
		with_close = sio_of(s.io, "/close");
		struct sio_space *const spaces[] = { root, with_close };
		for (size_t i = 0; i < 2; i++) {
			sio_on_any(spaces[i], on_each_event, NULL);
			assert_int_equal(sio_use_events(spaces[i], filter, NULL), 0);
			assert_int_equal(sio_use_events(spaces[i], filter, NULL), 0);
			assert_int_equal(sio_on(spaces[i], "heard", on_heard, NULL), 0);
		}
		served_run(&s);
		int fd = client_connect(&s.h);
		assert_true(served_open(fd, target));
		assert_int_equal(served_ask(fd, "POST", target,
					 "40\x1e"
					 "40/close,",
					 NULL),
			200);
		assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
		assert_int_equal(served_ask(fd, "POST", target,
					 "42[\"heard\"]\x1e"
					 "42/close,[\"heard\"]",
					 NULL),
			200);
		served_expect(fd, target,
			"41\x1e"
			"41/close,\x1e"
			"1");
		assert_int_equal(atomic_load(&filtered), by == BY_ANY ? 0 : 2);
		close(fd);
		served_finish(&s);
	}
}

/* Of one client: whose handler closes its connection, and who is sent away from its namespace before that is done. */
static struct sio_id a, b;
static atomic_uint gone;

static void on_joined(const struct sio_event *e)
{
	*(sio_space_of(e->socket) == root ? &a : &b) = sio_id(e->socket);
}

static void on_gone(const struct sio_event *e)
{
	static const char namespace_alone[] = "server namespace disconnect";

	assert(e->reason.bytes == sizeof(namespace_alone) - 1 &&
		memcmp(e->reason.s, namespace_alone, e->reason.bytes) == 0);
	atomic_fetch_add(&gone, 1);
}

static void send_b_away(struct sio_socket *socket, void *other)
{
	assert(socket != NULL);
	assert(sio_disconnect_id(root, a, false) == 0); /* its connection goes all the same */
	assert(sio_disconnect_id(other, b, false) == 0);
}

static void on_close(const struct sio_event *e)
{
	assert(sio_with(root, a, send_b_away, e->ctx) == 0);
	sio_connection_close(e->socket);
}

/* B is told, by which its client stays away, and its handler hears why. */
static void one_leaves_and_then_all(void **state)
{
	char target[100];

	(void)state;
	atomic_store(&gone, 0);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	struct sio_space *other = sio_of(s.io, "/other");
	assert_int_equal(sio_on(root, "connection", on_joined, NULL), 0);
	assert_int_equal(sio_on(other, "connection", on_joined, NULL), 0);
	assert_int_equal(sio_on(other, "disconnect", on_gone, NULL), 0);
	assert_int_equal(sio_on(root, "close", on_close, other), 0);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target,
				 "40\x1e"
				 "40/other,",
				 NULL),
		200);
	assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
	assert_int_equal(served_ask(fd, "POST", target, "42[\"close\"]", NULL), 200);
	served_expect(fd, target,
		"41/other,\x1e"
		"1");
	WAIT_FOR(atomic_load(&gone) == 1);
	close(fd);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_a_socket_and_without),
		cmocka_unit_test(another_space_is_another_socket),
		cmocka_unit_test(what_is_put_off_is_bounded),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(when_it_is_destroyed),
		cmocka_unit_test(sent_away_in_order),
		cmocka_unit_test(who_is_sent_away_is_not_heard),
		cmocka_unit_test(one_leaves_and_then_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
