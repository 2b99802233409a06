/* socketio/json.c -- JSON for applications, by base/json.h: see sio/json.h. */
#include "sio/json.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"

static bool scan(struct sio_str text, struct json_value *ret)
{
	return utf8_valid((const uint8_t *)text.s, text.bytes) && json_scan(str_of(text.s, text.bytes), ret);
}

static struct sio_str lend(struct json_value value)
{
	return (struct sio_str){ value.text.s, value.text.bytes };
}

bool sio_json_member(struct sio_str object, const char *name, struct sio_str *ret_value)
{
	struct json_value whole, member;

	if (!scan(object, &whole) || !json_member(whole, str_c(name), &member))
		return false;
	*ret_value = lend(member);
	return true;
}

bool sio_json_item(struct sio_str array, size_t i, struct sio_str *ret_value)
{
	struct json_value whole, item;

	if (!scan(array, &whole) || whole.type != JSON_ARRAY)
		return false;
	struct json_walk walk = json_walk_begin(whole);
	do {
		if (!json_walk_next(&walk, NULL, &item))
			return false;
	} while (i-- > 0);
	*ret_value = lend(item);
	return true;
}

/* Decoded text to `out`, with a NUL behind it. */
static bool put_text(const char *text, size_t bytes, char *out, size_t out_bytes)
{
	if (bytes >= out_bytes || (bytes > 0 && memchr(text, '\0', bytes) != NULL))
		return false;
	if (bytes > 0)
		memcpy(out, text, bytes);
	out[bytes] = '\0';
	return true;
}

bool sio_json_string(struct sio_str value, char *out, size_t out_bytes)
{
	struct json_value string;

	if (!scan(value, &string) || string.type != JSON_STRING)
		return false;
	struct str raw = str_of(string.text.s + 1, string.text.bytes - 2);
	if (raw.bytes == 0 || memchr(raw.s, '\\', raw.bytes) == NULL)
		return put_text(raw.s, raw.bytes, out, out_bytes);
	/* Escapes make it shorter, by up to a sixth: decode it, and see. */
	char *decoded = malloc(string.text.bytes);
	if (decoded == NULL)
		return false;
	bool fits = put_text(decoded, json_decode_string(decoded, string), out, out_bytes);
	free(decoded);
	return fits;
}

bool sio_json_number(struct sio_str value, uint64_t max, uint64_t *ret)
{
	struct json_value number;

	return scan(value, &number) && number.type == JSON_NUMBER && json_u64(number, max, ret);
}

size_t sio_json_quote(char *out, size_t out_bytes, struct sio_str text)
{
	struct str plain = str_of(text.s, text.bytes);
	bool fits = utf8_valid((const uint8_t *)text.s, text.bytes) && json_quoted_bytes(plain) < out_bytes;
	size_t bytes = fits ? json_quote(out, plain) : 0;

	if (out_bytes > 0)
		out[bytes] = '\0';
	return bytes;
}
