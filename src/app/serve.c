/*
 * app/serve.c -- see app/serve.h.
 *
 *      up:    store, sequencer (where rooms are), sockets and paths, listening
 *      down:  sockets (told, and drained), store (what waits is committed), sequencer, sockets' memory
 */
#include "app/serve.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/api.h"
#include "app/command.h"
#include "app/log.h"
#include "app/pages.h"
#include "app/peer.h"
#include "app/root.h"
#include "app/sequencer.h"
#include "app/version.h"
#include "base/assert.h"

enum { ERROR_BYTES = 512, ADDRESS_BYTES = 320, SAY_MS = 100 };

/* Of Engine.IO: who opens a connection. What is found out is kept with it. */
static bool allow(void *ctx, const struct sio_request *q, struct sio_admission *admission)
{
	const struct app *app = ctx;
	struct sio_str upgrade;
	struct visitor visitor;
	bool websocket = sio_request_header(q, "upgrade", &upgrade);
	struct chat_fault fault = visitor_judge(app->config, app->cookie, q, websocket, &visitor);

	if (fault.error != CHAT_OK) {
		admission->message = chat_error_message(fault.error);
		return false;
	}
	if (admission->data != NULL)
		return true; /* an upgrade: it is known already */
	struct caller *caller = caller_create(&visitor);
	if (caller == NULL) {
		admission->message = chat_error_message(CHAT_BUSY);
		return false;
	}
	admission->data = caller;
	admission->destroy = caller_unref;
	return true;
}

static uint32_t threads(const struct config *c)
{
	cpu_set_t cores;

	if (c->threads != 0)
		return c->threads;
	if (sched_getaffinity(0, sizeof(cores), &cores) != 0 || CPU_COUNT(&cores) < 1)
		return 1;
	int count = CPU_COUNT(&cores);
	return count > CONFIG_THREADS_MAX ? CONFIG_THREADS_MAX : (uint32_t)count;
}

/* Where each room is, before anything moves. */
struct start {
	struct app *app;
	sem_t done;
	bool fine;
};

static void on_rooms(void *ctx, enum store_status status, const struct store_room *rooms, size_t count)
{
	struct start *start = ctx;

	start->fine = status == STORE_OK;
	for (size_t i = 0; start->fine && i < count; i++)
		start->fine = sequencer_set_head(
			start->app->sequencer, rooms[i].id, rooms[i].head, rooms[i].head_nonce);
	sem_post(&start->done);
}

static bool read_heads(struct app *app, char *err, size_t err_bytes)
{
	struct start start = { .app = app };

	sem_init(&start.done, 0, 0);
	if (app->store->ops->rooms(app->store, STORE_ANONYMOUS, on_rooms, &start) == STORE_OK) {
		while (sem_wait(&start.done) != 0)
			assert(errno == EINTR);
	}
	sem_destroy(&start.done);
	if (!start.fine)
		snprintf(err, err_bytes, "the rooms cannot be read");
	return start.fine;
}

static bool open_sockets(struct app *app, char *err, size_t err_bytes)
{
	const struct config *c = app->config;

	app->io = sio_create(
		&(struct sio_options){
			.listen = c->listen,
			.threads = threads(c),
			.allow = allow,
			.allow_ctx = app,
			.connections_max = c->connections,
			.connections_per_address_max = c->connections_per_address,
			.drain_ms = c->drain_ms == 0 ? 1 : c->drain_ms, /* to libsio 0 is its default */
			.log_least = c->log_level,
			.log = log_from_sio,
		},
		err, err_bytes);
	if (app->io == NULL)
		return false;
	app->chat = sio_of(app->io, "/chat");
	app->root = sio_of(app->io, "/");
	int rc = app->chat == NULL || app->root == NULL ? -ENOMEM : 0;
	if (rc == 0)
		rc = command_listen(app);
	if (rc == 0)
		rc = root_listen(app);
	if (rc == 0)
		rc = api_listen(app);
	if (rc == 0)
		rc = pages_listen(app);
	if (rc != 0)
		snprintf(err, err_bytes, "the server cannot be made: %s", strerror(-rc));
	return rc == 0;
}

