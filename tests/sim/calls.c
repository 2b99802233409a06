/* tests/sim/calls.c -- the system calls that libsio makes, answered by the simulated kernel: see tests/sim/kernel.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sim/calls.h"
#include "sim/kernel_int.h"

static struct file files[KERNEL_FDS_MAX];
static uint64_t edges;
static int highest; /* index behind the last that was ever open */

static bool is_ours(int fd)
{
	return fd >= KERNEL_FD_FIRST;
}

struct file *kernel_file(int fd)
{
	struct file *f = &files[fd - KERNEL_FD_FIRST];

	if (fd < KERNEL_FD_FIRST || fd >= KERNEL_FD_FIRST + KERNEL_FDS_MAX || f->kind == FILE_FREE)
		kernel_fail("descriptor %d is not open", fd);
	return f;
}

void kernel_calls_begin(void)
{
	memset(files, 0, (size_t)highest * sizeof(files[0]));
	highest = 0;
	edges = 0;
}

uint32_t kernel_open_count(void)
{
	uint32_t count = 0;

	for (int i = 0; i < highest; i++)
		count += files[i].kind != FILE_FREE;
	return count;
}

/* The lowest that is free, as descriptors are. */
static int open_file(enum file_kind kind)
{
	for (int i = 0; i < KERNEL_FDS_MAX; i++) {
		if (files[i].kind != FILE_FREE)
			continue;
		files[i] = (struct file){ .kind = kind };
		highest = i >= highest ? i + 1 : highest;
		return KERNEL_FD_FIRST + i;
	}
	errno = EMFILE;
	return -1;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static bool is_interrupted(void)
{
	if (!kernel_chance(kernel_faults()->interrupted))
		return false;
	kernel_figures_mine()->interrupts++;
	errno = EINTR;
	return true;
}

static uint32_t poll_file(const struct file *f)
{
	switch (f->kind) {
	case FILE_EVENT:
		return f->count > 0 ? EPOLLIN : 0;
	case FILE_SOCKET:
		return f->waiting_count > 0 ? EPOLLIN : 0;
	case FILE_CONN:
		return tcp_server_poll(f->tcp);
	case FILE_FREE:
	case FILE_EPOLL:
	case FILE_NULL:
		break;
	}
	return 0;
}

void kernel_edge(struct file *f)
{
	if (!f->edge)
		f->edge_order = ++edges;
	f->edge = true;
}

static uint32_t to_report(const struct file *f, int epoll)
{
	return f->edge && f->epoll == epoll ? poll_file(f) & (f->events | EPOLLERR | EPOLLHUP) : 0;
}

bool kernel_epoll_ready(int fd)
{
	for (int i = 0; i < highest; i++) {
		if (to_report(&files[i], fd) != 0)
			return true;
	}
	return false;
}

int __wrap_epoll_create1(int flags)
{
	(void)flags;
	return open_file(FILE_EPOLL);
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	struct file *f = kernel_file(fd);

	if (op == EPOLL_CTL_ADD && f->epoll != 0)
		return fail(EEXIST);
	if (op != EPOLL_CTL_ADD && f->epoll != epoll)
		return fail(ENOENT);
	f->epoll = op == EPOLL_CTL_DEL ? 0 : epoll;
	if (op == EPOLL_CTL_DEL)
		return 0;
	f->events = event->events;
	f->data = event->data;
	kernel_edge(f);
	if (!(f->events & EPOLLET))
		kernel_fail("only edges are simulated");
	return 0;
}

/* In the order in which they became ready, as Linux has it; some of them: what is left comes with the next call. */
static int report(int epoll, struct epoll_event *events, int max)
{
	struct file *ready[KERNEL_FDS_MAX];
	uint32_t count = 0;

	for (int i = 0; i < highest; i++) {
		struct file *f = &files[i];
		uint32_t at = count;

		if (to_report(f, epoll) == 0) {
			f->edge = f->edge && f->epoll != epoll;
			continue;
		}
		for (; at > 0 && ready[at - 1]->edge_order > f->edge_order; at--)
			ready[at] = ready[at - 1];
		ready[at] = f;
		count++;
	}
	uint32_t wanted = count > 1 && kernel_chance(300) ? 1 + (uint32_t)kernel_below(count) : count;
	if (wanted > (uint32_t)max)
		wanted = (uint32_t)max;
	for (uint32_t i = 0; i < wanted; i++) {
		events[i] =
			(struct epoll_event){ .events = to_report(ready[i], epoll), .data = ready[i]->data };
		ready[i]->edge = false;
	}
	return (int)wanted;
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
	uint64_t late_ns = timeout_ms > 0 ? kernel_below(200 * KERNEL_US) : 0;

	(void)kernel_file(epoll);
	kernel_wait(epoll, timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms * KERNEL_MS + late_ns);
	if (timeout_ms != 0 && is_interrupted())
		return -1;
	return report(epoll, events, max);
}

int __wrap_eventfd(unsigned count, int flags)
{
	int fd = open_file(FILE_EVENT);

	(void)flags;
	if (fd >= 0)
		kernel_file(fd)->count = count;
	return fd;
}

int __wrap_socket(int family, int type, int protocol)
{
	(void)family;
	(void)type;
	(void)protocol;
	return open_file(FILE_SOCKET);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t bytes)
{
	(void)address;
	(void)bytes;
	kernel_file(fd)->bound = true;
	return 0;
}

int __wrap_listen(int fd, int backlog)
{
	(void)backlog;
	kernel_file(fd)->listens = true;
	return 0;
}

struct file *kernel_listener(void)
{
	struct file *found[64];
	uint32_t count = 0;

	for (int i = 0; i < highest && count < 64; i++) {
		if (files[i].kind == FILE_SOCKET && files[i].listens)
			found[count++] = &files[i];
	}
	return count == 0 ? NULL : found[kernel_below(count)];
}

static struct sockaddr_in address_of(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)
	};
}

