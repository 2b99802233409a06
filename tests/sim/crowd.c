/* tests/sim/crowd.c -- what the clients of the simulation do, and what they must hear: see tests/sim/world.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/world.h"

enum { ACT_MS_MAX = 120, STALL_MS_MAX = 2500, REJOIN_MS_MAX = 200 };

static struct seat *seat_of(const struct client *c, uint32_t space)
{
	return &world->seats[c->index][space];
}

void world_lost(struct client *c)
{
	for (uint32_t i = 0; i < CLIENT_SPACES; i++) {
		struct seat *seat = seat_of(c, i);

		if (seat->identity != WORLD_NOBODY)
			seat->was = seat->identity;
		seat->identity = WORLD_NOBODY;
	}
}

/* It has ended in order: nobody comes back. */
static void ended(struct seat *seat)
{
	seat->identity = seat->was = WORLD_NOBODY;
}

static void cut(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (c->generation != generation || c->state != CLIENT_OPEN)
		return;
	c->hurries = true;
	client_lose(c, kernel_chance(500) ? CLIENT_RESETS : CLIENT_CLOSES);
}

void world_opened(struct client *c)
{
	c->hurries = false;
	if (world->acting && c->spaces[0].pid[0] != '\0' && kernel_chance(world->hurries))
		kernel_after(kernel_below(kernel_faults()->delay_ns_max + 4 * kernel_faults()->step_ns_max),
			cut, c, c->generation);
	for (uint32_t i = 0; i < CLIENT_SPACES; i++) {
		if (i == 0 || kernel_chance(700) || c->spaces[i].pid[0] != '\0')
			client_join(c, i);
	}
}

static bool must_recover(const struct client *c, uint32_t space)
{
	const struct seat *seat = seat_of(c, space);
	uint64_t kicked_ns = world->kicked_ns[space];
	bool maybe_kicked =
		kicked_ns > 0 && kicked_ns + WORLD_EACH_MS_MAX * KERNEL_MS > c->spaces[space].asked_ns;

	return world->recovers_all && !maybe_kicked && seat->was != WORLD_NOBODY &&
	       world->identities[seat->was]->presence != IS_GONE &&
	       !world->identities[seat->was]->sent_away &&
	       kernel_now_ns() - seat->as_of_ns < WORLD_BEHIND_MS * KERNEL_MS;
}

void world_joined(struct client *c, uint32_t space, bool recovers)
{
	struct seat *seat = seat_of(c, space);

	seat->identity = WORLD_NOBODY;
	for (uint32_t i = 0; i < world->identity_count; i++) {
		const struct identity *who = world->identities[i];

		if (strcmp(who->sid, c->spaces[space].sid) == 0 && who->space == space)
			seat->identity = (int)i;
	}
	if (seat->identity == WORLD_NOBODY)
		kernel_fail("client %u has joined %u as %s, whom nobody knows", c->index, space,
			c->spaces[space].sid);
	struct identity *who = world->identities[seat->identity];
	if (who->client != c->index)
		kernel_fail("client %u has joined as client %u", c->index, who->client);
	if (!recovers && must_recover(c, space))
		kernel_fail("client %u is in %u as identity %d, and not as %d any more", c->index, space,
			seat->identity, seat->was);
	seat->was = WORLD_NOBODY;
	seat->as_of_ns = who->connected_ns;
	if (recovers && c->spaces[space].offset[0] == '\0')
		who->inexact = true;
	seat->said = 0;
	seat->joins++;
	seat->recovered = recovers;
	world->figures.recovered += recovers;
	kernel_note("client %u is in %u as identity %d%s", c->index, space, seat->identity,
		recovers ? ", recovered" : "");
}

