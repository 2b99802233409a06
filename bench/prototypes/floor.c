/*
 * prototypes/floor.c -- the least that a broadcast can cost on this machine. For measuring alone.
 *
 *      all that can be read --> one run of frames --> the same run to every connection, by one send each
 *
 * Raw frames in, raw frames out: `b...` goes to everybody, `e...` back to its sender. `jID FIRST COUNT` puts a connection into
 * the rooms from FIRST on, which have the same members: a group; `gROOM b...` goes to a group, one send a member and message. No
 * protocol above the frames, no names of rooms, no heartbeats, no queues; a send that the kernel does not take whole ends the program. So what its deliveries cost
 * is the kernel's price, and what ours cost beyond it is the price of what we do. SENDER=plain or uring; PORT names the
 * port of 127.0.0.1. One thread. With TOUCH=n it also writes to n cache lines of each connection's own before a batch is sent and
 * after it, as a program with something to remember does: what that costs beside the writing is what the kernel's memory loses
 * its places in the caches for.
 */
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws/frame.h"
#include "ws/handshake.h"

enum {
	FDS_MAX = 20000,
	LINE_BYTES = 64,
	LINES_MAX = 16, /* of a connection */
	RECV_BYTES = 64 << 10,
	RUN_BYTES_MAX = 1 << 20, /* of one iteration */
	BATCH_MAX = 256, /* as net/sender.h */
	EVENTS_MAX = 256,
};

struct conn {
	bool upgraded;
	uint32_t place; /* among those that listen */
	int *group; /* that it has joined; NULL: none */
	int next; /* of its group; 0: none */
	struct ws_decoder decoder;
};

static struct conn conns[FDS_MAX];
static int listening[FDS_MAX];
static uint32_t listening_count;
static int groups[FDS_MAX]; /* their first; 0: none */
static unsigned long group_rooms = 1; /* of each group */
static uint8_t received[RECV_BYTES], run[RUN_BYTES_MAX], said[RUN_BYTES_MAX];
static size_t run_bytes, said_bytes;
static struct io_uring ring;
static bool by_ring;
static int poller;

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void drop(int fd)
{
	struct conn *c = &conns[fd];

	if (c->upgraded) {
		int last = listening[--listening_count];

		listening[c->place] = last;
		conns[last].place = c->place;
	}
	c->upgraded = false;
	if (c->group != NULL) {
		int *at = c->group;

		while (*at != fd)
			at = &conns[*at].next;
		*at = c->next;
		c->group = NULL;
	}
	close(fd);
}

static void upgrade(int fd, size_t bytes)
{
	static const char name[] = "Sec-WebSocket-Key: ";
	char answer[160], accept[WS_ACCEPT_BYTES];
	char *key = memmem(received, bytes, name, sizeof(name) - 1);
	struct conn *c = &conns[fd];

	need(key != NULL && memmem(received, bytes, "\r\n\r\n", 4) != NULL, "a whole handshake");
	ws_handshake_accept(accept, (struct str){ .s = key + sizeof(name) - 1, .bytes = WS_KEY_BYTES });
	int n = snprintf(answer, sizeof(answer),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %.*s\r\n\r\n",
		WS_ACCEPT_BYTES, accept);
	need(send(fd, answer, (size_t)n, MSG_NOSIGNAL) == n, "send");
	*c = (struct conn){ .upgraded = true, .place = listening_count };
	ws_decoder_init(&c->decoder, RUN_BYTES_MAX);
	listening[listening_count++] = fd;
}

/* What is sent in this iteration to some. */
struct to_one {
	int fd;
	const uint8_t *data;
	size_t bytes;
};
static struct to_one sends[BATCH_MAX];
static uint32_t send_count;
static uint8_t lines[FDS_MAX][LINES_MAX][LINE_BYTES];
static unsigned long touched;

static void touch(int fd)
{
	for (unsigned long i = 0; i < touched; i++)
		lines[fd][i][0]++;
}

static void send_batch(void)
{
	struct io_uring_cqe *cqe;

	for (uint32_t i = 0; i < send_count; i++) {
		const struct to_one *s = &sends[i];

		if (by_ring) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_send(
				sqe, s->fd, s->data, s->bytes, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
			io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
		} else {
			need(send(s->fd, s->data, s->bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)s->bytes,
				"send");
		}
	}
	if (by_ring && send_count > 0) {
		need(io_uring_submit(&ring) == (int)send_count, "io_uring_submit");
		need(io_uring_peek_cqe(&ring, &cqe) != 0, "every send to go whole");
	}
	for (uint32_t i = 0; i < send_count; i++)
		touch(sends[i].fd);
	send_count = 0;
}

static void send_later(int fd, const uint8_t *data, size_t bytes)
{
	if (send_count == BATCH_MAX)
		send_batch();
	touch(fd);
	sends[send_count++] = (struct to_one){ fd, data, bytes };
}

