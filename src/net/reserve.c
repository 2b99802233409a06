/*
 * net/reserve.c -- what to do when descriptors have run out: refuse at once, instead of letting people wait.
 *
 *      close a kept descriptor --> accept with its number --> close that: refused --> keep one again
 *
 * Another loop's accept in between would take the number, and the reserve were gone: so once descriptors have been scarce,
 * accepting takes a lock, until one has been had without trouble. Not on the message path. Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net_int.h"

struct net_reserve {
	atomic_bool scarce;
	pthread_mutex_t lock; /* guards fds, and accepting while scarce */
	uint32_t count;
	int fds[]; /* -1: lost, to be had again when there are some */
};

static int keep_one(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct net_reserve *net_reserve_create(uint32_t count)
{
	struct net_reserve *r = calloc(1, sizeof(*r) + count * sizeof(r->fds[0]));

	if (r == NULL)
		return NULL;
	atomic_init(&r->scarce, false);
	pthread_mutex_init(&r->lock, NULL);
	r->count = count;
	for (uint32_t i = 0; i < count; i++)
		r->fds[i] = keep_one();
	return r;
}

void net_reserve_destroy(struct net_reserve *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->fds[i] >= 0)
			close(r->fds[i]);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int accept_one(int listener, union net_address *ret_peer)
{
	socklen_t bytes = sizeof(*ret_peer);
	int fd = accept4(listener, &ret_peer->any, &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int net_reserve_accept(struct net_reserve *r, int listener, union net_address *ret_peer)
{
	if (!atomic_load_explicit(&r->scarce, memory_order_relaxed))
		return accept_one(listener, ret_peer);
	pthread_mutex_lock(&r->lock);
	/* What was lost comes before a connection. */
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->fds[i] < 0)
			r->fds[i] = keep_one();
	}
	int fd = accept_one(listener, ret_peer);
	if (fd >= 0)
		atomic_store_explicit(&r->scarce, false, memory_order_relaxed);
	pthread_mutex_unlock(&r->lock);
	return fd;
}

int net_reserve_refuse(struct net_reserve *r, int listener)
{
	union net_address peer;
	int result = -EMFILE;

	pthread_mutex_lock(&r->lock);
	atomic_store_explicit(&r->scarce, true, memory_order_relaxed);
	for (uint32_t i = 0; i < r->count && result == -EMFILE; i++) {
		if (r->fds[i] < 0)
			continue;
		close(r->fds[i]);
		int fd = accept_one(listener, &peer);
		if (fd >= 0)
			close(fd);
		r->fds[i] = keep_one();
		result = fd >= 0 ? 0 : fd == -ENFILE ? -EMFILE : fd;
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}
