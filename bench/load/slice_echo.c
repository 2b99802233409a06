/*
 * load/slice_echo.c -- requests with an acknowledgement that carries the text back, one in flight per connection
 * (closed loop). An operation and a delivery are both one round trip.
 */
#include "slice.h"

#include <assert.h>
#include <string.h>

static void request(struct load_slice *s, struct load_conn *conn, uint64_t at_ns)
{
	char text[LOAD_TEXT_BYTES_MAX], message[LOAD_MESSAGE_BYTES_MAX];
	size_t n;

	conn->echo_id++;
	conn->echo_at_ns = at_ns;
	load_slice_text(s, text, conn->echo_id, conn->index);
	n = s->client->options.protocol->echo_request(message, conn->echo_id, text, s->text_bytes);
	s->started++;
	load_client_send(s->client, conn, message, n);
}

static void echo_begin(struct load_slice *s)
{
	assert(s->spec.in_flight >= 1 && s->spec.in_flight <= s->client->options.conns);
	for (uint32_t i = 0; i < s->spec.in_flight && load_slice_may_start(s); i++)
		request(s, &s->client->conns[i], load_now_ns());
}

static void echo_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	char text[LOAD_TEXT_BYTES_MAX], expected[LOAD_MESSAGE_BYTES_MAX];
	size_t n;

	load_slice_text(s, text, conn->echo_id, conn->index);
	n = s->client->options.protocol->echo_reply(expected, conn->echo_id, text, s->text_bytes);
	if (conn->echo_at_ns == 0 || n != message_bytes || memcmp(message, expected, n) != 0) {
		load_client_fail(s->client, "connection %u: not the answer to its request", conn->index);
		return;
	}
	load_slice_delivered(s, conn->echo_at_ns);
	conn->echo_at_ns = 0;
	s->done++;
	if (load_slice_may_start(s))
		request(s, conn, s->client->now_ns);
}

const struct load_slice_mode load_mode_echo = {
	.name = "echo",
	.why_not_valid = "nothing was delivered",
	.begin = echo_begin,
	.message = echo_message,
};
