/*
 * tests/servers/probe.c -- the server that the system tests ask; tests/system/peers/probe.mjs is its twin on Node.
 *
 * Namespaces / and /custom with the same events. Options come from the environment: PORT, PING_INTERVAL, PING_TIMEOUT,
 * MAX_PAYLOAD, CONNECT_TIMEOUT, UPGRADE_TIMEOUT, QUEUE_SOFT, QUEUE_MAX, QUEUED_MAX, DRAIN_MS, and libsio's own SIO_THREADS and SIO_SENDER.
 * Only here: CONNECTIONS; SPACES_MAX, so many namespaces /child... may be asked for; RECOVERY_WINDOW, with BACKLOG and KEPT; PLAIN,
 * there is a plain WebSocket at /plain, which hears all and says nothing.
 */
#include <poll.h>
#include <pthread.h>
#include <sio/stats.h>
#include <sio/ws.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"

enum {
	HELD_MAX = 4096,
	REASONS_BYTES_MAX = 1 << 20,
	ROOM_BYTES = 256,
	QUESTION_MS = 1000,
	STALL_MS = 1200,
	FIGURES_BYTES = 1 << 13,
};

/* Handlers of different sockets run at the same time: what they share has a lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards held and reasons */
static struct sio_ack held[HELD_MAX];
static size_t held_count;
static char reasons[REASONS_BYTES_MAX] = "[";
static size_t reasons_bytes = 1;
static atomic_int present[2]; /* sockets in / and /custom */
static struct sio_server *io;

static int place(const struct sio_socket *s)
{
	return strcmp(sio_space_name(sio_space_of(s)), "/") != 0;
}

/* Arguments made of a format, at most 1 MiB; freed by the caller. */
__attribute__((format(printf, 2, 3))) static struct sio_args make(char **ret_text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_text, format, args) < 0)
		abort();
	va_end(args);
	return sio_json(*ret_text);
}

static void answer(const struct sio_event *e, struct sio_args args)
{
	(void)sio_answer(e->ack, args);
}

static void on_first(const struct sio_reply *r)
{
	if (r->status == 0)
		(void)sio_emit(sio_self(r->socket), "first-answer", r->args);
}

static void on_connection(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES], *text;
	const char *space = sio_space_name(sio_space_of(e->socket));

	sio_sid(e->socket, sid);
	printf("connect %s %s\n", space, sid);
	atomic_fetch_add(&present[place(e->socket)], 1);
	struct sio_args welcome =
		make(&text, "[{\"nsp\":\"%s\",\"auth\":%.*s}]", space, (int)e->auth.bytes, e->auth.s);
	(void)sio_emit(sio_self(e->socket), "welcome", welcome);
	free(text);
	(void)sio_ask(sio_space_of(e->socket), sio_id(e->socket), "first", sio_json("[]"), 0, on_first, NULL);
}

static void on_disconnect(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES];

	sio_sid(e->socket, sid);
	printf("disconnect %s %s %.*s\n", sio_space_name(sio_space_of(e->socket)), sid, (int)e->reason.bytes,
		e->reason.s);
	atomic_fetch_sub(&present[place(e->socket)], 1);
	pthread_mutex_lock(&lock);
	if (reasons_bytes + e->reason.bytes + 8 < sizeof(reasons))
		reasons_bytes += (size_t)snprintf(reasons + reasons_bytes, sizeof(reasons) - reasons_bytes,
			"%s\"%.*s\"", reasons_bytes > 1 ? "," : "", (int)e->reason.bytes, e->reason.s);
	pthread_mutex_unlock(&lock);
}

static void on_message(const struct sio_event *e)
{
	(void)sio_emit(sio_all(sio_space_of(e->socket)), "message", e->args);
}

static void on_others(const struct sio_event *e)
{
	(void)sio_emit(sio_to(e->socket, NULL), "others", e->args);
}

static void on_echo(const struct sio_event *e)
{
	answer(e, e->args);
}

static void on_join(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	if (sio_arg_string(e, 0, room, sizeof(room)) && sio_join(e->socket, room) == 0)
		answer(e, sio_json("[\"ok\"]"));
}

