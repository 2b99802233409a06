/* base/str.c -- see base/str.h. */
#include "base/str.h"

static unsigned ascii_lower(char c)
{
	unsigned u = (unsigned char)c;

	return u - 'A' < 26 ? u + ('a' - 'A') : u;
}

bool str_equal_nocase(struct str a, struct str b)
{
	if (a.bytes != b.bytes)
		return false;
	for (size_t i = 0; i < a.bytes; i++)
		if (ascii_lower(a.s[i]) != ascii_lower(b.s[i]))
			return false;
	return true;
}

bool str_parse_u64(struct str text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (text.bytes == 0)
		return false;
	for (size_t i = 0; i < text.bytes; i++) {
		unsigned digit = (unsigned)(unsigned char)text.s[i] - '0';

		if (digit > 9 || value > max / 10 || digit > max - value * 10)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return true;
}
