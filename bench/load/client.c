/* load/client.c -- see load/client.h. Below load_client_poll(): one connection's bytes. */
#include "client.h"

#include "frame.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The example key of RFC 6455, 1.3, and the answer that the RFC gives to it. */
#define WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

uint64_t load_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void load_client_fail(struct load_client *c, const char *format, ...)
{
	va_list args;

	if (load_client_failed(c))
		return;
	va_start(args, format);
	vsnprintf(c->failure, sizeof(c->failure), format, args);
	va_end(args);
	assert(load_client_failed(c));
}

int load_client_init(struct load_client *c, const struct load_client_options *options)
{
	assert(options->conns > 0 && options->conns <= LOAD_CONNS_MAX);
	assert(options->at_once > 0);
	*c = (struct load_client){ .options = *options, .epoll_fd = -1, .mask = 0x9e3779b9u };
	c->conns = calloc(options->conns, sizeof(*c->conns));
	/* A kept incomplete frame is put before what is received. */
	c->buffer = malloc(LOAD_RECEIVE_BYTES + LOAD_FRAME_HEADER_BYTES_MAX + LOAD_FRAME_PAYLOAD_BYTES_MAX);
	if (!c->conns || !c->buffer)
		return -ENOMEM;
	for (uint32_t i = 0; i < options->conns; i++) {
		c->conns[i].index = i;
		c->conns[i].fd = -1;
	}
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return c->epoll_fd < 0 ? -errno : 0;
}

void load_client_finish(struct load_client *c)
{
	for (uint32_t i = 0; c->conns && i < c->options.conns; i++) {
		if (c->conns[i].fd >= 0)
			close(c->conns[i].fd);
		free(c->conns[i].carry);
	}
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	free(c->conns);
	free(c->buffer);
}

static void conn_fail(struct load_client *c, struct load_conn *conn, const char *why)
{
	conn->state = LOAD_CONN_CLOSED;
	load_client_fail(c, "connection %u: %s", conn->index, why);
}

/* Our sends are tiny and one at a time: a full socket buffer means that the server has stopped reading. */
static void conn_write(struct load_client *c, struct load_conn *conn, const void *bytes, size_t n)
{
	ssize_t sent = send(conn->fd, bytes, n, MSG_NOSIGNAL);

	if (sent == (ssize_t)n || conn->state == LOAD_CONN_CLOSED)
		return;
	conn_fail(c, conn, sent < 0 ? strerror(errno) : "the server does not read");
}

static void conn_send_frame(
	struct load_client *c, struct load_conn *conn, enum load_opcode opcode, const void *payload, size_t n)
{
	uint8_t frame[LOAD_FRAME_HEADER_BYTES_MAX + LOAD_MESSAGE_BYTES_MAX];

	assert(n <= LOAD_MESSAGE_BYTES_MAX);
	c->mask = c->mask * 1664525u + 1013904223u;
	conn_write(c, conn, frame, load_frame_encode(frame, opcode, c->mask, payload, n));
}

void load_client_send(
	struct load_client *c, struct load_conn *conn, const char *message, size_t message_bytes)
{
	assert(conn->state == LOAD_CONN_OPEN || load_client_failed(c));
	conn_send_frame(c, conn, LOAD_OP_TEXT, message, message_bytes);
}

static void conn_start(struct load_client *c, struct load_conn *conn)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	const struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = c->options.from };
	const int one = 1;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = conn };

	assert(conn->state == LOAD_CONN_WAITING);
	conn->state = LOAD_CONN_CONNECTING;
	c->started++;
	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0 || setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
		setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
		setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
		bind(conn->fd, (const struct sockaddr *)&from, sizeof(from)) < 0 ||
		epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) < 0 ||
		(connect(conn->fd, (const struct sockaddr *)&c->options.to, sizeof(c->options.to)) < 0 &&
			errno != EINPROGRESS))
		conn_fail(c, conn, strerror(errno));
}

