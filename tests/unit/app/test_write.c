/* The chat's things as JSON: the fields of docs/chat.md, their values, and nothing else. */
#include "app/write.h"

#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

static const struct store_entry entry = {
	.room = 1,
	.seq = 9007199254740991,
	.nonce = UINT32_MAX,
	.kind = STORE_MESSAGE,
	.author = 42,
	.at_ms = 1700000000123,
	.name = STR_INIT("Ann \"A\""),
	.cid = STR_INIT("c-1"),
	.text = STR_INIT("one\ntwo</script>"),
};

static struct json_value scan(const struct json *j, enum json_type type)
{
	struct json_value value;

	assert_false(json_failed(j));
	assert_true(json_scan(json_str(j), &value));
	assert_int_equal(value.type, type);
	return value;
}

/* It has just these fields, in any order. */
static void expect_fields(struct json_value object, const char *const *names)
{
	struct json_walk walk = json_walk_begin(object);
	struct json_value item;
	struct str key;
	size_t count = 0, wanted = 0;

	while (json_walk_next(&walk, &key, &item))
		count++;
	for (; names[wanted] != NULL; wanted++)
		assert_true(json_member(object, str_c(names[wanted]), &item));
	assert_int_equal(count, wanted);
}

#define FIELDS(object, ...) expect_fields((object), (const char *const[]){ __VA_ARGS__, NULL })

static struct json_value member(struct json_value object, const char *name)
{
	struct json_value item;

	assert_true(json_member(object, str_c(name), &item));
	return item;
}

static void expect_text(struct json_value object, const char *name, struct str raw)
{
	struct json_value item = member(object, name);

	if (!str_equal(item.text, raw))
		print_error("%s: %.*s\n", name, (int)item.text.bytes, item.text.s);
	assert_true(str_equal(item.text, raw));
}

static void a_user(void **state)
{
	(void)state;
	struct json j;

	json_init(&j);
	write_user(&j, &(struct store_user){ .id = 7, .guest = true, .name = STR("Bo\tb") });
	struct json_value user = scan(&j, JSON_OBJECT);
	expect_text(user, "id", STR("7"));
	expect_text(user, "name", STR("\"Bo\\tb\""));
	json_finish(&j);
}

static void a_room(void **state)
{
	(void)state;
	static const struct store_room lobby = {
		.id = 1, .name = STR_INIT("Lobby"), .head = 5, .head_nonce = 6, .first_seq = 3
	};
	struct json j;

	json_init(&j);
	write_room(&j, &lobby, 8, 4000000000);
	struct json_value room = scan(&j, JSON_OBJECT);
	FIELDS(room, "id", "name", "head", "nonce", "first");
	expect_text(room, "id", STR("1"));
	expect_text(room, "name", STR("\"Lobby\""));
	/* As given, not as the room has them: they say what is pushed next. */
	expect_text(room, "head", STR("8"));
	expect_text(room, "nonce", STR("4000000000"));
	expect_text(room, "first", STR("3"));
	json_finish(&j);
}

static void an_entry(void **state)
{
	(void)state;
	struct store_entry without = entry;
	struct json j;

	json_init(&j);
	write_entry(&j, &entry);
	struct json_value e = scan(&j, JSON_OBJECT);
	FIELDS(e, "room", "seq", "nonce", "kind", "at", "author", "text", "cid");
	expect_text(e, "room", STR("1"));
	expect_text(e, "seq", STR("9007199254740991"));
	expect_text(e, "nonce", STR("4294967295"));
	expect_text(e, "kind", STR("\"message\""));
	expect_text(e, "at", STR("1700000000123"));
	expect_text(e, "text", STR("\"one\\ntwo</script>\""));
	expect_text(e, "cid", STR("\"c-1\""));
	struct json_value author = member(e, "author");
	FIELDS(author, "id", "name");
	expect_text(author, "id", STR("42"));
	expect_text(author, "name", STR("\"Ann \\\"A\\\"\""));
	json_finish(&j);
	/* Absent if its sender gave none. */
	without.cid = STR("");
	json_init(&j);
	write_entry(&j, &without);
	FIELDS(scan(&j, JSON_OBJECT), "room", "seq", "nonce", "kind", "at", "author", "text");
	json_finish(&j);
}

