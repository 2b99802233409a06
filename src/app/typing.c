/* app/typing.c -- `typing`: tells the others in a room, who may miss it. */
#include "app/command.h"
#include "app/live.h"
#include "base/clock.h"

enum { ARG_ROOM };

static void run(struct request *r)
{
	int64_t room = (int64_t)r->args[ARG_ROOM].number;
	struct store_user user = peer_user(&r->user);
	uint64_t key = r->limit_key * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)room, retry_ms;

	if (!r->peer->subscribed || room != STORE_LOBBY) {
		request_fail(r, (struct chat_fault){ CHAT_NOT_FOUND, NULL });
		return;
	}
	/* More often than is passed on is no error. */
	if (limits_take(r->app->limits, LIMIT_TYPING, key, 1, clock_now_ns(), &retry_ms))
		live_typing(r->app, room, &user, r->peer->id);
	json_lit(&r->answer, "{\"ok\":true}");
	request_done(r);
}

const struct command command_typing = {
	.name = "typing",
	.args = { [ARG_ROOM] = { "room", ARG_INTEGER, false, ARGS_INTEGER_MAX } },
	.flags = COMMAND_SOCKET,
	.run = run,
};
