/* app/log.c -- see app/log.h. */
#include "app/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

enum { TIME_BYTES = 40, FIELD_BYTES_MAX = 512, END_BYTES = 2 };

static struct {
	enum log_level least;
	bool json;
} how = { LOG_INFO, false };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* "2026-11-24T20:36:15.123Z" */
static void time_text(char out[TIME_BYTES])
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(out, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TIME_BYTES - n, ".%03ldZ", now.tv_nsec / 1000000);
}

struct line {
	size_t bytes;
	char text[LOG_EVENT_BYTES_MAX];
};

/* All or nothing: what does not fit with an end behind it is left out. */
static void put(struct line *l, struct str s)
{
	if (l->bytes + s.bytes + END_BYTES > sizeof(l->text))
		return;
	memcpy(l->text + l->bytes, s.s, s.bytes);
	l->bytes += s.bytes;
}

/*
 * As JSON has it, and besides DEL and the control characters behind ASCII, which terminals obey as well. `out` has six bytes for
 * each and two more.
 */
static size_t quote(char *out, struct str text)
{
	char plain[FIELD_BYTES_MAX * 6 + 2];
	size_t bytes = json_quote(plain, text), n = 0;

	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)plain[i];
		unsigned char next = i + 1 < bytes ? (unsigned char)plain[i + 1] : 0;
		bool late_control = c == 0xC2 && next >= 0x80 && next <= 0x9F;

		if (c != 0x7F && !late_control) {
			out[n++] = plain[i];
			continue;
		}
		n += (size_t)snprintf(out + n, sizeof("\\u0000"), "\\u%04x", late_control ? next : c);
		i += late_control;
	}
	return n;
}

static void put_field(struct line *l, const char *name, const char *value)
{
	char quoted[FIELD_BYTES_MAX * 6 + 3], field[FIELD_BYTES_MAX * 6 + 64];
	size_t bytes = strlen(value);

	if (bytes > FIELD_BYTES_MAX) {
		bytes = FIELD_BYTES_MAX;
		while (bytes > 0 && ((unsigned char)value[bytes] & 0xC0) == 0x80)
			bytes--; /* not within a character */
	}
	bytes = quote(quoted, str_of(value, bytes));
	int n = how.json ? snprintf(field, sizeof(field), ",\"%s\":%.*s", name, (int)bytes, quoted)
			 : snprintf(field, sizeof(field), " %s=%.*s", name, (int)bytes, quoted);
	if (n > 0 && (size_t)n < sizeof(field))
		put(l, str_of(field, (size_t)n));
}

static void write_line(struct line *l)
{
	struct str end = how.json ? STR("}\n") : STR("\n");

	memcpy(l->text + l->bytes, end.s, end.bytes);
	l->bytes += end.bytes;
	/* One write a line, so that those of several threads do not mix. There is nobody to tell if it fails. */
	ssize_t wrote = write(STDERR_FILENO, l->text, l->bytes);
	(void)wrote;
}

static void begin_line(struct line *l, enum log_level level, const char *event)
{
	char time[TIME_BYTES], head[TIME_BYTES + 128];

	l->bytes = 0;
	time_text(time);
	int n = how.json ? snprintf(head, sizeof(head),
				   "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%.60s\"", time,
				   level_names[level], event)
			 : snprintf(head, sizeof(head), "%.19s %-5s %.60s", time, level_names[level], event);
	if (n > 0 && (size_t)n < sizeof(head))
		put(l, str_of(head, (size_t)n));
}

void log_event(enum log_level level, const char *event, ...)
{
	struct line line;
	const char *name;
	va_list fields;

	if (level < how.least)
		return;
	begin_line(&line, level, event);
	va_start(fields, event);
	while ((name = va_arg(fields, const char *)) != NULL)
		put_field(&line, name, va_arg(fields, const char *));
	va_end(fields);
	write_line(&line);
}

static void from_base(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	log_event(level, "note", "text", text, NULL);
}

void log_from_sio(void *ctx, enum sio_log_level level, const char *text)
{
	from_base(ctx, (enum log_level)((int)level - SIO_LOG_DEBUG), text);
}

void log_begin(const struct config *c)
{
	how.least = (enum log_level)((int)c->log_level - SIO_LOG_DEBUG);
	how.json = c->log_format == CONFIG_LOG_JSON ||
		   (c->log_format == CONFIG_LOG_AUTO && !isatty(STDERR_FILENO));
	log_set(how.least, from_base, NULL);
}
