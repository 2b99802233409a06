/* chat/unseen.c -- see chat/unseen.h. */
#include "chat/unseen.h"

#include <stddef.h>
#include <utf8proc.h>

struct range {
	int32_t first, last;
};

/* Letters and symbols that are blank, and what is not assigned but to be drawn as nothing (Default_Ignorable_Code_Point). */
static const struct range blank[] = { { 0x034F, 0x034F }, { 0x115F, 0x1160 }, { 0x17B4, 0x17B5 },
	{ 0x2065, 0x2065 }, { 0x2800, 0x2800 }, { 0x3164, 0x3164 }, { 0xFDD0, 0xFDEF }, { 0xFFA0, 0xFFA0 },
	{ 0xFFF0, 0xFFF8 }, { 0x1D159, 0x1D159 }, { 0xE0000, 0xE00FF }, { 0xE01F0, 0xE0FFF } };

static const struct range variations[] = { { 0x180B, 0x180D }, { 0x180F, 0x180F }, { 0xFE00, 0xFE0F },
	{ 0xE0100, 0xE01EF } };

static bool within(const struct range *ranges, size_t count, int32_t c)
{
	for (size_t i = 0; i < count; i++) {
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	}
	return false;
}

bool chat_unseen(int32_t c)
{
	switch ((int)utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CS:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP:
		return true;
	default:
		/* The last two of each plane are no characters. */
		return (c & 0xFFFE) == 0xFFFE || within(blank, sizeof(blank) / sizeof(blank[0]), c);
	}
}

bool chat_is_variation(int32_t c)
{
	return within(variations, sizeof(variations) / sizeof(variations[0]), c);
}
