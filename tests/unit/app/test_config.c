/* What can be set: every option by flag, by `=` and by environment, who wins, what is refused and what is said of it. */
#include "app/config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cmocka.h"

enum {
	ERR_BYTES = 512,
	ARGS_COUNT_MAX = 40,
	HELP_BYTES = 16384,
	LONG_BYTES = 8192,
};

static struct config config;
static char err[ERR_BYTES];

static const char *const names[] = { "listen", "data", "threads", "guests", "origin", "log-level",
	"log-format", "drain-ms", "rate-limits", "limit-send", "limit-send-address", "limit-read",
	"limit-read-address", "limit-guest", "limit-hello", "limit-token", "limit-log", "connections",
	"connections-per-address" };
enum { NAMES = sizeof(names) / sizeof(*names) };

/* "log-level" is PALAVER_LOG_LEVEL. */
static void variable(char out[64], const char *name)
{
	snprintf(out, 64, "PALAVER_%s", name);
	for (char *at = out + 8; *at != '\0'; at++)
		*at = *at == '-' ? '_' : (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
}

static int set_up(void **state)
{
	char name[64];

	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		variable(name, names[i]);
		unsetenv(name);
	}
	setenv("XDG_DATA_HOME", "/x/share", 1);
	setenv("HOME", "/h", 1);
	memset(&config, 0x55, sizeof(config));
	return 0;
}

static bool read_flags(const char *const *flags)
{
	char *argv[ARGS_COUNT_MAX] = { NULL };
	int argc = 0;
	bool fine;

	for (; flags[argc] != NULL; argc++) {
		argv[argc] = strdup(flags[argc]);
		assert_non_null(argv[argc]);
	}
	memset(err, 0, sizeof(err));
	fine = config_read(&config, argc, argv, err, sizeof(err));
	while (argc > 0)
		free(argv[--argc]);
	return fine;
}

#define READ(...) read_flags((const char *const[]){ __VA_ARGS__, NULL })

static bool read_none(void)
{
	return read_flags((const char *const[]){ NULL });
}

static void expect_refused(const char *hint)
{
	if (strstr(err, hint) == NULL)
		print_error("\"%s\" without \"%s\"\n", err, hint);
	assert_true(strlen(err) > 8);
	assert_non_null(strstr(err, hint));
}

static void expect_limit(enum limit_kind kind, uint32_t rate, uint32_t per, uint32_t burst)
{
	struct limit l = config.limits[kind];

	assert_int_equal(l.rate, rate);
	assert_int_equal(l.per == 0 ? 1 : l.per, per);
	if (rate != 0)
		assert_int_equal(l.burst, burst);
}

static void nothing_set_is_the_default(void **state)
{
	(void)state;
	assert_true(read_none());
	assert_string_equal(config.listen, "127.0.0.1:3000");
	assert_string_equal(config.data, "/x/share/palaver");
	assert_int_equal(config.threads, 0);
	assert_int_equal(config.log_level, SIO_LOG_INFO);
	assert_int_equal(config.log_format, CONFIG_LOG_AUTO);
	assert_int_equal(config.guests, CONFIG_GUESTS_LOCAL);
	assert_int_equal(config.origin_count, 0);
	assert_in_range(config.drain_ms, 1, 4000);
	assert_true(config.rate_limits);
	for (int i = 0; i < LIMIT_KINDS; i++)
		assert_true(config.limits[i].rate > 0 && config.limits[i].burst > 0);
	/* One every 3 s is passed on: docs/chat.md. */
	expect_limit(LIMIT_TYPING, 1, 3, 1);
}

static void the_data_folder_has_its_place(void **state)
{
	(void)state;
	char path[LONG_BYTES];

	unsetenv("XDG_DATA_HOME");
	assert_true(read_none());
	assert_string_equal(config.data, "/h/.local/share/palaver");
	/* The specification: relative paths are to be ignored. */
	setenv("XDG_DATA_HOME", "share", 1);
	assert_true(read_none());
	assert_string_equal(config.data, "/h/.local/share/palaver");
	setenv("XDG_DATA_HOME", "", 1);
	assert_true(read_none());
	assert_string_equal(config.data, "/h/.local/share/palaver");
	unsetenv("HOME");
	unsetenv("XDG_DATA_HOME");
	assert_true(read_none());
	assert_true(strlen(config.data) > 0);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("XDG_DATA_HOME", path, 1);
	assert_false(read_none());
	expect_refused("data");
}

struct option {
	const char *name, *value;
	void (*check)(void);
};

static void listens(void)
{
	assert_string_equal(config.listen, "[::]:0");
}

