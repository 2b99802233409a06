/* app/log.c -- see app/log.h. */
#include "app/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/inbox.h"
#include "base/json.h"

enum {
	TIME_BYTES = 40,
	FIELD_BYTES_MAX = 512,
	END_BYTES = 2,
	/* Lines in one write: PIPE_BUF, which a pipe takes as a whole, so that they do not mix with what others write to it. */
	GATHER_BYTES = 4096,
	/* Between two looks whether it is the end, while nothing can be written. */
	LOOK_MS = 50,
	/* The thread has given up by then, so it need not be left. */
	GIVE_UP_MS = LOG_END_MS - 2 * LOOK_MS,
};
static_assert((int)GATHER_BYTES >= (int)LOG_EVENT_BYTES_MAX, "a line fits");

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

static void end_line(struct line *l)
{
	struct str end = how.json ? STR("}\n") : STR("\n");

	memcpy(l->text + l->bytes, end.s, end.bytes);
	l->bytes += end.bytes;
}

/* A line on its way to the thread. */
struct waiting {
	struct pile_node node;
	size_t bytes;
	char text[];
};

struct writer {
	pthread_t thread;
	struct inbox inbox;
	struct pile_node stop, nudge; /* in the inbox: it is the end; something was left out */
	atomic_size_t waiting_bytes;
	atomic_uint_least64_t left_out;
	atomic_bool nudged; /* `nudge` is in the inbox */
	_Atomic uint64_t give_up_ns; /* 0: not yet the end */
	sem_t done;
	atomic_bool parted; /* one of the two, log_end() and the thread, has gone: the other destroys this */
	/* Only the thread's, and after its end log_end()'s. */
	bool last, gave_up;
	size_t bytes;
	char text[GATHER_BYTES];
};

static _Atomic(struct writer *) writer; /* NULL: lines are written at once */
static atomic_bool silent; /* ... and not even that: it would block */

static void leave_out(struct writer *w)
{
	atomic_fetch_add(&w->left_out, 1);
	if (!atomic_exchange(&w->nudged, true))
		inbox_push(&w->inbox, &w->nudge);
}

static void hand_over(struct writer *w, const struct line *l)
{
	size_t bytes = sizeof(struct waiting) + l->bytes;
	size_t before = atomic_fetch_add_explicit(&w->waiting_bytes, bytes, memory_order_relaxed);
	struct waiting *line = before + bytes > LOG_WAITING_BYTES_MAX ? NULL : malloc(bytes);

	if (line == NULL) {
		atomic_fetch_sub_explicit(&w->waiting_bytes, bytes, memory_order_relaxed);
		leave_out(w);
		return;
	}
	line->bytes = l->bytes;
	memcpy(line->text, l->text, l->bytes);
	inbox_push(&w->inbox, &line->node);
}

static void write_at_once(const struct line *l)
{
	if (atomic_load(&silent))
		return;
	/* One write a line, so that those of several threads do not mix. There is nobody to tell if it fails. */
	ssize_t wrote = write(STDERR_FILENO, l->text, l->bytes);
	(void)wrote;
}

/* False: it is the end, and there has been no room for too long. */
static bool wait_for_room(struct writer *w)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	int rc = 0;

	while (rc == 0 || (rc < 0 && errno == EINTR)) {
		uint64_t give_up_ns = atomic_load(&w->give_up_ns);

		if (w->gave_up || (give_up_ns != 0 && clock_now_ns() >= give_up_ns)) {
			w->gave_up = true;
			return false;
		}
		rc = poll(&out, 1, LOOK_MS);
	}
	return true; /* also where it is broken: the write says so */
}

static void flush(struct writer *w)
{
	size_t at = 0;

	while (at < w->bytes && wait_for_room(w)) {
		ssize_t wrote = write(STDERR_FILENO, w->text + at, w->bytes - at);

		if (wrote > 0)
			at += (size_t)wrote;
		else if (wrote == 0 || (errno != EINTR && errno != EAGAIN))
			break; /* there is nobody to tell */
	}
	w->bytes = 0;
}

