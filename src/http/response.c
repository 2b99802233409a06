/* http/response.c -- see http/response.h. */
#include "http/response.h"

#include "base/assert.h"
#include "http/char_int.h"

/* Appends to memory that is known to suffice. */
struct writer {
	char *out;
	size_t bytes;
};

static void put(struct writer *w, struct str text)
{
	if (text.bytes > 0)
		memcpy(w->out + w->bytes, text.s, text.bytes);
	w->bytes += text.bytes;
}

static void put_decimal(struct writer *w, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put(w, str_of(digits + at, sizeof(digits) - at));
}

/* `lead` is the name with its colon and space; nothing is written for an empty value. */
static void put_line(struct writer *w, struct str lead, struct str value)
{
	if (value.bytes == 0)
		return;
	assert(http_char_all(value, HTTP_CHAR_VALUE));
	put(w, lead);
	put(w, value);
	put(w, STR("\r\n"));
}

const char *http_status_reason(uint16_t status)
{
	static const struct {
		uint16_t status;
		const char *reason;
	} table[] = {
		/* What is said all the time comes first. */
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 507, "Insufficient Storage" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].status == status)
			return table[i].reason;
	}
	return "";
}

bool http_header_valid(struct http_header header)
{
	return header.name.bytes > 0 && http_char_all(header.name, HTTP_CHAR_TOKEN) &&
	       http_char_all(header.value, HTTP_CHAR_VALUE);
}

static size_t headers_bytes(const struct http_header *headers, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += headers[i].name.bytes + headers[i].value.bytes + sizeof(": \r\n") - 1;
	return bytes;
}

size_t http_response_bytes_max(const struct http_response *r)
{
	size_t bytes = HTTP_RESPONSE_FIXED_BYTES_MAX + r->content_type.bytes + r->cache_control.bytes +
		       r->date.bytes + r->upgrade.bytes;

	return bytes + headers_bytes(r->headers, r->header_count) +
	       headers_bytes(r->more_headers, r->more_count);
}

static void put_status(struct writer *w, uint16_t status)
{
	put(w, STR("HTTP/1.1 "));
	put_decimal(w, status);
	put(w, STR(" "));
	put(w, str_c(http_status_reason(status)));
	put(w, STR("\r\n"));
}

/* RFC 9112, 9.3: HTTP/1.1 stays open unless told otherwise, HTTP/1.0 closes. */
static void put_connection(struct writer *w, const struct http_response *r)
{
	if (r->status == 101) {
		assert(r->upgrade.bytes > 0);
		put_line(w, STR("Upgrade: "), r->upgrade);
		put(w, STR("Connection: Upgrade\r\n"));
	} else if (r->status >= 200 && !r->keep_alive) {
		put(w, STR("Connection: close\r\n"));
	} else if (r->status >= 200 && r->minor == 0) {
		put(w, STR("Connection: keep-alive\r\n"));
	}
}

static void put_headers(struct writer *w, const struct http_header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert(http_header_valid(headers[i]));
		put(w, headers[i].name);
		put(w, STR(": "));
		put(w, headers[i].value);
		put(w, STR("\r\n"));
	}
}

size_t http_response_encode(const struct http_response *r, char *out, size_t out_bytes)
{
	struct writer w = { .out = out };

	assert(r->status >= 100 && r->status <= 599);
	assert(r->status == 101 || r->upgrade.bytes == 0);
	if (out_bytes < http_response_bytes_max(r))
		return 0;
	put_status(&w, r->status);
	if (r->status >= 200) {
		put_line(&w, STR("Date: "), r->date);
		put(&w, STR("X-Content-Type-Options: nosniff\r\n"));
		put_line(&w, STR("Content-Type: "), r->content_type);
		/* RFC 9110, 8.6. A 304 may have it, but then that of the whole, which nobody needs. */
		if (r->status != 204 && r->status != 304) {
			put(&w, STR("Content-Length: "));
			put_decimal(&w, r->content_length);
			put(&w, STR("\r\n"));
		}
		put_line(&w, STR("Cache-Control: "), r->cache_control);
	}
	put_connection(&w, r);
	put_headers(&w, r->headers, r->header_count);
	put_headers(&w, r->more_headers, r->more_count);
	put(&w, STR("\r\n"));
	assert(w.bytes <= out_bytes);
	return w.bytes;
}

static unsigned days_of_year(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 366 : 365;
}

static void put_digits(char *out, unsigned value, size_t digits)
{
	while (digits-- > 0) {
		out[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* Not by gmtime() and strftime(): those know time zones and languages. */
void http_date_format(char out[HTTP_DATE_BYTES], int64_t unix_s)
{
	static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* from that of 1 January 1970 on */
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const uint8_t month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	assert(unix_s >= 0 && unix_s < INT64_C(253402300800)); /* the year 10000 */

	unsigned days = (unsigned)(unix_s / 86400), second = (unsigned)(unix_s % 86400);
	unsigned year = 1970, month = 0, weekday = days % 7;

	for (; days >= days_of_year(year); year++)
		days -= days_of_year(year);

	unsigned leap_day = days_of_year(year) - 365;

	for (; days >= month_days[month] + (month == 1 ? leap_day : 0); month++)
		days -= month_days[month] + (month == 1 ? leap_day : 0);

	memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_BYTES);
	memcpy(out, weekdays + 3 * (size_t)weekday, 3);
	put_digits(out + 5, days + 1, 2);
	memcpy(out + 8, months + 3 * (size_t)month, 3);
	put_digits(out + 12, year, 4);
	put_digits(out + 17, second / 3600, 2);
	put_digits(out + 20, second / 60 % 60, 2);
	put_digits(out + 23, second % 60, 2);
}
