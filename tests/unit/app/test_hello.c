/* `/chat`: `hello` when the store has made a guest and can do no more; and who has asked for too much already. */
#include "app/command.h"

#include "stand_ins.h"

static struct {
	enum store_status made, rooms_begun, rooms;
} script; /* what the store answers */

static enum store_status create_guest(struct store *s, struct str name,
	const uint8_t hash[STORE_TOKEN_HASH_BYTES], store_user_fn *fn, void *ctx)
{
	const struct store_user user = { .id = 7, .guest = true, .name = name };

	(void)s;
	(void)hash;
	fn(ctx, script.made, script.made == STORE_OK ? &user : NULL);
	return STORE_OK;
}

static enum store_status find_token(
	struct store *s, const uint8_t hash[STORE_TOKEN_HASH_BYTES], store_user_fn *fn, void *ctx)
{
	return create_guest(s, STR("Ann"), hash, fn, ctx);
}

static enum store_status rooms(struct store *s, int64_t user, store_rooms_fn *fn, void *ctx)
{
	(void)s;
	assert_int_equal(user, 7);
	if (script.rooms_begun == STORE_OK)
		fn(ctx, script.rooms, NULL, 0);
	return script.rooms_begun;
}

static const struct store_ops ops = {
	.name = "stand-in", .create_guest = create_guest, .find_token = find_token, .rooms = rooms
};
static struct store store = { .ops = &ops };

static void expect(const char *json, enum store_status made, enum store_status begun,
	enum store_status answered, const char *code)
{
	char quoted[64];

	memset(&seen, 0, sizeof(seen));
	app.store = &store;
	script.made = made;
	script.rooms_begun = begun;
	script.rooms = answered;
	struct request *r = request_create(&app, NULL, &command_hello, 2 * strlen(json));
	assert_non_null(r);
	r->visitor.guests = true;
	assert_int_equal(command_read(r, str_c(json)).error, CHAT_OK);
	command_hello.run(r);
	assert_int_equal(seen.answers, 1);
	snprintf(quoted, sizeof(quoted), "\"error\":\"%s\"", code);
	assert_non_null(strstr(seen.text, quoted));
	assert_int_equal(atomic_load(&app.command_bytes), 0);
}

static void a_guest_that_may_have_been_made_is_unknown(void **state)
{
	(void)state;
	static const char name[] = "{\"name\":\"Ann\"}";

	expect(name, STORE_BUSY, STORE_OK, STORE_OK, "busy"); /* nothing was tried */
	expect(name, STORE_OK, STORE_BUSY, STORE_OK, "unknown");
	expect(name, STORE_OK, STORE_OK, STORE_BUSY, "unknown");
	expect(name, STORE_OK, STORE_OK, STORE_UNAVAILABLE, "unknown");
}

/* A known one has lost nothing by it. */
static void a_known_guest_is_told_what_it_was(void **state)
{
	(void)state;
	static const char token[] = "{\"token\":\"" TOKEN "\"}";

	expect(token, STORE_NOT_FOUND, STORE_OK, STORE_OK, "unauthenticated");
	expect(token, STORE_OK, STORE_BUSY, STORE_OK, "busy");
	expect(token, STORE_OK, STORE_OK, STORE_UNAVAILABLE, "unavailable");
}

/* On a socket: what is under way of its connection is bounded in bytes too, and only then `busy`. */
static void arguments_under_way_are_bounded(void **state)
{
	struct sio_event e = { .socket = the_socket, .ctx = &app, .ack = { .wanted = true } };

	(void)state;
	memset(&seen, 0, sizeof(seen));
	memset(&caller, 0, sizeof(caller));
	atomic_init(&caller.refs, 1);
	assert_int_equal(command_listen(&app), 0);
	seen.connection(&e);
	snprintf(message, sizeof(message), "{}");
	e.ctx = seen.command_ctx;
	atomic_store(&caller.command_bytes, APP_COMMAND_BYTES_MAX - 1);
	seen.command(&e);
	assert_non_null(strstr(seen.text, "unauthenticated"));
	atomic_store(&caller.command_bytes, APP_COMMAND_BYTES_MAX);
	seen.command(&e);
	assert_int_equal(seen.answers, 2);
	assert_non_null(strstr(seen.text, "busy"));
	peer_gone(seen.data);
	assert_int_equal(atomic_load(&caller.refs), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_under_way_are_bounded),
		cmocka_unit_test(a_guest_that_may_have_been_made_is_unknown),
		cmocka_unit_test(a_known_guest_is_told_what_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