static void on_leave(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	if (sio_arg_string(e, 0, room, sizeof(room)))
		sio_leave(e->socket, room);
	answer(e, sio_json("[\"ok\"]"));
}

static void on_say(const struct sio_event *e)
{
	char room[ROOM_BYTES];

	if (!sio_arg_string(e, 0, room, sizeof(room)))
		return;
	struct sio_target to = sio_to(e->socket, room);
	if (e->ctx != NULL) /* say-all */
		to.except.generation = 0;
	(void)sio_emit(to, "said", e->args);
}

static void on_hold(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	if (held_count < HELD_MAX)
		held[held_count++] = e->ack;
	pthread_mutex_unlock(&lock);
}

static void on_hold_count(const struct sio_event *e)
{
	char *text;

	pthread_mutex_lock(&lock);
	struct sio_args count = make(&text, "[%zu]", held_count);
	pthread_mutex_unlock(&lock);
	answer(e, count);
	free(text);
}

static void on_release(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < held_count; i++)
		(void)sio_answer(held[i], e->args);
	held_count = 0;
	pthread_mutex_unlock(&lock);
}

static void on_answered(const struct sio_reply *r)
{
	if (r->socket == NULL)
		return;
	if (r->status == 0)
		(void)sio_emit(sio_self(r->socket), "answered", r->args);
	else
		(void)sio_emit(sio_self(r->socket), "unanswered", sio_json("[]"));
}

static void on_ask(const struct sio_event *e)
{
	(void)sio_ask(sio_space_of(e->socket), sio_id(e->socket), "question", e->args, QUESTION_MS,
		on_answered, NULL);
}

static void on_kick(const struct sio_event *e)
{
	sio_disconnect(e->socket, e->ctx != NULL);
}

static void on_cut(const struct sio_event *e)
{
	sio_connection_close(e->socket);
}

/* Somebody else than who asks: the first of those whose answers are held. */
static void on_kick_held(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	struct sio_id id = held_count > 0 ? held[0].socket : sio_id(e->socket);
	pthread_mutex_unlock(&lock);
	(void)sio_disconnect_id(sio_space_of(e->socket), id, true);
}

static void on_who(const struct sio_event *e)
{
	char *text;

	answer(e, make(&text, "[%d]", atomic_load(&present[place(e->socket)])));
	free(text);
}

static void on_reasons(const struct sio_event *e)
{
	char *text;

	pthread_mutex_lock(&lock);
	struct sio_args list = make(&text, "[%.*s]]", (int)reasons_bytes, reasons);
	pthread_mutex_unlock(&lock);
	answer(e, list);
	free(text);
}

static void on_forget(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	reasons_bytes = 1;
	pthread_mutex_unlock(&lock);
	answer(e, sio_json("[]"));
}

static char to_others[] = "others", to_all[] = "all"; /* whom a flood is for; NULL: who has asked */

static void on_flood(const struct sio_event *e)
{
	struct sio_str count, bytes;
	char *fill, *text;

	if (!sio_arg(e, 0, &count) || !sio_arg(e, 1, &bytes))
		return;
	long n = strtol(count.s, NULL, 10), size = strtol(bytes.s, NULL, 10);
	if (n < 0 || n > 100000 || size < 0 || size > 1 << 20)
		return;
	fill = malloc((size_t)size + 1);
	if (fill == NULL)
		return;
	memset(fill, 'x', (size_t)size);
	fill[size] = '\0';
	struct sio_target to = e->ctx == NULL        ? sio_self(e->socket)
			       : e->ctx == to_others ? sio_to(e->socket, NULL)
						     : sio_all(sio_space_of(e->socket));
	for (long i = 0; i < n; i++) {
		(void)sio_emit(to, "flood", make(&text, "[%ld,\"%s\"]", i, fill));
		free(text);
	}
	free(fill);
}

