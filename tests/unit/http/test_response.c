/* http/response.h: heads as they go out, and dates. */
#include <stdio.h>
#include <time.h>

#include "http/response.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

/* Encode into exactly the room that is asked for, ending at a guard page, and compare. */
static void assert_encodes(const struct http_response *r, const char *wanted)
{
	size_t room = http_response_bytes_max(r);
	char *out = (char *)guard_alloc(room);
	size_t n = http_response_encode(r, out, room);

	assert_int_equal(http_response_encode(r, out, room - 1), 0);
	assert_int_equal(n, strlen(wanted));
	assert_memory_equal(out, wanted, n);
	guard_free((uint8_t *)out, room);
}

static void a_poll_is_answered(void **state)
{
	static const struct http_header headers[] = {
		{ { "Access-Control-Allow-Origin", 27 }, { "http://a", 8 } },
		{ { "Set-Cookie", 10 }, { "", 0 } },
	};

	(void)state;
	assert_encodes(
		&(struct http_response){
			.status = 200,
			.minor = 1,
			.keep_alive = true,
			.content_type = STR("text/plain; charset=UTF-8"),
			.content_length = 1234567890,
			.cache_control = STR("no-store"),
			.date = STR("Tue, 15 Nov 1994 08:12:31 GMT"),
			.headers = headers,
			.header_count = 2,
		},
		"HTTP/1.1 200 OK\r\n"
		"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Content-Type: text/plain; charset=UTF-8\r\n"
		"Content-Length: 1234567890\r\n"
		"Cache-Control: no-store\r\n"
		"Access-Control-Allow-Origin: http://a\r\n"
		"Set-Cookie: \r\n"
		"\r\n");
}

static void the_connection_is_as_the_version_has_it(void **state)
{
	struct http_response r = { .status = 400 };

	(void)state;
#define HEAD(more)                                                                                           \
	"HTTP/1.1 400 Bad Request\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\n" more "\r\n"
	assert_encodes(&r, HEAD("Connection: close\r\n"));
	r.minor = 1;
	assert_encodes(&r, HEAD("Connection: close\r\n"));
	r.keep_alive = true;
	assert_encodes(&r, HEAD(""));
	r.minor = 0;
	assert_encodes(&r, HEAD("Connection: keep-alive\r\n"));
#undef HEAD
}

static void some_have_no_length(void **state)
{
	struct http_response r = { .minor = 1, .keep_alive = true, .content_length = 5 };

	(void)state;
	r.status = 204;
	assert_encodes(&r, "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n\r\n");
	r.status = 304;
	assert_encodes(&r, "HTTP/1.1 304 Not Modified\r\nX-Content-Type-Options: nosniff\r\n\r\n");
	r.status = 599;
	assert_encodes(&r, "HTTP/1.1 599 \r\nX-Content-Type-Options: nosniff\r\nContent-Length: 5\r\n\r\n");
}

static void an_interim_response_says_nothing_of_the_connection(void **state)
{
	(void)state;
	assert_encodes(&(struct http_response){ .status = 100 }, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void a_connection_is_upgraded(void **state)
{
	static const struct http_header accept = { { "Sec-WebSocket-Accept", 20 }, { "x=", 2 } };

	(void)state;
	assert_encodes(
		&(struct http_response){
			.status = 101,
			.minor = 1,
			.upgrade = STR("websocket"),
			.headers = &accept,
			.header_count = 1,
		},
		"HTTP/1.1 101 Switching Protocols\r\n"
		"Upgrade: websocket\r\n"
		"Connection: Upgrade\r\n"
		"Sec-WebSocket-Accept: x=\r\n"
		"\r\n");
}

/* The largest of every fixed part at once. */
static void the_fixed_bytes_suffice(void **state)
{
	char out[1024];

	(void)state;
	for (uint16_t status = 102; status <= 599; status++) {
		struct http_response r = {
			.status = status,
			.content_length = UINT64_MAX,
			.content_type = STR("a"),
			.cache_control = STR("b"),
			.date = STR("c"),
		};
		r.keep_alive = true;
		size_t n = http_response_encode(&r, out, sizeof(out));

		assert_true(n > 0 && n <= HTTP_RESPONSE_FIXED_BYTES_MAX);
	}
}

static void a_header_is_valid_or_not(void **state)
{
	(void)state;
	assert_true(http_header_valid((struct http_header){ STR("a"), STR("") }));
	assert_true(http_header_valid((struct http_header){ STR("a"), STR("b\tc \xc3\xa4") }));
	assert_false(http_header_valid((struct http_header){ STR(""), STR("b") }));
	assert_false(http_header_valid((struct http_header){ STR("a "), STR("b") }));
	assert_false(http_header_valid((struct http_header){ STR("a:"), STR("b") }));
	assert_false(http_header_valid((struct http_header){ STR("a"), STR("b\r\nSet-Cookie: c") }));
	assert_false(http_header_valid((struct http_header){ STR("a"), STR("b\n") }));
	assert_false(http_header_valid((struct http_header){ STR("a"), STR("\0") }));
}

static void assert_date(int64_t unix_s, const char *wanted)
{
	char out[HTTP_DATE_BYTES];

	http_date_format(out, unix_s);
	assert_memory_equal(out, wanted, HTTP_DATE_BYTES);
}

static void dates_are_those_of_the_c_library(void **state)
{
	(void)state;
	assert_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_date(784887151, "Tue, 15 Nov 1994 08:12:31 GMT");
	assert_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
	assert_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
	assert_date(INT64_C(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
	assert_date(INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");

	/* Steps of a day and a bit meet every day of 200 years, in the C locale that a test runs in. */
	for (int64_t s = 0; s < INT64_C(200) * 366 * 86400; s += 86400 + 1) {
		char wanted[64];
		time_t t = (time_t)s;
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		strftime(wanted, sizeof(wanted), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_date(s, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_poll_is_answered),
		cmocka_unit_test(the_connection_is_as_the_version_has_it),
		cmocka_unit_test(some_have_no_length),
		cmocka_unit_test(an_interim_response_says_nothing_of_the_connection),
		cmocka_unit_test(a_connection_is_upgraded),
		cmocka_unit_test(the_fixed_bytes_suffice),
		cmocka_unit_test(a_header_is_valid_or_not),
		cmocka_unit_test(dates_are_those_of_the_c_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
