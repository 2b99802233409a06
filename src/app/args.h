/*
 * app/args.h -- a command's arguments: one JSON object, checked against the command's declaration.
 *
 * Every field must be declared, of its type and within its limit; those that are not optional must be there, none twice.
 * Used by: app/command.c, app/root.c. Pure.
 */
#ifndef APP_ARGS_H
#define APP_ARGS_H

#include "base/json.h"
#include "chat/error.h"

enum {
	ARGS_MAX = 4, /* of a command */
	ARGS_MESSAGE_BYTES = 96, /* what is wrong, with its NUL */
};

/* The largest integer that every client has exactly. */
#define ARGS_INTEGER_MAX ((UINT64_C(1) << 53) - 1)

enum arg_type {
	ARG_STRING, /* decoded; a lone surrogate is refused */
	ARG_INTEGER, /* 0 to `max` */
	ARG_BOOL,
	ARG_OBJECT, /* as JSON text */
};

struct arg {
	const char *name; /* NULL: none */
	enum arg_type type;
	bool optional;
	uint64_t max; /* of an integer; of a string's bytes: where 0, the reader's own limit */
};

struct arg_value {
	bool given;
	bool flag;
	uint64_t number;
	struct str string;
	struct json_value json; /* of an object: lies in the text it was read from */
};

/*
 * Read `object` (JSON text of any kind, valid UTF-8) by the declaration. Strings are decoded into `room`, which has as
 * many bytes as the text. CHAT_INVALID: `why` says what is wrong; message is then `why` itself.
 */
struct chat_fault args_read(const struct arg args[ARGS_MAX], struct str object, char *room,
	struct arg_value values[ARGS_MAX], char why[ARGS_MESSAGE_BYTES]);

/* Decode a string into `room`. False: it has a lone surrogate. */
__attribute__((warn_unused_result)) bool args_string(
	struct json_value value, char *room, struct str *ret_string);

#endif
