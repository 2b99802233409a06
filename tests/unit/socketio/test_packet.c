/* Socket.IO packets: the page of vectors, and random packets, whole and damaged, against a slow reading of them. */
#include "socketio/packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "lib/cmocka.h"
#include "lib/rng.h"
#include "lib/vector.h"
#include "sio/sio.h"
#include "slow.h"

enum {
	QUOTED_BYTES_MAX = 256,
	RANDOM_PACKETS = 60000,
	TEXT_BYTES_MAX = 8192,
};

static const char *const type_names[] = { "connect", "disconnect", "event", "ack", "connect error",
	"binary event", "binary ack" };

/* The decoder takes a whole text: the pieces of the runner are put together. */
struct collected {
	struct vector_out *out;
	struct buf text;
};

static void *begin(const struct vector_case *c, struct vector_out *out)
{
	struct collected *k = calloc(1, sizeof(*k));

	(void)c;
	assert_non_null(k);
	k->out = out;
	buf_init(&k->text, 1 << 20);
	return k;
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct collected *k = codec;

	assert_true(buf_append(&k->text, data, bytes));
}

static void add(struct buf *line, const char *text)
{
	assert_true(buf_append(line, text, strlen(text)));
}

static void add_quoted(struct buf *line, struct str s)
{
	add(line, " ");
	add(line, vector_quote(s.s, s.bytes));
}

static void add_number(struct buf *line, const char *name, uint64_t number)
{
	add(line, name);
	assert_true(buf_append_u64(line, number));
}

/* Arguments without the white space between them. */
static void add_json(struct buf *line, struct str json)
{
	struct json_value value, item;
	struct buf array;
	bool first = true;

	assert_true(json_scan(json, &value));
	if (value.type == JSON_OBJECT || value.type == JSON_STRING) {
		add_quoted(line, json);
		return;
	}
	assert_int_equal(value.type, JSON_ARRAY);
	buf_init(&array, 1 << 20);
	add(&array, "[");
	for (struct json_walk w = json_walk_begin(value); json_walk_next(&w, NULL, &item); first = false) {
		if (!first)
			add(&array, ",");
		assert_true(buf_append_str(&array, item.text));
	}
	add(&array, "]");
	if (array.bytes > QUOTED_BYTES_MAX)
		add_number(line, " of ", array.bytes), add(line, " bytes");
	else
		add_quoted(line, buf_str(&array));
	buf_finish(&array);
}

static void tell(struct vector_out *out, const struct sio_packet *p)
{
	struct buf line;
	bool named = p->type == SIO_EVENT || p->type == SIO_BINARY_EVENT;

	buf_init(&line, 1 << 20);
	add(&line, type_names[p->type]);
	if (p->space.bytes > QUOTED_BYTES_MAX)
		add_number(&line, " to ", p->space.bytes), add(&line, " bytes");
	else
		add_quoted(&line, p->space);
	if (p->has_id)
		add_number(&line, " id ", p->id);
	if (p->attachments > 0)
		add_number(&line, " attachments ", p->attachments);
	if (named) {
		add(&line, " name");
		add_quoted(&line, p->name);
	}
	if (p->json.bytes > 0) {
		add(&line, " json");
		add_json(&line, p->json);
	}
	vector_line(out, "%.*s", (int)line.bytes, (const char *)line.data);
	buf_finish(&line);
}

static bool lies_in(struct str slice, const char *text, size_t bytes)
{
	return slice.bytes == 0 || (slice.s >= text && slice.s + slice.bytes <= text + bytes);
}

/* Decode a copy that ends at a guard page, which is given back by the caller. */
static const char *decode(struct str text, struct sio_packet *p, char **ret_copy)
{
	char *copy = (char *)guard_alloc(text.bytes);

	if (text.bytes > 0)
		memcpy(copy, text.s, text.bytes);
	const char *wrong = sio_packet_decode(copy, text.bytes, p);

	if (wrong == NULL) {
		assert_true(lies_in(p->space, copy, text.bytes) || str_equal(p->space, STR("/")));
		assert_true(lies_in(p->json, copy, text.bytes) || str_equal(p->json, STR("[]")));
		assert_true(p->space.bytes > 0 && p->space.s[0] == '/');
		assert_true(p->attachments <= SIO_ATTACHMENTS_MAX);
		assert_int_equal(p->attachments > 0, p->type >= SIO_BINARY_EVENT);
	} else {
		assert_true(strlen(wrong) > 0);
	}
	*ret_copy = copy;
	return wrong;
}

