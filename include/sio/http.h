/*
 * sio/http.h -- plain HTTP beside the sockets: paths that a program answers itself, and files that lie in the program.
 *
 *	static void on_health(const struct sio_request *r, struct sio_exchange x, void *ctx)
 *	{
 *		(void)!sio_reply(x, &(struct sio_response){ .status = 200 }, (struct sio_str){ "ok\n", 3 });
 *	}
 *	...
 *	sio_http(io, "/healthz", 0, on_health, NULL);
 *
 * Threads: a handler runs on the loop of its connection; sio_reply() may be called from any thread, then or later. HEAD is
 * answered as GET without the body.
 */
#ifndef SIO_HTTP_H
#define SIO_HTTP_H

#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	SIO_HTTP_HEADERS_MAX = 16, /* of one answer */
	SIO_HTTP_PATHS_MAX = 96, /* of a server, with its files */
	SIO_HTTP_REPLY_BYTES_MAX = 16 << 20, /* of a body */
};

/* A request that waits for its answer. A value: keep it, hand it on. One that has gone is never another. */
struct sio_exchange {
	struct sio_server *server;
	struct sio_id id;
};

/*
 * The request is lent for the call. `x` must be answered, now or later; a client that goes meanwhile is noticed then. When the
 * server is stopped, answers are waited for as long as it drains (5 s).
 */
typedef void sio_http_fn(const struct sio_request *, struct sio_exchange x, void *ctx);

/*
 * Call `fn` for each request for a path, whatever its method; one that ends in "/" and is longer than that stands for all below
 * it that has no path of its own (below Socket.IO's and an endpoint's path, too). `path` is copied, and compared with the request's decoded one. body_bytes_max: of a request's
 * body, larger gets 413 without a call; 0: none is taken, any gets 413. Before sio_run(). 0; -ENOSPC, SIO_HTTP_PATHS_MAX; -EEXIST: it is served already;
 * -EBUSY: the server runs; -ENOMEM; -EINVAL.
 */
SIO_API SIO_CHECK int sio_http(
	struct sio_server *, const char *path, uint32_t body_bytes_max, sio_http_fn *fn, void *ctx);

struct sio_header {
	const char *name, *value;
};

struct sio_response {
	uint16_t status; /* 200 to 599 */
	const char *content_type; /* NULL: text/plain; charset=utf-8 */
	const char *cache_control; /* NULL: no-store */
	const struct sio_header *headers; /* further ones, at most SIO_HTTP_HEADERS_MAX */
	size_t header_count;
};

/*
 * Answer, once. Everything is copied. On the exchange's own loop: 0, or -ENOENT if the client has gone or was answered.
 * From elsewhere it is handed over, and 0 means no more than that: a loop that is far behind takes it too. -EINVAL: a status
 * or header that cannot be sent (control characters; a header that says how the answer is framed, or has a field of its own
 * above), a body over SIO_HTTP_REPLY_BYTES_MAX; -ENOMEM. After an error it can be answered still.
 */
SIO_API SIO_CHECK int sio_reply(struct sio_exchange x, const struct sio_response *, struct sio_str body);

/* A file that lies in the program: constants, never copied. */
struct sio_asset {
	const char *path; /* where it is served: "/assets/app-1a2b3c.js" */
	const char *content_type;
	const char *etag; /* strong, with its quotes */
	const char *cache_control;
	struct sio_bytes identity;
	struct sio_bytes gzip, br; /* data NULL: not offered */
	const struct sio_header *headers; /* further ones, such as a policy */
	size_t header_count;
};
/*
 * Serve it at just that path: GET and HEAD, the best encoding, 304 where the client has it. Further headers go with both.
 * Before sio_run(). As sio_http().
 */
SIO_API SIO_CHECK int sio_serve_asset(struct sio_server *, const struct sio_asset *);

#ifdef __cplusplus
}
#endif

#endif
