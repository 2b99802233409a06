/* http/server.c -- the server's tables: see http/server.h. */
#include "http/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/server_int.h"

uint32_t http_route_any_loop(void *ctx, const struct http_head *head)
{
	(void)ctx;
	(void)head;
	return HTTP_ANY_LOOP;
}

bool http_route_begin(void *ctx, struct http_exchange *x, const struct http_head *head)
{
	(void)ctx;
	(void)x;
	(void)head;
	return true;
}

static struct http_exchange *exchange_of(struct net_delay *d)
{
	return list_entry(d, struct http_exchange, deadline);
}

/* Nobody waits for an answer: end it in order. */
static void idle_over(struct net_delay *d, void *ctx)
{
	struct http_exchange *x = exchange_of(d);

	(void)ctx;
	x->state = HTTP_CONN_FINISHING;
	net_conn_finish(x->net);
}

static void head_late(struct net_delay *d, void *ctx)
{
	struct http_loop *at = ctx;

	if (exchange_of(d)->state == HTTP_CONN_IDLE) {
		idle_over(d, ctx); /* not a byte has come */
		return;
	}
	http_count(&at->timeouts);
	http_conn_refuse(exchange_of(d), 408, "the request took too long");
}

static void body_late(struct net_delay *d, void *ctx)
{
	struct http_exchange *x = exchange_of(d);
	struct http_loop *at = ctx;

	if (x->turn_bytes < HTTP_BODY_TURN_BYTES) {
		http_count(&at->timeouts);
		http_conn_refuse(x, 408, "the body came too slowly");
		return;
	}
	x->turn_bytes = 0;
	net_delay_start(&x->deadline, &at->bodies, at->loop);
}

struct http_server *http_server_create(struct net_pool *pool)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->pool = pool;
	s->loop_count = net_pool_loops(pool);
	s->loops = calloc(s->loop_count, sizeof(*s->loops));
	if (s->loops == NULL) {
		free(s);
		return NULL;
	}
	s->in_bytes_max = HTTP_HEAD_BYTES_MAX + HTTP_PIPELINE_BYTES_MAX + NET_RECV_BYTES;
	for (uint32_t i = 0; i < s->loop_count; i++) {
		struct http_loop *at = &s->loops[i];

		at->loop = net_pool_loop(pool, i);
		list_init(&at->conns);
		net_delays_init(&at->heads, at->loop, HTTP_HEAD_MS, head_late, at);
		net_delays_init(&at->bodies, at->loop, HTTP_BODY_TURN_MS, body_late, at);
		net_delays_init(&at->idles, at->loop, HTTP_IDLE_MS, idle_over, at);
		net_delays_init(&at->fresh, at->loop, HTTP_FRESH_STOP_MS, idle_over, at);
	}
	return s;
}

void http_server_destroy(struct http_server *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->loop_count; i++)
		assert(list_empty(&s->loops[i].conns));
	for (struct map_node *n; (n = map_any(&s->exact)) != NULL;)
		map_remove(&s->exact, n);
	map_finish(&s->exact);
	free(s->loops);
	free(s);
}

/* Where it is looked for. 0, -EEXIST or -ENOMEM. */
static int enlist(struct http_server *s, struct http_place *place)
{
	struct str path = str_c(place->route.path);
	const struct http_route *alike[2] = { NULL, NULL }; /* of just that path; of it and what is below */
	uint32_t at = 0;

	struct map_node *n = map_find(&s->exact, path);
	if (n != NULL)
		alike[0] = &map_entry(n, struct http_place, node)->route;
	for (uint32_t i = 0; i < s->prefix_count; i++) {
		if (str_equal(str_c(s->prefixes[i]->path), path))
			alike[1] = s->prefixes[i];
	}
	const struct http_route *other = alike[place->route.prefix ? 0 : 1];
	if (alike[place->route.prefix ? 1 : 0] != NULL ||
		(other != NULL && (other->alone || place->route.alone)))
		return -EEXIST;
	if (!place->route.prefix)
		return map_insert(&s->exact, &place->node, path) ? 0 : -ENOMEM;
	while (at < s->prefix_count && strlen(s->prefixes[at]->path) > path.bytes)
		at++;
	memmove(&s->prefixes[at + 1], &s->prefixes[at], (s->prefix_count - at) * sizeof(s->prefixes[0]));
	s->prefixes[at] = &place->route;
	s->prefix_count++;
	return 0;
}

int http_server_route(struct http_server *s, const struct http_route *route)
{
	assert(route->path[0] == '/' && route->loop_of != NULL && route->begin != NULL &&
		route->serve != NULL);
	assert(route->body_bytes_max <= HTTP_BODY_BYTES_MAX);
	if (s->route_count == HTTP_ROUTES_MAX)
		return -ENOSPC;
	s->places[s->route_count] = (struct http_place){ .route = *route };
	int rc = enlist(s, &s->places[s->route_count]);
	if (rc < 0)
		return rc;
	s->route_count++;
	size_t need = (size_t)HTTP_HEAD_BYTES_MAX + HTTP_PIPELINE_BYTES_MAX + NET_RECV_BYTES +
		      route->body_bytes_max;
	if (need > s->in_bytes_max)
		s->in_bytes_max = need;
	return 0;
}

const struct http_route *http_route_find(const struct http_server *s, struct str path)
{
	struct map_node *n = map_find(&s->exact, path);

	if (n != NULL)
		return &map_entry(n, struct http_place, node)->route;
	for (uint32_t i = 0; i < s->prefix_count; i++) {
		if (str_starts(path, str_c(s->prefixes[i]->path)))
			return s->prefixes[i];
	}
	return NULL;
}

void http_server_accepted(struct net_conn *conn, void *server)
{
	http_conn_adopt(server, conn);
}

void http_server_stopping(struct http_server *s, struct net_loop *loop)
{
	struct http_loop *at = &s->loops[net_loop_index(loop)];
	struct list *n = at->conns.next;

	atomic_store_explicit(&at->stopping, true, memory_order_relaxed);
	while (n != &at->conns) {
		struct http_exchange *x = list_entry(n, struct http_exchange, all);

		n = n->next;
		if (x->state != HTTP_CONN_IDLE)
			continue;
		/* One that has asked nothing yet was accepted a moment ago, and its request may be under way. */
		net_delay_stop(&x->deadline);
		if (x->asked_once)
			idle_over(&x->deadline, at);
		else
			net_delay_start(&x->deadline, &at->fresh, loop);
	}
}

void http_server_counters(const struct http_server *s, struct http_counters *ret)
{
	*ret = (struct http_counters){ 0 };
	for (uint32_t i = 0; i < s->loop_count; i++) {
		const struct http_loop *at = &s->loops[i];

		ret->requests += atomic_load_explicit(&at->requests, memory_order_relaxed);
		ret->refused += atomic_load_explicit(&at->refused, memory_order_relaxed);
		ret->timeouts += atomic_load_explicit(&at->timeouts, memory_order_relaxed);
	}
}
