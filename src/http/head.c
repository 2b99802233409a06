/* http/head.c -- see http/head.h. */
#include "http/head.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/assert.h"
#include "http/char_int.h"

enum scan_state {
	AT_START, /* the method's first byte, or one empty line before it (RFC 9112, 2.2) */
	AT_EMPTY_LF,
	AT_METHOD_START,
	AT_METHOD,
	AT_TARGET,
	AT_OLD_LF, /* behind a target's CR */
	AT_VERSION,
	AT_LF, /* behind a line's CR */
	AT_LINE, /* a header's first byte, or the CR of the head's end */
	AT_NAME,
	AT_VALUE,
	AT_END_LF,
	AT_END,
};

/* What the headers said, until all have been read. */
struct facts {
	struct str host;
	struct str length;
	struct str coding;
	uint16_t hosts, lengths, codings;
	bool connection_close, connection_keep_alive, connection_upgrade;
	bool upgrade;
	bool expect_continue, expect_other;
};

/* Note why, for this call and those after it. Always false. */
static bool refuse(struct http_head_scan *s, uint16_t status, const char *reason)
{
	assert(s->fail_reason == NULL);
	s->fail_status = status;
	s->fail_reason = reason;
	return false;
}

static bool is_digit(uint8_t byte)
{
	return http_char_is(byte, HTTP_CHAR_DIGIT);
}

/* ---- scanning: each take_* looks at bytes from s->at_bytes on, moves it, and is false if it refuses ---- */

static bool take_start(struct http_head_scan *s, uint8_t byte)
{
	if (s->state == AT_START && byte == '\r') {
		s->state = AT_EMPTY_LF;
		s->method_at = 2;
	} else if (!http_char_is(byte, HTTP_CHAR_TOKEN)) {
		return refuse(s, 400, "no HTTP method can begin with this byte");
	} else {
		s->state = AT_METHOD;
		s->method_bytes = 1;
	}
	s->at_bytes++;
	return true;
}

static bool take_method(struct http_head_scan *s, const uint8_t *in)
{
	uint8_t byte = in[s->at_bytes];
	struct str method = str_of((const char *)in + s->method_at, s->method_bytes);

	if (byte == ' ') {
		if (str_equal(method, STR("TRACE")) || str_equal(method, STR("CONNECT")))
			return refuse(s, 405, "TRACE and CONNECT are not served");
		s->state = AT_TARGET;
		s->at_bytes++;
		s->target_at = s->at_bytes;
		return true;
	}
	if (!http_char_is(byte, HTTP_CHAR_TOKEN))
		return refuse(s, 400, "the method is not a token followed by a space");
	if (s->method_bytes == HTTP_METHOD_BYTES_MAX)
		return refuse(s, 501, "the method is too long");
	s->method_bytes++;
	s->at_bytes++;
	return true;
}

static bool take_target(struct http_head_scan *s, const uint8_t *in, size_t in_bytes)
{
	size_t n = http_char_span(in + s->at_bytes, in_bytes - s->at_bytes, HTTP_CHAR_TARGET);

	if (s->target_bytes == 0 && n > 0 && strchr("/hH*", in[s->at_bytes]) == NULL)
		return refuse(s, 400, "the target is neither a path nor an http address");
	if (n > (size_t)(HTTP_TARGET_BYTES_MAX - s->target_bytes))
		return refuse(s, 414, "the target is too long");
	s->target_bytes = (uint16_t)(s->target_bytes + n);
	s->at_bytes = (uint16_t)(s->at_bytes + n);
	if (s->at_bytes == in_bytes)
		return true;
	if (s->target_bytes == 0)
		return refuse(s, 400, "there is no target behind the method and one space");
	if (in[s->at_bytes] != ' ' && in[s->at_bytes] != '\r')
		return refuse(s, 400, "the target has a byte that must be escaped");
	s->state = in[s->at_bytes] == ' ' ? AT_VERSION : AT_OLD_LF;
	s->at_bytes++;
	return true;
}

/* A line of HTTP/0.9, or none. */
static bool take_old_end(struct http_head_scan *s, uint8_t byte)
{
	if (byte == '\n')
		return refuse(s, 505, "HTTP/0.9 is not spoken here");
	return refuse(s, 400, "the target has a byte that must be escaped");
}

