/* app/request.c -- see app/request.h. */
#include "app/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

enum { MS_PER_S = 1000, RETRY_BYTES = 24, COOKIE_BYTES = 128 };

struct request *request_create(
	struct app *app, struct peer *peer, const struct command *command, size_t room_bytes)
{
	size_t bytes = sizeof(struct request) + room_bytes;
	size_t before = atomic_fetch_add_explicit(&app->command_bytes, bytes, memory_order_relaxed);
	struct request *r = before + bytes > APP_COMMAND_BYTES_IN_ALL_MAX ? NULL : calloc(1, bytes);

	if (r == NULL) {
		atomic_fetch_sub_explicit(&app->command_bytes, bytes, memory_order_relaxed);
		return NULL;
	}
	r->app = app;
	r->command = command;
	r->way = peer == NULL ? REQUEST_BY_HTTP : REQUEST_BY_SOCKET;
	r->peer = peer;
	r->room_bytes = room_bytes;
	list_init(&r->waiting);
	json_init(&r->answer);
	if (peer != NULL) {
		peer_ref(peer);
		r->counted = true;
		atomic_fetch_add_explicit(&peer->caller->commands, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&peer->caller->command_bytes, room_bytes, memory_order_relaxed);
		r->visitor = peer->caller->visitor;
		r->limit_key = peer->limit_key;
	}
	return r;
}

bool request_count_read(struct request *r)
{
	unsigned before = atomic_fetch_add_explicit(&r->app->reads, 1, memory_order_relaxed);

	assert(!r->read);
	r->read = true;
	if (r->peer != NULL)
		atomic_fetch_add_explicit(&r->peer->caller->reads, 1, memory_order_relaxed);
	if (before < APP_READS_IN_ALL_MAX && !sequencer_behind(r->app->sequencer))
		return true;
	request_fail(r, (struct chat_fault){ CHAT_BUSY, NULL });
	return false;
}

/* It is under way no longer. */
static void uncount(struct request *r)
{
	struct caller *c = r->peer == NULL ? NULL : r->peer->caller;

	if (r->read)
		atomic_fetch_sub_explicit(&r->app->reads, 1, memory_order_relaxed);
	if (r->read && c != NULL)
		atomic_fetch_sub_explicit(&c->reads, 1, memory_order_relaxed);
	r->read = false;
	if (!r->counted)
		return;
	r->counted = false;
	atomic_fetch_sub_explicit(&c->commands, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&c->command_bytes, r->room_bytes, memory_order_relaxed);
}

void request_free(struct request *r)
{
	uncount(r);
	if (r->peer != NULL)
		peer_unref(r->peer);
	json_finish(&r->answer);
	free(r->work);
	atomic_fetch_sub_explicit(&r->app->command_bytes, sizeof(*r) + r->room_bytes, memory_order_relaxed);
	free(r);
}

uint16_t request_http_status(enum chat_error error)
{
	static const uint16_t statuses[CHAT_ERROR_COUNT] = {
		[CHAT_OK] = 200,
		[CHAT_INVALID] = 400,
		[CHAT_UNAUTHENTICATED] = 401,
		[CHAT_GUESTS_REFUSED] = 403,
		[CHAT_FORBIDDEN] = 403,
		[CHAT_NOT_FOUND] = 404,
		[CHAT_UNKNOWN_COMMAND] = 404,
		[CHAT_CONFLICT] = 409,
		[CHAT_TOO_LARGE] = 413,
		[CHAT_UNSUPPORTED] = 415,
		[CHAT_RATE_LIMITED] = 429,
		[CHAT_BUSY] = 503,
		[CHAT_UNAVAILABLE] = 503,
		[CHAT_UNKNOWN] = 504,
	};

	return statuses[error];
}

void request_write_fault(struct json *j, struct chat_fault fault, uint64_t retry_ms)
{
	const char *message = fault.message == NULL ? chat_error_message(fault.error) : fault.message;

	json_lit(j, "{\"ok\":false,\"error\":");
	json_string(j, str_c(chat_error_code(fault.error)));
	json_lit(j, ",\"message\":");
	json_string(j, str_c(message));
	if (retry_ms > 0) {
		json_lit(j, ",\"retry_ms\":");
		json_number(j, retry_ms);
	}
	json_lit(j, "}");
}