static void has_data(void)
{
	assert_string_equal(config.data, "some/where=else");
}

static void has_threads(void)
{
	assert_int_equal(config.threads, 64);
}

static void guests_on(void)
{
	assert_int_equal(config.guests, CONFIG_GUESTS_ON);
}

static void has_origin(void)
{
	assert_int_equal(config.origin_count, 1);
	assert_string_equal(config.origins[0], "https://ok.tld:8443");
}

static void logs_debug(void)
{
	assert_int_equal(config.log_level, SIO_LOG_DEBUG);
}

static void logs_json(void)
{
	assert_int_equal(config.log_format, CONFIG_LOG_JSON);
}

static void drains(void)
{
	assert_int_equal(config.drain_ms, 250);
}

static void unlimited(void)
{
	assert_false(config.rate_limits);
	for (int i = 0; i < LIMIT_KINDS; i++)
		assert_int_equal(
			config.limits[i].rate, i == LIMIT_TYPING ? 1 : 0); /* it loses nobody anything */
}

static void limits_send(void)
{
	expect_limit(LIMIT_SEND, 3, 1, 5);
}

static void limits_address(void)
{
	expect_limit(LIMIT_SEND_ADDRESS, 1000000, 1, 1000000);
}

static void limits_read(void)
{
	expect_limit(LIMIT_READ, 1, 1, 1);
}

static void limits_read_address(void)
{
	expect_limit(LIMIT_READ_ADDRESS, 7, 1, 8);
}

static void limits_guest(void)
{
	expect_limit(LIMIT_GUEST, 0, 1, 0);
}

static void limits_hello(void)
{
	expect_limit(LIMIT_HELLO, 2, 1, 9);
}

static void limits_token(void)
{
	expect_limit(LIMIT_TOKEN, 3, 1, 4);
}

static void limits_log(void)
{
	expect_limit(LIMIT_LOG, 6, 1, 5);
}

static void many_connections(void)
{
	assert_int_equal(config.connections, 1000000);
	assert_int_equal(config.connections_per_address, 1024);
}

static void few_from_one(void)
{
	assert_int_equal(config.connections, 0);
	assert_int_equal(config.connections_per_address, 3);
}

static const struct option options[NAMES] = {
	{ "listen", "[::]:0", listens },
	{ "data", "some/where=else", has_data },
	{ "threads", "64", has_threads },
	{ "guests", "on", guests_on },
	{ "origin", "https://ok.tld:8443", has_origin },
	{ "log-level", "debug", logs_debug },
	{ "log-format", "json", logs_json },
	{ "drain-ms", "250", drains },
	{ "rate-limits", "off", unlimited },
	{ "limit-send", "3:5", limits_send },
	{ "limit-send-address", "1000000:1000000", limits_address },
	{ "limit-read", "1:1", limits_read },
	{ "limit-read-address", "7:8", limits_read_address },
	{ "limit-guest", "off", limits_guest },
	{ "limit-hello", "2:9", limits_hello },
	{ "limit-token", "3:4", limits_token },
	{ "limit-log", "6:5", limits_log },
	{ "connections", "1000000", many_connections },
	{ "connections-per-address", "3", few_from_one },
};

static void every_option_is_a_flag_and_a_variable(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		char flag[64], both[128], name[64];

		snprintf(flag, sizeof(flag), "--%s", options[i].name);
		snprintf(both, sizeof(both), "--%s=%s", options[i].name, options[i].value);
		assert_true(READ(flag, options[i].value));
		options[i].check();
		assert_true(READ(both));
		options[i].check();
		variable(name, options[i].name);
		setenv(name, options[i].value, 1);
		assert_true(read_none());
		options[i].check();
		unsetenv(name);
	}
}

static void every_option_is_alone(void **state)
{
	(void)state;
	struct config plain;

	assert_true(read_none());
	plain = config;
	assert_true(READ("--limit-send", "1:2"));
	for (int i = 0; i < LIMIT_KINDS; i++) {
		if (i != LIMIT_SEND)
			assert_memory_equal(&config.limits[i], &plain.limits[i], sizeof(plain.limits[i]));
	}
	assert_string_equal(config.listen, plain.listen);
	assert_int_equal(config.guests, plain.guests);
}

