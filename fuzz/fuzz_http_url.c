/*
 * fuzz/fuzz_http_url.c -- any bytes as a path, a query, one of its values, and a request's target.
 *
 * What decodes is text that http/url.h promises, no longer than its source, fits into just its size, and escaped again
 * decodes to itself. Piece by piece gives what the whole gave. An address as target names the path it would have alone.
 */
#include "base/utf8.h"
#include "fuzz.h"
#include "http/head.h"
#include "http/url.h"

enum { NAMES_MAX = 8 }; /* are asked for by http_query_get() */

/* All but letters and digits as %XX, and '/' where it is kept. `out` has 3 bytes for each. */
static struct str escape(struct str text, bool keep_slash, char *out)
{
	static const char hex[] = "0123456789abcdef0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < text.bytes; i++) {
		uint8_t byte = (uint8_t)text.s[i], lower = byte | 0x20;
		size_t turn = i % 2 * 16;

		if ((lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
			(byte == '/' && keep_slash)) {
			out[n++] = (char)byte;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[turn + (byte >> 4)];
		out[n++] = hex[turn + (byte & 15)];
	}
	return str_of(out, n);
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits) % 16;
}

/* The plain reading: every escape is one byte, and `space` too. `out` has as many bytes as the text. */
static bool unescape(struct str text, char space, char *out, struct str *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < text.bytes; i++) {
		char c = text.s[i];

		if (c == '%') {
			if (text.bytes - i < 3 || hex_value(text.s[i + 1]) < 0 ||
				hex_value(text.s[i + 2]) < 0)
				return false;
			c = (char)(16 * hex_value(text.s[i + 1]) + hex_value(text.s[i + 2]));
			i += 2;
		} else if (c == space) {
			c = ' ';
		}
		out[n++] = c;
	}
	*ret = str_of(out, n);
	return true;
}

static size_t count_of(struct str text, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < text.bytes; i++)
		count += text.s[i] == c;
	return count;
}

/* Has no segment `.` or `..`: each ends at a slash or at the end. */
static bool dots_absent(struct str path)
{
	for (size_t i = 0; i < path.bytes; i++) {
		size_t dots = 0;

		while (path.s[i] == '/' && i + 1 + dots < path.bytes && path.s[i + 1 + dots] == '.')
			dots++;
		size_t behind = i + 1 + dots;
		if ((dots == 1 || dots == 2) && (behind == path.bytes || path.s[behind] == '/'))
			return false;
	}
	return true;
}

static void check_good_path(struct str raw, struct str path)
{
	struct str again = STR(""), short_of = STR("");
	char *room = fuzz_room(path.bytes), *escaped = fuzz_room(3 * path.bytes);

	assert(path.bytes > 0 && path.bytes <= raw.bytes && path.s[0] == '/');
	assert(utf8_valid((const uint8_t *)path.s, path.bytes) && dots_absent(path));
	for (size_t i = 0; i < path.bytes; i++) {
		uint8_t byte = (uint8_t)path.s[i];
		assert(byte >= 0x20 && byte != 0x7f && byte != '\\');
	}
	assert(http_path_decode(raw, room, path.bytes, &again) == HTTP_PATH_OK && str_equal(again, path));
	assert(http_path_decode(raw, room, path.bytes - 1, &short_of) == HTTP_PATH_TOO_LONG);
	assert(http_path_decode(escape(path, true, escaped), room, path.bytes, &again) == HTTP_PATH_OK);
	assert(str_equal(again, path));
	free(escaped);
	free(room);
}

/* Whether each segment decodes alone, with the slash before it; put together they are *ret_path. */
static bool segments_decode(struct str raw, char *out, struct str *ret_path)
{
	size_t n = 0, end;

	if (raw.bytes == 0 || raw.s[0] != '/')
		return false;
	for (size_t at = 0; at < raw.bytes; at = end) {
		struct str piece;

		for (end = at + 1; end < raw.bytes && raw.s[end] != '/';)
			end++;
		if (http_path_decode(str_of(raw.s + at, end - at), out + n, raw.bytes - n, &piece) !=
			HTTP_PATH_OK)
			return false;
		n += piece.bytes;
	}
	*ret_path = str_of(out, n);
	return true;
}

