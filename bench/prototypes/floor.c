/*
 * prototypes/floor.c -- the least that a broadcast can cost on this machine. For measuring alone.
 *
 *      all that can be read --> one run of frames --> the same run to every connection, by one send each
 *
 * Raw frames in, raw frames out: `b...` goes to everybody, `e...` back to its sender. No protocol above the frames, no
 * rooms, no heartbeats, no queues; a send that the kernel does not take whole ends the program. So what its deliveries cost
 * is the kernel's price, and what ours cost beyond it is the price of what we do. SENDER=plain or uring; PORT names the
 * port of 127.0.0.1. One thread.
 */
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws/frame.h"
#include "ws/handshake.h"

enum {
	FDS_MAX = 20000,
	RECV_BYTES = 64 << 10,
	RUN_BYTES_MAX = 1 << 20, /* of one iteration */
	BATCH_MAX = 256, /* as net/sender.h */
	EVENTS_MAX = 256,
};

struct conn {
	bool upgraded;
	uint32_t place; /* among those that listen */
	struct ws_decoder decoder;
};

static struct conn conns[FDS_MAX];
static int listening[FDS_MAX];
static uint32_t listening_count;
static uint8_t received[RECV_BYTES], run[RUN_BYTES_MAX];
static size_t run_bytes;
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

static void take_frame(int fd, const struct ws_piece *p)
{
	uint8_t frame[WS_SERVER_HEADER_BYTES_MAX + 256];

	need(p->first && p->last && p->data_bytes <= 256, "a whole, short frame");
	size_t header = ws_frame_header_encode(frame, WS_OP_TEXT, true, p->data_bytes);
	memcpy(frame + header, p->data, p->data_bytes);
	size_t bytes = header + p->data_bytes;
	if (p->data_bytes > 0 && p->data[0] == 'e') {
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

static void send_batch(const int *fds, uint32_t count)
{
	struct io_uring_cqe *cqe;

	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_send(sqe, fds[i], run, run_bytes, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
		io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	}
	need(io_uring_submit(&ring) == (int)count, "io_uring_submit");
	need(io_uring_peek_cqe(&ring, &cqe) != 0, "every send to go whole");
}

static void flush(void)
{
	for (uint32_t i = 0; by_ring && i < listening_count; i += BATCH_MAX)
		send_batch(listening + i, listening_count - i < BATCH_MAX ? listening_count - i : BATCH_MAX);
	for (uint32_t i = 0; !by_ring && i < listening_count; i++)
		need(send(listening[i], run, run_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)run_bytes,
			"send");
	run_bytes = 0;
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

int main(void)
{
	const char *port = getenv("PORT"), *sender = getenv("SENDER");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event events[EVENTS_MAX], e = { .events = EPOLLIN };
	const int on = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	need(port != NULL && sender != NULL, "PORT and SENDER");
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
		if (run_bytes > 0)
			flush();
	}
}
