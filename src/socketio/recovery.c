/* socketio/recovery.c -- options of connection state recovery, and the numbers of events: see socketio/recovery_int.h. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/random.h"
#include "socketio/recovery_int.h"

enum {
	WINDOW_MS = 120000,
	BACKLOG_BYTES = 16 << 20,
	KEPT = 65536,
	SWEEP_MS = 10000,
	EPOCH_BYTES = 6,
};

void sio_recovery_init(struct sio_server *server, const struct sio_recovery *o)
{
	uint8_t random[EPOCH_BYTES];

	if (o == NULL)
		return;
	server->recovers = true;
	server->recovery_asks = o->asks_middleware;
	server->recovery_ms = sio_otherwise(o->window_ms, WINDOW_MS);
	server->backlog_bytes_max = sio_otherwise(o->backlog_bytes_max, BACKLOG_BYTES);
	server->kept_max = sio_otherwise(o->kept_max, KEPT);
	random_bytes(random, sizeof(random));
	server->epoch[base64url_encode(server->epoch, random, sizeof(random))] = '\0';
	assert(strlen(server->epoch) == SIO_EPOCH_CHARS);
}

void sio_recovery_init_loop(struct sio_loop *at)
{
	uint32_t window_ms = at->server->recovery_ms;

	list_init(&at->backlogs);
	list_init(&at->pasts);
	if (!at->server->recovers)
		return;
	net_delays_init(&at->keeps, at->loop, window_ms, sio_kept_over, at);
	net_delays_init(&at->recoverings, at->loop, SIO_RECOVER_STEP_MS, sio_recover_step, at);
	net_delays_init(&at->resents, at->loop, window_ms, sio_resent_over, at);
	net_delays_init(
		&at->sweeps, at->loop, window_ms < SWEEP_MS ? window_ms : SWEEP_MS, sio_backlog_sweep, at);
}

void sio_recovery_finish(struct sio_server *server)
{
	for (uint32_t i = 0; i < server->loop_count && server->loops != NULL; i++) {
		struct list *backlogs = &server->loops[i].backlogs;

		if (server->recovers)
			sio_recoverings_end(&server->loops[i]);
		sio_away_bury(&server->loops[i]);
		while (!list_empty(backlogs))
			sio_backlog_destroy(list_entry(backlogs->next, struct sio_backlog, node));
	}
}

void sio_recovery_overrun(struct sio_loop *at)
{
	for (struct list *n = at->backlogs.next; n != &at->backlogs; n = n->next)
		sio_backlog_break(list_entry(n, struct sio_backlog, node));
}

/* Of an emitter: the count of its events to any, or to one socket. */
static uint64_t *count_of(struct sio_space *space, const struct sio_loop *here, bool self)
{
	if (here == NULL)
		return self ? &space->numbered_self : &space->numbered;
	return self ? &sio_here(space, here)->numbered_self : &sio_here(space, here)->numbered;
}

struct sio_offset sio_number(struct sio_space *space, const struct sio_loop *here, bool self)
{
	uint32_t emitter = here == NULL ? space->server->loop_count : net_loop_index(here->loop);

	return (struct sio_offset){
		.emitter = emitter + (self ? SIO_EMITTER_SELF : 0),
		.count = ++*count_of(space, here, self),
	};
}

void sio_number_back(struct sio_space *space, const struct sio_loop *here, bool self)
{
	--*count_of(space, here, self);
}
