/* The contract of net/sender.h, over every implementation that this machine offers. What arrives is compared. */
#include "net/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "lib/cmocka.h"
#include "lib/rng.h"

enum {
	CONTENT_BYTES = 1 << 20,
	ROUNDS = 20,
};

static const struct net_sender_ops *ops;
static struct net_sender *sender;
static uint8_t content[CONTENT_BYTES];
static struct rng rng;

/* A connected pair: ours, which sends, and theirs. */
struct pair {
	int ours, theirs;
};

static struct pair local_pair(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	return (struct pair){ fds[0], fds[1] };
}

static struct pair tcp_pair(int send_buffer_bytes)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), theirs, ours;

	assert_true(listener >= 0);
	/* A small window on the other side too, or it takes everything. */
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &send_buffer_bytes, sizeof(int)), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
	ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(ours >= 0);
	assert_int_equal(setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof(int)), 0);
	assert_int_equal(connect(ours, (struct sockaddr *)&address, bytes), 0);
	theirs = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(theirs >= 0);
	assert_int_equal(fcntl(ours, F_SETFL, O_NONBLOCK), 0);
	close(listener);
	return (struct pair){ ours, theirs };
}

static void close_pair(struct pair p)
{
	close(p.ours);
	close(p.theirs);
}

/* Read what has come, up to a limit; nothing may have come. */
static size_t drain(int fd, uint8_t *to, size_t limit)
{
	size_t got = 0;

	while (got < limit) {
		ssize_t n = recv(fd, to + got, limit - got, MSG_DONTWAIT);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

/* Exactly these bytes have come or will: TCP may take a moment. */
static void expect_content(int fd, const uint8_t *want, size_t bytes)
{
	static uint8_t got[CONTENT_BYTES];
	size_t have = 0;

	for (int turn = 0; have < bytes && turn < 20000; turn++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		poll(&p, 1, 1);
		have += drain(fd, got + have, bytes - have);
	}
	assert_int_equal(have, bytes);
	assert_memory_equal(got, want, bytes);
}

static void expect_nothing_more(int fd)
{
	uint8_t byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static struct net_send send_of(int fd, struct iovec *iov, uint32_t iov_count)
{
	struct net_send s = { .fd = fd, .iov_count = iov_count, .iov = iov, .result = 12345 };

	for (uint32_t i = 0; i < iov_count; i++)
		s.bytes += iov[i].iov_len;
	return s;
}

/* An entry that sends content from `at` on, cut into random pieces; the number of bytes. */
static size_t random_send(struct net_send *s, int fd, struct iovec *iov, size_t at, size_t piece_max)
{
	uint32_t pieces = (uint32_t)(1 + rng_below(&rng, NET_SEND_IOV_MAX));
	size_t bytes = 0;

	for (uint32_t i = 0; i < pieces; i++) {
		size_t piece = 1 + rng_below(&rng, piece_max);

		iov[i] = (struct iovec){ .iov_base = content + at + bytes, .iov_len = piece };
		bytes += piece;
	}
	*s = send_of(fd, iov, pieces);
	return bytes;
}

static void batch(struct net_send *sends, uint32_t count)
{
	sender->ops->batch(sender, sends, count);
}

static void whole_sends(void **state)
{
	static struct iovec iov[NET_SEND_BATCH_MAX][NET_SEND_IOV_MAX];
	static struct pair pairs[NET_SEND_BATCH_MAX];
	struct net_send sends[NET_SEND_BATCH_MAX];
	size_t wanted[NET_SEND_BATCH_MAX], from[NET_SEND_BATCH_MAX];

	(void)state;
	for (size_t i = 0; i < NET_SEND_BATCH_MAX; i++)
		pairs[i] = local_pair();
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t count =
			(uint32_t)(round == 0 ? NET_SEND_BATCH_MAX : 1 + rng_below(&rng, NET_SEND_BATCH_MAX));

		for (uint32_t i = 0; i < count; i++) {
			from[i] = rng_below(&rng, CONTENT_BYTES / 2);
			wanted[i] = random_send(&sends[i], pairs[i].ours, iov[i], from[i], 500);
		}
		batch(sends, count);
		for (uint32_t i = 0; i < count; i++) {
			assert_int_equal(sends[i].result, wanted[i]);
			expect_content(pairs[i].theirs, content + from[i], wanted[i]);
			expect_nothing_more(pairs[i].theirs);
		}
	}
	for (size_t i = 0; i < NET_SEND_BATCH_MAX; i++)
		close_pair(pairs[i]);
}

/* No entry at all; and one piece of one byte. */
static void small_sends(void **state)
{
	(void)state;
	struct pair p = local_pair();
	struct iovec one = { .iov_base = content, .iov_len = 1 };
	struct net_send send = send_of(p.ours, &one, 1);

	batch(&send, 0);
	expect_nothing_more(p.theirs);
	batch(&send, 1);
	assert_int_equal(send.result, 1);
	expect_content(p.theirs, content, 1);
	expect_nothing_more(p.theirs);
	close_pair(p);
}

/* Move the entry on by what has gone; the number of bytes left. */
static size_t advance(struct net_send *s, size_t sent)
{
	size_t left = 0;

	while (s->iov_count > 0 && sent >= s->iov->iov_len) {
		sent -= s->iov->iov_len;
		s->iov++;
		s->iov_count--;
	}
	if (s->iov_count > 0) {
		s->iov->iov_base = (uint8_t *)s->iov->iov_base + sent;
		s->iov->iov_len -= sent;
	}
	for (uint32_t i = 0; i < s->iov_count; i++)
		left += s->iov[i].iov_len;
	s->bytes = left;
	return left;
}

enum {
	STREAMS_MAX = 4,
	STREAM_PIECE_BYTES = 16000,
	STREAM_BYTES = NET_SEND_IOV_MAX * STREAM_PIECE_BYTES,
};

struct streams {
	struct pair pairs[STREAMS_MAX];
	struct iovec iov[STREAMS_MAX][NET_SEND_IOV_MAX];
	struct net_send sends[STREAMS_MAX];
	size_t left[STREAMS_MAX], have[STREAMS_MAX];
	uint8_t got[STREAMS_MAX][STREAM_BYTES];
};

/* One batch; whether any has been taken, and whether one is all sent. */
static bool stream_on(struct streams *s, uint32_t count, bool *ret_finished)
{
	bool taken = false;

	batch(s->sends, count);
	for (uint32_t i = 0; i < count; i++) {
		int64_t result = s->sends[i].result;

		assert_true(result == -EAGAIN || (result > 0 && (size_t)result <= s->left[i]));
		taken |= result > 0;
		s->left[i] = advance(&s->sends[i], result > 0 ? (size_t)result : 0);
		*ret_finished |= s->left[i] == 0;
	}
	return taken;
}

/* A stream that is larger than the buffers between: partly, then not at all, and more once it has been read. */
static void send_through_small_buffers(uint32_t count, struct pair (*make)(void))
{
	static struct streams s;
	bool finished = false;

	memset(&s, 0, sizeof(s));
	for (uint32_t i = 0; i < count; i++) {
		s.pairs[i] = make();
		for (size_t n = 0; n < NET_SEND_IOV_MAX; n++)
			s.iov[i][n] = (struct iovec){ content + n * STREAM_PIECE_BYTES, STREAM_PIECE_BYTES };
		s.sends[i] = send_of(s.pairs[i].ours, s.iov[i], NET_SEND_IOV_MAX);
		s.left[i] = STREAM_BYTES;
	}
	assert_true(stream_on(&s, count, &finished));
	for (uint32_t i = 0; i < count; i++)
		assert_in_range(s.left[i], 1, STREAM_BYTES - 1);
	while (!finished) {
		if (stream_on(&s, count, &finished))
			continue;
		for (uint32_t i = 0; i < count; i++)
			s.have[i] += drain(s.pairs[i].theirs, s.got[i] + s.have[i], STREAM_BYTES - s.have[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		assert_memory_equal(s.got[i], content, s.have[i]);
		expect_content(s.pairs[i].theirs, content + s.have[i], STREAM_BYTES - s.left[i] - s.have[i]);
		expect_nothing_more(s.pairs[i].theirs);
		close_pair(s.pairs[i]);
	}
}

static struct pair small_tcp_pair(void)
{
	return tcp_pair(8192);
}

static void partial_sends(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= STREAMS_MAX; count++) {
		send_through_small_buffers(count, local_pair);
		send_through_small_buffers(count, small_tcp_pair);
	}
}

/* A full buffer: -EAGAIN, again and again, and nothing is sent later by itself. */
static void a_full_buffer_takes_nothing(void **state)
{
	(void)state;
	static uint8_t got[4 * CONTENT_BYTES];
	struct pair pairs[2] = { local_pair(), local_pair() };
	struct iovec iov[2] = { { content, CONTENT_BYTES }, { content, CONTENT_BYTES } };
	struct net_send sends[2] = { send_of(pairs[0].ours, &iov[0], 1), send_of(pairs[1].ours, &iov[1], 1) };
	size_t sent[2] = { 0, 0 };

	do {
		batch(sends, 2);
		for (int i = 0; i < 2; i++)
			sent[i] += sends[i].result > 0 ? (size_t)sends[i].result : 0;
	} while (sends[0].result > 0 || sends[1].result > 0);
	for (int again = 0; again < 3; again++) {
		batch(sends, 2);
		assert_int_equal(sends[0].result, -EAGAIN);
		assert_int_equal(sends[1].result, -EAGAIN);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(drain(pairs[i].theirs, got, sizeof(got)), sent[i]);
		expect_nothing_more(pairs[i].theirs);
		close_pair(pairs[i]);
	}
}

static void a_closed_peer(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= 3; count++) {
		struct pair pairs[3];
		struct iovec iov[3];
		struct net_send sends[3];

		for (uint32_t i = 0; i < count; i++) {
			pairs[i] = i == 1 ? tcp_pair(8192) : local_pair();
			iov[i] = (struct iovec){ content, 100 };
			sends[i] = send_of(pairs[i].ours, &iov[i], 1);
		}
		close(pairs[count - 1].theirs);
		/* The first send over TCP may still succeed: the answer to it is a reset. */
		for (int turn = 0; turn < 20000; turn++) {
			batch(sends, count);
			if (sends[count - 1].result < 0)
				break;
			poll(NULL, 0, 1);
		}
		assert_true(sends[count - 1].result == -EPIPE || sends[count - 1].result == -ECONNRESET);
		for (uint32_t i = 0; i + 1 < count; i++) {
			assert_int_equal(sends[i].result, 100);
			close(pairs[i].theirs);
		}
		for (uint32_t i = 0; i < count; i++)
			close(pairs[i].ours);
	}
}

static void a_bad_descriptor_disturbs_nobody(void **state)
{
	(void)state;
	struct pair pairs[6];
	struct iovec iov[6];
	struct net_send sends[6];
	int file = open("/dev/null", O_WRONLY | O_CLOEXEC), closed = dup(file);

	assert_true(file >= 0 && closed >= 0);
	close(closed);
	for (size_t bad = 0; bad < 6; bad++) {
		for (size_t i = 0; i < 6; i++) {
			pairs[i] = local_pair();
			iov[i] = (struct iovec){ content + i * 1000, 1000 };
			sends[i] = send_of(pairs[i].ours, &iov[i], 1);
		}
		/* -1, one that is closed, and one that is no socket. */
		const int bad_fds[3] = { -1, 1 << 20, file }, errors[3] = { -EBADF, -EBADF, -ENOTSOCK };

		sends[bad].fd = bad_fds[bad % 3];
		batch(sends, 6);
		for (size_t i = 0; i < 6; i++) {
			assert_int_equal(sends[i].result, i == bad ? errors[bad % 3] : 1000);
			if (i != bad)
				expect_content(pairs[i].theirs, content + i * 1000, 1000);
			expect_nothing_more(pairs[i].theirs);
			close_pair(pairs[i]);
		}
	}
	close(file);
}

/* The memory is the caller's again at once, and a descriptor may be another connection's by the next batch. */
static void nothing_is_kept(void **state)
{
	(void)state;
	static uint8_t memory[4][512];

	for (int round = 0; round < 50; round++) {
		struct pair pairs[4];
		struct iovec iov[4];
		struct net_send sends[4];

		for (size_t i = 0; i < 4; i++) {
			pairs[i] = local_pair();
			memset(memory[i], round * 4 + (int)i, sizeof(memory[i]));
			iov[i] = (struct iovec){ memory[i], sizeof(memory[i]) };
			sends[i] = send_of(pairs[i].ours, &iov[i], 1);
		}
		batch(sends, 4);
		memset(memory, 0xee, sizeof(memory));
		for (size_t i = 0; i < 4; i++) {
			uint8_t want[sizeof(memory[i])];

			memset(want, round * 4 + (int)i, sizeof(want));
			assert_int_equal(sends[i].result, sizeof(want));
			expect_content(pairs[i].theirs, want, sizeof(want));
			expect_nothing_more(pairs[i].theirs);
			close_pair(pairs[i]);
		}
	}
}

static int begin(void **state)
{
	int error = 0;

	ops = *state;
	sender = ops->create(&error);
	return sender == NULL ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	ops->destroy(sender);
	return 0;
}

/* Can it be had here? Where the kernel refuses it there is nothing to hold to the contract. */
static bool offered(const struct net_sender_ops *kind)
{
	int error = 0;
	struct net_sender *trial = kind->create(&error);

	if (trial == NULL) {
		assert(error > 0);
		printf("# %s cannot be had here: %s\n", kind->name, strerror(error));
		return false;
	}
	kind->destroy(trial);
	return true;
}

enum { CONTRACTS = 7, SENDERS_MAX = 4 };

/* The suite for one sender, each test named with it; how many tests. */
static size_t add_suite(struct CMUnitTest *to, const struct net_sender_ops *kind)
{
	static char names[SENDERS_MAX * CONTRACTS][80];
	static size_t used;
	const struct CMUnitTest suite[CONTRACTS] = {
		cmocka_unit_test(whole_sends),
		cmocka_unit_test(small_sends),
		cmocka_unit_test(partial_sends),
		cmocka_unit_test(a_full_buffer_takes_nothing),
		cmocka_unit_test(a_closed_peer),
		cmocka_unit_test(a_bad_descriptor_disturbs_nobody),
		cmocka_unit_test(nothing_is_kept),
	};

	for (size_t i = 0; i < CONTRACTS; i++) {
		char *name = names[used++];

		snprintf(name, sizeof(names[0]), "%s: %s", kind->name, suite[i].name);
		to[i] = (struct CMUnitTest){
			.name = name,
			.test_func = suite[i].test_func,
			.setup_func = begin,
			.teardown_func = end,
			.initial_state = (void *)(uintptr_t)kind,
		};
	}
	return CONTRACTS;
}

int main(void)
{
	struct CMUnitTest tests[SENDERS_MAX * CONTRACTS];
	size_t count = 0, kinds = 0;
	struct rlimit limit;

	log_set(LOG_OFF, NULL, NULL);
	rng_init(&rng);
	for (size_t i = 0; i < CONTENT_BYTES; i++)
		content[i] = (uint8_t)(i * 31 + i / 251);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (; net_senders[kinds] != NULL; kinds++) {
		assert(kinds < SENDERS_MAX);
		if (offered(net_senders[kinds]))
			count += add_suite(tests + count, net_senders[kinds]);
	}
	assert(kinds > 0 && net_senders[kinds - 1] == &net_sender_plain && count > 0);
	return _cmocka_run_group_tests("net sender", tests, count, NULL, NULL);
}
