/*
 * app/config.h -- what can be set, from one table: flags, environment, and the text of --help.
 *
 * Every option is `--name VALUE` or `--name=VALUE`, or PALAVER_NAME in the environment; flags win, but for
 * origins, which add up. Used by: app/main.c, app/serve.c.
 */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include <stdio.h>

#include "app/limits.h"
#include "sio/sio.h"

enum {
	CONFIG_TEXT_BYTES = 256, /* of an option's value, with its NUL */
	CONFIG_PATH_BYTES = 4096,
	CONFIG_ORIGINS_MAX = 16,
	CONFIG_THREADS_MAX = 64,
	CONFIG_CONNECTIONS_MAX = 1000000,
};

enum config_guests {
	CONFIG_GUESTS_LOCAL, /* from this machine */
	CONFIG_GUESTS_ON,
	CONFIG_GUESTS_OFF,
};

enum config_log {
	CONFIG_LOG_AUTO, /* readable on a terminal, else JSON */
	CONFIG_LOG_JSON,
	CONFIG_LOG_TEXT,
};

struct config {
	char listen[CONFIG_TEXT_BYTES];
	char data[CONFIG_PATH_BYTES]; /* a folder */
	uint32_t threads; /* 0: one for each core that the process may use */
	enum sio_log_level log_level;
	enum config_log log_format;
	enum config_guests guests;
	char origins[CONFIG_ORIGINS_MAX][CONFIG_TEXT_BYTES];
	uint32_t origin_count;
	uint32_t drain_ms;
	uint32_t connections, connections_per_address; /* 0: libsio's default */
	bool rate_limits;
	struct limit limits[LIMIT_KINDS];
};

/*
 * Defaults, then the environment, then the flags: argv[0] to argv[argc-1] are all flags. False, with a text for people,
 * on an option that is not known or a value that it cannot have.
 */
__attribute__((warn_unused_result)) bool config_read(
	struct config *, int argc, char *const *argv, char *err, size_t err_bytes);
/* What there is to set, for `palaver serve --help`. */
void config_help(FILE *);

#endif
