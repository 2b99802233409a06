/*
 * app/log.h -- the program's log: one JSON object a line on stderr, or a readable line on a terminal.
 *
 *      log_event() --> inbox --> the log's thread --> stderr
 *
 * Nobody but that thread waits for whoever reads stderr. What waits for it is bounded: past that, and without memory, lines are
 * left out, and the line `lines_left_out` says how many. Those of one thread keep their order.
 *
 * Never message bodies, tokens or cookies. Threads: log_event() from any; log_begin() and log_start() before threads start,
 * log_end() when they have ended.
 */
#ifndef APP_LOG_H
#define APP_LOG_H

#include "app/config.h"
#include "base/log.h"

enum {
	LOG_EVENT_BYTES_MAX = 2048,
	LOG_WAITING_BYTES_MAX = 1 << 20,
	LOG_END_MS = 500,
};

/* From here on all lines (base/log.h's too) have this form. */
void log_begin(const struct config *);
/*
 * From here on lines are handed to a thread, and log_event() waits for nothing. Before, and where no thread or memory for it can
 * be had, they are written at once.
 */
void log_start(void);
/*
 * Writes what waits, for at most LOG_END_MS: then it leaves the rest, and the thread where that is stuck in a write. Lines are
 * written at once again, or where something was left not at all until log_begin().
 */
void log_end(void);
/* Lines are JSON objects, and LOG_ERROR is among those that are written. */
bool log_is_for_programs(void);
/* libsio's lines: give it to struct sio_options. */
void log_from_sio(void *ctx, enum sio_log_level, const char *text);
/*
 * Something happened: its name, and pairs of a field's name and its text, ended by NULL. Texts are UTF-8; control
 * characters are escaped. What passes LOG_EVENT_BYTES_MAX is cut at a field's border.
 */
__attribute__((sentinel)) void log_event(enum log_level, const char *event, ...);

#endif
