/* app/history.c -- `room.history`: a page of messages before a number. */
#include "app/history.h"

#include "app/command.h"
#include "app/write.h"

enum {
	ARG_ROOM,
	ARG_BEFORE,
	ARG_LIMIT,
	HISTORY_MESSAGES = 50, /* where nothing is said */
};

static void on_page(void *ctx, enum store_status status, const struct store_page *page)
{
	struct request *r = ctx;

	if (status != STORE_OK) {
		request_fail_store(r, status);
		return;
	}
	json_lit(&r->answer, "{\"ok\":true,");
	write_page(&r->answer, page, false);
	json_lit(&r->answer, "}");
	request_push(r, NULL, page->room, page->as_of);
}

uint32_t history_messages(const struct arg_value *limit)
{
	if (!limit->given)
		return HISTORY_MESSAGES;
	return limit->number > STORE_PAGE_MESSAGES_MAX ? STORE_PAGE_MESSAGES_MAX : (uint32_t)limit->number;
}

void history_ask(struct request *r, int64_t room, const struct arg_value *before,
	const struct arg_value *limit, store_page_fn *fn)
{
	uint32_t messages = history_messages(limit);

	if (messages == 0) {
		request_fail(r, (struct chat_fault){ CHAT_INVALID, "limit is less than 1" });
		return;
	}
	if (!command_allowed(r, LIMIT_READ, r->limit_key, 1) ||
		!command_allowed(r, LIMIT_READ_ADDRESS, r->visitor.address, 1))
		return;
	/* Nothing is before 0 or 1, and to the store 0 says: from the end. */
	uint64_t seq = !before->given ? 0 : before->number == 0 ? 1 : before->number;
	enum store_status status = r->app->store->ops->page_before(r->app->store, room, seq, messages, fn, r);
	if (status != STORE_OK)
		request_fail_store(r, status);
}

static void run(struct request *r)
{
	history_ask(r, (int64_t)r->args[ARG_ROOM].number, &r->args[ARG_BEFORE], &r->args[ARG_LIMIT], on_page);
}

const struct command command_history = {
	.name = "room.history",
	.args = {
		[ARG_ROOM] = { "room", ARG_INTEGER, false, ARGS_INTEGER_MAX },
		[ARG_BEFORE] = { "before", ARG_INTEGER, true, ARGS_INTEGER_MAX },
		[ARG_LIMIT] = { "limit", ARG_INTEGER, true, ARGS_INTEGER_MAX },
	},
	.flags = COMMAND_READ,
	.run = run,
};
