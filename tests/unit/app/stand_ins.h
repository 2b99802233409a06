/*
 * tests/unit/app/stand_ins.h -- what stands in for libsio, for what is pushed, and for the rates: one socket, whose handlers and
 * answers are seen.
 */
#ifndef TESTS_UNIT_APP_STAND_INS_H
#define TESTS_UNIT_APP_STAND_INS_H

#include <stdio.h>
#include <stdlib.h>

#include "app/caller.h"
#include "app/limits.h"
#include "app/live.h"
#include "app/peer.h"
#include "app/request.h"
#include "lib/cmocka.h"

#define TOKEN "abcdefghijklmnopqrst-w"

static struct {
	sio_handler_fn *connection, *message, *disconnect, *command; /* command: of `message.send` */
	void *command_ctx;
	void *data; /* of the one socket */
	store_user_fn *found;
	void *found_ctx;
	unsigned closed, answers;
	char text[512]; /* the last answer, ... */
	uint16_t status; /* ... by HTTP */
} seen;

static struct app app;
static struct caller caller;
static char message[64]; /* the event's arguments */

/* Never looked into: a socket and a namespace of libsio's. */
static struct sio_socket *const the_socket = (struct sio_socket *)&seen;
static struct sio_space *const the_space = (struct sio_space *)&seen;

int sio_on(struct sio_space *space, const char *event, sio_handler_fn *fn, void *ctx)
{
	(void)space;
	if (strcmp(event, "message.send") == 0) {
		seen.command = fn;
		seen.command_ctx = ctx;
	}
	if (strcmp(event, "connection") == 0)
		seen.connection = fn;
	else if (strcmp(event, "message") == 0)
		seen.message = fn;
	else if (strcmp(event, "disconnect") == 0)
		seen.disconnect = fn;
	return 0;
}

void sio_on_other(struct sio_space *space, sio_handler_fn *fn, void *ctx)
{
	(void)space;
	(void)fn;
	(void)ctx;
}

int sio_use(struct sio_space *space, sio_middleware_fn *fn, void *ctx)
{
	(void)space;
	(void)fn;
	(void)ctx;
	return 0;
}

int sio_with(struct sio_space *space, struct sio_id id, sio_with_fn *fn, void *ctx)
{
	(void)space;
	(void)id;
	fn(the_socket, ctx);
	return 0;
}

void sio_connection_close(struct sio_socket *socket)
{
	assert_ptr_equal(socket, the_socket);
	seen.closed++;
}

int sio_connection_close_id(struct sio_space *space, struct sio_id id)
{
	(void)space;
	(void)id;
	seen.closed++;
	return 0;
}

void *sio_connection_data(const struct sio_socket *socket)
{
	(void)socket;
	return &caller;
}

void *sio_data(const struct sio_socket *socket)
{
	(void)socket;
	return seen.data;
}

void sio_set_data(struct sio_socket *socket, void *data, void (*destroy)(void *))
{
	(void)socket;
	assert_non_null(destroy);
	seen.data = data;
}

struct sio_space *sio_space_of(const struct sio_socket *socket)
{
	(void)socket;
	return the_space;
}

const char *sio_space_name(const struct sio_space *space)
{
	(void)space;
	return "/";
}

struct sio_id sio_id(const struct sio_socket *socket)
{
	(void)socket;
	return (struct sio_id){ 0, 1, 1 };
}

void sio_sid(const struct sio_socket *socket, char *out)
{
	(void)socket;
	snprintf(out, SIO_SID_BYTES, "sid");
}

bool sio_arg(const struct sio_event *e, size_t i, struct sio_str *ret_json)
{
	(void)e;
	if (i > 0)
		return false;
	*ret_json = (struct sio_str){ message, strlen(message) };
	return true;
}

int sio_answer(struct sio_ack ack, struct sio_args args)
{
	(void)ack;
	seen.answers++;
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)args.json.bytes, args.json.s);
	return 0;
}

int sio_reply(struct sio_exchange x, const struct sio_response *response, struct sio_str body)
{
	(void)x;
	seen.status = response->status;
	seen.answers++;
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)body.bytes, body.s);
	return 0;
}

int sio_join(struct sio_socket *socket, const char *room)
{
	(void)socket;
	(void)room;
	return 0;
}

void sio_leave(struct sio_socket *socket, const char *room)
{
	(void)socket;
	(void)room;
}

/* What is pushed is none of this test's. */
void live_room_name(char out[LIVE_ROOM_BYTES], int64_t room)
{
	(void)room;
	out[0] = '\0';
}

bool live_push(struct app *a, const struct store_entry *e)
{
	(void)a;
	(void)e;
	return true;
}

unsigned live_gap(struct app *a, unsigned whom)
{
	(void)a;
	(void)whom;
	return 0;
}

bool live_gap_one(const struct sio_socket *socket)
{
	(void)socket;
	return true;
}

void live_typing(struct app *a, int64_t room, const struct store_user *user, struct sio_id except)
{
	(void)a;
	(void)room;
	(void)user;
	(void)except;
}

bool limits_take(struct limits *l, enum limit_kind kind, uint64_t key, uint32_t count, uint64_t now_ns,
	uint64_t *ret_retry_ms)
{
	(void)l;
	(void)kind;
	(void)key;
	(void)count;
	(void)now_ns;
	*ret_retry_ms = 0;
	return true;
}

#endif