/* May this identity hear it? */
static bool is_for(const struct identity *who, int index, const struct emission *m)
{
	const int rooms[] = { m->room, m->other_room };

	if (m->space != who->space || m->except == index || (m->only != WORLD_NOBODY && m->only != index))
		return false;
	if (m->room == WORLD_NOBODY)
		return true;
	for (size_t i = 0; i < 2; i++) {
		int room = rooms[i], loose = room - WORLD_ROOMS;

		if (room < 0)
			continue;
		if (room < WORLD_ROOMS && (who->client >> (room % 2) & 1) == (uint32_t)(room / 2))
			return true;
		if (loose >= 0 && (who->in_loose[loose] || who->left_loose_ns[loose] >= m->at_ns ||
					  who->came_back_in_loose[loose]))
			return true;
	}
	return false;
}

static void judge_content(const struct client *c, const struct heard *h, uint32_t number)
{
	const struct emission *m = &world->emissions[number];
	const char *pad = strstr(h->json, "\"pad\":\"");
	size_t n = 0;

	while (pad != NULL && pad[7 + n] == (char)('a' + number % 26))
		n++;
	if (pad == NULL || n != m->pad || pad[7 + n] != '"')
		kernel_fail(
			"client %u hears emission %u with %zu of %u characters", c->index, number, n, m->pad);
	if (h->attachments == NULL)
		return;
	if (h->attachment_count != m->attachments)
		kernel_fail("client %u hears emission %u with %u attachments", c->index, number,
			h->attachment_count);
	for (uint32_t i = 0; i < h->attachment_count; i++) {
		const struct bytes *a = &h->attachments[i];
		bool good = a->count == 1 + (number * 7 + i * 31) % 300;

		for (size_t k = 0; k < a->count && good; k++)
			good = a->data[k] == (uint8_t)(number + i);
		if (!good)
			kernel_fail("client %u hears emission %u with a wrong attachment", c->index, number);
	}
}

static void hear_said(struct client *c, const struct heard *h)
{
	struct seat *seat = seat_of(c, h->space);
	uint32_t number = (uint32_t)strtoul(h->json + strlen("[\"said\","), NULL, 10);

	if (seat->identity == WORLD_NOBODY)
		kernel_fail("client %u hears emission %u, and is nobody", c->index, number);
	if (number >= world->emission_count)
		kernel_fail("client %u hears emission %u, which is to come", c->index, number);
	struct identity *who = world->identities[seat->identity];
	const struct emission *m = &world->emissions[number];
	kernel_note("client %u, identity %d, hears emission %u", c->index, seat->identity, number);
	if (who->heard[number]++ > 0)
		kernel_fail("client %u hears emission %u twice", c->index, number);
	if (!is_for(who, seat->identity, m))
		kernel_fail("client %u hears emission %u, which is for others", c->index, number);
	bool may_be_late = m->room >= WORLD_ROOMS && who->came_back_in_loose[m->room - WORLD_ROOMS];
	if (who->last[m->emitter] > (int)number && !may_be_late)
		kernel_fail("client %u hears emission %u behind %d of the same emitter", c->index, number,
			who->last[m->emitter]);
	if (!may_be_late)
		who->last[m->emitter] = (int)number;
	judge_content(c, h, number);
	if (seat->as_of_ns < m->at_ns) /* else it was sent again */
		seat->as_of_ns = m->at_ns;
	world->figures.deliveries++;
}

static void hear_query(struct client *c, const struct heard *h)
{
	char json[64];

	if (kernel_chance(50))
		return;
	snprintf(json, sizeof(json), "[%lu]", strtoul(h->json + strlen("[\"query\","), NULL, 10));
	client_say(c, h->space, '3', true, h->id, json, NULL, 0);
}

static void hear_answer(struct client *c, const struct heard *h)
{
	struct seat *seat = seat_of(c, h->space);
	uint64_t n = strtoull(h->json + 1, NULL, 10);

	kernel_note("client %u hears the answer to %llu", c->index, (unsigned long long)h->id);
	/* What lies behind the offset of who comes back is sent again, answers too: official clients take no notice of those. */
	bool again = h->id < WORLD_ASKS_MAX && seat->asks[h->id] == ASK_ANSWERED &&
		     (c->spaces[h->space].state == SPACE_JOINING ||
			     (seat->recovered && seat->asked_in[h->id] < seat->joins));
	if (again && n == h->id)
		return;
	if (h->id >= WORLD_ASKS_MAX || seat->asks[h->id] != ASK_OPEN || n != h->id)
		kernel_fail("client %u hears an answer to %llu that is not due: %s", c->index,
			(unsigned long long)h->id, h->json);
	seat->asks[h->id] = ASK_ANSWERED;
	world->figures.acks++;
}

