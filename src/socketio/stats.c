/* socketio/stats.c -- the figures of all layers in one, and as Prometheus wants them: see sio/stats.h. */
#include "sio/stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/account.h"
#include "socketio/server_int.h"

/* How many there are now: one that came and went between the two readings is none. */
static uint64_t left(uint64_t come, uint64_t gone)
{
	return come > gone ? come - gone : 0;
}

static void add_engine(const struct sio_server *server, struct sio_stats *ret)
{
	struct eio_counters e = { 0 };

	if (server->eio != NULL) /* there is one, and it has not been destroyed */
		eio_server_counters(server->eio, &e);
	sio_endpoints_count(server, &e);
	ret->sessions_opened = e.opened;
	ret->sessions_closed = e.closed;
	ret->sessions_upgraded = e.upgraded;
	ret->sessions_not_upgraded = e.not_upgraded;
	ret->sessions_refused = e.sessions_refused;
	ret->sessions_too_fast = e.too_fast;
	ret->sessions_throttled = e.throttled;
	ret->handshakes_bad = e.refused;
	ret->ping_timeouts = e.ping_timeouts;
	ret->parse_errors = e.parse_errors;
	ret->transport_errors = e.transport_errors;
	ret->queue_overflows = e.overflows;
	ret->queues_shed = e.shed;
	ret->sessions_cut = e.closings_cut;
	ret->polls_cut = e.polls_cut;
	ret->sessions_lagged = e.lagged;
	ret->sessions_lagging = left(e.lagged, e.drained);
	ret->queued_bytes = account_bytes();
	ret->messages_in = e.messages_in;
}

static void add_net(const struct sio_server *server, struct sio_stats *ret)
{
	struct net_counters n;
	struct http_counters h;

	net_pool_counters(server->pool, &n);
	http_server_counters(server->http, &h);
	ret->connections_accepted = n.accepted;
	ret->connections_closed = n.closed;
	ret->connections_moved = n.moved;
	ret->connections_insecure = n.tls_failed;
	ret->connections_stalled = n.cut;
	ret->loop_stalls = n.stalls;
	ret->connections_refused = n.refused_limit + n.refused_address + n.refused_descriptors;
	ret->bytes_in = n.bytes_in;
	ret->bytes_out = n.bytes_out;
	ret->requests = h.requests;
	ret->requests_refused = h.refused;
	ret->request_timeouts = h.timeouts;
}

void sio_stats(const struct sio_server *server, struct sio_stats *ret)
{
	*ret = (struct sio_stats){ 0 };
	add_net(server, ret);
	add_engine(server, ret);
	for (uint32_t i = 0; i < server->loop_count; i++) {
		const struct sio_counts *c = &server->loops[i].counts;

		ret->sockets_connected += atomic_load_explicit(&c->connected, memory_order_relaxed);
		ret->sockets_disconnected += atomic_load_explicit(&c->disconnected, memory_order_relaxed);
		ret->sockets_refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
		ret->sockets_expired += atomic_load_explicit(&c->expired, memory_order_relaxed);
		ret->sockets_recovered += atomic_load_explicit(&c->recovered, memory_order_relaxed);
		ret->sockets_not_recovered += atomic_load_explicit(&c->not_recovered, memory_order_relaxed);
		ret->sockets_forgotten += atomic_load_explicit(&c->kept_dropped, memory_order_relaxed);
		ret->resent_forgotten += atomic_load_explicit(&c->resent_dropped, memory_order_relaxed);
		ret->sessions_not_joined += atomic_load_explicit(&c->not_joined, memory_order_relaxed);
		ret->joins_refused += atomic_load_explicit(&c->joins_refused, memory_order_relaxed);
		ret->events_forgotten += atomic_load_explicit(&c->pasts_dropped, memory_order_relaxed);
		ret->acks_forgotten += atomic_load_explicit(&c->acks_dropped, memory_order_relaxed);
		ret->questions_refused += atomic_load_explicit(&c->questions_refused, memory_order_relaxed);
		ret->replies_dropped += atomic_load_explicit(&c->replies_dropped, memory_order_relaxed);
		ret->packets_in += atomic_load_explicit(&c->packets_in, memory_order_relaxed);
		ret->packets_bad += atomic_load_explicit(&c->packets_bad, memory_order_relaxed);
		ret->events_out += atomic_load_explicit(&c->events_out, memory_order_relaxed);
		ret->deliveries += atomic_load_explicit(&c->deliveries, memory_order_relaxed);
		ret->skipped_volatile += atomic_load_explicit(&c->skipped_volatile, memory_order_relaxed);
	}
	ret->events_out += atomic_load_explicit(&server->events_out, memory_order_relaxed);
	ret->answers_late = atomic_load_explicit(&server->answers_late, memory_order_relaxed);
	ret->spaces_refused = atomic_load_explicit(&server->children_refused, memory_order_relaxed);
	ret->broadcasts_refused = atomic_load_explicit(&server->broadcasts_refused, memory_order_relaxed);
}

