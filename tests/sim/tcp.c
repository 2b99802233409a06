/*
 * tests/sim/tcp.c -- connections of the simulated kernel: see tests/sim/kernel.h.
 *
 *      written ----------- sent ---------- arrived ------- read          positions in one direction's bytes
 *        end     window      |  delay in flight  |  in the receiver's kernel
 *                                    acked <--- a delay later: the sender knows that it arrived
 *
 * As Linux has it, as far as a server can see: what a closed end is sent comes back as a reset; closing with unread bytes is a
 * reset; what arrived before a reset can still be read; a reset is told once; writable means that a third of the buffer is free.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "sim/kernel_int.h"

enum { MSS = 1448, LATE_ACK_MS = 40, SYN_TRIES = 3 };

static uint16_t ports; /* given so far */

void kernel_tcp_begin(void)
{
	ports = 0;
}

static uint64_t delay_ns(void)
{
	return 20 * KERNEL_US + kernel_below(kernel_faults()->delay_ns_max + 1);
}

static bool is_up(const struct tcp *t, const struct pipe *p)
{
	return p == &t->up;
}

static struct pipe *pipe_at(struct tcp *t, bool up)
{
	return up ? &t->up : &t->down;
}

/* Where an event says which direction it is of, the lowest bit does. */
static uint64_t event_arg(uint64_t position, bool up)
{
	return position << 1 | (up ? 1 : 0);
}

static void to_server(struct tcp *t)
{
	if (t->fd != 0)
		kernel_edge(kernel_file(t->fd));
}

static void client_ended(struct tcp *t, int error)
{
	if (t->client_closed)
		return;
	if (error != 0)
		t->client_closed = true;
	t->ops->ended(t->ctx, error);
}

static void reset_at_server(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;

	(void)arg;
	if (t->vanished || t->server_reset || t->server_closed)
		return;
	t->server_reset = true;
	t->server_error = ECONNRESET;
	to_server(t);
}

static void reset_at_client(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;

	(void)arg;
	if (t->vanished || t->client_reset)
		return;
	t->client_reset = true;
	client_ended(t, -ECONNRESET);
}

/* In order with what has been sent before. */
static void send_reset(struct tcp *t, bool up)
{
	struct pipe *p = pipe_at(t, up);
	uint64_t at = kernel_now_ns() + delay_ns();

	kernel_figures_mine()->resets++;
	if (at < p->last_arrival_ns)
		at = p->last_arrival_ns;
	p->last_arrival_ns = at;
	kernel_after(at - kernel_now_ns(), up ? reset_at_server : reset_at_client, t, 0);
}

static bool is_writable(const struct tcp *t)
{
	return 3 * (t->down.end - t->down.acked) <= 2 * (uint64_t)kernel_faults()->sndbuf;
}

static void acknowledged(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;
	struct pipe *p = pipe_at(t, arg & 1);

	if (t->vanished || p->acked >= arg >> 1)
		return;
	p->acked = arg >> 1;
	if (!is_up(t, p) && t->no_space && is_writable(t)) {
		t->no_space = false;
		to_server(t);
	}
}

static void fin_acknowledged(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;
	struct pipe *p = pipe_at(t, arg & 1);

	if (t->vanished)
		return;
	p->acked = p->end;
	p->fin_acked = true;
	if (!is_up(t, p))
		to_server(t);
}

static void pump(struct tcp *t, struct pipe *p);

/* The client's program has what has arrived. */
static void read_at_client(struct tcp *t)
{
	struct pipe *p = &t->down;

	if (t->delivering)
		return;
	t->delivering = true;
	while (!t->client_closed && !t->stalled && p->read < p->arrived) {
		uint64_t from = p->read;

		p->read = p->arrived;
		t->ops->data(t->ctx, p->data + (from - p->base), (size_t)(p->arrived - from));
	}
	t->delivering = false;
	pump(t, p);
	if (p->fin_arrived && p->read == p->arrived && !t->stalled)
		client_ended(t, 0);
}

static bool is_receiver_gone(const struct tcp *t, bool up)
{
	return up ? t->server_closed || t->server_reset : t->client_closed || t->client_reset;
}

static void arrive(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;
	bool up = arg & 1;
	struct pipe *p = pipe_at(t, up);
	uint64_t late = kernel_chance(kernel_faults()->late_ack) ? LATE_ACK_MS * KERNEL_MS : 0;

	if (t->vanished)
		return;
	if (is_receiver_gone(t, up)) {
		if (up ? !t->server_reset : !t->client_reset)
			send_reset(t, !up);
		return;
	}
	p->arrived = arg >> 1;
	kernel_trace_add((uint64_t)t->port << 40 ^ arg);
	kernel_after(delay_ns() + late, acknowledged, t, arg);
	if (up)
		to_server(t);
	else
		read_at_client(t);
}

