/*
 * socketio/expiry.c -- a deadline for a socket's authentication: see sio_set_expiry().
 *
 *      set --after_ms--> "expired" is called --grace_ms--> sent away
 *       ^                     |
 *       `---- set again ------'
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "socketio/server_int.h"

struct sio_expiry {
	struct net_timer timer;
	struct sio_socket *socket;
	uint32_t grace_ms;
	bool told;
};

static void send_away(struct sio_socket *s)
{
	sio_count(&s->client->at->counts.expired, !s->takes_client); /* else it goes with all of its client */
	sio_send_away_saying(s, "authentication expired");
}

static void over(struct net_timer *t)
{
	struct sio_expiry *e = list_entry(t, struct sio_expiry, timer);
	struct sio_socket *s = e->socket;

	assert(s->session != NULL && s->expiry == e);
	if (e->told) {
		send_away(s);
		return;
	}
	e->told = true;
	/* Set again before the handler is called, which may set it anew. */
	if (!net_timer_start(&e->timer, s->client->at->loop, e->grace_ms)) {
		send_away(s);
		return;
	}
	if (sio_is_heard(s))
		sio_call_own(s, SIO_ON_EXPIRED, STR(""), STR(""));
}

void sio_expiry_end(struct sio_socket *s)
{
	if (s->expiry == NULL)
		return;
	net_timer_stop(&s->expiry->timer, s->client->at->loop);
	free(s->expiry);
	s->expiry = NULL;
}

bool sio_expiry_left(const struct sio_socket *s, uint32_t *ret_ms, uint32_t *ret_grace_ms, bool *ret_told)
{
	const struct sio_expiry *e = s->expiry;

	if (e == NULL)
		return false;
	uint64_t now_ns = net_loop_now_ns(s->client->at->loop);
	*ret_ms = e->timer.due_ns > now_ns ? (uint32_t)((e->timer.due_ns - now_ns) / CLOCK_NS_PER_MS) : 0;
	*ret_grace_ms = e->grace_ms;
	*ret_told = e->told;
	return true;
}

int sio_set_expiry(struct sio_socket *s, uint32_t after_ms, uint32_t grace_ms)
{
	if (s->session == NULL)
		return s->reason == NULL ? -EINVAL : 0; /* not joined yet; or gone */
	if (after_ms == 0) {
		sio_expiry_end(s);
		return 0;
	}
	struct sio_expiry *e = s->expiry;
	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL)
			return -ENOMEM;
		e->socket = s;
		net_timer_init(&e->timer, over);
	}
	/* One that runs is moved, for which no memory is wanted. */
	if (!net_timer_start(&e->timer, s->client->at->loop, after_ms)) {
		if (s->expiry == NULL)
			free(e);
		return -ENOMEM;
	}
	e->grace_ms = grace_ms;
	e->told = false;
	s->expiry = e;
	return 0;
}
