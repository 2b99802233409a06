/*
 * tests/unit/socketio/slow.h -- a slow and simple reading of JSON text, as a tree: what the codec is held against.
 *
 * The text is checked by lib/json_reference.h first; the tree is built of what is known to be valid. Nodes come from an
 * arena that is used anew for each text.
 */
#ifndef TESTS_UNIT_SOCKETIO_SLOW_H
#define TESTS_UNIT_SOCKETIO_SLOW_H

#include "base/assert.h"
#include "base/json.h"
#include "base/str.h"
#include "lib/json_reference.h"

enum { SLOW_NODES_MAX = 1 << 14 };

struct slow {
	char kind; /* its first character: { [ " t f n, and 0 for a number */
	struct str text;
	struct str key; /* raw, with its quotes; of a member */
	struct slow *first, *next; /* children */
};

struct slow_arena {
	struct slow nodes[SLOW_NODES_MAX];
	size_t used;
};

static inline const char *slow_skip(const char *at, const char *end)
{
	while (at < end && strchr(" \t\r\n", *at) != NULL && *at != '\0')
		at++;
	return at;
}

static inline const char *slow_string_end(const char *at)
{
	for (at++; *at != '"'; at++)
		at += *at == '\\';
	return at + 1;
}

/* The value at `at`, which is no space; *ret_end is behind it. */
static inline struct slow *slow_value(
	struct slow_arena *a, const char *at, const char *end, const char **ret_end)
{
	assert(a->used < SLOW_NODES_MAX);
	struct slow *node = &a->nodes[a->used++], **last = &node->first;
	const char *from = at;

	*node = (struct slow){ .kind = *at };
	if (*at == '"') {
		at = slow_string_end(at);
	} else if (*at == '{' || *at == '[') {
		at = slow_skip(at + 1, end);
		while (*at != '}' && *at != ']') {
			struct str key = { 0 };

			if (node->kind == '{') {
				key = str_of(at, (size_t)(slow_string_end(at) - at));
				at = slow_skip(at + key.bytes, end) + 1;
				at = slow_skip(at, end);
			}
			*last = slow_value(a, at, end, &at);
			(*last)->key = key;
			last = &(*last)->next;
			at = slow_skip(at, end);
			at = *at == ',' ? slow_skip(at + 1, end) : at;
		}
		at++;
	} else {
		while (at < end && strchr(",]} \t\r\n", *at) == NULL)
			at++;
		node->kind = *from == '-' || (*from >= '0' && *from <= '9') ? '0' : *from;
	}
	node->text = str_of(from, (size_t)(at - from));
	*ret_end = at;
	return node;
}

/* The tree of a text, or NULL if it is no JSON. */
static inline struct slow *slow_read(struct slow_arena *a, struct str text)
{
	const char *end;

	if (!json_reference(text, JSON_DEPTH_MAX))
		return NULL;
	a->used = 0;
	return slow_value(a, slow_skip(text.s, text.s + text.bytes), text.s + text.bytes, &end);
}

static inline unsigned slow_hex4(const char *s)
{
	unsigned n = 0;

	for (int i = 0; i < 4; i++)
		n = n << 4 | (unsigned)(s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
	return n;
}

static inline char *slow_put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c >= 0x10000) {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
	} else if (c >= 0x800) {
		*out++ = (char)(0xe0 | c >> 12);
	}
	*out++ = (char)(c < 0x800 ? 0xc0 | c >> 6 : 0x80 | (c >> 6 & 0x3f));
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

/* What a string says, from its text with quotes, to out, which has text.bytes. A lone surrogate is U+FFFD. */
static inline struct str slow_decode(struct str text, char *out)
{
	static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
	char *to = out;

	for (const char *s = text.s + 1; s < text.s + text.bytes - 1; s++) {
		if (*s != '\\') {
			*to++ = *s;
			continue;
		}
		s++;
		if (*s != 'u') {
			const char *name = strchr(names, *s);

			*to++ = name != NULL ? values[name - names] : *s;
			continue;
		}
		unsigned c = slow_hex4(s + 1);

		s += 4;
		if (c >= 0xd800 && c < 0xdc00 && s[1] == '\\' && s[2] == 'u' &&
			slow_hex4(s + 3) >> 10 == 0xdc00 >> 10) {
			c = 0x10000 + ((c - 0xd800) << 10) + (slow_hex4(s + 3) - 0xdc00);
			s += 6;
		}
		to = slow_put_utf8(to, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	}
	return str_of(out, (size_t)(to - out));
}

/* The last member of that name, as JavaScript has it, or NULL. */
static inline const struct slow *slow_member(const struct slow *object, struct str name)
{
	const struct slow *found = NULL;
	char key[256];

	for (const struct slow *n = object->first; n != NULL; n = n->next) {
		if (n->key.bytes <= sizeof(key) && str_equal(slow_decode(n->key, key), name))
			found = n;
	}
	return found;
}

/* Each object with _placeholder true has a num of those that are there. */
static inline bool slow_placeholders_valid(const struct slow *node, uint32_t attachments)
{
	for (const struct slow *n = node->first; n != NULL; n = n->next) {
		if (!slow_placeholders_valid(n, attachments))
			return false;
	}
	if (node->kind != '{')
		return true;
	const struct slow *says = slow_member(node, STR("_placeholder")),
			  *num = slow_member(node, STR("num"));
	uint64_t n;

	if (says == NULL || says->kind != 't')
		return true;
	return num != NULL && num->kind == '0' && str_parse_u64(num->text, attachments - 1, &n);
}

#endif