static void rejoin(void *ctx, uint64_t arg)
{
	struct client *c = ctx;
	uint32_t space = arg & 1;

	if (c->generation == arg >> 1 && c->state == CLIENT_OPEN && c->spaces[space].state == SPACE_OUT)
		client_join(c, space);
}

void world_heard(struct client *c, const struct heard *h)
{
	if (h->type == '1') {
		kernel_note("client %u is sent away from %u", c->index, h->space);
		ended(seat_of(c, h->space));
		kernel_after(kernel_below(REJOIN_MS_MAX) * KERNEL_MS, rejoin, c,
			(uint64_t)c->generation << 1 | h->space);
	} else if (h->type == '3' || h->type == '6') {
		hear_answer(c, h);
	} else if (strncmp(h->json, "[\"said\",", 8) == 0) {
		hear_said(c, h);
	} else if (strncmp(h->json, "[\"query\",", 9) == 0 && h->has_id) {
		hear_query(c, h);
	} else {
		kernel_fail("client %u hears %s", c->index, h->json);
	}
}

/* What clients do. */

static void say(struct client *c, uint32_t space, const char *event)
{
	struct seat *seat = seat_of(c, space);
	struct client_space *s = &c->spaces[space];
	struct bytes attachments[2] = { { 0 } };
	uint32_t count = kernel_chance(60) ? 1 + (uint32_t)kernel_below(2) : 0, n = seat->said++;
	bool asks = strcmp(event, "ask") == 0;
	char json[1024], pad[700];
	size_t pad_bytes = (size_t)kernel_below(kernel_chance(100) ? sizeof(pad) : 30);

	memset(pad, 'p', sizeof(pad));
	int at = snprintf(json, sizeof(json), "[\"%s\",%u,%llu,\"%.*s\"", event, n,
		(unsigned long long)s->next_ack, (int)pad_bytes, pad);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t byte = (uint8_t)(n + i);

		for (uint32_t k = 0; k < 1 + n % 200; k++)
			bytes_add(&attachments[i], &byte, 1);
		at += snprintf(
			json + at, sizeof(json) - (size_t)at, ",{\"_placeholder\":true,\"num\":%u}", i);
	}
	snprintf(json + at, sizeof(json) - (size_t)at, "]");
	if (asks) {
		seat->asks[s->next_ack] = ASK_OPEN;
		seat->asked_in[s->next_ack] = seat->joins;
	}
	client_say(c, space, '2', asks, asks ? s->next_ack : 0, json, attachments, count);
	s->next_ack += asks;
}

static void unstall(void *ctx, uint64_t arg)
{
	(void)arg;
	client_stall(ctx, false);
}

/* False: nothing of the kind. */
static bool suffer(struct client *c)
{
	if (kernel_chance(world->loses)) {
		client_lose(c, kernel_chance(500) ? CLIENT_RESETS : CLIENT_CLOSES);
	} else if (kernel_chance(world->vanishes)) {
		client_lose(c, CLIENT_VANISHES);
	} else if (kernel_chance(world->leaves)) {
		client_leave(c);
	} else if (kernel_chance(world->stalls)) {
		client_stall(c, true);
		kernel_after(kernel_below(STALL_MS_MAX) * KERNEL_MS, unstall, c, 0);
	} else if (kernel_chance(world->aborts)) {
		client_abort_poll(c);
	} else {
		return false;
	}
	return true;
}

