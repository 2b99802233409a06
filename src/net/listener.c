/*
 * net/listener.c -- accepting, refusing and ending politely.
 *
 * Each loop has a listener of its own on the same port (SO_REUSEPORT). When descriptors have run out,
 * what waits is refused by the reserve (reserve.c), so nobody hangs and no loop spins. To stop without resetting a connection that
 * the kernel has accepted for us: drop new SYNs by a socket filter, accept what is queued, and only then close.
 */
#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/str.h"
#include "net/net_int.h"

static int error_text(char *err, size_t err_bytes, const char *what, const char *where, int error)
{
	snprintf(err, err_bytes, "%s %s: %s", what, where, strerror(error));
	return -error;
}

/* "ADDRESS:PORT" or "[V6]:PORT" to a socket address. */
static int resolve(
	const char *where, union net_address *ret, socklen_t *ret_bytes, char *err, size_t err_bytes)
{
	const char *colon = strrchr(where, ':');
	char host[256];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	uint64_t port;

	/* getaddrinfo() would take a port out of range for another one. */
	if (colon == NULL || (size_t)(colon - where) >= sizeof(host) ||
		!str_parse_u64(str_c(colon + 1), UINT16_MAX, &port))
		return error_text(err, err_bytes, "not ADDRESS:PORT:", where, EINVAL);
	size_t bytes = (size_t)(colon - where);
	if (bytes >= 2 && where[0] == '[' && where[bytes - 1] == ']') {
		where++;
		bytes -= 2;
	}
	memcpy(host, where, bytes);
	host[bytes] = '\0';
	int rc = getaddrinfo(host[0] == '\0' ? NULL : host, colon + 1, &hints, &found);
	if (rc != 0) {
		snprintf(err, err_bytes, "%s: %s", where, gai_strerror(rc));
		return -EINVAL;
	}
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	*ret_bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

/* A bound socket; `shared` sets SO_REUSEPORT. -errno. */
static int bound_socket(const union net_address *address, socklen_t bytes, bool shared)
{
	int one = 1;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0)
		goto fail;
	if (bind(fd, &address->any, bytes) != 0)
		goto fail;
	return fd;
fail:;
	int error = errno;
	close(fd);
	return -error;
}

static void set_port(union net_address *address, uint16_t port_be)
{
	if (address->any.sa_family == AF_INET)
		address->v4.sin_port = port_be;
	else
		address->v6.sin6_port = port_be;
}

/*
 * SO_REUSEPORT would let two servers share a port without a word: a bind without it proves that it is free. It does not listen:
 * who came meanwhile would be cut.
 */
static int probe(union net_address *address, socklen_t bytes)
{
	union net_address got = { .v6 = { 0 } };
	socklen_t got_bytes = sizeof(got);
	int fd = bound_socket(address, bytes, false);

	if (fd < 0)
		return fd;
	int rc = 0;
	if (getsockname(fd, &got.any, &got_bytes) != 0)
		rc = -errno;
	else
		set_port(address, got.any.sa_family == AF_INET ? got.v4.sin_port : got.v6.sin6_port);
	close(fd);
	return rc;
}

static void accept_some(struct net_listener *l);

static void listener_ready(struct net_source *source, uint32_t events)
{
	(void)events;
	accept_some(list_entry(source, struct net_listener, source));
}

static void accept_again(struct net_task *task)
{
	accept_some(list_entry(task, struct net_listener, again));
}

static void accept_retry(struct net_timer *timer)
{
	accept_some(list_entry(timer, struct net_listener, retry));
}

/* Listen, and be told of who comes. Who is not told must not listen: SO_REUSEPORT would give it its share of them all the same. */
static int begin(struct net_listener *l)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &l->source };

	if (listen(l->fd, NET_LISTEN_BACKLOG) == 0 &&
		epoll_ctl(l->loop->epoll_fd, EPOLL_CTL_ADD, l->fd, &event) == 0)
		return 0;
	int error = errno;
	close(l->fd);
	l->fd = -1;
	return -error;
}

int net_listen_tls(struct net_pool *pool, const char *where, struct net_tls_context *tls,
	net_accepted_fn *accepted, void *ctx, char *err, size_t err_bytes)
{
	union net_address address;
	socklen_t bytes = 0;

	memset(&address, 0, sizeof(address));
	int rc = resolve(where, &address, &bytes, err, err_bytes);
	if (rc < 0)
		return rc;
	rc = probe(&address, bytes);
	if (rc < 0)
		return error_text(err, err_bytes, "cannot listen on", where, -rc);
	for (uint32_t i = 0; i < pool->loop_count; i++) {
		struct net_loop *loop = pool->loops[i];
		if (loop->listener_count == NET_LISTENERS_MAX)
			return error_text(err, err_bytes, "too many listeners:", where, ENOSPC);
		int fd = bound_socket(&address, bytes, true);
		if (fd < 0)
			return error_text(err, err_bytes, "cannot listen on", where, -fd);
		struct net_listener *l = &loop->listeners[loop->listener_count++];
		*l = (struct net_listener){
			.loop = loop, .fd = fd, .tls = tls, .accepted = accepted, .ctx = ctx
		};
		l->source.ready = listener_ready;
		net_task_init(&l->again, accept_again);
		net_timer_init(&l->retry, accept_retry);
		rc = begin(l);
		if (rc < 0)
			return error_text(err, err_bytes, "cannot listen on", where, -rc);
	}
	if (pool->port == 0)
		pool->port =
			ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
	return 0;
}

