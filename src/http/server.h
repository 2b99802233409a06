/*
 * http/server.h -- an HTTP/1.1 server on the loops of a pool: connections, requests, routes, answers.
 *
 *      IDLE --first byte--> HEAD --> BODY --> SERVING --answer--> ANSWERING --all sent--> IDLE
 *        ^                    `-----------------^                                          |
 *        `---------------------------------------------------------------------------------'
 *
 * One request of a connection at a time: what is pipelined behind it waits. A route may name the loop that must serve a
 * request; the whole connection then moves there, request unread, before anything is answered.
 *
 * Threads: a server is made, and its routes added, before the pool runs. An exchange belongs to its connection's loop.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/buf.h"
#include "http/asset.h"
#include "http/head.h"
#include "http/response.h"
#include "net/conn.h"
#include "net/loop.h"

enum {
	HTTP_ROUTES_MAX = 128,
	HTTP_HEAD_MS = 10000, /* from a request's first byte to the end of its head: 408 */
	HTTP_BODY_TURN_MS = 10000, /* in each such turn of a body ... */
	HTTP_BODY_TURN_BYTES = 10000, /* ... at least this much must come: 408 */
	HTTP_IDLE_MS = 65000, /* between requests */
	HTTP_FRESH_STOP_MS = 1000, /* when stopping: what a connection has that asked nothing yet */
	HTTP_PIPELINE_BYTES_MAX = 64 << 10, /* of further requests; then we stop reading */
	HTTP_BODY_BYTES_MAX = 64 << 20, /* the most that a route can allow */
};

#define HTTP_ANY_LOOP UINT32_MAX

struct http_server;
struct http_exchange; /* one request that waits for its answer; lives until `fate`, or until its answer is sent */

/* All lent for the call of `serve`. */
struct http_request {
	const struct http_head *head;
	struct str path; /* decoded: http/url.h */
	uint8_t *body; /* writable */
	size_t body_bytes;
};

struct http_route {
	const char *path; /* kept: "/chat", or with prefix "/socket.io/" and all below it */
	bool prefix;
	bool alone; /* its path is no other's, with prefix or without */
	uint32_t body_bytes_max; /* more: 413 */
	/*
	 * Optional: what all answers to this request have besides (http_exchange_add()), also those that are given here: 413, 408,
	 * 503. Called before anything of it is judged, on any loop's thread, maybe several times.
	 */
	void (*head)(void *ctx, struct http_exchange *, const struct http_head *);
	/* The loop that must serve it, or HTTP_ANY_LOOP. Called when the head is there, on any loop's thread. */
	uint32_t (*loop_of)(void *ctx, const struct http_head *);
	/*
	 * The head is there, on the right loop, and its body is still to come: true to let it come, and perhaps watch it. False:
	 * it is not wanted; `serve` is called at once, without it, and the connection closes after the answer.
	 */
	bool (*begin)(void *ctx, struct http_exchange *, const struct http_head *);
	/* Answer now or later, or take the connection over. */
	void (*serve)(void *ctx, struct http_exchange *, const struct http_request *);
	void *ctx;
};

/* For routes that any loop may serve, and for those that let every body come. */
uint32_t http_route_any_loop(void *ctx, const struct http_head *);
bool http_route_begin(void *ctx, struct http_exchange *, const struct http_head *);

__attribute__((warn_unused_result)) struct http_server *http_server_create(struct net_pool *);
/* After the pool's loops have ended and before the pool is destroyed no connection is left. NULL is fine. */
void http_server_destroy(struct http_server *);
/*
 * A request is served by the route of just its path, else by that of the longest prefix. -ENOSPC: HTTP_ROUTES_MAX; -EEXIST: there
 * is one like it; -ENOMEM.
 */
__attribute__((warn_unused_result)) int http_server_route(struct http_server *, const struct http_route *);
/* Give it to net_listen(), with the server as ctx. */
void http_server_accepted(struct net_conn *, void *server);
/* The pool is stopping: from now on idle connections are closed, others after their answer. On each loop. */
void http_server_stopping(struct http_server *, struct net_loop *);