static void check_path(struct str raw)
{
	char *room = fuzz_room(raw.bytes), *pieces = fuzz_room(raw.bytes);
	struct str path = STR("as it was"), joined;
	enum http_path verdict = http_path_decode(raw, room, raw.bytes, &path);

	assert(verdict != HTTP_PATH_TOO_LONG);
	for (enum http_path v = HTTP_PATH_OK; v <= HTTP_PATH_TOO_LONG; v++)
		assert((v == verdict) == (http_path_reason(v) == http_path_reason(verdict)));
	assert(segments_decode(raw, pieces, &joined) == (verdict == HTTP_PATH_OK));
	if (verdict == HTTP_PATH_BAD_ESCAPE)
		assert(!unescape(raw, '%', pieces, &joined));
	if (verdict == HTTP_PATH_OK) {
		assert(path.s == room && str_equal(path, joined));
		assert(unescape(raw, '%', pieces, &joined) && str_equal(path, joined));
		assert(count_of(path, '/') == count_of(raw, '/'));
		check_good_path(raw, path);
	} else {
		assert(str_equal(path, STR("as it was")));
	}
	free(pieces);
	free(room);
}

static void check_good_text(struct str raw, struct str text)
{
	struct str again = STR(""), short_of = STR("");
	char *room = fuzz_room(text.bytes), *escaped = fuzz_room(3 * text.bytes);

	assert(text.bytes <= raw.bytes && utf8_valid((const uint8_t *)text.s, text.bytes));
	assert(text.bytes == 0 || memchr(text.s, '\0', text.bytes) == NULL);
	assert(http_query_decode(raw, room, text.bytes, &again) && str_equal(again, text));
	assert(text.bytes == 0 || !http_query_decode(raw, room, text.bytes - 1, &short_of));
	assert(http_query_decode(escape(text, false, escaped), room, text.bytes, &again));
	assert(str_equal(again, text));
	free(escaped);
	free(room);
}

/* A parameter's name or value: to memory of its own, where it stands, and in two halves. */
static void check_text(struct str raw)
{
	char *room = fuzz_room(raw.bytes), *copy = fuzz_copy(raw.s, raw.bytes),
	     *plain_room = fuzz_room(raw.bytes);
	struct str text = STR("as it was"), in_place = STR("as it was"), plain, first, second;
	bool good = http_query_decode(raw, room, raw.bytes, &text);

	assert(http_query_decode(str_of(copy, raw.bytes), copy, raw.bytes, &in_place) == good);
	assert(str_equal(text, in_place));
	if (unescape(raw, '+', plain_room, &plain))
		assert(good ==
			(count_of(plain, '\0') == 0 && utf8_valid((uint8_t *)plain_room, plain.bytes)));
	else
		assert(!good);
	if (good) {
		assert(str_equal(text, plain));
		assert(text.s == room && in_place.s == copy);
		check_good_text(raw, text);
	} else {
		assert(str_equal(text, STR("as it was")));
	}
	for (size_t at = raw.bytes / 2; raw.bytes > 0 && at <= raw.bytes / 2 + 2 && at <= raw.bytes; at++) {
		if (!http_query_decode(str_of(raw.s, at), copy, raw.bytes, &first) ||
			!http_query_decode(str_of(raw.s + at, raw.bytes - at), copy + first.bytes,
				raw.bytes - first.bytes, &second))
			continue; /* the cut is within an escape or a character, or a half is bad */
		assert(good && str_equal(text, str_of(copy, first.bytes + second.bytes)));
	}
	free(plain_room);
	free(copy);
	free(room);
}

/* How many parameters have that decoded name, and whether the last of them has a value that decodes. */
static size_t count_named(struct str query, struct str name, char *room, bool *ret_good)
{
	struct str rest = query, raw_name, raw_value, text;
	size_t count = 0;

	while (http_query_next(&rest, &raw_name, &raw_value)) {
		if (!http_query_decode(raw_name, room, query.bytes, &text) || !str_equal(text, name))
			continue;
		*ret_good = http_query_decode(raw_value, room, query.bytes, &text);
		count++;
	}
	return count;
}