static void gather(struct writer *w, const char *text, size_t bytes)
{
	if (w->bytes + bytes > sizeof(w->text))
		flush(w);
	memcpy(w->text + w->bytes, text, bytes);
	w->bytes += bytes;
}

/* Whatever level is asked for: what was left out had it. */
static void tell_left_out(struct writer *w)
{
	char count[24];
	struct line line;

	/* What is left out from here on nudges again. */
	atomic_store(&w->nudged, false);
	snprintf(count, sizeof(count), "%llu", (unsigned long long)atomic_exchange(&w->left_out, 0));
	if (strcmp(count, "0") == 0)
		return;
	begin_line(&line, LOG_WARN, "lines_left_out");
	put_field(&line, "count", count);
	end_line(&line);
	gather(w, line.text, line.bytes);
}

static void write_waiting(struct writer *w, uint64_t until_ns)
{
	struct pile_node *node = inbox_take(&w->inbox, until_ns), *next;

	for (; node != NULL; node = next) {
		next = node->next;
		if (node == &w->stop) {
			w->last = true;
		} else if (node == &w->nudge) {
			tell_left_out(w);
		} else {
			struct waiting *line = pile_entry(node, struct waiting, node);

			gather(w, line->text, line->bytes);
			atomic_fetch_sub_explicit(
				&w->waiting_bytes, sizeof(*line) + line->bytes, memory_order_relaxed);
			free(line);
		}
	}
	flush(w);
}

static void destroy(struct writer *w)
{
	assert(atomic_load(&w->waiting_bytes) == 0);
	inbox_finish(&w->inbox);
	sem_destroy(&w->done);
	free(w);
}

static void *run(void *ctx)
{
	struct writer *w = ctx;

	while (!w->last)
		write_waiting(w, INBOX_FOR_EVER);
	if (atomic_exchange(&w->parted, true))
		destroy(w);
	else
		sem_post(&w->done);
	return NULL;
}

void log_start(void)
{
	struct writer *w = calloc(1, sizeof(*w));
	sigset_t all, before;

	assert(atomic_load(&writer) == NULL);
	if (w == NULL)
		return;
	inbox_init(&w->inbox);
	sem_init(&w->done, 0, 0);
	sigfillset(&all); /* their handlers run elsewhere */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		destroy(w);
		return;
	}
	pthread_setname_np(w->thread, "log");
	atomic_store(&writer, w);
}

/* False: the time is over. */
static bool wait_for_end(struct writer *w, uint64_t until_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(until_ns % CLOCK_NS_PER_S),
	};
	int rc;

	do
		rc = sem_clockwait(&w->done, CLOCK_MONOTONIC, &at);
	while (rc != 0 && errno == EINTR);
	return rc == 0;
}

void log_end(void)
{
	struct writer *w = atomic_exchange(&writer, NULL);
	uint64_t now = clock_now_ns();

	if (w == NULL)
		return;
	atomic_store(&w->give_up_ns, now + GIVE_UP_MS * CLOCK_NS_PER_MS);
	pthread_t thread = w->thread;
	inbox_push(&w->inbox, &w->stop);
	if (!wait_for_end(w, now + LOG_END_MS * CLOCK_NS_PER_MS) && !atomic_exchange(&w->parted, true)) {
		atomic_store(&silent, true);
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL); /* it has nothing left to do */
	atomic_store(&silent, w->gave_up);
	destroy(w);
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
	end_line(&line);
	struct writer *w = atomic_load_explicit(&writer, memory_order_acquire);
	if (w != NULL)
		hand_over(w, &line);
	else
		write_at_once(&line);
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

bool log_is_for_programs(void)
{
	return how.json && how.least <= LOG_ERROR;
}

void log_begin(const struct config *c)
{
	how.least = (enum log_level)((int)c->log_level - SIO_LOG_DEBUG);
	how.json = c->log_format == CONFIG_LOG_JSON ||
		   (c->log_format == CONFIG_LOG_AUTO && !isatty(STDERR_FILENO));
	atomic_store(&silent, false);
	log_set(how.least, from_base, NULL);
}
