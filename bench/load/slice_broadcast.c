/*
 * load/slice_broadcast.c -- broadcasts to all N connections, at most 64 under way, a slot each.
 *
 *	slot: idle --emitted by one connection--> busy --received by all N--> idle
 *
 * Exactly once: a connection has one bit a slot, and a slot a parity that the bit differs from until the
 * connection has got the message. All bits have changed when the broadcast is complete; then the parity does.
 *
 * `broadcast` is a closed loop of W clients: each emits its next message when its own last one has come back to it,
 * whoever else still waits for that. So a server that is still sending finds the next W already waiting when it is
 * done, as a busy server does. (Waiting for all N instead makes the loop lock into patterns like 1, 7, 1, 7, which
 * say more about the generator than about the server.) The clients are in the middle of the order of connecting, so
 * that sending in that order or against it makes no difference.
 *
 * `rate` is an open loop: broadcasts start at Poisson times from a fixed seed, and latency counts from the
 * scheduled time, whether or not a slot was free then.
 */
#include "slice.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static void emit(struct load_slice *s, uint32_t emitter, uint64_t at_ns)
{
	char text[LOAD_TEXT_BYTES_MAX];

	assert(~s->busy != 0);
	unsigned i = (unsigned)__builtin_ctzll(~s->busy);
	struct load_slot *slot = &s->slots[i];

	load_slice_text(s, text, s->seq++, i);
	slot->message_bytes = s->client->options.protocol->broadcast(slot->message, text, s->text_bytes);
	slot->emitter = emitter;
	slot->received = 0;
	slot->at_ns = at_ns;
	s->busy |= UINT64_C(1) << i;
	s->started++;
	load_client_send(s->client, &s->client->conns[emitter], slot->message, slot->message_bytes);
}

/* Checks and counts a message. Returns its slot, or NULL if it should not have come. */
static struct load_slot *take(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	struct load_slot *slot = load_slice_slot(s, message, message_bytes);

	if (!slot || slot->message_bytes != message_bytes ||
		memcmp(slot->message, message, message_bytes) != 0) {
		load_client_fail(s->client, "connection %u: got what nobody sent, %zu bytes", conn->index,
			message_bytes);
		return NULL;
	}
	uint64_t bit = UINT64_C(1) << (slot - s->slots);

	if ((s->busy & bit) == 0 || ((conn->got & bit) != 0) == slot->parity) {
		load_client_fail(s->client, "connection %u: got a broadcast twice", conn->index);
		return NULL;
	}
	conn->got ^= bit;
	load_slice_delivered(s, slot->at_ns);
	if (++slot->received == s->client->options.conns) {
		s->busy &= ~bit;
		slot->parity = !slot->parity;
		s->done++;
	}
	return slot;
}

static uint32_t emitters_begin(const struct load_slice *s)
{
	return (s->client->options.conns - s->spec.in_flight) / 2;
}

/* Lets those emit whose message has come back, as far as slots are free. */
static void broadcast_tick(struct load_slice *s, uint64_t now_ns)
{
	while (s->returned != 0 && ~s->busy != 0 && load_slice_may_start(s)) {
		uint32_t i = (uint32_t)__builtin_ctzll(s->returned);

		s->returned &= ~(UINT64_C(1) << i);
		emit(s, emitters_begin(s) + i, now_ns);
	}
}

static void broadcast_begin(struct load_slice *s)
{
	assert(s->spec.in_flight >= 1 && s->spec.in_flight <= LOAD_SLOTS_MAX);
	assert(s->spec.in_flight <= s->client->options.conns);
	s->returned = UINT64_MAX >> (LOAD_SLOTS_MAX - s->spec.in_flight);
	broadcast_tick(s, s->began_at_ns);
}

static void broadcast_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	struct load_slot *slot = take(s, conn, message, message_bytes);

	if (slot && slot->emitter == conn->index) {
		s->returned |= UINT64_C(1) << (conn->index - emitters_begin(s));
		broadcast_tick(s, s->client->now_ns);
	}
}

/* splitmix64, to (0, 1]. */
static double random_unit(struct load_slice *s)
{
	uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return ((double)(z >> 11) + 1) / (double)(UINT64_C(1) << 53);
}

static void rate_schedule(struct load_slice *s)
{
	s->due_ns += -log(random_unit(s)) * 1e9 / s->spec.per_second;
}

static void rate_begin(struct load_slice *s)
{
	assert(s->spec.per_second > 0);
	s->due_ns = (double)s->began_at_ns;
	rate_schedule(s);
}

static void rate_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	(void)take(s, conn, message, message_bytes);
}

static void rate_tick(struct load_slice *s, uint64_t now_ns)
{
	while (s->due_ns <= (double)now_ns && ~s->busy != 0 && load_slice_may_start(s)) {
		emit(s, s->seq % s->client->options.conns, (uint64_t)s->due_ns);
		rate_schedule(s);
	}
}

const struct load_slice_mode load_mode_broadcast = {
	.name = "broadcast",
	.why_not_valid = "nothing was delivered",
	.begin = broadcast_begin,
	.message = broadcast_message,
	.tick = broadcast_tick,
};

const struct load_slice_mode load_mode_rate = {
	.name = "rate",
	.why_not_valid = "nothing was delivered",
	.begin = rate_begin,
	.message = rate_message,
	.tick = rate_tick,
};
