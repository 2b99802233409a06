/*
 * base/json.c -- see base/json.h.
 *
 *      skip_value ---> skip_string, skip_number, skip_word      a scalar
 *          `---------> skip_container                           a loop: one bit a level says {} or []
 *
 * Each skip_x() starts at the value's first byte and gives the byte behind it, or NULL when it is not valid
 * or is cut off. None reads at or past `end`.
 */
#include "base/json.h"

#include "base/assert.h"
#include "base/json_int.h"

enum {
	LEVELS_PER_WORD = 64,
	ESCAPE_BYTES = 6, /* \u and four digits */
};

/* clang-format off */
enum byte_class {
	SPACE   = 1 << 0,
	DIGIT   = 1 << 1,
	HEX     = 1 << 2,
	ESCAPED = 1 << 3, /* may follow a '\', besides 'u' */
};

static const uint8_t classes[256] = {
	[' '] = SPACE, ['\t'] = SPACE, ['\n'] = SPACE, ['\r'] = SPACE,
	['"'] = ESCAPED, ['\\'] = ESCAPED, ['/'] = ESCAPED,
	['0'] = DIGIT | HEX, ['1'] = DIGIT | HEX, ['2'] = DIGIT | HEX, ['3'] = DIGIT | HEX,
	['4'] = DIGIT | HEX, ['5'] = DIGIT | HEX, ['6'] = DIGIT | HEX, ['7'] = DIGIT | HEX,
	['8'] = DIGIT | HEX, ['9'] = DIGIT | HEX,
	['A'] = HEX, ['B'] = HEX, ['C'] = HEX, ['D'] = HEX, ['E'] = HEX, ['F'] = HEX,
	['a'] = HEX, ['b'] = HEX | ESCAPED, ['c'] = HEX, ['d'] = HEX, ['e'] = HEX, ['f'] = HEX | ESCAPED,
	['n'] = ESCAPED, ['r'] = ESCAPED, ['t'] = ESCAPED,
};
/* clang-format on */

static inline bool is(uint8_t b, unsigned class)
{
	return (classes[b] & class) != 0;
}

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p <= ' ' && is(*p, SPACE))
		p++;
	return p;
}

/* At a '\': the byte behind the escape. */
static const uint8_t *skip_escape(const uint8_t *p, const uint8_t *end)
{
	if (end - p < 2)
		return NULL;
	if (is(p[1], ESCAPED))
		return p + 2;
	if (p[1] != 'u' || end - p < ESCAPE_BYTES)
		return NULL;
	return is(p[2], HEX) && is(p[3], HEX) && is(p[4], HEX) && is(p[5], HEX) ? p + ESCAPE_BYTES : NULL;
}

static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
	assert(*p == '"');
	for (p++;;) {
		p = json_skip_plain(p, end);
		if (p == end || *p < ' ')
			return NULL;
		if (*p == '"')
			return p + 1;
		p = skip_escape(p, end);
		if (!p)
			return NULL;
	}
}

/* At least one digit. */
static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *begin = p;

	while (p < end && is(*p, DIGIT))
		p++;
	return p > begin ? p : NULL;
}

static const uint8_t *skip_number(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *begin = p;

	if (*p == '-')
		p++;
	/* '0' stands alone; a digit behind it is left over, which the caller finds to be no ',' or end. */
	p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
	if (p && p < end && *p == '.')
		p = skip_digits(p + 1, end);
	if (p && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = skip_digits(p, end);
	}
	return p && p - begin <= JSON_NUMBER_BYTES_MAX ? p : NULL;
}

static const uint8_t *skip_word(const uint8_t *p, const uint8_t *end, struct str word)
{
	return (size_t)(end - p) >= word.bytes && memcmp(p, word.s, word.bytes) == 0 ? p + word.bytes : NULL;
}

