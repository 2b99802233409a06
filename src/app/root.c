/*
 * app/root.c -- see app/root.h.
 *
 * Whoever has no token is the anonymous author, under the name of his handshake. With a token it is looked up when the socket
 * has come; what it asks for meanwhile waits.
 */
#include "app/root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/command.h"
#include "app/history.h"
#include "app/send.h"
#include "app/write.h"
#include "base/assert.h"
#include "base/clock.h"

enum {
	ARG_CID = 0,
	ARG_TEXT, /* of a message: it is no field of the options, and put beside them */
	ARG_BEFORE = 0,
	ARG_LIMIT,
	AUTH_NAME_BYTES_MAX = 1024,
	AUTH_TOKEN_BYTES_MAX = 64,
	CODE_BYTES = 64,
};

/* What the handshake's auth says; what it has besides is none of ours. */
struct auth {
	struct chat_name name;
	bool has_token;
	char token[CHAT_TOKEN_CHARS];
};

static const struct chat_fault unknown_token = { CHAT_UNAUTHENTICATED, "this token is not known" };

static struct chat_fault read_name(struct json_value item, struct auth *a)
{
	char room[AUTH_NAME_BYTES_MAX];
	struct str name;

	if (item.type != JSON_STRING || item.text.bytes > sizeof(room) || !args_string(item, room, &name))
		return (struct chat_fault){ CHAT_INVALID, "auth.name is not the name of a person" };
	return chat_name_clean(name, &a->name);
}

static struct chat_fault read_auth(struct sio_str json, struct auth *a)
{
	struct json_value whole, item;
	char room[AUTH_TOKEN_BYTES_MAX];
	struct str token;
	struct chat_fault fault = chat_name_clean(STR("guest"), &a->name);

	a->has_token = false;
	if (fault.error != CHAT_OK || !json_scan(str_of_sio(json), &whole))
		return fault;
	if (json_member(whole, STR("token"), &item) && item.type != JSON_NULL) {
		if (item.type != JSON_STRING || item.text.bytes > sizeof(room) ||
			!args_string(item, room, &token) || !chat_token_valid(token))
			return unknown_token;
		memcpy(a->token, token.s, sizeof(a->token));
		a->has_token = true;
	}
	if (json_member(whole, STR("name"), &item) && item.type != JSON_NULL)
		return read_name(item, a);
	return CHAT_FINE;
}

/* `connect_error` has the message, and data.error the code. */
static enum sio_verdict admit(const struct sio_event *e, struct sio_refusal *refusal)
{
	static _Thread_local char code[CODE_BYTES];
	const struct caller *c = sio_connection_data(e->socket);
	struct auth a;
	struct chat_fault fault = c == NULL || !c->visitor.guests
					  ? (struct chat_fault){ CHAT_GUESTS_REFUSED, NULL }
					  : read_auth(e->auth, &a);

	if (fault.error == CHAT_OK)
		return SIO_ADMIT;
	int n = snprintf(code, sizeof(code), "{\"error\":\"%s\"}", chat_error_code(fault.error));
	assert(n > 0 && (size_t)n < sizeof(code));
	refusal->message = fault.message == NULL ? chat_error_message(fault.error) : fault.message;
	refusal->data_json = (struct sio_str){ code, (size_t)n };
	return SIO_REFUSE;
}

static void end_waiting(struct peer *p, struct chat_fault fault)
{
	while (!list_empty(&p->waiting)) {
		struct request *r = list_entry(list_take_first(&p->waiting), struct request, waiting);

		if (fault.error == CHAT_OK)
			request_free(r);
		else
			request_fail(r, fault);
	}
}

/* A token has been looked up. */
struct lookup {
	struct peer *peer; /* a reference */
	struct chat_fault fault;
	struct user user;
};

static void run_now(struct request *r)
{
	r->user = r->peer->user;
	r->limit_key = r->peer->limit_key;
	r->command->run(r);
}

static void looked_up(struct sio_socket *socket, void *ctx)
{
	struct lookup *l = ctx;
	struct peer *p = l->peer;

	if (socket == NULL) {
		/* What waited went with the socket. */
	} else if (l->fault.error != CHAT_OK) {
		peer_set_state(p, PEER_NEW);
		end_waiting(p, l->fault);
		if (l->fault.error != unknown_token.error)
			sio_connection_close(socket); /* the token may be a good one: it comes again */
	} else {
		peer_set_user(p, &l->user);
		while (!list_empty(&p->waiting))
			run_now(list_entry(list_take_first(&p->waiting), struct request, waiting));
	}
	peer_unref(p);
	free(l);
}