static void act(void *ctx, uint64_t arg)
{
	struct client *c = ctx;
	uint32_t space = (uint32_t)kernel_below(CLIENT_SPACES);

	(void)arg;
	if (!world->acting)
		return;
	kernel_after(kernel_below(ACT_MS_MAX) * KERNEL_MS, act, c, 0);
	if (c->state != CLIENT_OPEN || suffer(c) || c->spaces[space].state != SPACE_IN)
		return;
	uint64_t count = kernel_chance(50) ? 1 + kernel_below(20) : 1;
	for (uint64_t i = 0; i < count && c->spaces[space].next_ack + 1 < WORLD_ASKS_MAX; i++) {
		if (c->out_count + 4 > CLIENT_OUT_MAX || c->spaces[space].state != SPACE_IN)
			return;
		say(c, space, kernel_chance(250) ? "ask" : kernel_chance(80) ? "loose" : "say");
	}
	if (kernel_chance(world->kicks / 4))
		say(c, space, "kick");
	if (kernel_chance(world->leaves) && space == 1) {
		client_say(c, space, '1', false, 0, "", NULL, 0);
		c->spaces[space].state = SPACE_OUT;
		c->spaces[space].has_left = true;
		c->spaces[space].pid[0] = c->spaces[space].offset[0] = '\0';
		ended(seat_of(c, space));
		kernel_after(kernel_below(REJOIN_MS_MAX) * KERNEL_MS, rejoin, c,
			(uint64_t)c->generation << 1 | space);
	}
}

static void begin(void *ctx, uint64_t arg)
{
	(void)arg;
	client_open(ctx);
	act(ctx, 0);
}

void crowd_begin(void)
{
	for (uint32_t i = 0; i < world->client_count; i++) {
		struct client *c = kernel_alloc(sizeof(*c));

		client_init(c, i, (enum client_transport)kernel_below(3));
		world->clients[i] = c;
		for (uint32_t s = 0; s < CLIENT_SPACES; s++)
			world->seats[i][s].identity = world->seats[i][s].was = WORLD_NOBODY;
		kernel_after(kernel_below(300) * KERNEL_MS, begin, c, 0);
	}
}

void crowd_calm(void)
{
	world->acting = false;
	for (uint32_t i = 0; i < world->client_count; i++)
		client_stall(world->clients[i], false);
}

const struct client *crowd_busy(void)
{
	for (uint32_t i = 0; i < world->client_count; i++) {
		const struct client *c = world->clients[i];

		if (!client_is_quiet(c) || c->spaces[0].state != SPACE_IN ||
			c->spaces[1].state == SPACE_JOINING)
			return c;
	}
	return NULL;
}

static void judge_seat(const struct client *c, uint32_t space)
{
	const struct seat *seat = seat_of(c, space);

	if (seat->identity == WORLD_NOBODY)
		return;
	const struct identity *who = world->identities[seat->identity];
	if (who->presence != IS_MEMBER)
		kernel_fail("client %u is in %u, and the server says that it is not", c->index, space);
	for (uint32_t i = 0; i < world->emission_count; i++) {
		if (who->must[i] && !who->heard[i] && !who->inexact)
			kernel_fail(
				"client %u, identity %d, has not heard emission %u in %u, emitted at %.6f s",
				c->index, seat->identity, i, space,
				(double)world->emissions[i].at_ns / 1e9 - 1000);
	}
	if (who->heard_from != seat->said)
		kernel_fail("client %u has said %u in %u, and the server has heard %u", c->index, seat->said,
			space, who->heard_from);
	if (c->spaces[space].state == SPACE_IN && who->lags)
		kernel_fail("client %u has all, and still lags", c->index);
	for (uint64_t i = 0; i < c->spaces[space].next_ack; i++) {
		if (seat->asks[i] == ASK_OPEN && seat->asked_in[i] == seat->joins)
			kernel_fail("client %u has no answer to %llu in %u", c->index, (unsigned long long)i,
				space);
	}
}

void crowd_judge(void)
{
	for (uint32_t i = 0; i < world->client_count; i++) {
		for (uint32_t space = 0; space < CLIENT_SPACES; space++)
			judge_seat(world->clients[i], space);
	}
}
