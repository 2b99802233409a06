/*
 * engineio/polling.c -- the long-polling transport.
 *
 *      GET --> waiting --something to send--> answered, in doubt --its fate--> known
 *                                             the units it carries stay in the queue until then
 *
 * An answer whose connection broke is carried again by the next poll; one that arrived is dropped. What arrived is known
 * when the client asks again on that connection, or ends it in order. When it polls on another connection the kernel is
 * asked; if that does not know either, and it is not a matter of a delayed ACK, the new poll waits for a moment, and then the
 * old connection is cut.
 *
 * Proxies read an answer whole and reset the connection when they like. So what went whole to the kernel of a connection
 * that several sessions have used by turns has arrived; and what went to any other, if its next poll comes
 * mixed with requests of others. Else a reset means that the client has cut the answer short.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "engineio/session_int.h"
#include "engineio/unit.h"
#include "http/coding.h"

/* A connection's mark: some bits of the session that used it last, and above them how often that has changed. */
enum {
	MARK_BITS = 28,
	/* So many changes, and it is a proxy's: a client that reconnects may also go on with another session. */
	MARK_CHANGES_MAX = 4,
};
#define MARK_SESSION ((UINT32_C(1) << MARK_BITS) - 1)

/* The doubt is over. */
static void resolve(struct eio_session *s, bool arrived)
{
	struct eio_doubt *d = s->doubt;
	uint32_t units = d->units;

	s->doubt = NULL;
	net_delay_stop(&d->deadline);
	free(d);
	if (arrived) {
		eio_queue_drop(&s->queue, &s->at->rings, units);
		s->lost_poll = false;
		eio_session_sent(s);
	} else {
		s->ping_due = s->awaiting_pong;
		s->lost_poll = true;
	}
	net_defer(s->at->loop, &s->task);
}

static void on_gone(void *ctx)
{
	struct eio_session *s = ctx;

	s->poll = NULL;
}

static void settle(struct eio_session *s, bool arrived)
{
	assert(s->doubt != NULL);
	bool told = s->doubt->told_close;
	resolve(s, arrived);
	if (told && !arrived)
		s->close_due = true;
	else if (told)
		eio_session_free(s); /* it has got the close packet */
}

/* Its connection broke, with all of the answer sent or not. */
static void settle_broken(struct eio_session *s, bool sent, bool polls_again)
{
	struct eio_doubt *d = s->doubt;

	if (sent && !d->by_proxy && !polls_again) {
		d->exchange = NULL;
		net_delay_stop(&d->deadline);
	} else {
		settle(s, sent && (d->by_proxy || s->poll_mixed));
	}
}

static void on_fate(void *ctx, enum http_fate fate)
{
	struct eio_session *s = ctx;

	if (fate == HTTP_FATE_ARRIVED)
		settle(s, true);
	else
		settle_broken(s, fate == HTTP_FATE_RESET, s->poll != NULL);
}

static const struct http_watch_ops poll_ops = { .gone = on_gone, .fate = on_fate };

/* What the kernel says. False: it does not know either. */
static bool take_fate(struct eio_session *s, enum net_fate fate, bool polls_again)
{
	struct http_exchange *x = s->doubt->exchange;
	bool sent = http_exchange_sent(x);

	if (fate == NET_FATE_OPEN || fate == NET_FATE_ENDING)
		return false;
	http_unwatch(x);
	if (fate == NET_FATE_LOST)
		settle_broken(s, sent, polls_again);
	else
		settle(s, true);
	return true;
}

/*
 * It polls on another connection: true if it is known now what became of the last answer. A client that gave it up has
 * ended that connection before it asked anew; so if that stands, only the ACK is late.
 */