static void on_user(void *ctx, enum store_status status, const struct store_user *user)
{
	struct lookup *l = ctx;
	struct peer *p = l->peer;

	if (status == STORE_OK)
		user_from_store(&l->user, user);
	else
		l->fault = status == STORE_NOT_FOUND ? unknown_token
						     : (struct chat_fault){ chat_error_of(status), NULL };
	if (sio_with(p->space, p->id, looked_up, l) != 0) {
		/* It would wait for ever. */
		(void)sio_connection_close_id(p->space, p->id);
		peer_unref(p);
		free(l);
	}
}

/* False: not even that can be tried now. */
static bool look_up(struct peer *p, const struct auth *a)
{
	uint8_t hash[STORE_TOKEN_HASH_BYTES];
	uint64_t retry_ms;

	if (!limits_take(
		    p->app->limits, LIMIT_TOKEN, p->caller->visitor.address, 1, clock_now_ns(), &retry_ms))
		return false;
	struct lookup *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return false;
	l->peer = p;
	peer_ref(p);
	peer_set_state(p, PEER_GREETING);
	chat_token_hash(str_of(a->token, sizeof(a->token)), hash);
	if (p->app->store->ops->find_token(p->app->store, hash, on_user, l) == STORE_OK)
		return true;
	peer_unref(p);
	free(l);
	return false;
}

static void on_connection(const struct sio_event *e)
{
	struct app *app = e->ctx;
	struct peer *p = peer_create(app, e->socket);
	struct auth a;

	if (p == NULL) {
		sio_connection_close(e->socket); /* no memory; it comes again */
		return;
	}
	sio_set_data(e->socket, p, peer_gone);
	peer_log_connected(p, e->socket);
	/* It was fine a moment ago: what may be wanting is memory. */
	bool fine = read_auth(e->auth, &a).error == CHAT_OK;
	if (fine && !a.has_token)
		peer_set_user(p, &(struct user){ .id = STORE_ANONYMOUS, .guest = true, .name = a.name });
	else if (!fine || !look_up(p, &a))
		sio_connection_close(e->socket); /* for now: it comes again */
}

static void on_disconnect(const struct sio_event *e)
{
	struct peer *p = sio_data(e->socket);

	peer_log_disconnected(e);
	if (p != NULL)
		end_waiting(p, CHAT_FINE);
}

/* Who wants no answer cannot be told to wait: more is taken of him, until that is too much as well. */
static bool too_many(const struct peer *p, bool wanted)
{
	unsigned under_way = atomic_load_explicit(&p->caller->commands, memory_order_relaxed);
	size_t bytes = atomic_load_explicit(&p->caller->command_bytes, memory_order_relaxed);

	return under_way >= (wanted ? APP_COMMANDS_MAX : APP_UNASKED_MAX) || bytes >= APP_COMMAND_BYTES_MAX;
}

static struct chat_fault may_ask(const struct peer *p, bool read, bool wanted)
{
	if (p == NULL || too_many(p, wanted))
		return (struct chat_fault){ CHAT_BUSY, NULL };
	if (read && atomic_load_explicit(&p->caller->reads, memory_order_relaxed) >= APP_READS_MAX)
		return (struct chat_fault){ CHAT_BUSY, NULL };
	return peer_state(p) == PEER_NEW ? unknown_token : CHAT_FINE;
}

/* A request with the options read; NULL: answered already. `options` may be absent, or null. */
static struct request *begin(const struct sio_event *e, const struct command *c, size_t options, size_t more)
{
	struct peer *p = sio_data(e->socket);
	struct chat_fault fault = may_ask(p, (c->flags & COMMAND_READ) != 0, e->ack.wanted);
	struct sio_str json = { "{}", 2 }, further;

	if (sio_arg(e, options, &further) && !str_equal(str_of_sio(further), STR("null")))
		json = further;
	if (fault.error == CHAT_OK && sio_arg(e, options + 1, &further))
		fault = (struct chat_fault){ CHAT_INVALID, "too many arguments" };
	if (fault.error == CHAT_OK && json.bytes + more > APP_ARGUMENTS_BYTES_MAX)
		fault = (struct chat_fault){ CHAT_TOO_LARGE, "the arguments are too large" };
	struct request *r =
		fault.error == CHAT_OK ? request_create(p->app, p, c, json.bytes * 2 + more) : NULL;
	if (r == NULL) {
		if (fault.error == CHAT_OK)
			fault = (struct chat_fault){ CHAT_BUSY, NULL };
		request_refuse(e->ack, fault, 0);
		return NULL;
	}
	r->ack = e->ack;
	fault = command_read(r, str_of_sio(json));
	if (fault.error != CHAT_OK) {
		request_fail(r, fault);
		return NULL;
	}
	if ((c->flags & COMMAND_READ) != 0 && !request_count_read(r))
		return NULL;
	return r;
}