/* Asked for by a decoded name. */
static void check_get(struct str query, struct str name)
{
	char *room = fuzz_room(query.bytes);
	struct str value = STR("as it was");
	bool good = false;
	size_t count = count_named(query, name, room, &good);
	enum http_query got = http_query_get(query, name, room, query.bytes, &value);

	if (count == 0)
		assert(got == HTTP_QUERY_NONE);
	else
		assert(got == (count == 1 && good ? HTTP_QUERY_ONE : HTTP_QUERY_BAD));
	assert(got == HTTP_QUERY_ONE ? value.s == room : str_equal(value, STR("as it was")));
	free(room);
}

static void check_get_raw(struct str query, struct str raw_name)
{
	char *room = fuzz_room(raw_name.bytes);
	struct str name;

	if (http_query_decode(raw_name, room, raw_name.bytes, &name))
		check_get(query, name);
	free(room);
}

/* The parameters lie in the query one behind the other, with nothing but '&' between them. */
static void check_query(struct str query)
{
	struct str rest = query, name, value;
	const char *at = query.s, *end = query.s + query.bytes;
	size_t count = 0;

	while (http_query_next(&rest, &name, &value)) {
		assert(fuzz_within(name, query.s, query.bytes) && fuzz_within(value, query.s, query.bytes));
		for (; at < name.s; at++)
			assert(*at == '&');
		assert(name.bytes == 0 ||
			(memchr(name.s, '=', name.bytes) == NULL && memchr(name.s, '&', name.bytes) == NULL));
		assert(value.bytes == 0 || memchr(value.s, '&', value.bytes) == NULL);
		at = name.s + name.bytes;
		assert(value.s == at ? value.bytes == 0 : value.s == at + 1 && *at == '=');
		at = value.s + value.bytes;
		assert(at > name.s && (at == end || *at == '&'));
		if (count++ < NAMES_MAX)
			check_get_raw(query, name);
		check_text(value);
	}
	for (; at < end; at++)
		assert(*at == '&');
	check_get(query, STR("sid"));
}

/* What `OPTIONS target HTTP/1.1` is, asked of that host. The request is the caller's to free. */
static enum http_parse parse(struct str target, struct str host, char **ret_request, struct http_head *ret)
{
	static const char *const around[] = { "OPTIONS ", " HTTP/1.1\r\nHost: ", "\r\n\r\n" };
	struct str parts[] = { str_c(around[0]), target, str_c(around[1]), host, str_c(around[2]) };
	struct http_head_scan scan = { 0 };
	char *request = fuzz_room(target.bytes + host.bytes + 64);
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].bytes > 0)
			memcpy(request + n, parts[i].s, parts[i].bytes);
		n += parts[i].bytes;
	}
	*ret_request = request;
	return http_head_parse(&scan, (const uint8_t *)request, n, ret);
}

static struct str host_of(struct str target)
{
	size_t n = 7;

	if (target.bytes < n || !str_equal_nocase(str_of(target.s, n), STR("http://")))
		return STR("a");
	while (n < target.bytes && target.s[n] != '/' && target.s[n] != '?')
		n++;
	return str_of(target.s + 7, n - 7);
}

static void check_target(struct str target)
{
	static struct http_head head, alone;
	char *request, *request_alone, *short_form;

	if (parse(target, host_of(target), &request, &head) == HTTP_PARSE_DONE &&
		str_equal(head.target, target)) {
		size_t n = head.path.bytes;

		assert(n > 0 && (head.path.s[0] == '/' || str_equal(head.path, STR("*"))));
		assert(memchr(head.path.s, '?', n) == NULL);
		assert(fuzz_within(head.query, head.target.s, target.bytes));
		short_form = fuzz_room(target.bytes + 1);
		memcpy(short_form, head.path.s, n);
		if (head.query.bytes > 0) {
			short_form[n++] = '?';
			memcpy(short_form + n, head.query.s, head.query.bytes);
			n += head.query.bytes;
		}
		assert(parse(str_of(short_form, n), STR("a"), &request_alone, &alone) == HTTP_PARSE_DONE);
		assert(str_equal(alone.path, head.path) && str_equal(alone.query, head.query));
		free(request_alone);
		free(short_form);
		check_path(head.path);
		check_query(head.query);
	}
	free(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = str_of((const char *)data, bytes);

	check_path(text);
	check_text(text);
	check_query(text);
	check_target(text);
	return 0;
}
