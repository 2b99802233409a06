/*
 * fuzz/fuzz_http_head.c -- any bytes as a request's head.
 *
 * Whole, in two parts at many places and byte by byte give the same head; it ends where it says; its slices lie in it, what it
 * says of the body and the connection follows from its headers, and written down again it is the same head.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "http/head.h"

enum {
	SPLITS_ALL_BYTES = 128, /* up to here at every place, beyond at SPLITS */
	SPLITS = 12,
};

/* A slice is the same if it has the same bytes; where it lies, its own input tells. */
static void check_same(const struct http_head *a, const struct http_head *b)
{
	assert(a->method == b->method && str_equal(a->method_text, b->method_text));
	assert(str_equal(a->target, b->target) && str_equal(a->path, b->path) &&
		str_equal(a->query, b->query));
	assert(a->minor == b->minor && a->keep_alive == b->keep_alive && a->upgrade == b->upgrade);
	assert(a->expect_continue == b->expect_continue);
	assert(a->body == b->body && a->content_length == b->content_length);
	assert(a->header_count == b->header_count);
	for (size_t i = 0; i < a->header_count; i++) {
		assert(str_equal(a->headers[i].name, b->headers[i].name));
		assert(str_equal(a->headers[i].value, b->headers[i].value));
	}
}

static void check_failed(const struct http_head *h)
{
	static const uint16_t known[] = { 400, 405, 414, 417, 431, 501, 505 };
	bool found = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		found |= h->fail_status == known[i];
	assert(found && h->fail_reason != NULL);
}

/* The last call has all of it, those before have it up to there; each in memory of its own. */
static enum http_parse parse_in_two(const uint8_t *data, size_t bytes, size_t at, struct http_head *ret)
{
	struct http_head_scan scan = { 0 };
	uint8_t *front = fuzz_copy(data, at);
	enum http_parse got = http_head_parse(&scan, front, at, ret);

	free(front);
	return got == HTTP_PARSE_MORE ? http_head_parse(&scan, data, bytes, ret) : got;
}

static enum http_parse parse_bytewise(const uint8_t *data, size_t bytes, struct http_head *ret)
{
	struct http_head_scan scan = { 0 };
	enum http_parse got = HTTP_PARSE_MORE;

	for (size_t n = 0; n <= bytes && got == HTTP_PARSE_MORE; n++)
		got = http_head_parse(&scan, data, n, ret);
	if (got == HTTP_PARSE_FAIL) {
		uint16_t status = ret->fail_status;
		assert(http_head_parse(&scan, data, bytes, ret) == HTTP_PARSE_FAIL &&
			ret->fail_status == status);
	}
	return got;
}

/* `h` is what all of it gave, with `verdict`. A head that is whole in its front alone is not taken from there yet. */
static void check_splits(
	const uint8_t *data, size_t bytes, enum http_parse verdict, const struct http_head *h)
{
	static struct http_head other;
	size_t splits = bytes <= SPLITS_ALL_BYTES ? bytes : SPLITS;

	for (size_t i = 0; i <= splits; i++) {
		enum http_parse got = i == splits ? parse_bytewise(data, bytes, &other)
						  : parse_in_two(data, bytes, i * bytes / splits, &other);

		assert(got == verdict);
		if (verdict == HTTP_PARSE_FAIL)
			assert(other.fail_status == h->fail_status && other.fail_reason == h->fail_reason);
		/* Slices of a front that was whole have gone with it. */
		if (verdict == HTTP_PARSE_DONE && (i == splits || i * bytes / splits < h->head_bytes))
			check_same(&other, h);
		assert(verdict != HTTP_PARSE_DONE || other.head_bytes == h->head_bytes);
	}
}