#define FIGURE(name, field, help)                                                                            \
	{                                                                                                    \
		"sio_" name "_total", help, offsetof(struct sio_stats, field)                                \
	}

/* Of the server: each is a counter. */
static const struct counter {
	const char *name, *help;
	size_t at;
} counters[] = {
	FIGURE("connections_accepted", connections_accepted, "Connections taken."),
	FIGURE("connections_closed", connections_closed, "Connections ended."),
	FIGURE("connections_moved", connections_moved, "Connections handed to the loop of their session."),
	FIGURE("connections_refused", connections_refused, "Connections turned away by a limit."),
	FIGURE("connections_insecure", connections_insecure,
		"Connections whose handshake of TLS failed or was late, or that broke its rules."),
	FIGURE("connections_stalled", connections_stalled,
		"Connections cut, for their peer took next to nothing, or did not end its side."),
	FIGURE("requests", requests, "Requests of HTTP."),
	FIGURE("requests_refused", requests_refused,
		"Requests that could not be understood, or were too large."),
	FIGURE("request_timeouts", request_timeouts, "Requests that came too slowly."),
	FIGURE("sessions_opened", sessions_opened, "Sessions of Engine.IO, and plain WebSockets."),
	FIGURE("sessions_closed", sessions_closed, "Sessions that have ended."),
	FIGURE("sessions_upgraded", sessions_upgraded, "Sessions that went on by WebSocket."),
	FIGURE("sessions_not_upgraded", sessions_not_upgraded,
		"WebSockets that were to take a session over, and did not."),
	FIGURE("sessions_refused", sessions_refused,
		"Sessions turned away by a limit, or for want of memory."),
	FIGURE("sessions_too_fast", sessions_too_fast, "Sessions turned away: their address had too many."),
	FIGURE("sessions_throttled", sessions_throttled,
		"Times that a session was not read for a while, for it sent too much."),
	FIGURE("handshakes_bad", handshakes_bad,
		"Requests answered with an error of Engine.IO's, or of a plain WebSocket's handshake."),
	FIGURE("ping_timeouts", ping_timeouts, "Sessions whose client did not answer a ping."),
	FIGURE("parse_errors", parse_errors, "Sessions whose client sent what is no packet."),
	FIGURE("transport_errors", transport_errors, "Sessions whose client broke a rule of the transport."),
	FIGURE("queue_overflows", queue_overflows, "Sessions whose client did not take what it was sent."),
	FIGURE("queues_shed", queues_shed, "Sessions closed because too much waited for all."),
	FIGURE("sessions_cut", sessions_cut,
		"Sessions that were closed, and whose client did not take all that waited."),
	FIGURE("sessions_not_joined", sessions_not_joined,
		"Sessions closed, for their client joined no namespace in time."),
	FIGURE("polls_cut", polls_cut, "Answers to polls that were cut, and given again to the next poll."),
	FIGURE("sessions_lagged", sessions_lagged, "Times that a session began to lag."),
	FIGURE("messages_in", messages_in, "Messages from clients, before they are understood."),
	FIGURE("sockets_connected", sockets_connected, "Sockets that have joined a namespace."),
	FIGURE("sockets_disconnected", sockets_disconnected, "Sockets that have gone."),
	FIGURE("sockets_refused", sockets_refused, "Clients that a namespace has not let in."),
	FIGURE("sockets_expired", sockets_expired, "Sockets whose authentication was not renewed."),
	FIGURE("sockets_recovered", sockets_recovered, "Sockets that have come back as who they were."),
	FIGURE("sockets_not_recovered", sockets_not_recovered, "Sockets that have come back as others."),
	FIGURE("sockets_forgotten", sockets_forgotten,
		"Sockets that were kept for recovery, and given up for others."),
	FIGURE("events_forgotten", events_forgotten,
		"Events and answers not kept for recovery any more, for newer ones."),
	FIGURE("resent_forgotten", resent_forgotten,
		"Sockets that were back, and whose repeated events were let go for others'."),
	FIGURE("packets_in", packets_in, "Messages from clients."),
	FIGURE("packets_bad", packets_bad, "Packets that closed their client."),
	FIGURE("events_out", events_out,
		"Events emitted and questions asked, each once however many get it."),
	FIGURE("deliveries", deliveries, "Events, questions and answers queued for a socket each."),
	FIGURE("skipped_volatile", skipped_volatile, "Volatile events left out for slow clients."),
	FIGURE("answers_late", answers_late, "Answers and decisions that came too late."),
	FIGURE("acks_forgotten", acks_forgotten,
		"Events of clients whose answer is not waited for any more, for later ones."),
	FIGURE("questions_refused", questions_refused,
		"Questions not asked, for too many waited for their client."),
	FIGURE("replies_dropped", replies_dropped,
		"Answers to a question to many that took too much memory."),
	FIGURE("joins_refused", joins_refused, "Rooms not joined, for the socket was in too many."),
	FIGURE("spaces_refused", spaces_refused, "Namespaces not made, for there were too many."),
	FIGURE("loop_stalls", loop_stalls, "Times that a loop stood still for long."),
	FIGURE("broadcasts_refused", broadcasts_refused,
		"Broadcasts that a loop was too far behind to take."),
	FIGURE("bytes_in", bytes_in, "Bytes received."),
	FIGURE("bytes_out", bytes_out, "Bytes sent."),
};

