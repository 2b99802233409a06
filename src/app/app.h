/*
 * app/app.h -- the parts of a running server, as they know each other.
 *
 *      sockets and requests --> command, root --> store --> sequencer --> sockets and requests
 *
 * Made by app/serve.c before any thread runs; constant from then on, but for the count.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdatomic.h>

#include "app/visitor.h"
#include "sio/sio.h"
#include "store/store.h"

enum {
	APP_COMMANDS_MAX = 64, /* unanswered, of a connection: further ones are `busy` */
	APP_READS_MAX = 8, /* of those, reads */
	APP_READS_IN_ALL_MAX = 512, /* unanswered reads of everybody: each may hold a page */
	/* Messages on `/` that want no answer, and so cannot be told to be fewer: of a connection, under way at once. */
	APP_UNASKED_MAX = 1024,
	/* Of a command: the longest text, were every byte of it escaped. */
	APP_ARGUMENTS_BYTES_MAX = 512 << 10,
	/* What commands under way may take, of a connection and in all: further ones are `busy`. */
	APP_COMMAND_BYTES_MAX = 4 << 20,
	APP_COMMAND_BYTES_IN_ALL_MAX = 64 << 20,
};

struct config;
struct limits;
struct sequencer;

struct app {
	const struct config *config;
	struct store *store;
	struct limits *limits;
	struct sequencer *sequencer;
	struct sio_server *io;
	struct sio_space *chat; /* `/chat` */
	struct sio_space *root; /* `/` */
	char epoch[STORE_EPOCH_BYTES]; /* the database's name, which outlives the store */
	char cookie[VISITOR_COOKIE_BYTES]; /* the name of the cookie that holds a guest's token */
	atomic_uint reads; /* unanswered, of everybody */
	atomic_size_t command_bytes; /* of all requests that there are */
	atomic_uint unlogged; /* sockets whose coming was not logged, by LIMIT_LOG, since that was told */
};

/* A lent slice as the layers above libsio have it, and back. */
static inline struct str str_of_sio(struct sio_str s)
{
	return str_of(s.s, s.bytes);
}

static inline struct sio_str sio_of_str(struct str s)
{
	return (struct sio_str){ s.s, s.bytes };
}

#endif
