/*
 * fuzz/server/scene.h -- a run of the target `server`: the whole server in the simulated kernel of tests/sim/, connections that do what an
 * input says, and a witness, who must not be harmed by it.
 *
 *      fuzz_server.c: beginning and end, what must hold at last
 *      script.c: acts --> raw.c: connections, and the ids they have seen; template.c: requests and packets in outline
 *      serve.c: the server, its options --> app.c: its handlers; outside.c: what the application does by a thread of its own;
 *                                           refused.c: and what it must not
 *      witness.c: a client of tests/sim/ that asks, and is to be answered within a second
 *
 * One thread runs at a time (tests/sim/kernel.h), so nothing here is guarded. Its memory is the simulation's, and goes with kernel_end().
 */
#ifndef FUZZ_SERVER_SCENE_H
#define FUZZ_SERVER_SCENE_H

#include "sim/client.h"
#include "sio/endpoint.h"
#include "sio/http.h"
#include "sio/sio.h"

enum {
	SCENE_SPACES = 2,
	SCENE_ROOMS = 4,
	SCENE_KEPT_MAX = 16, /* of each kind: what is to be answered later */
	SCENE_IDS_MAX = 8,
	SCENE_RAWS = 6,
	SCENE_CONNECTS_MAX = 40, /* by those, in a run */
	SCENE_CONNS_MAX = 100, /* at once, of the server: enough for all that there can be */
	SCENE_CONNS_CROWDED_MAX = 5,
	SCENE_CONNS_PER_ADDRESS_MAX = 12,
	SCENE_LOUD_PER_S_MAX = 16, /* what the application says to all, the witness included */
	SCENE_VIRTUAL_S_MAX = 300, /* that an input can take */
};

/* What is left of an input; it ends with zeros. */
struct input {
	const uint8_t *at, *end;
};
static inline uint8_t input_byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Of each pair the second is the first when all is over. */
struct tally {
	uint64_t made, destroyed; /* data of sockets, peers and admissions */
	uint64_t connections, disconnections; /* of sockets */
	uint64_t opened, closed; /* peers */
	uint64_t asked, replied; /* questions, walks, calls with a socket */
};

struct scene {
	struct input in;
	struct sio_server *io;
	struct sio_space *spaces[SCENE_SPACES], *parent;
	struct sio_endpoint *ws, *eio;
	struct tally tally;
	/* Chosen by the input. */
	uint32_t loops;
	bool recovers, stops_under_load, from_loopback, closes_at_end;
	bool errs; /* what is refused is asked for before */
	enum client_transport transport; /* the witness' */
	bool is_crowded; /* there are hardly more connections than there may be: the witness, on its WebSocket, is never sent away */
	uint64_t pause_ns; /* behind each act */
	uint32_t ping_ms; /* interval and timeout together */
	uint32_t message_bytes_max, queue_bytes_max, backlog_bytes_max, queued_bytes_max;
	/* app.c */
	struct sio_ack acks[SCENE_KEPT_MAX], tickets[SCENE_KEPT_MAX];
	struct sio_exchange exchanges[SCENE_KEPT_MAX];
	uint32_t ack_count, ticket_count, exchange_count;
	struct sio_id ids[SCENE_IDS_MAX], peers[SCENE_IDS_MAX]; /* the last who came, the witness left out */
	uint32_t id_count, peer_count;
	struct sio_id witness_id;
	uint64_t loud_ns; /* when the second began of which ... */
	uint32_t loud; /* ... so many are */
	int64_t allocated; /* when the server was made */
};

extern struct scene *scene;

static inline bool scene_has(struct sio_str text, const char *part)
{
	return text.bytes > 0 && memmem(text.s, text.bytes, part, strlen(part)) != NULL;
}

/* serve.c: the server, with all that it serves. */
void serve_create(struct input *);
void serve_faults(struct input *);

/* refused.c: what an application must not do. */
struct sio_ws_options;
struct sio_eio_options;
void refused_options(uint8_t which, const struct sio_options *good);
void refused_services(const struct sio_ws_options *good_ws, const struct sio_eio_options *good_eio);
void refused_act(uint8_t how);

/* app.c */
/* What is kept with a socket, a peer or an admission. */
struct keepsake {
	bool lags;
};
struct keepsake *app_data(void);
void app_destroy_data(void *data);
void app_set_up(struct sio_space *);
/* With those who see all events. */
void app_watch(struct sio_space *);
/* One of those who wait for an answer gets it, on the thread that calls. */
void app_answer_ack(void);
void app_decide(bool admits);
void app_answer_http(void);
void app_ask(struct sio_space *, struct sio_id);
void app_walked(struct sio_socket *, void *ctx);

/* outside.c: one of what any thread may do. */
void outside_act(uint8_t what, uint8_t how);

/* script.c: all that the input says. */
void script_run(void);
/* Wait for so long, and look whether all is well meanwhile. */
void script_wait(uint64_t ns);

/* witness.c */
void witness_begin(enum client_transport);
/* Ask something, unless it is about to. */
void witness_ask(void);
/* The application is about to send everybody away. */
void witness_pardon(void);
/* It is in its namespace, and all it asked is answered. */
bool witness_is_content(void);
/* From now on it may be lost. */
void witness_dismiss(void);

#endif