static uint64_t value_at(const void *stats, size_t at)
{
	uint64_t value;

	memcpy(&value, (const char *)stats + at, sizeof(value));
	return value;
}

static void tell_gauges(const struct sio_stats *s, sio_figure_fn *fn, void *ctx)
{
	const struct sio_figure gauges[] = {
		{ "sio_connections", "Connections now.", false, NULL,
			left(s->connections_accepted, s->connections_closed) },
		{ "sio_sessions", "Sessions of Engine.IO, and plain WebSockets, now.", false, NULL,
			left(s->sessions_opened, s->sessions_closed) },
		{ "sio_sessions_lagging", "Sessions that lag now.", false, NULL, s->sessions_lagging },
		{ "sio_queued_bytes", "Bytes that wait for clients now, in the whole process.", false, NULL,
			s->queued_bytes },
	};

	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
		fn(ctx, &gauges[i]);
}

/* Of a namespace. */
static uint64_t space_value(const struct sio_space_stats *s, size_t which)
{
	const uint64_t values[] = { left(s->connected, s->disconnected), s->connected, s->refused,
		s->events_in, s->deliveries };

	return values[which];
}

static void tell_space(
	const struct sio_space *space, struct sio_figure *figure, size_t which, sio_figure_fn *fn, void *ctx)
{
	struct sio_space_stats s;

	sio_space_stats(space, &s);
	figure->space = space->name;
	figure->value = space_value(&s, which);
	fn(ctx, figure);
}

