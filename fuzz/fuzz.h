/*
 * fuzz/fuzz.h -- what the targets share. Used by: fuzz/fuzz_*.c.
 *
 * libFuzzer hands each input in memory of exactly its size, so a read behind it is noticed; what is decoded in place, or into
 * memory of its own, gets such memory from fuzz_room() and fuzz_copy().
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdlib.h>

#include "base/assert.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Memory of just that size; the caller's. */
static inline void *fuzz_room(size_t bytes)
{
	void *room = malloc(bytes);

	assert(room != NULL);
	return room;
}

static inline void *fuzz_copy(const void *data, size_t bytes)
{
	void *copy = fuzz_room(bytes);

	if (bytes > 0)
		memcpy(copy, data, bytes);
	return copy;
}

/* All of the slice lies in [data, data + bytes). */
static inline bool fuzz_within(struct str slice, const void *data, size_t bytes)
{
	const char *from = data;

	return slice.s >= from && slice.s <= from + bytes && slice.bytes <= (size_t)(from + bytes - slice.s);
}

/* Two runs saw the same if their sums are equal. */
static inline uint64_t fuzz_sum(uint64_t sum, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < bytes; i++)
		sum = (sum ^ p[i]) * UINT64_C(0x100000001b3);
	return sum * 31 + bytes + 1;
}

#endif
