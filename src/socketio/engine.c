/*
 * socketio/engine.c -- what a server's options say of Engine.IO: copied, for the caller's texts end with sio_create(), and checked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bucket.h"
#include "http/response.h"
#include "socketio/server_int.h"

enum { MEMORY_PART = 4 };

/* Copies of texts, and what is made of them. */
struct sio_kept_options {
	struct eio_cors cors;
	struct eio_cookie cookie;
	const char *origins[SIO_CORS_ORIGINS_MAX];
	size_t used;
	char texts[];
};

static size_t text_bytes(const char *text)
{
	return text == NULL ? 0 : strlen(text) + 1;
}

static const char *keep(struct sio_kept_options *e, const char *text)
{
	size_t bytes = text_bytes(text);

	if (text == NULL)
		return NULL;
	char *copy = memcpy(e->texts + e->used, text, bytes);
	e->used += bytes;
	return copy;
}

static bool may_be_said(const char *text)
{
	struct http_header header = { .name = STR("Name"), .value = text == NULL ? STR("") : str_c(text) };

	return http_header_valid(header);
}

bool sio_origin_valid(const char *origin)
{
	return origin != NULL && origin[0] != '\0' && origin[strlen(origin) - 1] != '/' &&
	       may_be_said(origin);
}

static bool cors_valid(const struct sio_cors *c)
{
	bool valid = c->origin_count <= SIO_CORS_ORIGINS_MAX && !(c->credentials && c->origin_count == 0) &&
		     may_be_said(c->methods) && may_be_said(c->allowed_headers) &&
		     may_be_said(c->exposed_headers);

	for (uint32_t i = 0; valid && i < c->origin_count; i++)
		valid = sio_origin_valid(c->origins[i]);
	return valid;
}

static const char *name_of(const struct sio_cookie *c)
{
	return c->name == NULL ? "io" : c->name;
}

static bool cookie_valid(const struct sio_cookie *c)
{
	const char *name = name_of(c);

	return name[0] != '\0' && strpbrk(name, "=;, \t\"\\") == NULL && may_be_said(name) &&
	       may_be_said(c->attributes) &&
	       text_bytes(name) + text_bytes(c->attributes) <= SIO_COOKIE_BYTES_MAX;
}

static size_t all_bytes(const struct sio_cors *cors, const struct sio_cookie *cookie)
{
	size_t bytes = 0;

	if (cookie != NULL)
		bytes += text_bytes(name_of(cookie)) + text_bytes(cookie->attributes);
	if (cors == NULL)
		return bytes;
	bytes += text_bytes(cors->methods) + text_bytes(cors->allowed_headers) +
		 text_bytes(cors->exposed_headers);
	for (uint32_t i = 0; i < cors->origin_count; i++)
		bytes += text_bytes(cors->origins[i]);
	return bytes;
}

static void copy_cors(struct sio_kept_options *e, const struct sio_cors *c)
{
	e->cors = (struct eio_cors){
		.origins = e->origins,
		.origin_count = c->origin_count,
		.credentials = c->credentials,
		.methods = keep(e, c->methods),
		.allowed_headers = keep(e, c->allowed_headers),
		.exposed_headers = keep(e, c->exposed_headers),
		.max_age_s = c->max_age_s,
	};
	for (uint32_t i = 0; i < c->origin_count; i++)
		e->origins[i] = keep(e, c->origins[i]);
}

int sio_engine_options(const struct sio_cors *cors, const struct sio_cookie *cookie,
	struct sio_kept_options **ret_kept, struct eio_options *ret)
{
	if ((cors != NULL && !cors_valid(cors)) || (cookie != NULL && !cookie_valid(cookie)))
		return -EINVAL;
	if (cors == NULL && cookie == NULL)
		return 0;
	struct sio_kept_options *e = calloc(1, sizeof(*e) + all_bytes(cors, cookie));
	if (e == NULL)
		return -ENOMEM;
	*ret_kept = e;
	if (cors != NULL) {
		copy_cors(e, cors);
		ret->cors = &e->cors;
	}
	if (cookie != NULL) {
		const char *attributes = keep(e, cookie->attributes);

		e->cookie.name = keep(e, name_of(cookie));
		e->cookie.attributes = attributes == NULL ? "Path=/; HttpOnly; SameSite=Lax" : attributes;
		ret->cookie = &e->cookie;
	}
	return 0;
}

