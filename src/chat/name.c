/* chat/name.c -- see chat/name.h. */
#include "chat/name.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/assert.h"
#include "chat/unseen.h"

enum {
	UTF8_BYTES_MAX = 4,
	INPUT_BYTES_MAX = 1024, /* longer ones are not even looked at */
};

static struct chat_fault invalid(const char *message)
{
	return (struct chat_fault){ CHAT_INVALID, message };
}

static bool is_space(utf8proc_category_t category, int32_t c)
{
	return category == UTF8PROC_CATEGORY_ZS || c == '\t';
}

static bool is_letter(utf8proc_category_t category)
{
	return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_mark(utf8proc_category_t category)
{
	return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
	       category == UTF8PROC_CATEGORY_ME;
}

struct writing {
	struct chat_name name;
	size_t chars, marks; /* marks: in a row, up to here */
	bool space; /* one is due before the next character */
	bool letter; /* the last one that is no mark */
	bool dropped; /* some mark */
};

/* False: it is too long. */
static bool put(struct writing *w, int32_t c, bool mark)
{
	size_t need = UTF8_BYTES_MAX + (w->space ? 1u : 0u);

	if (!mark && ++w->chars > CHAT_NAME_CHARS_MAX)
		return false;
	if (w->name.bytes + need > CHAT_NAME_BYTES_MAX)
		return false;
	if (w->space) {
		if (++w->chars > CHAT_NAME_CHARS_MAX)
			return false;
		w->name.s[w->name.bytes++] = ' ';
		w->space = false;
	}
	w->name.bytes += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)w->name.s + w->name.bytes);
	return true;
}

static struct chat_fault take(struct writing *w, int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);
	bool mark = is_mark(category);

	if (is_space(category, c)) {
		w->space = w->name.bytes > 0;
		w->marks = 0;
		return CHAT_FINE;
	}
	if (category == UTF8PROC_CATEGORY_CO || chat_unseen(c))
		return invalid("the name has a character that cannot be seen");
	if (mark && (w->name.bytes == 0 || w->space))
		return invalid("the name has an accent without a letter");
	w->marks = mark ? w->marks + 1 : 0;
	if (!mark)
		w->letter = is_letter(category);
	if (w->marks > CHAT_NAME_MARKS_MAX || (chat_is_variation(c) && (w->marks > 1 || w->letter))) {
		w->dropped = true;
		return CHAT_FINE;
	}
	if (!put(w, c, mark))
		return invalid("the name is longer than 32 characters");
	return CHAT_FINE;
}

/* Composed, then taken character by character. */
static struct chat_fault take_all(struct writing *w, struct str text)
{
	struct chat_fault fault = CHAT_FINE;
	utf8proc_uint8_t *composed = NULL;
	utf8proc_ssize_t bytes = utf8proc_map((const utf8proc_uint8_t *)text.s, (utf8proc_ssize_t)text.bytes,
		&composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);

	if (bytes == UTF8PROC_ERROR_NOMEM)
		return (struct chat_fault){ CHAT_BUSY, NULL };
	if (bytes < 0)
		return invalid("the name is not valid UTF-8");
	for (utf8proc_ssize_t at = 0; at < bytes && fault.error == CHAT_OK;) {
		int32_t c;
		utf8proc_ssize_t step = utf8proc_iterate(composed + at, bytes - at, &c);

		assert(step > 0);
		at += step;
		fault = take(w, c);
	}
	free(composed);
	return fault;
}

struct chat_fault chat_name_clean(struct str text, struct chat_name *ret_name)
{
	struct writing w = { .chars = 0 };
	struct chat_name name;

	if (text.bytes > INPUT_BYTES_MAX)
		return invalid("the name is longer than 32 characters");
	struct chat_fault fault = take_all(&w, text);
	/* What stands side by side only now may compose. Each time it is shorter. */
	while (fault.error == CHAT_OK && w.dropped) {
		name = w.name;
		w = (struct writing){ .chars = 0 };
		fault = take_all(&w, chat_name_str(&name));
	}
	if (fault.error == CHAT_OK && w.name.bytes == 0)
		fault = invalid("the name is empty");
	if (fault.error == CHAT_OK)
		*ret_name = w.name;
	return fault;
}
