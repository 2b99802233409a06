/* Content codings: what Accept-Encoding says, and bodies that are made shorter. */
#include "http/coding.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum { BODY_BYTES = 20000 };

static struct http_head head_of(const char *accept)
{
	struct http_head head = { .header_count = 1 };

	head.headers[0] = (struct http_header){ .name = STR("accept-Encoding"), .value = str_c(accept) };
	return head;
}

static enum http_coding best(const char *accept)
{
	struct http_head head = head_of(accept);

	return http_coding_best(&head);
}

static void the_best_coding(void **state)
{
	struct http_head silent = { .header_count = 0 };

	(void)state;
	assert_int_equal(http_coding_best(&silent), HTTP_CODING_IDENTITY);
	assert_int_equal(best(""), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip, deflate, br"), HTTP_CODING_GZIP);
	assert_int_equal(best("deflate"), HTTP_CODING_DEFLATE);
	assert_int_equal(best("br"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("x-GZIP"), HTTP_CODING_GZIP);
	assert_int_equal(best("*"), HTTP_CODING_GZIP);
	assert_int_equal(best("*;q=0"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=0"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=0, *"), HTTP_CODING_DEFLATE);
	assert_int_equal(best("gzip;q=0.5, deflate"), HTTP_CODING_DEFLATE);
	assert_int_equal(best("gzip ; q=0.5 , deflate;q=0.5"), HTTP_CODING_GZIP);
	assert_int_equal(best("gzip;q=0.5, identity"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=0.999, identity;Q=1.000"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("deflate;q=0.2, identity;q=0.1"), HTTP_CODING_DEFLATE);
	/* What is no qvalue counts as 0. */
	assert_int_equal(best("gzip;q=1.001"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=2"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=0.0005"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=0,5"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q="), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;x=1"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=.5"), HTTP_CODING_IDENTITY);
	assert_int_equal(best("gzip;q=1."), HTTP_CODING_GZIP);
}

static void wishes_in_thousandths(void **state)
{
	struct http_head head = head_of("br;q=0.123, gzip;q=1, *;q=0.5, identity;q=0.04");
	struct http_wishes w = http_wishes_of(&head);

	(void)state;
	assert_int_equal(w.br, 123);
	assert_int_equal(w.gzip, 1000);
	assert_int_equal(w.deflate, 500);
	assert_int_equal(w.identity, 40);
}

static void fill(struct buf *body, bool random)
{
	uint8_t bytes[BODY_BYTES];
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = random ? (uint8_t)(x >> 24) : (uint8_t)('a' + i / 100 % 26);
	}
	buf_init(body, 2 * BODY_BYTES);
	assert_true(buf_append(body, bytes, sizeof(bytes)));
}

/* zlib finds out by itself which of the two it is: so its first bytes are looked at too. */
static void expect_same(const struct buf *coded, const struct buf *body)
{
	enum { WINDOW_BITS = 15, EITHER = 32 };
	uint8_t bytes[BODY_BYTES];
	z_stream z = { .next_in = coded->data,
		.avail_in = (uInt)coded->bytes,
		.next_out = bytes,
		.avail_out = sizeof(bytes) };

	assert_int_equal(inflateInit2(&z, WINDOW_BITS + EITHER), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, body->bytes);
	assert_int_equal(z.avail_in, 0);
	assert_memory_equal(bytes, body->data, body->bytes);
	assert_int_equal(inflateEnd(&z), Z_OK);
}

static void bodies_are_made_shorter(void **state)
{
	(void)state;
	for (int coding = HTTP_CODING_GZIP; coding <= HTTP_CODING_DEFLATE; coding++) {
		struct buf body, coded;

		fill(&body, false);
		fill(&coded, false);
		assert_true(http_compress((enum http_coding)coding, &coded));
		assert_true(coded.bytes < body.bytes / 10);
		assert_int_equal(coded.data[0], coding == HTTP_CODING_GZIP ? 0x1f : 0x78);
		expect_same(&coded, &body);
		buf_finish(&body);
		buf_finish(&coded);
	}
	assert_true(str_equal(http_coding_name(HTTP_CODING_GZIP), STR("gzip")));
	assert_true(str_equal(http_coding_name(HTTP_CODING_DEFLATE), STR("deflate")));
}

static void else_they_stay_as_they_are(void **state)
{
	struct buf body, copy;

	(void)state;
	fill(&body, true);
	fill(&copy, true);
	assert_false(http_compress(HTTP_CODING_GZIP, &copy));
	assert_int_equal(copy.bytes, body.bytes);
	assert_memory_equal(copy.data, body.data, body.bytes);
	buf_finish(&body);
	buf_finish(&copy);
	fill(&body, false);
	fill(&copy, false);
	failing_alloc_arm(1);
	assert_false(http_compress(HTTP_CODING_GZIP, &copy));
	assert_true(failing_alloc_disarm());
	assert_memory_equal(copy.data, body.data, body.bytes);
	buf_finish(&body);
	buf_finish(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_coding),
		cmocka_unit_test(wishes_in_thousandths),
		cmocka_unit_test(bodies_are_made_shorter),
		cmocka_unit_test(else_they_stay_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
