/* socketio/stats.c -- the figures of all layers in one: see sio/sio.h. */
#include "socketio/server_int.h"

static void add_engine(const struct sio_server *server, struct sio_stats *ret)
{
	struct eio_counters e;

	eio_server_counters(server->eio, &e);
	ret->sessions_opened = e.opened;
	ret->sessions_closed = e.closed;
	ret->sessions_upgraded = e.upgraded;
	ret->sessions_refused = e.sessions_refused;
	ret->handshakes_bad = e.refused;
	ret->ping_timeouts = e.ping_timeouts;
	ret->parse_errors = e.parse_errors;
	ret->transport_errors = e.transport_errors;
	ret->queue_overflows = e.overflows;
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
		ret->packets_in += atomic_load_explicit(&c->packets_in, memory_order_relaxed);
		ret->packets_bad += atomic_load_explicit(&c->packets_bad, memory_order_relaxed);
		ret->events_out += atomic_load_explicit(&c->events_out, memory_order_relaxed);
		ret->deliveries += atomic_load_explicit(&c->deliveries, memory_order_relaxed);
		ret->skipped_volatile += atomic_load_explicit(&c->skipped_volatile, memory_order_relaxed);
	}
	ret->events_out += atomic_load_explicit(&server->events_out, memory_order_relaxed);
	ret->answers_late = atomic_load_explicit(&server->answers_late, memory_order_relaxed);
	ret->broadcasts_refused = atomic_load_explicit(&server->broadcasts_refused, memory_order_relaxed);
}
