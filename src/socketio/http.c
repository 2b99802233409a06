/*
 * socketio/http.c -- paths that the application serves itself: see sio/http.h.
 *
 *      request --> sio_waiting in a slot of its loop --> handler ... sio_reply() --id--> the exchange, if it still waits
 */
#include "sio/http.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "socketio/server_int.h"

_Static_assert((int)SIO_HTTP_HEADERS_MAX == (int)HTTP_ASSET_OWN_HEADERS_MAX, "an asset's headers fit");
_Static_assert(SIO_HTTP_PATHS_MAX + 2 <= HTTP_ROUTES_MAX, "with Engine.IO and the client library");

/* A request that the application has not answered. */
struct sio_waiting {
	struct http_exchange *exchange;
	struct sio_loop *at;
	uint32_t slot;
};

static void forget(struct sio_waiting *w)
{
	slots_take(&w->at->waiting, w->slot);
	free(w);
}

static void on_gone(void *ctx)
{
	forget(ctx);
}

static void on_fate(void *ctx, enum http_fate fate)
{
	(void)ctx;
	(void)fate;
	assert(false); /* nobody watches what has been answered */
}

static const struct http_watch_ops waiting_ops = {
	.gone = on_gone,
	.fate = on_fate,
	.half_closed_stays = true,
};

/* The application's handler is asked. */
static void serve_handler(void *ctx, struct http_exchange *x, const struct http_request *request)
{
	struct sio_path *path = ctx;
	struct sio_loop *at = sio_loop_here(path->server);
	struct sio_waiting *w = malloc(sizeof(*w));
	struct sio_exchange exchange = {
		.server = path->server,
		.id.loop = net_loop_index(at->loop),
	};

	if (w == NULL || !slots_put(&at->waiting, w, &exchange.id.slot, &exchange.id.generation)) {
		free(w);
		http_exchange_close_after(x);
		http_answer_text(x, 503, false, STR("no memory"));
		return;
	}
	*w = (struct sio_waiting){ .exchange = x, .at = at, .slot = exchange.id.slot };
	http_watch(x, &waiting_ops, w);
	struct sio_request r = sio_request_of(request, http_exchange_conn(x));
	path->fn(&r, exchange, path->ctx);
}

void sio_path_serve_asset(void *path, struct http_exchange *x, const struct http_request *request)
{
	const struct sio_path *p = path;

	http_answer_asset(x, request, &p->asset);
}

int sio_path_add(struct sio_server *server, const char *path, const struct http_route *route,
	struct sio_path **ret_path)
{
	size_t bytes = strlen(path);
	struct http_route r = *route;

	*ret_path = NULL;
	if (atomic_load(&server->running))
		return -EBUSY;
	if (path[0] != '/' || bytes > SIO_PATH_BYTES_MAX)
		return -EINVAL;
	if (server->path_count == SIO_HTTP_PATHS_MAX)
		return -ENOSPC;
	struct sio_path *p = calloc(1, sizeof(*p) + bytes + 1);
	if (p == NULL)
		return -ENOMEM;
	p->server = server;
	memcpy(p->path, path, bytes + 1);
	r.path = p->path;
	r.loop_of = http_route_any_loop;
	r.begin = http_route_begin;
	r.ctx = p;
	int rc = http_server_route(server->http, &r);
	if (rc < 0) {
		free(p);
		return rc;
	}
	server->paths[server->path_count++] = p;
	*ret_path = p;
	return 0;
}

void sio_paths_finish(struct sio_server *server)
{
	for (uint32_t i = 0; i < server->path_count; i++) {
		free(server->paths[i]->file);
		free(server->paths[i]);
	}
}

int sio_http(struct sio_server *server, const char *path, uint32_t body_bytes_max, sio_http_fn *fn, void *ctx)
{
	struct sio_path *p;
	size_t bytes = strlen(path);

	if (fn == NULL || body_bytes_max > HTTP_BODY_BYTES_MAX)
		return -EINVAL;
	struct http_route route = {
		.prefix = bytes > 1 && path[bytes - 1] == '/',
		.body_bytes_max = body_bytes_max,
		.serve = serve_handler,
	};
	int rc = sio_path_add(server, path, &route, &p);
	if (rc < 0)
		return rc;
	p->fn = fn;
	p->ctx = ctx;
	return 0;
}

/* What says where an answer begins and ends, and what has a field of its own, is not for the application to write. */
static bool is_ours(struct str name)
{
	static const char *const names[] = { "connection", "content-length", "content-type", "cache-control",
		"date", "keep-alive", "trailer", "transfer-encoding", "upgrade" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_equal_nocase(name, str_c(names[i])))
			return true;
	}
	return false;
}

/* Further headers. False: they cannot be sent. */
static bool take_headers(
	const struct sio_header *headers, size_t count, struct http_header out[SIO_HTTP_HEADERS_MAX])
{
	if (count > SIO_HTTP_HEADERS_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (headers[i].name == NULL || headers[i].value == NULL)
			return false;
		out[i] = (struct http_header){ str_c(headers[i].name), str_c(headers[i].value) };
		if (!http_header_valid(out[i]) || is_ours(out[i].name))
			return false;
	}
	return true;
}

static bool value_valid(struct str value)
{
	return http_header_valid((struct http_header){ STR("any"), value });
}

/* The application's answer as http/ wants it; slices are of `r`. False: it cannot be sent. */
static bool take_response(const struct sio_response *r, struct http_header headers[SIO_HTTP_HEADERS_MAX],
	struct http_response *ret)
{
	bool empty = r->status == 204 || r->status == 304;

