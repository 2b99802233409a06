/* http/url.h: the page of paths, and queries. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/url.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

/* Collects a raw path, and decodes it at its end into memory that ends at a guard page. */
struct reader {
	struct vector_out *out;
	struct buf raw;
};

static void *begin(const struct vector_case *vector, struct vector_out *out)
{
	struct reader *r = calloc(1, sizeof(*r));

	(void)vector;
	assert_non_null(r);
	r->out = out;
	buf_init(&r->raw, 1 << 16);
	return r;
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct reader *r = codec;

	assert_true(buf_append(&r->raw, data, bytes));
}

static void end(void *codec)
{
	struct reader *r = codec;
	size_t bytes = r->raw.bytes;
	uint8_t *raw = guard_alloc(bytes), *out = guard_alloc(bytes);
	struct str path;

	if (bytes > 0)
		memcpy(raw, r->raw.data, bytes);
	enum http_path verdict =
		http_path_decode(str_of((const char *)raw, bytes), (char *)out, bytes, &path);

	if (verdict == HTTP_PATH_OK)
		vector_line(r->out, "%s", vector_quote(path.s, path.bytes));
	else
		vector_line(r->out, "refused: %s", http_path_reason(verdict));
	guard_free(raw, bytes);
	guard_free(out, bytes);
	buf_finish(&r->raw);
	free(r);
}

static void the_paths_hold(void **state)
{
	static const struct vector_codec codec = { begin, feed, end };

	(void)state;
	assert_int_equal(vector_run("http/path.md", &codec), 0);
}

static void a_path_fits_or_is_too_long(void **state)
{
	char out[4];
	struct str path = { .s = NULL };

	(void)state;
	assert_int_equal(http_path_decode(STR("/%41bc"), out, 3, &path), HTTP_PATH_TOO_LONG);
	assert_null(path.s);
	assert_int_equal(http_path_decode(STR("/%41bc"), out, 4, &path), HTTP_PATH_OK);
	assert_true(str_equal(path, STR("/Abc")));
}

static void a_query_is_walked(void **state)
{
	struct str rest = STR("&a=1&&b&c==&=d&a=2&"), name, value;
	static const char *const wanted[] = { "a|1", "b|", "c|=", "|d", "a|2" };
	size_t count = 0;

	(void)state;
	while (http_query_next(&rest, &name, &value)) {
		char got[16];

		snprintf(got, sizeof(got), "%.*s|%.*s", (int)name.bytes, name.s, (int)value.bytes, value.s);
		assert_true(count < sizeof(wanted) / sizeof(wanted[0]));
		assert_string_equal(got, wanted[count++]);
	}
	assert_int_equal(count, 5);
}

/* What http_query_get() gives for `a`, with room for `room` bytes; NULL where there is none. */
static const char *get(const char *query, size_t room)
{
	static char out[32];
	struct str value;

	assert_true(room < sizeof(out));
	switch (http_query_get(str_c(query), STR("a"), out, room, &value)) {
	case HTTP_QUERY_NONE:
		return NULL;
	case HTTP_QUERY_BAD:
		return "(bad)";
	case HTTP_QUERY_ONE:
		break;
	}
	assert_true(value.bytes <= room);
	out[value.bytes] = '\0';
	return out;
}

static void a_query_parameter_is_decoded(void **state)
{
	(void)state;
	assert_string_equal(get("a=1", 8), "1");
	assert_string_equal(get("aa=0&A=0&b=a&a=1", 8), "1");
	assert_string_equal(get("%61=x+y%2By", 8), "x y+y");
	assert_string_equal(get("a=%c3%A4", 2), "\xc3\xa4");
	assert_string_equal(get("a", 8), "");
	assert_string_equal(get("a=", 0), "");
	assert_string_equal(get("a==b", 8), "=b");
	assert_null(get("", 8));
	assert_null(get("b=a", 8));
	assert_null(get("a%=1", 8));
	assert_string_equal(get("a=123", 2), "(bad)");
}

static void a_bad_parameter_is_told(void **state)
{
	static const char *const bad[] = { "a=%", "a=%4", "a=%4g", "a=%00", "a=%c0%ae", "a=%ff", "a=1&a=2",
		"a=&b=3&%61", "a=%&a=2" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(get(bad[i], 8), "(bad)");
}

static void a_query_decodes_in_place(void **state)
{
	char text[] = "a%20b+%e2%82%ac";
	struct str decoded;

	(void)state;
	assert_true(http_query_decode(str_of(text, sizeof(text) - 1), text, sizeof(text) - 1, &decoded));
	assert_true(str_equal(decoded, STR("a b \xe2\x82\xac")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_paths_hold),
		cmocka_unit_test(a_path_fits_or_is_too_long),
		cmocka_unit_test(a_query_is_walked),
		cmocka_unit_test(a_query_parameter_is_decoded),
		cmocka_unit_test(a_bad_parameter_is_told),
		cmocka_unit_test(a_query_decodes_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
