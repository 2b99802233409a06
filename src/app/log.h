/*
 * app/log.h -- the program's log: one JSON object a line on stderr, or a readable line on a terminal.
 *
 * Never message bodies, tokens or cookies. Threads: log_event() from any; log_begin() before threads start.
 */
#ifndef APP_LOG_H
#define APP_LOG_H

#include "app/config.h"
#include "base/log.h"

enum { LOG_EVENT_BYTES_MAX = 2048 };

/* From here on all lines (base/log.h's too) have this form. */
void log_begin(const struct config *);
/* libsio's lines: give it to struct sio_options. */
void log_from_sio(void *ctx, enum sio_log_level, const char *text);
/*
 * Something happened: its name, and pairs of a field's name and its text, ended by NULL. Texts are UTF-8; control
 * characters are escaped. What passes LOG_EVENT_BYTES_MAX is cut at a field's border.
 */
__attribute__((sentinel)) void log_event(enum log_level, const char *event, ...);

#endif
