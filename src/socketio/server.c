/* socketio/server.c -- a server's making, running and end: see sio/sio.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "net/tls.h"
#include "socketio/server_int.h"

static const char default_listen[] = "127.0.0.1:3000";
static const char default_path[] = "/socket.io/";

enum {
	DRAIN_MS = 1000,
	DYNAMIC_SPACES = 1024,
	THREADS_MAX = NET_LOOPS_MAX,
};

struct sio_loop *sio_loop_here(const struct sio_server *server)
{
	struct net_loop *loop = net_loop_current();

	if (loop == NULL || net_loop_pool(loop) != server->pool)
		return NULL;
	return &server->loops[net_loop_index(loop)];
}

void sio_engine_drained(struct sio_server *server, struct net_loop *loop)
{
	struct sio_loop *at = &server->loops[net_loop_index(loop)];

	assert(at->draining > 0);
	/* Whatever HTTP is idle has had its time: its clients may have been those of sessions. */
	if (--at->draining == 0)
		http_server_stopping(server->http, loop);
}

static void on_drained(struct net_loop *loop, void *ctx)
{
	sio_engine_drained(ctx, loop);
}

/* On each loop, when the pool stops. */
static void on_stopping(struct net_loop *loop, void *ctx)
{
	struct sio_server *server = ctx;

	server->loops[net_loop_index(loop)].draining = server->endpoint_count + 1;
	sio_endpoints_stopping(server, loop);
	if (server->eio != NULL)
		eio_server_stopping(server->eio, loop, on_drained);
	else
		sio_engine_drained(server, loop);
}

void sio_overrun(struct sio_server *server, struct net_loop *loop)
{
	if (server->eio != NULL)
		eio_server_overrun(server->eio, loop);
	sio_recovery_overrun(&server->loops[net_loop_index(loop)]);
	sio_endpoints_overrun(server, loop);
}

static void on_overrun(struct net_loop *loop, void *ctx)
{
	log_line(LOG_ERROR,
		"loop %u is too far behind: its clients are closed, for they have missed broadcasts",
		net_loop_index(loop));
	sio_overrun(ctx, loop);
}

struct log_hook {
	void (*log)(void *ctx, enum sio_log_level, const char *text);
	void *ctx;
};
static pthread_mutex_t hook_lock = PTHREAD_MUTEX_INITIALIZER; /* not held while the hook is called */
static struct log_hook hook; /* one for the process */

static void log_to_hook(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	pthread_mutex_lock(&hook_lock);
	struct log_hook now = hook;
	pthread_mutex_unlock(&hook_lock);
	if (now.log != NULL) /* else it has just been taken away */
		now.log(now.ctx, (enum sio_log_level)((int)level + SIO_LOG_DEBUG), text);
}

/* Where the process's lines go. */
struct logging {
	struct log_hook hook;
	struct log_sink sink;
};

/* What it was before. */
static struct logging swap_log(const struct logging *l)
{
	pthread_mutex_lock(&hook_lock);
	struct logging before = { .hook = hook, .sink = log_get() };
	hook = l->hook;
	log_set(l->sink.least, l->sink.fn, l->sink.ctx);
	pthread_mutex_unlock(&hook_lock);
	return before;
}

static struct logging logging_of(const struct sio_options *o)
{
	enum sio_log_level least = o->log_least == SIO_LOG_DEFAULT ? SIO_LOG_INFO : o->log_least;

	return (struct logging){
		.hook = { .log = o->log, .ctx = o->log_ctx },
		.sink = { .least = (enum log_level)((int)least - SIO_LOG_DEBUG),
			.fn = o->log == NULL ? NULL : log_to_hook },
	};
}

