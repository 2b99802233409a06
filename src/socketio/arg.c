/* socketio/arg.c -- reading an event's arguments: see sio/sio.h. */
#include "base/json.h"
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

bool sio_arg_bytes(const struct sio_event *e, size_t i, struct sio_bytes *ret)
{
	struct json_value item, is_placeholder, num;
	uint64_t n;

	if (!item_at(e, i, &item) || !json_member(item, STR("_placeholder"), &is_placeholder) ||
		is_placeholder.type != JSON_TRUE || !json_member(item, STR("num"), &num) ||
		!str_parse_u64(num.text, UINT32_MAX, &n) || n >= e->args.attachment_count)
		return false;
	*ret = e->args.attachments[n];
	return true;
}

bool sio_arg_string(const struct sio_event *e, size_t i, char *out, size_t out_bytes)
{
	struct sio_str text;

	return sio_arg(e, i, &text) && sio_json_string(text, out, out_bytes);
}
