/* What is appended: dense numbers, one entry for each cid, the order of observer and answers, bytes that come back. */
#include "harness.h"

static int64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void expect_same_sent(const struct answer *a, const struct answer *b)
{
	assert_int_equal(a->sent.seq, b->sent.seq);
	assert_int_equal(a->sent.nonce, b->sent.nonce);
	assert_int_equal(a->sent.at_ms, b->sent.at_ms);
}

static void numbers_are_dense(void **state)
{
	struct rig *rig = *state;
	int64_t before = wall_ms();
	bool nonces_differ = false;

	for (uint64_t seq = 1; seq <= 10; seq++) {
		struct answer *a = say(rig, "hello", "");

		assert_int_equal(a->status, STORE_OK);
		assert_int_equal(a->sent.seq, seq);
		assert_int_not_equal(a->sent.nonce, 0);
		assert_true(a->sent.at_ms >= before && a->sent.at_ms <= wall_ms());
		nonces_differ = nonces_differ || (a->next && a->next->sent.nonce != a->sent.nonce);
	}
	assert_true(nonces_differ);
}

/* The observer and a page have what was sent, and what was answered. */
static void an_entry_is_what_was_sent(void **state)
{
	struct rig *rig = *state;
	struct answer *guest = answer_wait(rig_guest(rig, "Zoë", 1));
	struct store_send send = { .room = STORE_LOBBY,
		.author = guest->user.id,
		.name = STR("Zoë, today"),
		.text = STR("first"),
		.cid = STR("aZ09_-") };
	struct answer *a = answer_wait(rig_append(rig, &send)), *page;
	const struct store_entry *e[2];

	page = answer_wait(rig_page_before(rig, 0, 10));
	assert_int_equal(page->status, STORE_OK);
	assert_int_equal(page->page.count, 1);
	assert_int_equal(rig_seen_count(rig), 1);
	e[0] = &rig->seen[0].entry;
	e[1] = &page->page.entries[0];
	for (int i = 0; i < 2; i++) {
		assert_int_equal(e[i]->room, STORE_LOBBY);
		assert_int_equal(e[i]->seq, a->sent.seq);
		assert_int_equal(e[i]->nonce, a->sent.nonce);
		assert_int_equal(e[i]->at_ms, a->sent.at_ms);
		assert_int_equal(e[i]->author, guest->user.id);
		assert_true(str_equal(e[i]->name, send.name));
		assert_true(str_equal(e[i]->text, send.text));
		assert_true(str_equal(e[i]->cid, send.cid));
	}
}

static void a_cid_is_one_entry(void **state)
{
	struct rig *rig = *state;
	struct answer *first = say(rig, "once", "c1"), *again;

	assert_int_equal(say(rig, "between", "c2")->status, STORE_OK);
	again = say(rig, "once", "c1");
	assert_int_equal(again->status, STORE_SAME);
	expect_same_sent(again, first);
	assert_int_equal(rig_seen_count(rig), 2);
	assert_int_equal(say(rig, "next", "c3")->sent.seq, 3);
	again = say(rig, "once", "c1");
	assert_int_equal(again->status, STORE_SAME);
	expect_same_sent(again, first);
	assert_int_equal(rig_seen_count(rig), 3);
}

static void another_request_is_a_conflict(void **state)
{
	struct rig *rig = *state;
	struct store_send send = lobby("text", "c");

	assert_int_equal(answer_wait(rig_append(rig, &send))->sent.seq, 1);
	send.text = STR("texT");
	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_CONFLICT);
	send.text = STR("text ");
	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_CONFLICT);
	send.text = STR("text");
	send.name = STR("Anna");
	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_CONFLICT);
	/* Nor may what ends one run into the other. */
	send.name = STR("Annt");
	send.text = STR("ext");
	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_CONFLICT);
	assert_int_equal(rig_seen_count(rig), 1);
	assert_int_equal(say(rig, "text", "c")->status, STORE_SAME);
	assert_int_equal(say(rig, "text", "C")->sent.seq, 2);
}

static void a_cid_is_its_authors(void **state)
{
	struct rig *rig = *state;
	struct store_send send = lobby("same words", "c");

	for (uint64_t i = 1; i <= 3; i++) {
		struct answer *guest = answer_wait(rig_guest(rig, "Ann", (uint8_t)i)), *a;

		assert_int_equal(guest->status, STORE_OK);
		send.author = guest->user.id;
		a = answer_wait(rig_append(rig, &send));
		assert_int_equal(a->status, STORE_OK);
		assert_int_equal(a->sent.seq, i);
		a = answer_wait(rig_append(rig, &send));
		assert_int_equal(a->status, STORE_SAME);
		assert_int_equal(a->sent.seq, i);
	}
}

static void without_cid_each_is_new(void **state)
{
	struct rig *rig = *state;

	for (uint64_t seq = 1; seq <= 3; seq++) {
		struct answer *a = say(rig, "same", "");

		assert_int_equal(a->status, STORE_OK);
		assert_int_equal(a->sent.seq, seq);
	}
}

