/*
 * engineio/websocket.c -- the WebSocket transport, and the upgrade to it.
 *
 *      client: WebSocket with the sid, `2probe` --> `3probe`, its polls are let go --> `5` --> this is the transport
 *
 * Until the `5` messages go on by polling, and afterwards the queue goes on here where the last poll left off.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engineio/session_int.h"

static const uint8_t ping_frame[] = { 0x81, 0x01, EIO_PING };
static const uint8_t plain_ping_frame[] = { 0x89, 0x00 };
static const uint8_t probe_answer[] = { 0x81, 0x06, EIO_PONG, 'p', 'r', 'o', 'b', 'e' };

static void on_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct eio_session *s = ctx;
	struct eio_packet packet = { .type = EIO_MESSAGE, .binary = true, .data = data, .bytes = bytes };

	if (!binary && !eio_packet_decode(data, bytes, &packet))
		eio_session_bad_packet(s);
	else
		(void)eio_session_packet(s, &packet);
}

static void on_pong(void *ctx)
{
	(void)ctx; /* heartbeats are Engine.IO's own */
}

/* Plain WebSockets: messages as they are, and the protocol's heartbeats. */

static void on_plain_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct eio_packet packet = { .type = EIO_MESSAGE, .binary = binary, .data = data, .bytes = bytes };

	((struct eio_session *)ctx)->heard = true;
	(void)eio_session_packet(ctx, &packet);
}

static void on_plain_pong(void *ctx)
{
	const struct eio_session *s = ctx;

	if (s->awaiting_pong) /* else it would put its pings off for ever, and what is looked at then */
		(void)eio_session_packet(ctx, &(struct eio_packet){ .type = EIO_PONG });
}

static void on_gather(void *ctx, struct net_gather *g)
{
	const struct eio_session *s = ctx;

	eio_queue_gather(&s->queue, g);
}

static bool on_waits(void *ctx)
{
	const struct eio_session *s = ctx;

	return s->queue.count > 0;
}

static bool on_mid_frame(void *ctx)
{
	const struct eio_session *s = ctx;

	return s->queue.sent > 0;
}

static void on_sent(void *ctx, size_t bytes)
{
	struct eio_session *s = ctx;

	eio_queue_sent(&s->queue, &s->at->rings, bytes);
	eio_session_sent(s);
}

static void on_closed(void *ctx, uint16_t code, bool fault)
{
	struct eio_session *s = ctx;

	if (s->state == EIO_STATE_OPEN) {
		const struct eio_events *events = s->at->server->events;
		void *above = s->ctx;

		s->state = EIO_STATE_CLOSING;
		s->close_code = code;
		if (fault)
			eio_count(&s->at->counts.transport_errors);
		events->closed(above, fault ? EIO_TRANSPORT_ERROR : EIO_TRANSPORT_CLOSE);
	}
	s->ws = NULL;
	eio_session_free(s);
}

static const struct ws_conn_ops session_ops = {
	.message = on_message,
	.pong = on_pong,
	.gather = on_gather,
	.waits = on_waits,
	.mid_frame = on_mid_frame,
	.sent = on_sent,
	.closed = on_closed,
};

static const struct ws_conn_ops plain_ops = {
	.message = on_plain_message,
	.pong = on_plain_pong,
	.gather = on_gather,
	.waits = on_waits,
	.mid_frame = on_mid_frame,
	.sent = on_sent,
	.closed = on_closed,
};

static struct ws_conn *accept_ws(struct eio_loop *at, struct http_exchange *x, const struct http_head *head,
	const struct eio_headers *headers, const struct ws_conn_ops *ops, void *ctx)
{
	const struct eio_options *o = &at->server->options;

	return ws_conn_accept(x, head, headers->list, headers->count, o->message_bytes_max,
		o->plain == NULL ? 0 : o->plain->fragments_max, ops, ctx);
}

/* As npm's ws has it where the application does not choose: the first that is offered. */
void eio_ws_headers(const struct http_head *head, struct eio_headers *headers)
{
	struct str list = http_head_get(head, STR("sec-websocket-protocol")), protocol;

	if (http_list_next(&list, &protocol) && protocol.bytes <= EIO_PROTOCOL_BYTES_MAX &&
		http_is_token(protocol))
		headers->list[headers->count++] =
			(struct http_header){ .name = STR("Sec-WebSocket-Protocol"), .value = protocol };
}