static void an_entry_of_the_simple_namespace(void **state)
{
	(void)state;
	struct json j;

	json_init(&j);
	write_plain_entry(&j, &entry);
	struct json_value e = scan(&j, JSON_OBJECT);
	FIELDS(e, "seq", "at", "name", "text");
	expect_text(e, "seq", STR("9007199254740991"));
	expect_text(e, "at", STR("1700000000123"));
	expect_text(e, "name", STR("\"Ann \\\"A\\\"\""));
	expect_text(e, "text", STR("\"one\\ntwo</script>\""));
	json_finish(&j);
}

/* In braces, as it stands within an answer. */
static struct json_value page(struct json *j, const struct store_page *p, bool with_reset)
{
	json_init(j);
	json_lit(j, "{");
	write_page(j, p, with_reset);
	json_lit(j, "}");
	return scan(j, JSON_OBJECT);
}

static void a_page(void **state)
{
	(void)state;
	struct store_entry entries[3] = { entry, entry, entry };
	struct store_page three = {
		.room = 1, .entries = entries, .count = 3, .as_of = 12, .reset = true, .more = true
	};
	struct json_value items[4];
	struct json j;
	size_t count;

	entries[0].seq = 10;
	entries[1].seq = 11;
	entries[2].seq = 12;
	struct json_value p = page(&j, &three, true);
	FIELDS(p, "room", "reset", "entries", "as_of", "more");
	expect_text(p, "room", STR("1"));
	expect_text(p, "reset", STR("true"));
	expect_text(p, "as_of", STR("12"));
	expect_text(p, "more", STR("true"));
	assert_true(json_scan_array(member(p, "entries").text, items, 4, &count));
	assert_int_equal(count, 3);
	expect_text(items[0], "seq", STR("10"));
	expect_text(items[1], "seq", STR("11"));
	expect_text(items[2], "seq", STR("12"));
	FIELDS(items[0], "room", "seq", "nonce", "kind", "at", "author", "text", "cid");
	json_finish(&j);
	/* Not asked for: not there, even where it is set. */
	three.more = false;
	p = page(&j, &three, false);
	FIELDS(p, "room", "entries", "as_of", "more");
	expect_text(p, "more", STR("false"));
	json_finish(&j);
}

static void an_empty_page(void **state)
{
	(void)state;
	struct store_page none = { .room = 9, .as_of = 0 };
	struct json j;

	struct json_value p = page(&j, &none, true);
	expect_text(p, "room", STR("9"));
	expect_text(p, "reset", STR("false"));
	expect_text(p, "entries", STR("[]"));
	expect_text(p, "as_of", STR("0"));
	expect_text(p, "more", STR("false"));
	json_finish(&j);
}

static void without_memory_nothing_is_written(void **state)
{
	(void)state;
	struct store_entry entries[2] = { entry, entry };
	struct store_page two = { .room = 1, .entries = entries, .count = 2, .as_of = 12 };
	unsigned n = 0;
	bool failed;

	do {
		struct json j;

		json_init(&j);
		failing_alloc_arm(++n);
		write_page(&j, &two, true);
		write_user(&j, &(struct store_user){ .id = 7, .name = STR("Bob") });
		write_room(&j, &(struct store_room){ .id = 7, .name = STR("Lobby") }, 1, 2);
		write_plain_entry(&j, &entry);
		failed = failing_alloc_disarm();
		assert_int_equal(json_failed(&j), failed);
		json_finish(&j);
	} while (failed);
	assert_true(n > 1);
}

static void now_is_in_milliseconds_since_1970(void **state)
{
	(void)state;
	int64_t before = (int64_t)time(NULL), now = write_now_ms();

	assert_in_range(now, before * 1000 - 1000, ((int64_t)time(NULL) + 1) * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user),
		cmocka_unit_test(a_room),
		cmocka_unit_test(an_entry),
		cmocka_unit_test(an_entry_of_the_simple_namespace),
		cmocka_unit_test(a_page),
		cmocka_unit_test(an_empty_page),
		cmocka_unit_test(without_memory_nothing_is_written),
		cmocka_unit_test(now_is_in_milliseconds_since_1970),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
