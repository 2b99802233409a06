/* tests/sim/channel.c -- the TCP connections of a client: see tests/sim/client_int.h. */
#include <stdio.h>
#include <string.h>

#include "sim/client_int.h"

enum { POLLING_CHANNELS_MAX = 6 };

static void forget(struct channel *ch)
{
	struct client *c = ch->client;

	ch->dead = true;
	for (uint32_t i = 0; i < c->channel_count; i++) {
		if (c->channels[i] == ch)
			c->channels[i--] = c->channels[--c->channel_count];
	}
	if (c->get == ch)
		c->get = NULL;
	if (c->post == ch)
		c->post = NULL;
	if (c->ws == ch)
		c->ws = NULL;
}

void channel_drop(struct channel *ch, enum client_end how)
{
	forget(ch);
	if (how == CLIENT_CLOSES)
		tcp_close(ch->tcp);
	else if (how == CLIENT_RESETS)
		tcp_reset(ch->tcp);
	else
		tcp_vanish(ch->tcp);
}

static void connected(void *ctx)
{
	(void)ctx;
}

/* An answer is there: the connection may serve again, before what it says is done. */
static void answered(struct channel *ch, const struct wire_answer *a)
{
	struct client *c = ch->client;
	enum channel_use use = ch->use;
	struct bytes body = { 0 };

	bytes_add(&body, a->body, a->body_bytes);
	int status = a->status;
	bool closes = a->closes;
	kernel_note("client %u: %d on port %u, %zu bytes", c->index, status, tcp_port(ch->tcp), body.count);
	bytes_drop(&ch->in, a->taken);
	ch->use = CHANNEL_IDLE;
	if (use == CHANNEL_GET)
		c->get = NULL;
	else
		c->post = NULL;
	if (closes)
		channel_drop(ch, CLIENT_CLOSES);
	if (use == CHANNEL_GET)
		engine_polled(c, status, body.data, body.count);
	else
		engine_posted(c, status);
}

static bool shaken(struct channel *ch)
{
	struct wire_answer a;

	if (!wire_answer_read(&ch->in, &a))
		return false;
	if (a.status != 101) {
		struct client *c = ch->client;

		kernel_note("client %u: a WebSocket is refused with %d", c->index, a.status);
		channel_drop(ch, CLIENT_CLOSES);
		engine_broken(c, ch);
		return false;
	}
	bytes_drop(&ch->in, a.taken);
	ch->use = CHANNEL_WS;
	engine_shaken(ch->client);
	return true;
}

static bool framed(struct channel *ch)
{
	struct wire_frame f;

	if (!wire_frame_read(&ch->in, &f))
		return false;
	struct bytes data = { 0 };
	bytes_add(&data, f.data, f.bytes);
	bytes_drop(&ch->in, f.taken);
	if (f.opcode == WIRE_CLOSE) {
		struct client *c = ch->client;

		channel_frame(ch, WIRE_CLOSE, data.data, data.count);
		channel_drop(ch, CLIENT_CLOSES);
		engine_broken(c, ch);
		return false;
	}
	if (f.opcode == WIRE_PING)
		channel_frame(ch, WIRE_PONG, data.data, data.count);
	else if (f.opcode != WIRE_PONG)
		engine_frame(ch->client, f.opcode == WIRE_BINARY, data.data, data.count);
	return true;
}

/* One answer or frame. False: none is whole. */
static bool step(struct channel *ch)
{
	struct wire_answer a;

	switch (ch->use) {
	case CHANNEL_GET:
	case CHANNEL_POST:
		if (!wire_answer_read(&ch->in, &a))
			return false;
		answered(ch, &a);
		return true;
	case CHANNEL_SHAKES:
		return shaken(ch);
	case CHANNEL_WS:
		return framed(ch);
	case CHANNEL_IDLE:
		break;
	}
	if (ch->in.count > 0) /* such as 408: nobody asked */
		channel_drop(ch, CLIENT_CLOSES);
	return false;
}

static void received(void *ctx, const uint8_t *data, size_t bytes)
{
	struct channel *ch = ctx;

	if (ch->dead)
		return;
	bytes_add(&ch->in, data, bytes);
	while (!ch->dead && step(ch))
		;
}

static void ended(void *ctx, int error)
{
	struct channel *ch = ctx;
	struct client *c = ch->client;

	if (ch->dead)
		return;
	channel_drop(ch, CLIENT_CLOSES);
	if (ch->use == CHANNEL_IDLE)
		return;
	kernel_note("client %u: a connection in use (%d) ends with %d", c->index, (int)ch->use, error);
	engine_broken(c, ch);
}

static const struct tcp_ops ops = { .connected = connected, .data = received, .ended = ended };

static struct channel *open_channel(struct client *c)
{
	struct channel *ch = kernel_alloc(sizeof(*ch));

	ch->client = c;
	ch->tcp = tcp_connect(c->address, &ops, ch);
	if (c->stalled)
		tcp_stall(ch->tcp, true);
	c->channels[c->channel_count++] = ch;
	return ch;
}

static struct channel *idle_channel(struct client *c)
{
	uint32_t first = (uint32_t)kernel_below(c->channel_count + 1);

	if (c->channel_count < POLLING_CHANNELS_MAX && kernel_chance(100))
		return open_channel(c);
	for (uint32_t i = 0; i < c->channel_count; i++) {
		struct channel *ch = c->channels[(first + i) % c->channel_count];

		if (ch->use == CHANNEL_IDLE)
			return ch;
	}
	return open_channel(c);
}

struct channel *channel_ask(
	struct client *c, enum channel_use use, const char *method, const void *body, size_t bytes)
{
	struct channel *ch = idle_channel(c);
	char head[512], length[64] = "";

	if (use == CHANNEL_POST)
		snprintf(
			length, sizeof(length), "Content-Type: text/plain\r\nContent-Length: %zu\r\n", bytes);
	int n = snprintf(head, sizeof(head),
		"%s /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: sim\r\n%s\r\n", method,
		c->sid[0] == '\0' ? "" : "&sid=", c->sid, length);
	ch->use = use;
	kernel_note("client %u: %s of %zu bytes on port %u", c->index, method, bytes, tcp_port(ch->tcp));
	tcp_send(ch->tcp, head, (size_t)n);
	tcp_send(ch->tcp, body, bytes);
	return ch;
}

struct channel *channel_shake(struct client *c)
{
	struct channel *ch = open_channel(c);
	char head[512];
	int n = snprintf(head, sizeof(head),
		"GET /socket.io/?EIO=4&transport=websocket%s%s HTTP/1.1\r\nHost: sim\r\nUpgrade: "
		"websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		c->sid[0] == '\0' ? "" : "&sid=", c->sid);

	ch->use = CHANNEL_SHAKES;
	tcp_send(ch->tcp, head, (size_t)n);
	return ch;
}

void channel_frame(struct channel *ch, unsigned opcode, const void *data, size_t bytes)
{
	struct bytes out = { 0 };

	wire_frame_add(&out, opcode, data, bytes);
	tcp_send(ch->tcp, out.data, out.count);
}