/*
 * Where there is no memory for an answer: whether it was done is not said, so that it is repeated. (`busy` would say that
 * nothing was tried.)
 */
#define LOST "{\"ok\":false,\"error\":\"unknown\",\"message\":\"out of memory; nothing more is known of it\"}"

/* `[{...}]`, without which there is no answer. */
static void answer_socket(struct sio_ack ack, struct json *object)
{
	struct json args;
	int rc = -ENOMEM;

	if (!ack.wanted)
		return;
	json_init(&args);
	json_lit(&args, "[");
	json_raw(&args, json_str(object));
	json_lit(&args, "]");
	if (!json_failed(&args) && !json_failed(object))
		rc = sio_answer(ack, (struct sio_args){ .json = sio_of_str(json_str(&args)) });
	assert(rc != -EINVAL);
	if (rc == -ENOMEM)
		(void)sio_answer(ack,
			sio_json("[" LOST "]")); /* where not even that can be had, it asks again in time */
	json_finish(&args);
}

void request_refuse(struct sio_ack ack, struct chat_fault fault, uint64_t retry_ms)
{
	struct json j;

	json_init(&j);
	request_write_fault(&j, fault, retry_ms);
	answer_socket(ack, &j);
	json_finish(&j);
}

static void answer_http(struct request *r, struct json *object, uint16_t status, uint64_t retry_ms)
{
	char retry[RETRY_BYTES], cookie[COOKIE_BYTES];
	struct sio_header headers[2];
	struct sio_response response = {
		.status = status, .content_type = "application/json", .headers = headers
	};
	struct sio_response lost = { .status = request_http_status(CHAT_UNKNOWN),
		.content_type = response.content_type };
	int rc = -ENOMEM;

	if (retry_ms > 0) {
		snprintf(retry, sizeof(retry), "%llu",
			(unsigned long long)(retry_ms + MS_PER_S - 1) / MS_PER_S);
		headers[response.header_count++] = (struct sio_header){ "Retry-After", retry };
	}
	if (status == 200 && r->set_cookie) {
		/* A year; a browser sends it again to this host alone, and scripts do not see it. */
		snprintf(cookie, sizeof(cookie), "%s=%.*s; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax",
			r->app->cookie, (int)sizeof(r->token), r->token);
		headers[response.header_count++] = (struct sio_header){ "Set-Cookie", cookie };
	}
	if (!json_failed(object))
		rc = sio_reply(r->exchange, &response, sio_of_str(json_str(object)));
	if (rc == -ENOMEM)
		rc = sio_reply(r->exchange, &lost, sio_of_str(STR(LOST)));
	assert(rc != -EINVAL);
}

static void answer(struct request *r, struct json *object, uint16_t status, uint64_t retry_ms)
{
	/* Before he can hear of it, so that he may ask for the next at once. */
	uncount(r);
	if (r->way == REQUEST_BY_SOCKET)
		answer_socket(r->ack, object);
	else
		answer_http(r, object, status, retry_ms);
	request_free(r);
}

void request_done(struct request *r)
{
	answer(r, &r->answer, 200, 0);
}

static void run_done(struct sequencer *s, struct sequencer_item *item)
{
	(void)s;
	request_done((struct request *)(void *)item);
}

void request_push(struct request *r, void (*run)(struct sequencer *, struct sequencer_item *), int64_t room,
	uint64_t after)
{
	r->item = (struct sequencer_item){
		.run = run == NULL ? run_done : run,
		.bytes = sizeof(*r) + r->room_bytes + r->answer.buf.bytes,
		.room = room,
		.after = after,
	};
	sequencer_push(r->app->sequencer, &r->item);
}

static void fail(struct request *r, struct chat_fault fault, uint64_t retry_ms)
{
	struct json j;

	assert(fault.error != CHAT_OK);
	json_init(&j);
	request_write_fault(&j, fault, retry_ms);
	answer(r, &j, request_http_status(fault.error), retry_ms);
	json_finish(&j);
}

void request_fail(struct request *r, struct chat_fault fault)
{
	fail(r, fault, 0);
}

void request_fail_store(struct request *r, enum store_status status)
{
	fail(r, (struct chat_fault){ chat_error_of(status), NULL }, 0);
}

void request_fail_later(struct request *r, uint64_t retry_ms)
{
	fail(r, (struct chat_fault){ CHAT_RATE_LIMITED, NULL }, retry_ms);
}
