/*
 * sio/ws.h -- plain WebSockets (RFC 6455) at a path of a server, beside Socket.IO or without it.
 *
 *	struct sio_server *server = sio_create(&(struct sio_options){ .without_socketio = true }, err, sizeof(err));
 *	if (!sio_ws(server, "/live", &(struct sio_ws_options){ .events.message = on_message }, NULL))
 *		return 1;
 *	return sio_run(server) < 0;
 *
 * What a peer can do and be told is in sio/endpoint.h. The rules of the protocol are kept strictly: a peer that breaks one is closed with
 * the code that RFC 6455, 7.4.1 has for it. Extensions (compression) are declined.
 */
#ifndef SIO_WS_H
#define SIO_WS_H

#include "sio/endpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	SIO_WS_ORIGINS_MAX = 64,
	SIO_WS_PROTOCOLS_MAX = 16,
	SIO_WS_PROTOCOL_BYTES_MAX = 64, /* of a name */
	SIO_WS_PINGS_PER_S_MAX = 1000, /* from a peer; more: it is closed with 1008 */
	SIO_WS_FRAGMENTS_MAX = 65536, /* of a message, unless fragments_max says otherwise */
};

/* Zero is a default everywhere. Everything is copied. */
struct sio_ws_options {
	struct sio_endpoint_events events;
	uint32_t message_bytes_max; /* 1000000: of one message, more is closed with 1009; at most 64 MiB */
	uint32_t fragments_max; /* 65536: frames of one message, more is closed with 1008 */
	uint32_t ping_interval_ms; /* 25000: it is pinged so long after its last pong, ... */
	uint32_t ping_timeout_ms; /* 20000: ... and cut if it says nothing for so long */
	struct sio_rates rates; /* none */
	uint32_t queue_bytes_soft; /* 262144, or a quarter of queue_bytes_max if that is less: "lagging" */
	uint32_t queue_bytes_max; /* max(1048576, 2 * message_bytes_max): closed with 1013 */
	/*
	 * Pages that may connect: "https://chat.example", exactly, and without a slash at its end. Named: others get 403, and so does
	 * who says no origin but has a cookie, for that may be a browser's; programs say neither. NULL: pages of any origin may, and see
	 * what cookies open.
	 */
	const char *const *origins;
	uint32_t origin_count;
	/* Subprotocols that are spoken: the first of the client's that is one of them is agreed on; none, and none is. */
	const char *const *protocols;
	uint32_t protocol_count;
	/*
	 * May this one connect? Asked last, on its loop. Data of the admission becomes sio_peer_data(). False: 403 with the message. NULL:
	 * all may.
	 */
	bool (*allow)(void *ctx, const struct sio_request *, struct sio_admission *);
};

/*
 * Serve WebSockets at a path. `ctx` is what all callbacks are given; options NULL: all defaults. A request that is none gets 426, a
 * wrong one 400, 403, 405 or 426; none of them ends its connection but that of one with a body. Past a rate (429) or a limit, or while
 * the server stops (503), none is served. Before sio_run(). NULL: a path that is no path or is served already, options that make no
 * sense, SIO_ENDPOINTS_MAX, no memory; the log says which.
 */
SIO_API SIO_CHECK struct sio_endpoint *sio_ws(
	struct sio_server *, const char *path, const struct sio_ws_options *, void *ctx);
/* The subprotocol that was agreed on, or NULL. Lives as long as the server. */
SIO_API const char *sio_ws_protocol(const struct sio_peer *);

#ifdef __cplusplus
}
#endif

#endif