static size_t frame_of(uint8_t *out, const uint8_t *data, size_t bytes)
{
	size_t header = ws_frame_header_encode(out, WS_OP_TEXT, true, bytes);

	memcpy(out + header, data, bytes);
	return header + bytes;
}

/* One that is to hear what is said in some rooms. */
static void take_join(int fd, const uint8_t *data, size_t bytes)
{
	char text[64] = "", *after_id, *rest;
	uint8_t frame[WS_SERVER_HEADER_BYTES_MAX + sizeof(text)];

	memcpy(text, data, bytes < sizeof(text) ? bytes : sizeof(text) - 1);
	(void)strtoul(text + 1, &after_id, 10);
	unsigned long first = strtoul(after_id, &rest, 10);
	group_rooms = strtoul(rest, NULL, 10);
	need(group_rooms > 0 && first / group_rooms < FDS_MAX && conns[fd].group == NULL,
		"rooms to join, once");
	conns[fd].group = &groups[first / group_rooms];
	conns[fd].next = *conns[fd].group;
	*conns[fd].group = fd;
	size_t n = frame_of(frame, data, (size_t)(after_id - text));
	need(send(fd, frame, n, MSG_NOSIGNAL) == (ssize_t)n, "send");
}

/* What is said in one room. */
static void take_said(const uint8_t *data, size_t bytes)
{
	char number[16] = "";
	const uint8_t *text = memchr(data, ' ', bytes);

	need(text != NULL && text - data < (ptrdiff_t)sizeof(number), "a room's number");
	memcpy(number, data + 1, (size_t)(text - data - 1));
	text++;
	unsigned long group = strtoul(number, NULL, 10) / group_rooms;
	need(group < FDS_MAX, "a room that somebody may have joined");
	need(said_bytes + WS_SERVER_HEADER_BYTES_MAX + bytes <= sizeof(said),
		"room for an iteration's frames");
	size_t n = frame_of(said + said_bytes, text, bytes - (size_t)(text - data));
	for (int fd = groups[group]; fd != 0; fd = conns[fd].next)
		send_later(fd, said + said_bytes, n);
	said_bytes += n;
}

static void take_frame(int fd, const struct ws_piece *p)
{
	uint8_t frame[WS_SERVER_HEADER_BYTES_MAX + 256];

	need(p->first && p->last && p->data_bytes > 0 && p->data_bytes <= 256, "a whole, short frame");
	if (p->data[0] == 'j') {
		take_join(fd, p->data, p->data_bytes);
		return;
	}
	if (p->data[0] == 'g') {
		take_said(p->data, p->data_bytes);
		return;
	}
	size_t bytes = frame_of(frame, p->data, p->data_bytes);
	if (p->data[0] == 'e') {
		need(send(fd, frame, bytes, MSG_NOSIGNAL) == (ssize_t)bytes, "send");
		return;
	}
	need(run_bytes + bytes <= sizeof(run), "room for an iteration's frames");
	memcpy(run + run_bytes, frame, bytes);
	run_bytes += bytes;
}

static void readable(int fd)
{
	struct conn *c = &conns[fd];
	ssize_t n = recv(fd, received, sizeof(received), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(fd);
	} else if (!c->upgraded) {
		upgrade(fd, (size_t)n);
	} else {
		size_t at = 0, used;
		struct ws_piece piece;

		while (ws_decode(&c->decoder, received + at, (size_t)n - at, &used, &piece) ==
			WS_DECODE_PIECE) {
			at += used;
			take_frame(fd, &piece);
		}
	}
}

/* What went to some waits in its batch already; what is for all goes to each by one send. */
static void flush(void)
{
	for (uint32_t i = 0; run_bytes > 0 && i < listening_count; i++)
		send_later(listening[i], run, run_bytes);
	send_batch();
	run_bytes = said_bytes = 0;
}

static void accept_all(int listener)
{
	const int on = 1;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };

		need(fd < FDS_MAX, "room for a connection");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		need(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
	}
}

/* The usual 1,024 descriptors are too few. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(void)
{
	const char *port = getenv("PORT"), *sender = getenv("SENDER"), *touch_lines = getenv("TOUCH");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event events[EVENTS_MAX], e = { .events = EPOLLIN };
	const int on = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	need(port != NULL && sender != NULL, "PORT and SENDER");
	touched = touch_lines != NULL ? strtoul(touch_lines, NULL, 10) : 0;
	need(touched <= LINES_MAX, "so many lines");
	raise_descriptors();
	at.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	by_ring = strcmp(sender, "uring") == 0;
	need(!by_ring || io_uring_queue_init(BATCH_MAX, &ring, 0) == 0, "io_uring");
	poller = epoll_create1(EPOLL_CLOEXEC);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	need(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 4096) == 0,
		"listen");
	e.data.fd = listener;
	need(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e) == 0, "epoll_ctl");
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_all(listener);
			else
				readable(events[i].data.fd);
		}
		flush();
	}
}