	if (r->status < 200 || r->status > 599 || !take_headers(r->headers, r->header_count, headers))
		return false;
	*ret = (struct http_response){
		.status = r->status,
		.content_type = r->content_type != NULL ? str_c(r->content_type)
				: empty                 ? STR("")
							: STR("text/plain; charset=utf-8"),
		.cache_control = r->cache_control == NULL ? STR("no-store") : str_c(r->cache_control),
		.headers = headers,
		.header_count = r->header_count,
	};
	return value_valid(ret->content_type) && value_valid(ret->cache_control);
}

/* The exchange of that id, which waits no longer. NULL: it has gone, or was answered. */
static struct http_exchange *take(struct sio_loop *here, struct sio_id id)
{
	struct sio_waiting *w = slots_get(&here->waiting, id.slot, id.generation);

	if (w == NULL)
		return NULL;
	struct http_exchange *x = w->exchange;
	http_unwatch(x);
	forget(w);
	return x;
}

struct posted_reply {
	struct net_message message;
	struct sio_server *server;
	struct sio_id id;
	struct http_response response; /* all of its text lies in `text` */
	struct http_header headers[SIO_HTTP_HEADERS_MAX];
	struct buf body;
	char text[];
};

static void reply_discard(struct net_message *message)
{
	struct posted_reply *p = list_entry(message, struct posted_reply, message);

	buf_finish(&p->body);
	free(p);
}

static void reply_run(struct net_loop *loop, struct net_message *message)
{
	struct posted_reply *p = list_entry(message, struct posted_reply, message);
	struct http_exchange *x = take(&p->server->loops[net_loop_index(loop)], p->id);

	if (x != NULL)
		http_answer_buf(x, &p->response, &p->body);
	reply_discard(message);
}

static struct str pack(char **at, struct str text)
{
	struct str packed = str_of(*at, text.bytes);

	if (text.bytes > 0)
		memcpy(*at, text.s, text.bytes);
	*at += text.bytes;
	return packed;
}

/* There are as many as requests that wait for one: a loop that is far behind takes it all the same. */
static int post_reply(
	struct sio_server *server, struct sio_id id, const struct http_response *r, struct sio_str body)
{
	size_t bytes = sizeof(struct posted_reply) + r->content_type.bytes + r->cache_control.bytes;

	for (size_t i = 0; i < r->header_count; i++)
		bytes += r->headers[i].name.bytes + r->headers[i].value.bytes;
	struct posted_reply *p = malloc(bytes);
	if (p == NULL)
		return -ENOMEM;
	char *at = p->text;
	p->message = (struct net_message){
		.run = reply_run, .discard = reply_discard, .bytes = bytes + body.bytes
	};
	p->server = server;
	p->id = id;
	p->response = *r;
	p->response.content_type = pack(&at, r->content_type);
	p->response.cache_control = pack(&at, r->cache_control);
	p->response.headers = p->headers;
	for (size_t i = 0; i < r->header_count; i++) {
		p->headers[i].name = pack(&at, r->headers[i].name);
		p->headers[i].value = pack(&at, r->headers[i].value);
	}
	buf_init(&p->body, SIO_HTTP_REPLY_BYTES_MAX);
	if (!buf_append(&p->body, body.s, body.bytes)) {
		reply_discard(&p->message);
		return -ENOMEM;
	}
	net_post_reserved(net_pool_loop(server->pool, id.loop), &p->message);
	return 0;
}

int sio_reply(struct sio_exchange x, const struct sio_response *r, struct sio_str body)
{
	struct http_header headers[SIO_HTTP_HEADERS_MAX];
	struct http_response response;

	if (body.bytes > SIO_HTTP_REPLY_BYTES_MAX || !take_response(r, headers, &response))
		return -EINVAL;
	if (x.server == NULL || x.id.generation == 0 || x.id.loop >= x.server->loop_count)
		return -ENOENT;
	struct sio_loop *here = sio_loop_here(x.server);
	if (here == NULL || net_loop_index(here->loop) != x.id.loop)
		return post_reply(x.server, x.id, &response, body);
	struct http_exchange *exchange = take(here, x.id);
	if (exchange == NULL)
		return -ENOENT;
	http_answer(exchange, &response, body.s, body.bytes);
	return 0;
}

static struct http_asset_body body_of(struct sio_bytes b)
{
	return (struct http_asset_body){ .data = b.data, .bytes = b.bytes };
}

/* Strong, in quotes, and with room for an encoding's suffix. */
static bool etag_valid(const char *etag)
{
	struct str text = str_c(etag);

	return text.bytes >= 2 && text.bytes <= HTTP_ETAG_BYTES_MAX - 8 && text.s[0] == '"' &&
	       memchr(text.s + 1, '"', text.bytes - 1) == text.s + text.bytes - 1 && value_valid(text);
}

int sio_serve_asset(struct sio_server *server, const struct sio_asset *a)
{
	struct http_header headers[SIO_HTTP_HEADERS_MAX];
	struct http_route route = { .serve = sio_path_serve_asset };
	struct sio_path *p;

	if (a->path == NULL || a->content_type == NULL || a->etag == NULL || a->cache_control == NULL ||
		a->identity.data == NULL || !etag_valid(a->etag) || !value_valid(str_c(a->content_type)) ||
		!value_valid(str_c(a->cache_control)) || !take_headers(a->headers, a->header_count, headers))
		return -EINVAL;
	int rc = sio_path_add(server, a->path, &route, &p);
	if (rc < 0)
		return rc;
	memcpy(p->headers, headers, a->header_count * sizeof(headers[0]));
	p->asset = (struct http_asset){
		.path = p->path,
		.content_type = a->content_type,
		.etag = a->etag,
		.cache_control = a->cache_control,
		.identity = body_of(a->identity),
		.gzip = body_of(a->gzip),
		.br = body_of(a->br),
		.headers = p->headers,
		.header_count = a->header_count,
	};
	return 0;
}
