/*
 * app/write.h -- the chat's things as the JSON of docs/chat.md.
 *
 * Used by: all of app/ that answers or pushes. Pure but for the buffer's memory.
 */
#ifndef APP_WRITE_H
#define APP_WRITE_H

#include "app/json.h"
#include "store/store.h"

/* Milliseconds since 1970. */
int64_t write_now_ms(void);
void write_user(struct json *, const struct store_user *);
/* With head and nonce as given, which may be newer than the room's. */
void write_room(struct json *, const struct store_room *, uint64_t head, uint32_t nonce);
/* An entry as `/chat` has it; and as the history of `/` has it. */
void write_entry(struct json *, const struct store_entry *);
void write_plain_entry(struct json *, const struct store_entry *);
/* `"room":1,...,"entries":[...],"as_of":9,"more":false`, with `"reset"` if asked for. Without braces. */
void write_page(struct json *, const struct store_page *, bool with_reset);

#endif
