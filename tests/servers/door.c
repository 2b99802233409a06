/*
 * tests/servers/door.c -- a server that asks who comes in, hands work between threads and answers HTTP: what the probe does
 * not. tests/system/README.md says what each name does; tests/system/peers/door.mjs is its twin on Node, without HTTP.
 *
 * Told by environment: PORT, DRAIN_MS, CONNECT_TIMEOUT, and libsio's own SIO_THREADS and SIO_SENDER.
 */
#include <pthread.h>
#include <sio/http.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"

enum {
	HELD_MAX = 256,
	NAME_BYTES = 64,
	STEPS_MAX = 10000,
	BODY_BYTES_MAX = 1000,
};

static const char good_origin[] = "http://good.example", own_origin[] = "http://127.0.0.1:";

static struct sio_server *io;
static struct sio_space *root;
static atomic_int asked, asked_again, made, destroyed, socket_data, with_asked, with_run, with_gone;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards held and bad_codes */
static struct sio_exchange held[HELD_MAX];
static size_t held_count;

/* What is kept with a connection. */
struct guest {
	char name[NAME_BYTES];
	bool may_upgrade;
};

static void destroy_guest(void *data)
{
	atomic_fetch_add(&destroyed, 1);
	free(data);
}

static void destroy_socket_data(void *data)
{
	atomic_fetch_sub(&socket_data, 1);
	free(data);
}

static bool is(struct sio_str text, const char *want)
{
	return text.bytes == strlen(want) && memcmp(text.s, want, text.bytes) == 0;
}

/* Text within a JSON of the client's. */
static bool has(struct sio_str json, const char *want)
{
	return memmem(json.s, json.bytes, want, strlen(want)) != NULL;
}

/* Foreign origins are refused (clients in Python send their server's), and who says so: X-Name is kept, X-Refuse says how, X-No-Upgrade refuses that alone. */
static bool allow(void *ctx, const struct sio_request *r, struct sio_admission *a)
{
	struct sio_str value;
	const struct guest *known = a->data;

	(void)ctx;
	if (known != NULL) {
		atomic_fetch_add(&asked_again, 1);
		a->message = "stay where you are";
		a->data = NULL; /* ignored */
		return known->may_upgrade;
	}
	atomic_fetch_add(&asked, 1);
	if (sio_request_header(r, "origin", &value) && !is(value, good_origin) &&
		strncmp(value.s, own_origin, sizeof(own_origin) - 1) != 0) {
		a->message = "a \"foreign\" origin";
		return false;
	}
	if (!sio_request_from_loopback(r) || !is(r->method, "GET") || !is(r->path, "/socket.io/"))
		return false;
	struct guest *g = calloc(1, sizeof(*g));
	if (g == NULL)
		return false;
	atomic_fetch_add(&made, 1);
	a->data = g;
	a->destroy = destroy_guest;
	g->may_upgrade = !sio_request_header(r, "x-no-upgrade", &value);
	if (sio_request_header(r, "X-NAME", &value) && value.bytes < sizeof(g->name))
		memcpy(g->name, value.s, value.bytes);
	if (!sio_request_header(r, "x-refuse", &value))
		return true;
	a->message = is(value, "plainly") ? NULL
		     : is(value, "unsaid")
			     ? "not\x01 to be said"
			     : "refused, though its data had been made; a text of more than two hundred "
			       "characters is cut: 0123456789 0123456789 0123456789 0123456789 "
			       "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 end";
	return false;
}

__attribute__((format(printf, 2, 3))) static struct sio_args make(char **ret_text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_text, format, args) < 0)
		abort();
	va_end(args);
	return sio_json(*ret_text);
}

static enum sio_verdict admit(const struct sio_event *e, struct sio_refusal *r)
{
	static const struct {
		const char *auth;
		struct sio_refusal refusal;
	} refusals[] = {
		{ "\"bare\"", { .message = "no \"entry\"" } },
		{ "\"data\"", { .message = "ünï", .data_json = { "{\"code\":7,\"why\":[1,null]}", 25 } } },
		{ "\"number\"", { .message = "", .data_json = { "42", 2 } } },
		{ "\"null\"", { .message = NULL } },
		{ "\"broken\"", { .message = "broken", .data_json = { "{\"code\":", 8 } } },
	};
	struct sio_target self = sio_self(e->socket);
	char sid[SIO_SID_BYTES], *text = calloc(1, SIO_SID_BYTES);

