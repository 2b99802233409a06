/* tests/sim/world.c -- a run from its beginning to its end: see tests/sim/world.h. */
#include "sim/world.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/judge.h"

enum {
	STOP_MS_MAX = 5000,
	SETTLE_MS =
		4000, /* at least quiet for so long: longer than an answer may be in doubt (EIO_DOUBT_MS); */
	SETTLE_LONG_MS = 20000, /* or as long as deadlines take that should have been stopped */
	REST_MS = 2000, /* who has been quiet for so long has no reason to lose its connection */
	QUIET_MS_MAX = 180000,
	STEP_MS = 20,
	WALL_S = 20, /* of real time: a run takes a small part of that */
};

struct world *world;
static uint64_t run_seed;

static void on_signal(int number)
{
	if (kernel_has_failed())
		_exit(1);
	signal(number, SIG_DFL);
	printf("# seed %" PRIu64 ": ended by signal %d at %.6f s\n", run_seed, number,
		(double)kernel_now_ns() / 1e9);
	kernel_say_notes();
	fflush(stdout);
	raise(number);
}

static uint32_t choose(const uint32_t *from, size_t count)
{
	return from[kernel_below(count)];
}
#define CHOOSE(...)                                                                                          \
	choose((const uint32_t[]){ __VA_ARGS__ }, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void choose_faults(void)
{
	struct kernel_faults *f = kernel_faults();

	f->send_short = CHOOSE(0, 20, 200);
	f->interrupted = CHOOSE(0, 10, 50);
	f->cut_segment = CHOOSE(0, 100, 500);
	f->late_ack = CHOOSE(0, 50, 300);
	f->preempts = CHOOSE(0, 0, 50, 300);
	f->accept_fails = CHOOSE(0, 0, 20);
	f->delay_ns_max = CHOOSE(100, 1000, 5000, 20000) * KERNEL_US;
	f->step_ns_max = CHOOSE(20, 200, 2000) * KERNEL_US;
	f->sndbuf = CHOOSE(2000, 8000, 60000);
	f->rcvbuf = CHOOSE(1000, 8000, 60000);
	world->loses = CHOOSE(0, 5, 20);
	world->hurries = CHOOSE(0, 700, 900);
	world->vanishes = CHOOSE(0, 0, 5);
	world->leaves = CHOOSE(0, 5);
	world->stalls = CHOOSE(0, 5, 20);
	world->aborts = CHOOSE(0, 20, 100);
	world->kicks = CHOOSE(0, 20, 100);
}

static struct sio_server *create_server(void)
{
	struct sio_recovery recovery = {
		.window_ms = CHOOSE(200, 2000, 120000),
		.backlog_bytes_max = CHOOSE(0, 0, 20000),
		.kept_max = CHOOSE(0, 0, 3),
	};
	bool fast = kernel_chance(600);
	struct sio_options o = {
		.listen = "127.0.0.1:3000",
		.threads = world->loops,
		.sender = SIO_SENDER_PLAIN,
		.connections_max = 500,
		.ping_interval_ms = fast ? CHOOSE(300, 1000) : 0,
		.ping_timeout_ms = fast ? CHOOSE(1000, 3000) : 0,
		.upgrade_timeout_ms = CHOOSE(0, 500),
		.connect_timeout_ms = CHOOSE(0, 3000),
		.queue_bytes_soft = CHOOSE(0, 1500, 10000),
		.queue_bytes_max = CHOOSE(0, 30000, 100000),
		.message_bytes_max = CHOOSE(0, 20000),
		.recovery = world->recovers ? &recovery : NULL,
		.drain_ms = CHOOSE(0, 1, 300, 4000),
		.log_least = getenv("SIM_VERBOSE") != NULL ? SIO_LOG_DEBUG : SIO_LOG_OFF,
	};
	world->recovers_all = world->recovers && recovery.window_ms >= WORLD_BEHIND_MS + 500 &&
			      recovery.backlog_bytes_max == 0 && recovery.kept_max == 0 &&
			      o.queue_bytes_max == 0;
	char err[256];
	struct sio_server *io = sio_create(&o, err, sizeof(err));

	if (io == NULL)
		kernel_fail("sio_create(): %s", err);
	return io;
}

/* The clients act no more, and what disturbs them ends; then all must come to rest. */
static void become_quiet(void)
{
	uint64_t began_ns = kernel_now_ns(), quiet_ns = began_ns;
	uint64_t settle_ms = kernel_chance(300) ? SETTLE_LONG_MS : SETTLE_MS;

	crowd_calm();
	kernel_faults()->accept_fails = 0;
	while (kernel_now_ns() - quiet_ns < settle_ms * KERNEL_MS) {
		app_answer_kept(true);
		kernel_sleep(STEP_MS * KERNEL_MS);
		const struct client *busy = crowd_busy();
		if (busy != NULL && kernel_now_ns() - quiet_ns > REST_MS * KERNEL_MS)
			kernel_fail("client %u loses its connection while all is quiet", busy->index);
		if (busy != NULL)
			quiet_ns = kernel_now_ns();
		if (kernel_now_ns() - began_ns > QUIET_MS_MAX * KERNEL_MS)
			kernel_fail("client %u does not come to rest: engine %d, /: %d, /two: %d, %u to "
				    "send%s%s%s",
				busy->index, (int)busy->state, (int)busy->spaces[0].state,
				(int)busy->spaces[1].state, busy->out_count,
				busy->post != NULL ? ", posts" : "", busy->probing ? ", probes" : "",
				busy->pausing ? ", pauses" : "");
	}
	crowd_judge();
}

/* The application's thread that is none of the server's: it lets the world go on, and stops it. */
static void *outside_main(void *arg)
{
	(void)arg;
	while (kernel_now_ns() < world->ends_ns) {
		kernel_sleep((1 + kernel_below(60)) * KERNEL_MS);
		app_act_outside();
	}
	if (!world->stops_under_load)
		become_quiet();
	world->stopping = true;
	kernel_note("sio_stop()");
	world->settle_ns = kernel_now_ns();
	sio_stop(world->io);
	return NULL;
}

static void judge_stats(void)
{
	struct sio_stats s;

	sio_stats(world->io, &s);
	world->figures.moved = s.connections_moved;
	world->figures.overflows = s.queue_overflows;
	world->figures.forgotten = s.events_forgotten;
	judge_all_gone(&s, world->connections, world->disconnections);
	/* Who is sent away may be saying something just then. */
	if ((s.packets_bad != 0 && world->kicks == 0) || s.parse_errors != 0 || s.broadcasts_refused != 0)
		kernel_fail("%llu bad packets, %llu parse errors, %llu broadcasts refused",
			(unsigned long long)s.packets_bad, (unsigned long long)s.parse_errors,
			(unsigned long long)s.broadcasts_refused);
}

static void judge_end(int64_t allocations)
{
	if (world->queries_open != 0)
		kernel_fail("%llu questions have no end", (unsigned long long)world->queries_open);
	judge_nothing_left(allocations);
}

static void sum_up(struct figures *ret)
{
	world->figures.emitted = world->emission_count;
	world->figures.stops_under_load = world->stops_under_load;
	world->figures.virtual_ms = kernel_now_ns() / KERNEL_MS - 1000000;
	for (uint32_t i = 0; i < world->client_count; i++) {
		world->figures.opened += world->clients[i]->opened;
		world->figures.upgraded += world->clients[i]->upgraded;
		world->figures.lost += world->clients[i]->lost;
		world->figures.aborts += world->clients[i]->aborts;
	}
	*ret = world->figures;
}

void world_run(uint64_t seed, struct figures *ret)
{
	pthread_t outside;

	run_seed = seed;
	signal(SIGABRT, on_signal);
	signal(SIGALRM, on_signal);
	alarm(WALL_S);
	kernel_begin(seed);
	world = kernel_alloc(sizeof(*world));
	world->loops = 1 + (uint32_t)kernel_below(3);
	world->client_count = 5 + (uint32_t)kernel_below(WORLD_CLIENTS_MAX - 4);
	world->recovers = kernel_chance(500);
	world->stops_under_load = kernel_chance(300);
	world->ends_ns = kernel_now_ns() + (500 + kernel_below(2500)) * KERNEL_MS;
	world->acting = true;
	choose_faults();
	int64_t allocations = kernel_allocations();
	world->io = create_server();
	app_set_up();
	crowd_begin();
	if (pthread_create(&outside, NULL, outside_main, NULL) != 0)
		kernel_fail("no thread");
	int rc = sio_run(world->io);
	if (rc != 0)
		kernel_fail("sio_run() gives %d", rc);
	uint64_t took_ms = (kernel_now_ns() - world->settle_ns) / KERNEL_MS;
	if (!world->stopping || took_ms > STOP_MS_MAX)
		kernel_fail("sio_run() ended after %u ms", (unsigned)took_ms);
	if (pthread_join(outside, NULL) != 0)
		kernel_fail("no join");
	judge_stats();
	sio_destroy(world->io);
	judge_end(allocations);
	sum_up(ret);
}
