/* app/command.c -- the table, and the way from an event of `/chat` to a command. See app/command.h. */
#include "app/command.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"

const struct command *const commands[] = {
	&command_hello,
	&command_history,
	&command_sync,
	&command_send,
	&command_typing,
	NULL,
};

const struct command *command_find(struct str name)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		if (str_equal(name, str_c(commands[i]->name)))
			return commands[i];
	}
	return NULL;
}

/* Its objects are slices of `json`: they are moved to the request's own copy. */
struct chat_fault command_read(struct request *r, struct str json)
{
	char *copy = r->room, *strings = r->room + json.bytes;

	if (json.bytes > 0)
		memcpy(copy, json.s, json.bytes);
	return args_read(r->command->args, str_of(copy, json.bytes), strings, r->args, r->why);
}

bool command_allowed(struct request *r, enum limit_kind kind, uint64_t key, uint32_t count)
{
	uint64_t retry_ms;

	if (limits_take(r->app->limits, kind, key, count, clock_now_ns(), &retry_ms))
		return true;
	request_fail_later(r, retry_ms);
	return false;
}

static struct chat_fault may_ask(const struct peer *p, const struct command *c)
{
	if (atomic_load_explicit(&p->caller->commands, memory_order_relaxed) >= APP_COMMANDS_MAX ||
		atomic_load_explicit(&p->caller->command_bytes, memory_order_relaxed) >=
			APP_COMMAND_BYTES_MAX)
		return (struct chat_fault){ CHAT_BUSY, NULL };
	if ((c->flags & COMMAND_READ) != 0 &&
		atomic_load_explicit(&p->caller->reads, memory_order_relaxed) >= APP_READS_MAX)
		return (struct chat_fault){ CHAT_BUSY, NULL };
	if ((c->flags & COMMAND_OPEN) == 0 && peer_state(p) != PEER_READY)
		return (struct chat_fault){ CHAT_UNAUTHENTICATED, NULL };
	return CHAT_FINE;
}

static void on_command(const struct sio_event *e)
{
	const struct command *c = e->ctx;
	struct peer *p = sio_data(e->socket);
	struct sio_str first, second;

	struct chat_fault fault = p == NULL ? (struct chat_fault){ CHAT_BUSY, NULL } : may_ask(p, c);
	if (fault.error == CHAT_OK && (!sio_arg(e, 0, &first) || sio_arg(e, 1, &second)))
		fault = (struct chat_fault){ CHAT_INVALID, "the arguments are not one object" };
	if (fault.error == CHAT_OK && first.bytes > APP_ARGUMENTS_BYTES_MAX)
		fault = (struct chat_fault){ CHAT_TOO_LARGE, "the arguments are too large" };
	if (fault.error != CHAT_OK) {
		request_refuse(e->ack, fault, 0);
		return;
	}
	struct request *r = request_create(p->app, p, c, first.bytes * 2);
	if (r == NULL) {
		request_refuse(e->ack, (struct chat_fault){ CHAT_BUSY, NULL }, 0);
		return;
	}
	r->ack = e->ack;
	r->user = p->user;
	fault = command_read(r, str_of_sio(first));
	if (fault.error != CHAT_OK) {
		request_fail(r, fault);
		return;
	}
	if ((c->flags & COMMAND_READ) == 0 || request_count_read(r))
		c->run(r);
}

static void on_other(const struct sio_event *e)
{
	request_refuse(e->ack, (struct chat_fault){ CHAT_UNKNOWN_COMMAND, NULL }, 0);
}

static void on_connection(const struct sio_event *e)
{
	struct app *app = e->ctx;
	struct peer *p = peer_create(app, e->socket);

	if (p == NULL) {
		sio_connection_close(e->socket); /* no memory; it comes again */
		return;
	}
	sio_set_data(e->socket, p, peer_gone);
	peer_log_connected(p, e->socket);
}

int command_listen(struct app *app)
{
	int rc = sio_on(app->chat, "connection", on_connection, app);

	if (rc == 0)
		rc = sio_on(app->chat, "disconnect", peer_log_disconnected, app);
	if (rc == 0)
		rc = sio_on(app->chat, "lagging", peer_lagging, app);
	if (rc == 0)
		rc = sio_on(app->chat, "drained", peer_drained, app);
	for (size_t i = 0; rc == 0 && commands[i] != NULL; i++)
		rc = sio_on(app->chat, commands[i]->name, on_command, (void *)(uintptr_t)commands[i]);
	if (rc == 0)
		sio_on_other(app->chat, on_other, app);
	return rc;
}
