/* tests/sim/engine.c -- Engine.IO of a client: opening, polling, the upgrade, heartbeats and losses. See tests/sim/client.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/client_int.h"

enum { SEPARATOR = 0x1e, POST_PACKETS_MAX = 16, OPEN_MS = 20000 };

static bool is_old(const struct client *c, uint64_t generation)
{
	return c->generation != generation;
}

static void open_again(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (!is_old(c, generation) && c->state == CLIENT_AWAY && c->comes_back)
		client_open(c);
}

/* All connections go; what waited to be sent is lost with them. */
static void go_away(struct client *c, enum client_end how)
{
	if (c->state == CLIENT_AWAY)
		return;
	while (c->channel_count > 0)
		channel_drop(c->channels[0], how);
	c->state = CLIENT_AWAY;
	c->generation++;
	c->sid[0] = '\0';
	c->lost++;
	c->on_ws = c->probing = c->pausing = c->aborting = false;
	c->out_count = c->attachments_wanted = 0;
	for (uint32_t i = 0; i < CLIENT_SPACES; i++) {
		c->spaces[i].state = SPACE_OUT;
		c->spaces[i].early_count = 0;
		c->spaces[i].has_left = false;
	}
	world_lost(c);
	kernel_after(c->hurries ? kernel_below(2000) * KERNEL_US : (20 + kernel_below(400)) * KERNEL_MS,
		open_again, c, c->generation);
}

void client_lose(struct client *c, enum client_end how)
{
	kernel_note("client %u loses its connection (%d)", c->index, (int)how);
	go_away(c, how);
}

static void is_late(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (!is_old(c, generation) && c->state == CLIENT_OPENING)
		go_away(c, CLIENT_CLOSES);
}

/* arg: the generation, and below it how many pings had come. */
static void ping_missing(void *ctx, uint64_t arg)
{
	struct client *c = ctx;

	if (is_old(c, arg >> 32) || c->state != CLIENT_OPEN || (c->pings & UINT32_MAX) != (arg & UINT32_MAX))
		return;
	kernel_note("client %u misses a ping", c->index);
	go_away(c, CLIENT_CLOSES);
}

static void expect_ping(struct client *c)
{
	kernel_after((c->ping_ms + 200) * KERNEL_MS, ping_missing, c,
		(uint64_t)c->generation << 32 | (c->pings & UINT32_MAX));
}

static void poll(struct client *c)
{
	if (c->get == NULL && !c->on_ws && !c->aborting)
		c->get = channel_ask(c, CHANNEL_GET, "GET", "", 0);
}

void client_open(struct client *c)
{
	c->state = CLIENT_OPENING;
	c->comes_back = true;
	c->generation++;
	c->pings = 0;
	kernel_after(OPEN_MS * KERNEL_MS, is_late, c, c->generation);
	if (c->transport == CLIENT_WEBSOCKET)
		c->ws = channel_shake(c);
	else
		poll(c);
}

static void probe(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (is_old(c, generation) || c->state != CLIENT_OPEN || c->on_ws || c->probing || c->aborting)
		return;
	c->probing = true;
	c->ws = channel_shake(c);
}

void engine_shaken(struct client *c)
{
	if (c->probing)
		channel_frame(c->ws, WIRE_TEXT, "2probe", 6);
}

static void opened(struct client *c, const char *json)
{
	const char *sid = strstr(json, "\"sid\":\""), *interval = strstr(json, "\"pingInterval\":"),
		   *timeout = strstr(json, "\"pingTimeout\":");

	if (c->state != CLIENT_OPENING || sid == NULL || interval == NULL || timeout == NULL)
		kernel_fail("client %u: an open packet: %s", c->index, json);
	snprintf(c->sid, sizeof(c->sid), "%.20s", sid + 7);
	c->ping_ms = strtoul(interval + 15, NULL, 10) + strtoul(timeout + 14, NULL, 10);
	c->state = CLIENT_OPEN;
	c->on_ws = c->transport == CLIENT_WEBSOCKET;
	c->opened++;
	kernel_note("client %u is open: %s", c->index, c->sid);
	expect_ping(c);
	if (c->transport == CLIENT_UPGRADES)
		kernel_after(kernel_below(200) * KERNEL_MS, probe, c, c->generation);
	world_opened(c);
}

/* One packet; text with its type. */
static void packet(struct client *c, bool binary, const uint8_t *data, size_t bytes)
{
	if (binary) {
		client_message(c, true, data, bytes);
		return;
	}
	if (bytes == 0)
		kernel_fail("client %u: an empty packet", c->index);
	switch (data[0]) {
	case '0':
		opened(c, (const char *)data + 1);
		break;
	case '1':
		kernel_note("client %u is closed by the server", c->index);
		go_away(c, CLIENT_CLOSES);
		break;
	case '2':
		c->pings++;
		expect_ping(c);
		engine_send(c, false, "3", 1);
		break;
	case '4':
		client_message(c, false, data + 1, bytes - 1);
		break;
	case '6':
		break;
	default:
		kernel_fail("client %u: a packet of type %02x", c->index, data[0]);
	}
}

/* A payload of polling. */
static void payload(struct client *c, const uint8_t *body, size_t bytes)
{
	uint32_t generation = c->generation;

	for (size_t at = 0; at < bytes && !is_old(c, generation);) {
		const uint8_t *end = memchr(body + at, SEPARATOR, bytes - at);
		size_t n = end == NULL ? bytes - at : (size_t)(end - body) - at;
		struct bytes one = { 0 };

		if (n > 0 && body[at] == 'b') {
			wire_base64_decode(&one, body + at + 1, n - 1);
			packet(c, true, one.data, one.count);
		} else {
			bytes_add(&one, body + at, n);
			bytes_add(&one, "", 1);
			packet(c, false, one.data, n);
		}
		at += n + 1;
	}
}

