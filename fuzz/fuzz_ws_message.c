/*
 * fuzz/fuzz_ws_message.c -- any bytes as a client's WebSocket stream.
 *
 *	limits | stream ...      the first byte chooses the longest message and the fragments that one may have
 *
 * However it is cut, the events are the same; they keep to the limits; nothing follows an end; and what was read, sent again
 * in frames of our own, is read the same.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "ws/message.h"

enum { MASK_BYTES = 4 };

struct limits {
	uint32_t message_bytes_max, fragments_max;
};

static void check_event(enum ws_read what, const struct ws_event *e, const struct limits *l)
{
	bool valid = utf8_valid(e->data, e->data_bytes);

	switch (what) {
	case WS_READ_TEXT:
	case WS_READ_BINARY:
		assert(e->data_bytes <= l->message_bytes_max && (valid || what == WS_READ_BINARY));
		break;
	case WS_READ_PING:
	case WS_READ_PONG:
		assert(e->data_bytes <= WS_CONTROL_BYTES_MAX);
		break;
	case WS_READ_CLOSE:
		assert(e->data_bytes <= WS_CONTROL_BYTES_MAX - 2 && valid);
		assert(ws_close_code_valid(e->code) || (e->code == WS_CLOSE_NONE && e->data_bytes == 0));
		break;
	case WS_READ_FAIL:
		assert(e->error != WS_ERROR_NO_MEMORY && e->code == ws_error_close_code(e->error));
		assert(e->data_bytes == 0 && ws_error_text(e->error)[0] != '\0');
		break;
	case WS_READ_MORE:
		break;
	}
	assert(what == WS_READ_FAIL ? ws_close_code_valid(e->code) : e->error == WS_ERROR_NONE);
	assert(what == WS_READ_CLOSE || what == WS_READ_FAIL || e->code == 0);
}

/* The frame in which a client sends what was read. */
static void put_frame(struct buf *b, enum ws_read what, const struct ws_event *e)
{
	static const enum ws_opcode ops[] = { [WS_READ_TEXT] = WS_OP_TEXT,
		[WS_READ_BINARY] = WS_OP_BINARY,
		[WS_READ_PING] = WS_OP_PING,
		[WS_READ_PONG] = WS_OP_PONG,
		[WS_READ_CLOSE] = WS_OP_CLOSE };
	const uint8_t mask[MASK_BYTES] = { 0x37, 0xfa, (uint8_t)e->data_bytes, 0x3d };
	uint8_t header[WS_SERVER_HEADER_BYTES_MAX], close[WS_CONTROL_BYTES_MAX];
	const uint8_t *payload = e->data;
	size_t bytes = e->data_bytes;

	if (what == WS_READ_CLOSE) {
		bytes = ws_close_encode(close, e->code, str_of((const char *)e->data, e->data_bytes));
		payload = close;
	}
	size_t header_bytes = ws_frame_header_encode(header, ops[what], true, bytes);
	header[1] |= 0x80;
	assert(buf_append(b, header, header_bytes) && buf_append(b, mask, sizeof(mask)));
	assert(buf_reserve(b, bytes + 1));
	for (size_t i = 0; i < bytes; i++)
		b->data[b->bytes++] = payload[i] ^ mask[i % MASK_BYTES];
}

/* What has been seen: a sum over all events and their data, and over those but a failure. */
struct seen {
	uint64_t sum, sum_good;
	bool over;
};

static void note(struct seen *s, enum ws_read what, const struct ws_event *e)
{
	const uint16_t numbers[] = { (uint16_t)what, e->code, (uint16_t)e->error };

	assert(!s->over);
	s->sum = fuzz_sum(fuzz_sum(s->sum, numbers, sizeof(numbers)), e->data, e->data_bytes);
	if (what != WS_READ_FAIL)
		s->sum_good = s->sum;
	s->over = what == WS_READ_CLOSE || what == WS_READ_FAIL;
}