static void conn_connected(struct load_client *c, struct load_conn *conn)
{
	char request[512];
	int n = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n",
		c->options.protocol->path, ntohs(c->options.to.sin_port));

	assert(n > 0 && (size_t)n < sizeof(request));
	conn->state = LOAD_CONN_UPGRADING;
	conn_write(c, conn, request, (size_t)n);
}

static void conn_joined(struct load_client *c, struct load_conn *conn)
{
	conn->join = LOAD_JOIN_DONE;
	conn->state = LOAD_CONN_OPEN;
	c->joined++;
}

/* Returns the bytes of the response's head, 0 while it is incomplete or if it was refused. */
static size_t conn_take_response(struct load_client *c, struct load_conn *conn, const uint8_t *in, size_t n)
{
	const uint8_t *end = memmem(in, n, "\r\n\r\n", 4);

	if (!end) {
		if (n > LOAD_RESPONSE_HEAD_MAX)
			conn_fail(c, conn, "endless handshake response");
		return 0;
	}
	size_t head = (size_t)(end - in) + 4;

	if (memmem(in, head, "HTTP/1.1 101 ", 13) != in ||
		!memmem(in, head, WS_ACCEPT, sizeof(WS_ACCEPT) - 1)) {
		conn_fail(c, conn, "handshake refused");
		return 0;
	}
	conn->state = LOAD_CONN_JOINING;
	conn->join = c->options.protocol->join_begins;
	if (conn->join == LOAD_JOIN_DONE)
		conn_joined(c, conn);
	return head;
}

static void conn_take_text(struct load_client *c, struct load_conn *conn, const struct load_frame *frame)
{
	const char *reply = NULL;

	switch (c->options.protocol->step(conn->join, frame->payload, frame->payload_bytes, &reply)) {
	case LOAD_STEP_REPLY:
		c->heartbeats++;
		conn_send_frame(c, conn, LOAD_OP_TEXT, reply, strlen(reply));
		break;
	case LOAD_STEP_JOIN:
		conn->join = LOAD_JOIN_JOINING;
		conn_send_frame(c, conn, LOAD_OP_TEXT, reply, strlen(reply));
		break;
	case LOAD_STEP_GREET:
		conn->join = LOAD_JOIN_GREETING;
		conn_send_frame(c, conn, LOAD_OP_TEXT, reply, strlen(reply));
		break;
	case LOAD_STEP_JOINED:
		conn_joined(c, conn);
		break;
	case LOAD_STEP_MESSAGE:
		c->messages++;
		if (c->on_message)
			c->on_message(c->on_message_arg, conn, frame->payload, frame->payload_bytes);
		else
			conn_fail(c, conn, "a message that nobody waits for");
		break;
	case LOAD_STEP_BAD:
		conn_fail(c, conn, "a message that does not belong here");
		break;
	}
}

static void conn_take_frame(struct load_client *c, struct load_conn *conn, const struct load_frame *frame)
{
	char why[64];
	unsigned code = 0;

	switch (frame->opcode) {
	case LOAD_OP_TEXT:
		conn_take_text(c, conn, frame);
		break;
	case LOAD_OP_PING:
		c->heartbeats++;
		conn_send_frame(c, conn, LOAD_OP_PONG, frame->payload, frame->payload_bytes);
		break;
	case LOAD_OP_CLOSE:
		if (frame->payload_bytes >= 2)
			code = (unsigned)frame->payload[0] << 8 | frame->payload[1];
		snprintf(why, sizeof(why), "closed by the server with %u", code);
		conn_fail(c, conn, why);
		break;
	default:
		conn_fail(c, conn, "a frame that is no text");
	}
}