/* sparing(from, count, bytes): to all others, of each number one that may be left out, and one that may not. */
static void on_sparing(const struct sio_event *e)
{
	struct sio_str from, count, bytes;
	char *text;

	if (!sio_arg(e, 0, &from) || !sio_arg(e, 1, &count) || !sio_arg(e, 2, &bytes))
		return;
	long first = strtol(from.s, NULL, 10), n = strtol(count.s, NULL, 10),
	     size = strtol(bytes.s, NULL, 10);
	if (n < 0 || n > 1000 || size < 0 || size > 1 << 20)
		return;
	struct sio_target to = sio_to(e->socket, NULL), if_it_can = to;
	if_it_can.is_volatile = true;
	for (long i = first; i < first + n; i++) {
		(void)sio_emit(if_it_can, "maybe", make(&text, "[%ld]", i));
		free(text);
		(void)sio_emit(to, "surely", make(&text, "[%ld,\"%0*d\"]", i, (int)size, 0));
		free(text);
	}
	answer(e, sio_json("[]"));
}

static void on_stats(const struct sio_event *e)
{
	struct sio_stats s;
	char *text;

	sio_stats(io, &s);
	answer(e, make(&text,
			  "[{\"late_acks\":%llu,\"moved\":%llu,\"packets_bad\":%llu,\"overflows\":%llu,"
			  "\"sessions\":%llu,"
			  "\"accepted\":%llu,\"refused\":%llu,\"skipped\":%llu,\"throttled\":%llu,"
			  "\"too_fast\":%llu,\"not_upgraded\":%llu}]",
			  (unsigned long long)s.answers_late, (unsigned long long)s.connections_moved,
			  (unsigned long long)s.packets_bad, (unsigned long long)s.queue_overflows,
			  (unsigned long long)(s.sessions_opened - s.sessions_closed),
			  (unsigned long long)s.connections_accepted,
			  (unsigned long long)s.connections_refused, (unsigned long long)s.skipped_volatile,
			  (unsigned long long)s.sessions_throttled, (unsigned long long)s.sessions_too_fast,
			  (unsigned long long)s.sessions_not_upgraded));
	free(text);
}

/* An object's members, as far as they have come. */
struct figures {
	char text[FIGURES_BYTES];
	size_t bytes;
};

static void put_figure(void *ctx, const struct sio_figure *f)
{
	struct figures *all = ctx;
	size_t room = sizeof(all->text) - all->bytes;

	if (f->space != NULL)
		return;
	int n = snprintf(all->text + all->bytes, room, "%s\"%s\":%llu", all->bytes > 0 ? "," : "", f->name,
		(unsigned long long)f->value);
	if (n < 0 || (size_t)n >= room)
		abort();
	all->bytes += (size_t)n;
}

/* All figures of the server, by their names. */
static void on_figures(const struct sio_event *e)
{
	struct figures all = { .bytes = 0 };
	char *text;

	sio_stats_each(io, put_figure, &all);
	answer(e, make(&text, "[{%s}]", all.text));
	free(text);
}

/* join-many(from, count): rooms of these numbers. */
static void on_join_many(const struct sio_event *e)
{
	struct sio_str from, count;
	char room[ROOM_BYTES];

	if (!sio_arg(e, 0, &from) || !sio_arg(e, 1, &count))
		return;
	long first = strtol(from.s, NULL, 10), n = strtol(count.s, NULL, 10);
	for (long i = first; i < first + n && n <= 100000; i++) {
		snprintf(room, sizeof(room), "room-%ld", i);
		(void)sio_join(e->socket, room);
	}
	answer(e, sio_json("[]"));
}

/* Its loop stands still. */
static void on_stall(const struct sio_event *e)
{
	(void)poll(NULL, 0, STALL_MS);
	answer(e, sio_json("[]"));
}

/* It was let in for a time, which is over. */
static void on_expire(const struct sio_event *e)
{
	if (sio_set_expiry(e->socket, 1, 0) != 0)
		abort();
}

static void on_plain(struct sio_peer *peer, bool binary, struct sio_bytes message, void *ctx)
{
	(void)peer;
	(void)binary;
	(void)message;
	(void)ctx;
}

static void on_lagging(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES];

	sio_sid(e->socket, sid);
	printf("%.*s %s\n", (int)e->name.bytes, e->name.s, sid);
}

