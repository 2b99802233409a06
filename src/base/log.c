/* base/log.c -- see base/log.h. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int log_least = LOG_INFO; /* as the sink's: most lines are asked for nothing but this */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the sink; not held while it is called */
static struct log_sink log_sink = { .least = LOG_INFO };

void log_set(enum log_level least, log_fn *fn, void *ctx)
{
	pthread_mutex_lock(&lock);
	log_sink = (struct log_sink){ .least = least, .fn = fn, .ctx = ctx };
	atomic_store_explicit(&log_least, (int)least, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
}

struct log_sink log_get(void)
{
	pthread_mutex_lock(&lock);
	struct log_sink sink = log_sink;
	pthread_mutex_unlock(&lock);
	return sink;
}

/* Bytes at the front that a terminal would obey: C0, DEL, and C1 as UTF-8 writes it. */
static size_t control_bytes(const char *text)
{
	unsigned char first = (unsigned char)text[0], second = first == 0 ? 0 : (unsigned char)text[1];

	if (first == 0xc2 && second >= 0x80 && second <= 0x9f)
		return 2;
	return first < 0x20 || first == 0x7f;
}

static void escape(char *out, size_t cap, const char *in)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	while (*in != '\0' && n + 9 < cap) {
		size_t bytes = control_bytes(in);

		if (bytes == 0)
			out[n++] = *in++;
		for (; bytes > 0; bytes--, in++) {
			out[n++] = '\\';
			out[n++] = 'x';
			out[n++] = hex[(unsigned char)*in >> 4];
			out[n++] = hex[(unsigned char)*in & 15];
		}
	}
	out[n] = '\0';
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	char raw[LOG_LINE_BYTES_MAX], text[LOG_LINE_BYTES_MAX], line[LOG_LINE_BYTES_MAX + 16];
	va_list args;

	if ((int)level < atomic_load_explicit(&log_least, memory_order_relaxed) || level >= LOG_OFF)
		return;
	const struct log_sink sink = log_get();
	va_start(args, format);
	int wrote = vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	if (wrote < 0)
		return;
	escape(text, sizeof(text), raw);
	if (sink.fn != NULL) {
		sink.fn(sink.ctx, level, text);
		return;
	}
	int bytes = snprintf(line, sizeof(line), "%s: %s\n", names[level], text);
	if (bytes > 0 && write(STDERR_FILENO, line, (size_t)bytes) < 0)
		return; /* nobody to tell */
}
