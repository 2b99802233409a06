/*
 * app/command.h -- everything that a client can ask, declared once: the table behind `/chat`'s events and `POST /api/v1/...`.
 *
 * Each command is a file: a const descriptor and what it does. To add one: a file, a line in app/command.c, a row in
 * docs/chat.md and in web/src/protocol.ts (a test compares the three).
 */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include "app/limits.h"
#include "app/request.h"

enum command_flags {
	COMMAND_OPEN = 1, /* may be asked before hello */
	COMMAND_READ = 2, /* one of at most APP_READS_MAX */
	COMMAND_SOCKET = 4, /* makes sense on a socket only */
};

struct command {
	const char *name;
	struct arg args[ARGS_MAX];
	unsigned flags; /* of enum command_flags */
	/*
	 * Do it: the arguments are as declared, and request->user is set unless COMMAND_OPEN. Answers the request, now or
	 * later. On the socket's loop; by HTTP on any thread.
	 */
	void (*run)(struct request *);
};

extern const struct command command_hello, command_history, command_sync, command_send, command_typing;

/* All of them, NULL at the end. */
extern const struct command *const commands[];
/* NULL: there is none of that name. */
const struct command *command_find(struct str name);

/* Make the handlers of `/chat`. -errno. */
__attribute__((warn_unused_result)) int command_listen(struct app *);
/* Read a command's arguments into a request; the text may go afterwards. The fault's message lies in the request. */
struct chat_fault command_read(struct request *, struct str json);
/* Whether it may be done now so many times, by app/limits.h; else the request is answered, and gone. */
__attribute__((warn_unused_result)) bool command_allowed(
	struct request *, enum limit_kind, uint64_t key, uint32_t count);

#endif