static void end(void *codec)
{
	struct collected *k = codec;
	struct sio_packet p;
	char *copy;

	if (decode(buf_str(&k->text), &p, &copy) == NULL)
		tell(k->out, &p);
	else
		vector_line(k->out, "bad");
	guard_free((uint8_t *)copy, k->text.bytes);
	buf_finish(&k->text);
	free(k);
}

static void the_vectors_hold(void **state)
{
	(void)state;
	assert_int_equal(vector_run("socketio/packet.md", &(struct vector_codec){ begin, feed, end }), 0);
}

static void names_that_are_reserved(void **state)
{
	static const char *const reserved[] = { "connect", "connect_error", "disconnect", "disconnecting",
		"newListener", "removeListener" };
	static const char *const free_names[] = { "", "message", "Connect", "connect ", "connec",
		"newlistener", "connection", "error", "reconnect", "disconnectin" };

	(void)state;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		assert_true(sio_event_reserved(str_c(reserved[i])));
	for (size_t i = 0; i < sizeof(free_names) / sizeof(*free_names); i++)
		assert_false(sio_event_reserved(str_c(free_names[i])));
	assert_false(sio_event_reserved(STR("connect\0")));
}

/* The slow reading. */

/* Digits at the front of *s, taken off: false if there are none, or more than max. */
static bool slow_number(struct str *s, uint64_t max, uint64_t *ret)
{
	size_t digits = 0;

	while (digits < s->bytes && s->s[digits] >= '0' && s->s[digits] <= '9')
		digits++;
	if (!str_parse_u64(str_of(s->s, digits), max, ret))
		return false;
	*s = str_of(s->s + digits, s->bytes - digits);
	return true;
}

static bool slow_event(const struct slow *array, char *name, struct sio_packet *ret)
{
	const struct slow *first = array == NULL || array->kind != '[' ? NULL : array->first;

	if (first == NULL || (first->kind != '"' && first->kind != '0'))
		return false;
	ret->name = first->kind == '0' ? first->text : slow_decode(first->text, name);
	return first->kind == '0' || !sio_event_reserved(ret->name);
}

/* What the header of packet.h says of a text; arguments are left in *ret_tree. `name` has room for the text. */
static bool slow_packet(
	struct slow_arena *a, struct str s, char *name, struct sio_packet *ret, const struct slow **ret_tree)
{
	uint64_t number;

	*ret_tree = NULL;
	if (s.bytes == 0 || s.s[0] < '0' || s.s[0] > '6')
		return false;
	*ret = (struct sio_packet){ .type = (enum sio_type)(s.s[0] - '0'), .space = STR("/") };
	s = str_of(s.s + 1, s.bytes - 1);
	if (ret->type >= SIO_BINARY_EVENT) {
		if (!slow_number(&s, 10, &number) || number == 0 || s.bytes == 0 || s.s[0] != '-')
			return false;
		ret->attachments = (uint32_t)number;
		s = str_of(s.s + 1, s.bytes - 1);
	}
	if (s.bytes > 0 && s.s[0] == '/') {
		size_t n = 0;

		while (n < s.bytes && s.s[n] != ',')
			n++;
		ret->space = str_of(s.s, n);
		n += n < s.bytes;
		s = str_of(s.s + n, s.bytes - n);
	}
	if (s.bytes > 0 && s.s[0] >= '0' && s.s[0] <= '9') {
		ret->has_id = true;
		if (!slow_number(&s, SIO_ACK_ID_MAX, &ret->id))
			return false;
	}
	const struct slow *tree = *ret_tree = slow_read(a, s);

