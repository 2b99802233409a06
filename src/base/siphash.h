/*
 * base/siphash.h -- SipHash-1-3: a keyed hash for tables whose keys come from outside.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

uint64_t siphash(struct siphash_key key, const void *data, size_t bytes);

#endif
