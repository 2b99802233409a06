/*
 * engineio/post.c -- the polling transport's other half: what clients post.
 *
 *      body --as much as is a turn--> packets --> the session; the rest waits for the next iteration --> "ok"
 *
 * A body may hold a hundred thousand packets. Between turns others have theirs, and what these packets caused is sent. Of
 * a client past its soft limit no turn is taken, not even the first, until it has polled down to a quarter of that, or all
 * that waited before: as a WebSocket that lags is not read. The answer comes when nothing is left to take, or the session
 * ends; an official client posts nothing more before.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engineio/session_int.h"
#include "net/loop.h"

struct eio_rest {
	struct eio_session *session;
	struct http_exchange *exchange; /* to be answered; NULL: its client has gone */
	struct eio_payload payload;
	struct net_task task;
	uint8_t data[];
};

static void answer_ok(struct http_exchange *x)
{
	http_answer(x,
		&(struct http_response){
			.status = 200, .content_type = STR("text/html"), .cache_control = STR("no-store") },
		"ok", 2);
}

/* Take packets from the next `turn_bytes`, as fast as it may send; SIZE_MAX: all of them. True: there are no more to take. */
static bool take(struct eio_session *s, struct eio_payload *payload, size_t turn_bytes)
{
	size_t from = payload->at;
	struct eio_packet packet;

	while (s->state == EIO_STATE_OPEN && !s->overflowed) {
		bool full =
			payload->at - from >= turn_bytes || (turn_bytes < SIZE_MAX && eio_is_throttled(s));
		if (full && !payload->over)
			return false;
		enum eio_payload_next got = eio_payload_next(payload, &packet);
		if (got == EIO_PAYLOAD_BAD)
			eio_session_bad_packet(s);
		if (got != EIO_PAYLOAD_PACKET || !eio_session_packet(s, &packet))
			break;
	}
	return true;
}

static void end(struct eio_rest *rest)
{
	struct http_exchange *x = rest->exchange;

	net_task_cancel(&rest->task);
	free(rest);
	if (x == NULL)
		return;
	http_unwatch(x);
	answer_ok(x);
}

/*
 * Who has been told that its probe is well polls no more until it upgrades, and waits for its POST: then what it has to hear is no
 * hindrance. That it sends too fast is.
 */
static bool has_a_turn(const struct eio_session *s)
{
	bool upgrades = s->probe != NULL && s->probe->answered;

	return s->state != EIO_STATE_OPEN || (!eio_is_throttled(s) && (upgrades || !eio_session_past(s)));
}

static void await_turn(struct eio_rest *rest)
{
	struct eio_session *s = rest->session;

	eio_session_owes(s);
	if (has_a_turn(s))
		net_defer_next(s->at->loop, &rest->task);
	else if (s->awaiting_pong && rest->exchange != NULL)
		eio_session_alive(s); /* its pong may be in what is held back */
}

/* Whoever ends the session meanwhile must not find the rest: a handler may be in the midst of it. */
static void next_turn(struct net_task *task)
{
	struct eio_rest *rest = list_entry(task, struct eio_rest, task);
	struct eio_session *s = rest->session;

	s->rest = NULL;
	if (take(s, &rest->payload, EIO_POST_TURN_BYTES)) {
		end(rest);
		eio_probe_go_on(s);
		return;
	}
	s->rest = rest;
	await_turn(rest);
}

/* The exchange is not there any more, before it could be answered ... */
static void rest_gone(void *ctx)
{
	struct eio_rest *rest = ctx;

	rest->exchange = NULL;
}

static void rest_fate(void *rest, enum http_fate fate)
{
	(void)fate;
	rest_gone(rest);
}

static const struct http_watch_ops rest_ops = { .gone = rest_gone, .fate = rest_fate };

/* ... or before its body was whole. */
static void coming_gone(void *ctx)
{
	struct eio_session *s = ctx;

	s->post = NULL;
	net_defer(s->at->loop, &s->task); /* its probe may wait for this */
}

static void coming_fate(void *s, enum http_fate fate)
{
	(void)fate;
	coming_gone(s);
}

static const struct http_watch_ops coming_ops = { .gone = coming_gone, .fate = coming_fate };

/* False: no memory. */
static bool keep(struct eio_session *s, struct http_exchange *x, const struct eio_payload *payload)
{
	size_t bytes = payload->bytes - payload->at;
	struct eio_rest *rest = malloc(sizeof(*rest) + bytes);

	if (rest == NULL)
		return false;
	rest->session = s;
	rest->exchange = x;
	if (bytes > 0) /* else there may be no data */
		memcpy(rest->data, payload->data + payload->at, bytes);
	rest->payload = *payload;
	rest->payload.data = rest->data;
	rest->payload.bytes = bytes;
	rest->payload.at = 0;
	net_task_init(&rest->task, next_turn);
	s->rest = rest;
	http_watch(x, &rest_ops, rest);
	await_turn(rest);
	return true;
}

bool eio_is_attended(const struct eio_session *s)
{
	return s->ws != NULL || s->poll != NULL || s->post != NULL ||
	       (s->rest != NULL && s->rest->exchange != NULL);
}

static bool is_octets(const struct http_head *head)
{
	return str_equal_nocase(http_head_get(head, STR("content-type")), STR("application/octet-stream"));
}

bool eio_post_begin(struct eio_session *s, struct http_exchange *x, const struct http_head *head)
{
	if (s->post != NULL || s->rest != NULL || is_octets(head))
		return false; /* the session ends when it is served */
	s->post = x;
	http_watch(x, &coming_ops, s);
	return true;
}

void eio_post_serve(struct eio_session *s, struct http_exchange *x, const struct http_request *request)
{
	struct eio_payload payload = { .data = request->body, .bytes = request->body_bytes };

	if (s->post == x) {
		http_unwatch(x);
		s->post = NULL;
		net_defer(s->at->loop, &s->task); /* its probe may wait for this */
	}
	if (s->post != NULL || s->rest != NULL || is_octets(request->head)) {
		eio_session_end(s, EIO_TRANSPORT_ERROR);
		http_answer(x, &(struct http_response){ .status = 400 }, NULL, 0);
		return;
	}
	if (!has_a_turn(s) || !take(s, &payload, EIO_POST_TURN_BYTES)) {
		if (keep(s, x, &payload))
			return;
		(void)take(s, &payload, SIZE_MAX); /* no memory: then without turns */
	}
	answer_ok(x);
}

void eio_post_resume(struct eio_session *s)
{
	if (s->rest != NULL && !eio_is_throttled(s))
		net_defer_next(s->at->loop, &s->rest->task);
}

void eio_post_unpaused(struct eio_session *s)
{
	if (s->rest != NULL && has_a_turn(s))
		net_defer_next(s->at->loop, &s->rest->task);
}

void eio_post_forget(struct eio_session *s)
{
	if (s->post != NULL)
		http_unwatch(s->post);
	s->post = NULL;
	if (s->rest != NULL)
		end(s->rest);
	s->rest = NULL;
}
