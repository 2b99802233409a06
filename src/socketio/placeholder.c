/*
 * socketio/placeholder.c -- sio_placeholders_valid() of socketio/packet.h: one pass over JSON, whatever its depth.
 *
 *      {  push     "key" :  remember which     true, 1, ...  note it in the object on top     }  pop and judge
 */
#include "base/assert.h"
#include "base/json.h"
#include "socketio/packet.h"

enum {
	IN_OBJECT = 1,
	SAYS_PLACEHOLDER = 2, /* the last "_placeholder" was true */
	NUM_RIGHT = 4, /* the last "num" names an attachment */
};

enum key {
	KEY_OTHER,
	KEY_PLACEHOLDER,
	KEY_NUM,
};

struct walk {
	const char *at, *end;
	uint32_t attachments;
	uint32_t depth;
	bool key_next; /* a string that comes now is a key */
	enum key key; /* of the value that comes now */
	uint8_t levels[JSON_DEPTH_MAX + 1];
};

/* Step over a string, from its quote; returns what stands between the quotes. */
static struct str take_string(struct walk *w)
{
	const char *from = ++w->at;

	while (*w->at != '"')
		w->at += *w->at == '\\' ? 2 : 1;
	assert(w->at < w->end);
	return str_of(from, (size_t)(w->at++ - from));
}

static void take_key(struct walk *w)
{
	struct str raw = take_string(w);

	w->key_next = false;
	w->key = json_raw_equal(raw, STR("_placeholder")) ? KEY_PLACEHOLDER
		 : json_raw_equal(raw, STR("num"))        ? KEY_NUM
							  : KEY_OTHER;
}

/* A value begins: if it is one of the two that matter, note what it is. */
static void note_value(struct walk *w, bool is_true, bool num_right)
{
	uint8_t *level = &w->levels[w->depth];
	uint8_t bit = w->key == KEY_PLACEHOLDER ? SAYS_PLACEHOLDER : NUM_RIGHT;
	bool set = w->key == KEY_PLACEHOLDER ? is_true : num_right;

	if (w->key != KEY_OTHER)
		*level = (uint8_t)(set ? *level | bit : *level & ~bit);
	w->key = KEY_OTHER;
}

/* A number, true, false or null. */
static void take_bare(struct walk *w)
{
	const char *from = w->at;
	struct json_value value = { .type = JSON_NUMBER };
	uint64_t num;

	while (w->at < w->end && strchr(",]} \t\r\n", *w->at) == NULL)
		w->at++;
	value.text = str_of(from, (size_t)(w->at - from));
	bool is_number = *from == '-' || (*from >= '0' && *from <= '9');
	note_value(w, *from == 't', is_number && json_u64(value, w->attachments - 1, &num));
}

static void enter(struct walk *w, bool object)
{
	note_value(w, false, false);
	assert(w->depth < JSON_DEPTH_MAX);
	w->levels[++w->depth] = object ? IN_OBJECT : 0;
	w->key_next = object;
	w->at++;
}

/* False: the object that ends here is a wrong placeholder. */
static bool leave(struct walk *w)
{
	uint8_t level = w->levels[w->depth--];

	w->at++;
	w->key_next = false;
	return !(level & SAYS_PLACEHOLDER) || (level & NUM_RIGHT);
}

bool sio_placeholders_valid(struct str json, uint32_t attachments)
{
	struct walk w = { .at = json.s, .end = json.s + json.bytes, .attachments = attachments };

	assert(attachments > 0);
	while (w.at < w.end) {
		switch (*w.at) {
		case '{':
		case '[':
			enter(&w, *w.at == '{');
			break;
		case '}':
		case ']':
			if (!leave(&w))
				return false;
			break;
		case ',':
			w.key_next = (w.levels[w.depth] & IN_OBJECT) != 0;
			w.at++;
			break;
		case '"':
			if (w.key_next) {
				take_key(&w);
			} else {
				note_value(&w, false, false);
				(void)take_string(&w);
			}
			break;
		case ':':
		case ' ':
		case '\t':
		case '\r':
		case '\n':
			w.at++;
			break;
		default:
			take_bare(&w);
		}
	}
	return true;
}
