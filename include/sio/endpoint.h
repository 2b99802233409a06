/*
 * sio/endpoint.h -- peers that exchange messages: what plain WebSockets (sio/ws.h) and Engine.IO alone (sio/eio.h) have in common.
 *
 *	static void on_message(struct sio_peer *peer, bool binary, struct sio_bytes message, void *ctx)
 *	{
 *		(void)sio_peer_send(peer, binary, message);
 *	}
 *
 * A peer is one connection: a WebSocket, or a session of Engine.IO over whatever transport. It belongs to one of the server's loops,
 * and its callbacks run there, one at a time; those of different peers run at the same time on different loops. What takes an endpoint
 * may be called from any thread; what takes a struct sio_peer belongs into a callback of that peer. Nothing is sent within a call:
 * messages leave together when the loop's iteration ends, in the order in which they were given. Messages are lent for the call.
 * Errors are -errno.
 */
#ifndef SIO_ENDPOINT_H
#define SIO_ENDPOINT_H

#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	SIO_ENDPOINTS_MAX = 16, /* of a server: sio_ws() and sio_eio() */
	SIO_PEER_MESSAGE_BYTES_MAX = 64 << 20, /* that is sent */
};

struct sio_endpoint; /* opaque: what is served at one path; lives as long as its server */
struct sio_peer; /* opaque: valid inside a callback only */

/* How a peer has gone. */
struct sio_end {
	/*
	 * "transport close" (it, or its network), "transport error" (it broke a rule, or a limit), "parse error", "ping timeout",
	 * "forced close" (sio_peer_close()), "server shutting down", "queue overflow".
	 */
	const char *reason;
	uint16_t
		code; /* of a WebSocket's end: what came (1005: none, 1006: it broke), or what we have sent. 0: by polling */
};

/* What the application does. Any may be NULL. */
struct sio_endpoint_events {
	/* It is there, and may be sent to. */
	void (*opened)(struct sio_peer *, void *ctx);
	/* A message. Text is valid UTF-8. */
	void (*message)(struct sio_peer *, bool binary, struct sio_bytes, void *ctx);
	/* More than queue_bytes_soft waits for it although we tried to send: it is not read until it has taken most. Drained: false. */
	void (*lagging)(struct sio_peer *, bool lagging, void *ctx);
	/* The last call, once for each that was opened. Its data is destroyed behind it. */
	void (*closed)(struct sio_peer *, const struct sio_end *, void *ctx);
};

/*
 * Queue a message for it; it is copied. 0; -EPIPE: it is closing; -EINVAL: text that is not UTF-8; -EMSGSIZE: more than 64 MiB; -ENOMEM; -ENOBUFS: more is put off on its loop than may be. Past
 * queue_bytes_max a peer that does not take what it is sent is closed: "queue overflow".
 */
SIO_API int sio_peer_send(struct sio_peer *, bool binary, struct sio_bytes);
/*
 * The same unless it lags or could not take it at once: then -EAGAIN, and it is left out. 0 also where it waits behind what is put off on
 * its loop (sio_with()): it may be left out then, too, when its turn comes.
 */
SIO_API SIO_CHECK int sio_peer_send_volatile(struct sio_peer *, bool binary, struct sio_bytes);
/*
 * Send what is queued, for up to 30 s, then close. `code` is a WebSocket's, one that RFC 6455 and its registry let an endpoint
 * send (1000 to 1003, 1007 to 1014, 3000 to 4999); 0: none is said. No message comes any more, and "closed" is called when this
 * callback has returned. 0, also if it is closing already; -EINVAL: no such code.
 */
SIO_API int sio_peer_close(struct sio_peer *, uint16_t code);

/* Its name, to be kept. Never another's. */
SIO_API struct sio_id sio_peer_id(const struct sio_peer *);
/*
 * The same from any thread, by name. 0: on its own loop it is queued, elsewhere handed over. -ENOENT: it is known to have gone; -ENOBUFS: its
 * loop is too far behind; else as above.
 */
SIO_API int sio_endpoint_send(struct sio_endpoint *, struct sio_id, bool binary, struct sio_bytes);
/* To all peers there are: encoded once, shared. 0; -EINVAL, -EMSGSIZE, -ENOMEM; -ENOBUFS: a loop is too far behind; its peers are closed, the others got it. */
SIO_API int sio_endpoint_send_all(struct sio_endpoint *, bool binary, struct sio_bytes);
/* 0, -ENOENT, -EINVAL, -ENOMEM, as sio_peer_close(). */
SIO_API int sio_endpoint_close(struct sio_endpoint *, struct sio_id, uint16_t code);
/* How many there are. */
SIO_API uint32_t sio_endpoint_count(const struct sio_endpoint *);

/* What belongs to it. */
SIO_API struct sio_endpoint *sio_peer_endpoint(const struct sio_peer *);
/* The peer's address, without the port: `out` has SIO_ADDRESS_BYTES. */
SIO_API void sio_peer_address(const struct sio_peer *, char *out);
/* What the application keeps with it; at first what `allow` left, or NULL. */
SIO_API void *sio_peer_data(const struct sio_peer *);
/* `destroy` (may be NULL) is called when it is replaced, and after "closed". */
SIO_API void sio_peer_set_data(struct sio_peer *, void *data, void (*destroy)(void *data));

#ifdef __cplusplus
}
#endif

#endif
