/* engineio/session.c -- a session's life, heartbeat and queue: see engineio/server.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/random.h"
#include "engineio/session_int.h"

static struct eio_session *of_task(struct net_task *task)
{
	return list_entry(task, struct eio_session, task);
}

static struct eio_session *of_beat(struct net_delay *d)
{
	return list_entry(d, struct eio_session, beat);
}

static void free_later(struct net_task *task)
{
	free(of_task(task));
}

static void judge_queue(struct eio_session *s);

/* What was put off to the end of an iteration's callbacks. */
static void run_task(struct net_task *task)
{
	struct eio_session *s = of_task(task);

	if (s->overflowed && s->state == EIO_STATE_OPEN) {
		eio_session_end(s, EIO_OVERFLOW);
		return;
	}
	eio_probe_go_on(s);
	if (s->ws == NULL)
		eio_poll_answer(s);
	if (s->state == EIO_STATE_OPEN)
		judge_queue(s);
}

/* Sessions cost memory without a connection, so they have limits of their own. */
static bool admit(struct eio_session *s, struct eio_server *server)
{
	if (atomic_fetch_add_explicit(&server->sessions, 1, memory_order_relaxed) < server->sessions_max) {
		if (net_addresses_enter(server->addresses, &s->peer, &s->counted))
			return true;
	}
	atomic_fetch_sub_explicit(&server->sessions, 1, memory_order_relaxed);
	return false;
}

static void dismiss(struct eio_session *s, struct eio_server *server)
{
	if (s->counted)
		net_addresses_leave(server->addresses, &s->peer);
	atomic_fetch_sub_explicit(&server->sessions, 1, memory_order_relaxed);
}

struct eio_session *eio_session_create(struct eio_loop *at, const struct net_conn *peer)
{
	struct eio_session *s = calloc(1, sizeof(*s));
	uint32_t generation;

	if (s == NULL)
		return NULL;
	s->peer = net_conn_peer(peer);
	if (!admit(s, at->server)) {
		free(s);
		return NULL;
	}
	s->at = at;
	if (!eio_throttle_create(s) || !slots_put(&at->sessions, s, &s->slot, &generation)) {
		eio_throttle_destroy(s);
		dismiss(s, at->server);
		free(s);
		return NULL;
	}
	random_bytes(s->random, sizeof(s->random));
	net_task_init(&s->task, run_task);
	net_delay_init(&s->beat);
	return s;
}

bool eio_session_open(struct eio_session *s, const struct http_head *head, const struct net_conn *peer,
	struct eio_admission *admission)
{
	struct eio_loop *at = s->at;

	net_delay_start(&s->beat, &at->pings, at->loop);
	s->ctx = at->server->events->opened(at->server->ctx, s, head, peer, admission);
	if (s->ctx == NULL) {
		net_delay_stop(&s->beat);
		s->state = EIO_STATE_CLOSING;
		return false;
	}
	*admission = (struct eio_admission){ 0 }; /* taken over */
	eio_count(&at->counts.opened);
	return true;
}

void eio_session_sid(const struct eio_session *s, char *out)
{
	uint8_t bytes[EIO_SID_BYTES];

	memcpy(bytes, s->random, sizeof(s->random));
	bytes[11] = (uint8_t)net_loop_index(s->at->loop);
	bytes[12] = (uint8_t)(s->slot >> 16);
	bytes[13] = (uint8_t)(s->slot >> 8);
	bytes[14] = (uint8_t)s->slot;
	(void)base64url_encode(out, bytes, sizeof(bytes));
}

static bool decode_sid(struct str sid, uint8_t bytes[EIO_SID_BYTES + 3])
{
	size_t decoded;

	return sid.bytes == EIO_SID_CHARS && base64url_decode(bytes, sid.s, sid.bytes, &decoded) &&
	       decoded == EIO_SID_BYTES;
}

bool eio_sid_loop(const struct eio_server *server, struct str sid, uint32_t *ret_loop)
{
	uint8_t bytes[EIO_SID_BYTES + 3];

	if (!decode_sid(sid, bytes) || bytes[11] >= server->loop_count)
		return false;
	*ret_loop = bytes[11];
	return true;
}

struct eio_session *eio_session_find(struct eio_loop *at, struct str sid)
{
	uint8_t bytes[EIO_SID_BYTES + 3], differ = 0;