/* Exactly `HTTP/1.0` or `HTTP/1.1`, and CR. */
static bool take_version(struct http_head_scan *s, uint8_t byte)
{
	static const char version[] = "HTTP/1.1\r";
	uint8_t at = s->match++;

	assert(at < sizeof(version) - 1);
	s->at_bytes++;
	if (byte != (uint8_t)version[at]) {
		if (at == 7 && byte == '0')
			return true;
		if (is_digit((uint8_t)version[at]) && is_digit(byte))
			return refuse(s, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
		return refuse(s, 400, "the request line does not end in an HTTP version and CRLF");
	}
	if (at == 7)
		s->minor = 1;
	if (byte == '\r')
		s->state = AT_LF;
	return true;
}

static bool take_lf(struct http_head_scan *s, uint8_t byte, enum scan_state next)
{
	if (byte != '\n')
		return refuse(s, 400, "a CR is not followed by LF");
	s->state = (uint8_t)next;
	s->at_bytes++;
	return true;
}

static bool take_line(struct http_head_scan *s, uint8_t byte)
{
	if (byte == '\r') {
		s->state = AT_END_LF;
	} else if (byte == ' ' || byte == '\t') {
		return refuse(s, 400, "a header is folded, or white space precedes the first one");
	} else if (!http_char_is(byte, HTTP_CHAR_TOKEN)) {
		return refuse(s, 400, "a header's name is not a token");
	} else if (s->header_count == HTTP_HEADERS_MAX) {
		return refuse(s, 431, "too many headers");
	} else {
		s->state = AT_NAME;
		s->header_count++;
	}
	s->at_bytes++;
	return true;
}

static bool take_name(struct http_head_scan *s, const uint8_t *in, size_t in_bytes)
{
	size_t n = http_char_span(in + s->at_bytes, in_bytes - s->at_bytes, HTTP_CHAR_TOKEN);

	s->at_bytes = (uint16_t)(s->at_bytes + n);
	if (s->at_bytes == in_bytes)
		return true;
	if (in[s->at_bytes] != ':')
		return refuse(s, 400, "a header's name is not a token followed by a colon");
	s->state = AT_VALUE;
	s->at_bytes++;
	return true;
}

static bool take_value(struct http_head_scan *s, const uint8_t *in, size_t in_bytes)
{
	size_t n = http_char_span(in + s->at_bytes, in_bytes - s->at_bytes, HTTP_CHAR_VALUE);

	s->at_bytes = (uint16_t)(s->at_bytes + n);
	if (s->at_bytes == in_bytes)
		return true;
	if (in[s->at_bytes] == '\n')
		return refuse(s, 400, "an LF is not preceded by CR");
	if (in[s->at_bytes] != '\r')
		return refuse(s, 400, "a header has a control character");
	s->state = AT_LF;
	s->at_bytes++;
	return true;
}

/* One step: at least one byte is taken, or refused. */
static bool scan_step(struct http_head_scan *s, const uint8_t *in, size_t in_bytes)
{
	uint8_t byte = in[s->at_bytes];

	assert(s->state != AT_END);
	switch ((enum scan_state)s->state) {
	case AT_START:
	case AT_METHOD_START:
		return take_start(s, byte);
	case AT_EMPTY_LF:
		return take_lf(s, byte, AT_METHOD_START);
	case AT_METHOD:
		return take_method(s, in);
	case AT_TARGET:
		return take_target(s, in, in_bytes);
	case AT_OLD_LF:
		return take_old_end(s, in[s->at_bytes]);
	case AT_VERSION:
		return take_version(s, byte);
	case AT_LF:
		return take_lf(s, byte, AT_LINE);
	case AT_LINE:
		return take_line(s, byte);
	case AT_NAME:
		return take_name(s, in, in_bytes);
	case AT_VALUE:
		return take_value(s, in, in_bytes);
	case AT_END_LF:
		return take_lf(s, byte, AT_END);
	case AT_END:
		break;
	}
	return false;
}

/* ---- slicing: the scan has found every line well-formed ---- */

static enum http_method method_of(struct str text)
{
	static const struct {
		struct str text;
		enum http_method method;
	} table[] = {
		{ { "GET", 3 }, HTTP_GET },
		{ { "POST", 4 }, HTTP_POST },
		{ { "HEAD", 4 }, HTTP_HEAD },
		{ { "OPTIONS", 7 }, HTTP_OPTIONS },
		{ { "PUT", 3 }, HTTP_PUT },
		{ { "DELETE", 6 }, HTTP_DELETE },
		{ { "PATCH", 5 }, HTTP_PATCH },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (str_equal(text, table[i].text))
			return table[i].method;
	}
	return HTTP_OTHER;
}

static void take_connection(struct facts *f, struct str list)
{
	struct str item;

	while (http_list_next(&list, &item)) {
		f->connection_close |= str_equal_nocase(item, STR("close"));
		f->connection_keep_alive |= str_equal_nocase(item, STR("keep-alive"));
		f->connection_upgrade |= str_equal_nocase(item, STR("upgrade"));
	}
}

static void take_header(struct facts *f, struct http_header h)
{
	/* Almost every header is told from these six by its length alone. */
	if (h.name.bytes == 4 && str_equal_nocase(h.name, STR("host"))) {
		f->host = h.value;
		f->hosts++;
	} else if (h.name.bytes == 6 && str_equal_nocase(h.name, STR("expect"))) {
		bool is_continue = str_equal_nocase(h.value, STR("100-continue"));

		f->expect_continue |= is_continue;
		f->expect_other |= !is_continue;
	} else if (h.name.bytes == 7 && str_equal_nocase(h.name, STR("upgrade"))) {
		f->upgrade |= h.value.bytes > 0;
	} else if (h.name.bytes == 10 && str_equal_nocase(h.name, STR("connection"))) {
		take_connection(f, h.value);
	} else if (h.name.bytes == 14 && str_equal_nocase(h.name, STR("content-length"))) {
		f->length = h.value;
		f->lengths++;
	} else if (h.name.bytes == 17 && str_equal_nocase(h.name, STR("transfer-encoding"))) {
		f->coding = h.value;
		f->codings++;
	}
}

/* Slice all headers; `at` is where the first line starts. */
static struct facts slice_headers(
	const struct http_head_scan *s, const char *in, size_t at, struct http_head *h)
{
	struct facts facts = { .hosts = 0 };

	for (uint16_t i = 0; i < s->header_count; i++) {
		const char *name = in + at;
		const char *colon = memchr(name, ':', s->at_bytes - at);
		assert(colon != NULL);
		const char *end = memchr(colon, '\r', (size_t)(in + s->at_bytes - colon));
		assert(end != NULL);

		h->headers[i].name = str_of(name, (size_t)(colon - name));
		h->headers[i].value = http_trim(str_of(colon + 1, (size_t)(end - colon - 1)));
		take_header(&facts, h->headers[i]);
		at = (size_t)(end + 2 - in);
	}
	assert(at + 2 == s->at_bytes);
	h->header_count = s->header_count;
	return facts;
}

/* An address of IPv6 without its brackets, and maybe a port: as engine.io-client on Node sends it. */
static bool is_bare_ipv6(struct str text)
{
	char address[INET6_ADDRSTRLEN + sizeof(":65535")];
	struct in6_addr parsed;

	if (text.bytes >= sizeof(address))
		return false;
	memcpy(address, text.s, text.bytes);
	address[text.bytes] = '\0';
	if (inet_pton(AF_INET6, address, &parsed) == 1)
		return true;
	char *port = strrchr(address, ':'); /* behind an address that is written out */
	if (port == NULL || strspn(port + 1, "0123456789") != strlen(port + 1) || strlen(port + 1) > 5)
		return false;
	*port = '\0';
	return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* A host and perhaps a port (RFC 3986, 3.2.2), without user information, escapes and sub-delimiters. */
static bool is_host(struct str text)
{
	const uint8_t *at = (const uint8_t *)text.s;
	size_t n, left = text.bytes;

	if (left > 0 && at[0] == '[') {
		const uint8_t *end = memchr(at, ']', left);

		n = end == NULL ? 0 : (size_t)(end - at) + 1;
		for (size_t i = 1; i + 1 < n; i++) {
			if (!http_char_is(at[i], HTTP_CHAR_HEX) && at[i] != ':' && at[i] != '.')
				return false;
		}
		if (n < 3)
			return false;
	} else {
		n = http_char_span(at, left, HTTP_CHAR_REG_NAME);
	}
	if (n == 0)
		return false;
	at += n;
	left -= n;
	if (left == 0)
		return true;
	return at[0] == ':' && left <= 6 && http_char_span(at + 1, left - 1, HTTP_CHAR_DIGIT) == left - 1;
}

/* Cut `scheme://authority` off an absolute-form target. False if it is none. */
static bool cut_authority(struct str *target, struct str *ret_authority)
{
	static const struct str schemes[] = { { "http://", 7 }, { "https://", 8 } };
	struct str rest = *target;
	size_t n = 0;

	for (size_t i = 0; i < 2 && n == 0; i++) {
		size_t bytes = schemes[i].bytes;

		if (rest.bytes > bytes && str_equal_nocase(str_of(rest.s, bytes), schemes[i]))
			n = bytes;
	}
	if (n == 0)
		return false;
	rest = str_of(rest.s + n, rest.bytes - n);
	for (n = 0; n < rest.bytes && rest.s[n] != '/' && rest.s[n] != '?'; n++)
		;
	*ret_authority = str_of(rest.s, n);
	*target = str_of(rest.s + n, rest.bytes - n);
	return true;
}

/* RFC 9112, 3.2: which host, and what of it. */
static bool decide_target(struct http_head_scan *s, const struct facts *f, struct http_head *h)
{
	struct str rest = h->target, authority = { .bytes = 0 };

	if (f->hosts > 1)
		return refuse(s, 400, "there is more than one Host");
	if (f->hosts == 0 && h->minor == 1)
		return refuse(s, 400, "there is no Host");
	if (f->hosts == 1 && !is_host(f->host) && !is_bare_ipv6(f->host))
		return refuse(s, 400, "the Host is no host");
	if (rest.s[0] == '*') {
		if (rest.bytes > 1 || h->method != HTTP_OPTIONS)
			return refuse(s, 400, "the target * is for OPTIONS alone");
	} else if (rest.s[0] != '/') {
		if (!cut_authority(&rest, &authority) || !is_host(authority))
			return refuse(s, 400, "the target is neither a path nor an http address");
		/* The target's would win (3.2.2); equal, nobody downstream can be told two different hosts. */
		if (f->hosts == 1 && !str_equal_nocase(authority, f->host))
			return refuse(s, 400, "the Host is not the target's");
	}
	const char *mark = rest.bytes > 0 ? memchr(rest.s, '?', rest.bytes) : NULL;
	size_t path_bytes = mark == NULL ? rest.bytes : (size_t)(mark - rest.s);

	h->path = path_bytes == 0 ? STR("/") : str_of(rest.s, path_bytes);
	h->query =
		mark == NULL ? str_of(rest.s + rest.bytes, 0) : str_of(mark + 1, rest.bytes - path_bytes - 1);
	return true;
}

/* RFC 9112, 6: how long the body is. More than one way to tell is refused, even if they agree. */
static bool decide_body(struct http_head_scan *s, const struct facts *f, struct http_head *h)
{
	h->body = HTTP_BODY_NONE;
	h->content_length = 0;
	if (f->codings > 0 && f->lengths > 0)
		return refuse(s, 400, "there are both a Transfer-Encoding and a Content-Length");
	if (f->codings > 0 && h->minor == 0)
		return refuse(s, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (f->codings > 1 || f->lengths > 1)
		return refuse(s, 400, "the length of the body is told twice");
	if (f->codings == 1) {
		if (!str_equal_nocase(f->coding, STR("chunked")))
			return refuse(s, 501, "the only Transfer-Encoding is one `chunked`");
		h->body = HTTP_BODY_CHUNKED;
	}
	if (f->lengths == 1) {
		if (!str_parse_u64(f->length, HTTP_CONTENT_LENGTH_MAX, &h->content_length))
			return refuse(s, 400, "the Content-Length is no number, or too large");
		if (h->content_length > 0)
			h->body = HTTP_BODY_LENGTH;
	}
	return true;
}

static bool slice(struct http_head_scan *s, const char *in, struct http_head *h)
{
	size_t line_end = (size_t)s->target_at + s->target_bytes + sizeof(" HTTP/1.1\r\n") - 1;

	assert(s->state == AT_END);
	h->fail_status = 0;
	h->fail_reason = NULL;
	h->head_bytes = s->at_bytes;
	h->method_text = str_of(in + s->method_at, s->method_bytes);
	h->method = method_of(h->method_text);
	h->target = str_of(in + s->target_at, s->target_bytes);
	h->minor = s->minor;

	struct facts f = slice_headers(s, in, line_end, h);

	if (!decide_target(s, &f, h) || !decide_body(s, &f, h))
		return false;
	if (f.expect_other)
		return refuse(s, 417, "the only expectation that can be met is 100-continue");
	/* RFC 9110, 10.1.1 and 7.8: HTTP/1.0 has neither; and who sends no body waits for nothing. */
	h->expect_continue = f.expect_continue && h->minor == 1 && h->body != HTTP_BODY_NONE;
	h->upgrade = f.upgrade && f.connection_upgrade && h->minor == 1;
	h->keep_alive = !f.connection_close && (h->minor == 1 || f.connection_keep_alive);
	return true;
}

/* ---- the module's functions ---- */

enum http_parse http_head_parse(
	struct http_head_scan *scan, const uint8_t *in, size_t in_bytes, struct http_head *ret_head)
{
	size_t limit = in_bytes < HTTP_HEAD_BYTES_MAX ? in_bytes : HTTP_HEAD_BYTES_MAX;
	bool good = scan->fail_reason == NULL;

	assert(scan->at_bytes <= in_bytes);
	while (good && scan->state != AT_END && scan->at_bytes < limit)
		good = scan_step(scan, in, limit);
	if (good && scan->state == AT_END)
		good = slice(scan, (const char *)in, ret_head);
	else if (good && scan->at_bytes < HTTP_HEAD_BYTES_MAX)
		return HTTP_PARSE_MORE;
	else if (good)
		good = refuse(scan, 431, "the head is too long");
	if (good)
		return HTTP_PARSE_DONE;
	ret_head->fail_status = scan->fail_status;
	ret_head->fail_reason = scan->fail_reason;
	return HTTP_PARSE_FAIL;
}

struct str http_head_get(const struct http_head *head, struct str name)
{
	for (size_t i = 0; i < head->header_count; i++) {
		if (str_equal_nocase(head->headers[i].name, name))
			return head->headers[i].value;
	}
	return (struct str){ .s = NULL };
}

size_t http_head_count(const struct http_head *head, struct str name)
{
	size_t count = 0;

	for (size_t i = 0; i < head->header_count; i++)
		count += str_equal_nocase(head->headers[i].name, name);
	return count;
}

bool http_is_token(struct str text)
{
	return text.bytes > 0 && http_char_all(text, HTTP_CHAR_TOKEN);
}

bool http_head_has_token(const struct http_head *head, struct str name, struct str token)
{
	for (size_t i = 0; i < head->header_count; i++) {
		struct str rest = head->headers[i].value, item;

		if (!str_equal_nocase(head->headers[i].name, name))
			continue;
		while (http_list_next(&rest, &item)) {
			if (str_equal_nocase(item, token))
				return true;
		}
	}
	return false;
}

struct str http_trim(struct str text)
{
	while (text.bytes > 0 && (text.s[0] == ' ' || text.s[0] == '\t'))
		text = str_of(text.s + 1, text.bytes - 1);
	while (text.bytes > 0 && (text.s[text.bytes - 1] == ' ' || text.s[text.bytes - 1] == '\t'))
		text.bytes--;
	return text;
}

bool http_list_next(struct str *rest, struct str *ret_item)
{
	while (rest->bytes > 0) {
		const char *comma = memchr(rest->s, ',', rest->bytes);
		size_t n = comma == NULL ? rest->bytes : (size_t)(comma - rest->s);
		struct str item = http_trim(str_of(rest->s, n));

		n += comma != NULL;
		*rest = str_of(rest->s + n, rest->bytes - n);
		if (item.bytes > 0) {
			*ret_item = item;
			return true;
		}
	}
	return false;
}
