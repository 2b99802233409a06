/* The program's log: each line whole, of JSON where that is asked for, and nothing from outside forges one. */
#include "app/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "lib/cmocka.h"

enum { READ_BYTES = 8192 };

static int kept = -1, file = -1;
static char lines[READ_BYTES];

static void begin(enum config_log format, enum sio_log_level level)
{
	static struct config config;

	config = (struct config){ .log_format = format, .log_level = level };
	file = memfd_create("log", MFD_CLOEXEC);
	kept = dup(STDERR_FILENO);
	assert_true(file >= 0 && kept >= 0);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	log_begin(&config);
}

/* What was written since begin(). */
static struct str end(void)
{
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	ssize_t bytes = pread(file, lines, sizeof(lines) - 1, 0);
	assert_true(bytes >= 0);
	lines[bytes] = '\0';
	close(file);
	close(kept);
	return str_of(lines, (size_t)bytes);
}

/* It is one line of JSON. */
static struct json_value line_of(struct str text)
{
	struct json_value object;

	assert_true(text.bytes > 2 && text.bytes <= LOG_EVENT_BYTES_MAX);
	assert_int_equal(text.s[text.bytes - 1], '\n');
	assert_ptr_equal(memchr(text.s, '\n', text.bytes), text.s + text.bytes - 1);
	assert_true(json_scan(text, &object));
	assert_int_equal(object.type, JSON_OBJECT);
	return object;
}

static void expect_field(struct json_value object, const char *name, const char *value)
{
	struct json_value item;
	char out[READ_BYTES];

	assert_true(json_member(object, str_c(name), &item));
	assert_int_equal(item.type, JSON_STRING);
	assert_true(str_equal(str_of(out, json_decode_string(out, item)), str_c(value)));
}

static void an_event_is_an_object(void **state)
{
	(void)state;
	struct json_value item;

	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_event(LOG_WARN, "connected", "address", "10.0.0.1", "user", "7", NULL);
	struct json_value object = line_of(end());
	expect_field(object, "event", "connected");
	expect_field(object, "level", "warn");
	expect_field(object, "address", "10.0.0.1");
	expect_field(object, "user", "7");
	assert_true(json_member(object, STR("time"), &item));
	assert_int_equal(item.text.bytes, strlen("\"2026-11-24T20:36:15.123Z\""));
}

/* Line ends, ESC and quotes in what others say: neither a second line nor a command to a terminal. */
static void nothing_forges_a_line(void **state)
{
	(void)state;
	static const char evil[] = "Ann\r\n{\"event\":\"forged\"}\x1b[2J\x07\"\\\t\x01"
				   "\x7f \xc2\x9b"
				   "2J \xc2\x85 \xc2\xa0 \xc3\x9b";

	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_event(LOG_INFO, "said", "name", evil, NULL);
	struct str text = end();
	expect_field(line_of(text), "name", evil);
	begin(CONFIG_LOG_TEXT, SIO_LOG_INFO);
	log_event(LOG_INFO, "said", "name", evil, NULL);
	text = end();
	assert_ptr_equal(memchr(text.s, '\n', text.bytes), text.s + text.bytes - 1);
	for (size_t i = 0; i + 1 < text.bytes; i++) {
		assert_true((unsigned char)text.s[i] >= ' ' && text.s[i] != 0x7f);
		/* Nor those behind ASCII; what follows them is text. */
		assert_false(text.s[i] == '\xc2' && (unsigned char)text.s[i + 1] < 0xa0);
	}
	assert_non_null(strstr(text.s, "\xc2\xa0 \xc3\x9b"));
}

static void less_than_is_asked_for_is_left_out(void **state)
{
	(void)state;
	begin(CONFIG_LOG_JSON, SIO_LOG_WARN);
	log_event(LOG_DEBUG, "a", NULL);
	log_event(LOG_INFO, "b", NULL);
	assert_int_equal(end().bytes, 0);
	begin(CONFIG_LOG_JSON, SIO_LOG_WARN);
	log_event(LOG_WARN, "c", NULL);
	expect_field(line_of(end()), "event", "c");
	begin(CONFIG_LOG_JSON, SIO_LOG_OFF);
	log_event(LOG_ERROR, "d", NULL);
	assert_int_equal(end().bytes, 0);
	/* To no terminal: JSON by itself. */
	begin(CONFIG_LOG_AUTO, SIO_LOG_DEBUG);
	log_event(LOG_DEBUG, "e", NULL);
	expect_field(line_of(end()), "level", "debug");
}

/* Whatever lengths fields have, a line ends, and as JSON; what has no room is left out as a whole. */
static void every_line_has_its_end(void **state)
{
	(void)state;
	char value[600];

	for (size_t bytes = 0; bytes < sizeof(value) - 1; bytes++) {
		struct json_value item;

		memset(value, bytes % 3 == 0 ? 'x' : '"', bytes);
		value[bytes] = '\0';
		begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
		log_event(LOG_INFO, "long", "a", value, "b", value, "c", value, "d", value, "e", value, NULL);
		struct json_value object = line_of(end());
		assert_true(json_member(object, STR("a"), &item));
		begin(CONFIG_LOG_TEXT, SIO_LOG_INFO);
		log_event(LOG_INFO, "long", "a", value, "b", value, "c", value, "d", value, "e", value, NULL);
		struct str text = end();
		assert_int_equal(text.s[text.bytes - 1], '\n');
	}
}

static void no_character_is_cut(void **state)
{
	(void)state;
	char value[1024];

	for (size_t front = 0; front < 8; front++) {
		struct json_value item;

		memset(value, 'x', front);
		for (size_t i = front; i + 4 < sizeof(value); i += 4)
			memcpy(value + i, "\xF0\x9F\x98\x80", 5);
		begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
		log_event(LOG_INFO, "long", "a", value, NULL);
		assert_true(json_member(line_of(end()), STR("a"), &item));
		/* Without its quotes. */
		assert_int_equal((item.text.bytes - 2 - front) % 4, 0);
		assert_true(item.text.bytes > 400);
	}
}

static void lines_of_the_library_are_notes(void **state)
{
	(void)state;
	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_from_sio(NULL, SIO_LOG_ERROR, "something");
	struct json_value object = line_of(end());
	expect_field(object, "level", "error");
	expect_field(object, "text", "something");
	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_line(LOG_INFO, "of %s", "base");
	expect_field(line_of(end()), "text", "of base");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_an_object),
		cmocka_unit_test(nothing_forges_a_line),
		cmocka_unit_test(less_than_is_asked_for_is_left_out),
		cmocka_unit_test(every_line_has_its_end),
		cmocka_unit_test(no_character_is_cut),
		cmocka_unit_test(lines_of_the_library_are_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
