/*
 * fuzz/server/witness.c -- a client that does all as it should: see fuzz/server/scene.h.
 *
 * It joins "/", and asks for an echo. Whatever others do, the answer comes within a second; and it loses its connection only if the
 * application sends everybody away. Then it comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/scene.h"

enum {
	ANSWER_MS = 1000,
	PARDON_MS = 3000,
	BACK_MS = 10000,
	TICK_MS = 3000, /* between questions that nobody has asked for */
	REJOIN_MS = 30,
	PAD_BYTES_MAX =
		200, /* a frame's length then has either of its forms; within the least limit of a message */
};

static struct {
	struct client *client;
	bool joined, asking, dismissed;
	uint64_t asks; /* the last one's number */
	char asked[PAD_BYTES_MAX + 64]; /* what it says, and what is to come back */
	uint64_t pardon_ns; /* until then it may be lost */
	uint64_t losses;
} w;

static void answer_missing(void *ctx, uint64_t number)
{
	(void)ctx;
	if (w.asking && w.asks == number && !w.dismissed)
		kernel_fail("the witness has no answer to question %llu", (unsigned long long)number);
}

void witness_ask(void)
{
	char json[sizeof(w.asked) + 16], pad[PAD_BYTES_MAX + 1];

	if (!w.joined || w.asking || w.client->state != CLIENT_OPEN)
		return;
	w.asking = true;
	w.asks++;
	size_t bytes = (size_t)kernel_below(kernel_chance(300) ? sizeof(pad) : 10);
	memset(pad, 'w', bytes);
	snprintf(w.asked, sizeof(w.asked), "%llu,\"%.*s\"]", (unsigned long long)w.asks, (int)bytes, pad);
	snprintf(json, sizeof(json), "[\"echo\",%s", w.asked);
	kernel_note("the witness asks %llu", (unsigned long long)w.asks);
	client_say(w.client, 0, '2', true, w.asks, json, NULL, 0);
	kernel_after(ANSWER_MS * KERNEL_MS, answer_missing, NULL, w.asks);
}

static void tick(void *ctx, uint64_t arg)
{
	(void)arg;
	if (w.dismissed)
		return;
	witness_ask();
	kernel_after(TICK_MS * KERNEL_MS, tick, ctx, 0);
}

static void still_away(void *ctx, uint64_t losses)
{
	(void)ctx;
	if (!w.joined && w.losses == losses && !w.dismissed)
		kernel_fail("the witness is not back: engine %d, /: %d", (int)w.client->state,
			(int)w.client->spaces[0].state);
}

/* It has lost what it had. */
static void lost(const char *what)
{
	if (!w.joined)
		return;
	kernel_note("the witness has lost its %s", what);
	if (!w.dismissed && kernel_now_ns() > w.pardon_ns)
		kernel_fail("the witness has lost its %s", what);
	w.joined = w.asking = false;
	kernel_after(BACK_MS * KERNEL_MS, still_away, NULL, ++w.losses);
}

void witness_pardon(void)
{
	w.pardon_ns = kernel_now_ns() + PARDON_MS * KERNEL_MS;
}

bool witness_is_content(void)
{
	return w.joined && !w.asking;
}

void witness_dismiss(void)
{
	w.dismissed = true;
}

void witness_begin(enum client_transport transport)
{
	memset(&w, 0, sizeof(w));
	w.client = kernel_alloc(sizeof(*w.client));
	client_init(w.client, 0, transport);
	client_open(w.client);
	kernel_after(BACK_MS * KERNEL_MS, still_away, NULL, 0);
	kernel_after(TICK_MS * KERNEL_MS, tick, NULL, 0);
}

/* What the client tells: tests/sim/client.h. */

void world_opened(struct client *c)
{
	client_join(c, 0);
}

void world_lost(struct client *c)
{
	(void)c;
	lost("connection");
}

void world_joined(struct client *c, uint32_t space, bool recovers)
{
	(void)c;
	(void)space;
	kernel_note("the witness has joined%s", recovers ? ", recovered" : "");
	w.joined = true;
}

static void rejoin(void *ctx, uint64_t generation)
{
	struct client *c = ctx;

	if (c->generation == generation && c->state == CLIENT_OPEN && c->spaces[0].state == SPACE_OUT)
		client_join(c, 0);
}

void world_heard(struct client *c, const struct heard *h)
{
	if (h->type == '1') {
		lost("namespace");
		kernel_after(REJOIN_MS * KERNEL_MS, rejoin, c, c->generation);
	} else if (h->type == '3' && w.asking && h->id == w.asks) {
		if (h->json[0] != '[' || strcmp(h->json + 1, w.asked) != 0)
			kernel_fail("the witness asked [%s, and is answered %s", w.asked, h->json);
		w.asking = false;
	} else if (h->type == '2' && h->has_id) {
		client_say(c, 0, '3', true, h->id, "[\"yes\"]", NULL, 0);
	}
}