int net_listen(struct net_pool *pool, const char *where, net_accepted_fn *accepted, void *ctx, char *err,
	size_t err_bytes)
{
	return net_listen_tls(pool, where, NULL, accepted, ctx, err, err_bytes);
}

uint16_t net_pool_port(const struct net_pool *pool)
{
	return pool->port;
}

static void admit(struct net_listener *l, int fd, const union net_address *peer)
{
	struct net_loop *loop = l->loop;
	struct net_pool *pool = loop->pool;
	struct net_peer key = net_peer_of(peer);
	bool counted = false;
	int one = 1;

	if (atomic_fetch_add_explicit(&pool->conns, 1, memory_order_relaxed) >= pool->conns_max) {
		net_count(&loop->counts.refused_limit, 1);
		goto refuse;
	}
	if (!net_addresses_enter(pool->addresses, &key, &counted)) {
		net_count(&loop->counts.refused_address, 1);
		goto refuse;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct net_conn *c = net_conn_adopt(loop, fd, peer, counted);
	if (c == NULL) {
		if (counted)
			net_addresses_leave(pool->addresses, &key);
		goto refuse;
	}
	net_count(&loop->counts.accepted, 1);
	if (l->tls != NULL && !net_conn_encrypt(c, l->tls))
		net_conn_close(c);
	else
		l->accepted(c, l->ctx);
	return;
refuse:
	atomic_fetch_sub_explicit(&pool->conns, 1, memory_order_relaxed);
	close(fd);
}

/*
 * It concerns one connection, which has gone with it (accept(2)). EPERM is none of them: what forbids it is asked before a connection is
 * taken, so the next call would find the same one.
 */
static bool is_of_one(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case EINTR:
	case ENETDOWN:
	case ENETUNREACH:
	case ENONET:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EPROTO:
		return true;
	default:
		return false;
	}
}

/* What an accept failed with. True: go on with the next. */
static bool accept_failed(struct net_listener *l, int error)
{
	struct net_loop *loop = l->loop;

	if (error == EAGAIN)
		return false;
	if (is_of_one(error))
		return true;
	if (error == EMFILE || error == ENFILE) {
		int rc = net_reserve_refuse(loop->pool->reserve, l->fd);
		if (rc == 0)
			net_count(&loop->counts.refused_descriptors, 1);
		if (rc != -EMFILE)
			return rc != -EAGAIN;
	} else if (!l->complained) {
		l->complained = true;
		log_line(LOG_ERROR, "connections cannot be accepted: %s", strerror(error));
	}
	if (!net_timer_start(&l->retry, loop, NET_ACCEPT_RETRY_MS))
		net_defer_next(loop, &l->again);
	return false;
}

/* Accept what waits, but at most turn_max. True: there may be more. */
static bool accept_turn(struct net_listener *l, uint32_t turn_max)
{
	for (uint32_t turn = 0; turn < turn_max; turn++) {
		union net_address peer;

		if (l->fd < 0)
			return false;
		int fd = net_reserve_accept(l->loop->pool->reserve, l->fd, &peer);
		if (fd >= 0)
			admit(l, fd, &peer);
		else if (!accept_failed(l, -fd))
			return false;
	}
	return true;
}

static void accept_some(struct net_listener *l)
{
	if (accept_turn(l, NET_ACCEPT_TURN_MAX))
		net_defer_next(l->loop, &l->again);
}

void net_listeners_refuse_new(struct net_loop *loop)
{
	/* Drop segments with SYN and without ACK; let all others pass, handshakes under way among them. */
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* the TCP flags */
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	for (uint32_t i = 0; i < loop->listener_count; i++) {
		int fd = loop->listeners[i].fd;

		if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
			log_line(LOG_WARN, "new connections cannot be held off while stopping: %s",
				strerror(errno));
	}
	net_listeners_drain(loop);
}

void net_listeners_drain(struct net_loop *loop)
{
	for (uint32_t i = 0; i < loop->listener_count; i++)
		(void)accept_turn(&loop->listeners[i], 2 * NET_LISTEN_BACKLOG); /* all that can wait */
}

void net_listeners_close(struct net_loop *loop)
{
	for (uint32_t i = 0; i < loop->listener_count; i++) {
		struct net_listener *l = &loop->listeners[i];

		net_task_cancel(&l->again);
		net_timer_stop(&l->retry, loop);
		if (l->fd >= 0)
			close(l->fd);
		l->fd = -1;
	}
	loop->listeners_closed = true;
}
