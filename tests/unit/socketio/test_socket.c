/*
 * What `allow` and the middleware made: destroyed once, whatever becomes of it, also when there is no memory; and what it may do
 * then.
 */
#include <errno.h>

#include "lib/failing_alloc.h"
#include "served.h"

enum { TRIES = 40 };

static struct served s;
static atomic_uint made, destroyed, joined, left, fail_at, asked;

static void destroy(void *data)
{
	atomic_fetch_add(&destroyed, 1);
	free(data);
}

static bool allow(void *ctx, const struct sio_request *r, struct sio_admission *a)
{
	struct sio_str host;

	(void)ctx;
	assert(a->data == NULL && a->destroy == NULL && a->message == NULL);
	assert(sio_request_from_loopback(r) && sio_request_header(r, "HOST", &host) && host.bytes == 1);
	a->data = malloc(1);
	a->destroy = destroy;
	atomic_fetch_add(&made, a->data != NULL);
	failing_alloc_arm(atomic_load(&fail_at));
	return a->data != NULL;
}

/* Refused or let in by turns; its data is made all the same. */
static enum sio_verdict admit(const struct sio_event *e, struct sio_refusal *refusal)
{
	unsigned n = atomic_fetch_add(&asked, 1);
	void *data = malloc(1);
	struct sio_id id = sio_id(e->socket);

	assert(sio_connection_data(e->socket) != NULL && sio_data(e->socket) == NULL);
	assert(sio_join(e->socket, "room") == -EINVAL);
	assert(sio_ask(sio_space_of(e->socket), id, "q", sio_json("[]"), 0, NULL, NULL) == -ENOENT);
	assert(sio_disconnect_id(sio_space_of(e->socket), id, true) == -ENOENT);
	sio_leave(e->socket, "room");
	sio_disconnect(e->socket, true);
	atomic_fetch_add(&made, data != NULL);
	sio_set_data(e->socket, data, destroy);
	refusal->message = "no\n";
	failing_alloc_arm(atomic_load(&fail_at));
	return n % 2 == 1 ? SIO_ADMIT : SIO_REFUSE;
}

static void has_come_from_here(const struct sio_socket *socket)
{
	char address[SIO_ADDRESS_BYTES];

	sio_address(socket, address);
	assert(strcmp(address, "127.0.0.1") == 0);
}

static void on_connection(const struct sio_event *e)
{
	has_come_from_here(e->socket);
	assert(sio_connection_data(e->socket) != NULL);
	atomic_fetch_add(&joined, 1);
}

static void on_disconnect(const struct sio_event *e)
{
	assert(sio_connection_data(e->socket) != NULL);
	atomic_fetch_add(&left, 1);
}

static void start(void)
{
	served_create(&s, &(struct sio_options){ .threads = 1, .allow = allow });
	struct sio_space *root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_use(root, admit, NULL), 0);
	served_run(&s);
}

/* What was said to the first CONNECT, or "" if the session ended instead. */
static void come(unsigned n)
{
	int fd = client_connect(&s.h);
	char target[100];

	atomic_store(&fail_at, n);
	if (served_open(fd, target)) {
		for (int i = 0; i < 2 && served_ask(fd, "POST", target, "40", NULL) == 200; i++)
			;
	}
	close(fd);
}

static void each_allocation_fails(void **state)
{
	(void)state;
	start();
	for (unsigned n = 1; n < TRIES; n++)
		come(n);
	served_finish(&s);
	assert_true(atomic_load(&made) > TRIES && atomic_load(&joined) > 0);
	assert_int_equal(atomic_load(&made), atomic_load(&destroyed));
	assert_int_equal(atomic_load(&joined), atomic_load(&left));
}

/* A WebSocket that is refused after it was allowed, by what it says and by the limit. */
static void handshakes_that_come_to_nothing(void **state)
{
	static const char *const heads[] = {
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
		"Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\n\r\n",
		"GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n",
	};

	(void)state;
	atomic_store(&made, 0);
	atomic_store(&destroyed, 0);
	atomic_store(&fail_at, 1000000);
	start();
	for (size_t i = 0; i < 2; i++) {
		int fd = client_connect(&s.h);
		client_send_text(fd, heads[i]);
		web_expect(fd, 400, NULL);
		assert_int_equal(atomic_load(&made), i + 1);
		WAIT_FOR(atomic_load(&destroyed) == i + 1);
		close(fd);
	}
	(void)!failing_alloc_disarm();
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), 2);
}

static atomic_uint gone, heard_of;

/* The first to go takes all others along. */
static void destroy_and_send_away(void *data)
{
	if (atomic_fetch_add(&gone, 1) == 0)
		assert(sio_connection_close_all(sio_all(data)) == 0);
}

static bool allow_with_space(void *ctx, const struct sio_request *r, struct sio_admission *a)
{
	(void)r;
	a->data = sio_of(*(struct sio_server **)ctx, "/");
	a->destroy = destroy_and_send_away;
	return true;
}

static void on_sent_away(const struct sio_event *e)
{
	/* Its connection's data is there until all its sockets have been heard of, and so is its address. */
	assert(atomic_load(&gone) == atomic_load(&heard_of));
	assert(sio_connection_data(e->socket) == sio_space_of(e->socket));
	has_come_from_here(e->socket);
	atomic_fetch_add(&heard_of, 1);
}

static void data_that_sends_others_away(void **state)
{
	static struct sio_server *io;
	char targets[2][100];
	int fds[2];

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1, .allow = allow_with_space, .allow_ctx = &io });
	io = s.io;
	assert_int_equal(sio_on(sio_of(io, "/"), "disconnect", on_sent_away, NULL), 0);
	served_run(&s);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = client_connect(&s.h);
		assert_true(served_open(fds[i], targets[i]));
		assert_int_equal(served_ask(fds[i], "POST", targets[i], "40", NULL), 200);
	}
	assert_int_equal(served_ask(fds[0], "POST", targets[0], "1", NULL), 200); /* the session's end */
	WAIT_FOR(atomic_load(&gone) == 2);
	assert_int_equal(atomic_load(&heard_of), 2);
	for (size_t i = 0; i < 2; i++)
		close(fds[i]);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails),
		cmocka_unit_test(handshakes_that_come_to_nothing),
		cmocka_unit_test(data_that_sends_others_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
