/* load/slice.c -- see load/slice.h. */
#include "slice.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define NS_PER_S UINT64_C(1000000000)

/* Where the tag's two digits are in a text: after ten digits and a space. */
enum { TAG_AT = 11 };

void load_slice_init(struct load_slice *s, struct load_client *client, size_t text_bytes)
{
	assert(text_bytes >= LOAD_TEXT_BYTES_MIN && text_bytes <= LOAD_TEXT_BYTES_MAX);
	*s = (struct load_slice){
		.client = client,
		.text_bytes = text_bytes,
		.random = 20260101, /* any constant: the same arrivals in every run */
	};
	/* A connection's bits are all 0: they have to differ from the first broadcast's parity. */
	for (size_t i = 0; i < LOAD_SLOTS_MAX; i++)
		s->slots[i].parity = true;
}

bool load_slice_may_start(const struct load_slice *s)
{
	return s->running && (s->spec.count == 0 || s->started < s->spec.count);
}

void load_slice_text(const struct load_slice *s, char *out, uint32_t seq, unsigned tag)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char head[32];
	int n = snprintf(head, sizeof(head), "%010" PRIu32 " %02u ", seq, tag % 100);

	assert(n > 0 && (size_t)n <= s->text_bytes);
	for (size_t i = 0; i < s->text_bytes; i++)
		out[i] = i < (size_t)n ? head[i] : letters[(seq + i) % (sizeof(letters) - 1)];
}

struct load_slot *load_slice_slot(struct load_slice *s, const uint8_t *message, size_t message_bytes)
{
	size_t at = s->client->options.protocol->broadcast_text_at + TAG_AT;

	if (message_bytes < at + 2)
		return NULL;
	unsigned tens = message[at] - (unsigned)'0', ones = message[at + 1] - (unsigned)'0';

	if (tens > 9 || ones > 9 || tens * 10 + ones >= LOAD_SLOTS_MAX)
		return NULL;
	return &s->slots[tens * 10 + ones];
}

void load_slice_delivered(struct load_slice *s, uint64_t sent_at_ns)
{
	uint64_t now_ns = s->client->now_ns;

	s->deliveries++;
	s->last_at_ns = now_ns;
	load_hist_add(&s->latency, now_ns > sent_at_ns ? now_ns - sent_at_ns : 0);
}

static void on_message(void *arg, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	struct load_slice *s = arg;

	/* After the first failure only the end is waited for. */
	if (!load_client_failed(s->client))
		s->spec.mode->message(s, conn, message, message_bytes);
}

static void poll_until(struct load_slice *s, uint64_t until_ns)
{
	while (!load_client_failed(s->client) && load_now_ns() < until_ns)
		load_client_poll(s->client, 0);
}

static void run(struct load_slice *s)
{
	struct load_client *c = s->client;
	const struct load_slice_spec *spec = &s->spec;
	const uint64_t stall_ns = c->options.stall_seconds * NS_PER_S;
	const uint64_t until_ns = spec->seconds > 0
					  ? s->began_at_ns + (uint64_t)(spec->seconds * (double)NS_PER_S)
					  : UINT64_MAX;

	while (!load_client_failed(c)) {
		uint64_t now_ns = load_now_ns();

		if (now_ns >= until_ns || (spec->count > 0 && s->started == spec->count))
			s->running = false;
		if (!s->running && s->done == s->started)
			break;
		if (spec->mode->tick)
			spec->mode->tick(s, now_ns);
		load_client_poll(c, spec->mode->poll_timeout_ms);
		if (s->done < s->started && now_ns > s->last_at_ns && now_ns - s->last_at_ns > stall_ns)
			load_client_fail(c,
				"stalls: %" PRIu64 " of %" PRIu64 " operations done, %" PRIu64 " deliveries",
				s->done, s->started, s->deliveries);
	}
}

static void report(
	const struct load_slice *s, uint64_t receives, uint64_t heartbeats, double seconds, bool valid)
{
	const struct load_client *c = s->client;
	const char *why = load_client_failed(c) ? c->failure : valid ? "" : s->spec.mode->why_not_valid;

	printf("{\"event\":\"slice\",\"mode\":\"%s\",\"protocol\":\"%s\",\"n\":%u,\"in_flight\":%u,\"bytes\":"
	       "%zu,",
		s->spec.mode->name, c->options.protocol->name, c->options.conns, s->spec.in_flight,
		s->text_bytes);
	printf("\"operations\":%" PRIu64 ",\"deliveries\":%" PRIu64 ",\"seconds\":%.6f,\"per_second\":%.0f,",
		s->done, s->deliveries, seconds, seconds > 0 ? (double)s->deliveries / seconds : 0.0);
	printf("\"pushed\":%" PRIu64 ",", s->pushed);
	printf("\"receives\":%" PRIu64 ",\"frames_per_receive\":%.3f,\"heartbeats\":%" PRIu64 ",", receives,
		receives > 0 ? (double)s->deliveries / (double)receives : 0.0, heartbeats);
	printf("\"p50_us\":%.1f,\"p99_us\":%.1f,", (double)load_hist_quantile_ns(&s->latency, 0.50) / 1e3,
		(double)load_hist_quantile_ns(&s->latency, 0.99) / 1e3);
	printf("\"valid\":%s,\"why\":\"%s\"}\n", valid ? "true" : "false", why);
	fflush(stdout);
}

bool load_slice_run(struct load_slice *s, const struct load_slice_spec *spec)
{
	struct load_client *c = s->client;
	uint64_t receives = c->receives, heartbeats = c->heartbeats;
	bool valid;
	double seconds;

	s->spec = *spec;
	s->running = true;
	s->started = s->done = s->deliveries = s->pushed = 0;
	s->latency = (struct load_hist){ 0 };
	s->began_at_ns = s->last_at_ns = load_now_ns();
	c->on_message = on_message;
	c->on_message_arg = s;
	if (spec->mode->begin && !load_client_failed(c))
		spec->mode->begin(s);
	run(s);
	seconds = (double)((spec->mode->begin ? s->last_at_ns : load_now_ns()) - s->began_at_ns) /
		  (double)NS_PER_S;
	receives = c->receives - receives;
	poll_until(s, load_now_ns() + LOAD_SETTLE_NS);
	c->on_message = NULL;

	valid = !load_client_failed(c) && (s->done > 0 || !spec->mode->why_not_valid);
	report(s, receives, c->heartbeats - heartbeats, seconds, valid);
	return valid;
}

/* Holding: nothing is sent, nothing may come but heartbeats. */
static void hold_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	(void)message;
	load_client_fail(s->client, "connection %u: %zu bytes while idle", conn->index, message_bytes);
}

const struct load_slice_mode load_mode_hold = {
	.name = "hold",
	.poll_timeout_ms = 10,
	.message = hold_message,
};
