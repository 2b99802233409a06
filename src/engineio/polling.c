/*
 * engineio/polling.c -- the long-polling transport.
 *
 *      GET --> WAITING --something to send--> answered: IN_DOUBT --its fate--> NONE
 *                                             the units it carries stay in the queue until then
 *
 * An answer whose connection broke is carried again by the next poll; one that arrived is dropped. What arrived is known
 * when the client asks again on that connection, or ends it in order; a poll on another connection asks the kernel.
 */
#include "base/assert.h"
#include "engineio/session_int.h"
#include "engineio/unit.h"
#include "http/coding.h"

static void poll_over(struct eio_session *s, bool arrived)
{
	uint32_t units = s->poll_units;

	assert(s->poll_state == EIO_POLL_IN_DOUBT);
	s->poll = NULL;
	s->poll_state = EIO_POLL_NONE;
	s->poll_units = 0;
	if (!arrived) {
		s->ping_due = s->awaiting_pong;
		return; /* while closing: the next poll, or the deadline */
	}
	eio_queue_drop(&s->queue, units);
	eio_session_sent(s);
}

static void on_gone(void *ctx)
{
	struct eio_session *s = ctx;

	assert(s->poll_state == EIO_POLL_WAITING);
	s->poll = NULL;
	s->poll_state = EIO_POLL_NONE;
}

static void on_fate(void *ctx, bool arrived)
{
	struct eio_session *s = ctx;

	poll_over(s, arrived);
	if (s->state == EIO_STATE_CLOSING && arrived && !s->close_due)
		eio_session_free(s); /* it has got the close packet */
}

static const struct http_watch_ops poll_ops = { .gone = on_gone, .fate = on_fate };

static void post_gone(void *ctx)
{
	struct eio_session *s = ctx;

	s->post = NULL;
}

static void post_fate(void *ctx, bool arrived)
{
	(void)arrived;
	post_gone(ctx);
}

static const struct http_watch_ops post_ops = { .gone = post_gone, .fate = post_fate };

void eio_poll_settle(struct eio_session *s)
{
	if (s->poll_state != EIO_POLL_IN_DOUBT)
		return;
	bool alive = http_exchange_alive(s->poll);
	http_unwatch(s->poll);
	poll_over(s, alive);
}

static const struct http_response poll_response = {
	.status = 200,
	.content_type = { .s = "text/plain; charset=UTF-8", .bytes = 25 },
	.cache_control = { .s = "no-store", .bytes = 8 },
};

/* A packet without data. */
static bool append_packet(struct buf *body, enum eio_type type)
{
	uint8_t separator = EIO_SEPARATOR, byte = (uint8_t)type;

	return (body->bytes == 0 || buf_append(body, &separator, 1)) && buf_append(body, &byte, 1);
}

/* What is due, as far as one body may carry it. False: no memory. */
static bool make_body(struct eio_session *s, struct buf *body, uint32_t *ret_units)
{
	uint32_t packets = s->ping_due, units = 0;

	if (s->ping_due && !append_packet(body, EIO_PING))
		return false;
	for (; units < s->queue.count; units++) {
		struct blob_share *unit = eio_queue_at(&s->queue, units);

		packets += eio_unit_packets(unit);
		if (units > 0 && packets > EIO_POLL_PACKETS_MAX)
			break;
		if (!eio_unit_append_polling(unit, body))
			return false;
	}
	*ret_units = units;
	if (s->noop_due && body->bytes == 0 && !append_packet(body, EIO_NOOP))
		return false;
	/* Alone: a client's upper layer has not heard what came before it in the same body. */
	if (s->close_due && body->bytes == 0) {
		s->close_due = false;
		return append_packet(body, EIO_CLOSE);
	}
	return true;
}

/* Compressed where that is worth it. */
static void answer_body(struct http_exchange *x, enum http_coding coding, struct buf *body)
{
	struct http_response r = poll_response;
	struct http_header header = { .name = STR("Content-Encoding") };

	if (coding != HTTP_CODING_IDENTITY && body->bytes >= HTTP_COMPRESS_BYTES_MIN &&
		http_compress(coding, body)) {
		header.value = http_coding_name(coding);
		r.headers = &header;
		r.header_count = 1;
	}
	http_answer_buf(x, &r, body);
}