/* What was left to the environment. */
static bool pool_options(
	const struct sio_options *o, struct net_pool_options *ret, char *err, size_t err_bytes)
{
	const char *threads = getenv("SIO_THREADS"), *sender = getenv("SIO_SENDER");
	uint64_t count = o->threads;

	if (count == 0 && threads != NULL && !str_parse_u64(str_c(threads), THREADS_MAX, &count)) {
		snprintf(err, err_bytes, "SIO_THREADS is not a number up to %d", THREADS_MAX);
		return false;
	}
	ret->loops = count == 0 ? 1 : (uint32_t)count;
	ret->sender = o->sender == SIO_SENDER_PLAIN   ? NET_SENDER_PLAIN
		      : o->sender == SIO_SENDER_URING ? NET_SENDER_URING
						      : NET_SENDER_AUTO;
	if (o->sender == SIO_SENDER_AUTO && sender != NULL) {
		if (strcmp(sender, "plain") == 0) {
			ret->sender = NET_SENDER_PLAIN;
		} else if (strcmp(sender, "uring") == 0) {
			ret->sender = NET_SENDER_URING;
		} else {
			snprintf(err, err_bytes, "SIO_SENDER is neither plain nor uring");
			return false;
		}
	}
	ret->conns_max = o->connections_max;
	ret->conns_per_address_max = o->connections_per_address_max;
	ret->limit_loopback = o->limit_loopback;
	return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Engine.IO, and what it serves beside. False: err says why not. */
static bool create_engine(struct sio_server *server, const struct sio_options *o, char *err, size_t err_bytes)
{
	struct eio_options e = {
		.path = server->path,
		.ping_interval_ms = o->ping_interval_ms,
		.ping_timeout_ms = o->ping_timeout_ms,
		.upgrade_timeout_ms = o->upgrade_timeout_ms,
		.message_bytes_max = o->message_bytes_max,
		.queue_bytes_soft = o->queue_bytes_soft,
		.queue_bytes_max = o->queue_bytes_max,
		.queued_bytes_max = o->queued_bytes_max,
		.upgrades = true,
		.rates = sio_engine_rates(&o->rates),
		.drain_ms = server->drain_ms,
		.allow = o->allow == NULL ? NULL : sio_allow,
		.initial_headers = o->initial_headers == NULL ? NULL : sio_initial_headers,
	};

	sio_engine_defaults(&e);
	const char *wrong = sio_engine_wrong(&e);
	if (wrong != NULL) {
		snprintf(err, err_bytes, "%s", wrong);
		return false;
	}
	server->queue_bytes_max = e.queue_bytes_max;
	server->pending_bytes_max = (size_t)e.message_bytes_max * SIO_PENDING_MESSAGES_MAX;
	server->initial_headers = o->initial_headers;
	server->initial_headers_ctx = o->initial_headers_ctx;
	int rc = sio_engine_options(o->cors, o->cookie, &server->engine, &e);
	if (rc == -EINVAL)
		snprintf(err, err_bytes, "cors or cookie is not as it must be");
	if (rc < 0 || sio_serve_client(server) != 0)
		return false;
	return eio_server_create(server->http, server->pool, &e, &sio_client_events, server, &server->eio) ==
	       0;
}

static bool create_loops(struct sio_server *server, const struct sio_options *o)
{
	server->loop_count = net_pool_loops(server->pool);
	server->loops = calloc(server->loop_count, sizeof(*server->loops));
	if (server->loops == NULL)
		return false;
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct sio_loop *at = &server->loops[i];

		at->server = server;
		at->loop = net_pool_loop(server->pool, i);
		net_task_init(&at->later.task, sio_later_run);
		sio_recovery_init_loop(at);
		list_init(&at->dead_sockets);
		list_init(&at->forgotten);
		list_init(&at->dead_clients);
		net_task_init(&at->bury, sio_bury);
		net_delays_init(&at->connectings, at->loop, sio_otherwise(o->connect_timeout_ms, 45000),
			sio_connecting_over, at);
		net_delays_init(&at->pendings, at->loop,
			(uint64_t)sio_otherwise(o->ping_interval_ms, 25000) +
				sio_otherwise(o->ping_timeout_ms, 20000),
			sio_pending_over, at);
	}
	return true;
}

/* Options of Socket.IO, where there is none. */
static bool has_vain_options(const struct sio_options *o)
{
	static const struct sio_rates none;

	return o->path != NULL || o->recovery != NULL || o->cors != NULL || o->cookie != NULL ||
	       o->allow != NULL || o->initial_headers != NULL || memcmp(&o->rates, &none, sizeof(none)) != 0;
}

static bool load_tls(struct sio_server *server, const struct sio_options *o, char *err, size_t err_bytes)
{
	if (o->tls_certificate_file == NULL && o->tls_key_file == NULL)
		return true;
	if (o->tls_certificate_file == NULL || o->tls_key_file == NULL) {
		snprintf(err, err_bytes, "a certificate and its key are of no use without each other");
		return false;
	}
	return net_tls_context_load(o->tls_certificate_file, o->tls_key_file, &server->tls, err, err_bytes) ==
	       0;
}

static struct sio_server *create(const struct sio_options *o, char *err, size_t err_bytes)
{
	struct net_pool_options p = { .stopping = on_stopping, .overrun = on_overrun };
	const char *path = o->path == NULL ? default_path : o->path;