bool sio_engine_path_valid(const char *path)
{
	size_t bytes = strlen(path);

	return bytes >= 1 && bytes <= SIO_PATH_BYTES_MAX && path[0] == '/' && path[bytes - 1] == '/';
}

static bool rate_valid(struct eio_rate rate)
{
	return rate.per_s <= BUCKET_RATE_MAX && rate.burst <= BUCKET_BURST_MAX &&
	       (rate.per_s > 0 || rate.burst == 0);
}

const char *sio_engine_wrong(const struct eio_options *o)
{
	const struct eio_rates *r = &o->rates;

	if (o->message_bytes_max > SIO_ENGINE_MESSAGE_BYTES_MAX)
		return "message_bytes_max is over 64 MiB";
	if (!rate_valid(r->messages) || !rate_valid(r->address_messages) || !rate_valid(r->address_sessions))
		return "a rate is over a million, or has a burst and no per_s";
	if (o->queue_bytes_soft > o->queue_bytes_max)
		return "queue_bytes_soft is over queue_bytes_max";
	if (o->queued_bytes_max < 2 * o->queue_bytes_max)
		return "queued_bytes_max is less than twice queue_bytes_max";
	return NULL;
}

struct eio_rates sio_engine_rates(const struct sio_rates *r)
{
	return (struct eio_rates){
		.messages = { r->messages.per_s, r->messages.burst },
		.address_messages = { r->address_messages.per_s, r->address_messages.burst },
		.address_sessions = { r->address_sessions.per_s, r->address_sessions.burst },
	};
}

/* A part of the machine's memory. */
static size_t memory_part(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);

	return pages <= 0 || page_bytes <= 0 ? 0 : (size_t)pages * (size_t)page_bytes / MEMORY_PART;
}

void sio_engine_defaults(struct eio_options *o)
{
	o->ping_interval_ms = sio_otherwise(o->ping_interval_ms, 25000);
	o->ping_timeout_ms = sio_otherwise(o->ping_timeout_ms, 20000);
	o->upgrade_timeout_ms = sio_otherwise(o->upgrade_timeout_ms, 10000);
	o->message_bytes_max = sio_otherwise(o->message_bytes_max, 1000000);
	if (o->queue_bytes_max == 0) {
		size_t twice = (size_t)o->message_bytes_max * 2;
		o->queue_bytes_max = twice > EIO_QUEUE_HARD_BYTES_MIN ? twice : EIO_QUEUE_HARD_BYTES_MIN;
	}
	if (o->queue_bytes_soft == 0) {
		size_t part = o->queue_bytes_max / EIO_QUEUE_SOFT_PART;
		o->queue_bytes_soft = part < EIO_QUEUE_SOFT_BYTES ? part : EIO_QUEUE_SOFT_BYTES;
	}
	if (o->queued_bytes_max == 0) {
		size_t part = memory_part();
		o->queued_bytes_max = part > 2 * o->queue_bytes_max ? part : 2 * o->queue_bytes_max;
	}
}

void sio_initial_headers(
	void *ctx, const struct http_request *request, const struct net_conn *peer, struct eio_headers *h)
{
	const struct sio_server *server = ctx;
	struct sio_request r = sio_request_of(request, peer);

	server->initial_headers(server->initial_headers_ctx, &r, (struct sio_headers *)h);
}

int sio_headers_add(struct sio_headers *h, const char *name, const char *value)
{
	return eio_headers_add((struct eio_headers *)h, str_c(name), str_c(value));
}