	/* None of this reaches it, or stays. */
	(void)sio_emit(self, "too early", sio_json("[]"));
	if (sio_join(e->socket, "early") == 0)
		abort();
	sio_disconnect(e->socket, true);
	if (text == NULL)
		return SIO_REFUSE;
	sio_sid(e->socket, sid);
	memcpy(text, sid, sizeof(sid));
	atomic_fetch_add(&socket_data, 1);
	sio_set_data(e->socket, text, destroy_socket_data);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (has(e->auth, refusals[i].auth)) {
			*r = refusals[i].refusal;
			return SIO_REFUSE;
		}
	}
	return e->ctx == NULL ? SIO_ADMIT : SIO_REFUSE; /* /closed is for nobody */
}

static const struct guest *guest_of(const struct sio_socket *s)
{
	static const struct guest nobody = { .name = "" };
	const struct guest *g = sio_connection_data(s);

	return g == NULL ? &nobody : g;
}

static void on_connection(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES], *text;
	const char *kept = sio_data(e->socket);

	sio_sid(e->socket, sid);
	if (kept == NULL || strcmp(kept, sid) != 0)
		abort(); /* the middleware had the same socket */
	(void)sio_emit(sio_self(e->socket), "welcome", make(&text, "[\"%s\"]", guest_of(e->socket)->name));
	free(text);
}

static void on_disconnect(const struct sio_event *e)
{
	printf("left: %s %.*s\n", guest_of(e->socket)->name, (int)e->reason.bytes, e->reason.s);
}

static void on_other(const struct sio_event *e)
{
	/* Behind the bracket: what comes after the name in the answer. */
	struct sio_str rest = { e->args.json.s + 1, e->args.json.bytes - 1 };
	char *text;
	struct sio_args args = make(&text, "[\"%.*s\"%s%.*s", (int)e->name.bytes, e->name.s,
		rest.bytes > 1 ? "," : "", (int)rest.bytes, rest.s);

	args.attachments = e->args.attachments;
	args.attachment_count = e->args.attachment_count;
	(void)sio_answer(e->ack, args);
	free(text);
}

static void on_counts(const struct sio_event *e)
{
	char *text;

	(void)sio_answer(e->ack,
		make(&text,
			"[{\"asked\":%d,\"askedAgain\":%d,\"made\":%d,\"destroyed\":%d,\"socketData\":%d,"
			"\"withAsked\":%d,\"withRun\":%d,\"withGone\":%d}]",
			atomic_load(&asked), atomic_load(&asked_again), atomic_load(&made),
			atomic_load(&destroyed), atomic_load(&socket_data), atomic_load(&with_asked),
			atomic_load(&with_run), atomic_load(&with_gone)));
	free(text);
}

/* Steps: by turns an emit and a sio_with() whose function emits the next number. */
struct steps {
	struct sio_id id;
	int count;
	bool disconnects; /* half-way */
};

static void emit_number(struct sio_target to, int number)
{
	char *text;

	(void)sio_emit(to, "step", make(&text, "[%d]", number));
	free(text);
}

struct with {
	int number;
	int deeper; /* asks for as many more, each from within the one before */
};

static void run_with(struct sio_socket *s, void *ctx);

static void ask_with(struct sio_id id, int number, int deeper)
{
	struct with *w = malloc(sizeof(*w));

	if (w == NULL)
		abort();
	*w = (struct with){ .number = number, .deeper = deeper };
	atomic_fetch_add(&with_asked, 1);
	if (sio_with(root, id, run_with, w) != 0)
		abort();
}

static void run_with(struct sio_socket *s, void *ctx)
{
	struct with *w = ctx;

	atomic_fetch_add(&with_run, 1);
	if (s == NULL) {
		atomic_fetch_add(&with_gone, 1);
	} else {
		emit_number(sio_self(s), w->number);
		if (w->deeper > 0) {
			ask_with(sio_id(s), w->number + 1, w->deeper - 1);
			emit_number(sio_self(s), w->number + 1000);
		}
	}
	free(w);
}

static void take_steps(const struct steps *steps)
{
	struct sio_target to = sio_all(root);

	to.only = steps->id;
	for (int i = 0; i < steps->count; i++) {
		if (steps->disconnects && i == steps->count / 2)
			(void)sio_disconnect_id(root, steps->id, false);
		if (i % 2 == 0)
			emit_number(to, i);
		else
			ask_with(steps->id, i, 0);
	}
}

static void *steps_main(void *arg)
{
	take_steps(arg);
	free(arg);
	return NULL;
}

/* "here" within the handler, else from a thread of its own; with "-gone" the socket is sent away half-way. */
static void on_steps(const struct sio_event *e)
{
	struct steps *steps = calloc(1, sizeof(*steps));
	struct sio_str count;
	pthread_t thread;

	if (steps == NULL || !sio_arg(e, 0, &count))
		abort();
	*steps = (struct steps){ .id = sio_id(e->socket), .count = (int)strtol(count.s, NULL, 10) };
	steps->disconnects = has(e->name, "-gone");
	if (steps->count > STEPS_MAX)
		abort();
	if (has(e->name, "here"))
		steps_main(steps);
	else if (pthread_create(&thread, NULL, steps_main, steps) != 0 || pthread_detach(thread) != 0)
		abort();
}

