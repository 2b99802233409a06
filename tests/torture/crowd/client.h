/*
 * crowd/client.h -- one Socket.IO client over WebSocket, of thousands in one thread.
 *
 *	CONNECTING --> UPGRADING --> OPENING --> JOINING --> READY
 *	     `-------------`------------`-----------`----------`--> GONE: closed by the server, how is kept
 *
 * A client owns no buffer: a frame is hashed as its pieces come, and its first bytes alone are kept. Its `hash` is one over
 * the payloads of all events it has heard, in their order. Heartbeats are answered.
 */
#ifndef CROWD_CLIENT_H
#define CROWD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CLIENTS_MAX = 19000, /* of the 20,000 descriptors that a process may have */
	CONNECTING_MAX = 128, /* at once */
	START_BYTES = 32, /* of a payload, kept */
	SEND_BYTES_MAX = 4096, /* of one message */
	HEADER_BYTES_MAX = 10, /* of a frame from the server */
};

enum client_state {
	CLIENT_CONNECTING,
	CLIENT_UPGRADING,
	CLIENT_OPENING,
	CLIENT_JOINING,
	CLIENT_READY,
	CLIENT_GONE,
};

struct client {
	int fd; /* -1: none */
	enum client_state state;
	bool deaf; /* does not read */
	bool reset; /* by an error, no orderly end */
	uint16_t close_code; /* of the close frame; 0: none */
	uint8_t header[HEADER_BYTES_MAX], header_bytes; /* of the frame that is coming */
	uint8_t start[START_BYTES], start_bytes;
	uint8_t blank; /* how much of the empty line that ends an HTTP head has come */
	uint64_t left_bytes; /* of its payload */
	uint64_t frame_hash, hash;
	uint32_t events, acks;
	uint64_t sent_at_ns, due_at_ns; /* of an echo under way (0: none); of the next one */
};

struct crowd {
	int epoll_fd;
	uint16_t port;
	uint32_t count, wanted; /* opened, to be opened */
	uint32_t receive_bytes; /* SO_RCVBUF; 0: the kernel's */
	uint32_t connecting, ready, gone;
	void (*acked)(struct crowd *, struct client *); /* an answer came; may be NULL */
	void *ctx;
	struct client clients[CLIENTS_MAX];
};

uint64_t crowd_now_ns(void);
/* Open what is wanted and still allowed, wait at most that long for events, and handle them. */
void crowd_turn(struct crowd *, int wait_ms);
/* A masked text frame at `out`, which has bytes + 8 of room. Returns what it took. */
size_t client_frame(uint8_t *out, const char *text, size_t bytes);
/* Send a text. What the socket does not take at once ends the program: a client here says little. */
void client_say(struct client *, const char *text, size_t bytes);
void client_listen(struct crowd *, struct client *, bool on);
/* Reset all connections and forget all clients. */
void crowd_cut(struct crowd *);

#endif