static void a_batch_knows_its_own_cids(void **state)
{
	struct rig *rig = *state;
	struct answer *a[8];
	struct store_stats before, after;

	rig_hold(rig);
	before = rig_stats(rig);
	a[0] = rig_say(rig, "one", "c1");
	a[1] = rig_say(rig, "one", "c1");
	a[2] = rig_say(rig, "two", "c2");
	a[3] = rig_say(rig, "other", "c1");
	a[4] = rig_say(rig, "one", "c1");
	a[5] = rig_say(rig, "two", "");
	a[6] = rig_say(rig, "two", "c2");
	a[7] = rig_say(rig, "three", "c3");
	rig_let_go(rig);
	static const struct {
		enum store_status status;
		uint64_t seq;
	} want[8] = { { STORE_OK, 2 }, { STORE_SAME, 2 }, { STORE_OK, 3 }, { STORE_CONFLICT, 0 },
		{ STORE_SAME, 2 }, { STORE_OK, 4 }, { STORE_SAME, 3 }, { STORE_OK, 5 } };
	for (int i = 0; i < 8; i++) {
		assert_int_equal(answer_wait(a[i])->status, want[i].status);
		assert_int_equal(a[i]->sent.seq, want[i].seq);
	}
	after = rig_stats(rig);
	assert_int_equal(after.batches - before.batches, 1);
	assert_int_equal(after.commands - before.commands, 8);
	assert_int_equal(after.batches_failed, 0);
	assert_int_equal(after.replayed, 0);
	assert_int_equal(rig_seen_count(rig), 5);
}

static void cids_are_kept_for_ever(void **state)
{
	struct rig *rig = *state;
	struct answer *first = say(rig, "once", "c1");

	for (int i = 0; i < 3; i++) {
		struct answer *again;

		rig_reopen(rig);
		again = say(rig, "once", "c1");
		assert_int_equal(again->status, STORE_SAME);
		expect_same_sent(again, first);
		assert_int_equal(say(rig, "changed", "c1")->status, STORE_CONFLICT);
		assert_int_equal(say(rig, "more", "")->sent.seq, (uint64_t)i + 2);
	}
}

static void an_unknown_room_is_not_found(void **state)
{
	struct rig *rig = *state;
	static const int64_t rooms[] = { 0, -1, 2, 77, INT64_MAX, INT64_MIN };
	struct store_send send = lobby("text", "c");

	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_OK);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
		send.room = rooms[i];
		assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_NOT_FOUND);
	}
	/* In the midst of a batch it harms nobody. */
	rig_hold(rig);
	struct answer *a = rig_say(rig, "before", ""), *bad = rig_append(rig, &send),
		      *b = rig_say(rig, "behind", "");
	rig_let_go(rig);
	assert_int_equal(answer_wait(bad)->status, STORE_NOT_FOUND);
	assert_int_equal(answer_wait(a)->sent.seq, 3);
	assert_int_equal(answer_wait(b)->sent.seq, 4);
	assert_int_equal(rig_seen_count(rig), 4);
}

/* entry 1, its answer, entry 2, its answer: on one thread, in the order of seq. */
static void an_answer_follows_its_entry(void **state)
{
	struct rig *rig = *state;
	enum { COUNT = 50 };
	struct answer *a[COUNT + 1];

	a[0] = rig_hold(rig);
	for (int i = 1; i <= COUNT; i++)
		a[i] = rig_say(rig, "text", "");
	rig_let_go(rig);
	for (uint64_t i = 0; i <= COUNT; i++) {
		const struct seen *seen = &rig->seen[i];

		answer_wait(a[i]);
		assert_int_equal(a[i]->sent.seq, i + 1);
		assert_int_equal(seen->entry.seq, i + 1);
		assert_int_equal(seen->entry.nonce, a[i]->sent.nonce);
		assert_int_equal(a[i]->order, seen->order + 1);
		assert_true(i == 0 || seen->order > a[i - 1]->order);
		assert_true(pthread_equal(seen->thread, rig->seen[0].thread));
		assert_true(pthread_equal(a[i]->thread, seen->thread));
		assert_false(pthread_equal(a[i]->thread, pthread_self()));
	}
}

/* Buffers are ours again once the verb has returned. */
static void inputs_are_copied(void **state)
{
	struct rig *rig = *state;
	char text[] = "what I said", name[] = "Bob", cid[] = "c-1";
	struct store_send send = lobby(text, cid);
	struct answer *a, *page;

	send.name = str_c(name);
	rig_hold(rig);
	a = rig_append(rig, &send);
	memset(text, 'x', sizeof(text) - 1);
	memset(name, 'y', sizeof(name) - 1);
	memset(cid, 'z', sizeof(cid) - 1);
	memset(&send, 0xee, sizeof(send));
	rig_let_go(rig);
	assert_int_equal(answer_wait(a)->status, STORE_OK);
	page = answer_wait(rig_page_before(rig, 0, 1));
	assert_true(str_equal(page->page.entries[0].text, STR("what I said")));
	assert_true(str_equal(page->page.entries[0].name, STR("Bob")));
	assert_true(str_equal(page->page.entries[0].cid, STR("c-1")));
}

