/*
 * chat/unseen.h -- characters that are drawn as nothing although they are no space, or that change how others are read.
 *
 * Used by: chat/. Pure.
 */
#ifndef CHAT_UNSEEN_H
#define CHAT_UNSEEN_H

#include <stdbool.h>
#include <stdint.h>

/* Controls, formats, separators of lines, fillers, and what Unicode says is no character. Not spaces; of marks only CGJ and
 * two Khmer vowels. */
bool chat_unseen(int32_t c);
/* Says how the character before it is drawn, and is nothing itself. */
bool chat_is_variation(int32_t c);

#endif
