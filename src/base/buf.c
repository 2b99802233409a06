/* base/buf.c -- see base/buf.h. */
#include "base/buf.h"

#include "base/assert.h"

#include <stdlib.h>

enum {
	BUF_CAP_MIN = 64,
	BUF_U64_DIGITS_MAX = 20,
};

void buf_init(struct buf *b, size_t bytes_max)
{
	*b = (struct buf){ .bytes_max = bytes_max };
}

void buf_finish(struct buf *b)
{
	free(b->data);
	buf_init(b, b->bytes_max);
}

/* The capacity to have for `needed` bytes: doubled, but never past the maximum. */
static size_t grown_cap(const struct buf *b, size_t needed)
{
	size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;

	if (b->cap > 0)
		cap = cap > b->bytes_max / 2 ? b->bytes_max : cap * 2;
	if (cap < needed)
		cap = needed;
	return cap < b->bytes_max ? cap : b->bytes_max;
}

bool buf_reserve(struct buf *b, size_t more)
{
	assert(b->bytes <= b->cap);
	if (more <= b->cap - b->bytes)
		return true;
	if (b->bytes > b->bytes_max || more > b->bytes_max - b->bytes)
		return false;

	size_t cap = grown_cap(b, b->bytes + more);
	uint8_t *data = realloc(b->data, cap);
	if (!data)
		return false;
	b->data = data;
	b->cap = cap;
	assert(more <= b->cap - b->bytes);
	return true;
}

bool buf_append(struct buf *b, const void *data, size_t bytes)
{
	if (!buf_reserve(b, bytes))
		return false;
	if (bytes > 0)
		memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	return true;
}

bool buf_append_str(struct buf *b, struct str s)
{
	return buf_append(b, s.s, s.bytes);
}

bool buf_append_u64(struct buf *b, uint64_t value)
{
	char digits[BUF_U64_DIGITS_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	return buf_append(b, digits + at, sizeof(digits) - at);
}

void buf_drop_front(struct buf *b, size_t bytes)
{
	assert(bytes <= b->bytes);
	b->bytes -= bytes;
	if (bytes > 0 && b->bytes > 0)
		memmove(b->data, b->data + bytes, b->bytes);
}
