/* socketio/ws.c -- plain WebSockets at a path: what options say, checked and copied. See sio/ws.h. */
#include "sio/ws.h"

#include <stdlib.h>

#include "base/log.h"
#include "http/response.h"
#include "socketio/endpoint_int.h"

_Static_assert((int)SIO_WS_PINGS_PER_S_MAX == (int)EIO_PINGS_PER_S_MAX, "what is said of pings holds");

static bool protocol_valid(const char *protocol)
{
	size_t bytes = protocol == NULL ? 0 : strlen(protocol);

	return bytes > 0 && bytes <= SIO_WS_PROTOCOL_BYTES_MAX &&
	       http_header_valid((struct http_header){ .name = str_of(protocol, bytes) });
}

/* What is wrong with them. NULL: nothing. */
static const char *lists_wrong(const struct sio_ws_options *o)
{
	if (o->origin_count > SIO_WS_ORIGINS_MAX || o->protocol_count > SIO_WS_PROTOCOLS_MAX)
		return "too many origins or protocols";
	for (uint32_t i = 0; i < o->origin_count; i++) {
		if (!sio_origin_valid(o->origins[i]))
			return "an origin is none: https://chat.example.org, without a slash at its end";
	}
	for (uint32_t i = 0; i < o->protocol_count; i++) {
		if (!protocol_valid(o->protocols[i]))
			return "a protocol is no token";
	}
	return NULL;
}

static size_t texts_bytes(const char *const *texts, uint32_t count)
{
	size_t bytes = count * sizeof(char *);

	for (uint32_t i = 0; i < count; i++)
		bytes += strlen(texts[i]) + 1;
	return bytes;
}

/* Copies behind *pointers and *texts, which are moved on. */
static const char *const *keep(const char ***pointers, char **texts, const char *const *from, uint32_t count)
{
	const char **list = *pointers;

	for (uint32_t i = 0; i < count; i++) {
		size_t bytes = strlen(from[i]) + 1;

		*(*pointers)++ = memcpy(*texts, from[i], bytes);
		*texts += bytes;
	}
	return list;
}

/* False: no memory. */
static bool keep_lists(struct sio_endpoint *e, const struct sio_ws_options *o)
{
	size_t bytes =
		texts_bytes(o->origins, o->origin_count) + texts_bytes(o->protocols, o->protocol_count);

	if (bytes == 0)
		return true;
	e->kept = malloc(bytes);
	if (e->kept == NULL)
		return false;
	const char **pointers = (const char **)(void *)e->kept;
	char *texts = (char *)(pointers + o->origin_count + o->protocol_count);
	e->protocol.origins = keep(&pointers, &texts, o->origins, o->origin_count);
	e->protocol.origin_count = o->origin_count;
	e->protocol.protocols = keep(&pointers, &texts, o->protocols, o->protocol_count);
	e->protocol.protocol_count = o->protocol_count;
	return true;
}

struct sio_endpoint *sio_ws(
	struct sio_server *server, const char *path, const struct sio_ws_options *said, void *ctx)
{
	static const struct sio_ws_options defaults;
	const struct sio_ws_options *o = said == NULL ? &defaults : said;
	struct eio_options options = {
		.ping_interval_ms = o->ping_interval_ms,
		.ping_timeout_ms = o->ping_timeout_ms,
		.message_bytes_max = o->message_bytes_max,
		.queue_bytes_soft = o->queue_bytes_soft,
		.queue_bytes_max = o->queue_bytes_max,
		.rates = sio_engine_rates(&o->rates),
	};
	const char *wrong = lists_wrong(o);
	struct sio_endpoint *e;

	if (wrong != NULL) {
		log_line(LOG_ERROR, "sio_ws(%s): %s", path, wrong);
		return NULL;
	}
	e = sio_endpoint_create(server, path, &options, &o->events, ctx);
	if (e == NULL)
		return NULL;
	e->plain = true;
	e->allow = o->allow;
	e->protocol.fragments_max = o->fragments_max == 0 ? SIO_WS_FRAGMENTS_MAX : o->fragments_max;
	if (!keep_lists(e, o))
		return sio_endpoint_fail(e, "no memory");
	return sio_endpoint_start(e, &options);
}

const char *sio_ws_protocol(const struct sio_peer *p)
{
	return p->protocol;
}
