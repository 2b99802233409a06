/*
 * base/log.h -- one line of text for people, by level, to one place.
 *
 * Control characters in the text are escaped, so nothing from outside can forge a line or drive a terminal. A line is
 * cut at LOG_LINE_BYTES_MAX. Threads: all may be called from any.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum { LOG_LINE_BYTES_MAX = 1024 };

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
	LOG_OFF,
};

/* `text` is lent, ends with NUL, has no line's end. Called from any thread, several at a time. */
typedef void log_fn(void *ctx, enum log_level level, const char *text);

/* Where lines of at least `least` go. fn NULL: to stderr. The start: LOG_INFO, stderr. */
struct log_sink {
	enum log_level least;
	log_fn *fn;
	void *ctx;
};
/* A line that another thread is about to write may still go to where they went before. */
void log_set(enum log_level least, log_fn *fn, void *ctx);
struct log_sink log_get(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
