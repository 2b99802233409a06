/*
 * app/live.h -- what is pushed to those who are connected: entries, who types, and that there is a gap.
 *
 * Used by: app/sequencer.c, app/typing.c, app/peer.c. Threads: live_push() and live_gap() on the sequencer's.
 */
#ifndef APP_LIVE_H
#define APP_LIVE_H

#include "app/app.h"

enum { LIVE_ROOM_BYTES = 24 }; /* of a room's name among sockets, with its NUL */
enum { LIVE_CHAT = 1, LIVE_ROOT = 2 }; /* who is connected: to `/chat`, to `/` */

/* The name of a room among the sockets of `/chat`. */
void live_room_name(char out[LIVE_ROOM_BYTES], int64_t room);
/* To all who are in the room, and from the lobby to `/` too. False: somebody may have missed it, for want of memory. */
__attribute__((warn_unused_result)) bool live_push(struct app *, const struct store_entry *);
/*
 * Of `whom` everybody on `/chat` is told to sync, and the connection of everybody on `/` is closed: they come again. Who of them
 * is still to be told, for want of memory.
 */
__attribute__((warn_unused_result)) unsigned live_gap(struct app *, unsigned whom);
__attribute__((warn_unused_result)) bool live_gap_one(const struct sio_socket *);
/* Volatile, to all in the room but `except` (generation 0: nobody). */
void live_typing(struct app *, int64_t room, const struct store_user *, struct sio_id except);

#endif
