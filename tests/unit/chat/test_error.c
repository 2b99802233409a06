/* Error codes: those of docs/chat.md, each with a text for people, and what the store's answers mean. */
#include "chat/error.h"

#include "lib/cmocka.h"

static void codes_are_the_protocols(void **state)
{
	(void)state;
	static const struct {
		enum chat_error error;
		const char *code;
	} codes[] = {
		{ CHAT_INVALID, "invalid" },
		{ CHAT_UNAUTHENTICATED, "unauthenticated" },
		{ CHAT_GUESTS_REFUSED, "guests_refused" },
		{ CHAT_FORBIDDEN, "forbidden" },
		{ CHAT_NOT_FOUND, "not_found" },
		{ CHAT_UNKNOWN_COMMAND, "unknown_command" },
		{ CHAT_CONFLICT, "conflict" },
		{ CHAT_TOO_LARGE, "too_large" },
		{ CHAT_UNSUPPORTED, "unsupported" },
		{ CHAT_RATE_LIMITED, "rate_limited" },
		{ CHAT_BUSY, "busy" },
		{ CHAT_UNAVAILABLE, "unavailable" },
		{ CHAT_UNKNOWN, "unknown" },
	};

	assert_int_equal(sizeof(codes) / sizeof(*codes), CHAT_ERROR_COUNT - 1);
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		assert_string_equal(chat_error_code(codes[i].error), codes[i].code);
}

static void every_error_has_a_message_of_its_own(void **state)
{
	(void)state;
	for (int i = CHAT_OK; i < CHAT_ERROR_COUNT; i++) {
		const char *message = chat_error_message((enum chat_error)i);

		assert_non_null(message);
		assert_true(strlen(message) >= 4);
		for (int k = CHAT_OK; k < i; k++)
			assert_string_not_equal(message, chat_error_message((enum chat_error)k));
	}
}

static void what_the_store_answers_has_a_code(void **state)
{
	(void)state;
	assert_int_equal(chat_error_of(STORE_OK), CHAT_OK);
	assert_int_equal(chat_error_of(STORE_SAME), CHAT_OK);
	assert_int_equal(chat_error_of(STORE_CONFLICT), CHAT_CONFLICT);
	assert_int_equal(chat_error_of(STORE_NOT_FOUND), CHAT_NOT_FOUND);
	assert_int_equal(chat_error_of(STORE_BUSY), CHAT_BUSY);
	assert_int_equal(chat_error_of(STORE_UNAVAILABLE), CHAT_UNAVAILABLE);
	/* Nothing but this one may be called unknown, and this one nothing else: it is what makes a client repeat. */
	assert_int_equal(chat_error_of(STORE_UNKNOWN), CHAT_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_the_protocols),
		cmocka_unit_test(every_error_has_a_message_of_its_own),
		cmocka_unit_test(what_the_store_answers_has_a_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