void eio_poll_answer(struct eio_session *s)
{
	struct buf body;
	uint32_t units = 0;

	if (s->poll_state != EIO_POLL_WAITING)
		return;
	if (s->queue.count == 0 && !s->ping_due && !s->noop_due && !s->close_due)
		return;
	buf_init(&body, BLOB_BYTES_MAX);
	if (!make_body(s, &body, &units)) {
		buf_finish(&body);
		s->overflowed = true;
		net_defer(s->at->loop, &s->task);
		return;
	}
	s->poll_state = EIO_POLL_IN_DOUBT;
	s->poll_units = units;
	s->ping_due = false;
	if (s->probe == NULL)
		s->noop_due = false; /* while upgrading, each poll is let go */
	answer_body(s->poll, (enum http_coding)s->poll_coding, &body);
}

void eio_poll_release(struct eio_session *s, enum eio_type packet)
{
	uint8_t byte = (uint8_t)packet;

	if (s->poll_state != EIO_POLL_WAITING)
		return;
	struct http_exchange *x = s->poll;
	http_unwatch(x);
	s->poll = NULL;
	s->poll_state = EIO_POLL_NONE;
	http_answer(x, &poll_response, &byte, 1);
}

static void answer_bare(struct http_exchange *x, uint16_t status)
{
	http_answer(x, &(struct http_response){ .status = status }, NULL, 0);
}

static void serve_get(struct eio_session *s, struct http_exchange *x, const struct http_head *head)
{
	if (s->poll_state == EIO_POLL_WAITING && !http_exchange_alive(s->poll)) {
		/* Its client has closed it; the news is still under way. */
		struct http_exchange *old = s->poll;
		http_unwatch(old);
		s->poll = NULL;
		s->poll_state = EIO_POLL_NONE;
		http_exchange_close_after(old);
		answer_bare(old, 400);
	}
	if (s->poll_state == EIO_POLL_WAITING) {
		eio_session_end(s, EIO_TRANSPORT_ERROR);
		answer_bare(x, 400);
		return;
	}
	eio_poll_settle(s);
	if (s->state == EIO_STATE_CLOSING && s->queue.count == 0)
		s->close_due = true; /* it asks again, so it has not heard */
	s->poll = x;
	s->poll_state = EIO_POLL_WAITING;
	s->poll_coding = (uint8_t)http_coding_best(head);
	http_watch(x, &poll_ops, s);
	net_defer(s->at->loop, &s->task);
}

static void serve_post(struct eio_session *s, struct http_exchange *x, const struct http_request *request)
{
	struct eio_payload payload = { .data = request->body, .bytes = request->body_bytes };
	struct eio_packet packet;
	enum eio_payload_next got = EIO_PAYLOAD_END;

	if (s->post == x) {
		http_unwatch(x);
		s->post = NULL;
	}
	bool octets = str_equal_nocase(
		http_head_get(request->head, STR("content-type")), STR("application/octet-stream"));
	if (s->post != NULL || octets) {
		eio_session_end(s, EIO_TRANSPORT_ERROR);
		answer_bare(x, 400);
		return;
	}
	while (s->state == EIO_STATE_OPEN) {
		got = eio_payload_next(&payload, &packet);
		if (got != EIO_PAYLOAD_PACKET || !eio_session_packet(s, &packet))
			break;
	}
	if (got == EIO_PAYLOAD_BAD)
		eio_session_bad_packet(s);
	http_answer(x,
		&(struct http_response){
			.status = 200, .content_type = STR("text/html"), .cache_control = STR("no-store") },
		"ok", 2);
}

void eio_poll_serve(struct eio_session *s, struct http_exchange *x, const struct http_request *request)
{
	if (request->head->method == HTTP_GET)
		serve_get(s, x, request->head);
	else
		serve_post(s, x, request);
}

bool eio_post_begin(struct eio_session *s, struct http_exchange *x)
{
	if (s->post != NULL) {
		eio_session_end(s, EIO_TRANSPORT_ERROR);
		return false;
	}
	s->post = x;
	http_watch(x, &post_ops, s);
	return true;
}