	if (!sio_engine_path_valid(path)) {
		snprintf(err, err_bytes, "the path is none of up to %d bytes with a slash at both ends",
			SIO_PATH_BYTES_MAX);
		return NULL;
	}
	if (o->without_socketio && has_vain_options(o)) {
		snprintf(err, err_bytes,
			"without_socketio leaves nothing that a path, recovery, cors, cookie, allow, "
			"initial_headers or rates could hold for");
		return NULL;
	}
	struct sio_server *server = calloc(1, sizeof(*server));
	snprintf(err, err_bytes, "no memory");
	if (server == NULL)
		return NULL;
	p.ctx = server;
	sio_spaces_init(server, sio_otherwise(o->dynamic_spaces_max, DYNAMIC_SPACES));
	sio_recovery_init(server, o->recovery);
	server->keep_handshake = o->keep_handshake;
	server->allow = o->allow;
	server->allow_ctx = o->allow_ctx;
	server->queued_bytes_max = o->queued_bytes_max;
	server->path = strdup(path);
	if (server->path == NULL || !pool_options(o, &p, err, err_bytes))
		goto fail;
	server->pool = net_pool_create(&p, err, err_bytes);
	if (server->pool == NULL)
		goto fail;
	snprintf(err, err_bytes, "no memory");
	server->http = http_server_create(server->pool);
	if (server->http == NULL || !create_loops(server, o))
		goto fail;
	server->drain_ms = least(sio_otherwise(o->drain_ms, DRAIN_MS), EIO_DRAIN_MS_MAX);
	if (!o->without_socketio && !create_engine(server, o, err, err_bytes))
		goto fail;
	if (!load_tls(server, o, err, err_bytes) ||
		net_listen_tls(server->pool, o->listen == NULL ? default_listen : o->listen, server->tls,
			http_server_accepted, server->http, err, err_bytes) < 0)
		goto fail;
	log_line(LOG_INFO, "listens on %s, port %u", o->listen == NULL ? default_listen : o->listen,
		sio_port(server));
	return server;
fail:
	sio_destroy(server);
	return NULL;
}

const char *sio_version(void)
{
	return SIO_VERSION;
}

struct sio_server *sio_create(const struct sio_options *o, char *err, size_t err_bytes)
{
	char text[256];
	const struct logging its = logging_of(o);
	const struct logging before = swap_log(&its);
	struct sio_server *server = create(o, text, sizeof(text));

	if (server != NULL)
		return server;
	(void)swap_log(&before); /* its own may not outlive this call */
	if (err_bytes > 0)
		snprintf(err, err_bytes, "%s", text);
	return NULL;
}

/* The server that a signal stops: the first that runs. */
static _Atomic(struct sio_server *) signalled;

static void on_signal(int number)
{
	struct sio_server *server = atomic_load(&signalled);

	(void)number;
	if (server != NULL)
		sio_stop(server);
}

/* Take a signal if nobody else has. */
static bool take_signal(int number, struct sigaction *old)
{
	struct sigaction ours = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigemptyset(&ours.sa_mask);
	return sigaction(number, NULL, old) == 0 && !(old->sa_flags & SA_SIGINFO) &&
	       old->sa_handler == SIG_DFL && sigaction(number, &ours, NULL) == 0;
}

int sio_run(struct sio_server *server)
{
	struct sio_server *nobody = NULL;
	struct sigaction old_term, old_int;
	bool term = false, interrupt = false;

	if (atomic_exchange(&server->running, true))
		return -EALREADY;
	if (atomic_compare_exchange_strong(&signalled, &nobody, server)) {
		term = take_signal(SIGTERM, &old_term);
		interrupt = take_signal(SIGINT, &old_int);
	}
	int rc = net_pool_run(server->pool);
	if (term)
		(void)sigaction(SIGTERM, &old_term, NULL);
	if (interrupt)
		(void)sigaction(SIGINT, &old_int, NULL);
	struct sio_server *us = server;
	(void)atomic_compare_exchange_strong(&signalled, &us, NULL);
	return rc;
}

void sio_stop(struct sio_server *server)
{
	net_pool_stop(server->pool);
}

uint16_t sio_port(const struct sio_server *server)
{
	return net_pool_port(server->pool);
}

void sio_destroy(struct sio_server *server)
{
	if (server == NULL)
		return;
	/* From the top down; memory that waits for an iteration's end goes with the loops. */
	eio_server_destroy(server->eio);
	server->eio = NULL; /* what is discarded below calls the application, which may ask for figures */
	sio_endpoints_close(server);
	for (uint32_t i = 0;
		server->pool != NULL && i < net_pool_loops(server->pool) && server->loops != NULL; i++)
		slots_finish(&server->loops[i].sockets);
	net_pool_close(server->pool);
	sio_recovery_finish(server); /* what is kept is destroyed by the application, too */
	for (uint32_t i = 0; i < server->loop_count && server->loops != NULL; i++)
		slots_finish(&server->loops[i].waiting);
	http_server_destroy(server->http);
	net_pool_destroy(server->pool);
	net_tls_context_destroy(server->tls);
	sio_spaces_finish(server);
	sio_endpoints_finish(server);
	sio_paths_finish(server);
	free(server->loops);
	free(server->engine);
	free(server->path);
	free(server->client_path);
	free(server);
}
