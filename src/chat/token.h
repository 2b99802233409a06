/*
 * chat/token.h -- what names a guest again: 128 random bits, of which only a hash is kept.
 *
 * Used by: app/. Any thread.
 */
#ifndef CHAT_TOKEN_H
#define CHAT_TOKEN_H

#include "store/store.h"

enum { CHAT_TOKEN_CHARS = 22 }; /* base64url of 16 bytes */

/* A new one. No NUL. */
void chat_token_make(char out[CHAT_TOKEN_CHARS]);
/* Whether it has the form of one. */
bool chat_token_valid(struct str token);
/* SHA-256 of its characters. */
void chat_token_hash(struct str token, uint8_t out[STORE_TOKEN_HASH_BYTES]);

#endif
