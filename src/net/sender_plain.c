/* net/sender_plain.c -- the batch sender by one system call an entry. See net/sender.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "net/sender.h"

int64_t net_send_one(int fd, const struct iovec *iov, uint32_t iov_count)
{
	ssize_t sent;

	do {
		if (iov_count == 1) {
			sent = send(fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
		} else {
			struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov,
				.msg_iovlen = iov_count };
			sent = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static struct net_sender *plain_create(int *ret_errno)
{
	struct net_sender *s = malloc(sizeof(*s));

	if (s == NULL) {
		*ret_errno = ENOMEM;
		return NULL;
	}
	s->ops = &net_sender_plain;
	return s;
}

static void plain_destroy(struct net_sender *s)
{
	free(s);
}

static void plain_batch(struct net_sender *s, struct net_send *sends, uint32_t count)
{
	(void)s;
	assert(count <= NET_SEND_BATCH_MAX);
	for (uint32_t i = 0; i < count; i++)
		sends[i].result = net_send_one(sends[i].fd, sends[i].iov, sends[i].iov_count);
}

const struct net_sender_ops net_sender_plain = {
	.name = "plain",
	.create = plain_create,
	.destroy = plain_destroy,
	.batch = plain_batch,
};