/* In pieces of at most `step`, each in memory of its own. `again` is NULL or gets what was read in our frames. */
static struct seen run(
	const struct limits *l, const uint8_t *data, size_t bytes, size_t step, struct buf *again)
{
	struct ws_reader r;
	struct seen seen = { 0 };
	size_t n, used;

	ws_reader_init(&r, l->message_bytes_max, l->fragments_max);
	for (size_t at = 0; at < bytes; at += n) {
		n = bytes - at < step ? bytes - at : step;
		uint8_t *in = fuzz_copy(data + at, n);
		for (size_t done = 0;; done += used) {
			struct ws_event e = { 0 };
			enum ws_read what = ws_read(&r, in + done, n - done, &used, &e);

			assert(used <= n - done);
			if (what == WS_READ_MORE) {
				assert(used == n - done);
				break;
			}
			check_event(what, &e, l);
			note(&seen, what, &e);
			if (again != NULL && what != WS_READ_FAIL)
				put_frame(again, what, &e);
		}
		free(in);
	}
	ws_reader_finish(&r);
	return seen;
}

/* The frames alone: they lie one behind the other, each with the header that we would write, and a failure is final. */
static void check_frames(const struct limits *l, const uint8_t *data, size_t bytes)
{
	struct ws_decoder d;
	struct ws_piece p;
	uint8_t *in = fuzz_copy(data, bytes);
	size_t at = 0, used;
	enum ws_decode got;

	ws_decoder_init(&d, l->message_bytes_max);
	while ((got = ws_decode(&d, in + at, bytes - at, &used, &p)) == WS_DECODE_PIECE) {
		assert(fuzz_within(str_of((const char *)p.data, p.data_bytes), in + at, used));
		assert(p.data + p.data_bytes == in + at + used &&
			p.data_bytes <= l->message_bytes_max + WS_CONTROL_BYTES_MAX);
		assert(p.first && (p.last || at + used == bytes));
		if (p.last) {
			uint8_t header[WS_SERVER_HEADER_BYTES_MAX];
			size_t n = ws_frame_header_encode(header, p.op, p.fin, p.data_bytes);

			header[1] |= 0x80;
			assert(used == n + MASK_BYTES + p.data_bytes && memcmp(in + at, header, n) == 0);
		}
		at += used;
	}
	assert(got == WS_DECODE_FAIL ? d.error != WS_ERROR_NONE : at + used == bytes);
	if (got == WS_DECODE_FAIL) {
		assert(ws_decode(&d, in, bytes, &used, &p) == WS_DECODE_FAIL && used == 0);
	}
	free(in);
}

/* A reason of any length fits, cut between characters. */
static void check_close(struct str reason)
{
	uint8_t out[WS_CONTROL_BYTES_MAX];
	size_t bytes = ws_close_encode(out, WS_CLOSE_NORMAL, reason);
	struct str kept = str_of((const char *)out + 2, bytes - 2);

	assert(bytes >= 2 && out[0] << 8 == (WS_CLOSE_NORMAL & 0xff00) && out[1] == (WS_CLOSE_NORMAL & 0xff));
	assert(str_starts(reason, kept) && utf8_valid(out + 2, kept.bytes));
	assert(kept.bytes == reason.bytes || kept.bytes + 4 > WS_CONTROL_BYTES_MAX - 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const size_t steps[] = { 1, 3, 16, 100 };
	struct buf again;

	if (bytes == 0)
		return 0;
	const struct limits l = {
		.message_bytes_max = (data[0] & 1) != 0   ? 100000
				     : (data[0] & 2) != 0 ? 4096
							  : 125,
		.fragments_max = data[0] >> 2 & 7,
	};
	data++;
	bytes--;
	check_frames(&l, data, bytes);
	if (utf8_valid(data, bytes))
		check_close(str_of((const char *)data, bytes));
	buf_init(&again, 16 * bytes + 64);
	struct seen whole = run(&l, data, bytes, SIZE_MAX, &again);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		assert(run(&l, data, bytes, steps[i], NULL).sum == whole.sum);
	assert(run(&l, again.data, again.bytes, 5, NULL).sum == whole.sum_good);
	buf_finish(&again);
	return 0;
}