static const uint8_t *skip_scalar(const uint8_t *p, const uint8_t *end, enum json_type *ret_type)
{
	switch (*p) {
	case '"':
		*ret_type = JSON_STRING;
		return skip_string(p, end);
	case 't':
		*ret_type = JSON_TRUE;
		return skip_word(p, end, STR("true"));
	case 'f':
		*ret_type = JSON_FALSE;
		return skip_word(p, end, STR("false"));
	case 'n':
		*ret_type = JSON_NULL;
		return skip_word(p, end, STR("null"));
	default:
		*ret_type = JSON_NUMBER;
		return *p == '-' || is(*p, DIGIT) ? skip_number(p, end) : NULL;
	}
}

/* Behind a member's name: the ':' and the space around it. */
static const uint8_t *skip_colon(const uint8_t *p, const uint8_t *end)
{
	p = skip_space(p, end);
	return p < end && *p == ':' ? skip_space(p + 1, end) : NULL;
}

/* A member's name up to its value's first byte, which may be the end. */
static const uint8_t *skip_name(const uint8_t *p, const uint8_t *end)
{
	p = p < end && *p == '"' ? skip_string(p, end) : NULL;
	return p ? skip_colon(p, end) : NULL;
}

/* Which bracket closes each open container, outermost first. */
struct levels {
	uint64_t is_object[JSON_DEPTH_MAX / LEVELS_PER_WORD];
	size_t depth;
	uint8_t closer; /* of the innermost one */
};

static inline void levels_push(struct levels *l, uint8_t opener)
{
	uint64_t bit = UINT64_C(1) << (l->depth % LEVELS_PER_WORD);
	uint64_t *word = &l->is_object[l->depth / LEVELS_PER_WORD];

	assert(l->depth < JSON_DEPTH_MAX);
	*word = opener == '{' ? *word | bit : *word & ~bit;
	l->closer = opener == '{' ? '}' : ']';
	l->depth++;
}

static inline void levels_pop(struct levels *l)
{
	assert(l->depth > 0);
	l->depth--;
	if (l->depth > 0) {
		size_t top = l->depth - 1;

		l->closer = l->is_object[top / LEVELS_PER_WORD] >> (top % LEVELS_PER_WORD) & 1 ? '}' : ']';
	}
}

/* Behind an item: closes what is closed here and takes one ','. Gives the next item, or the end at depth 0. */
static const uint8_t *skip_closers(struct levels *l, const uint8_t *p, const uint8_t *end)
{
	for (;;) {
		p = skip_space(p, end);
		if (p == end)
			return NULL;
		if (*p != l->closer)
			return *p == ',' ? skip_space(p + 1, end) : NULL;
		p++;
		levels_pop(l);
		if (l->depth == 0)
			return p;
	}
}

static const uint8_t *skip_container(const uint8_t *p, const uint8_t *end, size_t depth_max)
{
	struct levels l = { .depth = 0 };
	enum json_type ignored;

	if (depth_max == 0)
		return NULL;
	levels_push(&l, *p);
	p = skip_space(p + 1, end);
	bool may_close = true; /* nothing stands between here and the opening bracket */

	while (p && l.depth > 0) {
		bool closes = may_close && p < end && *p == l.closer;

		may_close = false;
		if (closes) {
			p = skip_closers(&l, p, end);
			continue;
		}
		if (l.closer == '}')
			p = skip_name(p, end);
		if (!p || p == end)
			return NULL;
		if (*p != '{' && *p != '[') {
			p = skip_scalar(p, end, &ignored);
			p = p ? skip_closers(&l, p, end) : NULL;
		} else if (l.depth < depth_max) {
			levels_push(&l, *p);
			p = skip_space(p + 1, end);
			may_close = true;
		} else {
			return NULL;
		}
	}
	return p;
}

/* One value at p, which may be at the end. */
static const uint8_t *skip_value(
	const uint8_t *p, const uint8_t *end, size_t depth_max, struct json_value *ret_value)
{
	struct json_value value;
	const uint8_t *behind;

	if (p == end)
		return NULL;
	if (*p == '{' || *p == '[') {
		value.type = *p == '{' ? JSON_OBJECT : JSON_ARRAY;
		behind = skip_container(p, end, depth_max);
	} else {
		behind = skip_scalar(p, end, &value.type);
	}
	if (behind) {
		value.text = str_of((const char *)p, (size_t)(behind - p));
		*ret_value = value;
	}
	return behind;
}