/* Its function asks for the next, ten deep; and an answer stays behind what was put off before it. */
static void on_deeper(const struct sio_event *e)
{
	ask_with(sio_id(e->socket), 0, 9);
	(void)sio_answer(e->ack, sio_json("[\"behind the first\"]"));
}

static void on_nobody(const struct sio_event *e)
{
	ask_with((struct sio_id){ .generation = 0 }, 0, 0);
	ask_with((struct sio_id){ .loop = 1000, .slot = 1, .generation = 1 }, 0, 0);
	(void)sio_answer(e->ack, sio_json("[]"));
}

/* HTTP. */

static int reply_text(struct sio_exchange x, uint16_t status, const char *text)
{
	return sio_reply(
		x, &(struct sio_response){ .status = status }, (struct sio_str){ text, strlen(text) });
}

static void on_now(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	static const struct sio_header headers[] = { { "X-Served-By", "door" }, { "Set-Cookie", "a=b" } };
	struct sio_response response = {
		.status = 200,
		.content_type = "application/json",
		.cache_control = "no-cache",
		.headers = headers,
		.header_count = 2,
	};

	(void)ctx;
	if (!is(r->method, "GET")) {
		struct sio_header allowed = { "Allow", "GET, HEAD" };
		response = (struct sio_response){ .status = 405, .headers = &allowed, .header_count = 1 };
		(void)!sio_reply(x, &response, (struct sio_str){ "", 0 });
		return;
	}
	if (sio_reply(x, &response, (struct sio_str){ "{\"now\":true}", 12 }) != 0)
		abort();
	/* Once, and no more. */
	if (reply_text(x, 200, "again") >= 0)
		abort();
}

struct work {
	struct sio_exchange x;
	char *text;
	uint16_t status;
};

static void *work_main(void *arg)
{
	struct work *w = arg;
	struct sio_header header = { "X-From", "another thread" };
	struct sio_response response = { .status = w->status, .headers = &header, .header_count = 1 };

	if (sio_reply(w->x, &response, (struct sio_str){ w->text, strlen(w->text) }) != 0)
		abort();
	free(w->text);
	free(w);
	return NULL;
}

/* What was asked, said by another thread. */
static void on_later(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	struct work *w = calloc(1, sizeof(*w));
	struct sio_str header = { "", 0 };
	pthread_t thread;

	(void)ctx;
	if (!sio_request_header(r, "x-header", &header))
		header = (struct sio_str){ "-", 1 };
	if (w == NULL || asprintf(&w->text, "%.*s %.*s ?%.*s %.*s %.*s", (int)r->method.bytes, r->method.s,
				 (int)r->path.bytes, r->path.s, (int)r->query.bytes, r->query.s,
				 (int)header.bytes, header.s, (int)r->body.bytes, r->body.s) < 0)
		abort();
	w->x = x;
	w->status = 200;
	if (pthread_create(&thread, NULL, work_main, w) != 0 || pthread_detach(thread) != 0)
		abort();
}

static void on_held(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	(void)r;
	(void)ctx;
	pthread_mutex_lock(&lock);
	if (held_count < HELD_MAX)
		held[held_count++] = x;
	pthread_mutex_unlock(&lock);
}

/* Answer all that are held, by a thread of its own; how many of those that are this loop's had gone. */
static void on_release(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	char text[64];
	int gone = 0, bad = 0;

	(void)r;
	(void)ctx;
	pthread_mutex_lock(&lock);
	size_t count = held_count;
	for (size_t i = 0; i < held_count; i++) {
		int rc = reply_text(held[i], 200, "released");
		gone += rc != 0;
		bad += reply_text(held[i], 200, "twice") == 0 && held[i].id.loop == x.id.loop;
	}
	held_count = 0;
	pthread_mutex_unlock(&lock);
	snprintf(text, sizeof(text), "%zu held, %d gone, %d answered twice", count, gone, bad);
	(void)!reply_text(x, 200, text);
}

static void on_held_count(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	char text[20];

	(void)r;
	(void)ctx;
	pthread_mutex_lock(&lock);
	snprintf(text, sizeof(text), "%zu", held_count);
	pthread_mutex_unlock(&lock);
	(void)!reply_text(x, 200, text);
}