struct http_counters {
	uint64_t requests; /* that were answered, if only that there is no such path */
	uint64_t refused; /* that could not be understood, were too large, or brought a body to no path */
	uint64_t timeouts;
};
void http_server_counters(const struct http_server *, struct http_counters *ret);

/*
 * Answer. Of the response, status, content_type, cache_control and headers are the caller's; the rest is filled in here.
 * The body is copied (http_answer), lent for ever (http_answer_static) or given (http_answer_buf: `body` is then empty).
 */
void http_answer(struct http_exchange *, const struct http_response *, const void *body, size_t body_bytes);
void http_answer_static(
	struct http_exchange *, const struct http_response *, const void *body, size_t body_bytes);
void http_answer_buf(struct http_exchange *, const struct http_response *, struct buf *body);
/*
 * A body that answers of one loop share. Its memory counts as what waits to be sent (base/account.h) until the last of them has been
 * sent, or cut. create: what the buffer has, which is then empty; NULL: no memory, and it is as it was. unref: NULL is fine.
 */
struct http_shared;
__attribute__((warn_unused_result)) struct http_shared *http_shared_create(struct buf *from);
void http_shared_ref(struct http_shared *);
void http_shared_unref(struct http_shared *);
/* Takes a reference of its own. */
void http_answer_shared(struct http_exchange *, const struct http_response *, struct http_shared *);
/* `text/plain`, or `text/html` if html. */
void http_answer_text(struct http_exchange *, uint16_t status, bool html, struct str text);
/* From an asset: http_asset_answer() against the request's head. */
void http_answer_asset(struct http_exchange *, const struct http_request *, const struct http_asset *);
/*
 * Headers of whatever it will be answered, behind those of the answer, in place of what was said before: constants, which stay as
 * long as the server.
 */
void http_exchange_add(struct http_exchange *, const struct http_header *headers, uint32_t count);
/* Close the connection when the answer is sent. Before answering. */
void http_exchange_close_after(struct http_exchange *);

/* What became of an answer, as far as this side of the connection can tell. */
enum http_fate {
	HTTP_FATE_ARRIVED, /* the client asked on, or ended the connection in order having taken all */
	HTTP_FATE_RESET, /* all of it went to the kernel, and then the connection broke */
	HTTP_FATE_LOST, /* the connection broke with some of it unsent */
};

/* For those who must know whether an answer arrived. */
struct http_watch_ops {
	/* The client went away before it was answered; the exchange is gone. */
	void (*gone)(void *ctx);
	/* The answer was given, and this is its end. The exchange is gone. */
	void (*fate)(void *ctx, enum http_fate);
	/* Who ends its side while it waits is answered all the same; else it counts as gone. */
	bool half_closed_stays;
};
/* Exactly one of the two is called, unless http_unwatch() comes first. */
void http_watch(struct http_exchange *, const struct http_watch_ops *, void *ctx);
void http_unwatch(struct http_exchange *);
/*
 * Ask now what became of what was sent; of an unanswered exchange, whether its client is still there (NET_FATE_ACKED). The
 * watch stays.
 */
enum net_fate http_exchange_fate(struct http_exchange *);
/* All of its answer went to the kernel. */
bool http_exchange_sent(const struct http_exchange *);
/* Cut the connection. It is not watched; the exchange is gone. */
void http_exchange_cut(struct http_exchange *);

struct net_conn *http_exchange_conn(const struct http_exchange *);
/* A number of the route's that stays with the connection, from request to request; 0 at first. */
uint32_t *http_exchange_mark(struct http_exchange *);
/*
 * Take the connection over for another protocol; the exchange is gone. Nothing has been sent. Call net_conn_set_ops() at
 * once; bytes that came behind the request are lent to the new owner after `serve` has returned.
 */
struct net_conn *http_exchange_take(struct http_exchange *);

#endif