int __wrap_getsockname(int fd, struct sockaddr *ret, socklen_t *ret_bytes)
{
	struct sockaddr_in here = address_of(INADDR_LOOPBACK, KERNEL_PORT);

	(void)kernel_file(fd);
	memcpy(ret, &here, sizeof(here));
	*ret_bytes = sizeof(here);
	return 0;
}

int __wrap_accept4(int listener, struct sockaddr *ret, socklen_t *ret_bytes, int flags)
{
	struct file *l = kernel_file(listener);

	(void)flags;
	if (l->waiting_count == 0)
		return fail(EAGAIN);
	if (kernel_chance(kernel_faults()->accept_fails))
		return fail(kernel_chance(500) ? EMFILE : ECONNABORTED);
	int fd = open_file(FILE_CONN);
	if (fd < 0)
		return fd;
	struct tcp *t = l->waiting[0];
	l->waiting_count--;
	memmove(l->waiting, l->waiting + 1, l->waiting_count * sizeof(l->waiting[0]));
	t->fd = fd;
	t->accepted = true;
	kernel_file(fd)->tcp = t;
	struct sockaddr_in peer = address_of(t->address, t->port);
	memcpy(ret, &peer, sizeof(peer));
	*ret_bytes = sizeof(peer);
	return fd;
}

ssize_t __wrap_recv(int fd, void *out, size_t bytes, int flags)
{
	struct file *f = kernel_file(fd);

	(void)flags;
	if (f->kind != FILE_CONN)
		return fail(ENOTSOCK);
	if (is_interrupted())
		return -1;
	long got = tcp_server_recv(f->tcp, out, bytes);
	kernel_trace_add((uint64_t)fd << 32 ^ (uint64_t)got);
	return got < 0 ? fail((int)-got) : got;
}

