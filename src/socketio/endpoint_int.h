/*
 * socketio/endpoint_int.h -- endpoints and their peers, shared by endpoint.c, ws.c and eio.c.
 *
 *      sio_endpoint --+-- an engine of its own (engineio/), whose sessions are the peers'
 *                     `-- endpoint_loop (one per loop): slots of peers, those that have gone and are to be told
 */
#ifndef SOCKETIO_ENDPOINT_INT_H
#define SOCKETIO_ENDPOINT_INT_H

#include "sio/endpoint.h"
#include "socketio/server_int.h"

/* A peer belongs to its loop. */
struct sio_peer {
	struct eio_session *session; /* NULL: it is closed */
	struct endpoint_loop *at;
	uint32_t slot, generation;
	bool is_leaving; /* it will be closed when what was put off before has been done */
	struct net_peer address;
	const char *protocol; /* of a plain WebSocket, agreed on; or NULL */
	struct sio_end end;
	struct list dead; /* once it is closed: in at->dead */
	void *data;
	void (*destroy_data)(void *);
};

struct endpoint_loop {
	struct sio_endpoint *endpoint;
	struct sio_loop *loop;
	struct slots peers;
	struct list dead;
	struct net_task bury;
};

struct sio_endpoint {
	struct sio_server *server;
	struct eio_server *eio;
	struct endpoint_loop *loops;
	struct sio_endpoint_events events;
	void *ctx;
	atomic_uint count;
	bool (*allow)(void *ctx, const struct sio_request *, struct sio_admission *);
	void (*initial_headers)(void *ctx, const struct sio_request *, struct sio_headers *);
	bool plain; /* messages are WebSocket's, not Engine.IO's */
	struct eio_plain protocol; /* of a plain one; its texts and arrays are in `kept` */
	struct sio_kept_options *engine; /* of another: what options said of CORS and cookies; owned */
	char path[SIO_PATH_BYTES_MAX + 1];
	char *kept; /* owned; NULL: none */
};

/* An endpoint without an engine; defaults are put into the options. NULL: the log says why there can be none. */
struct sio_endpoint *sio_endpoint_create(struct sio_server *, const char *path, struct eio_options *,
	const struct sio_endpoint_events *, void *ctx);
/* Give it its engine, and so begin. NULL: it is destroyed, and the log says why. */
struct sio_endpoint *sio_endpoint_start(struct sio_endpoint *, const struct eio_options *);
/* Before it has started: destroy it, and say why. NULL. */
struct sio_endpoint *sio_endpoint_fail(struct sio_endpoint *, const char *why);
void sio_endpoint_destroy(struct sio_endpoint *);

#endif