static bool ask_again(struct eio_session *s, struct http_exchange *other)
{
	struct http_exchange *x = s->doubt->exchange;

	if (x == NULL) {
		settle(s, s->poll_mixed);
		return true;
	}
	struct net_peer before = net_conn_peer(http_exchange_conn(x)),
			now = net_conn_peer(http_exchange_conn(other));
	uint64_t age_ns = net_loop_now_ns(s->at->loop) - s->doubt->answered_ns;
	enum net_fate fate = http_exchange_fate(x);
	if (take_fate(s, fate, true))
		return true;
	if (!http_exchange_sent(x) || fate == NET_FATE_ENDING ||
		age_ns > (uint64_t)EIO_ACK_DELAY_MS * CLOCK_NS_PER_MS ||
		memcmp(&before, &now, sizeof(now)) != 0)
		return false;
	http_unwatch(x);
	settle(s, true);
	return true;
}

/* It neither arrives nor breaks: cut it, and what it carried goes again. */
static void cut_doubt(struct eio_session *s)
{
	struct http_exchange *x = s->doubt->exchange;

	eio_count(&s->at->counts.polls_cut);
	http_unwatch(x);
	http_exchange_cut(x);
	settle(s, false);
}

void eio_doubt_over(struct net_delay *deadline, void *loop)
{
	struct eio_session *s = list_entry(deadline, struct eio_doubt, deadline)->session;
	struct eio_loop *at = loop;

	if (take_fate(s, http_exchange_fate(s->doubt->exchange), s->poll != NULL))
		return;
	if (s->poll == NULL)
		net_delay_start(&s->doubt->deadline, &at->settlings, at->loop);
	else if (++s->doubt->asked < EIO_DOUBT_MS / EIO_DOUBT_STEP_MS)
		net_delay_start(&s->doubt->deadline, &at->doubts, at->loop);
	else
		cut_doubt(s);
}

void eio_poll_settle(struct eio_session *s)
{
	struct http_exchange *x;

	if (s->doubt == NULL)
		return;
	x = s->doubt->exchange;
	/* A client waits for its last poll before it goes on by another transport: what is under way will arrive. */
	enum net_fate fate = x == NULL ? NET_FATE_ENDED : http_exchange_fate(x);
	bool breaks = fate == NET_FATE_LOST || fate == NET_FATE_ENDING;
	bool arrived = x == NULL || http_exchange_sent(x) || !breaks;
	if (x != NULL)
		http_unwatch(x);
	settle(s, arrived);
}

void eio_poll_cut(struct eio_session *s)
{
	struct http_exchange *x = s->doubt == NULL ? NULL : s->doubt->exchange;

	if (x == NULL || http_exchange_sent(x))
		return;
	http_unwatch(x);
	http_exchange_cut(x);
	s->doubt->exchange = NULL;
	net_delay_stop(&s->doubt->deadline);
}

void eio_polls_forget(struct eio_session *s)
{
	if (s->poll != NULL)
		http_unwatch(s->poll);
	eio_post_forget(s);
	if (s->doubt != NULL) {
		if (s->doubt->exchange != NULL)
			http_unwatch(s->doubt->exchange);
		net_delay_stop(&s->doubt->deadline);
		free(s->doubt);
	}
	s->poll = NULL;
	s->doubt = NULL;
}

static const struct http_response poll_response = {
	.status = 200,
	.content_type = { .s = "text/plain; charset=UTF-8", .bytes = 25 },
	.cache_control = { .s = "no-store", .bytes = 8 },
};

static void give(struct http_exchange *x, const struct eio_answer *a)
{
	struct http_response r = poll_response;
	struct http_header header = { .name = STR("Content-Encoding") };

	if (a->coding != HTTP_CODING_IDENTITY) {
		header.value = http_coding_name(a->coding);
		r.headers = &header;
		r.header_count = 1;
	}
	http_answer_shared(x, &r, a->body);
	http_shared_unref(a->body);
}

/* The session cannot go on; its client is told by a close packet, or by the end of the connection. */
static void no_memory(struct eio_session *s)
{
	if (s->state == EIO_STATE_OPEN)
		eio_fail(s);
	else
		eio_session_free(s);
}