static void fin_arrives(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;
	bool up = arg & 1;

	if (t->vanished)
		return;
	pipe_at(t, up)->fin_arrived = true;
	if (is_receiver_gone(t, up)) {
		if (up ? t->server_reset : t->client_reset)
			return;
	}
	kernel_after(delay_ns(), fin_acknowledged, t, arg);
	if (up)
		to_server(t);
	else
		read_at_client(t);
}

static void in_order(struct tcp *t, struct pipe *p, void (*run)(void *, uint64_t), uint64_t arg)
{
	uint64_t at = kernel_now_ns() + delay_ns();

	if (at <= p->last_arrival_ns)
		at = p->last_arrival_ns + 1;
	p->last_arrival_ns = at;
	kernel_after(at - kernel_now_ns(), run, t, arg);
}

/* Send as much as the receiver's window allows, in segments. */
static void pump(struct tcp *t, struct pipe *p)
{
	uint64_t window = p->read + kernel_faults()->rcvbuf;
	bool up = is_up(t, p);

	if (!t->established)
		return;
	while (p->sent < p->end && p->sent < window) {
		uint64_t bytes = (p->end < window ? p->end : window) - p->sent;

		if (bytes > MSS)
			bytes = MSS;
		if (kernel_chance(kernel_faults()->cut_segment))
			bytes = 1 + kernel_below(kernel_chance(500) && bytes > 16 ? 16 : bytes);
		p->sent += bytes;
		kernel_figures_mine()->segments++;
		in_order(t, p, arrive, event_arg(p->sent, up));
	}
	if (p->fin && !p->fin_sent && p->sent == p->end) {
		p->fin_sent = true;
		in_order(t, p, fin_arrives, event_arg(p->end, up));
	}
}

static void put(struct pipe *p, const void *data, size_t bytes)
{
	if (p->end + bytes - p->base > p->cap) {
		if (p->read < p->end)
			memmove(p->data, p->data + (p->read - p->base), (size_t)(p->end - p->read));
		p->base = p->read;
		while (p->end + bytes - p->base > p->cap) {
			p->cap = p->cap == 0 ? 4096 : 2 * p->cap;
			p->data = kernel_grow(p->data, p->cap);
		}
	}
	if (bytes > 0)
		memcpy(p->data + (p->end - p->base), data, bytes);
	p->end += bytes;
}

/* What the server's descriptor can. */

uint32_t tcp_server_poll(const struct tcp *t)
{
	const struct pipe *p = &t->up;
	uint32_t events = 0;

	if (p->read < p->arrived || p->fin_arrived || t->server_reset)
		events |= EPOLLIN;
	if (is_writable(t) || t->server_reset)
		events |= EPOLLOUT;
	if (p->fin_arrived || t->server_reset)
		events |= EPOLLRDHUP;
	if (t->server_reset || (p->fin_arrived && t->server_shut))
		events |= EPOLLHUP;
	return t->server_error != 0 ? events | EPOLLERR : events;
}

long tcp_server_recv(struct tcp *t, void *out, size_t bytes)
{
	struct pipe *p = &t->up;
	uint64_t there = p->arrived - p->read;

	if (there > 0) {
		size_t taken = there < bytes ? (size_t)there : bytes;

		memcpy(out, p->data + (p->read - p->base), taken);
		p->read += taken;
		pump(t, p);
		return (long)taken;
	}
	if (t->server_error != 0) {
		int error = t->server_error;

		t->server_error = 0;
		return -error;
	}
	return t->server_reset || p->fin_arrived ? 0 : -EAGAIN;
}

/* A send that took less than there was room for is followed by an event when there is more. */
static void room_again(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;

	(void)arg;
	if (t->no_space && is_writable(t)) {
		t->no_space = false;
		to_server(t);
	}
}

long tcp_server_send(struct tcp *t, const void *data, size_t bytes)
{
	struct pipe *p = &t->down;
	uint64_t used = p->end - p->acked, room = kernel_faults()->sndbuf;

	if (t->server_error != 0) {
		int error = t->server_error;

		t->server_error = 0;
		return -error;
	}
	if (t->server_reset || t->server_shut)
		return -EPIPE;
	room = used < room ? room - used : 0;
	uint64_t taken = bytes < room ? bytes : room;
	if (taken > 0 && kernel_chance(kernel_faults()->send_short)) {
		taken = kernel_below(taken);
		kernel_after(kernel_below(5 * KERNEL_MS), room_again, t, 0);
	}
	if (taken < bytes) {
		t->no_space = true;
		kernel_figures_mine()->sends_short += taken > 0;
		kernel_figures_mine()->sends_refused += taken == 0;
	}
	if (taken == 0)
		return -EAGAIN;
	put(p, data, (size_t)taken);
	pump(t, p);
	return (long)taken;
}

