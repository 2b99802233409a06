/* app/args.c -- see app/args.h. */
#include "app/args.h"

#include <stdio.h>

#include "base/assert.h"

enum { NAME_SHOWN_MAX = 24 }; /* of a field's name that is repeated to whoever sent it */

static struct chat_fault wrong(char why[ARGS_MESSAGE_BYTES], const char *format, const char *name)
{
	snprintf(why, ARGS_MESSAGE_BYTES, format, name);
	return (struct chat_fault){ CHAT_INVALID, why };
}

static int hex4(const char *s)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
		value = value * 16 + digit;
	}
	return value;
}

/* In the raw text of a valid string: \ud800 without its other half. */
static bool lone_surrogate(struct str raw)
{
	bool high = false;

	/* As UTF-8 there is none: only escapes can be halves. */
	if (memchr(raw.s, '\\', raw.bytes) == NULL)
		return false;
	for (size_t i = 0; i < raw.bytes; i++) {
		if (raw.s[i] != '\\') {
			if (high)
				return true;
			continue;
		}
		i++;
		int unit = raw.s[i] == 'u' ? hex4(raw.s + i + 1) : 0;
		bool low = unit >= 0xDC00 && unit <= 0xDFFF;
		if (low != high)
			return true;
		high = unit >= 0xD800 && unit <= 0xDBFF;
		if (raw.s[i] == 'u')
			i += 4;
	}
	return high;
}

bool args_string(struct json_value value, char *room, struct str *ret_string)
{
	assert(value.type == JSON_STRING);
	if (lone_surrogate(str_of(value.text.s + 1, value.text.bytes - 2)))
		return false;
	*ret_string = str_of(room, json_decode_string(room, value));
	return true;
}

static struct chat_fault read_one(const struct arg *a, struct json_value item, char **room,
	struct arg_value *value, char why[ARGS_MESSAGE_BYTES])
{
	switch (a->type) {
	case ARG_STRING:
		if (item.type != JSON_STRING)
			return wrong(why, "%s is not a string", a->name);
		if (!args_string(item, *room, &value->string))
			return wrong(why, "%s has half of a surrogate pair", a->name);
		if (a->max != 0 && value->string.bytes > a->max)
			return wrong(why, "%s is too long", a->name);
		*room += value->string.bytes;
		break;
	case ARG_INTEGER:
		if (item.type != JSON_NUMBER || !json_u64(item, a->max, &value->number))
			return wrong(why, "%s is not an integer within its limits", a->name);
		break;
	case ARG_BOOL:
		if (item.type != JSON_TRUE && item.type != JSON_FALSE)
			return wrong(why, "%s is neither true nor false", a->name);
		value->flag = item.type == JSON_TRUE;
		break;
	case ARG_OBJECT:
		if (item.type != JSON_OBJECT)
			return wrong(why, "%s is not an object", a->name);
		value->json = item;
		break;
	}
	value->given = true;
	return CHAT_FINE;
}

static const struct arg *declared(const struct arg args[ARGS_MAX], struct str key)
{
	for (size_t i = 0; i < ARGS_MAX && args[i].name != NULL; i++) {
		if (json_raw_equal(key, str_c(args[i].name)))
			return &args[i];
	}
	return NULL;
}

static struct chat_fault unknown_field(struct str key, char why[ARGS_MESSAGE_BYTES])
{
	char shown[NAME_SHOWN_MAX + 1];
	size_t bytes = key.bytes < NAME_SHOWN_MAX ? key.bytes : NAME_SHOWN_MAX;

	/* Only what needs no care. */
	for (size_t i = 0; i < bytes; i++)
		shown[i] = key.s[i] >= ' ' && key.s[i] <= '~' && key.s[i] != '\\' ? key.s[i] : '?';
	shown[bytes] = '\0';
	return wrong(why, "no such field here: %s", shown);
}

struct chat_fault args_read(const struct arg args[ARGS_MAX], struct str object, char *room,
	struct arg_value values[ARGS_MAX], char why[ARGS_MESSAGE_BYTES])
{
	struct json_value whole, item;
	struct str key;

	for (size_t i = 0; i < ARGS_MAX; i++)
		values[i] = (struct arg_value){ .given = false };
	if (!json_scan(object, &whole))
		return wrong(why, "this is not JSON%s", "");
	if (whole.type != JSON_OBJECT)
		return wrong(why, "the arguments are not one object%s", "");
	struct json_walk walk = json_walk_begin(whole);
	while (json_walk_next(&walk, &key, &item)) {
		const struct arg *a = declared(args, key);

		if (a == NULL)
			return unknown_field(key, why);
		struct arg_value *value = &values[a - args];
		if (value->given)
			return wrong(why, "%s is there twice", a->name);
		struct chat_fault fault = read_one(a, item, &room, value, why);
		if (fault.error != CHAT_OK)
			return fault;
	}
	for (size_t i = 0; i < ARGS_MAX && args[i].name != NULL; i++) {
		if (!args[i].optional && !values[i].given)
			return wrong(why, "%s is missing", args[i].name);
	}
	return CHAT_FINE;
}
