/* socketio/eio.c -- Engine.IO alone at a path. See sio/eio.h. */
#include "sio/eio.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "socketio/endpoint_int.h"

struct sio_endpoint *sio_eio(
	struct sio_server *server, const char *path, const struct sio_eio_options *said, void *ctx)
{
	static const struct sio_eio_options defaults;
	const struct sio_eio_options *o = said == NULL ? &defaults : said;
	struct eio_options options = {
		.ping_interval_ms = o->ping_interval_ms,
		.ping_timeout_ms = o->ping_timeout_ms,
		.upgrade_timeout_ms = o->upgrade_timeout_ms,
		.message_bytes_max = o->message_bytes_max,
		.queue_bytes_soft = o->queue_bytes_soft,
		.queue_bytes_max = o->queue_bytes_max,
		.rates = sio_engine_rates(&o->rates),
		.upgrades = !o->without_upgrades,
	};

	if (!sio_engine_path_valid(path)) {
		log_line(LOG_ERROR, "sio_eio(%s): a path with a slash at both ends is needed", path);
		return NULL;
	}
	struct sio_endpoint *e = sio_endpoint_create(server, path, &options, &o->events, ctx);
	if (e == NULL)
		return NULL;
	e->allow = o->allow;
	e->initial_headers = o->initial_headers;
	int rc = sio_engine_options(o->cors, o->cookie, &e->engine, &options);
	if (rc < 0)
		return sio_endpoint_fail(
			e, rc == -EINVAL ? "cors or cookie is not as it must be" : "no memory");
	return sio_endpoint_start(e, &options);
}

void sio_eio_sid(const struct sio_peer *p, char *out)
{
	_Static_assert((int)SIO_SID_BYTES == (int)EIO_SID_CHARS + 1, "a session's id fits");
	if (p->session != NULL)
		eio_session_sid(p->session, out);
	out[p->session != NULL ? EIO_SID_CHARS : 0] = '\0';
}

bool sio_eio_on_websocket(const struct sio_peer *p)
{
	return p->session != NULL && eio_session_on_websocket(p->session);
}
