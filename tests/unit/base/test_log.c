/* Log lines: which levels are told, what a line may hold, where it is cut, and what standard error shows. */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "lib/cmocka.h"

enum {
	THREADS = 4,
	LINES = 500,
};

/* What the sink was told last. */
struct told {
	int lines;
	enum log_level level;
	char text[2 * LOG_LINE_BYTES_MAX];
};

static void tell(void *ctx, enum log_level level, const char *text)
{
	struct told *t = ctx;

	t->lines++;
	t->level = level;
	assert(strlen(text) < sizeof(t->text));
	memcpy(t->text, text, strlen(text) + 1);
}

static void levels_below_the_least_are_silent(void **state)
{
	struct told t;
	char want[32];

	(void)state;
	for (int least = LOG_DEBUG; least <= LOG_OFF; least++) {
		log_set((enum log_level)least, tell, &t);
		for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
			t.lines = 0;
			log_line((enum log_level)level, "level %d of %s", level, "five");
			assert_int_equal(t.lines, level >= least);
			if (level < least)
				continue;
			assert_int_equal(t.level, level);
			snprintf(want, sizeof(want), "level %d of five", level);
			assert_string_equal(t.text, want);
		}
	}
	log_set(LOG_INFO, NULL, NULL);
}

static void control_characters_are_escaped(void **state)
{
	struct told t = { 0 };

	(void)state;
	log_set(LOG_INFO, tell, &t);
	log_line(LOG_INFO, "%s", "a\r\nerror: forged\t\x1b[31m\x7f\x01");
	assert_string_equal(t.text, "a\\x0d\\x0aerror: forged\\x09\\x1b[31m\\x7f\\x01");
	/* Text of other languages passes. */
	log_line(LOG_INFO, "%s", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80 ~");
	assert_string_equal(t.text, "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80 ~");
	/* So do the characters next to those that terminals obey, written in two bytes as they are. */
	log_line(LOG_INFO, "%s",
		"a\xc2\x9b"
		"31m\xc2\x80\xc2\x9f\xc2\xa0\xc3\x9b");
	assert_string_equal(t.text, "a\\xc2\\x9b31m\\xc2\\x80\\xc2\\x9f\xc2\xa0\xc3\x9b");
	log_line(LOG_INFO, "%s", "");
	assert_string_equal(t.text, "");
	for (int c = 1; c < 0x80; c++) {
		char one[2] = { (char)c, '\0' };

		log_line(LOG_INFO, "%s", one);
		assert_int_equal(strlen(t.text), c < 0x20 || c == 0x7f ? 4 : 1);
		for (size_t i = 0; t.text[i] != '\0'; i++)
			assert_true(t.text[i] >= 0x20 && t.text[i] < 0x7f);
	}
	log_set(LOG_INFO, NULL, NULL);
}

/* Whatever its length, a line is whole or cut to its maximum, never in the middle of an escape. */
static void long_lines_are_cut(void **state)
{
	static char text[3 * LOG_LINE_BYTES_MAX];
	struct told t = { 0 };

	(void)state;
	log_set(LOG_INFO, tell, &t);
	for (size_t bytes = LOG_LINE_BYTES_MAX - 20; bytes < sizeof(text) - 1; bytes++) {
		memset(text, 'x', bytes);
		text[bytes] = '\0';
		log_line(LOG_INFO, "%s", text);
		size_t got = strlen(t.text);

		assert_true(got < LOG_LINE_BYTES_MAX);
		assert_true(got == bytes || got >= LOG_LINE_BYTES_MAX - 16);
		assert_memory_equal(t.text, text, got);
	}
	for (size_t bytes = 0; bytes < LOG_LINE_BYTES_MAX + 20; bytes++) {
		memset(text, '\n', bytes);
		memcpy(text, "abc", bytes % 4);
		text[bytes] = '\0';
		log_line(LOG_INFO, "%s", text);
		size_t got = strlen(t.text), letters = bytes % 4;

		assert_true(got < LOG_LINE_BYTES_MAX);
		assert_int_equal((got - letters) % 4, 0);
		assert_true(got == letters + 4 * (bytes - letters) || got >= LOG_LINE_BYTES_MAX - 16);
	}
	log_set(LOG_INFO, NULL, NULL);
}

/* Run log_line() with standard error in a pipe; what it wrote. */
static const char *written(enum log_level level, const char *text)
{
	static char out[2 * LOG_LINE_BYTES_MAX];
	int ends[2], saved = dup(STDERR_FILENO);

	assert_true(saved >= 0 && pipe(ends) == 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	log_line(level, "%s", text);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	size_t bytes = 0;
	ssize_t n;

	while ((n = read(ends[0], out + bytes, sizeof(out) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	assert_int_equal(n, 0);
	close(ends[0]);
	out[bytes] = '\0';
	return out;
}

static void standard_error_gets_whole_lines(void **state)
{
	static char text[LOG_LINE_BYTES_MAX - 8];

	(void)state;
	log_set(LOG_DEBUG, NULL, NULL);
	assert_string_equal(written(LOG_DEBUG, "a"), "debug: a\n");
	assert_string_equal(written(LOG_INFO, "b\nc"), "info: b\\x0ac\n");
	assert_string_equal(written(LOG_WARN, ""), "warn: \n");
	assert_string_equal(written(LOG_ERROR, "d"), "error: d\n");
	memset(text, 'x', sizeof(text) - 1);
	const char *got = written(LOG_ERROR, text);

	assert_int_equal(strlen(got), sizeof("error: ") - 1 + sizeof(text) - 1 + 1);
	assert_int_equal(got[strlen(got) - 1], '\n');
	log_set(LOG_INFO, NULL, NULL);
	assert_string_equal(written(LOG_DEBUG, "a"), "");
	log_set(LOG_OFF, NULL, NULL);
	assert_string_equal(written(LOG_ERROR, "a"), "");
	log_set(LOG_INFO, NULL, NULL);
}

static atomic_int lines_told;

static void count(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	assert(strcmp(text, "one line, whole") == 0);
	lines_told++;
}

static void *tell_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < LINES; i++)
		log_line(LOG_WARN, "%s line, %s", "one", "whole");
	return NULL;
}

static void any_thread_may_tell(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	log_set(LOG_INFO, count, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_many, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(lines_told, THREADS * LINES);
	log_set(LOG_INFO, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_below_the_least_are_silent),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(standard_error_gets_whole_lines),
		cmocka_unit_test(any_thread_may_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
