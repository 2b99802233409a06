/*
 * http/server_int.h -- the insides of the server, shared by server.c (tables), conn.c (in) and exchange.c (out).
 */
#ifndef HTTP_SERVER_INT_H
#define HTTP_SERVER_INT_H

#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "http/chunked.h"
#include "http/server.h"
#include "net/timer.h"

enum http_conn_state {
	HTTP_CONN_IDLE,
	HTTP_CONN_HEAD,
	HTTP_CONN_BODY,
	HTTP_CONN_SERVING,
	HTTP_CONN_ANSWERING,
	HTTP_CONN_MOVING,
	HTTP_CONN_FINISHING, /* net/ sends what is left and closes */
	HTTP_CONN_GONE, /* to be freed */
};

/* A connection, and its one exchange. */
struct http_exchange {
	struct net_conn *net;
	struct http_server *server;
	struct http_loop *at;
	const struct http_watch_ops *watch; /* NULL: nobody asks */
	void *watch_ctx;
	struct list all; /* in at->conns */
	struct net_task task; /* go on with what is in `in`, or free */
	struct net_delay deadline;

	const struct http_header *more_headers; /* of this request's answer; see http_exchange_add() */
	uint32_t more_count;
	uint32_t mark; /* the route's */
	uint8_t state; /* enum http_conn_state */
	uint8_t minor;
	bool keep_alive, head_only, asked_once, peer_ended, continued;

	/* In: the request so far, and what is pipelined behind it. */
	struct buf in;
	struct http_head_scan scan;
	size_t need_bytes; /* of `in`, before looking again; 0 for a chunked body */
	size_t head_bytes; /* of the request whose body is awaited; a chunked one is decoded behind it */
	size_t turn_bytes; /* of its body, in this turn */
	struct chunks *chunks; /* of a chunked body; else NULL */

	/* Out: two runs of bytes, the second of which may be owned. */
	uint8_t *out_head; /* owned */
	size_t out_head_bytes;
	const uint8_t *out_body;
	size_t out_body_bytes;
	struct http_shared *out_shared; /* of which out_body is; NULL: it is lent for ever */
	size_t out_sent;
};

struct chunks {
	struct http_chunked decoder;
	struct buf body;
};

struct http_loop {
	struct net_loop *loop;
	struct net_delays heads, bodies, idles, fresh;
	struct list conns;
	atomic_bool stopping; /* connections end with what they are at; written by its loop */
	struct http_head head; /* scratch: of the request being looked at */
	char path[HTTP_TARGET_BYTES_MAX]; /* scratch: its path */
	char date[HTTP_DATE_BYTES];
	uint64_t date_ns; /* when date was made */
	atomic_uint_fast64_t requests, refused, timeouts;
};

struct http_place {
	struct http_route route;
	struct map_node node; /* of one that is no prefix */
};

struct http_server {
	struct net_pool *pool;
	uint32_t loop_count, route_count, prefix_count;
	size_t in_bytes_max;
	struct http_place places[HTTP_ROUTES_MAX];
	struct map exact; /* of places */
	const struct http_route *prefixes[HTTP_ROUTES_MAX]; /* the longest first */
	struct http_loop *loops;
};

static inline bool http_loop_stopping(const struct http_loop *at)
{
	return atomic_load_explicit(&at->stopping, memory_order_relaxed);
}

static inline void http_count(atomic_uint_fast64_t *figure)
{
	atomic_store_explicit(
		figure, atomic_load_explicit(figure, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* conn.c */
void http_conn_adopt(struct http_server *, struct net_conn *);
/* The answer has gone out: on to the next request, or the end. */
void http_conn_answered(struct http_exchange *);
/* Refuse the request and close. */
void http_conn_refuse(struct http_exchange *, uint16_t status, const char *reason);
/* Leave all lists; the memory goes in the next iteration. */
void http_conn_bury(struct http_exchange *);

/* exchange.c */
void http_out_gather(struct http_exchange *, struct net_gather *);
/* True when all is sent. */
bool http_out_sent(struct http_exchange *, size_t bytes);
void http_out_clear(struct http_exchange *);
void http_out_continue(struct http_exchange *);
struct str http_loop_date(struct http_loop *);

/* server.c */
const struct http_route *http_route_find(const struct http_server *, struct str path);

#endif
