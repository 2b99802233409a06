/* crowd/client.c -- see crowd/client.h. */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 256,
	RECEIVE_BYTES = 1 << 18,
	CLIENTS_PER_ADDRESS = 10000, /* 127.0.0.2 and on: ports run out by address */
	TURN_READS_MAX = 4, /* of one client, before others have their turn */
};

#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static const char upgrade[] =
	"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: crowd\r\nUpgrade: websocket\r\n"
	"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	"Sec-WebSocket-Version: 13\r\n\r\n";
static uint8_t received[RECEIVE_BYTES];

uint64_t crowd_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void gone(struct crowd *crowd, struct client *c, bool reset)
{
	if (c->state < CLIENT_READY)
		crowd->connecting--;
	else if (c->state == CLIENT_READY)
		crowd->ready--;
	crowd->gone++;
	c->state = CLIENT_GONE;
	c->reset = reset;
	close(c->fd);
	c->fd = -1;
}

static void open_one(struct crowd *crowd)
{
	struct client *c = &crowd->clients[crowd->count];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(crowd->port) }, from = to;
	int one = 1, receive_bytes = (int)crowd->receive_bytes;

	*c = (struct client){ .hash = FNV_START };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		fail("socket");
	if (receive_bytes > 0 &&
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)) != 0)
		fail("SO_RCVBUF");
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_port = 0;
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + crowd->count / CLIENTS_PER_ADDRESS);
	(void)setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		fail("bind");
	crowd->count++;
	crowd->connecting++;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) {
		gone(crowd, c, true);
		return;
	}
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = c };
	if (epoll_ctl(crowd->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
		fail("epoll_ctl");
}

void client_listen(struct crowd *crowd, struct client *c, bool on)
{
	struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.ptr = c };

	c->deaf = !on;
	if (c->fd >= 0 && epoll_ctl(crowd->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) != 0)
		fail("epoll_ctl");
}

