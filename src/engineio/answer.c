/*
 * engineio/answer.c -- what a poll is answered: made once for all who get the same.
 *
 *      broadcast --> N queues [unit] --> the first poll: body --+--> its answer, and N-1 others'
 *                                                               `--> at->answers, until the iteration's tasks have run
 *
 * A body is the polling form of its units, maybe compressed. It counts as what waits while some answer has not sent all of it.
 */
#include <stdlib.h>

#include "engineio/session_int.h"
#include "engineio/unit.h"
#include "http/coding.h"

void eio_answer_forget(struct net_task *task)
{
	struct eio_answer_kept *k = list_entry(task, struct eio_answer_kept, forget);

	for (uint32_t i = 0; i < k->units; i++)
		blob_unref(k->of[i]);
	k->units = 0;
	if (k->body != NULL)
		http_shared_unref(k->body);
	k->body = NULL;
}

/* It is as the last one's: the same units, and nothing else. */
static bool is_as_kept(const struct eio_session *s, const struct eio_answer_kept *k)
{
	if (k->body == NULL || s->ping_due || s->queue.count != k->units || s->lost_poll != k->was_lost)
		return false;
	for (uint32_t i = 0; i < k->units; i++) {
		if (eio_queue_at(&s->queue, i) != k->of[i])
			return false;
	}
	return true;
}

/* It is all that waits, and others on this loop wait for the same. */
static void keep(const struct eio_session *s, const struct eio_answer *a)
{
	struct eio_answer_kept *k = &s->at->answers[s->poll_coding];

	if (s->ping_due || a->units == 0 || a->units != s->queue.count || a->units > EIO_ANSWER_UNITS ||
		eio_queue_at(&s->queue, 0)->refs == 1)
		return;
	eio_answer_forget(&k->forget);
	http_shared_ref(a->body);
	k->body = a->body;
	k->coding = a->coding;
	k->was_lost = s->lost_poll;
	for (; k->units < a->units; k->units++)
		k->of[k->units] = blob_ref(eio_queue_at(&s->queue, k->units));
	net_defer(s->at->loop, &k->forget);
}

/* A packet without data. */
static bool append_packet(struct buf *body, enum eio_type type)
{
	uint8_t separator = EIO_SEPARATOR, byte = (uint8_t)type;

	return (body->bytes == 0 || buf_append(body, &separator, 1)) && buf_append(body, &byte, 1);
}

/* What is due, as far as one body may carry it; whether any of it is better compressed. False: no memory. */
static bool make_body(struct eio_session *s, struct buf *body, uint32_t *ret_units, bool *ret_compress)
{
	uint32_t packets = s->ping_due, units = 0;

	if (s->ping_due && !append_packet(body, EIO_PING))
		return false;
	for (; units < s->queue.count; units++) {
		struct blob_share *unit = eio_queue_at(&s->queue, units);

		packets += eio_unit_packets(unit);
		if (units > 0 &&
			(packets > EIO_POLL_PACKETS_MAX || body->bytes + unit->bytes > EIO_POLL_BYTES_MAX))
			break;
		if (!eio_unit_append_polling(unit, body))
			return false;
		*ret_compress |= (blob_tag(unit) & EIO_UNIT_UNCOMPRESSED) == 0;
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

bool eio_answer_make(struct eio_session *s, struct eio_answer *ret)
{
	const struct eio_answer_kept *k = &s->at->answers[s->poll_coding];
	struct buf body;
	bool compress = false;

	if (is_as_kept(s, k)) {
		http_shared_ref(k->body);
		*ret = (struct eio_answer){ .body = k->body, .units = k->units, .coding = k->coding };
		return true;
	}
	*ret = (struct eio_answer){ .coding = HTTP_CODING_IDENTITY };
	buf_init(&body, BLOB_BYTES_MAX);
	if (!make_body(s, &body, &ret->units, &compress)) {
		buf_finish(&body);
		return false;
	}
	/* Compressed where that is worth it. */
	if (s->poll_coding != HTTP_CODING_IDENTITY && compress && !s->lost_poll &&
		body.bytes >= HTTP_COMPRESS_BYTES_MIN && body.bytes <= EIO_COMPRESS_BYTES_MAX &&
		http_compress(s->poll_coding, &body))
		ret->coding = s->poll_coding;
	ret->body = http_shared_create(&body);
	if (ret->body == NULL) {
		buf_finish(&body);
		return false;
	}
	keep(s, ret);
	return true;
}
