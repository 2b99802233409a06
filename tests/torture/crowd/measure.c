/* crowd/measure.c -- see crowd/measure.h. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	LATENCIES_MAX = 1 << 20,
	BURST_FRAMES = 100, /* of the flooder, prepared once */
	BURST_TEXT_BYTES = 64,
};

static uint32_t samples_us[LATENCIES_MAX];
static uint32_t sample_count;

static void echoed(struct crowd *crowd, struct client *c)
{
	(void)crowd;
	if (c->sent_at_ns != 0 && sample_count < LATENCIES_MAX)
		samples_us[sample_count++] = (uint32_t)((crowd_now_ns() - c->sent_at_ns) / 1000);
	c->sent_at_ns = 0;
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Whoever is due asks; returns when the next one is. */
static uint64_t ask_due(struct crowd *crowd, uint64_t every_ns, uint32_t *missed)
{
	static const char text[] = "421[\"echo\",\"how are you\"]";
	uint64_t now_ns = crowd_now_ns(), next_ns = now_ns + every_ns;

	for (uint32_t i = 0; i < crowd->count; i++) {
		struct client *c = &crowd->clients[i];

		if (c->state != CLIENT_READY)
			continue;
		if (c->due_at_ns <= now_ns) {
			c->due_at_ns += every_ns;
			if (c->sent_at_ns != 0) {
				(*missed)++;
			} else {
				c->sent_at_ns = crowd_now_ns();
				client_say(c, text, sizeof(text) - 1);
			}
		}
		if (c->due_at_ns < next_ns)
			next_ns = c->due_at_ns;
	}
	return next_ns;
}

void crowd_echo(struct crowd *crowd, uint32_t every_ms, uint32_t for_ms, struct latencies *ret)
{
	uint64_t every_ns = every_ms * 1000000ull, began_ns = crowd_now_ns();
	uint64_t end_ns = began_ns + for_ms * 1000000ull;

	memset(ret, 0, sizeof(*ret));
	sample_count = 0;
	crowd->acked = echoed;
	for (uint32_t i = 0; i < crowd->count; i++) {
		crowd->clients[i].due_at_ns = began_ns + every_ns * i / crowd->count;
		crowd->clients[i].sent_at_ns = 0;
	}
	for (uint64_t now_ns = began_ns; now_ns < end_ns; now_ns = crowd_now_ns()) {
		uint64_t next_ns = ask_due(crowd, every_ns, &ret->missed);

		now_ns = crowd_now_ns();
		crowd_turn(crowd, next_ns <= now_ns ? 0 : (int)((next_ns - now_ns + 999999) / 1000000));
	}
	crowd->acked = NULL;
	ret->count = sample_count;
	if (sample_count == 0)
		return;
	qsort(samples_us, sample_count, sizeof(samples_us[0]), compare);
	ret->p50_us = samples_us[sample_count / 2];
	ret->p99_us = samples_us[(uint64_t)sample_count * 99 / 100];
	ret->max_us = samples_us[sample_count - 1];
}

uint32_t crowd_flood(struct crowd *crowd, uint32_t for_ms, uint32_t window)
{
	static uint8_t burst[BURST_FRAMES * (BURST_TEXT_BYTES + 8)];
	struct client *c = &crowd->clients[0];
	uint64_t end_ns = crowd_now_ns() + for_ms * 1000000ull;
	uint32_t before = c->acks, bursts = 0;
	size_t bytes = 0, at = 0;

	for (int i = 0; i < BURST_FRAMES; i++) {
		char text[BURST_TEXT_BYTES];
		int n = snprintf(text, sizeof(text), "42%d[\"echo\",\"me, and me, and me again\"]", 1000 + i);

		bytes += client_frame(burst + bytes, text, (size_t)n);
	}
	while (c->state == CLIENT_READY && crowd_now_ns() < end_ns) {
		bool may = window == 0 || at > 0 || bursts * BURST_FRAMES - (c->acks - before) < window;
		ssize_t sent = may ? send(c->fd, burst + at, bytes - at, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

		if (sent > 0) {
			at = (at + (size_t)sent) % bytes;
			bursts += at == 0;
		}
		crowd_turn(crowd, sent > 0 ? 0 : 1);
	}
	/* A message begun is a message to end. */
	while (c->state == CLIENT_READY && at > 0) {
		ssize_t sent = send(c->fd, burst + at, bytes - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			at = (at + (size_t)sent) % bytes;
		crowd_turn(crowd, 1);
	}
	return c->acks - before;
}
