/* http/chunked.h: the page of vectors, and what the caller may rely on. */
#include <stdlib.h>

#include "base/buf.h"
#include "http/chunked.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

/* One body, told as a whole: where its pieces are cut depends on how the input was. */
struct reader {
	struct vector_out *out;
	struct http_chunked chunked;
	struct buf body;
	enum http_chunk verdict;
	size_t rest_bytes;
};

static void *begin(const struct vector_case *vector, struct vector_out *out)
{
	struct reader *r = calloc(1, sizeof(*r));

	(void)vector;
	assert_non_null(r);
	r->out = out;
	buf_init(&r->body, 1 << 20);
	return r;
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct reader *r = codec;
	struct str piece;
	size_t used;

	do {
		r->verdict = http_chunked_decode(&r->chunked, data, bytes, &used, &piece);
		assert_true(used <= bytes);
		if (r->verdict == HTTP_CHUNK_DATA) {
			assert_true(piece.bytes > 0 && piece.bytes <= used);
			assert_ptr_equal(piece.s, data + used - piece.bytes);
			assert_true(buf_append_str(&r->body, piece));
		}
		data += used;
		bytes -= used;
	} while (r->verdict == HTTP_CHUNK_DATA);
	if (r->verdict == HTTP_CHUNK_MORE)
		assert_int_equal(bytes, 0);
	r->rest_bytes += bytes;
}

static void end(void *codec)
{
	struct reader *r = codec;

	vector_line(r->out, "body %s", vector_quote(r->body.data, r->body.bytes));
	if (r->verdict == HTTP_CHUNK_FAIL)
		vector_line(r->out, "fail: %s", r->chunked.fail_reason);
	else if (r->verdict == HTTP_CHUNK_END)
		vector_line(r->out, "end, %zu bytes of something else", r->rest_bytes);
	else
		vector_line(r->out, "wants more");
	buf_finish(&r->body);
	free(r);
}

static void the_vectors_hold(void **state)
{
	static const struct vector_codec codec = { begin, feed, end };

	(void)state;
	assert_int_equal(vector_run("http/chunked.md", &codec), 0);
}

static void a_size_is_known_before_its_data(void **state)
{
	static const char in[] = "fFfFfFfFfFfFfFfF\r\n";
	struct http_chunked c = { .state = 0 };
	struct str piece;
	size_t used;

	(void)state;
	assert_int_equal(
		http_chunked_decode(&c, (const uint8_t *)in, sizeof(in) - 1, &used, &piece), HTTP_CHUNK_MORE);
	assert_int_equal(used, sizeof(in) - 1);
	assert_true(c.left_bytes == UINT64_MAX);
	assert_int_equal(http_chunked_decode(&c, (const uint8_t *)"ab", 2, &used, &piece), HTTP_CHUNK_DATA);
	assert_true(c.left_bytes == UINT64_MAX - 2);
}

static void the_end_and_a_failure_stay(void **state)
{
	struct http_chunked ended = { .state = 0 }, failed = { .state = 0 };
	struct str piece;
	size_t used;

	(void)state;
	assert_int_equal(http_chunked_decode(&ended, (const uint8_t *)"0\r\n\r\nGET", 8, &used, &piece),
		HTTP_CHUNK_END);
	assert_int_equal(used, 5);
	assert_int_equal(
		http_chunked_decode(&ended, (const uint8_t *)"GET", 3, &used, &piece), HTTP_CHUNK_END);
	assert_int_equal(used, 0);
	assert_int_equal(
		http_chunked_decode(&failed, (const uint8_t *)"g", 1, &used, &piece), HTTP_CHUNK_FAIL);
	assert_int_equal(http_chunked_decode(&failed, (const uint8_t *)"0\r\n\r\n", 5, &used, &piece),
		HTTP_CHUNK_FAIL);
	assert_non_null(failed.fail_reason);
}

/* All lines of them count, and their ends; the empty line behind them does not. */
static void trailers_have_a_limit(void **state)
{
	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		char in[HTTP_CHUNK_TRAILER_BYTES_MAX + 16] = "0\r\nT:";
		size_t bytes = sizeof("0\r\n") - 1 + HTTP_CHUNK_TRAILER_BYTES_MAX + more, used;
		struct http_chunked c = { .state = 0 };
		struct str piece;

		memset(in + 5, 'x', bytes - 5);
		memcpy(in + bytes - 2, "\r\n\r\n", 4);
		assert_int_equal(http_chunked_decode(&c, (const uint8_t *)in, bytes + 2, &used, &piece),
			more == 0 ? HTTP_CHUNK_END : HTTP_CHUNK_FAIL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_hold),
		cmocka_unit_test(a_size_is_known_before_its_data),
		cmocka_unit_test(the_end_and_a_failure_stay),
		cmocka_unit_test(trailers_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