static void check_slices(const uint8_t *data, const struct http_head *h)
{
	assert(h->head_bytes <= HTTP_HEAD_BYTES_MAX && h->header_count <= HTTP_HEADERS_MAX);
	assert(h->method_text.bytes > 0 && h->method_text.bytes <= HTTP_METHOD_BYTES_MAX);
	assert(h->target.bytes > 0 && h->target.bytes <= HTTP_TARGET_BYTES_MAX && h->path.bytes > 0);
	assert(fuzz_within(h->method_text, data, h->head_bytes));
	assert(fuzz_within(h->target, data, h->head_bytes));
	assert(fuzz_within(h->query, h->target.s, h->target.bytes));
	assert(fuzz_within(h->path, h->target.s, h->target.bytes) || str_equal(h->path, STR("/")));
	assert(http_head_get(h, STR("")).s == NULL && http_head_count(h, STR("")) == 0);
	for (size_t i = 0; i < h->header_count; i++) {
		struct str name = h->headers[i].name, value = h->headers[i].value;

		assert(fuzz_within(name, data, h->head_bytes) && fuzz_within(value, data, h->head_bytes));
		assert(name.bytes > 0 && str_equal(http_trim(value), value));
		for (size_t k = 0; k < value.bytes; k++)
			assert((uint8_t)value.s[k] >= 0x20 ? value.s[k] != 0x7f : value.s[k] == '\t');
		assert(http_head_get(h, name).s != NULL && http_head_count(h, name) > 0);
	}
}

/* What two readers could take for different requests is none. */
static void check_meaning(const struct http_head *h)
{
	size_t hosts = http_head_count(h, STR("host")),
	       codings = http_head_count(h, STR("Transfer-Encoding"));
	size_t lengths = http_head_count(h, STR("CONTENT-LENGTH"));
	bool closes = http_head_has_token(h, STR("Connection"), STR("close"));
	bool stays = http_head_has_token(h, STR("Connection"), STR("keep-alive"));

	assert(hosts == 1 || (hosts == 0 && h->minor == 0));
	assert(codings + lengths <= 1 && (h->minor == 1 || codings == 0));
	assert((h->body == HTTP_BODY_CHUNKED) == (codings == 1));
	assert((h->body == HTTP_BODY_LENGTH) == (h->content_length > 0) &&
		(lengths == 1 || h->content_length == 0));
	assert(h->content_length <= HTTP_CONTENT_LENGTH_MAX);
	assert(h->keep_alive == (!closes && (h->minor == 1 || stays)));
	if (h->upgrade)
		assert(h->minor == 1 && http_head_has_token(h, STR("connection"), STR("upgrade")) &&
			http_head_count(h, STR("upgrade")) > 0);
	if (h->expect_continue)
		assert(h->minor == 1 && h->body != HTTP_BODY_NONE && http_head_count(h, STR("expect")) > 0);
	assert(!str_equal(h->method_text, STR("TRACE")) && !str_equal(h->method_text, STR("CONNECT")));
}

static void check_written_again(const struct http_head *h)
{
	static struct http_head again;
	struct http_head_scan scan = { 0 };
	struct buf text;

	buf_init(&text, 2 * HTTP_HEAD_BYTES_MAX);
	assert(buf_append_str(&text, h->method_text) && buf_append_str(&text, STR(" ")) &&
		buf_append_str(&text, h->target) &&
		buf_append_str(&text, h->minor == 1 ? STR(" HTTP/1.1\r\n") : STR(" HTTP/1.0\r\n")));
	for (size_t i = 0; i < h->header_count; i++)
		assert(buf_append_str(&text, h->headers[i].name) && buf_append_str(&text, STR(":")) &&
			buf_append_str(&text, h->headers[i].value) && buf_append_str(&text, STR("\r\n")));
	assert(buf_append_str(&text, STR("\r\n")) && text.bytes <= h->head_bytes);
	assert(http_head_parse(&scan, text.data, text.bytes, &again) == HTTP_PARSE_DONE);
	assert(again.head_bytes == text.bytes);
	check_same(&again, h);
	buf_finish(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct http_head whole, front;
	struct http_head_scan scan = { 0 };
	enum http_parse verdict = http_head_parse(&scan, data, bytes, &whole);

	check_splits(data, bytes, verdict, &whole);
	if (verdict == HTTP_PARSE_FAIL)
		check_failed(&whole);
	if (verdict != HTTP_PARSE_DONE)
		return 0;
	check_slices(data, &whole);
	check_meaning(&whole);
	check_written_again(&whole);
	assert(parse_in_two(data, whole.head_bytes, 0, &front) == HTTP_PARSE_DONE);
	check_same(&front, &whole);
	memset(&scan, 0, sizeof(scan));
	assert(http_head_parse(&scan, data, whole.head_bytes - 1, &front) == HTTP_PARSE_MORE);
	return 0;
}