	if (ret->type == SIO_DISCONNECT)
		return s.bytes == 0;
	if (ret->type == SIO_CONNECT)
		return s.bytes == 0 || (tree != NULL && tree->kind == '{');
	if (ret->type == SIO_CONNECT_ERROR)
		return s.bytes == 0 || (tree != NULL && (tree->kind == '{' || tree->kind == '"'));
	if (ret->type == SIO_EVENT || ret->type == SIO_BINARY_EVENT) {
		if (!slow_event(tree, name, ret))
			return false;
	} else if (s.bytes > 0 && (tree == NULL || tree->kind != '[')) {
		return false;
	}
	return ret->attachments == 0 || tree == NULL || slow_placeholders_valid(tree, ret->attachments);
}

/* The packet's arguments are those of the tree, from the item `skip` on, text by text. */
static void expect_items(struct str json, const struct slow *tree, size_t skip)
{
	const struct slow *want = tree == NULL ? NULL : tree->first;
	struct json_value value, item;

	assert_true(json_scan(json, &value));
	while (skip-- > 0)
		want = want->next;
	for (struct json_walk w = json_walk_begin(value); json_walk_next(&w, NULL, &item);
		want = want->next) {
		assert_non_null(want);
		assert_true(str_equal(item.text, want->text));
	}
	assert_null(want);
}

/* Returns whether it is a packet. */
static bool compare(struct slow_arena *a, struct str text)
{
	static char name[TEXT_BYTES_MAX];
	struct sio_packet got, want;
	const struct slow *tree;
	char *copy;
	bool valid = slow_packet(a, text, name, &want, &tree);
	const char *wrong = decode(text, &got, &copy);

	if (valid != (wrong == NULL))
		printf("# %s\n", vector_quote(text.s, text.bytes));
	assert_int_equal(valid, wrong == NULL);
	if (valid) {
		bool event = want.type == SIO_EVENT || want.type == SIO_BINARY_EVENT;

		assert_int_equal(got.type, want.type);
		assert_int_equal(got.attachments, want.attachments);
		assert_true(str_equal(got.space, want.space));
		assert_int_equal(got.has_id, want.has_id);
		assert_true(!want.has_id || got.id == want.id);
		assert_true(!event || str_equal(got.name, want.name));
		if (event || want.type == SIO_ACK || want.type == SIO_BINARY_ACK)
			expect_items(got.json, tree, event);
		else
			assert_true(tree == NULL ? got.json.bytes == 0 : str_equal(got.json, tree->text));
	}
	guard_free((uint8_t *)copy, text.bytes);
	return valid;
}

/* Random packets. */

#define PICK(rng, ...)                                                                                       \
	((const char *const[]){ __VA_ARGS__ }[rng_below(                                                     \
		(rng), sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))])

static void add_value(struct rng *rng, struct buf *out, int depth)
{
	add(out, PICK(rng, "", "", "", " ", "\n", "\t "));
	size_t kind = rng_below(rng, depth > 4 ? 6 : 9), count = rng_below(rng, 4);

	if (kind < 6) {
		add(out, PICK(rng, "0", "-1.5e3", "12", "true", "false", "null", "\"\"", "\"a b\"",
				 "\"\\u00e9\\n\"", "\"connect\"", "\"\\\"],[\"", "\"\xc3\xa9\"", "{}", "[]",
				 "1e999", "\"\\ud83d\\ude00\""));
	} else if (kind == 6) {
		add(out, PICK(rng, "{\"_placeholder\":true,\"num\":", "{\"_placeholder\":true , \"num\": ",
				 "{ \"\\u005fplaceholder\":true,\"num\":", "{\"_placeholder\":false,\"num\":",
				 "{\"_placeholder\":true,\"x\":[{}],\"num\":"));
		add(out, PICK(rng, "0", "0", "0", "1", "1", "9", "10", "-1", "0.5", "\"splice\"", "null",
				 "[0]"));
		add(out, PICK(rng, "}", "}", "}", ",\"a\":1}", ",\"num\":0}", ",\"_placeholder\":1}"));
	} else {
		add(out, kind == 7 ? "[" : "{");
		for (size_t i = 0; i < count; i++) {
			add(out, i > 0 ? "," : "");
			if (kind == 8)
				add(out, PICK(rng, "\"a\":", "\"num\" :", "\"_placeholder\":", "\"\":",
						 " \"b\" : "));
			add_value(rng, out, depth + 1);
		}
		add(out, kind == 7 ? "]" : "}");
	}
	add(out, PICK(rng, "", "", "", " ", "\r\n"));
}