	if (!decode_sid(sid, bytes) || bytes[11] != net_loop_index(at->loop))
		return NULL;
	uint32_t slot = (uint32_t)bytes[12] << 16 | (uint32_t)bytes[13] << 8 | bytes[14];
	struct eio_session *s = slots_at(&at->sessions, slot);
	if (s == NULL)
		return NULL;
	/* In constant time: how much of a guess was right is nobody's business. */
	for (size_t i = 0; i < sizeof(s->random); i++)
		differ |= (uint8_t)(bytes[i] ^ s->random[i]);
	return differ == 0 ? s : NULL;
}

size_t eio_open_packet(const struct eio_session *s, char *out, size_t out_bytes)
{
	const struct eio_options *o = &s->at->server->options;
	char sid[EIO_SID_CHARS];
	int n;

	eio_session_sid(s, sid);
	n = snprintf(out, out_bytes,
		"0{\"sid\":\"%.*s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%"
		"u}",
		EIO_SID_CHARS, sid, s->ws == NULL && o->upgrades ? "\"websocket\"" : "", o->ping_interval_ms,
		o->ping_timeout_ms, o->message_bytes_max);
	assert(n > 0 && (size_t)n < out_bytes);
	return (size_t)n;
}

void eio_session_free(struct eio_session *s)
{
	assert(s->state != EIO_STATE_GONE);
	s->state = EIO_STATE_GONE;
	eio_probe_cancel(s);
	eio_poll_release(s, EIO_CLOSE); /* else it would wait for ever */
	eio_polls_forget(s);
	net_delay_stop(&s->beat);
	eio_throttle_destroy(s);
	eio_queue_clear(&s->queue, &s->at->rings);
	if (s->is_lagging)
		eio_count(&s->at->counts.drained);
	slots_take(&s->at->sessions, s->slot);
	dismiss(s, s->at->server);
	if (s->ctx != NULL)
		eio_count(&s->at->counts.closed);
	net_task_cancel(&s->task);
	s->task.run = free_later;
	net_defer(s->at->loop, &s->task);
}

static void count_reason(struct eio_counts *c, enum eio_reason reason)
{
	switch (reason) {
	case EIO_TRANSPORT_ERROR:
		eio_count(&c->transport_errors);
		break;
	case EIO_PARSE_ERROR:
		eio_count(&c->parse_errors);
		break;
	case EIO_PING_TIMEOUT:
		eio_count(&c->ping_timeouts);
		break;
	case EIO_OVERFLOW:
		eio_count(&c->overflows);
		break;
	case EIO_TRANSPORT_CLOSE:
	case EIO_FORCED_CLOSE:
	case EIO_SHUTTING_DOWN:
		break;
	}
}

/* The client is to be told, over whatever transport there is; then the session goes. */
static void begin_closing(struct eio_session *s, enum eio_reason reason)
{
	assert(s->state == EIO_STATE_CLOSING);
	count_reason(&s->at->counts, reason);
	net_delay_stop(&s->beat);
	if (!eio_probe_tells(s, reason))
		eio_probe_cancel(s);
	eio_post_forget(s); /* nothing more of it is taken */
	if (s->ws != NULL && reason == EIO_OVERFLOW) {
		/* It is told why, if it takes the rest of the frame that has begun. */
		eio_queue_trim(&s->queue, &s->at->rings);
		net_delay_start(&s->beat, &s->at->cuts, s->at->loop);
		ws_conn_close(s->ws, s->close_code);
	} else if (s->ws != NULL) {
		/* What waits goes first, but not for ever. */
		net_delay_start(&s->beat, &s->at->closings, s->at->loop);
		ws_conn_close(s->ws, s->close_code);
	} else if (reason != EIO_FORCED_CLOSE && reason != EIO_SHUTTING_DOWN) {
		eio_session_free(s); /* over at once: its id is unknown from now on */
	} else {
		s->close_due = true;
		s->ping_due = s->noop_due = false;
		net_delay_start(&s->beat, &s->at->closings, s->at->loop);
		net_defer(s->at->loop, &s->task);
	}
}