static void tell_spaces(const struct sio_server *server, sio_figure_fn *fn, void *ctx)
{
	static const struct sio_figure figures[] = {
		{ .name = "sio_space_sockets", .help = "Sockets in a namespace now." },
		{ .name = "sio_space_sockets_connected_total",
			.help = "Sockets that have joined it.",
			.is_total = true },
		{ .name = "sio_space_sockets_refused_total",
			.help = "Clients it has not let in.",
			.is_total = true },
		{ .name = "sio_space_events_in_total", .help = "Events from its sockets.", .is_total = true },
		{ .name = "sio_space_deliveries_total",
			.help = "Events, questions and answers queued for a socket each.",
			.is_total = true },
	};

	for (size_t which = 0; which < sizeof(figures) / sizeof(figures[0]); which++) {
		struct sio_figure figure = figures[which];

		for (uint32_t i = 0; i < server->space_count; i++)
			tell_space(server->spaces[i], &figure, which, fn, ctx);
		for (uint32_t i = 0; i < server->parent_count; i++) {
			const struct sio_space *child =
				atomic_load_explicit(&server->parents[i]->children, memory_order_acquire);
			for (; child != NULL; child = child->next_child)
				tell_space(child, &figure, which, fn, ctx);
		}
	}
}

void sio_stats_each(const struct sio_server *server, sio_figure_fn *fn, void *ctx)
{
	struct sio_stats stats;

	sio_stats(server, &stats);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		const struct counter *c = &counters[i];
		struct sio_figure figure = { c->name, c->help, true, NULL, value_at(&stats, c->at) };

		fn(ctx, &figure);
	}
	tell_gauges(&stats, fn, ctx);
	tell_spaces(server, fn, ctx);
}

/* Text as far as there is room; what it would take. */
struct page {
	char *out;
	size_t room, bytes;
	const char *name; /* of the figure before */
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *format, ...)
{
	size_t left = p->bytes < p->room ? p->room - p->bytes : 0;
	va_list args;

	va_start(args, format);
	int n = vsnprintf(left > 0 ? p->out + p->bytes : NULL, left, format, args);
	va_end(args);
	p->bytes += n < 0 ? 0 : (size_t)n;
}

/* A label's value: a namespace's name is UTF-8 without control characters. */
static void put_label(struct page *p, const char *text)
{
	for (; *text != '\0'; text++)
		put(p, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void put_figure(void *ctx, const struct sio_figure *f)
{
	struct page *p = ctx;

	if (p->name == NULL || strcmp(p->name, f->name) != 0)
		put(p, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
			f->is_total ? "counter" : "gauge");
	p->name = f->name;
	put(p, "%s", f->name);
	if (f->space != NULL) {
		put(p, "{space=\"");
		put_label(p, f->space);
		put(p, "\"}");
	}
	put(p, " %" PRIu64 "\n", f->value);
}

size_t sio_stats_text(const struct sio_server *server, char *out, size_t out_bytes)
{
	struct page p = { .out = out, .room = out_bytes };

	if (out_bytes > 0)
		out[0] = '\0';
	sio_stats_each(server, put_figure, &p);
	return p.bytes;
}

void sio_space_stats(const struct sio_space *space, struct sio_space_stats *ret)
{
	*ret = (struct sio_space_stats){ 0 };
	for (uint32_t i = 0; i < space->server->loop_count; i++) {
		const struct sio_space_counts *c = &space->loops[i].counts;

		ret->connected += atomic_load_explicit(&c->connected, memory_order_relaxed);
		ret->disconnected += atomic_load_explicit(&c->disconnected, memory_order_relaxed);
		ret->refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
		ret->events_in += atomic_load_explicit(&c->events_in, memory_order_relaxed);
		ret->deliveries += atomic_load_explicit(&c->deliveries, memory_order_relaxed);
	}
}
