/* `/chat`: `hello` when the store has made a guest and can do no more; and who has asked for too much already. */
#include "app/command.h"

#include <semaphore.h>

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

static sem_t store_has_gone;

static void wait_for_the_store(struct sequencer *s, struct sequencer_item *item)
{
	(void)s;
	(void)item;
	while (sem_wait(&store_has_gone) != 0)
		continue;
}

/* At the end: what stands in the sequencer's inbox is answered when the store is there no more. */
static void the_epoch_outlives_the_store(void **state)
{
	struct sequencer_item first = { .run = wait_for_the_store };
	struct store *passing = calloc(1, sizeof(*passing));
	char err[128];

	(void)state;
	memset(&seen, 0, sizeof(seen));
	assert_non_null(passing);
	passing->ops = &ops;
	app.store = passing;
	memset(app.epoch, 'e', sizeof(app.epoch));
	script.made = script.rooms_begun = script.rooms = STORE_OK;
	assert_int_equal(sem_init(&store_has_gone, 0, 0), 0);
	app.sequencer = sequencer_create(&app, err, sizeof(err));
	assert_non_null(app.sequencer);
	sequencer_push(app.sequencer, &first);
	struct request *r = request_create(&app, NULL, &command_hello, 64);
	assert_non_null(r);
	r->visitor.guests = true;
	assert_int_equal(command_read(r, STR("{\"name\":\"Ann\"}")).error, CHAT_OK);
	command_hello.run(r);
	app.store = NULL;
	free(passing);
	sem_post(&store_has_gone);
	sequencer_destroy(app.sequencer);
	app.sequencer = NULL;
	sem_destroy(&store_has_gone);
	assert_int_equal(seen.answers, 1);
	assert_non_null(strstr(seen.text, "\"epoch\":\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\""));
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
		cmocka_unit_test(the_epoch_outlives_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
