/*
 * tests/unit/net/harness.h -- what tests over real loops share: a pool on a thread of its own, calls into a loop that are
 * waited for, conditions that are waited for, and a blocking client.
 *
 *      the test's thread: client sockets, harness_call() ---> loop threads: handlers, which say what they think by assert()
 *
 * cmocka's own assertions jump, so they belong to the test's thread alone.
 */
#ifndef TESTS_UNIT_NET_HARNESS_H
#define TESTS_UNIT_NET_HARNESS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "lib/cmocka.h"
#include "net/conn.h"
#include "net/loop.h"

enum { HARNESS_WAIT_MS = 20000 };

enum { HARNESS_SANITIZED = 5 };

/* How many times slower than usual this run may be: 5 under sanitizers, 20 under valgrind. */
static inline unsigned harness_slower(void)
{
	const char *text = getenv("TEST_SLOWER");
	unsigned long n = text == NULL ? 1 : strtoul(text, NULL, 10);

	return n < 1 || n > 100 ? 1 : (unsigned)n;
}

/* One more look at a condition; fails when it has been waited for too long. */
static inline void harness_wait_ms(uint64_t since_ns, const char *condition)
{
	if (clock_now_ns() - since_ns > harness_slower() * HARNESS_WAIT_MS * CLOCK_NS_PER_MS)
		fail_msg("still not so: %s", condition);
	poll(NULL, 0, 1);
}

#define WAIT_FOR(condition)                                                                                  \
	do {                                                                                                 \
		for (uint64_t since_ns = clock_now_ns(); !(condition);)                                      \
			harness_wait_ms(since_ns, #condition);                                               \
	} while (0)

struct harness {
	struct net_pool *pool;
	pthread_t thread;
	bool running;
};

static inline void harness_create(struct harness *h, const struct net_pool_options *options)
{
	char err[256] = "";

	log_set(LOG_OFF, NULL, NULL);
	*h = (struct harness){ .pool = net_pool_create(options, err, sizeof(err)) };
	assert_non_null(h->pool);
}

static inline void harness_listen(struct harness *h, net_accepted_fn *accepted, void *ctx)
{
	char err[256] = "";

	assert_int_equal(net_listen(h->pool, "127.0.0.1:0", accepted, ctx, err, sizeof(err)), 0);
	assert_true(net_pool_port(h->pool) != 0);
}

static inline void *harness_main(void *pool)
{
	int rc = net_pool_run(pool);

	assert(rc == 0);
	return NULL;
}

static inline void harness_run(struct harness *h)
{
	assert_int_equal(pthread_create(&h->thread, NULL, harness_main, h->pool), 0);
	h->running = true;
}

/* Wait until the loops have ended, which somebody has asked for. */
static inline void harness_join(struct harness *h)
{
	assert_true(h->running);
	assert_int_equal(pthread_join(h->thread, NULL), 0);
	h->running = false;
}

/* Stop, wait and free. */
static inline void harness_finish(struct harness *h)
{
	if (h->running) {
		net_pool_stop(h->pool);
		harness_join(h);
	}
	net_pool_destroy(h->pool);
	h->pool = NULL;
}

/* A function that is run on a loop's thread, within its posts. */
typedef void harness_call_fn(struct net_loop *, void *ctx);

struct harness_call {
	struct net_message message;
	harness_call_fn *fn;
	void *ctx;
	sem_t done;
};

static inline void harness_call_run(struct net_loop *loop, struct net_message *message)
{
	struct harness_call *call = list_entry(message, struct harness_call, message);

	call->fn(loop, call->ctx);
	sem_post(&call->done);
}

static inline void harness_call_discard(struct net_message *message)
{
	(void)message;
	assert(false && "a call into a loop that has ended");
}

/* Run it there, and wait until it has returned. */
static inline void harness_call(struct harness *h, uint32_t index, harness_call_fn *fn, void *ctx)
{
	struct harness_call call = {
		.message = { .run = harness_call_run,
			.discard = harness_call_discard,
			.bytes = sizeof(call) },
		.fn = fn,
		.ctx = ctx,
	};

	assert_int_equal(sem_init(&call.done, 0, 0), 0);
	net_post_reserved(net_pool_loop(h->pool, index), &call.message);
	while (sem_wait(&call.done) != 0)
		assert_int_equal(errno, EINTR);
	sem_destroy(&call.done);
}

/* connect() has returned `rc`. Interrupted, it goes on by itself: leaving a ring of io_uring interrupts calls. */
static inline void client_finish_connect(int fd, int rc)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = rc == 0 ? 0 : errno;
	socklen_t bytes = sizeof(error);

	if (error == EINTR) {
		do
			rc = poll(&p, 1, (int)(harness_slower() * HARNESS_WAIT_MS));
		while (rc < 0 && errno == EINTR);
		assert_int_equal(rc, 1);
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
	}
	if (error != 0)
		fail_msg("connect: %s", strerror(error));
}

/* A blocking client socket, with a limit on all that it waits for. */
static inline int client_connect_from(uint16_t port, const char *from)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = (time_t)(harness_slower() * HARNESS_WAIT_MS / 1000) };
	struct sockaddr_in address = { .sin_family = AF_INET };

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(port);
	client_finish_connect(fd, connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static inline int client_connect(const struct harness *h)
{
	return client_connect_from(net_pool_port(h->pool), "127.0.0.1");
}

/* recv() that no signal interrupts. */
static inline ssize_t client_recv(int fd, void *data, size_t bytes)
{
	ssize_t n;

	do
		n = recv(fd, data, bytes, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The next byte, which stays to be read. */
static inline uint8_t client_peek(int fd)
{
	uint8_t byte = 0;
	ssize_t n;

	do
		n = recv(fd, &byte, 1, MSG_PEEK);
	while (n < 0 && errno == EINTR);
	assert_int_equal(n, 1);
	return byte;
}

static inline void client_send(int fd, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes > 0) {
		ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		assert_true(n > 0);
		at += n;
		bytes -= (size_t)n;
	}
}

static inline void client_send_text(int fd, const char *text)
{
	client_send(fd, text, strlen(text));
}

/* Exactly so many bytes. */
static inline void client_receive(int fd, void *data, size_t bytes)
{
	uint8_t *at = data;

	while (bytes > 0) {
		ssize_t n = client_recv(fd, at, bytes);

		if (n <= 0)
			fail_msg("%zu bytes missing: %s", bytes, n == 0 ? "the end" : strerror(errno));
		at += n;
		bytes -= (size_t)n;
	}
}

static inline void client_expect(int fd, const void *want, size_t bytes)
{
	uint8_t *got = malloc(bytes + 1);

	assert_non_null(got);
	client_receive(fd, got, bytes);
	assert_memory_equal(got, want, bytes);
	free(got);
}

/* The server has ended its side in order, and there is nothing before that. */
static inline void client_expect_end(int fd)
{
	char byte;
	ssize_t n = client_recv(fd, &byte, 1);

	if (n != 0)
		fail_msg("no end, but %s", n > 0 ? "more bytes" : strerror(errno));
}

/* Ended or reset, whichever; what came before is thrown away. */
static inline void client_expect_gone(int fd)
{
	char bytes[4096];
	ssize_t n;

	do
		n = client_recv(fd, bytes, sizeof(bytes));
	while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
}

/* The next read will not wait; there may be bytes, an end or an error. */
static inline bool client_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Close so that the peer sees a reset. */
static inline void client_reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fd);
}

#endif
