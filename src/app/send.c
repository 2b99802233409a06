/* app/send.c -- `message.send`: says something in a room, once however often it is repeated. */
#include "app/send.h"

#include "app/command.h"
#include "chat/message.h"

enum {
	ARG_ROOM,
	ARG_CID,
	ARG_TEXT,
};

static void on_sent(void *ctx, enum store_status status, const struct store_sent *sent)
{
	struct request *r = ctx;

	if (status != STORE_OK && status != STORE_SAME) {
		request_fail_store(r, status);
		return;
	}
	json_lit(&r->answer, "{\"ok\":true,\"seq\":");
	json_number(&r->answer, sent->seq);
	json_lit(&r->answer, ",\"nonce\":");
	json_number(&r->answer, sent->nonce);
	json_lit(&r->answer, ",\"at\":");
	json_signed(&r->answer, sent->at_ms);
	json_lit(&r->answer, "}");
	request_push(r, NULL, 0, 0); /* its entry was pushed by the same thread just before */
}

/* What a message counts as, for the rates: one, and one more for each SEND_UNIT_BYTES. */
static uint32_t weight(struct str text)
{
	return 1 + (uint32_t)(text.bytes / SEND_UNIT_BYTES);
}

void send_message(struct request *r, int64_t room, struct str cid, struct str text, store_sent_fn *fn)
{
	struct chat_fault fault = cid.bytes == 0 ? CHAT_FINE : chat_cid_check(cid);

	if (fault.error == CHAT_OK)
		fault = chat_text_check(text);
	if (fault.error == CHAT_OK && sequencer_behind(r->app->sequencer))
		fault = (struct chat_fault){ CHAT_BUSY, NULL };
	if (fault.error != CHAT_OK) {
		request_fail(r, fault);
		return;
	}
	if (!command_allowed(r, LIMIT_SEND, r->limit_key, weight(text)) ||
		!command_allowed(r, LIMIT_SEND_ADDRESS, r->visitor.address, weight(text)))
		return;
	struct store_send send = {
		.room = room,
		.author = r->user.id,
		.name = chat_name_str(&r->user.name),
		.cid = cid,
		.text = text,
	};
	enum store_status status = r->app->store->ops->append(r->app->store, &send, fn, r);
	if (status != STORE_OK)
		request_fail_store(r, status);
}

static void run(struct request *r)
{
	struct str cid = r->args[ARG_CID].string;

	/* There has to be one here; what is wrong with it otherwise is found out with the rest. */
	if (cid.bytes == 0)
		request_fail(r, chat_cid_check(cid));
	else
		send_message(r, (int64_t)r->args[ARG_ROOM].number, cid, r->args[ARG_TEXT].string, on_sent);
}

const struct command command_send = {
	.name = "message.send",
	.args = {
		[ARG_ROOM] = { "room", ARG_INTEGER, false, ARGS_INTEGER_MAX },
		[ARG_CID] = { "cid", ARG_STRING, false, 0 },
		[ARG_TEXT] = { "text", ARG_STRING, false, 0 },
	},
	.run = run,
};
