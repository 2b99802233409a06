/*
 * sio/eio.h -- Engine.IO 4 at a path of a server, without Socket.IO on top: messages by long-polling and WebSocket, the upgrade between
 * them, heartbeats. Official clients (npm's engine.io-client) connect unmodified.
 *
 *	struct sio_server *server = sio_create(&(struct sio_options){ .without_socketio = true }, err, sizeof(err));
 *	if (!sio_eio(server, "/engine.io/", &(struct sio_eio_options){ .events.message = on_message }, NULL))
 *		return 1;
 *	return sio_run(server) < 0;
 *
 * What a peer can do and be told is in sio/endpoint.h.
 */
#ifndef SIO_EIO_H
#define SIO_EIO_H

#include "sio/endpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero is a default everywhere. Everything is copied. As those of struct sio_options. */
struct sio_eio_options {
	struct sio_endpoint_events events;
	uint32_t ping_interval_ms; /* 25000 */
	uint32_t ping_timeout_ms; /* 20000 */
	uint32_t upgrade_timeout_ms; /* 10000 */
	uint32_t message_bytes_max; /* 1000000: maxPayload; at most 64 MiB */
	struct sio_rates rates; /* none */
	uint32_t queue_bytes_soft; /* 262144, or a quarter of queue_bytes_max if that is less: "lagging" */
	uint32_t queue_bytes_max; /* max(1048576, 2 * message_bytes_max) */
	bool without_upgrades; /* polling sessions stay so; a session may begin on a WebSocket all the same */
	/* Asked for each session and each upgrade. Data of the admission becomes sio_peer_data(). NULL: all may. */
	bool (*allow)(void *ctx, const struct sio_request *, struct sio_admission *);
	const struct sio_cors *cors; /* NULL: pages of other origins may not */
	const struct sio_cookie *cookie; /* NULL: none */
	/* Further headers of a handshake's answer. NULL: none. */
	void (*initial_headers)(void *ctx, const struct sio_request *, struct sio_headers *);
};

/*
 * Serve Engine.IO at a path that begins and ends with a slash. `ctx` is what all callbacks are given; options NULL: all defaults. Before sio_run(). NULL: no such
 * path, one that is served already, options that make no sense, SIO_ENDPOINTS_MAX, no memory; the log says which.
 */
SIO_API SIO_CHECK struct sio_endpoint *sio_eio(
	struct sio_server *, const char *path, const struct sio_eio_options *, void *ctx);
/* A session's public id, as its client knows it: `out` has SIO_SID_BYTES. Empty once it has closed. */
SIO_API void sio_eio_sid(const struct sio_peer *, char *out);
/* It goes by WebSocket now. */
SIO_API bool sio_eio_on_websocket(const struct sio_peer *);

#ifdef __cplusplus
}
#endif

#endif