void eio_session_end_saying(struct eio_session *s, enum eio_reason reason, uint16_t code)
{
	if (s->state != EIO_STATE_OPEN)
		return;
	s->state = EIO_STATE_CLOSING;
	s->close_code = code;
	s->at->server->events->closed(s->ctx, reason); /* while its queue is there */
	if (reason == EIO_OVERFLOW)
		eio_poll_cut(s);
	begin_closing(s, reason);
}

void eio_session_end(struct eio_session *s, enum eio_reason reason)
{
	eio_session_end_saying(s, reason,
		reason == EIO_OVERFLOW        ? WS_CLOSE_TRY_LATER
		: reason == EIO_SHUTTING_DOWN ? WS_CLOSE_RESTART
					      : WS_CLOSE_NONE);
}

void eio_close_saying(struct eio_session *s, uint16_t code)
{
	if (s->state != EIO_STATE_OPEN)
		return;
	s->state = EIO_STATE_CLOSING;
	s->close_code = code;
	begin_closing(s, EIO_FORCED_CLOSE);
}

void eio_close(struct eio_session *s)
{
	eio_close_saying(s, WS_CLOSE_NONE);
}

size_t eio_waiting_bytes(const struct eio_session *s)
{
	return eio_queue_weight(&s->queue);
}

const struct blob_share *eio_unsent(const struct eio_session *s, uint32_t i)
{
	return i < s->queue.count ? eio_queue_at(&s->queue, i) : NULL;
}

uint16_t eio_close_code(const struct eio_session *s)
{
	return s->close_code;
}

void eio_closing_over(struct net_delay *d, void *loop)
{
	struct eio_session *s = of_beat(d);

	(void)loop;
	if (s->queue.count > 0)
		eio_count(&s->at->counts.closings_cut);
	if (s->ws != NULL)
		ws_conn_cut(s->ws);
	s->ws = NULL;
	eio_session_free(s);
}

void eio_closing_hurry(struct eio_session *s)
{
	if (s->ws == NULL) {
		eio_poll_cut(s);
		eio_closing_over(&s->beat, s->at);
		return;
	}
	eio_queue_trim(&s->queue, &s->at->rings);
	if (s->beat.due_ns > net_loop_now_ns(s->at->loop) + NET_LINGER_MS * CLOCK_NS_PER_MS)
		net_delay_start(&s->beat, &s->at->cuts, s->at->loop);
}

/*
 * Control frames may stand in a message, so a peer that answers pings could have one half sent for ever, and the memory for it. Of one
 * that is read, and has had one under way since the last ping, some more is to have come.
 */
static bool goes_on(struct eio_session *s)
{
	const struct eio_options *o = &s->at->server->options;
	uint32_t before = s->partial_bytes, now = (uint32_t)ws_conn_partial_bytes(s->ws);
	uint64_t wanted = (uint64_t)EIO_PARTIAL_BYTES_PER_S * o->ping_interval_ms / 1000;
	bool is_same = before > 0 && !s->heard && now > 0;

	s->partial_bytes = now;
	s->heard = false;
	return !is_same || s->held || eio_is_throttled(s) || now - before >= wanted;
}

void eio_ping_due(struct net_delay *d, void *loop)
{
	struct eio_session *s = of_beat(d);
	struct eio_loop *at = loop;

	if (at->server->options.plain != NULL && !goes_on(s)) {
		eio_session_end_saying(s, EIO_TRANSPORT_ERROR, WS_CLOSE_POLICY);
		return;
	}
	if (s->held || (eio_is_throttled(s) && eio_is_attended(s))) { /* its pong could not be heard */
		net_delay_start(&s->beat, &at->pings, at->loop);
	} else {
		s->awaiting_pong = true;
		s->extended = false;
		net_delay_start(&s->beat, &at->pongs, at->loop);
	}
	if (s->ws != NULL) {
		eio_ws_ping(s);
	} else {
		s->ping_due = true;
		net_defer(at->loop, &s->task);
	}
}

void eio_pong_late(struct net_delay *d, void *loop)
{
	(void)loop;
	eio_session_end(of_beat(d), EIO_PING_TIMEOUT);
}

void eio_session_alive(struct eio_session *s)
{
	s->awaiting_pong = false;
	net_delay_start(&s->beat, &s->at->pings, s->at->loop);
}

