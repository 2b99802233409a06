/*
 * tests/servers/keeper.c -- a server whose clients may come back as who they were: the twin of tests/system/peers/keeper.mjs.
 *
 *      RECOVERY_WINDOW, BACKLOG, KEPT   limits; ASKS: middleware is asked of who comes back, and refuses who has `refused` in its auth
 */
#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "env.h"
#include "sio/stats.h"

enum { HELD_MAX = 256, TEXT_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards held */
static struct sio_ack held[HELD_MAX];
static size_t held_count;
static struct sio_space *root;

static void need(bool ok)
{
	if (!ok)
		abort();
}

__attribute__((format(printf, 2, 3))) static void answer(const struct sio_event *e, const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	need(n > 0 && (size_t)n < sizeof(text));
	(void)sio_answer(e->ack, sio_json(text));
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_rooms(const struct sio_event *e)
{
	const char *names[64], *name;
	char text[TEXT_BYTES] = "";
	size_t count = 0, at = 0;

	for (; count < 64 && (name = sio_room_at(e->socket, (uint32_t)count)) != NULL; count++)
		names[count] = name;
	qsort(names, count, sizeof(names[0]), compare);
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\"", i > 0 ? "," : "", names[i]);
	answer(e, "[[%s]]", text);
}

static void on_join(const struct sio_event *e)
{
	char room[SIO_ROOM_BYTES_MAX];

	need(sio_arg_string(e, 0, room, sizeof(room)) && sio_join(e->socket, room) == 0);
	on_rooms(e);
}

static void on_set(const struct sio_event *e)
{
	char text[256];

	need(sio_arg_string(e, 0, text, sizeof(text)));
	sio_set_data(e->socket, strdup(text), free);
	need(sio_set_label(e->socket, sio_text(text)) == 0);
	answer(e, "[]");
}

static void on_who(const struct sio_event *e)
{
	const char *data = sio_data(e->socket);
	struct sio_str label = sio_label(e->socket);

	need(data == NULL ? label.bytes == 0 : strcmp(data, label.s) == 0);
	answer(e, "[%s,\"%s\"]", sio_recovered(e->socket) ? "true" : "false", data == NULL ? "" : data);
}

/* say(room or "", not room or "", number): to all of it but those. ctx: volatile, with a text at its end. */
static void on_say(const struct sio_event *e)
{
	char room[SIO_ROOM_BYTES_MAX], except[SIO_ROOM_BYTES_MAX], text[TEXT_BYTES];
	const char *const excepts[] = { except };
	struct sio_target target = sio_all(root);
	struct sio_str number;

	need(sio_arg_string(e, 0, room, sizeof(room)) && sio_arg_string(e, 1, except, sizeof(except)) &&
		sio_arg(e, 2, &number));
	target.room = room[0] == '\0' ? NULL : room;
	target.except_rooms = excepts;
	target.except_room_count = except[0] != '\0';
	target.is_volatile = e->ctx != NULL;
	snprintf(text, sizeof(text), target.is_volatile ? "[%.*s,\"a text\"]" : "[%.*s]", (int)number.bytes,
		number.s);
	need(sio_emit(target, "said", sio_json(text)) == 0);
	answer(e, "[]");
}

static void on_others(const struct sio_event *e)
{
	(void)sio_emit(sio_to(e->socket, NULL), "said", e->args);
	answer(e, "[]");
}

/* Answers what it says; before that, to itself alone. */
static void on_self(const struct sio_event *e)
{
	need(sio_emit(sio_self(e->socket), "said", e->args) == 0);
	answer(e, "[]");
}

static void on_hold(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	need(held_count < HELD_MAX);
	held[held_count++] = e->ack;
	pthread_mutex_unlock(&lock);
}

/* The held are answered, from wherever this is. */
static void on_release(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < held_count; i++)
		(void)sio_answer(held[i], sio_json("[\"released\"]"));
	held_count = 0;
	pthread_mutex_unlock(&lock);
	answer(e, "[]");
}

static void on_kick(const struct sio_event *e)
{
	sio_disconnect(e->socket, e->ctx != NULL);
}

static void on_cut(const struct sio_event *e)
{
	sio_connection_close(e->socket);
}

static void on_known(const struct sio_event *e)
{
	struct sio_stats s;

	sio_stats(e->ctx, &s);
	answer(e, "[%llu]", (unsigned long long)(s.sockets_connected - s.sockets_disconnected));
}

static enum sio_verdict middleware(const struct sio_event *e, struct sio_refusal *refusal)
{
	static const char refused[] = "refused";

	(void)refusal;
	return memmem(e->auth.s, e->auth.bytes, refused, sizeof(refused) - 1) == NULL ? SIO_ADMIT
										      : SIO_REFUSE;
}

int main(void)
{
	static char yes[] = "yes";
	struct sio_recovery recovery = {
		.window_ms = env_number("RECOVERY_WINDOW"),
		.backlog_bytes_max = env_number("BACKLOG"),
		.kept_max = env_number("KEPT"),
		.asks_middleware = getenv("ASKS") != NULL,
	};
	char where[ENV_LISTEN_BYTES], err[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	struct sio_server *io = sio_create(
		&(struct sio_options){
			.listen = env_listen(where),
			ENV_TLS,
			.ping_interval_ms = env_number("PING_INTERVAL"),
			.ping_timeout_ms = env_number("PING_TIMEOUT"),
			.recovery = &recovery,
		},
		err, sizeof(err));
	if (io == NULL) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	root = sio_of(io, "/");
	const struct {
		const char *event;
		sio_handler_fn *fn;
		void *ctx;
	} handlers[] = {
		{ "rooms", on_rooms, NULL },
		{ "join", on_join, NULL },
		{ "set", on_set, NULL },
		{ "who", on_who, NULL },
		{ "say", on_say, NULL },
		{ "say-volatile", on_say, yes },
		{ "others", on_others, NULL },
		{ "self", on_self, NULL },
		{ "hold", on_hold, NULL },
		{ "release", on_release, NULL },
		{ "kick", on_kick, NULL },
		{ "kick-close", on_kick, yes },
		{ "cut", on_cut, NULL },
		{ "known", on_known, io },
	};
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		need(sio_on(root, handlers[i].event, handlers[i].fn, handlers[i].ctx) == 0);
	need(sio_use(root, middleware, NULL) == 0);
	printf("keeper: listening on 127.0.0.1:%u\n", sio_port(io));
	int rc = sio_run(io);
	sio_destroy(io);
	return rc == 0 ? 0 : 1;
}