static const char *const nasty[] = {
	"it's \"quoted\" `so` ''''; DROP TABLE entries; --",
	"%s %n %d ?1 :a @b $c \\ \\0 \\u0000",
	"\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x10\x1b[31m\x1f\x7f",
	"\r\n\r\n",
	" ",
	"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91"
	"\xa6", /* a family */
	"\xe2\x80\xae"
	"right to left \xd8\xb3\xd9\x84\xd8\xa7\xd9\x85 \xe2\x80\x8f",
	"Z\xcd\x91\xcc\xab\xcd\x83\xcd\xaa a\xcc\x8a \xc3\xa5", /* marks; one letter in two ways */
	"\xef\xbf\xbf \xef\xbf\xbd \xef\xbb\xbf \xf4\x8f\xbf\xbf \xc2\x80 \xc2\xad", /* the edges of Unicode */
	"12",
	"012",
	"1e5",
	"0x10",
	"9223372036854775808",
	"-0",
	"NULL",
	"null",
	"true", /* no number, no keyword */
	"<script>alert(1)</script>&amp;",
	"{\"a\":[1]}",
};

static void texts_come_back(void **state)
{
	struct rig *rig = *state;
	size_t count = sizeof(nasty) / sizeof(*nasty);
	struct answer *page;

	for (size_t i = 0; i < count; i++) {
		struct store_send send = lobby(nasty[i], "");

		send.name = str_c(nasty[count - 1 - i]);
		assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_OK);
	}
	rig_reopen(rig);
	page = answer_wait(rig_resume(rig, 0, 0));
	assert_int_equal(page->page.count, count);
	for (size_t i = 0; i < count; i++) {
		assert_true(str_equal(page->page.entries[i].text, str_c(nasty[i])));
		assert_true(str_equal(page->page.entries[i].name, str_c(nasty[count - 1 - i])));
		assert_true(str_equal(rig->seen[i].entry.text, str_c(nasty[i])));
		assert_int_equal(page->page.entries[i].cid.bytes, 0);
	}
}

/* Every length at its limit, of every letter. */
static void the_longest_comes_back(void **state)
{
	struct rig *rig = *state;
	char *text = steady(NULL, STORE_BODY_BYTES_MAX), name[STORE_NAME_BYTES_MAX];
	char cid[STORE_CID_BYTES_MAX + 1] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	struct store_send send = lobby("", cid);
	struct answer *page, *again;

	for (size_t i = 0; i < STORE_BODY_BYTES_MAX; i++)
		text[i] = (char)(1 + i % 127);
	memset(name, 'n', sizeof(name));
	send.text = str_of(text, STORE_BODY_BYTES_MAX);
	send.name = str_of(name, sizeof(name));
	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_OK);
	page = answer_wait(rig_page_before(rig, 0, 200));
	assert_int_equal(page->page.count, 1);
	assert_true(str_equal(page->page.entries[0].text, send.text));
	assert_true(str_equal(page->page.entries[0].name, send.name));
	assert_true(str_equal(page->page.entries[0].cid, send.cid));
	again = answer_wait(rig_append(rig, &send));
	assert_int_equal(again->status, STORE_SAME);
	/* One byte less, at the very end, is another request; and a cid that ends otherwise is another cid. */
	send.text.bytes--;
	assert_int_equal(answer_wait(rig_append(rig, &send))->status, STORE_CONFLICT);
	cid[STORE_CID_BYTES_MAX - 1] = '_';
	assert_int_equal(answer_wait(rig_append(rig, &send))->sent.seq, 2);
	/* The shortest: nothing at all. */
	send.text = send.name = STR("");
	cid[STORE_CID_BYTES_MAX - 1] = 'x';
	assert_int_equal(answer_wait(rig_append(rig, &send))->sent.seq, 3);
	page = answer_wait(rig_page_before(rig, 0, 1));
	assert_int_equal(page->page.entries[0].text.bytes, 0);
	assert_int_equal(page->page.entries[0].name.bytes, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(numbers_are_dense),
		RIG_TEST(an_entry_is_what_was_sent),
		RIG_TEST(a_cid_is_one_entry),
		RIG_TEST(another_request_is_a_conflict),
		RIG_TEST(a_cid_is_its_authors),
		RIG_TEST(without_cid_each_is_new),
		RIG_TEST(a_batch_knows_its_own_cids),
		RIG_TEST(cids_are_kept_for_ever),
		RIG_TEST(an_unknown_room_is_not_found),
		RIG_TEST(an_answer_follows_its_entry),
		RIG_TEST(inputs_are_copied),
		RIG_TEST(texts_come_back),
		RIG_TEST(the_longest_comes_back),
	};

	return RIG_RUN(tests);
}
