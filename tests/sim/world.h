/*
 * tests/sim/world.h -- a run of the simulation: a server, its clients, what they do to each other, and what must hold.
 *
 *      crowd.c: clients say and ask --> app.c: the server's handlers emit --> crowd.c: what is heard is judged
 *      world.c: begins all that, waits until it is quiet, judges what is missing, stops the server
 *
 * Everything emitted has a number, in the order of the whole run. An identity is a socket's public id: it outlives its connection
 * where that is recovered.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "sim/client.h"
#include "sio/sio.h"

enum {
	WORLD_CLIENTS_MAX = 12,
	WORLD_EMISSIONS_MAX = 4096,
	WORLD_IDENTITIES_MAX = 1024,
	WORLD_ASKS_MAX = 4096, /* by clients */
	WORLD_KEPT_MAX = 256, /* answers that are given later */
	WORLD_ROOMS = 4, /* joined when a client connects, by its index; and behind them ... */
	WORLD_LOOSE = 2, /* ... those that are joined and left */
	WORLD_EMITTERS = 4, /* loops, and the thread that is none */
	WORLD_OUTSIDE = WORLD_EMITTERS - 1,
	WORLD_NOBODY = -1,
	WORLD_BEHIND_MS = 1500, /* who has all of up to then comes back */
	WORLD_EACH_MS_MAX = 400, /* until all loops have run what was posted to them */
};

struct emission {
	uint64_t at_ns;
	uint32_t emitter, space, pad, attachments;
	int room, other_room; /* WORLD_NOBODY: all of the namespace */
	int only, except; /* identities, or WORLD_NOBODY */
	bool is_volatile;
};

enum presence { IS_MEMBER, IS_AWAY, IS_GONE };

struct identity {
	char sid[SIO_SID_BYTES];
	struct sio_id id;
	uint32_t client, space;
	enum presence presence;
	bool lags;
	bool sent_away; /* or left, maybe while it was away: nobody comes back as it */
	bool inexact; /* it came back without knowing an offset: what had left the server may be missing */
	uint64_t connected_ns; /* last */
	uint32_t heard_from; /* of this connection: the next number that it must say */
	bool in_loose[WORLD_LOOSE];
	/* Who comes back is sent what was for the rooms that it was in when it went, also from before it joined them. */
	bool came_back_in_loose[WORLD_LOOSE];
	uint64_t left_loose_ns[WORLD_LOOSE];
	int last[WORLD_EMITTERS]; /* the last heard of each emitter, by the client */
	uint8_t must[WORLD_EMISSIONS_MAX], heard[WORLD_EMISSIONS_MAX];
};

enum ask_state { ASK_NONE, ASK_OPEN, ASK_ANSWERED };

/* What world.c keeps of a client's end of a namespace. */
struct seat {
	uint32_t said; /* in this connection */
	int identity; /* WORLD_NOBODY: not joined */
	uint32_t joins; /* so far */
	int was; /* the identity of before the loss, for one who is not back yet; WORLD_NOBODY: none */
	uint64_t as_of_ns; /* when the server said the last that it has heard of what it can go on from */
	bool recovered; /* by the last of them */
	enum ask_state asks[WORLD_ASKS_MAX];
	uint32_t asked_in[WORLD_ASKS_MAX]; /* which of `joins` */
};

struct figures {
	uint64_t emitted, deliveries, acks, opened, upgraded, recovered, lost, aborts, moved, overflows,
		stops_under_load;
	uint64_t disconnected, lagging, forgotten, virtual_ms;
};

struct world {
	struct sio_server *io;
	struct sio_space *spaces[CLIENT_SPACES];
	uint32_t loops, client_count;
	bool recovers, stops_under_load, acting, stopping;
	bool recovers_all; /* of those who miss nothing older than WORLD_BEHIND_MS: nothing is scarce */
	uint64_t ends_ns, settle_ns;
	struct client *clients[WORLD_CLIENTS_MAX];
	struct seat seats[WORLD_CLIENTS_MAX][CLIENT_SPACES];
	struct emission emissions[WORLD_EMISSIONS_MAX];
	uint32_t emission_count;
	struct identity *identities[WORLD_IDENTITIES_MAX];
	uint32_t identity_count;
	struct {
		struct sio_ack ack;
		uint64_t n;
	} kept[WORLD_KEPT_MAX];
	uint32_t kept_count;
	uint64_t queries_open, connections, disconnections, data_destroyed;
	uint64_t each_began_ns; /* a sio_each() under way; 0: none */
	uint64_t kicked_ns[CLIENT_SPACES]; /* when somebody was sent away by an id, last */
	/* How often in a thousand of a client's acts. */
	uint32_t loses, vanishes, aborts, stalls, leaves, kicks;
	uint32_t
		hurries; /* how often, in a thousand, who comes back is cut while it does, and comes again at once */
	struct figures figures;
};

extern struct world *world;

/* world.c: all of a run; what fails ends the process. */
void world_run(uint64_t seed, struct figures *ret);

/* app.c */
void app_set_up(void);
void app_emit_outside(void);
/* One of what any thread may do. */
void app_act_outside(void);
void app_answer_kept(bool all);

/* crowd.c */
void crowd_begin(void);
void crowd_calm(void);
/* One that is not connected, or has something under way. NULL: all is quiet. */
const struct client *crowd_busy(void);
/* Nothing is missing. */
void crowd_judge(void);

#endif
