/* Prints what the program knows of its protocol as JSON, for test_protocol.py: commands, errors, limits. */
#include <stdio.h>

#include "app/command.h"
#include "app/config.h"
#include "app/history.h"
#include "chat/message.h"

static const char *type_name(enum arg_type type)
{
	static const char *const names[] = { [ARG_STRING] = "string",
		[ARG_INTEGER] = "integer",
		[ARG_BOOL] = "boolean",
		[ARG_OBJECT] = "object" };

	return names[type];
}

static void print_command(const struct command *c)
{
	printf("{\"name\":\"%s\",\"socket\":%s,\"args\":[", c->name,
		(c->flags & COMMAND_SOCKET) ? "true" : "false");
	for (size_t i = 0; i < ARGS_MAX && c->args[i].name != NULL; i++) {
		const struct arg *a = &c->args[i];

		printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"optional\":%s}", i > 0 ? "," : "", a->name,
			type_name(a->type), a->optional ? "true" : "false");
	}
	printf("]}");
}

int main(void)
{
	char err[256];
	struct config config;

	if (!config_read(&config, 0, NULL, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	printf("{\"commands\":[");
	for (size_t i = 0; commands[i] != NULL; i++) {
		printf("%s", i > 0 ? "," : "");
		print_command(commands[i]);
	}
	printf("],\"errors\":[");
	for (int i = CHAT_OK + 1; i < CHAT_ERROR_COUNT; i++)
		printf("%s{\"code\":\"%s\",\"status\":%u}", i > CHAT_OK + 1 ? "," : "",
			chat_error_code((enum chat_error)i),
			(unsigned)request_http_status((enum chat_error)i));
	const struct limit *typing = &config.limits[LIMIT_TYPING];
	printf("],\"limits\":{\"text_bytes_max\":%d,\"cid_chars_max\":%d,\"name_chars_max\":%d",
		CHAT_TEXT_BYTES_MAX, STORE_CID_BYTES_MAX, CHAT_NAME_CHARS_MAX);
	printf(",\"history_default\":%u,\"history_max\":%d",
		history_messages(&(struct arg_value){ .given = false }), STORE_PAGE_MESSAGES_MAX);
	printf(",\"typing_every_ms\":%u", typing->per * 1000 / typing->rate);
	printf(",\"commands_max\":%d,\"reads_max\":%d,\"page_bytes_max\":%d}}\n", APP_COMMANDS_MAX,
		APP_READS_MAX, STORE_PAGE_BYTES_MAX);
	return 0;
}