bool eio_session_packet(struct eio_session *s, const struct eio_packet *p)
{
	struct eio_loop *at = s->at;

	if (s->state != EIO_STATE_OPEN)
		return false;
	/* Anything that comes while a pong is awaited puts its deadline off, once: the client is alive, if late. */
	if (s->awaiting_pong && !s->extended && p->type != EIO_PONG) {
		s->extended = true;
		net_delay_start(&s->beat, &at->pongs, at->loop);
	}
	switch (p->type) {
	case EIO_MESSAGE:
		eio_count(&at->counts.messages_in);
		if (s->throttle != NULL)
			eio_throttle_message(s);
		at->server->events->message(s->ctx, p->binary, p->data, p->bytes);
		break;
	case EIO_PONG:
		if (s->held)
			break; /* what was read before the hold; pings go on by themselves */
		eio_session_alive(s);
		break;
	case EIO_PING: /* heartbeats go the other way */
		eio_session_end(s, EIO_TRANSPORT_ERROR);
		break;
	case EIO_CLOSE:
		/* Whoever waits for a poll is let go; a WebSocket is closed at once. */
		if (s->ws == NULL)
			eio_poll_release(s, EIO_NOOP);
		eio_session_end(s, EIO_TRANSPORT_CLOSE);
		break;
	case EIO_OPEN:
	case EIO_UPGRADE:
	case EIO_NOOP:
	case EIO_BINARY:
		break; /* means nothing here; Node's server ignores it too */
	}
	return s->state == EIO_STATE_OPEN;
}

void eio_session_bad_packet(struct eio_session *s)
{
	eio_session_end(s, EIO_PARSE_ERROR);
}

/* It would go at once. Apart, as is_too_long() is: the usual case then saves no registers for it. */
static __attribute__((noinline)) bool can_take_now(const struct eio_session *s)
{
	if (s->is_lagging)
		return false;
	if (s->ws != NULL)
		return !net_conn_blocked(ws_conn_net(s->ws));
	return s->poll != NULL && s->doubt == NULL;
}

/* One more is to be queued past a limit. False: enough for this iteration. */
static bool count_burst(struct eio_loop *at)
{
	uint64_t now_ns = net_loop_now_ns(at->loop);

	if (at->burst_ns != now_ns)
		at->burst_units = 0;
	at->burst_ns = now_ns;
	return ++at->burst_units <= EIO_BURST_UNITS_MAX;
}

/*
 * The queue is past the hard limit; it is too long, unless it only waits for this iteration's flush, which is nobody's
 * slowness: then of what is shared with others there may be more, and a little of its own.
 */
static __attribute__((noinline)) bool is_too_long(struct eio_session *s, uint32_t more_bytes, unsigned flags)
{
	size_t max = s->at->server->options.queue_bytes_max;
	bool slow = s->ws != NULL ? net_conn_blocked(ws_conn_net(s->ws)) : s->is_lagging || s->tried;

	if (slow || eio_queue_weight(&s->queue) + more_bytes > max * EIO_QUEUE_BURST || !count_burst(s->at))
		return true;
	if ((flags & EIO_SHARED) == 0)
		s->own_burst += more_bytes + EIO_UNIT_OVERHEAD_BYTES;
	return s->own_burst > max / EIO_QUEUE_OWN_BURST;
}

void eio_fail(struct eio_session *s)
{
	if (s->state != EIO_STATE_OPEN)
		return;
	s->overflowed = true;
	net_defer(s->at->loop, &s->task);
}

enum eio_send eio_send(struct eio_session *s, struct blob_share *unit, unsigned flags)
{
	const struct eio_options *o = &s->at->server->options;

	if (s->state != EIO_STATE_OPEN || s->overflowed)
		return EIO_SEND_CLOSED;
	if ((flags & EIO_VOLATILE) != 0 && !can_take_now(s))
		return EIO_SEND_SKIPPED;
	/* An empty queue takes one message of any size. */
	bool over = s->queue.count > 0 && eio_queue_weight(&s->queue) + unit->bytes > o->queue_bytes_max;
	if ((over && is_too_long(s, unit->bytes, flags)) || !eio_queue_push(&s->queue, &s->at->rings, unit)) {
		eio_fail(s);
		return EIO_SEND_CLOSED;
	}
	if (s->ws != NULL)
		ws_conn_want_send(s->ws);
	else if (s->poll != NULL)
		net_defer(s->at->loop, &s->task);
	if (eio_queue_weight(&s->queue) > o->queue_bytes_soft &&
		(!s->is_lagging || (s->ws != NULL && !s->held)))
		net_defer(s->at->loop, &s->task);
	return EIO_SEND_QUEUED;
}

