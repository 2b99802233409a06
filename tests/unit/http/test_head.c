/* http/head.h: the page of vectors, how early junk is told, and what a head costs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/head.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

/* ---- the vectors: heads one after another, bodies of known length skipped ---- */

struct reader {
	struct vector_out *out;
	struct http_head_scan scan;
	struct http_head head;
	struct buf pending; /* from the first byte of the head that is being read */
	uint64_t skip_bytes;
	bool over; /* failed, or a chunked body: that is another decoder's */
};

static void *begin(const struct vector_case *vector, struct vector_out *out)
{
	struct reader *r = calloc(1, sizeof(*r));

	(void)vector;
	assert_non_null(r);
	r->out = out;
	buf_init(&r->pending, 1 << 20);
	return r;
}

static void show_body(struct reader *r)
{
	switch (r->head.body) {
	case HTTP_BODY_NONE:
		break;
	case HTTP_BODY_LENGTH:
		vector_line(r->out, "body of %llu", (unsigned long long)r->head.content_length);
		r->skip_bytes = r->head.content_length;
		break;
	case HTTP_BODY_CHUNKED:
		vector_line(r->out, "body chunked");
		r->over = true;
		break;
	}
}

static void show(struct reader *r)
{
	const struct http_head *h = &r->head;

	vector_line(r->out, "%.*s %s path %s query %s HTTP/1.%d%s%s%s", (int)h->method_text.bytes,
		h->method_text.s, vector_quote(h->target.s, h->target.bytes),
		vector_quote(h->path.s, h->path.bytes), vector_quote(h->query.s, h->query.bytes), h->minor,
		h->keep_alive ? " keep-alive" : " close", h->expect_continue ? " continue" : "",
		h->upgrade ? " upgrade" : "");
	for (size_t i = 0; i < h->header_count; i++) {
		struct str value = h->headers[i].value;

		vector_line(r->out, "%.*s: %s", (int)h->headers[i].name.bytes, h->headers[i].name.s,
			vector_quote(value.s, value.bytes));
	}
	show_body(r);
}

/* Parse what is pending, at an address of its own that ends at a guard page. False: more is needed. */
static bool parse_one(struct reader *r)
{
	size_t bytes = r->pending.bytes;
	uint8_t *in = guard_alloc(bytes);
	enum http_parse verdict;

	if (bytes > 0)
		memcpy(in, r->pending.data, bytes);
	verdict = http_head_parse(&r->scan, in, bytes, &r->head);
	if (verdict == HTTP_PARSE_FAIL) {
		vector_line(r->out, "fail %d: %s", r->head.fail_status, r->head.fail_reason);
		r->over = true;
	}
	if (verdict == HTTP_PARSE_DONE) {
		assert_true(r->head.head_bytes <= bytes);
		show(r);
		buf_drop_front(&r->pending, r->head.head_bytes);
		r->scan = (struct http_head_scan){ .state = 0 };
	}
	guard_free(in, bytes);
	return verdict == HTTP_PARSE_DONE;
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct reader *r = codec;

	if (r->over)
		return;
	assert_true(buf_append(&r->pending, data, bytes));
	do {
		size_t n = r->skip_bytes < r->pending.bytes ? (size_t)r->skip_bytes : r->pending.bytes;

		buf_drop_front(&r->pending, n);
		r->skip_bytes -= n;
	} while (r->skip_bytes == 0 && r->pending.bytes > 0 && parse_one(r) && !r->over);
}

static void end(void *codec)
{
	struct reader *r = codec;

	if (!r->over && r->skip_bytes > 0)
		vector_line(r->out, "wants %llu bytes of body", (unsigned long long)r->skip_bytes);
	else if (!r->over && r->pending.bytes > 0)
		vector_line(r->out, "wants more");
	buf_finish(&r->pending);
	free(r);
}

static void the_vectors_hold(void **state)
{
	static const struct vector_codec codec = { begin, feed, end };

	(void)state;
	assert_int_equal(vector_run("http/head.md", &codec), 0);
}

/* ---- junk is told at its first byte ---- */

