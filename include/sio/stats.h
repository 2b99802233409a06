/*
 * sio/stats.h -- a server's figures, as numbers and as Prometheus reads them.
 *
 * All of it may be called from any thread, as long as the server has not been destroyed.
 */
#ifndef SIO_STATS_H
#define SIO_STATS_H

#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Figures since the start. Each is exact, their set is not one instant. */
struct sio_stats {
	uint64_t connections_accepted, connections_closed, connections_moved;
	uint64_t connections_refused; /* by a limit, or for want of descriptors */
	uint64_t
		connections_insecure; /* their handshake of TLS was wrong or late, or what came later was no TLS */
	uint64_t
		connections_stalled; /* cut: their peer took less than 10,000 bytes of what waited for 15 s, or did not end its side in 5 s */
	uint64_t requests, requests_refused, request_timeouts; /* of HTTP */
	uint64_t sessions_opened, sessions_closed, sessions_upgraded; /* of Engine.IO, and plain WebSockets */
	uint64_t sessions_not_upgraded; /* WebSockets that were to take one over, and did not */
	uint64_t sessions_refused; /* by a limit, or without memory */
	uint64_t sessions_too_fast; /* of those refused: their address had too many lately */
	uint64_t sessions_throttled; /* times that one was not read for a while, for too much was sent */
	uint64_t messages_in; /* of Engine.IO and plain WebSockets, of any kind */
	uint64_t
		handshakes_bad; /* requests answered with an error of Engine.IO's, or of a plain WebSocket's handshake */
	uint64_t ping_timeouts, parse_errors, transport_errors, queue_overflows;
	uint64_t queues_shed; /* of those overflows: too much waited for all clients (queued_bytes_max) */
	uint64_t
		sessions_cut; /* closed, and not all that waited was taken in time (30 s; less for who was closed for not reading) */
	uint64_t sessions_not_joined; /* closed: connect_timeout_ms */
	uint64_t
		polls_cut; /* answers that neither arrived nor were lost while the client polled anew; given again */
	uint64_t sessions_lagged; /* times that one had more than queue_bytes_soft waiting: "lagging" */
	uint64_t sessions_lagging; /* now */
	uint64_t
		queued_bytes; /* now: what waits for clients in the whole process, each message once; and bodies of HTTP */
	uint64_t sockets_connected, sockets_disconnected, sockets_refused; /* of Socket.IO */
	uint64_t sockets_expired; /* of those disconnected: by their deadline */
	uint64_t sockets_recovered; /* of those connected: they were here before */
	uint64_t sockets_not_recovered; /* they asked for it, and are new */
	uint64_t sockets_forgotten; /* kept for recovery, and given up for others: kept_max */
	/* And answers, and calls of sio_disconnect_all(): not kept for recovery any more, for newer ones, or for want of memory or time. */
	uint64_t events_forgotten;
	uint64_t resent_forgotten; /* of those recovered: what they were sent again is held no more */
	uint64_t packets_in, packets_bad; /* packets_bad: each closed its client */
	uint64_t events_out; /* emits and questions that went out; not multiplied by their receivers */
	uint64_t deliveries; /* events, questions and answers, to one socket each */
	uint64_t skipped_volatile;
	uint64_t answers_late; /* to a socket that has gone, or given already */
	uint64_t acks_forgotten; /* events that waited for our answer, SIO_ACKS_WAITING_MAX before the last */
	uint64_t questions_refused; /* SIO_ACKS_WAITING_MAX of them waited for that socket */
	uint64_t replies_dropped; /* to sio_ask_all(), past SIO_REPLIES_BYTES_MAX */
	uint64_t joins_refused; /* SIO_ROOMS_PER_SOCKET_MAX */
	uint64_t spaces_refused; /* dynamic_spaces_max */
	uint64_t loop_stalls; /* times that a loop stood still for a second */
	uint64_t broadcasts_refused; /* by a loop that is too far behind */
	uint64_t bytes_in, bytes_out; /* in: without what TLS adds; out: with it */
};
/* One figure, with what Prometheus wants to know of it. */
struct sio_figure {
	const char *name; /* "sio_sessions_opened_total" */
	const char *help; /* a sentence */
	bool is_total; /* it only grows; else it is how many there are now */
	const char *space; /* the namespace's name; NULL: of the server */
	uint64_t value;
};
typedef void sio_figure_fn(void *ctx, const struct sio_figure *);
/* Call fn with each figure: all of one name one after the other. Any thread. O(namespaces). */
SIO_API void sio_stats_each(const struct sio_server *, sio_figure_fn *, void *ctx);
/*
 * The same as text, in Prometheus' format, to `out`, with a NUL. Returns its bytes without that; if they do not fit, `out` has the
 * beginning. Served with the type "text/plain; version=0.0.4". Any thread.
 */
SIO_API size_t sio_stats_text(const struct sio_server *, char *out, size_t out_bytes);

/* Figures of one namespace: of its sockets, their events, and what has been queued for each. */
struct sio_space_stats {
	uint64_t connected, disconnected, refused;
	uint64_t events_in, deliveries;
};
/* Of what sio_of_names() gave: zeros, for each of its namespaces is counted by itself. Any thread. */
SIO_API void sio_space_stats(const struct sio_space *, struct sio_space_stats *ret);
/* Any thread. */
SIO_API void sio_stats(const struct sio_server *, struct sio_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
