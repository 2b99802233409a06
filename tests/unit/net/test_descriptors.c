/* When descriptors run out: whoever comes is turned away at once, nothing spins, and all is well when there are some again. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "net/conn.h"
#include "side.h"

enum {
	CHILD_DESCRIPTORS = 40,
	CHILD_CLIENTS = 100,
	IDLE_MS = 300,
};

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

/* Each admitted client is greeted; all others are turned away at once. */
static bool admitted(int fd)
{
	uint8_t byte;

	return client_recv(fd, &byte, 1) == 1;
}

/* The child: a server of its own, until SIGTERM; tells its port and at last its counters. */
static struct net_pool *child_pool;

static void on_term(int number)
{
	(void)number;
	net_pool_stop(child_pool);
}

_Noreturn static void child_main(int tell)
{
	static struct sides mine = { .hooks = { .accepted = greet, .data = echo, .ended = close_itself } };
	struct rlimit few = { CHILD_DESCRIPTORS, CHILD_DESCRIPTORS };
	struct net_counters c;
	char err[200];

	assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
	log_set(LOG_OFF, NULL, NULL);
	child_pool = net_pool_create(
		&(struct net_pool_options){ .loops = 1, .conns_max = 1000 }, err, sizeof(err));
	assert(child_pool != NULL);
	int rc = net_listen(child_pool, "127.0.0.1:0", sides_accepted, &mine, err, sizeof(err));
	uint16_t port = net_pool_port(child_pool);

	assert(rc == 0 && signal(SIGTERM, on_term) != SIG_ERR);
	assert(write(tell, &port, sizeof(port)) == sizeof(port));
	rc = net_pool_run(child_pool);
	assert(rc == 0);
	net_pool_counters(child_pool, &c);
	assert(write(tell, &c, sizeof(c)) == sizeof(c));
	net_pool_destroy(child_pool);
	_exit(0);
}

/* Processor time that a process has used. */
static uint64_t used_ns(pid_t pid)
{
	clockid_t clock;
	struct timespec t;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &t), 0);
	return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* With its descriptors used up the child has nothing to do: it waits, and so do we. */
static void expect_idle(pid_t child, int quiet_fd)
{
	uint64_t before_ns = used_ns(child);
	struct pollfd p = { .fd = quiet_fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, IDLE_MS), 0);
	assert_true(used_ns(child) - before_ns < IDLE_MS / 4 * CLOCK_NS_PER_MS);
}

static bool try_again(uint16_t port)
{
	int fd = client_connect_from(port, "127.0.0.1");
	bool ok = admitted(fd);

	close(fd);
	return ok;
}

static void when_descriptors_run_out(void **state)
{
	(void)state;
	int tell[2], fds[CHILD_CLIENTS];
	unsigned in = 0;
	uint16_t port;
	struct net_counters c;
	int status;

	fflush(NULL);
	assert_int_equal(pipe(tell), 0);
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		child_main(tell[1]);
	assert_int_equal(read(tell[0], &port, sizeof(port)), sizeof(port));
	for (int i = 0; i < CHILD_CLIENTS; i++) {
		int fd = client_connect_from(port, "127.0.0.1");

		if (admitted(fd))
			fds[in++] = fd;
		else
			close(fd);
	}
	assert_in_range(in, 10, CHILD_DESCRIPTORS);
	expect_idle(child, fds[0]);
	/* Those who are in are served. */
	for (unsigned i = 0; i < in; i++) {
		client_send_stream(fds[i], 0, 1000);
		client_expect_stream(fds[i], 1, 999);
	}
	/* And when there are descriptors again, so are new ones. */
	for (unsigned i = 0; i < in; i++)
		close(fds[i]);
	WAIT_FOR(try_again(port));
	assert_true(try_again(port));
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(read(tell[0], &c, sizeof(c)), sizeof(c));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(c.refused_descriptors >= CHILD_CLIENTS - in);
	assert_int_equal(c.refused_limit, 0);
	assert_int_equal(c.accepted, c.closed);
	close(tell[0]);
	close(tell[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(when_descriptors_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