void tcp_server_shut(struct tcp *t)
{
	t->server_shut = true;
	t->down.fin = true;
	pump(t, &t->down);
}

void tcp_server_close(struct tcp *t)
{
	t->server_closed = true;
	t->fd = 0;
	if (t->server_reset)
		return;
	if (t->up.read < t->up.arrived)
		send_reset(t, false);
	else
		tcp_server_shut(t);
}

void tcp_server_cut(struct tcp *t)
{
	t->server_closed = true;
	kernel_figures_mine()->cut_unaccepted += !t->client_closed && !t->server_reset && !t->vanished;
	send_reset(t, false);
}

int tcp_server_unacked(const struct tcp *t)
{
	const struct pipe *p = &t->down;

	return t->server_reset ? 0 : (int)(p->end - p->acked) + (p->fin && !p->fin_acked);
}

int tcp_server_state(const struct tcp *t)
{
	bool theirs = t->up.fin_arrived, acked = t->down.fin_acked;

	if (t->server_reset)
		return TCP_CLOSE;
	if (!t->server_shut)
		return theirs ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
	if (!theirs)
		return acked ? TCP_FIN_WAIT2 : TCP_FIN_WAIT1;
	return acked ? TCP_TIME_WAIT : TCP_CLOSING;
}

/* The client's end. */

static void established(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;

	(void)arg;
	if (t->client_closed || t->vanished)
		return;
	t->established = true;
	t->ops->connected(t->ctx);
	pump(t, &t->up);
	pump(t, &t->down);
}

static void refused(void *ctx, uint64_t error)
{
	client_ended(ctx, -(int)error);
}

static void syn_arrives(void *ctx, uint64_t arg)
{
	struct tcp *t = ctx;
	struct file *listener = kernel_listener();

	(void)arg;
	if (t->client_closed)
		return;
	if (listener == NULL) {
		kernel_after(delay_ns(), refused, t, ECONNREFUSED);
	} else if (listener->filtered || listener->waiting_count == 64) {
		if (++t->tries == SYN_TRIES)
			kernel_after(KERNEL_S, refused, t, ETIMEDOUT);
		else
			kernel_after(KERNEL_S, syn_arrives, t, 0);
	} else {
		listener->waiting[listener->waiting_count++] = t;
		kernel_edge(listener);
		kernel_after(delay_ns(), established, t, 0);
	}
}

struct tcp *tcp_connect(uint32_t address, const struct tcp_ops *ops, void *ctx)
{
	struct tcp *t = kernel_alloc(sizeof(*t));

	t->ops = ops;
	t->ctx = ctx;
	t->address = address;
	t->port = ++ports;
	kernel_after(delay_ns(), syn_arrives, t, 0);
	return t;
}

uint16_t tcp_port(const struct tcp *t)
{
	return t->port;
}

void tcp_send(struct tcp *t, const void *data, size_t bytes)
{
	if (t->client_closed || t->client_reset)
		return;
	put(&t->up, data, bytes);
	pump(t, &t->up);
}

void tcp_end(struct tcp *t)
{
	t->up.fin = true;
	pump(t, &t->up);
}

void tcp_close(struct tcp *t)
{
	if (t->client_closed)
		return;
	if (t->down.read < t->down.arrived) {
		tcp_reset(t);
		return;
	}
	t->client_closed = true;
	tcp_end(t);
}

void tcp_reset(struct tcp *t)
{
	if (t->client_closed)
		return;
	t->client_closed = t->client_reset = true;
	send_reset(t, true);
}

void tcp_vanish(struct tcp *t)
{
	t->client_closed = t->vanished = true;
}

void tcp_stall(struct tcp *t, bool stalls)
{
	t->stalled = stalls;
	if (!stalls)
		read_at_client(t);
}

uint64_t tcp_news_ns(const struct tcp *t)
{
	uint64_t now = kernel_now_ns(), last = t->up.last_arrival_ns;

	return (last > now ? last - now : 0) + kernel_faults()->delay_ns_max + KERNEL_MS;
}

bool tcp_has_unread(const struct tcp *t)
{
	return t->down.read < t->down.end && t->down.arrived == t->down.end;
}
