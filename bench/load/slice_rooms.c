/*
 * load/slice_rooms.c -- many rooms: `join` brings every connection into `each` of `rooms` rooms, `rooms` speaks in them.
 *
 *	rooms = 6, each = 2:   group 0: rooms 0 1 | group 1: rooms 2 3 | group 2: rooms 4 5
 *	connection i is in all rooms of group i % 3, so every room of a group has the same members
 *
 * An operation of `join` is one connection's request, which is acknowledged. One of `rooms` is one message to one room, done when
 * all its members have it, the sender included; then the next goes to the next room. W of them are under way.
 *
 * Exactly once, as in slice_broadcast.c: a bit a slot for each connection, and for each group, whose members' bits differ from it
 * until the message has reached them.
 */
#include "slice.h"

#include <assert.h>
#include <string.h>

static uint32_t groups_of(const struct load_slice *s)
{
	return s->rooms.rooms / s->rooms.each;
}

static void join_one(struct load_slice *s, uint32_t i)
{
	struct load_conn *conn = &s->client->conns[i];
	char message[LOAD_MESSAGE_BYTES_MAX];
	uint32_t first = i % groups_of(s) * s->rooms.each;

	conn->echo_at_ns = load_now_ns();
	s->started++;
	load_client_send(s->client, conn, message,
		s->client->options.protocol->join(message, ++conn->echo_id, first, s->rooms.each));
}

/* As many as may be under way; the others follow as answers come. */
static void join_begin(struct load_slice *s)
{
	s->rooms = (struct load_rooms){ .rooms = s->spec.rooms, .each = s->spec.each };
	s->spec.count = s->client->options.conns;
	for (uint32_t i = 0; i < LOAD_SLOTS_MAX && i < s->spec.count; i++)
		join_one(s, i);
}

static void join_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	char expected[LOAD_MESSAGE_BYTES_MAX];
	size_t n = s->client->options.protocol->joined(expected, conn->echo_id);

	if (conn->echo_at_ns == 0 || n != message_bytes || memcmp(message, expected, n) != 0) {
		load_client_fail(s->client, "connection %u: not the answer to its request", conn->index);
		return;
	}
	load_slice_delivered(s, conn->echo_at_ns);
	conn->echo_at_ns = 0;
	s->done++;
	if (s->started < s->spec.count)
		join_one(s, (uint32_t)s->started);
}

static void say(struct load_slice *s, unsigned i)
{
	const struct load_protocol *protocol = s->client->options.protocol;
	struct load_slot *slot = &s->slots[i];
	char text[LOAD_TEXT_BYTES_MAX], message[LOAD_MESSAGE_BYTES_MAX];
	/* From group to group, so that what is said at once is not said to the same. */
	uint32_t group = (uint32_t)(s->rooms.next % groups_of(s));
	uint32_t room = group * s->rooms.each + (uint32_t)(s->rooms.next / groups_of(s) % s->rooms.each);

	s->rooms.next++;
	load_slice_text(s, text, s->seq++, i);
	slot->message_bytes = protocol->broadcast(slot->message, text, s->text_bytes);
	slot->emitter = group;
	slot->received = 0;
	slot->at_ns = load_now_ns();
	s->busy |= UINT64_C(1) << i;
	s->started++;
	/* By another member each, as far as there are so many: nobody's messages only wait for one another. */
	uint32_t members = s->client->options.conns / groups_of(s),
		 speaker = group + i % members * groups_of(s);

	load_client_send(s->client, &s->client->conns[speaker], message,
		protocol->say(message, room, text, s->text_bytes));
}

static void rooms_begin(struct load_slice *s)
{
	assert(s->rooms.rooms > 0);
	for (unsigned i = 0; i < s->spec.in_flight && load_slice_may_start(s); i++)
		say(s, i);
}

static void rooms_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	struct load_slot *slot = load_slice_slot(s, message, message_bytes);
	uint32_t group = conn->index % groups_of(s);

	if (!slot || slot->message_bytes != message_bytes ||
		memcmp(slot->message, message, message_bytes) != 0 || slot->emitter != group) {
		load_client_fail(s->client, "connection %u: got what nobody sent, %zu bytes", conn->index,
			message_bytes);
		return;
	}
	uint64_t bit = UINT64_C(1) << (slot - s->slots), *parity = &s->client->conns[group].parity;

	if ((s->busy & bit) == 0 || ((conn->got ^ *parity) & bit) != 0) {
		load_client_fail(s->client, "connection %u: got a message twice", conn->index);
		return;
	}
	conn->got ^= bit;
	load_slice_delivered(s, slot->at_ns);
	if (++slot->received < s->client->options.conns / groups_of(s))
		return;
	s->busy &= ~bit;
	*parity ^= bit;
	s->done++;
	if (load_slice_may_start(s))
		say(s, (unsigned)(slot - s->slots));
}

const struct load_slice_mode load_mode_join = {
	.name = "join",
	.why_not_valid = "nobody joined",
	.begin = join_begin,
	.message = join_message,
};

const struct load_slice_mode load_mode_rooms = {
	.name = "rooms",
	.why_not_valid = "nothing was delivered",
	.begin = rooms_begin,
	.message = rooms_message,
};
