/* chat/token.c -- see chat/token.h. */
#include "chat/token.h"

#include <sodium.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/random.h"

enum { TOKEN_BYTES = 16 };

_Static_assert(crypto_hash_sha256_BYTES == STORE_TOKEN_HASH_BYTES, "a token's hash is a SHA-256");

void chat_token_make(char out[CHAT_TOKEN_CHARS])
{
	uint8_t bytes[TOKEN_BYTES];

	random_bytes(bytes, sizeof(bytes));
	size_t chars = base64url_encode(out, bytes, sizeof(bytes));
	assert(chars == CHAT_TOKEN_CHARS);
}

bool chat_token_valid(struct str token)
{
	if (token.bytes != CHAT_TOKEN_CHARS)
		return false;
	for (size_t i = 0; i < token.bytes; i++) {
		char c = token.s[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '_' || c == '-'))
			return false;
	}
	return true;
}

void chat_token_hash(struct str token, uint8_t out[STORE_TOKEN_HASH_BYTES])
{
	int rc = crypto_hash_sha256(out, (const unsigned char *)token.s, token.bytes);

	assert(rc == 0);
}
