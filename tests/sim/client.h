/*
 * tests/sim/client.h -- a client of the simulation: Engine.IO 4 and Socket.IO 5 as the official ones speak them, driven by what arrives
 * and by timers of the simulated kernel.
 *
 *      engine:  AWAY --open--> OPENING --'0'--> OPEN --loss--> AWAY, and again after a while
 *      polling: one GET and one POST at a time, each on any connection that is idle; an upgrade pauses it
 *
 * world.c says what is emitted, and judges what is heard.
 */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "sim/kernel.h"
#include "sim/wire.h"

enum {
	CLIENT_SPACES = 2,
	CLIENT_ATTACHMENTS_MAX = 10,
	CLIENT_OUT_MAX = 1024, /* packets that wait to be sent */
	CLIENT_SID_BYTES = 21,
};

enum client_transport { CLIENT_POLLING, CLIENT_WEBSOCKET, CLIENT_UPGRADES };
enum client_state { CLIENT_AWAY, CLIENT_OPENING, CLIENT_OPEN };
enum client_space_state { SPACE_OUT, SPACE_JOINING, SPACE_IN };
/* How a connection ends. */
enum client_end { CLIENT_CLOSES, CLIENT_RESETS, CLIENT_VANISHES };

struct channel; /* one TCP connection */

struct packet {
	bool binary;
	struct bytes data;
};

struct client_space {
	uint64_t asked_ns; /* to join, last */
	enum client_space_state state;
	char sid[CLIENT_SID_BYTES], pid[64], offset[64];
	uint64_t next_ack;
	bool has_left; /* in this connection: what was under way then is for nobody */
	/* Heard before its CONNECT is answered: what it has missed. */
	struct packet early[512];
	uint32_t early_count;
};

struct client {
	uint32_t index, address;
	enum client_transport transport;
	enum client_state state;
	uint32_t generation; /* of the engine; timers of an old one do nothing */
	bool comes_back; /* after a loss */
	bool hurries; /* comes back from the next one at once */
	char sid[CLIENT_SID_BYTES];
	uint64_t ping_ms; /* interval and timeout together */
	uint64_t pings;
	struct channel *channels[8], *get, *post, *ws;
	uint32_t channel_count;
	bool on_ws, probing, pausing, aborting, stalled;
	struct packet out[CLIENT_OUT_MAX];
	uint32_t out_first, out_count;
	struct client_space spaces[CLIENT_SPACES];
	/* A binary event whose attachments have not all come. */
	struct bytes partial;
	uint32_t attachments_wanted, attachment_count;
	struct bytes attachments[CLIENT_ATTACHMENTS_MAX];
	/* Figures. */
	uint64_t opened, upgraded, lost, aborts;
};

/* What comes of a namespace; all lent. */
struct heard {
	char type; /* '0' to '6' of Socket.IO */
	uint32_t space;
	bool has_id;
	uint64_t id;
	const char *json; /* with a NUL; "" where there is none */
	const struct bytes *attachments;
	uint32_t attachment_count;
};

extern const char *const client_space_names[CLIENT_SPACES];

void client_init(struct client *, uint32_t index, enum client_transport);
/* Connect; then again after each loss. */
void client_open(struct client *);
/* A Socket.IO packet. `type` is '2' or '3' (with attachments '5' or '6' is said), or '1'. */
void client_say(struct client *, uint32_t space, char type, bool has_id, uint64_t id, const char *json,
	const struct bytes *attachments, uint32_t attachment_count);
/* Join a namespace, with what is needed to recover. */
void client_join(struct client *, uint32_t space);
/* The connection is lost, by the client's own doing. */
void client_lose(struct client *, enum client_end);
/* Say goodbye: Engine.IO's close. */
void client_leave(struct client *);
/* Give up the poll that waits, and poll again on another connection. */
void client_abort_poll(struct client *);
void client_stall(struct client *, bool stalls);
/* It is connected; heartbeats may be under way, as always. */
bool client_is_quiet(const struct client *);

/* world.c */
void world_joined(struct client *, uint32_t space, bool recovers);
void world_heard(struct client *, const struct heard *);
void world_opened(struct client *);
void world_lost(struct client *);

#endif
