/*
 * net/sender_uring.c -- the batch sender by io_uring: an iteration's sends in one system call. See net/sender.h.
 *
 *      prepare n entries --> submit once --> what failed or was cut short has a completion; all else went whole
 *
 * MSG_DONTWAIT ends every send within the submit. MSG_WAITALL makes a partial send a failure, and with
 * IOSQE_CQE_SKIP_SUCCESS only failures are reported. Entries live within net_send_batch() alone: none can outlast a
 * close() and hit a reused descriptor.
 */
#include "net/sender_uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "net/sender.h"

struct uring_sender {
	struct net_sender base;
	struct io_uring ring;
	bool broken; /* the kernel refused a submit: plain sends from then on */
	struct msghdr messages[NET_SEND_BATCH_MAX];
};

static void uring_destroy(struct net_sender *base)
{
	struct uring_sender *s = (struct uring_sender *)(void *)base;

	if (!s->broken)
		io_uring_queue_exit(&s->ring);
	free(s);
}

enum { PROOF_BYTES = 1 << 20 }; /* more than a socket takes at once */

/* Everything that can be read of a socket. */
static int64_t drain(int fd)
{
	char junk[4096];
	int64_t bytes = 0;
	ssize_t got;

	while ((got = recv(fd, junk, sizeof(junk), MSG_DONTWAIT)) > 0)
		bytes += got;
	return bytes;
}

/* A send that goes in part must say how much went: all that we do hangs on it. */
static bool prove_partial(struct uring_sender *s, const int pair[2], uint32_t iov_count)
{
	/* Never written, so it takes no memory; from the heap it would stay there. */
	char *bytes = mmap(NULL, PROOF_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = { { bytes, PROOF_BYTES / 2 }, { bytes, PROOF_BYTES / 2 } };
	struct net_send sends[2] = {
		{ .fd = pair[0],
			.iov = iov,
			.iov_count = iov_count,
			.bytes = iov_count * (size_t)(PROOF_BYTES / 2) },
		{ .fd = pair[0], .iov = iov, .iov_count = 1, .bytes = PROOF_BYTES / 2 },
	};

	if (bytes == MAP_FAILED)
		return false;
	net_sender_uring.batch(&s->base, sends, 2);
	int64_t read = drain(pair[1]);
	int64_t said = sends[0].result + (sends[1].result > 0 ? sends[1].result : 0);
	munmap(bytes, PROOF_BYTES);
	return sends[0].result > 0 && read == said && (size_t)said < sends[0].bytes + sends[1].bytes;
}

/* Old kernels lack a flag that we need or do not keep its promise, and containers forbid the calls: prove it. */
static int prove(struct uring_sender *s)
{
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		return -errno;
	struct net_send sends[2] = {
		{ .fd = pair[0], .iov = &iov, .iov_count = 1, .bytes = 1 },
		{ .fd = s->ring.ring_fd, .iov = &iov, .iov_count = 1, .bytes = 1 }, /* no socket: must fail */
	};
	net_sender_uring.batch(&s->base, sends, 2);
	bool ok = drain(pair[1]) == 1 && sends[0].result == 1 && sends[1].result < 0;
	ok = ok && prove_partial(s, pair, 1) && prove_partial(s, pair, 2);
	close(pair[0]);
	close(pair[1]);
	return ok && !s->broken ? 0 : -ENOSYS;
}

static struct net_sender *uring_create(int *ret_errno)
{
	struct uring_sender *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		*ret_errno = ENOMEM;
		return NULL;
	}
	s->base.ops = &net_sender_uring;
	int rc = io_uring_queue_init(
		NET_SEND_BATCH_MAX, &s->ring, IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP);
	if (rc < 0) {
		*ret_errno = -rc;
		free(s);
		return NULL;
	}
	rc = prove(s);
	if (rc < 0) {
		*ret_errno = -rc;
		uring_destroy(&s->base);
		return NULL;
	}
	return &s->base;
}

static void prepare(struct uring_sender *s, struct net_send *n, uint32_t at)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	const int flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;

	assert(sqe != NULL);
	if (n->iov_count == 1) {
		io_uring_prep_send(sqe, n->fd, n->iov->iov_base, n->iov->iov_len, flags);
	} else {
		s->messages[at] = (struct msghdr){ .msg_iov = n->iov, .msg_iovlen = n->iov_count };
		io_uring_prep_sendmsg(sqe, n->fd, &s->messages[at], (unsigned)flags);
	}
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data64(sqe, at);
	n->result = (int64_t)n->bytes; /* unless a completion says otherwise */
}

/* Take the completions: each is a failure or a partial send. */
static void reap(struct uring_sender *s, struct net_send *sends, uint32_t count)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	io_uring_for_each_cqe(&s->ring, head, cqe)
	{
		assert(cqe->user_data < count);
		sends[cqe->user_data].result = cqe->res == 0 ? -EAGAIN : cqe->res;
		seen++;
	}
	io_uring_cq_advance(&s->ring, seen);
}

static void uring_batch(struct net_sender *base, struct net_send *sends, uint32_t count)
{
	struct uring_sender *s = (struct uring_sender *)(void *)base;
	uint32_t submitted = 0;

	assert(count <= NET_SEND_BATCH_MAX);
	if (count <= 1 || s->broken) { /* for one, a plain send is cheaper */
		net_sender_plain.batch(base, sends, count);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		prepare(s, &sends[i], i);
	while (submitted < count) {
		int rc = io_uring_submit(&s->ring);

		if (rc == -EINTR)
			continue;
		if (rc <= 0)
			break;
		submitted += (uint32_t)rc;
	}
	reap(s, sends, count);
	if (submitted == count)
		return;
	/* Leaving the ring is the only way to be sure that nothing of it is sent later. */
	log_line(LOG_WARN, "io_uring refused a submit: going on with plain sends");
	io_uring_queue_exit(&s->ring);
	s->broken = true;
	net_sender_plain.batch(base, sends + submitted, count - submitted);
}

const struct net_sender_ops net_sender_uring = {
	.name = "io_uring",
	.create = uring_create,
	.destroy = uring_destroy,
	.batch = uring_batch,
};