ssize_t __wrap___recv_chk(int fd, void *out, size_t bytes, size_t room, int flags)
{
	(void)room;
	return __wrap_recv(fd, out, bytes, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct file *f = kernel_file(fd);
	static uint8_t all[1 << 22];
	size_t bytes = 0;

	(void)flags;
	if (f->kind != FILE_CONN)
		return fail(ENOTSOCK);
	if (is_interrupted())
		return -1;
	for (size_t i = 0; i < message->msg_iovlen && bytes < sizeof(all); i++) {
		const struct iovec *v = &message->msg_iov[i];
		size_t taken = v->iov_len < sizeof(all) - bytes ? v->iov_len : sizeof(all) - bytes;

		memcpy(all + bytes, v->iov_base, taken);
		bytes += taken;
	}
	long sent = tcp_server_send(f->tcp, all, bytes);
	kernel_trace_add((uint64_t)fd << 32 ^ (uint64_t)sent << 1);
	return sent < 0 ? fail((int)-sent) : sent;
}

ssize_t __wrap_send(int fd, const void *data, size_t bytes, int flags)
{
	struct iovec v = { .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };

	return __wrap_sendmsg(fd, &(struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 }, flags);
}

ssize_t __wrap_read(int fd, void *out, size_t bytes)
{
	if (!is_ours(fd))
		return __real_read(fd, out, bytes);
	struct file *f = kernel_file(fd);
	if (f->kind != FILE_EVENT || f->count == 0)
		return fail(EAGAIN);
	memcpy(out, &f->count, sizeof(f->count));
	f->count = 0;
	return sizeof(f->count);
}

ssize_t __wrap___read_chk(int fd, void *out, size_t bytes, size_t room)
{
	(void)room;
	return __wrap_read(fd, out, bytes);
}

ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
	if (!is_ours(fd))
		return __real_write(fd, data, bytes);
	kernel_file(fd)->count++;
	kernel_edge(kernel_file(fd));
	if (kernel_chance(kernel_faults()->preempts))
		kernel_sleep(0);
	return (ssize_t)bytes;
}

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/null") == 0)
		return open_file(FILE_NULL);
	return __real_open(path, flags, 0);
}

int __wrap_shutdown(int fd, int how)
{
	struct tcp *t = kernel_file(fd)->tcp;

	(void)how;
	if (t->server_reset)
		return fail(ENOTCONN);
	tcp_server_shut(t);
	return 0;
}

int __wrap_close(int fd)
{
	if (!is_ours(fd))
		return __real_close(fd);
	struct file *f = kernel_file(fd);
	if (f->kind == FILE_CONN)
		tcp_server_close(f->tcp);
	for (uint32_t i = 0; i < f->waiting_count; i++)
		tcp_server_cut(f->waiting[i]);
	f->kind = FILE_FREE;
	f->epoll = 0;
	return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t bytes)
{
	(void)value;
	(void)bytes;
	if (level == SOL_SOCKET && name == SO_ATTACH_FILTER)
		kernel_file(fd)->filtered = true;
	return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *ret, socklen_t *ret_bytes)
{
	struct tcp *t = kernel_file(fd)->tcp;

	if (level == IPPROTO_TCP && name == TCP_INFO) {
		struct tcp_info info = { .tcpi_state = (uint8_t)tcp_server_state(t) };

		memcpy(ret, &info, sizeof(info) < *ret_bytes ? sizeof(info) : *ret_bytes);
		return 0;
	}
	if (level != SOL_SOCKET || name != SO_ERROR)
		kernel_fail("socket option %d of level %d is not simulated", name, level);
	memcpy(ret, &t->server_error, sizeof(int));
	t->server_error = 0;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	if (request != SIOCOUTQ)
		kernel_fail("ioctl %lx is not simulated", request);
	va_start(args, request);
	*va_arg(args, int *) = tcp_server_unacked(kernel_file(fd)->tcp);
	va_end(args);
	return 0;
}
