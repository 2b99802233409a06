/* Accepting: limits, whoever waits while we stop, addresses that cannot be listened on, and what accept() fails with. */
#include <stdio.h>
#include <sys/syscall.h>

#include "net/net_int.h"
#include "side.h"

enum {
	BACKLOG = 100,
	REST_MS = 2000,
	FAILURES = 60, /* in a row */
	FORBIDDEN_MS = 250,
};

static struct harness h;
static struct sides sides;

static void close_itself(struct side *s)
{
	side_close(s);
}

static void greet(struct side *s)
{
	side_send(s, 1);
}

static void echo(struct side *s)
{
	side_send(s, atomic_load(&s->received) - atomic_load(&s->out));
}

static void start(const struct net_pool_options *options)
{
	sides_start(&h, &sides, options, &(struct side_hooks){ .accepted = greet, .ended = close_itself });
}

/* Each admitted client is greeted; all others are turned away at once. */
static bool admitted(int fd)
{
	uint8_t byte;

	return client_recv(fd, &byte, 1) == 1;
}

static int connect_from(const char *address)
{
	return client_connect_from(net_pool_port(h.pool), address);
}

static uint64_t now_closed(void)
{
	struct net_counters c;

	net_pool_counters(h.pool, &c);
	return c.closed;
}

static void an_address_has_its_share(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ .loops = 2, .limit_loopback = true, .conns_per_address_max = 3 });
	int fds[6];

	for (int i = 0; i < 3; i++) {
		fds[i] = connect_from("127.0.0.1");
		assert_true(admitted(fds[i]));
	}
	for (int i = 0; i < 5; i++) {
		int fd = connect_from("127.0.0.1");

		assert_false(admitted(fd));
		close(fd);
	}
	/* Others have theirs. */
	for (int i = 3; i < 6; i++) {
		fds[i] = connect_from("127.0.0.2");
		assert_true(admitted(fds[i]));
	}
	struct net_counters c;

	net_pool_counters(h.pool, &c);
	assert_int_equal(c.refused_address, 5);
	assert_int_equal(c.refused_limit, 0);
	assert_int_equal(c.accepted, 6);
	for (uint64_t i = 0; i < 20; i++) {
		close(fds[i % 3]);
		WAIT_FOR(now_closed() == i + 1);
		fds[i % 3] = connect_from("127.0.0.1");
		assert_true(admitted(fds[i % 3]));
	}
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	WAIT_FOR(now_closed() == 26);
	harness_finish(&h);
}

static void this_machine_is_not_counted_unless_asked(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ .loops = 1, .conns_per_address_max = 2 });
	int fds[10];

	for (int i = 0; i < 10; i++) {
		fds[i] = connect_from("127.0.0.1");
		assert_true(admitted(fds[i]));
	}
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	sides_finish(&h, &sides);
}

static void there_is_a_limit_of_all(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ .loops = 2, .conns_max = 5 });
	int fds[5];

	for (uint64_t round = 1; round <= 5; round++) {
		for (int i = 0; i < 5; i++) {
			fds[i] = connect_from("127.0.0.1");
			assert_true(admitted(fds[i]));
		}
		for (int i = 0; i < 5; i++) {
			int fd = connect_from("127.0.0.2");

			assert_false(admitted(fd));
			close(fd);
		}
		struct net_counters c;

		net_pool_counters(h.pool, &c);
		assert_int_equal(c.refused_limit, 5 * round);
		for (int i = 0; i < 5; i++)
			close(fds[i]);
		WAIT_FOR(now_closed() == 5 * round);
	}
	harness_finish(&h);
}

/* Whoever the kernel has accepted for us is served, though we stop before we have looked. */
static atomic_uint stoppings;

static void on_stopping(struct net_loop *loop, void *ctx)
{
	assert(ctx == &stoppings && net_loop_current() == loop && net_loop_stopping(loop));
	atomic_fetch_add(&stoppings, 1);
}

static void answer_and_finish(struct side *s)
{
	echo(s);
	net_conn_finish(s->conn);
}

struct crowd {
	int fds[BACKLOG];
};

/* On the loop, which accepts nobody meanwhile. */
static void crowd_connects(struct net_loop *loop, void *ctx)
{
	struct crowd *crowd = ctx;

	for (int i = 0; i < BACKLOG; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
			.sin_port = htons(net_pool_port(h.pool)) };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

		assert(fd >= 0);
		rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
		assert(rc == 0);
		for (size_t at = 0; at < 10; at++) {
			uint8_t byte = side_byte(at);
			ssize_t n = send(fd, &byte, 1, MSG_NOSIGNAL);

			assert(n == 1);
		}
		crowd->fds[i] = fd;
	}
	net_pool_stop(net_loop_pool(loop));
	net_pool_stop(net_loop_pool(loop));
}