/* Neither a poll nor a POST is under way: the WebSocket takes over. */
static void try_upgrade(struct client *c)
{
	if (!c->pausing || c->get != NULL || c->post != NULL)
		return;
	channel_frame(c->ws, WIRE_TEXT, "5", 1);
	c->on_ws = true;
	c->pausing = c->probing = false;
	c->upgraded++;
	kernel_note("client %u has upgraded", c->index);
	engine_flush(c);
}

void engine_polled(struct client *c, int status, const uint8_t *body, size_t bytes)
{
	uint32_t generation = c->generation;

	if (status != 200) {
		kernel_note("client %u: a poll is answered with %d", c->index, status);
		go_away(c, CLIENT_CLOSES);
		return;
	}
	payload(c, body, bytes);
	if (is_old(c, generation))
		return;
	if (c->pausing)
		try_upgrade(c);
	else if (c->state == CLIENT_OPEN)
		poll(c);
}

void engine_posted(struct client *c, int status)
{
	if (status != 200) {
		kernel_note("client %u: a POST is answered with %d", c->index, status);
		go_away(c, CLIENT_CLOSES);
		return;
	}
	if (c->pausing)
		try_upgrade(c);
	else
		engine_flush(c);
}

void engine_frame(struct client *c, bool binary, const uint8_t *data, size_t bytes)
{
	if (!c->probing) {
		struct bytes text = { 0 };

		bytes_add(&text, data, bytes);
		bytes_add(&text, "", 1);
		packet(c, binary, text.data, bytes);
		return;
	}
	if (bytes != 6 || memcmp(data, "3probe", 6) != 0)
		kernel_fail("client %u: a probe is answered with %.*s", c->index, (int)bytes, data);
	c->pausing = true;
	try_upgrade(c);
}

void engine_broken(struct client *c, const struct channel *ch)
{
	/* An upgrade that fails before polling pauses is forgotten. */
	if (c->probing && !c->pausing && (ch->use == CHANNEL_SHAKES || ch->use == CHANNEL_WS)) {
		c->probing = false;
		return;
	}
	go_away(c, CLIENT_CLOSES);
}

void engine_send(struct client *c, bool binary, const void *data, size_t bytes)
{
	if (c->out_count == CLIENT_OUT_MAX)
		kernel_fail("client %u: too much to send", c->index);
	struct packet *p = &c->out[(c->out_first + c->out_count++) % CLIENT_OUT_MAX];

	p->binary = binary;
	p->data.count = 0;
	bytes_add(&p->data, data, bytes);
	engine_flush(c);
}

static struct packet *take_out(struct client *c)
{
	struct packet *p = &c->out[c->out_first];

	c->out_first = (c->out_first + 1) % CLIENT_OUT_MAX;
	c->out_count--;
	return p;
}

static void post(struct client *c)
{
	struct bytes body = { 0 };
	uint8_t separator = SEPARATOR;

	for (uint32_t i = 0; i < POST_PACKETS_MAX && c->out_count > 0; i++) {
		const struct packet *p = take_out(c);

		if (i > 0)
			bytes_add(&body, &separator, 1);
		if (p->binary) {
			bytes_add(&body, "b", 1);
			wire_base64_add(&body, p->data.data, p->data.count);
		} else {
			bytes_add(&body, p->data.data, p->data.count);
		}
	}
	c->post = channel_ask(c, CHANNEL_POST, "POST", body.data, body.count);
}

void engine_flush(struct client *c)
{
	if (c->state != CLIENT_OPEN || c->pausing || c->out_count == 0)
		return;
	if (!c->on_ws) {
		if (c->post == NULL)
			post(c);
		return;
	}
	while (c->out_count > 0 && c->ws != NULL) {
		const struct packet *p = take_out(c);

		channel_frame(c->ws, p->binary ? WIRE_BINARY : WIRE_TEXT, p->data.data, p->data.count);
	}
}

static void left(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (!is_old(c, generation))
		go_away(c, CLIENT_CLOSES);
}

void client_leave(struct client *c)
{
	if (c->state != CLIENT_OPEN || c->pausing)
		return;
	kernel_note("client %u leaves", c->index);
	engine_send(c, false, "1", 1);
	kernel_after(kernel_below(30) * KERNEL_MS, left, c, c->generation);
}

static void poll_again(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (is_old(c, generation))
		return;
	c->aborting = false;
	poll(c);
}

/*
 * It asks again when the server knows. Otherwise no server can tell whether the answer has arrived; nor can it where our kernel has
 * acknowledged all of it, and we have not read it.
 */
void client_abort_poll(struct client *c)
{
	if (c->state != CLIENT_OPEN || c->get == NULL || c->probing || c->on_ws)
		return;
	struct channel *ch = c->get;
	if (tcp_has_unread(ch->tcp))
		return;
	c->aborting = true;
	c->aborts++;
	kernel_note("client %u aborts its poll", c->index);
	channel_drop(ch, CLIENT_RESETS);
	kernel_after(tcp_news_ns(ch->tcp) + kernel_below(20) * KERNEL_MS, poll_again, c, c->generation);
}

void client_stall(struct client *c, bool stalls)
{
	struct channel *all[8];
	uint32_t count = c->channel_count;

	c->stalled = stalls;
	memcpy(all, c->channels, sizeof(all));
	for (uint32_t i = 0; i < count; i++) {
		if (!all[i]->dead)
			tcp_stall(all[i]->tcp, stalls);
	}
}