static void flags_win_and_the_last_one_counts(void **state)
{
	(void)state;
	setenv("PALAVER_LISTEN", "1.2.3.4:1", 1);
	setenv("PALAVER_GUESTS", "off", 1);
	assert_true(READ("--listen", "5.6.7.8:2"));
	assert_string_equal(config.listen, "5.6.7.8:2");
	assert_int_equal(config.guests, CONFIG_GUESTS_OFF);
	assert_true(READ("--guests=on", "--listen=a:1", "--guests", "local", "--listen", "b:2"));
	assert_string_equal(config.listen, "b:2");
	assert_int_equal(config.guests, CONFIG_GUESTS_LOCAL);
	/* Wherever it stands. */
	assert_true(READ("--rate-limits", "off", "--limit-send", "5:5"));
	assert_int_equal(config.limits[LIMIT_SEND].rate, 0);
	assert_true(READ("--limit-send", "off", "--limit-send", "5:6"));
	expect_limit(LIMIT_SEND, 5, 1, 6);
}

static void every_word_has_its_meaning(void **state)
{
	(void)state;
	static const struct {
		const char *word;
		enum sio_log_level level;
	} levels[] = { { "debug", SIO_LOG_DEBUG }, { "info", SIO_LOG_INFO }, { "warn", SIO_LOG_WARN },
		{ "error", SIO_LOG_ERROR }, { "off", SIO_LOG_OFF } };

	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		assert_true(READ("--log-level", levels[i].word));
		assert_int_equal(config.log_level, levels[i].level);
	}
	assert_true(READ("--log-format", "text"));
	assert_int_equal(config.log_format, CONFIG_LOG_TEXT);
	assert_true(READ("--log-format", "auto"));
	assert_int_equal(config.log_format, CONFIG_LOG_AUTO);
	assert_true(READ("--guests", "off"));
	assert_int_equal(config.guests, CONFIG_GUESTS_OFF);
	assert_true(READ("--rate-limits", "on"));
	assert_true(config.rate_limits);
}

/* By flag and by environment; what is said has the name that was used, and the value. */
static void bad_values_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value;
	} bad[] = { { "listen", "" }, { "data", "" }, { "threads", "" }, { "threads", "65" },
		{ "threads", "-1" }, { "threads", "1.5" }, { "threads", "two" }, { "threads", " 1" },
		{ "threads", "1 " }, { "threads", "18446744073709551617" }, { "threads", "4294967297" },
		{ "guests", "" }, { "guests", "yes" }, { "guests", "ON" }, { "guests", "on " },
		{ "origin", "" }, { "origin", "ok.tld" }, { "origin", "https://ok.tld/" },
		{ "origin", "https://ok.tld/x" }, { "origin", "https://" }, { "origin", "://ok.tld" },
		{ "origin", "null" }, { "origin", "*" }, { "log-level", "" }, { "log-level", "trace" },
		{ "log-level", "INFO" }, { "log-format", "xml" }, { "log-format", "" },
		{ "drain-ms", "4001" }, { "drain-ms", "" }, { "drain-ms", "1s" }, { "drain-ms", "-1" },
		{ "rate-limits", "" }, { "rate-limits", "true" }, { "limit-send", "" },
		{ "limit-send", "10" }, { "limit-send", ":" }, { "limit-send", "10:" },
		{ "limit-send", ":10" }, { "limit-send", "0:10" }, { "limit-send", "10:0" },
		{ "limit-send", "1000001:1" }, { "limit-send", "1:1000001" }, { "limit-send", "1:2:3" },
		{ "limit-send", "-1:2" }, { "limit-send", "1.5:2" }, { "limit-send", "on" },
		{ "limit-send", "1: 2" }, { "limit-send-address", "x" }, { "limit-read", "x" },
		{ "limit-guest", "x" }, { "limit-hello", "x" }, { "limit-token", "x" }, { "limit-log", "x" },
		{ "connections", "1000001" }, { "connections", "-1" }, { "connections", "" },
		{ "connections-per-address", "0" }, { "connections-per-address", "x" } };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char flag[64], both[128], name[64];

		snprintf(flag, sizeof(flag), "--%s", bad[i].name);
		snprintf(both, sizeof(both), "--%s=%s", bad[i].name, bad[i].value);
		variable(name, bad[i].name);
		if (READ(flag, bad[i].value))
			print_error("%s\n", both);
		assert_false(READ(flag, bad[i].value));
		expect_refused(flag);
		expect_refused(bad[i].value);
		assert_false(READ(both));
		expect_refused(flag);
		setenv(name, bad[i].value, 1);
		assert_false(read_none());
		expect_refused(name);
		expect_refused(bad[i].value);
		unsetenv(name);
	}
}

