/*
 * socketio/engine.c -- what a server's options say of Engine.IO: copied, for the caller's texts end with sio_create(), and checked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/response.h"
#include "socketio/server_int.h"

/* Copies of texts, and what is made of them. */
struct sio_engine {
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

static const char *keep(struct sio_engine *e, const char *text)
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

static bool cors_valid(const struct sio_cors *c)
{
	bool valid = c->origin_count <= SIO_CORS_ORIGINS_MAX && !(c->credentials && c->origin_count == 0) &&
		     may_be_said(c->methods) && may_be_said(c->allowed_headers) &&
		     may_be_said(c->exposed_headers);

	for (uint32_t i = 0; valid && i < c->origin_count; i++)
		valid = c->origins[i] != NULL && c->origins[i][0] != '\0' && may_be_said(c->origins[i]);
	return valid;
}

static bool cookie_valid(const struct sio_cookie *c)
{
	return c->name != NULL && c->name[0] != '\0' && strpbrk(c->name, "=;, \t\"\\") == NULL &&
	       may_be_said(c->name) && may_be_said(c->attributes) &&
	       text_bytes(c->name) + text_bytes(c->attributes) <= SIO_COOKIE_BYTES_MAX;
}

static size_t all_bytes(const struct sio_options *o)
{
	size_t bytes = 0;

	if (o->cookie != NULL)
		bytes += text_bytes(o->cookie->name) + text_bytes(o->cookie->attributes);
	if (o->cors == NULL)
		return bytes;
	bytes += text_bytes(o->cors->methods) + text_bytes(o->cors->allowed_headers) +
		 text_bytes(o->cors->exposed_headers);
	for (uint32_t i = 0; i < o->cors->origin_count; i++)
		bytes += text_bytes(o->cors->origins[i]);
	return bytes;
}

static void copy_cors(struct sio_engine *e, const struct sio_cors *c)
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

int sio_engine_options(struct sio_server *server, const struct sio_options *o, struct eio_options *ret)
{
	if ((o->cors != NULL && !cors_valid(o->cors)) || (o->cookie != NULL && !cookie_valid(o->cookie)))
		return -EINVAL;
	if (o->cors == NULL && o->cookie == NULL)
		return 0;
	struct sio_engine *e = calloc(1, sizeof(*e) + all_bytes(o));
	if (e == NULL)
		return -ENOMEM;
	server->engine = e;
	if (o->cors != NULL) {
		copy_cors(e, o->cors);
		ret->cors = &e->cors;
	}
	if (o->cookie != NULL) {
		const char *attributes = keep(e, o->cookie->attributes);

		e->cookie.name = keep(e, o->cookie->name);
		e->cookie.attributes = attributes == NULL ? "Path=/; HttpOnly; SameSite=Lax" : attributes;
		ret->cookie = &e->cookie;
	}
	return 0;
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
