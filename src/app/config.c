/* app/config.c -- see app/config.h. */
#include "app/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/str.h"

enum { NAME_BYTES = 64, DRAIN_MS_MAX = 4000 };

/* Of an option: takes its value; false if it cannot have that. */
typedef bool config_set_fn(struct config *, const char *value, int which);

static bool set_text(char *out, size_t out_bytes, const char *value)
{
	size_t bytes = strlen(value);

	if (bytes == 0 || bytes >= out_bytes)
		return false;
	memcpy(out, value, bytes + 1);
	return true;
}

static bool set_listen(struct config *c, const char *value, int which)
{
	(void)which;
	return set_text(c->listen, sizeof(c->listen), value);
}

static bool set_data(struct config *c, const char *value, int which)
{
	(void)which;
	return set_text(c->data, sizeof(c->data), value);
}

/* Options that are a number. */
enum { NUMBER_THREADS, NUMBER_DRAIN, NUMBER_CONNECTIONS, NUMBER_PER_ADDRESS };

static bool set_number(struct config *c, const char *value, int which)
{
	const struct {
		uint32_t *out, least, most;
	} numbers[] = {
		[NUMBER_THREADS] = { &c->threads, 0, CONFIG_THREADS_MAX },
		[NUMBER_DRAIN] = { &c->drain_ms, 0, DRAIN_MS_MAX },
		[NUMBER_CONNECTIONS] = { &c->connections, 0, CONFIG_CONNECTIONS_MAX },
		[NUMBER_PER_ADDRESS] = { &c->connections_per_address, 1, CONFIG_CONNECTIONS_MAX },
	};
	uint64_t number;

	if (!str_parse_u64(str_c(value), numbers[which].most, &number) || number < numbers[which].least)
		return false;
	*numbers[which].out = (uint32_t)number;
	return true;
}

/* Which of the words it is, or -1. */
static int word_of(const char *const *words, size_t count, const char *value)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i], value) == 0)
			return (int)i;
	}
	return -1;
}

static bool set_log_level(struct config *c, const char *value, int which)
{
	static const char *const words[] = { "debug", "info", "warn", "error", "off" };
	int at = word_of(words, 5, value);

	(void)which;
	if (at < 0)
		return false;
	c->log_level = (enum sio_log_level)(at + SIO_LOG_DEBUG);
	return true;
}

static bool set_log_format(struct config *c, const char *value, int which)
{
	static const char *const words[] = { "auto", "json", "text" };
	int at = word_of(words, 3, value);

	(void)which;
	if (at < 0)
		return false;
	c->log_format = (enum config_log)at;
	return true;
}

static bool set_guests(struct config *c, const char *value, int which)
{
	static const char *const words[] = { "local", "on", "off" };
	int at = word_of(words, 3, value);

	(void)which;
	if (at < 0)
		return false;
	c->guests = (enum config_guests)at;
	return true;
}

/* As a browser sends it: a scheme, a host, perhaps a port, and nothing behind. */
static bool set_origin(struct config *c, const char *value, int which)
{
	const char *host = strstr(value, "://");

	(void)which;
	if (c->origin_count == CONFIG_ORIGINS_MAX || host == NULL || host == value || host[3] == '\0' ||
		strpbrk(host + 3, "/?#@ ") != NULL)
		return false;
	return set_text(c->origins[c->origin_count++], CONFIG_TEXT_BYTES, value);
}

static bool set_rate_limits(struct config *c, const char *value, int which)
{
	static const char *const words[] = { "off", "on" };
	int at = word_of(words, 2, value);

	(void)which;
	if (at < 0)
		return false;
	c->rate_limits = at == 1;
	return true;
}

/* "RATE:BURST", or "off". */
static bool set_limit(struct config *c, const char *value, int which)
{
	const char *colon = strchr(value, ':');
	uint64_t rate, burst;

	if (strcmp(value, "off") == 0) {
		c->limits[which].rate = 0;
		return true;
	}
	if (colon == NULL || !str_parse_u64(str_of(value, (size_t)(colon - value)), BUCKET_RATE_MAX, &rate) ||
		!str_parse_u64(str_c(colon + 1), BUCKET_BURST_MAX, &burst) || rate == 0 || burst == 0)
		return false;
	c->limits[which] = (struct limit){ .rate = (uint32_t)rate, .burst = (uint32_t)burst };
	return true;
}