static void run_or_wait(struct request *r)
{
	if (peer_state(r->peer) == PEER_READY)
		run_now(r);
	else
		list_push_back(&r->peer->waiting, &r->waiting);
}

static void on_sent(void *ctx, enum store_status status, const struct store_sent *sent)
{
	struct request *r = ctx;

	if (status != STORE_OK && status != STORE_SAME) {
		request_fail_store(r, status);
		return;
	}
	json_lit(&r->answer, "{\"ok\":true,\"seq\":");
	json_number(&r->answer, sent->seq);
	json_lit(&r->answer, "}");
	request_push(r, NULL, 0, 0);
}

static void say(struct request *r)
{
	send_message(r, STORE_LOBBY, r->args[ARG_CID].string, r->args[ARG_TEXT].string, on_sent);
}

static const struct command command_say = {
	.name = "message",
	.args = { [ARG_CID] = { "cid", ARG_STRING, true, 0 } },
	.run = say,
};

static void on_message(const struct sio_event *e)
{
	struct sio_str text = { "", 0 };
	struct json_value value;

	if (!sio_arg(e, 0, &text) || !json_scan(str_of_sio(text), &value) || value.type != JSON_STRING) {
		request_refuse(e->ack, (struct chat_fault){ CHAT_INVALID, "a message is a text" }, 0);
		return;
	}
	struct request *r = begin(e, &command_say, 1, text.bytes);
	if (r == NULL)
		return;
	if (r->args[ARG_CID].given && r->args[ARG_CID].string.bytes == 0) {
		request_fail(r, (struct chat_fault){ CHAT_INVALID, "the cid is empty" });
		return;
	}
	/* Behind what the options have. */
	char *room = r->room + r->room_bytes - text.bytes;
	if (!args_string(value, room, &r->args[ARG_TEXT].string)) {
		request_fail(r, (struct chat_fault){ CHAT_INVALID, "the text has half of a surrogate pair" });
		return;
	}
	run_or_wait(r);
}

static void on_page(void *ctx, enum store_status status, const struct store_page *page)
{
	struct request *r = ctx;

	if (status != STORE_OK) {
		request_fail_store(r, status);
		return;
	}
	json_lit(&r->answer, "{\"ok\":true,\"entries\":[");
	for (size_t i = 0; i < page->count; i++) {
		if (i > 0)
			json_lit(&r->answer, ",");
		write_plain_entry(&r->answer, &page->entries[i]);
	}
	json_lit(&r->answer, "]");
	/* Fewer than were asked for although there are others: the size ended it. */
	if (page->more && page->count < history_messages(&r->args[ARG_LIMIT]))
		json_lit(&r->answer, ",\"more\":true");
	json_lit(&r->answer, "}");
	request_push(r, NULL, page->room, page->as_of);
}

static void recall(struct request *r)
{
	history_ask(r, STORE_LOBBY, &r->args[ARG_BEFORE], &r->args[ARG_LIMIT], on_page);
}

static const struct command command_recall = {
	.name = "history",
	.args = {
		[ARG_BEFORE] = { "before", ARG_INTEGER, true, ARGS_INTEGER_MAX },
		[ARG_LIMIT] = { "limit", ARG_INTEGER, true, ARGS_INTEGER_MAX },
	},
	.flags = COMMAND_READ,
	.run = recall,
};

static void on_history(const struct sio_event *e)
{
	struct request *r = begin(e, &command_recall, 0, 0);

	if (r != NULL)
		run_or_wait(r);
}

static void on_other(const struct sio_event *e)
{
	request_refuse(e->ack, (struct chat_fault){ CHAT_UNKNOWN_COMMAND, NULL }, 0);
}

int root_listen(struct app *app)
{
	static const struct {
		const char *event;
		sio_handler_fn *fn;
	} handlers[] = {
		{ "connection", on_connection },
		{ "disconnect", on_disconnect },
		{ "message", on_message },
		{ "history", on_history },
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(handlers) / sizeof(handlers[0]); i++)
		rc = sio_on(app->root, handlers[i].event, handlers[i].fn, app);
	if (rc == 0)
		rc = sio_use(app->root, admit, app);
	if (rc == 0)
		sio_on_other(app->root, on_other, app);
	return rc;
}