bool eio_ws_attach(struct eio_session *s, struct http_exchange *x, const struct http_head *head,
	const struct eio_headers *headers)
{
	uint8_t frame[WS_HEADER_BYTES_MAX + EIO_OPEN_PACKET_BYTES_MAX];
	char text[EIO_OPEN_PACKET_BYTES_MAX];

	bool plain = s->at->server->options.plain != NULL;

	s->ws = accept_ws(s->at, x, head, headers, plain ? &plain_ops : &session_ops, s);
	if (s->ws == NULL || plain)
		return s->ws != NULL;
	size_t bytes = eio_open_packet(s, text, sizeof(text));
	size_t at = ws_frame_header_encode(frame, WS_OP_TEXT, true, bytes);
	memcpy(frame + at, text, bytes);
	if (!ws_conn_send_urgent(s->ws, frame, at + bytes))
		eio_fail(s); /* without its id it would be mute */
	return true;
}

void eio_ws_ping(struct eio_session *s)
{
	/* A ping that finds no room is missed, and the session with it: the peer reads nothing. */
	if (s->at->server->options.plain != NULL)
		(void)ws_conn_send_urgent(s->ws, plain_ping_frame, sizeof(plain_ping_frame));
	else
		(void)ws_conn_send_urgent(s->ws, ping_frame, sizeof(ping_frame));
}

/* The probe: a WebSocket that is not yet, or will never be, the transport. */

/* Of a message that came with the 5. */
struct eio_behind {
	size_t bytes;
	bool binary;
};

static void free_probe(struct eio_probe *p)
{
	buf_finish(&p->behind);
	free(p);
}

/* No longer the session's; its memory goes when its WebSocket has closed. */
static void let_go(struct eio_probe *p)
{
	if (p->session != NULL) {
		p->session->probe = NULL;
		p->session->noop_due = false;
	}
	p->session = NULL;
	net_delay_stop(&p->deadline);
}

/* It has ended since its client stopped to poll: it gets what waits for it, and hears of the end. */
static void take_over_closing(struct eio_session *s, struct ws_conn *ws)
{
	s->close_due = false;
	net_delay_start(&s->beat, &s->at->closings, s->at->loop);
	ws_conn_close(ws, s->close_code);
}

/* What had come with the 5. */
static void hear_behind(struct eio_session *s, struct buf *behind)
{
	struct eio_behind b;

	for (size_t at = 0; at < behind->bytes && s->state == EIO_STATE_OPEN; at += b.bytes) {
		memcpy(&b, behind->data + at, sizeof(b));
		at += sizeof(b);
		on_message(s, b.binary, behind->data + at, b.bytes);
	}
	buf_finish(behind);
}

static void take_over(struct eio_probe *p)
{
	struct eio_session *s = p->session;
	struct ws_conn *ws = p->ws;
	struct buf behind = p->behind;

	if (s->doubt != NULL &&
		s->doubt->told_close) { /* by a poll, if it arrives: then it does not go on here */
		let_go(p);
		ws_conn_close(ws, WS_CLOSE_NONE);
		return;
	}
	let_go(p);
	free(p);
	net_conn_resume(ws_conn_net(ws));
	eio_poll_settle(s);
	eio_poll_release(s, EIO_NOOP);
	s->ws = ws;
	s->ping_due = false;
	ws_conn_set_ops(ws, &session_ops, s);
	eio_count(&s->at->counts.upgraded);
	if (s->queue.count > 0)
		ws_conn_want_send(ws);
	if (s->state == EIO_STATE_CLOSING) {
		buf_finish(&behind);
		take_over_closing(s, ws);
		return;
	}
	if (s->awaiting_pong)
		eio_session_ask(s); /* the poll that was to carry the ping may never have come */
	if (s->is_lagging)
		eio_session_hold(s); /* as a WebSocket does that lags */
	eio_throttle_upgraded(s);
	hear_behind(s, &behind);
}

/* 5 has come, and what was posted before comes before what it says here: that is not read, and has no deadline but the POST's. */
static void wait_for_post(struct eio_probe *p)
{
	p->upgrading = true;
	net_delay_stop(&p->deadline);
	net_conn_pause(ws_conn_net(p->ws));
}

/* What has been read: of a connection that was handed over, no more than HTTP reads ahead. */
static void keep_behind(struct eio_probe *p, bool binary, const uint8_t *data, size_t bytes)
{
	struct eio_behind b = { .bytes = bytes, .binary = binary };

	if (buf_append(&p->behind, &b, sizeof(b)) && buf_append(&p->behind, data, bytes))
		return;
	let_go(p);
	ws_conn_close(p->ws, WS_CLOSE_TRY_LATER);
}

