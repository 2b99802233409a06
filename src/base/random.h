/*
 * base/random.h -- unguessable bytes from the kernel. Any thread.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

/* Fill `out`. Aborts only if the kernel has no random source at all (it blocks until it is seeded). */
void random_bytes(void *out, size_t bytes);

#endif