/* Feed a growing prefix; returns its length when it fails, or 0 if it never does. */
static size_t fails_at(const char *text, uint16_t *ret_status)
{
	struct http_head_scan scan = { .state = 0 };
	static struct http_head head;

	for (size_t n = 0; n <= strlen(text); n++) {
		if (http_head_parse(&scan, (const uint8_t *)text, n, &head) == HTTP_PARSE_FAIL) {
			*ret_status = head.fail_status;
			return n;
		}
	}
	return 0;
}

static void junk_is_told_at_its_first_byte(void **state)
{
	/* '^' stands before the byte that shows it. */
	static const struct {
		const char *text;
		uint16_t status;
	} table[] = {
		{ "^\x16\x03\x01", 400 }, /* a TLS ClientHello */
		{ "^ GET / HTTP/1.1\r\n", 400 },
		{ "\r^GET", 400 },
		{ "\r\n^\r\n", 400 },
		{ "GET^\r\n", 400 },
		{ "TRACE^ / HTTP/1.1", 405 },
		{ "CONNECT^ a:443 HTTP/1.1", 405 },
		{ "GET ^ / HTTP/1.1", 400 },
		{ "GET ^example HTTP/1.1", 400 },
		{ "GET /^\\ HTTP/1.1", 400 },
		{ "GET /^\xc3\xa4 HTTP/1.1", 400 },
		{ "GET /\r^\n", 505 },
		{ "GET /\r^a HTTP/1.1\r\n", 400 },
		{ "GET /^\n", 400 },
		{ "PRI * HTTP/^2.0\r\n\r\nSM\r\n\r\n", 505 },
		{ "GET / ^http/1.1\r\n", 400 },
		{ "GET / HTTP/1.^2\r\n", 505 },
		{ "GET / HTTP/1.1^1\r\n", 400 },
		{ "GET / HTTP/1.1^\n", 400 },
		{ "GET / HTTP/1.1\r^\r\n", 400 },
		{ "GET / HTTP/1.1\r\n^ a: b\r\n", 400 },
		{ "GET / HTTP/1.1\r\n^: b\r\n", 400 },
		{ "GET / HTTP/1.1\r\nName^ : b\r\n", 400 },
		{ "GET / HTTP/1.1\r\nName^\r\n", 400 },
		{ "GET / HTTP/1.1\r\na: b^\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\na: b\r^c: d\r\n", 400 },
		{ "GET / HTTP/1.1\r\na: b^\x7f\r\n", 400 },
		{ "GET / HTTP/1.1\r\na: b\r\n^\tc\r\n", 400 },
		{ "GET / HTTP/1.1\r\na: b\r\n\r^a", 400 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *mark = strchr(table[i].text, '^');
		size_t before = (size_t)(mark - table[i].text);
		char text[128];
		uint16_t status = 0;

		memcpy(text, table[i].text, before);
		memcpy(text + before, mark + 1, strlen(mark + 1) + 1);
		assert_int_equal(fails_at(text, &status), before + 1);
		assert_int_equal(status, table[i].status);
	}
}

static void a_failure_stays(void **state)
{
	struct http_head_scan scan = { .state = 0 };
	struct http_head head;
	const char *reason;

	(void)state;
	assert_int_equal(http_head_parse(&scan, (const uint8_t *)"(", 1, &head), HTTP_PARSE_FAIL);
	reason = head.fail_reason;
	head.fail_reason = NULL;
	assert_int_equal(http_head_parse(&scan, (const uint8_t *)"GET ", 4, &head), HTTP_PARSE_FAIL);
	assert_ptr_equal(head.fail_reason, reason);
	assert_int_equal(head.fail_status, 400);
}

/* ---- the cost ---- */

/* A head of exactly HTTP_HEAD_BYTES_MAX bytes. */
static const uint8_t *largest_head(void)
{
	static const char line[] = "GET / HTTP/1.1\r\nHost: a\r\n";
	static uint8_t in[HTTP_HEAD_BYTES_MAX];

	memset(in, 'x', sizeof(in));
	memcpy(in, line, sizeof(line) - 1);
	for (size_t at = sizeof(line) - 1, n; at < sizeof(in) - 2; at += n) {
		n = sizeof(in) - 2 - at < 1000 ? sizeof(in) - 2 - at : 500;
		in[at + 4] = ':';
		memcpy(in + at + n - 2, "\r\n", 2);
	}
	memcpy(in + sizeof(in) - 2, "\r\n", 2);
	return in;
}

/*
 * The proof that a byte is not looked at again: those that were are overwritten with NULs, for which the head would
 * fail. Only the method, at most HTTP_METHOD_BYTES_MAX long, is read once more at its end.
 */
static void a_head_byte_by_byte_is_linear(void **state)
{
	const uint8_t *in = largest_head();
	static uint8_t seen[HTTP_HEAD_BYTES_MAX];
	static struct http_head head;
	struct http_head_scan scan = { .state = 0 };

	(void)state;
	memcpy(seen, in, 4);
	for (size_t n = 0; n < HTTP_HEAD_BYTES_MAX; n++) {
		assert_int_equal(http_head_parse(&scan, seen, n, &head), HTTP_PARSE_MORE);
		if (n > 4)
			seen[n - 1] = 0;
		seen[n] = in[n];
	}
	assert_int_equal(http_head_parse(&scan, in, HTTP_HEAD_BYTES_MAX, &head), HTTP_PARSE_DONE);
	assert_int_equal(head.head_bytes, HTTP_HEAD_BYTES_MAX);
	assert_int_equal(head.header_count, 1 + 32);
}

static void one_byte_over_the_largest_head_is_too_long(void **state)
{
	static uint8_t in[HTTP_HEAD_BYTES_MAX + 1];
	static struct http_head head;
	struct http_head_scan scan = { .state = 0 };

	(void)state;
	memcpy(in, largest_head(), HTTP_HEAD_BYTES_MAX);
	memcpy(in + HTTP_HEAD_BYTES_MAX - 2, "x:\r", 3);
	assert_int_equal(http_head_parse(&scan, in, HTTP_HEAD_BYTES_MAX - 1, &head), HTTP_PARSE_MORE);
	assert_int_equal(http_head_parse(&scan, in, sizeof(in), &head), HTTP_PARSE_FAIL);
	assert_int_equal(head.fail_status, 431);
}

/* ---- look-ups ---- */

static void headers_are_found_in_any_case(void **state)
{
	static const char in[] = "GET / HTTP/1.1\r\nHost: a\r\nX-a: 1\r\nx-A: 2, Three ,\r\nEmpty:\r\n\r\n";
	struct http_head_scan scan = { .state = 0 };
	struct http_head head;

	(void)state;
	assert_int_equal(http_head_parse(&scan, (const uint8_t *)in, sizeof(in) - 1, &head), HTTP_PARSE_DONE);
	assert_true(str_equal(http_head_get(&head, STR("x-a")), STR("1")));
	assert_int_equal(http_head_count(&head, STR("X-A")), 2);
	assert_int_equal(http_head_count(&head, STR("X")), 0);
	assert_null(http_head_get(&head, STR("x-")).s);
	assert_non_null(http_head_get(&head, STR("empty")).s);
	assert_int_equal(http_head_get(&head, STR("empty")).bytes, 0);
	assert_true(http_head_has_token(&head, STR("x-a"), STR("three")));
	assert_true(http_head_has_token(&head, STR("x-a"), STR("1")));
	assert_false(http_head_has_token(&head, STR("x-a"), STR("thre")));
	assert_false(http_head_has_token(&head, STR("empty"), STR("")));
}

static void methods_are_told_apart(void **state)
{
	static const char *names[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get" };

	(void)state;
	for (int i = HTTP_GET; i <= HTTP_OTHER; i++) {
		struct http_head_scan scan = { .state = 0 };
		struct http_head head;
		char in[64];
		int n = snprintf(in, sizeof(in), "%s / HTTP/1.0\r\n\r\n", names[i]);

		assert_int_equal(
			http_head_parse(&scan, (const uint8_t *)in, (size_t)n, &head), HTTP_PARSE_DONE);
		assert_int_equal(head.method, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_hold),
		cmocka_unit_test(junk_is_told_at_its_first_byte),
		cmocka_unit_test(a_failure_stays),
		cmocka_unit_test(a_head_byte_by_byte_is_linear),
		cmocka_unit_test(one_byte_over_the_largest_head_is_too_long),
		cmocka_unit_test(headers_are_found_in_any_case),
		cmocka_unit_test(methods_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
