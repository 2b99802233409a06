/*
 * sio_disconnect_all(), sio_connection_close_all(): everybody in a namespace, and nobody else, in order with what is emitted; or
 * nobody without memory.
 */
#include <errno.h>

#include "lib/failing_alloc.h"
#include "served.h"

enum { CLIENTS = 6, LOOPS = 2 };

#define NEXT "\x1e" /* between the packets of a payload */

static struct served s;
static struct sio_space *root, *other;
static struct {
	int fd;
	char target[100];
} clients[CLIENTS];
static atomic_uint joined, left_root, left_other;
static _Thread_local bool within_call; /* on a loop */
static const char *reason; /* of those who leave */

static void on_connection(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&joined, 1);
}

static void on_disconnect(const struct sio_event *e)
{
	assert(!within_call);
	if (e->reason.bytes != strlen(reason) || memcmp(e->reason.s, reason, e->reason.bytes) != 0)
		return; /* the server is stopped */
	atomic_fetch_add(sio_space_of(e->socket) == root ? &left_root : &left_other, 1);
}

enum way { LEAVE, CLOSE, CUT };

/* What none of those who go may hear stands behind it. */
static void send_all_away(enum way way)
{
	sio_emit(sio_all(root), "last", sio_json("[]"));
	int rc = way == CUT ? sio_connection_close_all(sio_all(root))
			    : sio_disconnect_all(sio_all(root), way == CLOSE);
	assert(rc == 0);
	sio_emit(sio_all(root), "never", sio_json("[]"));
	sio_emit(sio_all(other), "more", sio_json("[]"));
}

static void with_socket(struct sio_socket *socket, void *ctx)
{
	(void)ctx;
	assert(socket != NULL); /* it goes behind this */
	sio_emit(sio_self(socket), "with", sio_json("[]"));
}

/* The handler's own loop, and another: at once, ... */
static void on_away(const struct sio_event *e)
{
	within_call = true;
	send_all_away(e->ctx == NULL ? LEAVE : CLOSE);
	assert(sio_disconnect_id(root, sio_id(e->socket), false) == -ENOENT);
	within_call = false;
}

/* ... and behind what has been put off. */
static void on_away_behind(const struct sio_event *e)
{
	within_call = true;
	assert(sio_with(root, sio_id(e->socket), with_socket, NULL) == 0);
	send_all_away(LEAVE);
	within_call = false;
}

static void create(void)
{
	static char yes[] = "yes";

	reason = "server namespace disconnect";
	atomic_store(&joined, 0);
	atomic_store(&left_root, 0);
	atomic_store(&left_other, 0);
	served_create(&s, &(struct sio_options){ .threads = LOOPS });
	root = sio_of(s.io, "/");
	other = sio_of(s.io, "/other");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_on(root, "away", on_away, NULL), 0);
	assert_int_equal(sio_on(root, "close", on_away, yes), 0);
	assert_int_equal(sio_on(root, "behind", on_away_behind, NULL), 0);
	assert_int_equal(sio_on(other, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(other, "disconnect", on_disconnect, NULL), 0);
}

/* All clients are in both namespaces, and have read what they were told of it. */
static void start(void)
{
	create();
	served_run(&s);
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i].fd = client_connect(&s.h);
		assert_true(served_open(clients[i].fd, clients[i].target));
		assert_int_equal(
			served_ask(clients[i].fd, "POST", clients[i].target, "40" NEXT "40/other,", NULL),
			200);
		assert_int_equal(served_ask(clients[i].fd, "GET", clients[i].target, "", NULL), 200);
	}
	assert_int_equal(atomic_load(&joined), 2 * CLIENTS);
}

static void finish(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		close(clients[i].fd);
	served_finish(&s);
}

static void say(size_t i, const char *packets)
{
	assert_int_equal(served_ask(clients[i].fd, "POST", clients[i].target, packets, NULL), 200);
}

/* All have gone from the one namespace, and may come back. */
static void expect_still_connected(size_t from)
{
	for (size_t i = from; i < CLIENTS; i++)
		served_expect(clients[i].fd, clients[i].target,
			"42[\"last\"]" NEXT "41" NEXT "42/other,[\"more\"]");
	WAIT_FOR(atomic_load(&left_root) == CLIENTS);
	assert_int_equal(atomic_load(&left_other), 0);
	assert_int_equal(sio_emit(sio_all(root), "nobody", sio_json("[]")), 0);
	say(0, "40");
	assert_int_equal(atomic_load(&joined), 2 * CLIENTS + 1);
}

/* All connections are closed, with what is in another namespace. */
static void expect_closed(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		served_expect(
			clients[i].fd, clients[i].target, "42[\"last\"]" NEXT "41" NEXT "41/other," NEXT "1");
	WAIT_FOR(atomic_load(&left_root) == CLIENTS && atomic_load(&left_other) == CLIENTS);
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(served_ask(clients[i].fd, "POST", clients[i].target, "40", NULL), 400);
}

static void from_another_thread(void **state)
{
	(void)state;
	start();
	send_all_away(LEAVE);
	expect_still_connected(0);
	finish();
	start();
	send_all_away(CLOSE);
	expect_closed();
	finish();
}

/* No word to a namespace, by which an official client would stay away. */
static void their_connections(void **state)
{
	(void)state;
	start();
	reason = "forced close";
	send_all_away(CUT);
	for (size_t i = 0; i < CLIENTS; i++)
		served_expect(clients[i].fd, clients[i].target, "42[\"last\"]" NEXT "1");
	WAIT_FOR(atomic_load(&left_root) == CLIENTS && atomic_load(&left_other) == CLIENTS);
	for (size_t i = 0; i < CLIENTS; i++)
		assert_int_equal(served_ask(clients[i].fd, "POST", clients[i].target, "40", NULL), 400);
	finish();
}

static void from_a_handler(void **state)
{
	(void)state;
	start();
	say(0, "42[\"away\"]");
	expect_still_connected(0);
	finish();
	start();
	say(CLIENTS - 1, "42[\"close\"]");
	expect_closed();
	finish();
}

static void behind_what_a_handler_put_off(void **state)
{
	(void)state;
	start();
	say(0, "42[\"behind\"]");
	served_expect(clients[0].fd, clients[0].target,
		"42[\"with\"]" NEXT "42[\"last\"]" NEXT "41" NEXT "42/other,[\"more\"]");
	expect_still_connected(1);
	finish();
}

/* A message a loop: if one cannot be had, none is sent. */
static void without_memory(void **state)
{
	(void)state;
	start();
	for (unsigned n = 1; n <= LOOPS; n++) {
		failing_alloc_arm(n);
		assert_int_equal(sio_disconnect_all(sio_all(root), true), -ENOMEM);
		assert_true(failing_alloc_disarm());
	}
	send_all_away(LEAVE);
	expect_still_connected(0);
	finish();
}

/* Before it runs, and after its end: then it is freed by whom destroys it. */
static void with_nobody(void **state)
{
	(void)state;
	create();
	assert_int_equal(sio_disconnect_all(sio_all(root), true), 0);
	served_run(&s);
	assert_int_equal(sio_disconnect_all(sio_all(other), false), 0);
	served_end(&s);
	assert_int_equal(sio_disconnect_all(sio_all(root), false), 0);
	served_finish(&s);
	assert_int_equal(atomic_load(&left_root) + atomic_load(&left_other), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_another_thread),
		cmocka_unit_test(their_connections),
		cmocka_unit_test(from_a_handler),
		cmocka_unit_test(behind_what_a_handler_put_off),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(with_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