/* Returns the bytes used; the rest is an incomplete frame. */
static size_t conn_take(struct load_client *c, struct load_conn *conn, const uint8_t *in, size_t n)
{
	size_t used = 0;
	struct load_frame frame;

	if (conn->state == LOAD_CONN_UPGRADING)
		used = conn_take_response(c, conn, in, n);
	if (conn->state == LOAD_CONN_UPGRADING)
		return 0;
	while (conn->state != LOAD_CONN_CLOSED) {
		switch (load_frame_decode(in + used, n - used, &frame)) {
		case LOAD_DECODE_MORE:
			return used;
		case LOAD_DECODE_BAD:
			conn_fail(c, conn, "a bad frame");
			return used;
		case LOAD_DECODE_FRAME:
			conn_take_frame(c, conn, &frame);
			used += frame.frame_bytes;
			break;
		}
	}
	return used;
}

static void conn_keep(struct load_client *c, struct load_conn *conn, const uint8_t *rest, size_t n)
{
	assert(n <= LOAD_FRAME_HEADER_BYTES_MAX + LOAD_FRAME_PAYLOAD_BYTES_MAX ||
		conn->state == LOAD_CONN_CLOSED);
	if (n == 0 || conn->state == LOAD_CONN_CLOSED)
		return;
	conn->carry = malloc(n);
	if (!conn->carry) {
		conn_fail(c, conn, "out of memory");
		return;
	}
	memcpy(conn->carry, rest, n);
	conn->carry_bytes = n;
}

/* Returns false once the socket is drained: a read shorter than asked for is the last of this edge. */
static bool conn_receive(struct load_client *c, struct load_conn *conn)
{
	size_t kept = conn->carry_bytes;
	ssize_t n = recv(conn->fd, c->buffer + kept, LOAD_RECEIVE_BYTES, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		conn_fail(c, conn, n < 0 ? strerror(errno) : "closed by the server");
		return false;
	}
	c->now_ns = load_now_ns();
	if (kept > 0) {
		memcpy(c->buffer, conn->carry, kept);
		free(conn->carry);
		conn->carry = NULL;
		conn->carry_bytes = 0;
	}
	uint64_t messages = c->messages;
	size_t have = kept + (size_t)n, used = conn_take(c, conn, c->buffer, have);

	if (c->messages != messages)
		c->receives++;
	conn_keep(c, conn, c->buffer + used, have - used);
	return n == LOAD_RECEIVE_BYTES && conn->state != LOAD_CONN_CLOSED;
}

static void conn_event(struct load_client *c, struct load_conn *conn, uint32_t events)
{
	if (conn->state == LOAD_CONN_CLOSED)
		return;
	if (conn->state == LOAD_CONN_CONNECTING) {
		int error = 0;
		socklen_t size = sizeof(error);

		getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error != 0)
			conn_fail(c, conn, strerror(error));
		else if (events & EPOLLOUT)
			conn_connected(c, conn);
		return;
	}
	if (events & EPOLLIN)
		while (conn_receive(c, conn))
			;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && conn->state != LOAD_CONN_CLOSED)
		conn_fail(c, conn, "closed by the server");
}

void load_client_poll(struct load_client *c, int timeout_ms)
{
	struct epoll_event events[LOAD_EVENTS_PER_WAIT];
	int n = epoll_wait(c->epoll_fd, events, LOAD_EVENTS_PER_WAIT, timeout_ms);

	if (n < 0 && errno != EINTR)
		load_client_fail(c, "epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++)
		conn_event(c, events[i].data.ptr, events[i].events);
}

bool load_client_connect(struct load_client *c)
{
	const uint64_t stall_ns = c->options.stall_seconds * UINT64_C(1000000000);
	uint64_t progress_at_ns = load_now_ns();

	while (c->joined < c->options.conns && !load_client_failed(c)) {
		uint32_t joined = c->joined;

		while (c->started < c->options.conns && c->started - c->joined < c->options.at_once)
			conn_start(c, &c->conns[c->started]);
		load_client_poll(c, 100);
		if (c->joined != joined)
			progress_at_ns = load_now_ns();
		else if (load_now_ns() - progress_at_ns > stall_ns)
			load_client_fail(
				c, "connecting stalls: %u of %u joined", c->joined, c->options.conns);
	}
	return !load_client_failed(c);
}