static void stopping_serves_whoever_is_queued(void **state)
{
	(void)state;
	struct crowd crowd;

	atomic_store(&stoppings, 0);
	sides_start(&h, &sides,
		&(struct net_pool_options){ .loops = 1, .stopping = on_stopping, .ctx = &stoppings },
		&(struct side_hooks){ .data = answer_and_finish });
	harness_call(&h, 0, crowd_connects, &crowd);
	for (int i = 0; i < BACKLOG; i++) {
		client_expect_stream(crowd.fds[i], 0, 10);
		client_expect_end(crowd.fds[i]);
		close(crowd.fds[i]);
	}
	harness_join(&h);
	assert_int_equal(atomic_load(&sides.count), BACKLOG);
	assert_int_equal(atomic_load(&stoppings), 1);
	for (int i = 0; i < BACKLOG; i++) {
		assert_int_equal(atomic_load(&sides.all[i].closes), 1);
		assert_int_equal(atomic_load(&sides.all[i].error), 0);
	}
	harness_finish(&h);
}

static void stopping_with_nobody_there(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		uint64_t began_ns = clock_now_ns();

		atomic_store(&stoppings, 0);
		sides_start(&h, &sides,
			&(struct net_pool_options){ .loops = 3, .stopping = on_stopping, .ctx = &stoppings },
			NULL);
		if (round == 1) /* before it runs, as good as after */
			net_pool_stop(h.pool);
		harness_finish(&h);
		assert_int_equal(atomic_load(&stoppings), 3);
		assert_true(clock_now_ns() - began_ns < (NET_DRAIN_MS - 1000) * CLOCK_NS_PER_MS);
	}
}

/* Who does not close is cut, and is told so. */
static void stopping_cuts_in_the_end(void **state)
{
	(void)state;
	sides_start(&h, &sides, &(struct net_pool_options){ .loops = 2 }, NULL);
	int fds[4];
	uint64_t began_ns = clock_now_ns();

	for (unsigned i = 0; i < 4; i++) {
		fds[i] = client_connect(&h);
		sides_wait(&sides, i);
	}
	net_pool_stop(h.pool);
	harness_join(&h);
	uint64_t took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;

	assert_in_range(took_ms, NET_DRAIN_MS - 100, NET_DRAIN_MS + harness_slower() * REST_MS);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(atomic_load(&sides.all[i].closes), 1);
		assert_int_equal(atomic_load(&sides.all[i].error), ECANCELED);
		client_expect_gone(fds[i]);
		close(fds[i]);
	}
	harness_finish(&h);
}

static void every_loop_accepts(void **state)
{
	(void)state;
	start(&(struct net_pool_options){ .loops = 2 });
	int fds[100];
	unsigned on[2] = { 0, 0 };

	for (unsigned i = 0; i < 100; i++) {
		fds[i] = connect_from("127.0.0.1");
		assert_true(admitted(fds[i]));
		on[atomic_load(&sides_wait(&sides, i)->loop)]++;
	}
	assert_true(on[0] > 0 && on[1] > 0);
	for (unsigned i = 0; i < 100; i++)
		close(fds[i]);
	WAIT_FOR(now_closed() == 100);
	harness_finish(&h);
}

static int listen_on(const char *where, char *err, size_t err_bytes)
{
	err[0] = '\0';
	return net_listen(h.pool, where, sides_accepted, &sides, err, err_bytes);
}

static void addresses_that_cannot_be_had(void **state)
{
	static const char *const bad[] = { "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:70000", "127.0.0.1:+0", "127.0.0.1: 0", "127.0.0.1:x", "256.0.0.1:0",
		"no such host.invalid:0", "[::1:0", "192.0.2.1:0" };
	struct harness other;
	char err[300], where[40];

	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 2 });
	assert_int_equal(net_pool_port(h.pool), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int rc = listen_on(bad[i], err, sizeof(err));

		if (rc >= 0 || err[0] == '\0')
			fail_msg("\"%s\": %d, \"%s\"", bad[i], rc, err);
	}
	/* What another has, though it would share. */
	harness_create(&other, &(struct net_pool_options){ .loops = 2 });
	harness_listen(&other, sides_accepted, &sides);
	snprintf(where, sizeof(where), "127.0.0.1:%u", net_pool_port(other.pool));
	assert_int_equal(listen_on(where, err, sizeof(err)), -EADDRINUSE);
	assert_non_null(strstr(err, where));
	assert_int_equal(net_pool_port(h.pool), 0);
	harness_finish(&other);
	assert_int_equal(listen_on(where, err, sizeof(err)), 0);
	snprintf(err, sizeof(err), "127.0.0.1:%u", net_pool_port(h.pool));
	assert_string_equal(err, where);
	/* A second one does not change what the port is; and there is a maximum. */
	int listeners = 1;

	while (listen_on("127.0.0.1:0", err, sizeof(err)) == 0)
		assert_true(listeners++ < 100);
	assert_true(err[0] != '\0');
	snprintf(err, sizeof(err), "127.0.0.1:%u", net_pool_port(h.pool));
	assert_string_equal(err, where);
	harness_finish(&h);
}

