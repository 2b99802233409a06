/* http/asset.h: which encoding, which status. */
#include <stdio.h>

#include "http/asset.h"
#include "lib/cmocka.h"

static const struct http_asset script = {
	.path = "app.js",
	.content_type = "text/javascript",
	.etag = "\"t\"",
	.cache_control = "no-cache",
	.identity = { (const uint8_t *)"identity", 8 },
	.gzip = { (const uint8_t *)"gzip", 4 },
	.br = { (const uint8_t *)"br", 2 },
};

/* Answer a request with these header lines, and tell the result in one line. */
static const char *answer_of(const struct http_asset *asset, const char *method, const char *lines)
{
	static char told[512];
	struct http_asset_answer a;
	struct http_head_scan scan = { .state = 0 };
	struct http_head head;
	char in[1024], out[1024];
	int n = snprintf(in, sizeof(in), "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, lines);

	assert_int_equal(http_head_parse(&scan, (const uint8_t *)in, (size_t)n, &head), HTTP_PARSE_DONE);
	http_asset_answer(asset, &head, &a);
	/* Whatever it is, it is a head that can be sent. */
	assert_true(http_response_encode(&a.response, out, sizeof(out)) > 0);
	assert_int_equal(a.response.keep_alive, head.keep_alive);

	n = snprintf(told, sizeof(told), "%d %d", a.response.status, (int)a.response.content_length);
	for (size_t i = 0; i < a.response.header_count; i++) {
		struct str value = a.headers[i].value;

		n += snprintf(told + n, sizeof(told) - (size_t)n, " %.*s", (int)value.bytes, value.s);
	}
	if (a.body != NULL) {
		assert_int_equal(a.response.status, 200);
		snprintf(told + n, sizeof(told) - (size_t)n, " | %.*s", (int)a.response.content_length,
			(const char *)a.body);
	}
	return told;
}

static const char *encoding_of(const char *accept)
{
	char line[256];

	snprintf(line, sizeof(line), "Accept-Encoding: %s\r\n", accept);
	return strrchr(answer_of(&script, "GET", line), '|') + 2;
}

static void the_best_accepted_encoding_is_picked(void **state)
{
	static const char *const table[][2] = {
		{ "", "identity" },
		{ "br", "br" },
		{ "gzip, deflate, br, zstd", "br" },
		{ "GZIP", "gzip" },
		{ "x-gzip", "gzip" },
		{ "deflate", "identity" },
		{ "*", "br" },
		{ "br;q=0", "identity" },
		{ "br;q=0, *", "gzip" },
		{ "br;q=0.0, gzip;q=0.000, *", "identity" },
		{ "br;q=0.5, gzip", "gzip" },
		{ "br;q=0.5, gzip;q=0.5", "br" },
		{ "br ; Q=0.499 , gzip ; q=0.5", "gzip" },
		{ "gzip;q=0.001", "gzip" },
		{ "identity, gzip;q=0.5", "identity" },
		{ "identity;q=0.5, gzip;q=0.5", "gzip" },
		{ "identity;q=0", "identity" }, /* nothing better is accepted */
		{ "identity;q=0, br;q=0, gzip;q=0.1", "gzip" },
		{ "*;q=0", "identity" },
		{ "*;q=0, gzip", "gzip" },
		{ "*;q=0.9, br;q=0.5, gzip;q=0.4", "identity" },
		{ "br;q=2", "identity" },
		{ "br;q=1.001", "identity" },
		{ "br;q=0.5555", "identity" },
		{ "br;q=", "identity" },
		{ "br;q=x", "identity" },
		{ "br;q=-1", "identity" },
		{ "br;level=9", "identity" },
		{ "br;q=1.000", "br" },
		{ "br;q=1.", "br" },
		{ ",,;q=1,br", "br" },
		{ "brx, xbr", "identity" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_string_equal(encoding_of(table[i][0]), table[i][1]);
	assert_string_equal(answer_of(&script, "GET", ""), "200 8 \"t\" Accept-Encoding | identity");
	assert_string_equal(
		answer_of(&script, "GET", "Accept-Encoding: br;q=0.1\r\nAccept-Encoding: gzip\r\n"),
		"200 4 \"t-gzip\" Accept-Encoding gzip | gzip");
}

static void an_asset_may_have_no_variants(void **state)
{
	struct http_asset plain = script;

	(void)state;
	plain.br = plain.gzip = (struct http_asset_body){ .data = NULL };
	assert_string_equal(
		answer_of(&plain, "GET", "Accept-Encoding: br, gzip\r\n"), "200 8 \"t\" | identity");
	plain.gzip = script.gzip;
	assert_string_equal(answer_of(&plain, "GET", "Accept-Encoding: br, gzip;q=0.1\r\n"),
		"200 4 \"t-gzip\" Accept-Encoding gzip | gzip");
	plain = (struct http_asset){ .content_type = "text/plain",
		.etag = "\"\"",
		.cache_control = "",
		.identity = { (const uint8_t *)"", 0 } };
	assert_string_equal(answer_of(&plain, "GET", ""), "200 0 \"\" | ");
}

static void methods_differ(void **state)
{
	(void)state;
	assert_string_equal(
		answer_of(&script, "HEAD", "Accept-Encoding: br\r\n"), "200 2 \"t-br\" Accept-Encoding br");
	assert_string_equal(answer_of(&script, "POST", "If-None-Match: *\r\n"), "405 0 GET, HEAD");
	assert_string_equal(answer_of(&script, "BREW", ""), "405 0 GET, HEAD");
}

static void a_client_that_has_it_gets_304(void **state)
{
	static const char *const yes[] = { "*", "\"t\"", "W/\"t\"", "\"a\", \"t\"", "\"a\",W/\"t\" ,\"b\"",
		"\"a,b\", \"t\"", ",, \"t\"" };
	static const char *const no[] = { "", "t", "\"T\"", "\"t-br\"", "\"a,\"t\"", "w/\"t\"", "W/t", "\"t",
		"\"a\" * ", "\"a\", *", "W/" };
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		snprintf(line, sizeof(line), "If-None-Match: %s\r\n", yes[i]);
		assert_string_equal(answer_of(&script, "GET", line), "304 0 \"t\" Accept-Encoding");
		assert_string_equal(answer_of(&script, "HEAD", line), "304 0 \"t\" Accept-Encoding");
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		snprintf(line, sizeof(line), "If-None-Match: %s\r\n", no[i]);
		assert_string_equal(
			answer_of(&script, "GET", line), "200 8 \"t\" Accept-Encoding | identity");
	}
	assert_string_equal(answer_of(&script, "GET", "If-None-Match: \"a\"\r\nIf-None-Match: \"t\"\r\n"),
		"304 0 \"t\" Accept-Encoding");
}

static void every_encoding_has_its_own_tag(void **state)
{
	(void)state;
	assert_string_equal(answer_of(&script, "GET", "Accept-Encoding: br\r\nIf-None-Match: \"t-br\"\r\n"),
		"304 0 \"t-br\" Accept-Encoding");
	assert_string_equal(answer_of(&script, "GET", "Accept-Encoding: br\r\nIf-None-Match: \"t\"\r\n"),
		"200 2 \"t-br\" Accept-Encoding br | br");
}

/* Headers of its own come with 200 and 304, behind those that every asset has. */
static void headers_of_its_own(void **state)
{
	struct http_header headers[HTTP_ASSET_OWN_HEADERS_MAX];
	struct http_asset a = script;

	(void)state;
	for (size_t i = 0; i < HTTP_ASSET_OWN_HEADERS_MAX; i++)
		headers[i] = (struct http_header){ STR("X-A"), STR("a") };
	a.headers = headers;
	a.header_count = 2;
	assert_string_equal(answer_of(&a, "GET", ""), "200 8 \"t\" Accept-Encoding a a | identity");
	assert_string_equal(answer_of(&a, "HEAD", ""), "200 8 \"t\" Accept-Encoding a a");
	assert_string_equal(
		answer_of(&a, "GET", "If-None-Match: \"t\"\r\n"), "304 0 \"t\" Accept-Encoding a a");
	assert_string_equal(answer_of(&a, "POST", ""), "405 0 GET, HEAD");
	a.header_count = HTTP_ASSET_OWN_HEADERS_MAX;
	assert_string_equal(answer_of(&a, "GET", "Accept-Encoding: br\r\n"),
		"200 2 \"t-br\" Accept-Encoding a a a a a a a a a a a a a a a a br | br");
}

/* Threat 21: 1000 ranges. */
static void ranges_are_ignored(void **state)
{
	char line[512] = "Range: bytes=0-0";

	(void)state;
	for (int i = 0; i < 90; i++)
		memcpy(line + strlen(line), ",0-0", 5);
	memcpy(line + strlen(line), "\r\n", 3);
	assert_string_equal(answer_of(&script, "GET", line), "200 8 \"t\" Accept-Encoding | identity");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_accepted_encoding_is_picked),
		cmocka_unit_test(an_asset_may_have_no_variants),
		cmocka_unit_test(methods_differ),
		cmocka_unit_test(a_client_that_has_it_gets_304),
		cmocka_unit_test(every_encoding_has_its_own_tag),
		cmocka_unit_test(headers_of_its_own),
		cmocka_unit_test(ranges_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
