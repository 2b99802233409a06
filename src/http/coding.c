/* http/coding.c -- see http/coding.h. */
#include "http/coding.h"

#include <zlib.h>

#include "base/assert.h"
#include "http/char_int.h"

enum { Q_ONE = 1000, Q_UNSAID = -1 };

/* A qvalue (RFC 9110, 12.4.2) in thousandths; what is none counts as 0. */
static int parse_q(struct str text)
{
	int q = 0, unit = Q_ONE;

	if (text.bytes == 0 || text.bytes > 5 || (text.bytes > 1 && text.s[1] != '.'))
		return 0;
	for (size_t i = 0; i < text.bytes; i++) {
		if (i == 1)
			continue;
		if (!http_char_is((uint8_t)text.s[i], HTTP_CHAR_DIGIT))
			return 0;
		q += (text.s[i] - '0') * unit;
		unit /= 10;
	}
	return q > Q_ONE ? 0 : q;
}

/* Cut `coding ;q=0.5` in two. Returns the q, Q_ONE where there is none. */
static int cut_q(struct str *item)
{
	const char *mark = memchr(item->s, ';', item->bytes);

	if (mark == NULL)
		return Q_ONE;

	size_t n = (size_t)(mark - item->s);
	struct str weight = http_trim(str_of(mark + 1, item->bytes - n - 1));

	*item = http_trim(str_of(item->s, n));
	if (weight.bytes < 2 || !str_equal_nocase(str_of(weight.s, 2), STR("q=")))
		return 0;
	return parse_q(str_of(weight.s + 2, weight.bytes - 2));
}

struct http_wishes http_wishes_of(const struct http_head *head)
{
	struct http_wishes w = { Q_UNSAID, Q_UNSAID, Q_UNSAID, Q_UNSAID };
	int any = Q_UNSAID;

	for (size_t i = 0; i < head->header_count; i++) {
		struct str rest = head->headers[i].value, item;

		if (!str_equal_nocase(head->headers[i].name, STR("accept-encoding")))
			continue;
		while (http_list_next(&rest, &item)) {
			int q = cut_q(&item);

			if (str_equal_nocase(item, STR("br")))
				w.br = q;
			else if (str_equal_nocase(item, STR("gzip")) || str_equal_nocase(item, STR("x-gzip")))
				w.gzip = q;
			else if (str_equal_nocase(item, STR("deflate")))
				w.deflate = q;
			else if (str_equal_nocase(item, STR("identity")))
				w.identity = q;
			else if (str_equal(item, STR("*")))
				any = q;
		}
	}
	any = any == Q_UNSAID ? 0 : any;
	w.br = w.br == Q_UNSAID ? any : w.br;
	w.gzip = w.gzip == Q_UNSAID ? any : w.gzip;
	w.deflate = w.deflate == Q_UNSAID ? any : w.deflate;
	w.identity = w.identity == Q_UNSAID ? any : w.identity;
	return w;
}

enum http_coding http_coding_best(const struct http_head *head)
{
	struct http_wishes w = http_wishes_of(head);

	if (w.gzip > 0 && w.gzip >= w.deflate && w.gzip >= w.identity)
		return HTTP_CODING_GZIP;
	if (w.deflate > 0 && w.deflate >= w.identity)
		return HTTP_CODING_DEFLATE;
	return HTTP_CODING_IDENTITY;
}

struct str http_coding_name(enum http_coding coding)
{
	assert(coding != HTTP_CODING_IDENTITY);
	return coding == HTTP_CODING_GZIP ? STR("gzip") : STR("deflate");
}

bool http_compress(enum http_coding coding, struct buf *body)
{
	enum { WINDOW_BITS = 15, GZIP_WRAPPER = 16, MEMORY_LEVEL = 8 };
	z_stream z = { .next_in = body->data, .avail_in = (uInt)body->bytes };
	struct buf out;

	assert(coding != HTTP_CODING_IDENTITY && body->bytes <= UINT32_MAX);
	int bits = WINDOW_BITS + (coding == HTTP_CODING_GZIP ? GZIP_WRAPPER : 0);
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	buf_init(&out, body->bytes_max);
	bool ok = buf_reserve(&out, deflateBound(&z, body->bytes));
	if (ok) {
		z.next_out = out.data;
		z.avail_out = (uInt)out.cap;
		ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
		out.bytes = out.cap - z.avail_out;
	}
	(void)deflateEnd(&z);
	if (!ok || out.bytes >= body->bytes) {
		buf_finish(&out);
		return false;
	}
	buf_finish(body);
	*body = out;
	return true;
}
