/*
 * app/request.h -- one command under way: who asked, with which arguments, and how the answer gets back to him.
 *
 *      made on a loop --> run --> (store) --> answered once, from any thread, and gone
 *
 * Used by: app/command.c, app/root.c, app/api.c and the commands. Threads: belongs to whoever works on it now.
 */
#ifndef APP_REQUEST_H
#define APP_REQUEST_H

#include "app/args.h"
#include "app/json.h"
#include "app/peer.h"
#include "app/sequencer.h"
#include "sio/http.h"

struct command;

enum request_way {
	REQUEST_BY_SOCKET,
	REQUEST_BY_HTTP,
};

struct request {
	struct sequencer_item item; /* first: in the sequencer's inbox */
	struct list waiting; /* in its peer's, until that is READY */
	struct app *app;
	const struct command *command;
	enum request_way way;
	bool counted; /* among its caller's commands */
	bool read; /* and among its reads */
	bool set_cookie; /* HTTP: the token goes into a cookie, not into the answer */
	struct peer *peer; /* by socket: a reference */
	struct sio_ack ack; /* by socket */
	struct sio_exchange exchange; /* by HTTP */
	struct visitor visitor;
	struct user user; /* who asks, once that is known */
	uint64_t limit_key;
	struct arg_value args[ARGS_MAX];
	struct json answer; /* as far as it is written */
	char token[CHAT_TOKEN_CHARS]; /* of the guest that says hello: new, or known */
	char why[ARGS_MESSAGE_BYTES];
	void *work; /* the command's own; freed with the request */
	size_t room_bytes;
	char room[]; /* for its arguments, and what else the maker wants to be kept */
};

/* With `room_bytes` of room. NULL: no memory, or too much is under way. `peer` NULL: by HTTP, and `exchange` is set by the caller. */
__attribute__((warn_unused_result)) struct request *request_create(
	struct app *, struct peer *, const struct command *, size_t room_bytes);
/* It counts among the reads too. False: there are too many, of everybody; it is answered, and gone. */
__attribute__((warn_unused_result)) bool request_count_read(struct request *);
/* Without an answer: the client has gone. */
void request_free(struct request *);

/*
 * Each answers, and frees the request. request_done(): the answer is what was written to `answer`, braces included.
 * request_fail(): fault.message may be NULL. retry_ms 0: it is not said.
 */
void request_done(struct request *);
void request_fail(struct request *, struct chat_fault);
void request_fail_store(struct request *, enum store_status);
void request_fail_later(struct request *, uint64_t retry_ms);

/*
 * To the sequencer: `run` in its turn, after the entries of the room up to `after` (0: now) have left. Or, without any `run`,
 * request_done().
 */
void request_push(struct request *, void (*run)(struct sequencer *, struct sequencer_item *), int64_t room,
	uint64_t after);

/* `{"ok":false,...}`. */
void request_write_fault(struct json *, struct chat_fault, uint64_t retry_ms);
/* An error to somebody for whom there is no request. */
void request_refuse(struct sio_ack, struct chat_fault, uint64_t retry_ms);
/* HTTP's status for an error, 200 for CHAT_OK. */
uint16_t request_http_status(enum chat_error);

#endif
