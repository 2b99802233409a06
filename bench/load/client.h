/*
 * load/client.h -- N connections of one thread: connect, join, heartbeats, whole messages in and out.
 *
 *	WAITING --> CONNECTING --> UPGRADING --> JOINING --> OPEN
 *	   |            `--------------`------------`---------`--> CLOSED: the client has failed
 *	   `- at most `at_once` connections are between WAITING and OPEN
 *
 * Nothing here is retried or forgiven: the first thing that is not as it should be (a connection closed, a bad
 * frame, a message nobody waits for) is kept in `failure`, and from then on nothing measured is valid.
 *
 * One epoll, edge-triggered; one large receive buffer; a connection owns memory only while a frame is
 * incomplete. Closes with RST, so that no port is left in TIME_WAIT. Used by: slice*.c, main.c.
 */
#ifndef LOAD_CLIENT_H
#define LOAD_CLIENT_H

#include "protocol.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOAD_CONNS_MAX = 19000, /* of the 20,000 descriptors a process may have */
	LOAD_AT_ONCE_DEFAULT = 64, /* more overflow listen backlogs */
	LOAD_RECEIVE_BYTES = 1024 * 1024,
	LOAD_RESPONSE_HEAD_MAX = 4096,
	LOAD_EVENTS_PER_WAIT = 256,
	LOAD_STALL_SECONDS_DEFAULT = 30,
};

enum load_conn_state {
	LOAD_CONN_WAITING,
	LOAD_CONN_CONNECTING,
	LOAD_CONN_UPGRADING,
	LOAD_CONN_JOINING,
	LOAD_CONN_OPEN,
	LOAD_CONN_CLOSED,
};

struct load_conn {
	int fd;
	uint32_t index;
	enum load_conn_state state;
	enum load_join join;
	uint64_t got; /* broadcast, rooms: one bit a slot, see slice_broadcast.c */
	uint64_t parity; /* rooms: of the group that it is the first of, likewise */
	uint32_t echo_id; /* echo: the request in flight */
	uint64_t echo_at_ns; /* when it was sent; 0: none in flight */
	uint64_t seq; /* post: of the last entry that it was pushed; 0: none yet */
	uint8_t *carry; /* an incomplete frame, or NULL */
	size_t carry_bytes;
};

struct load_client_options {
	struct sockaddr_in to;
	in_addr_t from; /* source address, or INADDR_ANY */
	const struct load_protocol *protocol;
	uint32_t conns;
	uint32_t at_once;
	uint32_t stall_seconds; /* no progress for so long is a failure */
};

/* `message` is lent for the call. */
typedef void (*load_message_fn)(
	void *arg, struct load_conn *conn, const uint8_t *message, size_t message_bytes);

struct load_client {
	struct load_client_options options;
	int epoll_fd;
	struct load_conn *conns;
	uint8_t *buffer;
	uint32_t started, joined; /* connections that have left WAITING, that have reached OPEN */
	uint32_t mask; /* the next frame's mask key */
	uint64_t now_ns; /* when the bytes at hand were received */

	load_message_fn on_message; /* NULL: a message is a failure */
	void *on_message_arg;

	/* Counters, only ever added to. Receives are those with a message in them. */
	uint64_t receives, messages, heartbeats;
	char failure[160]; /* empty: none */
};

uint64_t load_now_ns(void);

/* Returns 0 or -errno; finish it in both cases. Connects nothing yet. */
__attribute__((warn_unused_result)) int load_client_init(
	struct load_client *c, const struct load_client_options *options);
void load_client_finish(struct load_client *c);

/* Connects all and waits until they have joined. False: see `failure`. */
__attribute__((warn_unused_result)) bool load_client_connect(struct load_client *c);

/* Waits for at most `timeout_ms` (0: not at all, -1: for ever) and handles what has happened. */
void load_client_poll(struct load_client *c, int timeout_ms);

/* Sends one text message now. */
void load_client_send(
	struct load_client *c, struct load_conn *conn, const char *message, size_t message_bytes);

/* Keeps the first failure. */
__attribute__((format(printf, 2, 3))) void load_client_fail(struct load_client *c, const char *format, ...);

static inline bool load_client_failed(const struct load_client *c)
{
	return c->failure[0] != '\0';
}

#endif
