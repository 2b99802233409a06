/*
 * engineio/cors.c -- what answers say to pages of other origins (the Fetch standard's CORS), and further headers of handshakes.
 *
 * The headers of each origin are made once, when the server is, and added to whatever a request of that origin is answered. Who is
 * of no such origin gets the same answers, without being named in them: its browser keeps them from the page. As npm's package `cors`
 * does it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engineio/session_int.h"

enum { HEADERS = 4 };

struct eio_cors_origin {
	struct str origin; /* empty: any, or none that is named */
	struct http_header headers[HEADERS];
	uint32_t count;
};

static void add(struct eio_cors_origin *o, struct str name, struct str value)
{
	assert(o->count < HEADERS);
	o->headers[o->count++] = (struct http_header){ .name = name, .value = value };
}

/* `allowed` is what the origin reads of itself: its name, "*", or empty where it is none that is named. */
static void prepare(struct eio_cors_origin *o, const struct eio_cors *cors, struct str allowed)
{
	if (cors->origin_count > 0)
		o->origin = allowed;
	if (allowed.bytes > 0)
		add(o, STR("Access-Control-Allow-Origin"), allowed);
	if (cors->origin_count > 0)
		add(o, STR("Vary"), STR("Origin"));
	if (cors->credentials)
		add(o, STR("Access-Control-Allow-Credentials"), STR("true"));
	if (cors->exposed_headers != NULL)
		add(o, STR("Access-Control-Expose-Headers"), str_c(cors->exposed_headers));
}

bool eio_cors_create(struct eio_server *server)
{
	const struct eio_cors *cors = server->options.cors;

	if (cors == NULL)
		return true;
	server->origins = calloc((size_t)cors->origin_count + 1, sizeof(*server->origins));
	if (server->origins == NULL)
		return false;
	for (uint32_t i = 0; i < cors->origin_count; i++)
		prepare(&server->origins[i], cors, str_c(cors->origins[i]));
	prepare(&server->origins[cors->origin_count], cors, cors->origin_count == 0 ? STR("*") : STR(""));
	return true;
}

void eio_cors_destroy(struct eio_server *server)
{
	free(server->origins);
	server->origins = NULL;
}

static const struct eio_cors_origin *find(const struct eio_server *server, const struct http_head *head)
{
	uint32_t count = server->options.cors->origin_count, i = 0;
	struct str origin = http_head_get(head, STR("Origin"));

	while (i < count && !(origin.s != NULL && str_equal(origin, server->origins[i].origin)))
		i++;
	return &server->origins[i]; /* behind those that are named: of anybody else */
}

/* May this request be made? */
static void answer_preflight(
	const struct eio_server *server, struct http_exchange *x, const struct http_head *head)
{
	const struct eio_cors *cors = server->options.cors;
	struct str wanted = http_head_get(head, STR("Access-Control-Request-Headers"));
	struct http_header headers[4];
	size_t count = 0;
	char age[16];

	headers[count++] = (struct http_header){ .name = STR("Access-Control-Allow-Methods"),
		.value = cors->methods == NULL ? STR("GET,HEAD,PUT,PATCH,POST,DELETE")
					       : str_c(cors->methods) };
	if (cors->allowed_headers != NULL)
		headers[count++] = (struct http_header){ .name = STR("Access-Control-Allow-Headers"),
			.value = str_c(cors->allowed_headers) };
	else if (wanted.s != NULL && wanted.bytes > 0)
		headers[count++] =
			(struct http_header){ .name = STR("Access-Control-Allow-Headers"), .value = wanted };
	if (cors->allowed_headers == NULL)
		headers[count++] = (struct http_header){ .name = STR("Vary"),
			.value = STR("Access-Control-Request-Headers") };
	if (cors->max_age_s > 0) {
		int n = snprintf(age, sizeof(age), "%u", cors->max_age_s);
		headers[count++] = (struct http_header){ .name = STR("Access-Control-Max-Age"),
			.value = str_of(age, (size_t)n) };
	}
	http_answer(x, &(struct http_response){ .status = 204, .headers = headers, .header_count = count },
		NULL, 0);
}

void eio_cors_head(void *server, struct http_exchange *x, const struct http_head *head)
{
	const struct eio_cors_origin *o = find(server, head);

	http_exchange_add(x, o->headers, o->count);
}

bool eio_cors_serve(const struct eio_server *server, struct http_exchange *x, const struct http_head *head)
{
	if (head->method != HTTP_OPTIONS || head->upgrade)
		return false;
	answer_preflight(server, x, head);
	return true;
}

/* What only the server itself may say. */
static bool is_framing(struct str name)
{
	static const char *const names[] = { "connection", "content-length", "transfer-encoding", "upgrade",
		"content-type", "date", "sec-websocket-accept", "sec-websocket-extensions",
		"sec-websocket-protocol" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_equal_nocase(name, str_c(names[i])))
			return true;
	}
	return false;
}

int eio_headers_add(struct eio_headers *h, struct str name, struct str value)
{
	if (!http_header_valid((struct http_header){ .name = name, .value = value }) || is_framing(name))
		return -EINVAL;
	if (h->count == EIO_HEADERS_MAX || name.bytes > sizeof(h->text) - h->bytes ||
		value.bytes > sizeof(h->text) - h->bytes - name.bytes)
		return -ENOSPC;
	char *at = h->text + h->bytes;
	memcpy(at, name.s, name.bytes);
	if (value.bytes > 0)
		memcpy(at + name.bytes, value.s, value.bytes);
	h->list[h->count++] = (struct http_header){ .name = str_of(at, name.bytes),
		.value = str_of(at + name.bytes, value.bytes) };
	h->bytes += name.bytes + value.bytes;
	return 0;
}
