/* socketio/arg.c -- reading an event's arguments: see sio/sio.h. */
#include "base/json.h"
#include "base/utf8.h"
#include "sio/json.h"
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

static bool bytes_of(const struct sio_args *args, struct json_value item, struct sio_bytes *ret)
{
	struct json_value is_placeholder, num;
	uint64_t n;

	if (!json_member(item, STR("_placeholder"), &is_placeholder) || is_placeholder.type != JSON_TRUE ||
		!json_member(item, STR("num"), &num) || !str_parse_u64(num.text, UINT32_MAX, &n) ||
		n >= args->attachment_count)
		return false;
	*ret = args->attachments[n];
	return true;
}

bool sio_arg_bytes(const struct sio_event *e, size_t i, struct sio_bytes *ret)
{
	struct json_value item;

	return item_at(e, i, &item) && bytes_of(&e->args, item, ret);
}

bool sio_args_bytes(const struct sio_args *args, struct sio_str value, struct sio_bytes *ret)
{
	struct json_value item;

	return args->attachment_count > 0 && utf8_valid((const uint8_t *)value.s, value.bytes) &&
	       json_scan(str_of(value.s, value.bytes), &item) && bytes_of(args, item, ret);
}

bool sio_arg_string(const struct sio_event *e, size_t i, char *out, size_t out_bytes)
{
	struct sio_str text;

	return sio_arg(e, i, &text) && sio_json_string(text, out, out_bytes);
}