static bool begin(struct app *app, char *err, size_t err_bytes)
{
	app->limits = limits_create(app->config->limits);
	if (app->limits == NULL) {
		snprintf(err, err_bytes, "no memory");
		return false;
	}
	app->store = store_sqlite_open(
		&(struct store_options){
			.folder = app->config->data,
			.committed = sequencer_committed,
			.ctx = app,
		},
		err, err_bytes);
	if (app->store == NULL)
		return false;
	memcpy(app->epoch, app->store->epoch, sizeof(app->epoch));
	visitor_cookie_name(str_of(app->epoch, sizeof(app->epoch)), app->cookie);
	app->sequencer = sequencer_create(app, err, err_bytes);
	bool begun = app->sequencer != NULL && read_heads(app, err, err_bytes) &&
		     open_sockets(app, err, err_bytes);
	malloc_trim(0); /* what the start alone needed */
	return begun;
}

static void end(struct app *app)
{
	if (app->store != NULL)
		app->store->ops->destroy(app->store);
	sequencer_destroy(app->sequencer);
	sio_destroy(app->io);
	limits_destroy(app->limits);
}

/* A line for whoever is there to read it; who does not read holds up neither the start nor the end. */
static void say(int fd, const char *a, const char *b, const char *c)
{
	char line[PIPE_BUF]; /* a pipe that polls as writable takes as much without waiting */
	int n = snprintf(line, sizeof(line), "palaver: %s%s%s\n", a, b, c);
	struct pollfd out = { .fd = fd, .events = POLLOUT };

	if (n > 0 && (size_t)n < sizeof(line) && poll(&out, 1, SAY_MS) == 1 && (out.revents & POLLOUT) != 0)
		(void)!write(fd, line, (size_t)n);
}

static void say_listening(const struct app *app)
{
	char address[ADDRESS_BYTES];
	const char *listen = app->config->listen, *colon = strrchr(listen, ':');

	/* The port may have been left to the kernel. */
	snprintf(address, sizeof(address), "%.*s:%u", colon == NULL ? 0 : (int)(colon - listen), listen,
		(unsigned)sio_port(app->io));
	log_event(LOG_INFO, "listening", "address", address, "data", app->config->data, "version",
		APP_VERSION, NULL);
	/* For whoever started it by hand, and for programs that wait for it. */
	say(STDOUT_FILENO, "listening on http://", address, "/chat");
}

/* What a signal stops; null while there is nothing yet. */
static _Atomic(struct sio_server *) serving;
static atomic_bool stop_asked;

static void on_signal(int number)
{
	struct sio_server *io = atomic_load(&serving);

	(void)number;
	atomic_store(&stop_asked, true);
	if (io != NULL)
		sio_stop(io);
}

/* From the start on, not only while sio_run() listens to them: clients are let in before. */
static void take_signals(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
}

static int run(struct app *app)
{
	atomic_store(&serving, app->io);
	if (atomic_load(&stop_asked))
		sio_stop(app->io);
	int rc = sio_run(app->io);
	take_signals(SIG_DFL); /* who has no patience for the rest asks again */
	atomic_store(&serving, NULL);
	return rc;
}

/* Once: as an event where a program reads the log, else as a sentence. */
static void say_failed(const char *event, const char *why)
{
	if (log_is_for_programs())
		log_event(LOG_ERROR, event, "why", why, NULL);
	else
		say(STDERR_FILENO, why, "", "");
}

int serve(const struct config *config)
{
	struct app app = { .config = config };
	char err[ERROR_BYTES] = "";
	int rc = -EINVAL;

	log_begin(config);
	log_start();
	umask(S_IRWXG | S_IRWXO); /* what is said here is nobody else's on this machine */
	(void)signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more ends nothing */
	take_signals(on_signal);
	bool begun = begin(&app, err, sizeof(err));
	if (begun) {
		say_listening(&app);
		rc = run(&app);
		peer_log_unlogged(&app);
		log_event(LOG_INFO, "stopped", NULL);
	} else {
		say_failed("not_started", err);
	}
	if (begun && rc != 0)
		say_failed("failed", strerror(-rc));
	end(&app);
	log_end();
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