static void long_values_are_refused(void **state)
{
	(void)state;
	static char value[LONG_BYTES];

	memset(value, 'x', sizeof(value) - 1);
	memcpy(value, "a://", 4);
	assert_false(READ("--listen", value));
	expect_refused("--listen");
	assert_false(READ("--data", value));
	expect_refused("--data");
	assert_false(READ("--origin", value));
	expect_refused("--origin");
	value[CONFIG_PATH_BYTES - 1] = '\0';
	assert_true(READ("--data", value));
	assert_string_equal(config.data, value);
	value[CONFIG_TEXT_BYTES - 1] = '\0';
	assert_true(READ("--origin", value, "--listen", value));
	assert_string_equal(config.origins[0], value);
	assert_string_equal(config.listen, value);
}

static void there_may_be_several_origins(void **state)
{
	(void)state;
	const char *flags[2 * CONFIG_ORIGINS_MAX + 3] = { NULL };
	char values[CONFIG_ORIGINS_MAX + 1][32];

	for (size_t i = 0; i <= CONFIG_ORIGINS_MAX; i++) {
		snprintf(values[i], sizeof(values[i]), "https://o%zu.tld", i);
		flags[2 * i] = "--origin";
		flags[2 * i + 1] = values[i];
		assert_int_equal(read_flags(flags), i < CONFIG_ORIGINS_MAX);
	}
	expect_refused("--origin");
	flags[2 * (size_t)CONFIG_ORIGINS_MAX] = NULL;
	assert_true(read_flags(flags));
	assert_int_equal(config.origin_count, CONFIG_ORIGINS_MAX);
	for (size_t i = 0; i < CONFIG_ORIGINS_MAX; i++)
		assert_string_equal(config.origins[i], values[i]);
}

static void what_is_no_option_is_refused(void **state)
{
	(void)state;
	static const char *const none[] = { "--nothing", "--listenx=1", "--liste=1", "listen", "-listen",
		"--", "-", "", "=", "--=", "--=x", "--listen =x", "--LISTEN=a:1", "---listen",
		"--log_level=info" };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		assert_false(READ(none[i], "a:1"));
		expect_refused(none[i]);
	}
	assert_false(READ("--guests=on", "extra"));
	expect_refused("extra");
}

static void a_flag_wants_its_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "--%s", names[i]);
		assert_false(READ(flag));
		expect_refused(flag);
		assert_false(READ("--guests", "on", flag));
		expect_refused(flag);
	}
}

static void what_is_said_has_its_room(void **state)
{
	(void)state;
	char flag[] = "--nothing-that-is-known-anywhere-in-the-world", small[17];
	char *argv[] = { flag };

	memset(small, '!', sizeof(small));
	assert_false(config_read(&config, 1, argv, small, sizeof(small) - 1));
	assert_int_equal(strnlen(small, sizeof(small)), sizeof(small) - 2);
	assert_int_equal(small[sizeof(small) - 1], '!');
}

/* Each option of this test's list, each by one line, and none that this list has not. */
static void help_names_every_option(void **state)
{
	(void)state;
	static char help[HELP_BYTES];
	FILE *out = fmemopen(help, sizeof(help) - 1, "w");
	size_t flags = 0;

	assert_non_null(out);
	config_help(out);
	fclose(out);
	for (size_t i = 0; i < NAMES; i++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "\n  --%s ", names[i]);
		if (strstr(help, flag + (i == 0)) == NULL)
			print_error("%s\n", flag);
		assert_non_null(strstr(help, flag + (i == 0)));
	}
	for (const char *at = help; at != NULL; at = strstr(at, "\n  --")) {
		flags++;
		at += 3;
	}
	assert_int_equal(flags, NAMES);
	assert_non_null(strstr(help, "PALAVER_"));
	assert_non_null(strstr(help, "127.0.0.1:3000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_set_is_the_default, set_up),
		cmocka_unit_test_setup(the_data_folder_has_its_place, set_up),
		cmocka_unit_test_setup(every_option_is_a_flag_and_a_variable, set_up),
		cmocka_unit_test_setup(every_option_is_alone, set_up),
		cmocka_unit_test_setup(flags_win_and_the_last_one_counts, set_up),
		cmocka_unit_test_setup(every_word_has_its_meaning, set_up),
		cmocka_unit_test_setup(bad_values_are_refused, set_up),
		cmocka_unit_test_setup(long_values_are_refused, set_up),
		cmocka_unit_test_setup(there_may_be_several_origins, set_up),
		cmocka_unit_test_setup(what_is_no_option_is_refused, set_up),
		cmocka_unit_test_setup(a_flag_wants_its_value, set_up),
		cmocka_unit_test_setup(what_is_said_has_its_room, set_up),
		cmocka_unit_test_setup(help_names_every_option, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