bool json_scan(struct str text, struct json_value *ret_value)
{
	const uint8_t *p, *end;
	struct json_value value;

	if (text.bytes == 0)
		return false;
	p = (const uint8_t *)text.s;
	end = p + text.bytes;
	p = skip_value(skip_space(p, end), end, JSON_DEPTH_MAX, &value);
	if (!p || skip_space(p, end) != end)
		return false;
	*ret_value = value;
	return true;
}

/* Behind an array's '[' and space: its items. Gives the byte behind the ']'. */
static const uint8_t *slice_items(
	const uint8_t *p, const uint8_t *end, struct json_value *items, size_t items_max, size_t *ret_count)
{
	struct json_value item;

	*ret_count = 0;
	if (p < end && *p == ']')
		return p + 1;
	for (;;) {
		p = skip_value(p, end, JSON_DEPTH_MAX - 1, &item);
		if (!p)
			return NULL;
		if (*ret_count < items_max)
			items[*ret_count] = item;
		++*ret_count;
		p = skip_space(p, end);
		if (p == end || (*p != ',' && *p != ']'))
			return NULL;
		if (*p == ']')
			return p + 1;
		p = skip_space(p + 1, end);
	}
}

bool json_scan_array(struct str text, struct json_value *items, size_t items_max, size_t *ret_count)
{
	const uint8_t *p, *end;
	size_t count;

	if (text.bytes == 0)
		return false;
	p = (const uint8_t *)text.s;
	end = p + text.bytes;
	p = skip_space(p, end);
	if (p == end || *p != '[')
		return false;
	p = slice_items(skip_space(p + 1, end), end, items, items_max, &count);
	if (!p || skip_space(p, end) != end)
		return false;
	*ret_count = count;
	return true;
}

struct json_walk json_walk_begin(struct json_value container)
{
	struct str text = container.text;

	if (container.type != JSON_OBJECT && container.type != JSON_ARRAY)
		return (struct json_walk){ 0 };
	assert(text.bytes >= 2);
	return (struct json_walk){
		.rest = str_of(text.s + 1, text.bytes - 2),
		.object = container.type == JSON_OBJECT,
	};
}

bool json_walk_next(struct json_walk *w, struct str *ret_key, struct json_value *ret_item)
{
	const uint8_t *p, *end;
	struct str key = { 0 };
	struct json_value item;

	if (w->rest.bytes == 0)
		return false;
	p = (const uint8_t *)w->rest.s;
	end = p + w->rest.bytes;
	p = skip_space(p, end);
	if (p == end)
		return false;
	if (w->object) {
		const uint8_t *name = p, *name_end = *p == '"' ? skip_string(p, end) : NULL;

		if (!name_end)
			return false;
		key = str_of((const char *)name + 1, (size_t)(name_end - name) - 2);
		p = skip_colon(name_end, end);
		if (!p)
			return false;
	}
	p = skip_value(p, end, JSON_DEPTH_MAX - 1, &item);
	if (!p)
		return false;
	p = skip_space(p, end);
	if (p < end && *p == ',')
		p++;
	w->rest = str_of((const char *)p, (size_t)(end - p));
	if (ret_key)
		*ret_key = key;
	*ret_item = item;
	return true;
}

bool json_member(struct json_value object, struct str name, struct json_value *ret_item)
{
	struct json_walk w = json_walk_begin(object);
	struct json_value item;
	struct str key;
	bool found = false;

	while (w.object && json_walk_next(&w, &key, &item)) {
		if (!json_raw_equal(key, name))
			continue;
		*ret_item = item;
		found = true;
	}
	return found;
}

bool json_u64(struct json_value number, uint64_t max, uint64_t *ret_value)
{
	return number.type == JSON_NUMBER && str_parse_u64(number.text, max, ret_value);
}
