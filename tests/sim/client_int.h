/* tests/sim/client_int.h -- between a client's protocol (client.c, engine.c) and its connections (channel.c). */
#ifndef TESTS_SIM_CLIENT_INT_H
#define TESTS_SIM_CLIENT_INT_H

#include "sim/client.h"

enum channel_use { CHANNEL_IDLE, CHANNEL_GET, CHANNEL_POST, CHANNEL_SHAKES, CHANNEL_WS };

struct channel {
	struct client *client;
	struct tcp *tcp;
	struct bytes in;
	enum channel_use use;
	bool dead;
};

/* channel.c */
/* A request on a connection that is idle, or a new one. */
struct channel *channel_ask(
	struct client *, enum channel_use, const char *method, const void *body, size_t bytes);
/* A WebSocket, of the session if there is one. */
struct channel *channel_shake(struct client *);
void channel_frame(struct channel *, unsigned opcode, const void *data, size_t bytes);
void channel_drop(struct channel *, enum client_end);

/* engine.c: what a connection tells. */
void engine_polled(struct client *, int status, const uint8_t *body, size_t bytes);
void engine_posted(struct client *, int status);
/* The WebSocket stands. */
void engine_shaken(struct client *);
void engine_frame(struct client *, bool binary, const uint8_t *data, size_t bytes);
/* A connection in use is lost, or was refused. */
void engine_broken(struct client *, const struct channel *);
/* Queue a packet of Engine.IO, its type included if it is text. */
void engine_send(struct client *, bool binary, const void *data, size_t bytes);
void engine_flush(struct client *);

/* client.c: the message of an Engine.IO packet. */
void client_message(struct client *, bool binary, const uint8_t *data, size_t bytes);

#endif
