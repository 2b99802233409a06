/* app/peer.c -- see app/peer.h. */
#include "app/peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/live.h"
#include "app/log.h"
#include "base/assert.h"
#include "base/clock.h"

enum { REASON_BYTES = 64, COUNT_BYTES = 16 };

struct peer *peer_create(struct app *app, const struct sio_socket *socket)
{
	struct caller *caller = sio_connection_data(socket);
	struct peer *p = caller == NULL ? NULL : calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	atomic_init(&p->refs, 1);
	p->app = app;
	p->caller = caller;
	caller_ref(caller);
	p->space = sio_space_of(socket);
	p->id = sio_id(socket);
	/* Until there is a user: a number that no user has. */
	p->limit_key = UINT64_C(1) << 63 | caller->number;
	list_init(&p->waiting);
	return p;
}

void peer_ref(struct peer *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void peer_unref(struct peer *p)
{
	if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	assert(list_empty(&p->waiting));
	caller_unref(p->caller);
	free(p);
}

void peer_gone(void *peer)
{
	peer_unref(peer);
}

enum peer_state peer_state(const struct peer *p)
{
	return atomic_load_explicit(&p->state, memory_order_relaxed);
}

/* They are told of when somebody else comes who is logged, or at the end. */
void peer_log_unlogged(struct app *app)
{
	char count[COUNT_BYTES];
	unsigned unlogged = atomic_exchange_explicit(&app->unlogged, 0, memory_order_relaxed);

	if (unlogged == 0)
		return;
	snprintf(count, sizeof(count), "%u", unlogged);
	log_event(LOG_INFO, "not_logged", "sockets", count, "why", "an address has more than --limit-log",
		NULL);
}

void peer_log_connected(struct peer *p, const struct sio_socket *socket)
{
	char sid[SIO_SID_BYTES];
	uint64_t retry_ms;

	p->logged = limits_take(
		p->app->limits, LIMIT_LOG, p->caller->visitor.address, 1, clock_now_ns(), &retry_ms);
	if (!p->logged) {
		atomic_fetch_add_explicit(&p->app->unlogged, 1, memory_order_relaxed);
		return;
	}
	peer_log_unlogged(p->app);
	sio_sid(socket, sid);
	log_event(LOG_INFO, "connected", "socket", sid, "namespace", sio_space_name(p->space), "address",
		p->caller->visitor.text, NULL);
}

void peer_log_disconnected(const struct sio_event *e)
{
	const struct peer *p = sio_data(e->socket);
	char sid[SIO_SID_BYTES], reason[REASON_BYTES];

	if (p == NULL || !p->logged)
		return;
	sio_sid(e->socket, sid);
	snprintf(reason, sizeof(reason), "%.*s", (int)e->reason.bytes, e->reason.s);
	log_event(LOG_INFO, "disconnected", "socket", sid, "namespace",
		sio_space_name(sio_space_of(e->socket)), "reason", reason, NULL);
}

void peer_set_state(struct peer *p, enum peer_state to)
{
	enum peer_state from = peer_state(p);

	assert((from == PEER_NEW && to == PEER_GREETING) || (from == PEER_GREETING && to == PEER_NEW));
	atomic_store_explicit(&p->state, to, memory_order_relaxed);
}

void peer_set_user(struct peer *p, const struct user *user)
{
	assert(peer_state(p) != PEER_READY);
	atomic_store_explicit(&p->state, PEER_READY, memory_order_relaxed);
	p->user = *user;
	if (user->id != STORE_ANONYMOUS)
		p->limit_key = (uint64_t)user->id;
}

struct store_user peer_user(const struct user *user)
{
	return (struct store_user){
		.id = user->id, .guest = user->guest, .name = chat_name_str(&user->name)
	};
}

void user_from_store(struct user *u, const struct store_user *from)
{
	assert(from->name.bytes <= sizeof(u->name.s));
	u->id = from->id;
	u->guest = from->guest;
	u->name.bytes = from->name.bytes;
	if (from->name.bytes > 0)
		memcpy(u->name.s, from->name.s, from->name.bytes);
}

/* For now there is one room, and whoever is subscribed is in it. */
static bool join(struct sio_socket *socket, int64_t room)
{
	char name[LIVE_ROOM_BYTES];

	live_room_name(name, room);
	return sio_join(socket, name) == 0;
}

bool peer_subscribe(struct peer *p, struct sio_socket *socket, int64_t room)
{
	assert(room == STORE_LOBBY);
	p->subscribed = true;
	return p->lagging || join(socket, room);
}

/* What does not reach it in time it is not sent at all: it will ask for it. */
void peer_lagging(const struct sio_event *e)
{
	struct peer *p = sio_data(e->socket);
	char name[LIVE_ROOM_BYTES];

	if (p == NULL)
		return;
	p->lagging = true;
	live_room_name(name, STORE_LOBBY);
	sio_leave(e->socket, name);
}

void peer_drained(const struct sio_event *e)
{
	struct peer *p = sio_data(e->socket);

	if (p == NULL)
		return;
	p->lagging = false;
	if (!p->subscribed)
		return;
	if (!join(e->socket, STORE_LOBBY)) {
		sio_connection_close(e->socket); /* it comes again */
		return;
	}
	if (!live_gap_one(e->socket))
		sio_connection_close(e->socket);
}
