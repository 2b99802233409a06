/*
 * base/buf.h -- a growable run of bytes with a maximum.
 *
 *      data [ bytes in use | room ]
 *           0          bytes  cap <= bytes_max
 *
 * Caller-owned value. Zeroed + buf_init() is ready and owns no memory until the first append.
 * An append that would pass bytes_max, or finds no memory, fails and changes nothing.
 * Threads: belongs to one thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
	uint8_t *data;
	size_t bytes;
	size_t cap;
	size_t bytes_max;
};

void buf_init(struct buf *b, size_t bytes_max);
/* Frees the memory; the buffer is then empty and may be used again. */
void buf_finish(struct buf *b);

/* Make room for `more` further bytes. Amortised O(1) per byte. */
__attribute__((warn_unused_result)) bool buf_reserve(struct buf *b, size_t more);
__attribute__((warn_unused_result)) bool buf_append(struct buf *b, const void *data, size_t bytes);
__attribute__((warn_unused_result)) bool buf_append_str(struct buf *b, struct str s);
__attribute__((warn_unused_result)) bool buf_append_u64(struct buf *b, uint64_t value); /* decimal */

/* Drop the first `bytes` and move the rest to the front: O(rest). */
void buf_drop_front(struct buf *b, size_t bytes);

static inline struct str buf_str(const struct buf *b)
{
	return str_of((const char *)b->data, b->bytes);
}

#endif