static const struct option {
	const char *name, *argument, *otherwise; /* otherwise: NULL: made at run time */
	const char *help;
	config_set_fn *set;
	int which;
} options[] = {
	{ "listen", "ADDR:PORT", "127.0.0.1:3000", "where to listen; port 0 takes any that is free",
		set_listen, 0 },
	{ "data", "DIR", NULL,
		"the folder of everything that is kept (default $XDG_DATA_HOME/palaver, without that "
		"~/.local/share/palaver, and without HOME palaver-data where it is started)",
		set_data, 0 },
	{ "threads", "N", "0", "threads for connections, at most 64; 0 is one for each core", set_number,
		NUMBER_THREADS },
	{ "connections", "N", "0",
		"connections there may be, at most 1000000; 0 is as many as descriptors allow", set_number,
		NUMBER_CONNECTIONS },
	{ "connections-per-address", "N", "1024",
		"connections from one address, at most 1000000; this machine's own are not counted",
		set_number, NUMBER_PER_ADDRESS },
	{ "guests", "local|on|off", "local",
		"who may speak without an account: those on this machine, all, nobody", set_guests, 0 },
	{ "origin", "URL", NULL, "a further origin whose pages may connect; may be given several times",
		set_origin, 0 },
	{ "log-level", "LEVEL", "info", "debug, info, warn, error or off", set_log_level, 0 },
	{ "log-format", "auto|json|text", "auto", "a JSON object a line, or text; auto: text on a terminal",
		set_log_format, 0 },
	{ "drain-ms", "MS", "4000", "at a stop, clients are told over at most this time; 0 to 4000",
		set_number, NUMBER_DRAIN },
	{ "rate-limits", "on|off", "on", "all of the limits below", set_rate_limits, 0 },
	{ "limit-send", "RATE:BURST", "10:40",
		"messages a second of a user, and at once after a rest, 1 to 1000000 each; or off", set_limit,
		LIMIT_SEND },
	{ "limit-send-address", "RATE:BURST", "50:200", "messages of an address", set_limit,
		LIMIT_SEND_ADDRESS },
	{ "limit-read", "RATE:BURST", "20:100", "reads of history by a user", set_limit, LIMIT_READ },
	{ "limit-read-address", "RATE:BURST", "100:500", "reads from an address", set_limit,
		LIMIT_READ_ADDRESS },
	{ "limit-guest", "RATE:BURST", "1:20", "new guests from an address", set_limit, LIMIT_GUEST },
	{ "limit-hello", "RATE:BURST", "10:100", "returning guests from an address", set_limit, LIMIT_HELLO },
	{ "limit-token", "RATE:BURST", "100:500", "tokens by HTTP and on /, from an address", set_limit,
		LIMIT_TOKEN },
	{ "limit-log", "RATE:BURST", "10:200", "sockets of an address that are logged", set_limit,
		LIMIT_LOG },
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

static bool set_default_folder(struct config *c)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n;

	if (data != NULL && data[0] == '/')
		n = snprintf(c->data, sizeof(c->data), "%s/palaver", data);
	else if (home != NULL && home[0] == '/')
		n = snprintf(c->data, sizeof(c->data), "%s/.local/share/palaver", home);
	else
		n = snprintf(c->data, sizeof(c->data), "palaver-data");
	return n > 0 && (size_t)n < sizeof(c->data);
}

/* `name` is what it was called: "--log-level" or "PALAVER_LOG_LEVEL". */
static bool set(struct config *c, const struct option *o, const char *value, const char *name, char *err,
	size_t err_bytes)
{
	if (o->set(c, value, o->which))
		return true;
	snprintf(err, err_bytes, "%s cannot be \"%s\"; it is %s: %s", name, value, o->argument, o->help);
	return false;
}

static bool read_environment(struct config *c, const struct option *o, char *err, size_t err_bytes)
{
	char name[NAME_BYTES];
	int n = snprintf(name, sizeof(name), "PALAVER_%s", o->name);

	assert(n > 0 && (size_t)n < sizeof(name));
	for (char *at = name; *at != '\0'; at++)
		*at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
	const char *value = getenv(name);
	return value == NULL || set(c, o, value, name, err, err_bytes);
}

static bool set_flag(struct config *c, const struct option *o, const char *value, char *err, size_t err_bytes)
{
	char name[NAME_BYTES];
	int n = snprintf(name, sizeof(name), "--%s", o->name);

	assert(n > 0 && (size_t)n < sizeof(name));
	return set(c, o, value, name, err, err_bytes);
}

static const struct option *find(const char *name, size_t bytes)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strlen(options[i].name) == bytes && memcmp(options[i].name, name, bytes) == 0)
			return &options[i];
	}
	return NULL;
}

static bool read_flags(struct config *c, int argc, char *const *argv, char *err, size_t err_bytes)
{
	for (int i = 0; i < argc; i++) {
		const char *flag = argv[i];
		const char *equals = strchr(flag, '=');
		size_t bytes = equals == NULL ? strlen(flag) : (size_t)(equals - flag);
		const struct option *o = strncmp(flag, "--", 2) == 0 ? find(flag + 2, bytes - 2) : NULL;

		if (o == NULL) {
			snprintf(err, err_bytes, "no such option: %s; see palaver serve --help", flag);
			return false;
		}
		if (equals == NULL && i + 1 == argc) {
			snprintf(err, err_bytes, "%s wants a value: %s", flag, o->argument);
			return false;
		}
		if (!set_flag(c, o, equals == NULL ? argv[++i] : equals + 1, err, err_bytes))
			return false;
	}
	return true;
}

bool config_read(struct config *c, int argc, char *const *argv, char *err, size_t err_bytes)
{
	*c = (struct config){ .threads = 0 };
	c->limits[LIMIT_TYPING] = (struct limit){ .rate = 1, .per = 3, .burst = 1 };
	if (!set_default_folder(c)) {
		snprintf(err, err_bytes, "the path of the data folder is too long");
		return false;
	}
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		bool fine = options[i].otherwise == NULL ||
			    options[i].set(c, options[i].otherwise, options[i].which);
		assert(fine);
	}
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (!read_environment(c, &options[i], err, err_bytes))
			return false;
	}
	if (!read_flags(c, argc, argv, err, err_bytes))
		return false;
	/* Who types is told every 3 s in any case: more often would tell nobody more. */
	for (size_t i = 0; i < LIMIT_KINDS && !c->rate_limits; i++) {
		if (i != LIMIT_TYPING)
			c->limits[i].rate = 0;
	}
	return true;
}

void config_help(FILE *out)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *o = &options[i];

		fprintf(out, "  --%s %s\n        %s", o->name, o->argument, o->help);
		if (o->otherwise != NULL)
			fprintf(out, " (default %s)", o->otherwise);
		fputc('\n', out);
	}
	fprintf(out, "\nEach may also be set in the environment: --log-level is PALAVER_LOG_LEVEL.\n");
}