/* What cannot be sent is said to be so, and the exchange still waits. */
static void on_wrong(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	static const struct sio_header wrong[] = { { "X-A", "a\r\nX-B: b" }, { "X A", "a" }, { "", "a" },
		{ "Content-Length", "3" }, { "transfer-encoding", "chunked" }, { "Connection", "close" },
		{ NULL, "" } };
	int taken = 0;

	(void)r;
	(void)ctx;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sio_response one = { .status = 200, .headers = &wrong[i], .header_count = 1 };
		taken += sio_reply(x, &one, (struct sio_str){ "", 0 }) == 0;
	}
	taken += reply_text(x, 199, "") == 0;
	taken += reply_text(x, 600, "") == 0;
	taken += sio_reply(x, &(struct sio_response){ .status = 200, .content_type = "a\nb" },
			 (struct sio_str){ "", 0 }) == 0;
	taken += sio_reply(x, &(struct sio_response){ .status = 200 },
			 (struct sio_str){ "", SIO_HTTP_REPLY_BYTES_MAX + 1 }) == 0;
	(void)!reply_text(x, (uint16_t)(taken == 0 ? 204 : 500), "");
}

static void on_page(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	(void)r;
	(void)!reply_text(x, 200, ctx);
}

static void need(int rc)
{
	if (rc < 0)
		abort();
}

static void serve_paths(void)
{
	static const struct sio_header policy[] = { { "Content-Security-Policy", "default-src 'self'" },
		{ "Referrer-Policy", "no-referrer" } };
	static const struct sio_asset asset = {
		.path = "/assets/app.js",
		.content_type = "text/javascript; charset=utf-8",
		.etag = "\"v1\"",
		.cache_control = "public, max-age=31536000, immutable",
		.identity = { "identity", 8 },
		.gzip = { "a gzip", 6 },
		.br = { "a br", 4 },
		.headers = policy,
		.header_count = 2,
	};
	struct sio_asset odd = asset;

	need(sio_http(io, "/now", 0, on_now, NULL));
	need(sio_http(io, "/later/", BODY_BYTES_MAX, on_later, NULL));
	need(sio_http(io, "/later/page", 0, on_page, "just this one"));
	need(sio_http(io, "/later/deeper/", 0, on_page, "the longer one"));
	need(sio_http(io, "/held", 0, on_held, NULL));
	need(sio_http(io, "/held/count", 0, on_held_count, NULL));
	need(sio_http(io, "/release", 0, on_release, NULL));
	need(sio_http(io, "/wrong", 0, on_wrong, NULL));
	need(sio_http(io, "/", 0, on_page, "the root alone"));
	need(sio_serve_asset(io, &asset));
	odd.path = "/below/";
	need(sio_serve_asset(io, &odd));
}

static void listen_to(void)
{
	struct sio_space *closed = sio_of(io, "/closed"), *silent = sio_of(io, "/silent");

	root = sio_of(io, "/");
	if (root == NULL || closed == NULL || silent == NULL)
		abort();
	need(sio_on(root, "connection", on_connection, NULL));
	need(sio_on(root, "disconnect", on_disconnect, NULL));
	need(sio_on(root, "counts", on_counts, NULL));
	need(sio_on(root, "steps", on_steps, NULL));
	need(sio_on(root, "steps-here", on_steps, NULL));
	need(sio_on(root, "steps-gone", on_steps, NULL));
	need(sio_on(root, "steps-here-gone", on_steps, NULL));
	need(sio_on(root, "deeper", on_deeper, NULL));
	need(sio_on(root, "nobody", on_nobody, NULL));
	sio_on_other(root, on_other, NULL);
	if (sio_use(root, admit, NULL) != 0 || sio_use(closed, admit, "closed") != 0)
		abort();
}

int main(void)
{
	char where[ENV_LISTEN_BYTES], err[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	io = sio_create(
		&(struct sio_options){
			.listen = env_listen(where),
			ENV_TLS,
			.connect_timeout_ms = env_number("CONNECT_TIMEOUT"),
			.drain_ms = env_number("DRAIN_MS"),
			.rates.address_sessions = env_rate("RATE_SESSIONS"),
			.limit_loopback = getenv("LIMIT_LOOPBACK") != NULL,
			.allow = allow,
		},
		err, sizeof(err));
	if (io == NULL) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	listen_to();
	serve_paths();
	printf("door: listening on 127.0.0.1:%u\n", sio_port(io));
	int rc = sio_run(io);
	sio_destroy(io);
	printf("door: %d made, %d destroyed, %d of sockets left, %d of %d run\n", atomic_load(&made),
		atomic_load(&destroyed), atomic_load(&socket_data), atomic_load(&with_run),
		atomic_load(&with_asked));
	return rc == 0 ? 0 : 1;
}