static void answer_probe(struct eio_probe *p)
{
	struct eio_session *s = p->session;

	p->answered = true;
	(void)ws_conn_send_urgent(p->ws, probe_answer, sizeof(probe_answer));
	s->noop_due = true;
	net_defer(s->at->loop, &s->task);
	/* From now on it is the client's turn, however long a POST has kept it waiting. */
	net_delay_start(&p->deadline, &s->at->upgrades, s->at->loop);
}

/* Once it is answered its client polls no more: so not while a POST may have to wait for it to poll. */
void eio_probe_go_on(struct eio_session *s)
{
	struct eio_probe *p = s->probe;

	if (p == NULL || !p->probed || s->post != NULL || s->rest != NULL)
		return;
	if (p->upgrading)
		take_over(p);
	else if (!p->answered)
		answer_probe(p);
}

static void probe_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct eio_probe *p = ctx;
	struct str text = str_of((const char *)data, bytes);
	struct eio_session *s = p->session;

	if (s == NULL)
		return; /* it is closing */
	if (p->upgrading) {
		keep_behind(p, binary, data, bytes);
	} else if (!binary && !p->probed && str_equal(text, STR("2probe"))) {
		p->probed = true;
		eio_probe_go_on(s);
	} else if (!binary && p->answered && str_equal(text, STR("5"))) {
		wait_for_post(p);
		eio_probe_go_on(s);
	} else {
		let_go(p);
		ws_conn_close(p->ws, WS_CLOSE_NONE);
	}
}

static void probe_pong(void *ctx)
{
	(void)ctx;
}

static void probe_gather(void *ctx, struct net_gather *g)
{
	(void)ctx;
	(void)g;
}

static bool probe_waits(void *ctx)
{
	(void)ctx;
	return false;
}

static bool probe_mid_frame(void *ctx)
{
	(void)ctx;
	return false;
}

static void probe_sent(void *ctx, size_t bytes)
{
	(void)ctx;
	(void)bytes;
}

static void probe_closed(void *ctx, uint16_t code, bool fault)
{
	struct eio_probe *p = ctx;

	(void)code;
	(void)fault;
	eio_count(&p->at->counts.not_upgraded);
	let_go(p);
	free_probe(p);
}

static const struct ws_conn_ops probe_ops = {
	.message = probe_message,
	.pong = probe_pong,
	.gather = probe_gather,
	.waits = probe_waits,
	.mid_frame = probe_mid_frame,
	.sent = probe_sent,
	.closed = probe_closed,
};

void eio_probe_late(struct net_delay *d, void *loop)
{
	struct eio_probe *p = list_entry(d, struct eio_probe, deadline);

	(void)loop;
	let_go(p);
	ws_conn_close(p->ws, WS_CLOSE_NONE);
}

void eio_probe_cancel(struct eio_session *s)
{
	struct eio_probe *p = s->probe;

	if (p == NULL)
		return;
	let_go(p);
	ws_conn_close(p->ws, WS_CLOSE_NONE);
}

bool eio_probe_tells(const struct eio_session *s, enum eio_reason reason)
{
	return s->probe != NULL && s->probe->answered &&
	       (reason == EIO_FORCED_CLOSE || reason == EIO_SHUTTING_DOWN);
}

/* A probe without a session is one that closes. */
static struct eio_probe *create_probe(
	struct eio_loop *at, struct http_exchange *x, const struct http_head *head)
{
	struct eio_probe *p = calloc(1, sizeof(*p));

	at->headers.count = 0;
	at->headers.bytes = 0;
	eio_ws_headers(head, &at->headers);
	if (p != NULL)
		p->ws = accept_ws(at, x, head, &at->headers, &probe_ops, p);
	if (p == NULL || p->ws == NULL) {
		free(p);
		eio_count(&at->counts.not_upgraded);
		http_answer_text(x, 503, true, STR(""));
		return NULL;
	}
	p->at = at;
	net_delay_init(&p->deadline);
	buf_init(&p->behind, EIO_BEHIND_BYTES_MAX);
	return p;
}

void eio_ws_probe(struct eio_session *s, struct http_exchange *x, const struct http_head *head)
{
	struct eio_loop *at = s->at;
	struct eio_probe *p = create_probe(at, x, head);

	assert(s->probe == NULL && s->ws == NULL);
	if (p == NULL)
		return;
	p->session = s;
	s->probe = p;
	net_delay_start(&p->deadline, &at->upgrades, at->loop);
}

void eio_ws_turn_away(struct eio_loop *at, struct http_exchange *x, const struct http_head *head)
{
	struct eio_probe *p = create_probe(at, x, head);

	if (p != NULL)
		ws_conn_close(p->ws, WS_CLOSE_NONE);
}
