/* The table of commands: what each declares, how it is found, and that a request keeps what it has read. */
#include "app/command.h"

#include <stdlib.h>

#include "app/history.h"
#include "lib/cmocka.h"

static struct app app;

static size_t count_args(const struct command *c)
{
	size_t count = 0;

	while (count < ARGS_MAX && c->args[count].name != NULL)
		count++;
	return count;
}

static void every_command_is_found_by_its_name(void **state)
{
	(void)state;
	size_t count = 0;

	for (; commands[count] != NULL; count++) {
		const struct command *c = commands[count];

		assert_non_null(c->name);
		assert_non_null(c->run);
		assert_ptr_equal(command_find(str_c(c->name)), c);
	}
	assert_int_equal(count, 5);
	assert_ptr_equal(command_find(STR("hello")), &command_hello);
	assert_ptr_equal(command_find(STR("room.history")), &command_history);
	assert_ptr_equal(command_find(STR("room.sync")), &command_sync);
	assert_ptr_equal(command_find(STR("message.send")), &command_send);
	assert_ptr_equal(command_find(STR("typing")), &command_typing);
}

static void other_names_are_none(void **state)
{
	(void)state;
	static const struct str none[] = { STR_INIT(""), STR_INIT("hell"), STR_INIT("helloo"),
		STR_INIT("Hello"), STR_INIT("hello\0"), STR_INIT("room"), STR_INIT("message.send "),
		STR_INIT("__proto__"), STR_INIT("connection"), STR_INIT("disconnect") };

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_null(command_find(none[i]));
	assert_null(command_find((struct str){ NULL, 0 }));
}

static void declarations_are_sound(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i] != NULL; i++) {
		const struct command *c = commands[i];

		for (size_t a = 0; a < count_args(c); a++) {
			const struct arg *arg = &c->args[a];

			/* Its complaint fits: args.h. */
			assert_in_range(strlen(arg->name), 1, 32);
			if (arg->type == ARG_INTEGER)
				assert_in_range(arg->max, 1, ARGS_INTEGER_MAX);
			for (size_t b = 0; b < a; b++)
				assert_string_not_equal(arg->name, c->args[b].name);
		}
		for (size_t a = count_args(c); a < ARGS_MAX; a++)
			assert_null(c->args[a].name);
	}
}

/* Who may ask what: docs/chat.md. */
static void only_hello_is_open(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i] != NULL; i++) {
		unsigned flags = commands[i]->flags;
		bool reads = commands[i] == &command_history || commands[i] == &command_sync;

		assert_int_equal((flags & COMMAND_OPEN) != 0, commands[i] == &command_hello);
		assert_int_equal((flags & COMMAND_READ) != 0, reads);
		assert_int_equal((flags & COMMAND_SOCKET) != 0, commands[i] == &command_typing);
	}
}

struct reading {
	struct request *request;
	struct chat_fault fault;
};

/* The text is gone afterwards, as a socket's is. */
static struct reading read_command(const struct command *c, struct str json)
{
	char *text = malloc(json.bytes + 1);
	struct reading r = { .request = request_create(&app, NULL, c, json.bytes * 2) };

	assert_true(text != NULL && r.request != NULL);
	memcpy(text, json.s, json.bytes);
	r.fault = command_read(r.request, str_of(text, json.bytes));
	memset(text, '!', json.bytes);
	free(text);
	return r;
}

static void a_request_keeps_what_it_has_read(void **state)
{
	(void)state;
	struct reading r =
		read_command(&command_send, STR("{\"text\":\"h\\u00e9llo\",\"room\":1,\"cid\":\"c-1\"}"));

	assert_int_equal(r.fault.error, CHAT_OK);
	assert_int_equal(r.request->args[0].number, 1);
	assert_true(str_equal(r.request->args[1].string, STR("c-1")));
	assert_true(str_equal(r.request->args[2].string, STR("h\xC3\xA9llo")));
	request_free(r.request);
	r = read_command(&command_sync, STR("{\"rooms\":{\"1\":[12,345]},\"epoch\":\"abc\"}"));
	assert_int_equal(r.fault.error, CHAT_OK);
	assert_true(str_equal(r.request->args[0].string, STR("abc")));
	assert_true(str_equal(r.request->args[1].json.text, STR("{\"1\":[12,345]}")));
	request_free(r.request);
}

static void what_is_wrong_is_said_within_the_request(void **state)
{
	(void)state;
	static const struct {
		const struct command *command;
		struct str json;
		const char *hint;
	} bad[] = {
		{ &command_send, STR_INIT("{\"room\":1,\"cid\":\"c\"}"), "text" },
		{ &command_send, STR_INIT("{\"room\":1,\"text\":\"c\"}"), "cid" },
		{ &command_send, STR_INIT("{\"room\":-1,\"cid\":\"c\",\"text\":\"x\"}"), "room" },
		{ &command_send, STR_INIT("{\"room\":\"1\",\"cid\":\"c\",\"text\":\"x\"}"), "room" },
		{ &command_send, STR_INIT("{\"room\":1,\"cid\":\"c\",\"text\":\"\\ud800\"}"), "text" },
		{ &command_send, STR_INIT("{\"room\":1,\"cid\":\"c\",\"text\":\"x\",\"author\":2}"),
			"author" },
		{ &command_history, STR_INIT("{}"), "room" },
		{ &command_history, STR_INIT("{\"room\":1,\"before\":-1}"), "before" },
		{ &command_history, STR_INIT("{\"room\":1,\"limit\":1.5}"), "limit" },
		{ &command_sync, STR_INIT("{\"epoch\":\"a\",\"rooms\":[]}"), "rooms" },
		{ &command_sync, STR_INIT("{\"rooms\":{}}"), "epoch" },
		{ &command_hello, STR_INIT("{\"name\":\"Ann\",\"is_admin\":true}"), "is_admin" },
		{ &command_hello, STR_INIT("{\"name\":null}"), "name" },
		{ &command_hello, STR_INIT("{\"cookie\":\"true\"}"), "cookie" },
		{ &command_typing, STR_INIT("{\"room\":1,\"user\":2}"), "user" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct reading r = read_command(bad[i].command, bad[i].json);

		assert_int_equal(r.fault.error, CHAT_INVALID);
		assert_ptr_equal(r.fault.message, r.request->why);
		assert_non_null(strstr(r.fault.message, bad[i].hint));
		request_free(r.request);
	}
}

/* 50 if nothing is said, at most 200: docs/chat.md. */
static void a_limit_is_clamped(void **state)
{
	(void)state;
	static const struct {
		uint64_t asked;
		uint32_t messages;
	} limits[] = { { 1, 1 }, { 50, 50 }, { 199, 199 }, { 200, 200 }, { 201, 200 },
		{ UINT64_C(1) << 32, 200 }, { (UINT64_C(1) << 32) + 1, 200 }, { ARGS_INTEGER_MAX, 200 } };

	assert_int_equal(history_messages(&(struct arg_value){ .given = false }), 50);
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		struct arg_value limit = { .given = true, .number = limits[i].asked };

		assert_int_equal(history_messages(&limit), limits[i].messages);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_found_by_its_name),
		cmocka_unit_test(other_names_are_none),
		cmocka_unit_test(declarations_are_sound),
		cmocka_unit_test(only_hello_is_open),
		cmocka_unit_test(a_request_keeps_what_it_has_read),
		cmocka_unit_test(what_is_wrong_is_said_within_the_request),
		cmocka_unit_test(a_limit_is_clamped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
