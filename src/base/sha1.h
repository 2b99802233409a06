/*
 * base/sha1.h -- SHA-1 (FIPS 180-4), for the WebSocket handshake alone. Never for security.
 */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { SHA1_BYTES = 20 };

void sha1(uint8_t out[SHA1_BYTES], const void *data, size_t bytes);

#endif