/*
 * Who does not take our answers is not asked for more: its WebSocket is not read. Pings go on, for clients count from the last
 * one, but no pong is due that could not be heard. A peer that takes nothing at all is cut by the deadline for sends.
 */
void eio_session_hold(struct eio_session *s)
{
	assert(s->ws != NULL && !s->held);
	s->held = true;
	eio_session_owes(s);
	net_conn_pause(ws_conn_net(s->ws));
	if (s->awaiting_pong)
		eio_session_alive(s);
}

/* Read on; a ping at once tells whether it is still there. */
static void release(struct eio_session *s)
{
	s->held = false;
	s->heard = true;
	if (eio_is_throttled(s)) { /* no pong could be heard */
		net_delay_start(&s->beat, &s->at->pings, s->at->loop);
		eio_ws_ping(s);
		return;
	}
	net_conn_resume(ws_conn_net(s->ws));
	eio_session_ask(s);
}

void eio_session_ask(struct eio_session *s)
{
	s->awaiting_pong = true;
	s->extended = false;
	net_delay_start(&s->beat, &s->at->pongs, s->at->loop);
	eio_ws_ping(s);
}

bool eio_session_past(const struct eio_session *s)
{
	return eio_queue_weight(&s->queue) > s->at->server->options.queue_bytes_soft;
}

void eio_session_owes(struct eio_session *s)
{
	s->hold_end = s->queue.taken + s->queue.count;
}

/*
 * Little enough is waiting to read on, or all that waited when it was held has left: else who takes as much as comes, but never
 * catches up, would not be heard at all.
 */
static bool is_heard(const struct eio_session *s)
{
	return eio_queue_weight(&s->queue) <= s->at->server->options.queue_bytes_soft / 4 ||
	       (int32_t)(s->queue.taken - s->hold_end) >= 0;
}

/* Lagging: past the soft limit although a flush was tried. Drained: empty again. */
static void judge_queue(struct eio_session *s)
{
	const struct eio_events *events = s->at->server->events;
	bool past = eio_session_past(s);

	s->own_burst = 0;
	if (past && !s->is_lagging && !s->tried) {
		s->tried = true; /* this iteration's flush is the attempt */
		net_defer(s->at->loop, &s->task);
		return;
	}
	s->tried = false;
	if (past && s->ws != NULL && !s->held)
		eio_session_hold(s);
	else if (s->held && is_heard(s))
		release(s);
	else if (s->rest != NULL && is_heard(s))
		eio_post_resume(s);
	if (s->is_lagging && s->queue.count == 0) {
		s->is_lagging = false;
		eio_count(&s->at->counts.drained);
		events->lagging(s->ctx, false);
	} else if (past && !s->is_lagging) {
		s->is_lagging = true;
		eio_count(&s->at->counts.lagged);
		events->lagging(s->ctx, true);
	}
}

void eio_session_sent(struct eio_session *s)
{
	if ((s->is_lagging && s->queue.count == 0) || ((s->held || s->rest != NULL) && is_heard(s)))
		net_defer(s->at->loop, &s->task);
}

struct net_peer eio_session_peer(const struct eio_session *s)
{
	return s->peer;
}

struct net_loop *eio_session_loop(const struct eio_session *s)
{
	return s->at->loop;
}

bool eio_session_on_websocket(const struct eio_session *s)
{
	return s->ws != NULL;
}

const char *eio_reason_text(enum eio_reason reason)
{
	static const char *const texts[] = {
		[EIO_TRANSPORT_CLOSE] = "transport close",
		[EIO_TRANSPORT_ERROR] = "transport error",
		[EIO_PARSE_ERROR] = "parse error",
		[EIO_PING_TIMEOUT] = "ping timeout",
		[EIO_FORCED_CLOSE] = "forced close",
		[EIO_SHUTTING_DOWN] = "server shutting down",
		[EIO_OVERFLOW] = "queue overflow",
	};

	assert((size_t)reason < sizeof(texts) / sizeof(texts[0]));
	return texts[reason];
}
