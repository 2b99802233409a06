/*
 * app/sync.c -- `room.sync`: what came after the entry that a client knows last, in each of its rooms.
 *
 * Rooms are read one after the other, until the answer is full; what is left is said to have more.
 */
#include <stdlib.h>

#include "app/command.h"
#include "app/write.h"
#include "base/assert.h"

enum {
	ARG_EPOCH,
	ARG_ROOMS,
	EPOCH_BYTES_MAX = 64,
	SYNC_ROOMS_MAX = 64, /* in one call */
};

struct known {
	int64_t room;
	uint64_t seq; /* UINT64_MAX: void */
	uint32_t nonce;
	uint64_t as_of;
};

struct sync {
	size_t count, at;
	struct known known[SYNC_ROOMS_MAX];
};

static void ask_next(struct request *);

/* All rooms have been read: not before their entries have left, one after the other. */
static void in_turn(struct sequencer *s, struct sequencer_item *item)
{
	struct request *r = (struct request *)(void *)item;
	struct sync *sync = r->work;

	if (sync->at == sync->count) {
		request_done(r);
		return;
	}
	r->item.room = sync->known[sync->at].room;
	r->item.after = sync->known[sync->at].as_of;
	sync->at++;
	sequencer_push(s, &r->item);
}

static void finish(struct request *r)
{
	struct sync *sync = r->work;

	json_lit(&r->answer, "]}");
	sync->at = 0;
	request_push(r, in_turn, 0, 0);
}

static void begin_room(struct request *r)
{
	const struct sync *sync = r->work;

	json_raw(&r->answer, sync->at > 0 ? STR(",{") : STR("{"));
}

static void on_page(void *ctx, enum store_status status, const struct store_page *page)
{
	struct request *r = ctx;
	struct sync *sync = r->work;

	if (status != STORE_OK && status != STORE_NOT_FOUND) {
		request_fail_store(r, status);
		return;
	}
	begin_room(r);
	if (status == STORE_OK) {
		write_page(&r->answer, page, true);
		sync->known[sync->at].as_of = page->as_of;
	} else {
		json_lit(&r->answer, "\"room\":");
		json_signed(&r->answer, sync->known[sync->at].room);
		json_lit(&r->answer, ",\"error\":\"not_found\"");
	}
	json_lit(&r->answer, "}");
	sync->at++;
	ask_next(r);
}

/* No room for more entries in this answer. */
static void put_off(struct request *r)
{
	struct sync *sync = r->work;
	struct store_page nothing = { .room = sync->known[sync->at].room, .more = true };

	begin_room(r);
	write_page(&r->answer, &nothing, true);
	json_lit(&r->answer, "}");
	sync->at++;
}

static void ask_next(struct request *r)
{
	struct sync *sync = r->work;

	while (sync->at < sync->count && r->answer.buf.bytes >= STORE_PAGE_BYTES_MAX)
		put_off(r);
	if (sync->at == sync->count) {
		finish(r);
		return;
	}
	const struct known *k = &sync->known[sync->at];
	enum store_status status =
		r->app->store->ops->resume(r->app->store, k->room, k->seq, k->nonce, on_page, r);
	if (status != STORE_OK)
		request_fail_store(r, status);
}

/* A number has one form, so that no room comes twice by another. */
static bool read_room(struct str key, uint64_t *ret_room)
{
	return key.bytes > 0 && (key.s[0] != '0' || key.bytes == 1) &&
	       str_parse_u64(key, ARGS_INTEGER_MAX, ret_room);
}

/* `"1":[12,345]`. What is no number that we could have given is void. */
static bool read_known(struct str key, struct json_value item, struct known *ret)
{
	struct json_value pair[2];
	uint64_t room, seq, nonce;
	size_t count;

	if (!read_room(key, &room) || item.type != JSON_ARRAY ||
		!json_scan_array(item.text, pair, 2, &count) || count != 2 || pair[0].type != JSON_NUMBER ||
		pair[1].type != JSON_NUMBER)
		return false;
	*ret = (struct known){ .room = (int64_t)room, .seq = UINT64_MAX };
	if (json_u64(pair[0], ARGS_INTEGER_MAX, &seq) && json_u64(pair[1], UINT32_MAX, &nonce)) {
		ret->seq = seq;
		ret->nonce = (uint32_t)nonce;
	}
	return true;
}

static struct chat_fault read_rooms(const struct request *r, struct sync *sync)
{
	bool same = str_equal(r->args[ARG_EPOCH].string, str_of(r->app->epoch, STORE_EPOCH_BYTES));
	struct json_walk walk = json_walk_begin(r->args[ARG_ROOMS].json);
	struct json_value item;
	struct str key;

	while (json_walk_next(&walk, &key, &item)) {
		if (sync->count == SYNC_ROOMS_MAX)
			return (struct chat_fault){ CHAT_INVALID, "more than 64 rooms" };
		struct known *k = &sync->known[sync->count++];
		if (!read_known(key, item, k))
			return (struct chat_fault){ CHAT_INVALID, "rooms: each is \"id\": [seq, nonce]" };
		for (size_t i = 0; i + 1 < sync->count; i++) {
			if (sync->known[i].room == k->room)
				return (struct chat_fault){ CHAT_INVALID, "rooms: one is there twice" };
		}
		if (!same)
			k->seq = UINT64_MAX;
	}
	return CHAT_FINE;
}

static void run(struct request *r)
{
	struct sync *sync = calloc(1, sizeof(*sync));

	if (sync == NULL) {
		request_fail(r, (struct chat_fault){ CHAT_BUSY, NULL });
		return;
	}
	r->work = sync;
	struct chat_fault fault = read_rooms(r, sync);
	if (fault.error != CHAT_OK) {
		request_fail(r, fault);
		return;
	}
	/* Each room is a read, and so is to ask for none. */
	uint32_t reads = sync->count == 0 ? 1 : (uint32_t)sync->count;
	if (!command_allowed(r, LIMIT_READ, r->limit_key, reads) ||
		!command_allowed(r, LIMIT_READ_ADDRESS, r->visitor.address, reads))
		return;
	json_lit(&r->answer, "{\"ok\":true,\"epoch\":");
	json_string(&r->answer, str_of(r->app->epoch, STORE_EPOCH_BYTES));
	json_lit(&r->answer, ",\"rooms\":[");
	ask_next(r);
}

const struct command command_sync = {
	.name = "room.sync",
	.args = {
		[ARG_EPOCH] = { "epoch", ARG_STRING, false, EPOCH_BYTES_MAX },
		[ARG_ROOMS] = { "rooms", ARG_OBJECT, false, 0 },
	},
	.flags = COMMAND_READ,
	.run = run,
};
