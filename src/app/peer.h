/*
 * app/peer.h -- a socket as the chat sees it: who it is, what it has asked for, and whether it keeps up.
 *
 *      NEW --hello--> GREETING --subscribed--> READY         on `/chat`
 *      NEW --token--> GREETING --found--> READY              on `/`; without a token READY at once
 *
 * Kept by its socket (sio_data) and by each request that is under way. What changes after it was made belongs to the socket's
 * loop.
 */
#ifndef APP_PEER_H
#define APP_PEER_H

#include <stdatomic.h>

#include "app/app.h"
#include "app/caller.h"
#include "base/list.h"
#include "chat/name.h"

enum peer_state {
	PEER_NEW,
	PEER_GREETING,
	PEER_READY,
};

struct user {
	int64_t id;
	bool guest;
	struct chat_name name;
};

struct peer {
	atomic_uint refs;
	struct app *app;
	struct caller *caller; /* a reference: the connection that it is on */
	struct sio_space *space;
	struct sio_id id;
	uint64_t limit_key; /* for what is limited per user */
	_Atomic(enum peer_state) state; /* from GREETING back to NEW on any thread, all else on the loop */
	/* Of the loop. */
	bool lagging, subscribed;
	bool logged; /* that it has come; then also that it goes */
	struct user user; /* READY */
	struct list waiting; /* requests, until it is READY; `/` only */
};

/* With one reference; the socket's connection has a caller. NULL: no memory. */
__attribute__((warn_unused_result)) struct peer *peer_create(struct app *, const struct sio_socket *);
void peer_ref(struct peer *);
void peer_unref(struct peer *);
/* For sio_set_data(). */
void peer_gone(void *peer);
/*
 * A line of the log: it has come; it has gone, and why. Within LIMIT_LOG, so that nobody fills the disk by coming again and again;
 * those beyond it are counted, and a line tells how many they were.
 */
void peer_log_connected(struct peer *, const struct sio_socket *);
void peer_log_disconnected(const struct sio_event *);
void peer_log_unlogged(struct app *);

enum peer_state peer_state(const struct peer *);
/* NEW to GREETING, or GREETING to NEW. */
void peer_set_state(struct peer *, enum peer_state);
/* NEW or GREETING to READY. */
void peer_set_user(struct peer *, const struct user *);
struct store_user peer_user(const struct user *);
/* A copy; its name is at most CHAT_NAME_BYTES_MAX bytes, as it was when it was stored. */
void user_from_store(struct user *, const struct store_user *);

/* Hears the room from now on, unless it lags: then when it has caught up. On its loop. False: no memory. */
__attribute__((warn_unused_result)) bool peer_subscribe(struct peer *, struct sio_socket *, int64_t room);
/* Handlers of "lagging" and "drained". */
void peer_lagging(const struct sio_event *);
void peer_drained(const struct sio_event *);

#endif
