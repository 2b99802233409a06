/*
 * fuzz/server/script.c -- what the input says is done: see fuzz/server/scene.h.
 *
 * An act is a byte, its kind in the lower five bits and the connection in the upper three, and what that kind wants behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "server/raw.h"
#include "sio/stats.h"

enum {
	ACTS_MAX = 256,
	ASK_EVERY = 3, /* acts */
	WAIT_STEP_MS = 500,
	BASE_BYTES = 1 << 19, /* of tables, and of the witness */
	OWN_TEXT = 0xe0, /* from here on packets are the input's own bytes */
};

enum {
	ACT_WAIT,
	ACT_REQUEST,
	ACT_PACKETS,
	ACT_FRAME,
	ACT_RAW,
	ACT_CONNECT,
	ACT_OUTSIDE,
	ACT_HALF_CLOSE,
	ACT_CLOSE,
	ACT_RESET,
	ACT_STALL,
	ACT_VANISH,
	ACT_FAULTS,
	ACT_OPEN_WS,
	ACT_OPEN_POLLING,
	ACT_POLL,
	ACT_ASK,
	ACT_REPEAT,
	ACTS,
};

/* No more than its limits allow. */
static void judge_memory(void)
{
	struct sio_stats s;
	const uint32_t message = scene->message_bytes_max, queue = scene->queue_bytes_max;
	uint64_t now = (uint64_t)(kernel_allocated() - scene->allocated);

	if (now < BASE_BYTES)
		return;
	sio_stats(scene->io, &s);
	uint64_t conns = s.connections_accepted - s.connections_closed,
		 sessions = s.sessions_opened - s.sessions_closed,
		 sockets = s.sockets_connected - s.sockets_disconnected;
	/* A head, requests behind it, a body, attachments; a queue, which one message may be beyond, and what refers to it. */
	uint64_t most = BASE_BYTES + conns * (100000 + 3 * (uint64_t)message) +
			sessions * (20000 + 2 * (uint64_t)queue + message) + sockets * 8000 +
			(uint64_t)scene->backlog_bytes_max * scene->loops * (SCENE_SPACES + 3);
	if (now > most)
		kernel_fail("%llu bytes for %llu connections, %llu sessions, %llu sockets: at most %llu",
			(unsigned long long)now, (unsigned long long)conns, (unsigned long long)sessions,
			(unsigned long long)sockets, (unsigned long long)most);
}

void script_wait(uint64_t ns)
{
	while (ns > 0) {
		uint64_t step = ns < WAIT_STEP_MS * KERNEL_MS ? ns : WAIT_STEP_MS * KERNEL_MS;

		kernel_sleep(step);
		judge_memory();
		ns -= step;
	}
}

/* Bytes of the input, which says how many. */
static void own_text(struct input *in, struct bytes *out)
{
	size_t bytes = input_byte(in), left = (size_t)(in->end - in->at);

	bytes = bytes < left ? bytes : left;
	bytes_add(out, in->at, bytes);
	in->at += bytes;
}

/* A template, or bytes of the input. */
static void packets(struct input *in, struct raw *r, struct bytes *out)
{
	uint8_t which = input_byte(in);

	if (which >= OWN_TEXT) {
		own_text(in, out);
		return;
	}
	uint8_t how = input_byte(in);
	template_packets(
		out, which, &(struct filling){ .raw = r, .index = (uint8_t)(how >> 4), .number = how });
}

static void request(struct input *in, struct raw *r)
{
	uint8_t which = input_byte(in), how = input_byte(in);
	struct bytes body = { 0 }, out = { 0 };
	struct filling f = {
		.raw = r, .index = how & 7, .number = how, .headers = (uint8_t)(how >> 4), .body = &body
	};

	if (template_has_body(which))
		packets(in, r, &body);
	template_request(&out, which, &f);
	/* Some are never sent to their end. */
	raw_send(r, out.data, how & 8 ? out.count / 2 + how % 32 : out.count);
}

static void add_frame(struct bytes *out, uint8_t first, bool masked, const uint8_t *data, size_t bytes)
{
	const uint8_t mask[4] = { 0x12, 0x34, 0x56, 0x78 };
	uint8_t head[4] = { first, (uint8_t)(masked << 7 | (bytes < 126 ? (uint8_t)bytes : 126)),
		(uint8_t)(bytes >> 8), (uint8_t)bytes };

	bytes_add(out, head, bytes < 126 ? 2 : 4);
	if (masked)
		bytes_add(out, mask, sizeof(mask));
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte = (uint8_t)(data[i] ^ (masked ? mask[i % 4] : 0));

		bytes_add(out, &byte, 1);
	}
}

static bool is_base64(const uint8_t *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		bool letter = (text[i] | 32) >= 'a' && (text[i] | 32) <= 'z';

		if (!letter && (text[i] < '0' || text[i] > '9') && text[i] != '+' && text[i] != '/' &&
			text[i] != '=')
			return false;
	}
	return true;
}

