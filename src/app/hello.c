/*
 * app/hello.c -- `hello`: a name makes a guest, a token names one again; on a socket it also subscribes.
 *
 *      loop: checked --> store: the user --> store: his rooms --> sequencer: their heads --> loop: answered, then joined
 *
 * The heads are those that have left this process when the sequencer comes to it; from there the loop is reached in order
 * with the entries that follow. So every entry after a head is heard, and none before it.
 */
#include <stdlib.h>

#include "app/command.h"
#include "app/write.h"
#include "base/assert.h"

enum {
	ARG_NAME,
	ARG_TOKEN,
	ARG_COOKIE,
	NAME_BYTES_MAX = 1024, /* as it is sent; chat/name.h has the real limit */
	TOKEN_BYTES_MAX = 64,
};

/* What is kept of the user's rooms until they are answered. */
struct rooms {
	size_t count;
	struct store_room room[];
};

static const struct chat_fault unknown_token = { CHAT_UNAUTHENTICATED, "this token is not known" };

static void fail(struct request *r, struct chat_fault fault)
{
	/* Before he can hear of it, so that he may try again at once. */
	if (r->peer != NULL && peer_state(r->peer) == PEER_GREETING)
		peer_set_state(r->peer, PEER_NEW);
	request_fail(r, fault);
}

/* The user is known, and a new guest has been made: `busy` and `unavailable` would say that nothing was done. */
static void fail_later(struct request *r, enum chat_error error)
{
	fail(r, (struct chat_fault){ r->args[ARG_NAME].given ? CHAT_UNKNOWN : error, NULL });
}

static void subscribed(struct sio_socket *socket, void *ctx)
{
	struct request *r = ctx;
	struct rooms *rooms = r->work;
	struct peer *p = r->peer;

	if (socket == NULL) {
		request_free(r);
		return;
	}
	peer_set_user(p, &r->user);
	peer_ref(p);
	r->work = NULL;
	request_done(r);
	for (size_t i = 0; i < rooms->count; i++) {
		if (!peer_subscribe(p, socket, rooms->room[i].id)) {
			sio_connection_close(socket); /* no memory: it comes again */
			break;
		}
	}
	free(rooms);
	peer_unref(p);
}

static void write_answer(struct sequencer *s, struct request *r)
{
	struct store_user user = peer_user(&r->user);
	const struct rooms *rooms = r->work;
	struct json *j = &r->answer;

	json_lit(j, "{\"ok\":true,\"user\":");
	write_user(j, &user);
	if (r->token[0] != '\0' && !r->set_cookie) {
		json_lit(j, ",\"token\":");
		json_string(j, str_of(r->token, sizeof(r->token)));
	}
	json_lit(j, ",\"epoch\":");
	json_string(j, str_of(r->app->epoch, STORE_EPOCH_BYTES));
	json_lit(j, ",\"now\":");
	json_signed(j, write_now_ms());
	json_lit(j, ",\"rooms\":[");
	for (size_t i = 0; i < rooms->count; i++) {
		uint64_t head;
		uint32_t nonce;

		if (i > 0)
			json_lit(j, ",");
		bool sure = sequencer_head(s, rooms->room[i].id, &head, &nonce);
		if (!sure && rooms->room[i].head > head) {
			head = rooms->room[i].head;
			nonce = rooms->room[i].head_nonce;
		}
		write_room(j, &rooms->room[i], head, nonce);
	}
	json_lit(j, "]}");
}

static void in_turn(struct sequencer *s, struct sequencer_item *item)
{
	struct request *r = (struct request *)(void *)item;

	write_answer(s, r);
	if (r->way == REQUEST_BY_HTTP)
		request_done(r);
	else if (sio_with(r->app->chat, r->peer->id, subscribed, r) != 0)
		fail_later(r, CHAT_BUSY);
}

static void on_rooms(void *ctx, enum store_status status, const struct store_room *list, size_t count)
{
	struct request *r = ctx;
	size_t bytes = sizeof(struct rooms) + count * sizeof(list[0]);

	if (status != STORE_OK) {
		fail_later(r, chat_error_of(status));
		return;
	}
	for (size_t i = 0; i < count; i++)
		bytes += list[i].name.bytes;
	struct rooms *rooms = malloc(bytes);
	if (rooms == NULL) {
		fail_later(r, CHAT_BUSY);
		return;
	}
	char *names = (char *)&rooms->room[count];
	rooms->count = count;
	for (size_t i = 0; i < count; i++) {
		rooms->room[i] = list[i];
		if (list[i].name.bytes > 0)
			memcpy(names, list[i].name.s, list[i].name.bytes);
		rooms->room[i].name.s = names;
		names += list[i].name.bytes;
	}
	r->work = rooms;
	request_push(r, in_turn, 0, 0);
}

