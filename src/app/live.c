/* app/live.c -- see app/live.h. */
#include "app/live.h"

#include <errno.h>
#include <stdio.h>

#include "app/write.h"
#include "base/assert.h"

/* Of an entry as JSON: all but its texts, and some escapes. */
enum { ENTRY_BYTES = 256 };

void live_room_name(char out[LIVE_ROOM_BYTES], int64_t room)
{
	int n = snprintf(out, LIVE_ROOM_BYTES, "%lld", (long long)room);

	assert(n > 0 && n < LIVE_ROOM_BYTES);
}

/* Gives the text up. A loop that is too far behind (-ENOBUFS) closes its clients itself, and they come again. */
static bool emit(struct sio_target target, const char *event, struct json *args)
{
	int rc = -ENOMEM;

	if (!json_failed(args))
		rc = sio_emit(target, event, (struct sio_args){ .json = sio_of_str(json_str(args)) });
	assert(rc != -EINVAL);
	json_finish(args);
	return rc == 0 || rc == -ENOBUFS;
}

/* `["text",{"seq":1,"at":2,"name":"Ann"}]` */
static bool push_to_root(struct app *app, const struct store_entry *e)
{
	struct json args;

	json_init(&args);
	json_reserve(&args, ENTRY_BYTES + e->name.bytes + e->text.bytes);
	json_lit(&args, "[");
	json_string(&args, e->text);
	json_lit(&args, ",{\"seq\":");
	json_number(&args, e->seq);
	json_lit(&args, ",\"at\":");
	json_signed(&args, e->at_ms);
	json_lit(&args, ",\"name\":");
	json_string(&args, e->name);
	json_lit(&args, "}]");
	return emit(sio_all(app->root), "message", &args);
}

bool live_push(struct app *app, const struct store_entry *e)
{
	char room[LIVE_ROOM_BYTES];
	struct sio_target target = sio_all(app->chat);
	struct json args;

	live_room_name(room, e->room);
	target.room = room;
	json_init(&args);
	json_reserve(&args, ENTRY_BYTES + e->name.bytes + e->cid.bytes + e->text.bytes);
	json_lit(&args, "[");
	write_entry(&args, e);
	json_lit(&args, "]");
	bool chat = emit(target, "entry", &args);
	bool root = e->room != STORE_LOBBY || push_to_root(app, e);
	return chat && root;
}

unsigned live_gap(struct app *app, unsigned whom)
{
	if ((whom & LIVE_CHAT) != 0) {
		int rc = sio_emit(sio_all(app->chat), "gap", sio_json("[{}]"));
		if (rc == 0 || rc == -ENOBUFS) /* who has not got it is closed, and comes again */
			whom &= ~(unsigned)LIVE_CHAT;
	}
	/* Those on `/` have no word for it: they come again, and may look at the history. */
	if ((whom & LIVE_ROOT) != 0 && sio_connection_close_all(sio_all(app->root)) == 0)
		whom &= ~(unsigned)LIVE_ROOT;
	return whom;
}

bool live_gap_one(const struct sio_socket *socket)
{
	return sio_emit(sio_self(socket), "gap", sio_json("[{}]")) == 0;
}

void live_typing(struct app *app, int64_t room, const struct store_user *user, struct sio_id except)
{
	char name[LIVE_ROOM_BYTES];
	struct sio_target target = sio_all(app->chat);
	struct json args;

	live_room_name(name, room);
	target.room = name;
	target.except = except;
	target.is_volatile = true;
	json_init(&args);
	json_lit(&args, "[{\"room\":");
	json_signed(&args, room);
	json_lit(&args, ",\"user\":{\"id\":");
	json_signed(&args, user->id);
	json_lit(&args, ",\"name\":");
	json_string(&args, user->name);
	json_lit(&args, "}}]");
	(void)emit(target, "typing", &args); /* it may be lost */
}