/* In place of libc's. What it fails with, and how often; 0: not at all. */
static atomic_int accept_error;
static atomic_uint accept_failures, accept_calls;

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict bytes, int flags)
{
	atomic_fetch_add(&accept_calls, 1);
	if (atomic_load(&accept_failures) > 0) {
		atomic_fetch_sub(&accept_failures, 1);
		errno = atomic_load(&accept_error);
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, address.__sockaddr__, bytes, flags);
}

static void fail_accepts(int error, unsigned times)
{
	atomic_store(&accept_calls, 0);
	atomic_store(&accept_error, error);
	atomic_store(&accept_failures, times);
}

/* It is that connection's bad luck: the next is taken at once, and none is waited for. */
static void connections_that_fail(void **state)
{
	static const int errors[] = { ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ENETDOWN, ENETUNREACH,
		ENONET, ENOPROTOOPT, EOPNOTSUPP, EPROTO };

	(void)state;
	start(&(struct net_pool_options){ .loops = 1 });
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		fail_accepts(errors[i], FAILURES);
		uint64_t began_ns = clock_now_ns();
		int fd = connect_from("127.0.0.1");

		assert_true(admitted(fd));
		assert_true(clock_now_ns() - began_ns < FAILURES * NET_ACCEPT_RETRY_MS / 2 * CLOCK_NS_PER_MS);
		close(fd);
	}
	sides_finish(&h, &sides);
}

static void count_line(void *ctx, enum log_level level, const char *text)
{
	if (level == LOG_ERROR && strstr(text, "accepted") != NULL)
		atomic_fetch_add((atomic_uint *)ctx, 1);
}

/* No connection can be had, and none goes with it: it is said once, and nothing spins until one can. */
static void accepting_that_fails(void **state)
{
	static const int errors[] = { EPERM, EINVAL, ENOMEM };
	static atomic_uint lines;

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		memset(&sides, 0, sizeof(sides));
		sides.hooks = (struct side_hooks){ .accepted = greet, .ended = close_itself };
		atomic_store(&lines, 0);
		harness_create(&h, &(struct net_pool_options){ .loops = 1 });
		log_set(LOG_ERROR, count_line, &lines);
		harness_listen(&h, sides_accepted, &sides);
		harness_run(&h);
		fail_accepts(errors[i], UINT32_MAX);
		int fd = connect_from("127.0.0.1");

		WAIT_FOR(atomic_load(&accept_calls) > 2);
		assert_int_equal(atomic_load(&lines), 1);
		poll(NULL, 0, FORBIDDEN_MS);
		assert_true(atomic_load(&accept_calls) < 100);
		assert_int_equal(atomic_load(&lines), 1);
		atomic_store(&accept_failures, 0);
		assert_true(admitted(fd));
		close(fd);
		sides_finish(&h, &sides);
	}
	log_set(LOG_OFF, NULL, NULL);
}

/* Who would not be told of those who come does not listen. */
static void a_listener_that_cannot_be_watched(void **state)
{
	char err[300] = "";

	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 2 });
	int epoll_fd = h.pool->loops[1]->epoll_fd;
	h.pool->loops[1]->epoll_fd = -1;
	assert_int_equal(listen_on("127.0.0.1:0", err, sizeof(err)), -EBADF);
	assert_non_null(strstr(err, "127.0.0.1:0"));
	assert_int_equal(h.pool->loops[1]->listeners[0].fd, -1);
	h.pool->loops[1]->epoll_fd = epoll_fd;
	harness_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_its_share),
		cmocka_unit_test(this_machine_is_not_counted_unless_asked),
		cmocka_unit_test(there_is_a_limit_of_all),
		cmocka_unit_test(stopping_serves_whoever_is_queued),
		cmocka_unit_test(stopping_with_nobody_there),
		cmocka_unit_test(stopping_cuts_in_the_end),
		cmocka_unit_test(every_loop_accepts),
		cmocka_unit_test(addresses_that_cannot_be_had),
		cmocka_unit_test(connections_that_fail),
		cmocka_unit_test(accepting_that_fails),
		cmocka_unit_test(a_listener_that_cannot_be_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