static void listen_to(struct sio_space *space)
{
	static const struct {
		const char *event;
		sio_handler_fn *fn;
		void *ctx;
	} handlers[] = {
		{ "connection", on_connection, NULL },
		{ "disconnect", on_disconnect, NULL },
		{ "lagging", on_lagging, NULL },
		{ "drained", on_lagging, NULL },
		{ "message", on_message, NULL },
		{ "others", on_others, NULL },
		{ "echo", on_echo, NULL },
		{ "join", on_join, NULL },
		{ "leave", on_leave, NULL },
		{ "say", on_say, NULL },
		{ "say-all", on_say, "everyone" },
		{ "hold", on_hold, NULL },
		{ "hold-count", on_hold_count, NULL },
		{ "release", on_release, NULL },
		{ "ask", on_ask, NULL },
		{ "kick", on_kick, NULL },
		{ "kick-close", on_kick, "close" },
		{ "kick-held", on_kick_held, NULL },
		{ "cut", on_cut, NULL },
		{ "who", on_who, NULL },
		{ "reasons", on_reasons, NULL },
		{ "forget-reasons", on_forget, NULL },
		{ "flood", on_flood, NULL },
		{ "flood-all", on_flood, to_all },
		{ "flood-others", on_flood, to_others },
		{ "sparing", on_sparing, NULL },
		{ "stats", on_stats, NULL },
		{ "figures", on_figures, NULL },
		{ "join-many", on_join_many, NULL },
		{ "stall", on_stall, NULL },
		{ "expire", on_expire, NULL },
	};

	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (space == NULL || sio_on(space, handlers[i].event, handlers[i].fn, handlers[i].ctx) != 0)
			abort();
	}
}

static bool is_child(void *ctx, struct sio_str name, struct sio_str auth)
{
	static const char prefix[] = "/child";

	(void)ctx;
	(void)auth;
	return name.bytes >= sizeof(prefix) - 1 && memcmp(name.s, prefix, sizeof(prefix) - 1) == 0;
}

int main(void)
{
	const struct sio_recovery recovery = {
		.window_ms = env_number("RECOVERY_WINDOW"),
		.backlog_bytes_max = env_number("BACKLOG"),
		.kept_max = env_number("KEPT"),
	};
	char where[ENV_LISTEN_BYTES], err[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	io = sio_create(
		&(struct sio_options){
			.listen = env_listen(where),
			ENV_TLS,
			.limit_loopback = getenv("LIMIT_LOOPBACK") != NULL,
			.rates = { env_rate("RATE_MESSAGES"), env_rate("RATE_ADDRESS"),
				env_rate("RATE_SESSIONS") },
			.ping_interval_ms = env_number("PING_INTERVAL"),
			.ping_timeout_ms = env_number("PING_TIMEOUT"),
			.upgrade_timeout_ms = env_number("UPGRADE_TIMEOUT"),
			.connect_timeout_ms = env_number("CONNECT_TIMEOUT"),
			.message_bytes_max = env_number("MAX_PAYLOAD"),
			.queue_bytes_soft = env_number("QUEUE_SOFT"),
			.queue_bytes_max = env_number("QUEUE_MAX"),
			.queued_bytes_max = env_number("QUEUED_MAX"),
			.drain_ms = env_number("DRAIN_MS"),
			.connections_max = env_number("CONNECTIONS"),
			.dynamic_spaces_max = env_number("SPACES_MAX"),
			.recovery = recovery.window_ms > 0 ? &recovery : NULL,
		},
		err, sizeof(err));
	if (io == NULL) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	listen_to(sio_of(io, "/"));
	listen_to(sio_of(io, "/custom"));
	const struct sio_ws_options plain = { .events = { .message = on_plain },
		.queue_bytes_max = env_number("QUEUE_MAX") };
	if (getenv("PLAIN") != NULL && sio_ws(io, "/plain", &plain, NULL) == NULL)
		abort();
	if (getenv("SPACES_MAX") != NULL)
		listen_to(sio_of_names(io, is_child, NULL));
	printf("probe: listening on 127.0.0.1:%u\n", sio_port(io));
	int rc = sio_run(io);
	sio_destroy(io);
	return rc == 0 ? 0 : 1;
}
