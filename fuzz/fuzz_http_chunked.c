/*
 * fuzz/fuzz_http_chunked.c -- any bytes as a chunked body.
 *
 * However the input is cut, the body, the verdict and the place where it came are the same; both ends are final; a byte of
 * body costs no more input than http/chunked.h says; and the body in chunks of our own decodes to itself.
 */
#include <stdio.h>

#include "base/buf.h"
#include "fuzz.h"
#include "http/chunked.h"

struct outcome {
	struct buf body;
	enum http_chunk verdict; /* MORE: it has not come to its end */
	const char *fail_reason;
	uint64_t left_bytes;
	size_t used;
};

/* Both ends are final, and take nothing. A failure takes one byte at most. */
static void check_final(struct http_chunked *c, enum http_chunk verdict)
{
	static const uint8_t more[] = "1\r\na\r\n0\r\n\r\n";
	struct str piece = STR("as it was");
	size_t used;

	assert(http_chunked_decode(c, more, sizeof(more) - 1, &used, &piece) == verdict);
	assert(used == 0 && str_equal(piece, STR("as it was")));
}

/* In pieces of at most `step`, each in memory of its own. */
static void run(struct outcome *o, const uint8_t *data, size_t bytes, size_t step)
{
	struct http_chunked c = { 0 };
	bool over = false;

	*o = (struct outcome){ .verdict = HTTP_CHUNK_MORE };
	buf_init(&o->body, bytes + 1);
	for (size_t at = 0; at < bytes && !over; at = o->used) {
		size_t n = bytes - at < step ? bytes - at : step, used;
		uint8_t *in = fuzz_copy(data + at, n);
		struct str piece;
		enum http_chunk got = http_chunked_decode(&c, in, n, &used, &piece);

		assert(used <= n && (got != HTTP_CHUNK_MORE || used == n));
		assert((got == HTTP_CHUNK_FAIL) == (c.fail_reason != NULL));
		if (got == HTTP_CHUNK_DATA) {
			assert(piece.bytes > 0 && fuzz_within(piece, in, used));
			assert(buf_append_str(&o->body, piece));
		}
		over = got == HTTP_CHUNK_END || got == HTTP_CHUNK_FAIL;
		o->verdict = over ? got : HTTP_CHUNK_MORE;
		o->used += used;
		free(in);
	}
	if (over)
		check_final(&c, o->verdict);
	o->left_bytes = c.left_bytes;
	o->fail_reason = c.fail_reason;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->verdict == b->verdict && a->fail_reason == b->fail_reason && a->used == b->used &&
	       a->left_bytes == b->left_bytes && str_equal(buf_str(&a->body), buf_str(&b->body));
}

/* The body in chunks of at most `chunk` bytes. */
static void check_encoded(struct str body, size_t chunk)
{
	struct outcome o;
	struct buf text;
	char line[32];

	buf_init(&text, body.bytes * 10 + 16);
	for (size_t at = 0; at < body.bytes;) {
		size_t n = body.bytes - at < chunk ? body.bytes - at : chunk;
		int head = snprintf(line, sizeof(line), at % 2 == 0 ? "%zx\r\n" : "%03zX;a\r\n", n);

		assert(buf_append(&text, line, (size_t)head) && buf_append(&text, body.s + at, n) &&
			buf_append_str(&text, STR("\r\n")));
		at += n;
	}
	assert(buf_append_str(&text, STR("0\r\n\r\n")));
	run(&o, text.data, text.bytes, SIZE_MAX);
	assert(o.verdict == HTTP_CHUNK_END && o.used == text.bytes && str_equal(buf_str(&o.body), body));
	buf_finish(&o.body);
	buf_finish(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const size_t steps[] = { 1, 2, 7, 64 };
	const size_t chunk_cost = HTTP_CHUNK_EXTENSION_BYTES_MAX + 21;
	struct outcome whole, cut;

	run(&whole, data, bytes, SIZE_MAX);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		run(&cut, data, bytes, steps[i]);
		assert(same(&whole, &cut));
		buf_finish(&cut.body);
	}
	assert(whole.body.bytes <= whole.used);
	assert(whole.used <=
		whole.body.bytes * (1 + chunk_cost) + chunk_cost + HTTP_CHUNK_TRAILER_BYTES_MAX + 4);
	check_encoded(buf_str(&whole.body), SIZE_MAX);
	check_encoded(buf_str(&whole.body), 3);
	buf_finish(&whole.body);
	return 0;
}
