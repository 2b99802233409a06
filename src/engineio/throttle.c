/*
 * engineio/throttle.c -- how fast clients may send, and come: token buckets of sessions and addresses (base/bucket.h).
 *
 * Who sends faster than it may is read more slowly: what has come with the message that was too many is handled, then its WebSocket is
 * not read, and its POSTs wait, until it has paid. Nothing is lost, and heartbeats wait meanwhile: its pongs cannot be heard. An address pays
 * for all its sessions, each by itself; who comes too often is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "engineio/session_int.h"
#include "net/address.h"

enum {
	KIND_MESSAGES,
	KIND_SESSIONS,
	NS_PER_US = 1000,
	US_PER_S = 1000000,
};

struct eio_throttle {
	uint64_t full_us; /* its own bucket */
	uint64_t until_ns; /* not read until then */
	bool on;
	struct net_delay step;
	struct eio_session *session;
};

static struct bucket_rate rate_of(struct eio_rate rate)
{
	return bucket_rate(rate.per_s, 1, rate.burst == 0 ? rate.per_s : rate.burst);
}

bool eio_throttles_create(struct eio_server *server)
{
	const struct eio_rates *r = &server->options.rates;

	server->messages = rate_of(r->messages);
	server->messages.debt_us = (uint64_t)EIO_DEBT_S * US_PER_S; /* nobody else pays it */
	server->address_messages = rate_of(r->address_messages);
	server->address_sessions = rate_of(r->address_sessions);
	if (r->address_messages.per_s == 0 && r->address_sessions.per_s == 0)
		return true;
	server->buckets = buckets_create();
	return server->buckets != NULL;
}

static bool is_exempt(const struct eio_server *server, const struct net_peer *peer)
{
	return server->buckets == NULL || (!server->limit_loopback && net_peer_is_loopback(peer));
}

/* Of an address; as much of it as one host has. */
static uint64_t key_of(const struct net_peer *peer)
{
	struct net_peer counted = net_peer_counted(peer);
	uint64_t halves[2];

	memcpy(halves, counted.bytes, sizeof(halves));
	return halves[0] * UINT64_C(0x9e3779b97f4a7c15) ^ halves[1];
}

bool eio_may_come(struct eio_loop *at, const struct net_peer *peer, uint32_t *ret_retry_s)
{
	struct eio_server *server = at->server;
	uint64_t retry_us;

	if (is_exempt(server, peer) || buckets_take(server->buckets, &server->address_sessions, KIND_SESSIONS,
					       key_of(peer), 1, clock_now_ns(), &retry_us))
		return true;
	eio_count(&at->counts.too_fast);
	*ret_retry_s = (uint32_t)((retry_us + US_PER_S - 1) / US_PER_S);
	return false;
}

bool eio_throttle_create(struct eio_session *s)
{
	const struct eio_server *server = s->at->server;

	if (server->messages.step_us == 0 && server->address_messages.step_us == 0)
		return true;
	s->throttle = calloc(1, sizeof(*s->throttle));
	if (s->throttle == NULL)
		return false;
	s->throttle->session = s;
	net_delay_init(&s->throttle->step);
	return true;
}

void eio_throttle_destroy(struct eio_session *s)
{
	if (s->throttle == NULL)
		return;
	net_delay_stop(&s->throttle->step);
	free(s->throttle);
	s->throttle = NULL;
}

bool eio_is_throttled(const struct eio_session *s)
{
	return s->throttle != NULL && s->throttle->on;
}

bool eio_session_waits(const struct eio_session *s)
{
	return eio_is_throttled(s) || s->held || s->rest != NULL;
}

void eio_throttle_step(struct net_delay *delay, void *loop)
{
	struct eio_throttle *t = list_entry(delay, struct eio_throttle, step);
	struct eio_session *s = t->session;
	struct eio_loop *at = loop;

	if (net_loop_now_ns(at->loop) < t->until_ns) {
		net_delay_start(&t->step, &at->throttles, at->loop);
		return;
	}
	t->on = false;
	s->heard = true; /* what is under way could not come */
	if (s->ws != NULL && !s->held)
		net_conn_resume(ws_conn_net(s->ws));
	eio_post_unpaused(s);
}

void eio_throttle_message(struct eio_session *s)
{
	struct eio_loop *at = s->at;
	struct eio_server *server = at->server;
	struct eio_throttle *t = s->throttle;
	uint64_t now_ns = net_loop_now_ns(at->loop), wait_us = 0, address_us = 0;

	if (server->messages.step_us > 0)
		wait_us = bucket_charge(&server->messages, &t->full_us, now_ns / NS_PER_US);
	if (!is_exempt(server, &s->peer))
		address_us = buckets_charge(server->buckets, &server->address_messages, KIND_MESSAGES,
			key_of(&s->peer), clock_now_ns());
	if (address_us > wait_us)
		wait_us = address_us;
	if (wait_us == 0)
		return;
	if (t->until_ns < now_ns + wait_us * NS_PER_US)
		t->until_ns = now_ns + wait_us * NS_PER_US;
	if (t->on)
		return;
	t->on = true;
	eio_count(&at->counts.throttled);
	net_delay_start(&t->step, &at->throttles, at->loop);
	if (s->ws != NULL)
		net_conn_pause(ws_conn_net(s->ws));
	if (s->awaiting_pong && s->ws != NULL)
		eio_session_alive(s); /* it may be in what is not read now; of a POST, post.c sees to that */
}

void eio_throttle_upgraded(struct eio_session *s)
{
	if (!eio_is_throttled(s))
		return;
	net_conn_pause(ws_conn_net(s->ws));
	if (s->awaiting_pong)
		eio_session_alive(s); /* it cannot be heard */
}