void eio_poll_answer(struct eio_session *s)
{
	struct eio_doubt *d;
	struct eio_answer answer;

	if (s->poll == NULL || s->doubt != NULL)
		return;
	if (s->queue.count == 0 && !s->ping_due && !s->noop_due && !s->close_due)
		return;
	bool closing = s->close_due;
	d = calloc(1, sizeof(*d));
	if (d == NULL || !eio_answer_make(s, &answer)) {
		free(d);
		no_memory(s);
		return;
	}
	*d = (struct eio_doubt){
		.session = s,
		.exchange = s->poll,
		.units = answer.units,
		.told_close = closing && !s->close_due,
		.by_proxy = *http_exchange_mark(s->poll) >> MARK_BITS >= MARK_CHANGES_MAX,
		.answered_ns = net_loop_now_ns(s->at->loop),
	};
	net_delay_init(&d->deadline);
	net_delay_start(&d->deadline, &s->at->settlings, s->at->loop);
	s->doubt = d;
	s->poll = NULL;
	s->ping_due = false;
	if (s->probe == NULL)
		s->noop_due = false; /* while upgrading, each poll is let go */
	give(d->exchange, &answer);
}

void eio_poll_release(struct eio_session *s, enum eio_type packet)
{
	uint8_t byte = (uint8_t)packet;
	struct http_exchange *x = s->poll;

	if (x == NULL)
		return;
	http_unwatch(x);
	s->poll = NULL;
	http_answer(x, &poll_response, &byte, 1);
}

static void answer_bare(struct http_exchange *x, uint16_t status)
{
	http_answer(x, &(struct http_response){ .status = status }, NULL, 0);
}

static void serve_get(struct eio_session *s, struct http_exchange *x, const struct http_head *head)
{
	if (s->poll != NULL && http_exchange_fate(s->poll) != NET_FATE_ACKED) {
		/* Its client has closed it; the news is still under way. */
		struct http_exchange *old = s->poll;
		http_unwatch(old);
		s->poll = NULL;
		http_exchange_cut(old);
	}
	if (s->poll != NULL) {
		eio_session_end(s, EIO_TRANSPORT_ERROR);
		answer_bare(x, 400);
		return;
	}
	if (s->doubt != NULL && !ask_again(s, x))
		net_delay_start(&s->doubt->deadline, &s->at->doubts, s->at->loop);
	if (s->state == EIO_STATE_GONE) { /* it had been told */
		eio_refuse(s->at, x, head, EIO_UNKNOWN_SID);
		return;
	}
	if (s->rest != NULL && s->awaiting_pong)
		eio_session_alive(s); /* its pong has to wait until it has our answer to what it posted */
	s->poll = x;
	s->poll_coding = http_coding_best(head);
	http_watch(x, &poll_ops, s);
	if (s->state == EIO_STATE_CLOSING && s->queue.count == 0)
		s->close_due = true; /* it asks again, so it has not heard */
	net_defer(s->at->loop, &s->task);
	if (!s->overflowed)
		eio_poll_answer(s); /* at once: who ends its side behind its poll gets what waits */
}

/* Note whose request this is. True: the one before it on this connection was another's. */
static bool mark(struct http_exchange *x, const struct eio_session *s)
{
	uint32_t *kept = http_exchange_mark(x), mine, changes = *kept >> MARK_BITS;
	bool mixed;

	memcpy(&mine, s->random, sizeof(mine));
	mine = (mine | 1) & MARK_SESSION;
	mixed = *kept != 0 && (*kept & MARK_SESSION) != mine;
	if (mixed && changes < MARK_CHANGES_MAX)
		changes++;
	*kept = changes << MARK_BITS | mine;
	return mixed;
}

void eio_poll_serve(struct eio_session *s, struct http_exchange *x, const struct http_request *request)
{
	bool mixed = mark(x, s);
	if (request->head->method == HTTP_GET) {
		s->poll_mixed = mixed;
		serve_get(s, x, request->head);
	} else {
		eio_post_serve(s, x, request);
	}
}