static void on_user(void *ctx, enum store_status status, const struct store_user *user)
{
	struct request *r = ctx;

	if (status == STORE_NOT_FOUND) {
		fail(r, unknown_token);
		return;
	}
	if (status != STORE_OK) {
		fail(r, (struct chat_fault){ chat_error_of(status), NULL });
		return;
	}
	user_from_store(&r->user, user);
	status = r->app->store->ops->rooms(r->app->store, user->id, on_rooms, r);
	if (status != STORE_OK)
		fail_later(r, chat_error_of(status));
}

static void be_new(struct request *r)
{
	uint8_t hash[STORE_TOKEN_HASH_BYTES];
	struct chat_name name;

	struct chat_fault fault = chat_name_clean(r->args[ARG_NAME].string, &name);
	if (fault.error != CHAT_OK) {
		request_fail(r, fault);
		return;
	}
	if (!command_allowed(r, LIMIT_GUEST, r->visitor.address, 1))
		return;
	if (r->peer != NULL)
		peer_set_state(r->peer, PEER_GREETING);
	chat_token_make(r->token);
	r->set_cookie = r->args[ARG_COOKIE].flag;
	chat_token_hash(str_of(r->token, sizeof(r->token)), hash);
	enum store_status status =
		r->app->store->ops->create_guest(r->app->store, chat_name_str(&name), hash, on_user, r);
	if (status != STORE_OK)
		fail(r, (struct chat_fault){ chat_error_of(status), NULL });
}

/* Whom his cookie made known has it for another year, so that who comes every day is never forgotten. */
static bool wants_cookie(const struct request *r)
{
	bool by_cookie = r->visitor.by_cookie && !r->args[ARG_TOKEN].given;

	return r->args[ARG_COOKIE].flag || (by_cookie && r->way == REQUEST_BY_HTTP);
}

static void be_known(struct request *r, struct str token)
{
	uint8_t hash[STORE_TOKEN_HASH_BYTES];

	if (!chat_token_valid(token)) {
		request_fail(r, unknown_token);
		return;
	}
	if (!command_allowed(r, LIMIT_HELLO, r->visitor.address, 1))
		return;
	if (r->peer != NULL)
		peer_set_state(r->peer, PEER_GREETING);
	r->set_cookie = wants_cookie(r);
	if (r->set_cookie)
		memcpy(r->token, token.s, sizeof(r->token));
	chat_token_hash(token, hash);
	enum store_status status = r->app->store->ops->find_token(r->app->store, hash, on_user, r);
	if (status != STORE_OK)
		fail(r, (struct chat_fault){ chat_error_of(status), NULL });
}

static struct chat_fault check(const struct request *r)
{
	bool name = r->args[ARG_NAME].given, token = r->args[ARG_TOKEN].given;

	if (r->peer != NULL && peer_state(r->peer) != PEER_NEW)
		return (struct chat_fault){ CHAT_INVALID, "hello was said already" };
	if (r->peer != NULL && r->args[ARG_COOKIE].given)
		return (struct chat_fault){ CHAT_INVALID, "cookie: a socket cannot set one" };
	if (name && token)
		return (struct chat_fault){ CHAT_INVALID, "either name or token" };
	if (!r->visitor.guests)
		return (struct chat_fault){ CHAT_GUESTS_REFUSED, NULL };
	if (!name && !token && !r->visitor.has_token)
		return (struct chat_fault){ CHAT_UNAUTHENTICATED, "a name or a token is wanted" };
	return CHAT_FINE;
}

static void run(struct request *r)
{
	struct chat_fault fault = check(r);

	if (fault.error != CHAT_OK)
		request_fail(r, fault);
	else if (r->args[ARG_NAME].given)
		be_new(r);
	else
		be_known(
			r, r->args[ARG_TOKEN].given ? r->args[ARG_TOKEN].string : visitor_token(&r->visitor));
}

const struct command command_hello = {
	.name = "hello",
	.args = {
		[ARG_NAME] = { "name", ARG_STRING, true, NAME_BYTES_MAX },
		[ARG_TOKEN] = { "token", ARG_STRING, true, TOKEN_BYTES_MAX },
		[ARG_COOKIE] = { "cookie", ARG_BOOL, true, 0 },
	},
	.flags = COMMAND_OPEN,
	.run = run,
};
