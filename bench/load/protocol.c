/* load/protocol.c -- see load/protocol.h. */
#include "protocol.h"

#include "chat.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static size_t put(char *out, size_t at, const void *bytes, size_t n)
{
	assert(at + n <= LOAD_MESSAGE_BYTES_MAX);
	memcpy(out + at, bytes, n);
	return at + n;
}

static size_t put_id(char *out, size_t at, uint32_t id)
{
	char digits[16];
	int n = snprintf(digits, sizeof(digits), "%u", id);

	return put(out, at, digits, (size_t)n);
}

#define PUT(out, at, literal) put(out, at, literal, sizeof(literal) - 1)

#define SOCKETIO_PATH      "/socket.io/?EIO=4&transport=websocket"
#define SOCKETIO_BROADCAST "42[\"message\",\""

static enum load_step socketio_step(
	enum load_join join, const uint8_t *message, size_t message_bytes, const char **ret_reply)
{
	if (message_bytes == 1 && message[0] == '2') {
		*ret_reply = "3";
		return LOAD_STEP_REPLY;
	}
	if (message_bytes < 2)
		return LOAD_STEP_BAD;
	switch (join) {
	case LOAD_JOIN_OPENING:
		if (memcmp(message, "0{", 2) != 0)
			return LOAD_STEP_BAD;
		*ret_reply = "40";
		return LOAD_STEP_JOIN;
	case LOAD_JOIN_JOINING:
		return memcmp(message, "40", 2) == 0 ? LOAD_STEP_JOINED : LOAD_STEP_BAD;
	case LOAD_JOIN_GREETING:
		break;
	case LOAD_JOIN_DONE:
		return message[0] == '4' ? LOAD_STEP_MESSAGE : LOAD_STEP_BAD;
	}
	return LOAD_STEP_BAD;
}

static size_t socketio_broadcast(char *out, const char *text, size_t text_bytes)
{
	size_t at = PUT(out, 0, SOCKETIO_BROADCAST);

	at = put(out, at, text, text_bytes);
	return PUT(out, at, "\"]");
}

static size_t socketio_echo_request(char *out, uint32_t id, const char *text, size_t text_bytes)
{
	size_t at = PUT(out, 0, "42");

	at = put_id(out, at, id);
	at = PUT(out, at, "[\"echo\",\"");
	at = put(out, at, text, text_bytes);
	return PUT(out, at, "\"]");
}

static size_t socketio_echo_reply(char *out, uint32_t id, const char *text, size_t text_bytes)
{
	size_t at = PUT(out, 0, "43");

	at = put_id(out, at, id);
	at = PUT(out, at, "[\"");
	at = put(out, at, text, text_bytes);
	return PUT(out, at, "\"]");
}

static size_t rooms_join(char *out, uint32_t id, uint32_t first, uint32_t count)
{
	size_t at = PUT(out, 0, "42");

	at = put_id(out, at, id);
	at = PUT(out, at, "[\"join\",");
	at = put_id(out, at, first);
	at = PUT(out, at, ",");
	at = put_id(out, at, count);
	return PUT(out, at, "]");
}

static size_t rooms_joined(char *out, uint32_t id)
{
	size_t at = PUT(out, 0, "43");

	at = put_id(out, at, id);
	return PUT(out, at, "[]");
}

static size_t rooms_say(char *out, uint32_t room, const char *text, size_t text_bytes)
{
	size_t at = PUT(out, 0, "42[\"say\",");

	at = put_id(out, at, room);
	at = PUT(out, at, ",\"");
	at = put(out, at, text, text_bytes);
	return PUT(out, at, "\"]");
}

static enum load_step raw_step(
	enum load_join join, const uint8_t *message, size_t message_bytes, const char **ret_reply)
{
	(void)message;
	(void)ret_reply;
	assert(join == LOAD_JOIN_DONE);
	return message_bytes > 0 ? LOAD_STEP_MESSAGE : LOAD_STEP_BAD;
}

static size_t raw_broadcast(char *out, const char *text, size_t text_bytes)
{
	return put(out, PUT(out, 0, "b"), text, text_bytes);
}

static size_t raw_echo(char *out, uint32_t id, const char *text, size_t text_bytes)
{
	size_t at = PUT(out, 0, "e");

	at = put_id(out, at, id);
	at = PUT(out, at, " ");
	return put(out, at, text, text_bytes);
}

static size_t raw_joined(char *out, uint32_t id)
{
	return put_id(out, PUT(out, 0, "j"), id);
}

static size_t raw_join(char *out, uint32_t id, uint32_t first, uint32_t count)
{
	size_t at = PUT(out, raw_joined(out, id), " ");

	at = put_id(out, at, first);
	at = PUT(out, at, " ");
	return put_id(out, at, count);
}

static size_t raw_say(char *out, uint32_t room, const char *text, size_t text_bytes)
{
	size_t at = put_id(out, PUT(out, 0, "g"), room);

	at = PUT(out, at, " b");
	return put(out, at, text, text_bytes);
}

static const struct load_protocol protocols[] = {
	{
		.name = "socketio",
		.path = SOCKETIO_PATH,
		.join_begins = LOAD_JOIN_OPENING,
		.step = socketio_step,
		.broadcast = socketio_broadcast,
		.echo_request = socketio_echo_request,
		.echo_reply = socketio_echo_reply,
		.broadcast_text_at = sizeof(SOCKETIO_BROADCAST) - 1,
	},
	{
		.name = "raw",
		.path = "/",
		.join_begins = LOAD_JOIN_DONE,
		.step = raw_step,
		.broadcast = raw_broadcast,
		.echo_request = raw_echo,
		.echo_reply = raw_echo,
		.broadcast_text_at = 1,
	},
	{
		.name = "raw-rooms",
		.path = "/",
		.join_begins = LOAD_JOIN_DONE,
		.step = raw_step,
		.broadcast = raw_broadcast,
		.join = raw_join,
		.joined = raw_joined,
		.say = raw_say,
		.broadcast_text_at = 1,
	},
	{
		.name = "rooms",
		.path = SOCKETIO_PATH,
		.join_begins = LOAD_JOIN_OPENING,
		.step = socketio_step,
		.broadcast = socketio_broadcast,
		.join = rooms_join,
		.joined = rooms_joined,
		.say = rooms_say,
		.broadcast_text_at = sizeof(SOCKETIO_BROADCAST) - 1,
	},
	{
		.name = "chat",
		.path = SOCKETIO_PATH,
		.join_begins = LOAD_JOIN_OPENING,
		.step = load_chat_step,
		.post = load_chat_post,
	},
};

const struct load_protocol *load_protocol_find(const char *name)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (strcmp(protocols[i].name, name) == 0)
			return &protocols[i];
	return NULL;
}
