/* base/log.c -- see base/log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum log_level log_least = LOG_INFO;
static log_fn *log_sink;
static void *log_ctx;

void log_set(enum log_level least, log_fn *fn, void *ctx)
{
	log_least = least;
	log_sink = fn;
	log_ctx = ctx;
}

/* Escape what is not printable; bytes over 0x7f pass, they are UTF-8 or harmless. */
static size_t escape(char *out, size_t cap, const char *in)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *in != '\0' && n + 5 < cap; in++) {
		unsigned char c = (unsigned char)*in;

		if (c >= 0x20 && c != 0x7f) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return n;
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	char raw[LOG_LINE_BYTES_MAX], text[LOG_LINE_BYTES_MAX], line[LOG_LINE_BYTES_MAX + 16];
	va_list args;

	if (level < log_least || level >= LOG_OFF)
		return;
	va_start(args, format);
	int wrote = vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	if (wrote < 0)
		return;
	(void)escape(text, sizeof(text), raw);
	if (log_sink != NULL) {
		log_sink(log_ctx, level, text);
		return;
	}
	int bytes = snprintf(line, sizeof(line), "%s: %s\n", names[level], text);
	if (bytes > 0 && write(STDERR_FILENO, line, (size_t)bytes) < 0)
		return; /* nobody to tell */
}