static void put(struct client *c, const void *data, size_t bytes)
{
	ssize_t sent = send(c->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		return; /* its end is seen by the next read */
	if (sent != (ssize_t)bytes) {
		errno = EAGAIN;
		fail("send");
	}
}

size_t client_frame(uint8_t *out, const char *text, size_t bytes)
{
	size_t at = 0;

	out[at++] = 0x81;
	if (bytes < 126) {
		out[at++] = (uint8_t)(0x80 | bytes);
	} else {
		out[at++] = 0x80 | 126;
		out[at++] = (uint8_t)(bytes >> 8);
		out[at++] = (uint8_t)bytes;
	}
	memset(out + at, 0, 4); /* a mask of zeros leaves the text as it is */
	memcpy(out + at + 4, text, bytes);
	return at + 4 + bytes;
}

void client_say(struct client *c, const char *text, size_t bytes)
{
	uint8_t frame[SEND_BYTES_MAX + 8];

	if (bytes > SEND_BYTES_MAX) {
		errno = EMSGSIZE;
		fail("a message");
	}
	put(c, frame, client_frame(frame, text, bytes));
}

static bool starts(const struct client *c, const char *text)
{
	size_t bytes = strlen(text);

	return c->start_bytes >= bytes && memcmp(c->start, text, bytes) == 0;
}

static void take_text(struct crowd *crowd, struct client *c)
{
	if (c->state == CLIENT_OPENING && starts(c, "0{")) {
		c->state = CLIENT_JOINING;
		client_say(c, "40", 2);
	} else if (c->state == CLIENT_JOINING && starts(c, "40{")) {
		c->state = CLIENT_READY;
		crowd->connecting--;
		crowd->ready++;
	} else if (c->start_bytes == 1 && starts(c, "2")) {
		client_say(c, "3", 1);
	} else if (starts(c, "42[\"") && !starts(c, "42[\"welcome\"")) {
		c->events++;
		c->hash = (c->hash ^ c->frame_hash) * FNV_PRIME;
	} else if (starts(c, "43")) {
		c->acks++;
		if (crowd->acked != NULL)
			crowd->acked(crowd, c);
	}
}

static void take_frame(struct crowd *crowd, struct client *c)
{
	uint8_t op = c->header[0] & 0x0f;

	if (op == 1)
		take_text(crowd, c);
	if (op != 8)
		return;
	c->close_code = c->start_bytes < 2 ? 1005 : (uint16_t)(c->start[0] << 8 | c->start[1]);
	gone(crowd, c, false);
}

/* How long the header is, as far as its first two bytes tell. */
static uint8_t header_bytes(const struct client *c)
{
	uint8_t length = c->header_bytes < 2 ? 0 : c->header[1] & 0x7f;

	return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static void begin_payload(struct client *c)
{
	c->left_bytes = c->header[1] & 0x7f;
	if (c->header_bytes > 2) {
		c->left_bytes = 0;
		for (uint8_t i = 2; i < c->header_bytes; i++)
			c->left_bytes = c->left_bytes << 8 | c->header[i];
	}
	c->start_bytes = 0;
	c->frame_hash = FNV_START;
}

/* Returns how many of the bytes it used. */
static size_t take_payload(struct client *c, const uint8_t *data, size_t bytes)
{
	size_t used = bytes < c->left_bytes ? bytes : (size_t)c->left_bytes;
	uint64_t hash = c->frame_hash;

	for (size_t i = 0; i < used && c->start_bytes < START_BYTES; i++)
		c->start[c->start_bytes++] = data[i];
	for (size_t i = 0; i < used; i++)
		hash = (hash ^ data[i]) * FNV_PRIME;
	c->frame_hash = hash;
	c->left_bytes -= used;
	return used;
}

static void take_frames(struct crowd *crowd, struct client *c, const uint8_t *data, size_t bytes)
{
	size_t at = 0;

	while (at < bytes && c->state != CLIENT_GONE) {
		if (c->header_bytes < header_bytes(c)) {
			c->header[c->header_bytes++] = data[at++];
			if (c->header_bytes < header_bytes(c))
				continue;
			begin_payload(c);
		} else {
			at += take_payload(c, data + at, bytes - at);
		}
		if (c->left_bytes == 0) {
			c->header_bytes = 0;
			take_frame(crowd, c);
		}
	}
}

/* The answer to the handshake: 101 and an empty line. Returns how many of the bytes it used. */
static size_t take_head(struct crowd *crowd, struct client *c, const uint8_t *data, size_t bytes)
{
	static const char end[] = "\r\n\r\n";

	for (size_t at = 0; at < bytes; at++) {
		if (c->start_bytes < START_BYTES)
			c->start[c->start_bytes++] = data[at];
		c->blank = data[at] == (uint8_t)end[c->blank] ? (uint8_t)(c->blank + 1) : data[at] == '\r';
		if (c->blank < 4)
			continue;
		if (starts(c, "HTTP/1.1 101 "))
			c->state = CLIENT_OPENING;
		else
			gone(crowd, c, false);
		return at + 1;
	}
	return bytes;
}

static void hear(struct crowd *crowd, struct client *c)
{
	for (int reads = 0; reads < TURN_READS_MAX && c->state != CLIENT_GONE; reads++) {
		ssize_t n = recv(c->fd, received, sizeof(received), MSG_DONTWAIT);
		size_t at = 0;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			gone(crowd, c, n < 0);
			return;
		}
		if (c->state == CLIENT_UPGRADING)
			at = take_head(crowd, c, received, (size_t)n);
		take_frames(crowd, c, received + at, (size_t)n - at);
	}
}

void crowd_turn(struct crowd *crowd, int wait_ms)
{
	struct epoll_event events[EVENTS_MAX];

	while (crowd->count < crowd->wanted && crowd->connecting < CONNECTING_MAX)
		open_one(crowd);
	int n = epoll_wait(crowd->epoll_fd, events, EVENTS_MAX, wait_ms);
	for (int i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c->state == CLIENT_CONNECTING && !(events[i].events & (EPOLLERR | EPOLLHUP))) {
			c->state = CLIENT_UPGRADING;
			put(c, upgrade, sizeof(upgrade) - 1);
			client_listen(crowd, c, true);
		} else if (c->state != CLIENT_GONE && c->deaf && (events[i].events & (EPOLLERR | EPOLLHUP))) {
			gone(crowd, c, true);
		} else if (c->state != CLIENT_GONE) {
			hear(crowd, c);
		}
	}
}

void crowd_cut(struct crowd *crowd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	for (uint32_t i = 0; i < crowd->count; i++) {
		if (crowd->clients[i].fd < 0)
			continue;
		(void)setsockopt(crowd->clients[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(crowd->clients[i].fd);
	}
	crowd->count = crowd->wanted = crowd->connecting = crowd->ready = crowd->gone = 0;
}
