/* The namespace `/`: what becomes of a socket whose token is looked up. libsio and the store are stand-ins. */
#include "app/root.h"

#include "stand_ins.h"

static enum store_status find_token(
	struct store *s, const uint8_t hash[STORE_TOKEN_HASH_BYTES], store_user_fn *fn, void *ctx)
{
	(void)s;
	(void)hash;
	seen.found = fn;
	seen.found_ctx = ctx;
	return STORE_OK;
}

static const struct store_ops ops = { .name = "stand-in", .find_token = find_token };
static struct store store = { .ops = &ops };

/* A socket with a token has come, and has said something that waits. */
static int set_up(void **state)
{
	struct sio_event e = { .socket = the_socket, .ctx = &app };

	(void)state;
	memset(&seen, 0, sizeof(seen));
	memset(&caller, 0, sizeof(caller));
	atomic_init(&caller.refs, 1);
	caller.visitor.guests = true;
	app.store = &store;
	if (root_listen(&app) != 0)
		return -1;
	e.auth = (struct sio_str){ "{\"token\":\"" TOKEN "\"}", sizeof("{\"token\":\"" TOKEN "\"}") - 1 };
	seen.connection(&e);
	assert_non_null(seen.found);
	snprintf(message, sizeof(message), "\"hello\"");
	e.auth = (struct sio_str){ "", 0 };
	e.ack.wanted = true;
	seen.message(&e);
	assert_int_equal(seen.answers, 0);
	return 0;
}

static int tear_down(void **state)
{
	struct sio_event e = { .socket = the_socket, .ctx = &app, .reason = { "transport close", 15 } };

	(void)state;
	seen.disconnect(&e);
	peer_gone(seen.data);
	assert_int_equal(atomic_load(&caller.refs), 1);
	assert_int_equal(atomic_load(&caller.commands), 0);
	assert_int_equal(atomic_load(&app.command_bytes), 0);
	return 0;
}

static void looked_up_in_vain(enum store_status status, const char *code)
{
	seen.found(seen.found_ctx, status, NULL);
	assert_int_equal(seen.answers, 1);
	assert_non_null(strstr(seen.text, code));
}

/* It stays, and is told again and again that it is nobody. */
static void a_token_that_is_not_known_speaks_in_vain(void **state)
{
	struct sio_event e = { .socket = the_socket, .ctx = &app, .ack = { .wanted = true } };

	(void)state;
	looked_up_in_vain(STORE_NOT_FOUND, "unauthenticated");
	assert_int_equal(seen.closed, 0);
	seen.message(&e);
	assert_int_equal(seen.answers, 2);
	assert_non_null(strstr(seen.text, "unauthenticated"));
}

/* Nobody knows whether it is: the client comes again, and asks again. */
static void a_token_that_cannot_be_looked_up_comes_again(void **state)
{
	static const struct {
		enum store_status status;
		const char *code;
	} faults[] = { { STORE_BUSY, "busy" }, { STORE_UNAVAILABLE, "unavailable" } };

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		looked_up_in_vain(faults[i].status, faults[i].code);
		assert_int_equal(seen.closed, 1);
		if (i == 0) {
			tear_down(state);
			assert_int_equal(set_up(state), 0);
		}
	}
}

/* Whatever it asks for, when too much of what it has asked for is under way. */
static void arguments_under_way_are_bounded(void **state)
{
	struct sio_event e = { .socket = the_socket, .ctx = &app, .ack = { .wanted = true } };
	size_t had = atomic_exchange(&caller.command_bytes, APP_COMMAND_BYTES_MAX);

	(void)state;
	seen.message(&e);
	assert_int_equal(seen.answers, 1);
	assert_non_null(strstr(seen.text, "busy"));
	atomic_store(&caller.command_bytes, had);
	seen.found(seen.found_ctx, STORE_NOT_FOUND, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(arguments_under_way_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_token_that_is_not_known_speaks_in_vain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_token_that_cannot_be_looked_up_comes_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
