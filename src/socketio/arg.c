/* socketio/arg.c -- reading an event's arguments: see sio/sio.h. */
#include <stdlib.h>

#include "base/json.h"
#include "socketio/server_int.h"

static bool item_at(const struct sio_event *e, size_t i, struct json_value *ret)
{
	struct json_value array = { .type = JSON_ARRAY, .text = { e->args.json.s, e->args.json.bytes } };
	struct json_walk walk = json_walk_begin(array);

	do {
		if (!json_walk_next(&walk, NULL, ret))
			return false;
	} while (i-- > 0);
	return true;
}

bool sio_arg(const struct sio_event *e, size_t i, struct sio_str *ret_json)
{
	struct json_value item;

	if (!item_at(e, i, &item))
		return false;
	*ret_json = (struct sio_str){ item.text.s, item.text.bytes };
	return true;
}

/* Decoded text to `out`, with a NUL behind it. */
static bool put_text(const char *text, size_t bytes, char *out, size_t out_bytes)
{
	if (bytes >= out_bytes || memchr(text, '\0', bytes) != NULL)
		return false;
	memcpy(out, text, bytes);
	out[bytes] = '\0';
	return true;
}

bool sio_arg_string(const struct sio_event *e, size_t i, char *out, size_t out_bytes)
{
	struct json_value item;

	if (!item_at(e, i, &item) || item.type != JSON_STRING)
		return false;
	struct str raw = str_of(item.text.s + 1, item.text.bytes - 2);
	if (raw.bytes == 0 || memchr(raw.s, '\\', raw.bytes) == NULL)
		return put_text(raw.s, raw.bytes, out, out_bytes);
	/* Escapes make it shorter, by up to a sixth: decode it, and see. */
	char *decoded = malloc(item.text.bytes);
	if (decoded == NULL)
		return false;
	bool fits = put_text(decoded, json_decode_string(decoded, item), out, out_bytes);
	free(decoded);
	return fits;
}