static void add_packet_frame(struct bytes *out, const uint8_t *packet, size_t bytes)
{
	struct bytes binary = { 0 };

	if (bytes > 1 && packet[0] == 'b' && is_base64(packet + 1, bytes - 1)) {
		wire_base64_decode(&binary, packet + 1, bytes - 1);
		add_frame(out, 0x80 | WIRE_BINARY, true, binary.data, binary.count);
	} else {
		add_frame(out, 0x80 | WIRE_TEXT, true, packet, bytes);
	}
}

/* As a WebSocket has them: each in a frame, binary ones as they are. */
static void add_packet_frames(struct bytes *out, const struct bytes *all)
{
	size_t first = 0;

	for (size_t i = 0; i <= all->count; i++) {
		if (i < all->count && all->data[i] != RAW_SEPARATOR)
			continue;
		add_packet_frame(out, i > first ? all->data + first : (const uint8_t *)"", i - first);
		first = i + 1;
	}
}

/* By whatever transport the connection is. */
static void send_packets(struct input *in, struct raw *r)
{
	struct bytes all = { 0 }, out = { 0 };

	packets(in, r, &all);
	if (r->is_ws)
		add_packet_frames(&out, &all);
	else
		template_request(&out, 2, &(struct filling){ .raw = r, .body = &all });
	raw_send(r, out.data, out.count);
}

/* Upper bits: not the last, no mask, a reserved bit. */
static void frame(struct input *in, struct raw *r)
{
	struct bytes data = { 0 }, out = { 0 };
	uint8_t how = input_byte(in), opcode = how & 15;

	packets(in, r, &data);
	add_frame(&out, (uint8_t)((how & 0x80 ? 0 : 0x80) | (how & 0x20) << 1 | opcode), !(how & 0x40),
		data.data, data.count < UINT16_MAX ? data.count : UINT16_MAX);
	raw_send(r, out.data, out.count);
}

/* An outline, on a new connection; then what joins "/". */
static void open_session(struct raw *r, uint8_t template)
{
	struct bytes out = { 0 };
	const struct bytes join = { .data = (uint8_t *)(uintptr_t) "40", .count = 2 };

	raw_connect(r);
	template_request(&out, template, &(struct filling){ .raw = r });
	if (template == 3)
		add_packet_frames(&out, &join);
	raw_send(r, out.data, out.count);
}

static void send_template(struct raw *r, uint8_t template)
{
	struct bytes out = { 0 };

	template_request(&out, template, &(struct filling){ .raw = r });
	raw_send(r, out.data, out.count);
}

static void raw_text(struct input *in, struct raw *r)
{
	struct bytes text = { 0 };

	own_text(in, &text);
	raw_send(r, text.data, text.count);
}

static void on_connection(uint8_t act, struct raw *r)
{
	switch (act) {
	case ACT_CONNECT:
		raw_connect(r);
		break;
	case ACT_HALF_CLOSE:
		if (r->open)
			tcp_end(r->tcp);
		break;
	case ACT_CLOSE:
		raw_close(r, false);
		break;
	case ACT_RESET:
		raw_close(r, true);
		break;
	case ACT_STALL:
		raw_stall(r);
		break;
	case ACT_VANISH:
		raw_vanish(r);
		break;
	case ACT_OPEN_WS:
		open_session(r, 3);
		break;
	case ACT_OPEN_POLLING:
		open_session(r, 0);
		break;
	case ACT_POLL:
		send_template(r, 1);
		break;
	default:
		witness_ask();
	}
}

static void act_once(struct input *in)
{
	uint8_t first = input_byte(in);
	uint8_t act = (first & 31) % ACTS;
	struct raw *r = raw_at(first >> 5);

	kernel_note("act %d on %u", act, (unsigned)(first >> 5) % SCENE_RAWS);
	switch (act) {
	case ACT_WAIT:
		script_wait(KERNEL_MS << (input_byte(in) & 15));
		break;
	case ACT_REQUEST:
		request(in, r);
		break;
	case ACT_PACKETS:
		send_packets(in, r);
		break;
	case ACT_FRAME:
		frame(in, r);
		break;
	case ACT_RAW:
		raw_text(in, r);
		break;
	case ACT_OUTSIDE: {
		uint8_t what = input_byte(in);

		outside_act(what, input_byte(in));
		break;
	}
	case ACT_FAULTS:
		serve_faults(in);
		break;
	case ACT_REPEAT:
		raw_repeat(r, 1 + 5 * (uint32_t)input_byte(in));
		break;
	default:
		on_connection(act, r);
	}
}

void script_run(void)
{
	struct input *in = &scene->in;
	uint64_t began_ns = kernel_now_ns();

	for (uint32_t i = 0; i < ACTS_MAX && in->at < in->end; i++) {
		act_once(in);
		if (i % ASK_EVERY == 0)
			witness_ask();
		script_wait(scene->pause_ns);
		if (kernel_now_ns() - began_ns > SCENE_VIRTUAL_S_MAX * KERNEL_S)
			break;
	}
}
