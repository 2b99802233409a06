/*
 * tests/servers/twin.c -- the server of the differential tests; tests/system/peers/twin.mjs is its twin on Node.
 * tests/system/README.md says what each namespace and event does.
 *
 * Told by environment: PORT, PING_INTERVAL, PING_TIMEOUT, UPGRADE_TIMEOUT, CONNECT_TIMEOUT, and libsio's own SIO_THREADS and
 * SIO_SENDER.
 */
#include <poll.h>
#include <pthread.h>
#include <sio/sio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "env.h"

enum {
	LIST_BYTES = 1024,
	LIST_MAX = 32,
	NAME_BYTES = 64,
	SEEN_BYTES = 1 << 16,
};

static struct sio_server *io;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards seen */
static struct seen {
	char json[SEEN_BYTES];
	size_t bytes;
} seen[2]; /* what came, and what went, in /watched */

static void need(bool done)
{
	if (!done)
		abort();
}

__attribute__((format(printf, 1, 2))) static char *text_of(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	need(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

static void emit_text(struct sio_target to, const char *event, char *json)
{
	need(sio_emit(to, event, sio_json(json)) == 0);
	free(json);
}

static void answer_text(struct sio_ack ack, char *json)
{
	(void)sio_answer(ack, sio_json(json));
	free(json);
}

/* Whom a client means: arguments 0 to 2 are "others" or "all", and rooms and exceptions as lists in text. */
struct whom {
	struct sio_target target;
	char texts[2][LIST_BYTES];
	const char *lists[2][LIST_MAX];
};

static uint32_t split(char *text, const char **list)
{
	uint32_t count = 0;

	while (*text != '\0' && count < LIST_MAX) {
		list[count++] = text;
		text += strcspn(text, ",");
		if (*text == ',')
			*text++ = '\0';
	}
	return count;
}

static struct sio_target whom(const struct sio_event *e, struct whom *w)
{
	char who[NAME_BYTES];

	need(sio_arg_string(e, 0, who, sizeof(who)) && sio_arg_string(e, 1, w->texts[0], LIST_BYTES) &&
		sio_arg_string(e, 2, w->texts[1], LIST_BYTES));
	w->target = strcmp(who, "others") == 0 ? sio_to(e->socket, NULL) : sio_all(sio_space_of(e->socket));
	w->target.rooms = w->lists[0];
	w->target.room_count = split(w->texts[0], w->lists[0]);
	w->target.except_rooms = w->lists[1];
	w->target.except_room_count = split(w->texts[1], w->lists[1]);
	return w->target;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A JSON array of texts without characters to be quoted, in order. */
static char *json_list(const char **list, size_t count)
{
	char *json = text_of("[");

	if (count > 0)
		qsort(list, count, sizeof(*list), by_text);
	for (size_t i = 0; i < count; i++) {
		char *longer = text_of("%s%s\"%s\"", json, i > 0 ? "," : "", list[i]);
		free(json);
		json = longer;
	}
	char *whole = text_of("%s]", json);
	free(json);
	return whole;
}

static char *json_rooms(const struct sio_socket *s)
{
	const char *list[LIST_MAX];
	size_t count = 0;

	for (const char *room; count < LIST_MAX && (room = sio_room_at(s, (uint32_t)count)) != NULL;)
		list[count++] = room;
	return json_list(list, count);
}

static void answer_rooms(const struct sio_event *e)
{
	char *rooms = json_rooms(e->socket);

	answer_text(e->ack, text_of("[%s]", rooms));
	free(rooms);
}

static char leave[] = "leave", uncompressed[] = "uncompressed", local[] = "local", going[] = "going",
	    gone[] = "gone";

static void on_join(const struct sio_event *e)
{
	char room[NAME_BYTES];

	need(sio_arg_string(e, 0, room, sizeof(room)));
	if (e->ctx == NULL)
		need(sio_join(e->socket, room) == 0);
	else
		sio_leave(e->socket, room);
	answer_rooms(e);
}

/* The arguments from the fourth on are said. */
static void on_say(const struct sio_event *e)
{
	struct whom w;
	struct sio_target to = whom(e, &w);
	struct sio_str first;
	struct sio_args args = e->args;

	to.uncompressed = e->ctx == uncompressed;
	to.is_local = e->ctx == local;
	if (sio_arg(e, 3, &first)) {
		char *json = text_of("[%.*s", (int)(e->args.json.s + e->args.json.bytes - first.s), first.s);
		args.json = (struct sio_str){ json, strlen(json) };
		need(sio_emit(to, "said", args) == 0);
		free(json);
	} else {
		need(sio_emit(to, "said", sio_json("[]")) == 0);
	}
	(void)sio_answer(e->ack, sio_json("[\"ok\"]"));
}

static void on_join_all(const struct sio_event *e)
{
	struct whom w;
	struct sio_target to = whom(e, &w);
	char room[NAME_BYTES];

	need(sio_arg_string(e, 3, room, sizeof(room)));
	need((e->ctx == NULL ? sio_join_all(to, room) : sio_leave_all(to, room)) == 0);
	(void)sio_answer(e->ack, sio_json("[\"ok\"]"));
}

static void on_send_away(const struct sio_event *e)
{
	struct whom w;
	struct sio_target to = whom(e, &w);
	char how[NAME_BYTES];

	need(sio_arg_string(e, 3, how, sizeof(how)));
	need(sio_disconnect_all(to, strcmp(how, "close") == 0) == 0);
	(void)sio_answer(e->ack, sio_json("[\"ok\"]"));
}

static void fetched(const struct sio_fetched *f)
{
	struct sio_ack *ack = f->ctx;
	const char **list = calloc(f->count + 1, sizeof(*list));

	need(f->status == 0 && list != NULL);
	for (size_t i = 0; i < f->count; i++) {
		list[i] = f->sockets[i].sid;
		need(strcmp(f->sockets[i].address, "127.0.0.1") == 0);
	}
	char *json = json_list(list, f->count);
	answer_text(*ack, text_of("[%s]", json));
	free(json);
	free(list);
	free(ack);
}

static void on_fetch(const struct sio_event *e)
{
	struct whom w;
	struct sio_ack *ack = malloc(sizeof(*ack));

	need(ack != NULL);
	*ack = e->ack;
	need(sio_fetch(whom(e, &w), fetched, ack) == 0);
}

static int by_answer(const void *a, const void *b)
{
	const struct sio_given *x = a, *y = b;
	size_t least = x->args.json.bytes < y->args.json.bytes ? x->args.json.bytes : y->args.json.bytes;
	int order = memcmp(x->args.json.s, y->args.json.s, least);

	return order != 0 ? order : (int)(x->args.json.bytes - y->args.json.bytes);
}

/* The first argument of each answer, in order, and whether all have answered. */
static void on_replies(const struct sio_replies *r)
{
	struct sio_ack *ack = r->ctx;
	struct sio_given *sorted = calloc(r->count + 1, sizeof(*sorted));
	char *json = text_of("[%s,[", r->status == 0 ? "true" : "false");

	need(sorted != NULL);
	if (r->count > 0)
		memcpy(sorted, r->answers, r->count * sizeof(*sorted));
	qsort(sorted, r->count, sizeof(*sorted), by_answer);
	for (uint32_t i = 0; i < r->count; i++) {
		char *longer = text_of("%s%s%.*s", json, i > 0 ? "," : "", (int)sorted[i].args.json.bytes - 2,
			sorted[i].args.json.s + 1);
		free(json);
		json = longer;
	}
	answer_text(*ack, text_of("%s]]", json));
	free(json);
	free(sorted);
	free(ack);
}

/* The fourth argument is how long they have to answer. */
static void on_ask_all(const struct sio_event *e)
{
	struct whom w;
	struct sio_ack *ack = malloc(sizeof(*ack));
	struct sio_str ms;

	need(ack != NULL && sio_arg(e, 3, &ms));
	*ack = e->ack;
	need(sio_ask_all(whom(e, &w), "question", sio_json("[\"all\"]"), (uint32_t)strtoul(ms.s, NULL, 10),
		     on_replies, ack) == 0);
}

static void on_rooms(const struct sio_event *e)
{
	answer_rooms(e);
}

/* No one hears of it where a filter drops what begins so. */
static void on_nothing(const struct sio_event *e)
{
	(void)sio_emit(sio_self(e->socket), "said", sio_json("[\"nothing\"]"));
	(void)sio_answer(e->ack, sio_json("[\"handled\"]"));
}

static void on_leave_us(const struct sio_event *e)
{
	sio_disconnect(e->socket, false);
}

static void on_seen(const struct sio_event *e)
{
	pthread_mutex_lock(&lock);
	char *json = text_of(
		"[[%.*s],[%.*s]]", (int)seen[0].bytes, seen[0].json, (int)seen[1].bytes, seen[1].json);
	seen[0].bytes = seen[1].bytes = 0;
	pthread_mutex_unlock(&lock);
	answer_text(e->ack, json);
}

static void see(struct seen *s, const struct sio_event *e)
{
	bool more = e->args.json.bytes > 2;

	pthread_mutex_lock(&lock);
	int n = snprintf(s->json + s->bytes, SEEN_BYTES - s->bytes, "%s[\"%.*s\"%s%.*s",
		s->bytes > 0 ? "," : "", (int)e->name.bytes, e->name.s, more ? "," : "",
		(int)e->args.json.bytes - 1, e->args.json.s + 1);
	need(n > 0 && (size_t)n < SEEN_BYTES - s->bytes);
	s->bytes += (size_t)n;
	pthread_mutex_unlock(&lock);
}

static void on_any(const struct sio_event *e)
{
	see(&seen[0], e);
}

static void on_any_out(const struct sio_event *e)
{
	see(&seen[1], e);
}

/* What begins with "no" goes no further. */
static bool filter(const struct sio_event *e)
{
	if (e->name.bytes < 2 || memcmp(e->name.s, "no", 2) != 0)
		return true;
	(void)sio_answer(e->ack, sio_json("[\"dropped\"]"));
	return false;
}

/* A number behind a key in a client's auth; 0: it has none. */
static long number_in(struct sio_str auth, const char *key)
{
	const char *at = memmem(auth.s, auth.bytes, key, strlen(key));

	return at == NULL ? 0 : strtol(at + strlen(key), NULL, 10);
}

static void name_in(struct sio_str auth, char name[NAME_BYTES])
{
	static const char key[] = "\"name\":\"";
	const char *at = memmem(auth.s, auth.bytes, key, sizeof(key) - 1), *end = auth.s + auth.bytes;
	size_t bytes = 0;

	for (at = at == NULL ? end : at + sizeof(key) - 1; at + bytes < end && at[bytes] != '"';)
		bytes++;
	snprintf(name, NAME_BYTES, "%.*s", (int)bytes, at);
}

/* The query and the headers as far as the tests ask for them. */
static void on_connection(const struct sio_event *e)
{
	char *name = calloc(1, NAME_BYTES), from[NAME_BYTES] = "";
	struct sio_handshake h;
	struct sio_str header = { "null", 4 };

	need(name != NULL && sio_handshake(e->socket, &h));
	name_in(e->auth, name);
	sio_set_data(e->socket, name, free);
	bool has_from = sio_handshake_param(e->socket, "from", from, sizeof(from));
	bool has_header = sio_handshake_header(e->socket, "X-From", &header);
	bool recent =
		h.at_ms / 1000 < (uint64_t)time(NULL) + 60 && h.at_ms / 1000 + 60 > (uint64_t)time(NULL);
	emit_text(sio_self(e->socket), "welcome",
		text_of("[\"%s\",%s%s%s,%s%.*s%s,%s,%s]", sio_space_name(sio_space_of(e->socket)),
			has_from ? "\"" : "", has_from ? from : "null", has_from ? "\"" : "",
			has_header ? "\"" : "", (int)header.bytes, header.s, has_header ? "\"" : "",
			recent ? "true" : "false", h.secure ? "true" : "false"));
}

static void on_going(const struct sio_event *e)
{
	char *rooms = json_rooms(e->socket);

	emit_text(sio_to(e->socket, "watchers"), e->ctx,
		text_of("[\"%s\",\"%.*s\",%s]", (const char *)sio_data(e->socket), (int)e->reason.bytes,
			e->reason.s, rooms));
	free(rooms);
}

/* One that waits for its middleware. */
struct waiting {
	struct sio_ack ticket;
	long ms;
	bool refuse;
	struct sio_refusal refusal;
};

static void *decide_later(void *arg)
{
	struct waiting *w = arg;

	(void)poll(NULL, 0, (int)w->ms);
	(void)!sio_decide(w->ticket, w->refuse ? &w->refusal : NULL);
	free(w);
	return NULL;
}

/* What a client asks for by its auth: {"wait": ms} lets it wait, {"refuse": n} is refused by the n-th function. */
static enum sio_verdict middleware(const struct sio_event *e, struct sio_refusal *refusal)
{
	static const struct sio_refusal refusals[] = {
		{ 0 },
		{ .message = "refused by 1", .data_json = { "{\"step\":1}", 10 } },
		{ .message = "refused by 2", .data_json = { "{\"step\":2}", 10 } },
	};
	long n = (long)(intptr_t)e->ctx, ms = number_in(e->auth, "\"wait\":");
	bool refuse = number_in(e->auth, "\"refuse\":") == n;
	pthread_t thread;

	if (ms <= 0) {
		*refusal = refusals[n];
		return refuse ? SIO_REFUSE : SIO_ADMIT;
	}
	struct waiting *w = malloc(sizeof(*w));
	need(w != NULL);
	*w = (struct waiting){ .ticket = e->ack, .ms = ms, .refuse = refuse, .refusal = refusals[n] };
	need(pthread_create(&thread, NULL, decide_later, w) == 0 && pthread_detach(thread) == 0);
	return SIO_LATER;
}

static bool is_child(void *ctx, struct sio_str name, struct sio_str auth)
{
	static const char prefix[] = "/child-";
	size_t at = sizeof(prefix) - 1;

	(void)ctx;
	(void)auth;
	if (name.bytes <= at || memcmp(name.s, prefix, at) != 0)
		return false;
	while (at < name.bytes && name.s[at] >= '0' && name.s[at] <= '9')
		at++;
	return at == name.bytes;
}

static void serve(struct sio_space *space)
{
	static const struct {
		const char *event;
		sio_handler_fn *fn;
		void *ctx;
	} handlers[] = {
		{ "connection", on_connection, NULL },
		{ "disconnecting", on_going, going },
		{ "disconnect", on_going, gone },
		{ "join", on_join, NULL },
		{ "leave", on_join, leave },
		{ "rooms", on_rooms, NULL },
		{ "say", on_say, NULL },
		{ "say-uncompressed", on_say, uncompressed },
		{ "say-local", on_say, local },
		{ "join-all", on_join_all, NULL },
		{ "leave-all", on_join_all, leave },
		{ "send-away", on_send_away, NULL },
		{ "fetch", on_fetch, NULL },
		{ "ask-all", on_ask_all, NULL },
		{ "seen", on_seen, NULL },
		{ "leave-us", on_leave_us, NULL },
		{ "nothing", on_nothing, NULL },
	};

	need(space != NULL);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		need(sio_on(space, handlers[i].event, handlers[i].fn, handlers[i].ctx) == 0);
}

static void initial_headers(void *ctx, const struct sio_request *r, struct sio_headers *h)
{
	struct sio_str from;
	char value[NAME_BYTES];

	(void)ctx;
	if (!sio_request_header(r, "x-from", &from))
		return;
	snprintf(value, sizeof(value), "hello %.*s", (int)from.bytes, from.s);
	need(sio_headers_add(h, "X-Hello", value) == 0);
	/* What is none, or would say how the answer is framed, stays away. */
	need(sio_headers_add(h, "Content-Length", "3") < 0 && sio_headers_add(h, "X-Bad", "a\r\nb: c") < 0 &&
		sio_headers_add(h, "X Bad", "") < 0);
}

/* CORS: "any"; "named": two origins, with cookies; "all": whatever can be said. */
static const struct sio_cors *cors(void)
{
	static const char *const origins[] = { "http://one.example", "http://two.example" };
	static const struct sio_cors any,
		named = { .origins = origins, .origin_count = 2, .credentials = true },
		all = {
			.origins = origins,
			.origin_count = 2,
			.credentials = true,
			.methods = "GET,POST",
			.allowed_headers = "X-One,X-Two",
			.exposed_headers = "X-Hello",
			.max_age_s = 600,
		};
	const char *which = getenv("CORS");

	return which == NULL                 ? NULL
	       : strcmp(which, "any") == 0   ? &any
	       : strcmp(which, "named") == 0 ? &named
					     : &all;
}

int main(void)
{
	static const struct sio_cookie cookie = { .name = "io" };
	char where[ENV_LISTEN_BYTES], err[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	io = sio_create(
		&(struct sio_options){
			.listen = env_listen(where),
			ENV_TLS,
			.ping_interval_ms = env_number("PING_INTERVAL"),
			.ping_timeout_ms = env_number("PING_TIMEOUT"),
			.upgrade_timeout_ms = env_number("UPGRADE_TIMEOUT"),
			.connect_timeout_ms = env_number("CONNECT_TIMEOUT"),
			.keep_handshake = true,
			.cors = cors(),
			.cookie = getenv("COOKIE") == NULL ? NULL : &cookie,
			.initial_headers = initial_headers,
		},
		err, sizeof(err));
	if (io == NULL) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	struct sio_space *spaces[] = { sio_of(io, "/"), sio_of_names(io, is_child, NULL) };
	struct sio_space *watched = sio_of(io, "/watched");
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		serve(spaces[i]);
		need(sio_use(spaces[i], middleware, (void *)1) == 0);
		need(sio_use(spaces[i], middleware, (void *)2) == 0);
	}
	serve(watched);
	sio_on_any(watched, on_any, NULL);
	sio_on_any_out(watched, on_any_out, NULL);
	need(sio_use_events(watched, filter, NULL) == 0);
	printf("twin: listening on 127.0.0.1:%u\n", sio_port(io));
	int rc = sio_run(io);
	sio_destroy(io);
	return rc == 0 ? 0 : 1;
}