static void add_payload(struct rng *rng, struct buf *out)
{
	size_t kind = rng_below(rng, 10), count = rng_below(rng, 4);

	if (kind == 0)
		return;
	if (kind == 1) {
		add_value(rng, out, 0);
		return;
	}
	add(out, PICK(rng, "[", "[", "[", " [ "));
	if (kind > 3) {
		add(out, PICK(rng, "\"x\"", "\"hello\"", "\"\\u0078\"", "17", "\"disconnect\"",
				 "\"dis\\u0063onnect\"", "null", "\"x\" ",
				 "\""
				 "\xe2\x82\xac"
				 "\""));
		add(out, count > 0 ? "," : "");
	}
	for (size_t i = 0; i < count; i++) {
		add(out, i > 0 ? "," : "");
		add_value(rng, out, 0);
	}
	add(out, PICK(rng, "]", "]", "]", " ] "));
}

static void add_packet(struct rng *rng, struct buf *out)
{
	const char *type =
		PICK(rng, "0", "1", "2", "2", "2", "3", "3", "4", "5", "5", "5", "6", "6", "7", "x");

	add(out, type);
	if (*type == '5' || *type == '6' || rng_below(rng, 50) == 0)
		add(out, PICK(rng, "1-", "2-", "2-", "10-", "10-", "0-", "11-", "-", "1", "01-",
				 "99999999999999999999-"));
	add(out, PICK(rng, "", "", "", "/a,", "/a", "/,", "/", "/b-1[\",", "/1,"));
	add(out, PICK(rng, "", "", "", "0", "12", "007", "9007199254740991", "9007199254740992",
			 "18446744073709551616", "-1"));
	if (*type > '1' || rng_below(rng, 3) == 0)
		add_payload(rng, out);
}

/* Change, put in or take out a few characters: of ASCII alone, so that it stays UTF-8. */
static void damage(struct rng *rng, struct buf *text)
{
	static const char alphabet[] = "0123456789-/,[]{}\":\\ truefalsn_\x01x";

	for (size_t times = 1 + rng_below(rng, 3); times > 0 && text->bytes > 0; times--) {
		size_t at = rng_below(rng, text->bytes);
		uint8_t c = (uint8_t)alphabet[rng_below(rng, sizeof(alphabet) - 1)];

		if (text->data[at] >= 0x80)
			continue;
		switch (rng_below(rng, 4)) {
		case 0:
			text->data[at] = c;
			break;
		case 1:
			memmove(text->data + at, text->data + at + 1, text->bytes - at - 1);
			text->bytes--;
			break;
		case 2:
			assert_true(buf_append(text, &c, 1));
			memmove(text->data + at + 1, text->data + at, text->bytes - at - 1);
			text->data[at] = c;
			break;
		default:
			text->bytes = at; /* cut short */
		}
	}
}

static void random_packets_against_the_slow_reading(void **state)
{
	static struct slow_arena arena;
	struct rng rng;
	struct buf text;
	int packets = 0;

	(void)state;
	rng_init(&rng);
	buf_init(&text, TEXT_BYTES_MAX);
	for (int i = 0; i < RANDOM_PACKETS; i++) {
		text.bytes = 0;
		add_packet(&rng, &text);
		if (i % 3 == 0)
			damage(&rng, &text);
		packets += compare(&arena, buf_str(&text));
	}
	/* Both kinds have been seen, many times. */
	assert_in_range(packets, RANDOM_PACKETS / 10, RANDOM_PACKETS * 9 / 10);
	buf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_hold),
		cmocka_unit_test(names_that_are_reserved),
		cmocka_unit_test(random_packets_against_the_slow_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
