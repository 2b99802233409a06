/* What is read: rooms, guests by their tokens, pages from the end, and resuming, with every reason to begin anew. */
#include "harness.h"

enum {
	MANY = 450, /* entries, more than two pages */
};

/* A log of `count` entries "1", "2", ...; *ret_sent has what was answered, by seq. */
static struct store_sent *fill(struct rig *rig, size_t count)
{
	struct store_sent *sent = steady(NULL, (count + 1) * sizeof(*sent));
	struct answer **answers = steady(NULL, (count + 1) * sizeof(struct answer *));

	for (size_t i = 1; i <= count; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%zu", i);
		answers[i] = rig_say(rig, text, "");
	}
	for (size_t i = 1; i <= count; i++) {
		assert_int_equal(answer_wait(answers[i])->status, STORE_OK);
		assert_int_equal(answers[i]->sent.seq, i);
		sent[i] = answers[i]->sent;
	}
	free(answers);
	return sent;
}

/* Exactly the entries `from` to `to` (none where from > to), and the rest of what it says. */
static void expect_page(struct answer *a, uint64_t from, uint64_t to, uint64_t as_of, bool reset, bool more)
{
	answer_wait(a);
	assert_int_equal(a->status, STORE_OK);
	assert_int_equal(a->page.room, STORE_LOBBY);
	assert_int_equal(a->page.count, from > to ? 0 : to - from + 1);
	assert_int_equal(a->page.as_of, as_of);
	assert_int_equal(a->page.reset, reset);
	assert_int_equal(a->page.more, more);
	for (size_t i = 0; i < a->page.count; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%" PRIu64, from + i);
		assert_int_equal(a->page.entries[i].seq, from + i);
		assert_true(str_equal(a->page.entries[i].text, str_c(text)));
	}
}

/* The newest page of a log of `head`, with a reset. */
static void expect_reset(struct answer *a, uint64_t head)
{
	uint64_t from = head < STORE_RESET_MESSAGES_MAX ? 1 : head + 1 - STORE_RESET_MESSAGES_MAX;

	expect_page(a, from, head, head, true, from > 1);
}

static void the_lobby_is_there(void **state)
{
	struct rig *rig = *state;
	struct answer *rooms = answer_wait(rig_rooms(rig)), *a;

	assert_int_equal(rooms->status, STORE_OK);
	assert_int_equal(rooms->count, 1);
	assert_int_equal(rooms->rooms[0].id, STORE_LOBBY);
	assert_true(rooms->rooms[0].name.bytes > 0 && rooms->rooms[0].name.bytes <= STORE_NAME_BYTES_MAX);
	assert_int_equal(rooms->rooms[0].head, 0);
	assert_int_equal(rooms->rooms[0].head_nonce, 0);
	assert_int_equal(rooms->rooms[0].first_seq, 1);
	for (int i = 0; i < 3; i++) {
		a = say(rig, "text", "");
		if (i == 2)
			rig_reopen(rig);
		rooms = answer_wait(rig_rooms(rig));
		assert_int_equal(rooms->count, 1);
		assert_int_equal(rooms->rooms[0].head, a->sent.seq);
		assert_int_equal(rooms->rooms[0].head_nonce, a->sent.nonce);
		assert_int_equal(rooms->rooms[0].first_seq, 1);
	}
}

static void guests_are_known_by_token(void **state)
{
	struct rig *rig = *state;
	struct answer *guests[3], *found;
	static const char *const names[3] = { "Ann", "Ann", "\xf0\x9f\x90\xb1 '\"" };

	assert_int_equal(answer_wait(rig_find(rig, 0))->status, STORE_NOT_FOUND);
	for (uint8_t i = 0; i < 3; i++) {
		guests[i] = answer_wait(rig_guest(rig, names[i], i));
		assert_int_equal(guests[i]->status, STORE_OK);
		assert_true(guests[i]->user.guest);
		assert_int_not_equal(guests[i]->user.id, STORE_ANONYMOUS);
		assert_true(str_equal(guests[i]->user.name, str_c(names[i])));
		for (int j = 0; j < i; j++)
			assert_int_not_equal(guests[i]->user.id, guests[j]->user.id);
	}
	for (int pass = 0; pass < 2; pass++) {
		for (uint8_t i = 0; i < 3; i++) {
			found = answer_wait(rig_find(rig, i));
			assert_int_equal(found->status, STORE_OK);
			assert_int_equal(found->user.id, guests[i]->user.id);
			assert_true(found->user.guest);
			assert_true(str_equal(found->user.name, str_c(names[i])));
		}
		assert_int_equal(answer_wait(rig_find(rig, 77))->status, STORE_NOT_FOUND);
		rig_reopen(rig);
	}
	/* One who comes later is nobody who was there before. */
	found = answer_wait(rig_guest(rig, "Ann", 4));
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(found->user.id, guests[i]->user.id);
	/* Guests are no entries. */
	assert_int_equal(say(rig, "first", "")->sent.seq, 1);
}

/* A token names one guest, whoever asks for another with it. */
static void a_known_token_is_its_guest(void **state)
{
	struct rig *rig = *state;
	struct answer *guest = answer_wait(rig_guest(rig, "Ann", 1)), *again;

	for (int i = 0; i < 2; i++) {
		again = answer_wait(rig_guest(rig, "Ann", 1));
		assert_int_equal(again->status, STORE_SAME);
		assert_int_equal(again->user.id, guest->user.id);
		assert_true(again->user.guest && str_equal(again->user.name, STR("Ann")));
		assert_int_equal(answer_wait(rig_guest(rig, "Anna", 1))->status, STORE_CONFLICT);
		again = answer_wait(rig_find(rig, 1));
		assert_int_equal(again->user.id, guest->user.id);
		assert_true(str_equal(again->user.name, STR("Ann")));
		rig_reopen(rig);
	}
	assert_int_equal(answer_wait(rig_guest(rig, "Ann", 2))->status, STORE_OK);
}

static void nobody_is_in_no_rooms(void **state)
{
	struct rig *rig = *state;
	struct answer *guest = answer_wait(rig_guest(rig, "Ann", 1));
	int64_t users[] = { 0, -1, guest->user.id + 1, INT64_MAX, guest->user.id };

	for (size_t i = 0; i < sizeof(users) / sizeof(*users); i++) {
		struct answer *a = answer_new(rig);

		a->returned = rig->store->ops->rooms(rig->store, users[i], answer_rooms, a);
		assert_int_equal(answer_wait(a)->status, i < 4 ? STORE_NOT_FOUND : STORE_OK);
		assert_int_equal(a->count, i < 4 ? 0 : 1);
	}
}

static void an_empty_room_has_no_page(void **state)
{
	struct rig *rig = *state;

	expect_page(rig_page_before(rig, 0, 200), 1, 0, 0, false, false);
	expect_page(rig_page_before(rig, 1, 200), 1, 0, 0, false, false);
	expect_page(rig_page_before(rig, 99, 1), 1, 0, 0, false, false);
	expect_page(rig_resume(rig, 0, 0), 1, 0, 0, false, false);
	/* Whoever knows an entry of it knows another database's. */
	expect_page(rig_resume(rig, 1, 5), 1, 0, 0, true, false);
	expect_page(rig_resume(rig, 0, 5), 1, 0, 0, true, false);
}

static void pages_from_the_end(void **state)
{
	struct rig *rig = *state;
	struct store_sent *sent = fill(rig, MANY);

	expect_page(rig_page_before(rig, 0, 1), MANY, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, 0, 200), MANY - 199, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, MANY, 10), MANY - 10, MANY - 1, MANY, false, true);
	/* Beyond the head is the end. */
	expect_page(rig_page_before(rig, MANY + 1, 10), MANY - 9, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, MANY + 1000, 10), MANY - 9, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, INT64_MAX, 10), MANY - 9, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, UINT64_MAX, 10), MANY - 9, MANY, MANY, false, true);
	/* As many as may be, and one: a number beyond is the nearest. */
	expect_page(rig_page_before(rig, 0, 201), MANY - 199, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, 0, UINT32_MAX), MANY - 199, MANY, MANY, false, true);
	expect_page(rig_page_before(rig, 0, 0), MANY, MANY, MANY, false, true);
	/* The beginning, met exactly and by one. */
	expect_page(rig_page_before(rig, 1, 200), 1, 0, MANY, false, false);
	expect_page(rig_page_before(rig, 2, 200), 1, 1, MANY, false, false);
	expect_page(rig_page_before(rig, 11, 10), 1, 10, MANY, false, false);
	expect_page(rig_page_before(rig, 12, 10), 2, 11, MANY, false, true);
	expect_page(rig_page_before(rig, 10, 10), 1, 9, MANY, false, false);
	expect_page(rig_page_before(rig, 201, 200), 1, 200, MANY, false, false);
	free(sent);
}

static void pages_make_the_whole(void **state)
{
	struct rig *rig = *state;
	struct store_sent *sent = fill(rig, MANY);
	uint64_t before = MANY + 1;
	struct answer *a;

	do {
		a = answer_wait(rig_page_before(rig, before == MANY + 1 ? 0 : before, 73));
		assert_true(a->page.count > 0);
		assert_int_equal(a->page.entries[a->page.count - 1].seq, before - 1);
		for (size_t i = 0; i < a->page.count; i++)
			assert_int_equal(a->page.entries[i].nonce, sent[a->page.entries[i].seq].nonce);
		before = a->page.entries[0].seq;
	} while (a->page.more);
	assert_int_equal(before, 1);
	free(sent);
}

/* Entries of `bytes` each, so many; a page from the end must have `want` of them. */
static void expect_bytes(struct rig *rig, size_t bytes, size_t count, size_t want)
{
	char *text = steady(NULL, bytes);
	struct store_send send = lobby("", "");
	struct answer *a = NULL, *first, *page;
	uint64_t head;

	memset(text, 'b', bytes);
	send.text = str_of(text, bytes);
	first = answer_wait(rig_append(rig, &send));
	for (size_t i = 1; i < count; i++)
		a = rig_append(rig, &send);
	head = answer_wait(a)->sent.seq;
	page = answer_wait(rig_page_before(rig, 0, 200));
	assert_int_equal(page->page.count, want);
	assert_int_equal(page->page.entries[want - 1].seq, head);
	assert_true(page->page.more);
	page = answer_wait(rig_resume(rig, first->sent.seq, first->sent.nonce));
	assert_int_equal(page->page.count, want);
	assert_int_equal(page->page.entries[0].seq, first->sent.seq + 1);
	assert_false(page->page.reset);
	assert_int_equal(page->page.more, head - first->sent.seq > want);
	page = answer_wait(rig_resume(rig, head + 1, 1));
	assert_true(page->page.reset && page->page.more);
	assert_int_equal(page->page.count, want);
	assert_int_equal(page->page.entries[want - 1].seq, head);
	free(text);
}

static void a_page_has_a_size(void **state)
{
	struct rig *rig = *state;
	struct store_send send = lobby("", "");
	const size_t beside = store_entry_weight(send.name.bytes, send.cid.bytes, 0);

	expect_bytes(rig, STORE_BODY_BYTES_MAX, 3, 1);
	expect_bytes(rig, STORE_PAGE_BYTES_MAX / 2 - beside, 4, 2);
	expect_bytes(rig, STORE_PAGE_BYTES_MAX / 2 - beside + 1, 4, 1);
	expect_bytes(rig, STORE_PAGE_BYTES_MAX / 16 - beside, 40, 16);
	expect_bytes(rig, STORE_PAGE_BYTES_MAX / 16 - beside + 1, 40, 15);
}

/* A large one does not hide a small one that is nearer, nor is it passed over for one beyond it. */
static void a_page_leaves_nothing_out(void **state)
{
	struct rig *rig = *state;
	char *text = steady(NULL, STORE_BODY_BYTES_MAX);
	struct store_send large = lobby("", "");
	struct answer *page, *first;

	memset(text, 'l', STORE_BODY_BYTES_MAX);
	large.text = str_of(text, STORE_BODY_BYTES_MAX);
	first = say(rig, "1", "");
	say(rig, "2", "");
	answer_wait(rig_append(rig, &large));
	say(rig, "4", "");
	page = rig_page_before(rig, 0, 200);
	expect_page(page, 4, 4, 4, false, true);
	page = answer_wait(rig_page_before(rig, 4, 200));
	assert_int_equal(page->page.count, 1);
	assert_int_equal(page->page.entries[0].seq, 3);
	assert_true(page->page.more);
	expect_page(rig_resume(rig, first->sent.seq, first->sent.nonce), 2, 2, 4, false, true);
	expect_page(rig_page_before(rig, 3, 200), 1, 2, 4, false, false);
	free(text);
}

static void resume_tells_what_came_after(void **state)
{
	struct rig *rig = *state;
	struct store_sent *sent = fill(rig, MANY);

	expect_page(rig_resume(rig, MANY, sent[MANY].nonce), 1, 0, MANY, false, false);
	expect_page(rig_resume(rig, MANY - 1, sent[MANY - 1].nonce), MANY, MANY, MANY, false, false);
	expect_page(
		rig_resume(rig, MANY - 200, sent[MANY - 200].nonce), MANY - 199, MANY, MANY, false, false);
	expect_page(
		rig_resume(rig, MANY - 201, sent[MANY - 201].nonce), MANY - 200, MANY - 1, MANY, false, true);
	expect_page(rig_resume(rig, 1, sent[1].nonce), 2, 201, MANY, false, true);
	/* Who knows of nothing gets all, in pieces. */
	expect_page(rig_resume(rig, 0, 0), 1, 200, MANY, false, true);
	expect_page(rig_resume(rig, 200, sent[200].nonce), 201, 400, MANY, false, true);
	expect_page(rig_resume(rig, 400, sent[400].nonce), 401, MANY, MANY, false, false);
	rig_reopen(rig);
	expect_page(rig_resume(rig, 400, sent[400].nonce), 401, MANY, MANY, false, false);
	free(sent);
}

static void resume_says_when_to_begin_anew(void **state)
{
	struct rig *rig = *state;
	struct store_sent *sent = fill(rig, MANY);

	/* Another nonce, near and far; none at all is another too. */
	expect_reset(rig_resume(rig, MANY, sent[MANY].nonce ^ 1), MANY);
	expect_reset(rig_resume(rig, MANY, sent[MANY].nonce ^ 0x80000000u), MANY);
	expect_reset(rig_resume(rig, 1, ~sent[1].nonce), MANY);
	expect_reset(rig_resume(rig, 7, 0), MANY);
	expect_reset(rig_resume(rig, 0, 5), MANY);
	/* Beyond the head. */
	expect_reset(rig_resume(rig, MANY + 1, sent[MANY].nonce), MANY);
	expect_reset(rig_resume(rig, (uint64_t)INT64_MAX + 1, sent[MANY].nonce), MANY);
	expect_reset(rig_resume(rig, UINT64_MAX, 0), MANY);
	free(sent);
}

static void a_reset_of_a_short_log_is_all_of_it(void **state)
{
	struct rig *rig = *state;
	char text[32];

	for (uint64_t head = 1; head <= STORE_RESET_MESSAGES_MAX + 5; head++) {
		snprintf(text, sizeof(text), "%" PRIu64, head);
		assert_int_equal(say(rig, text, "")->sent.seq, head);
		expect_reset(rig_resume(rig, 999, 1), head);
	}
}

static void unknown_rooms_are_not_found(void **state)
{
	struct rig *rig = *state;
	static const int64_t rooms[] = { 0, -1, 2, INT64_MAX, INT64_MIN };

	say(rig, "text", "");
	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++) {
		struct answer *a = answer_new(rig);

		a->returned = rig->store->ops->page_before(rig->store, rooms[i], 0, 10, answer_page, a);
		assert_int_equal(answer_wait(a)->status, STORE_NOT_FOUND);
		a = answer_new(rig);
		a->returned = rig->store->ops->resume(rig->store, rooms[i], 0, 0, answer_page, a);
		assert_int_equal(answer_wait(a)->status, STORE_NOT_FOUND);
		a = answer_new(rig);
		a->returned = rig->store->ops->resume(rig->store, rooms[i], 1, 1, answer_page, a);
		assert_int_equal(answer_wait(a)->status, STORE_NOT_FOUND);
	}
}

/* What was answered can be read, at once and by everybody; whatever a page says is one snapshot. */
static void reads_see_what_was_answered(void **state)
{
	struct rig *rig = *state;

	for (uint64_t i = 1; i <= 100; i++) {
		struct answer *a = say(rig, "text", ""), *pages[4];

		for (int j = 0; j < 4; j++)
			pages[j] = rig_page_before(rig, 0, 1);
		for (int j = 0; j < 4; j++) {
			answer_wait(pages[j]);
			assert_int_equal(pages[j]->page.as_of, i);
			assert_int_equal(pages[j]->page.entries[0].nonce, a->sent.nonce);
		}
	}
	/* While others write: the newest page ends at its head. */
	struct answer *last = NULL;
	for (int i = 0; i < 300; i++) {
		struct answer *page;

		last = rig_say(rig, "text", "");
		page = answer_wait(rig_page_before(rig, 0, 5));
		assert_int_equal(page->page.entries[page->page.count - 1].seq, page->page.as_of);
	}
	assert_int_equal(answer_wait(last)->sent.seq, 400);
}

/* The reads do not wait for the writer. */
static void reads_go_on_while_the_writer_is_held(void **state)
{
	struct rig *rig = *state;
	struct answer *held = rig_hold(rig), *waiting = rig_say(rig, "waits", "");

	struct answer *page = answer_wait(rig_page_before(rig, 0, 10));
	assert_int_equal(page->page.as_of, 1);
	assert_int_equal(answer_wait(rig_rooms(rig))->rooms[0].head, 1);
	assert_int_equal(answer_wait(rig_find(rig, 3))->status, STORE_NOT_FOUND);
	assert_int_equal(atomic_load(&waiting->calls), 0);
	assert_int_equal(atomic_load(&held->calls), 0);
	rig_let_go(rig);
	assert_int_equal(answer_wait(waiting)->sent.seq, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_lobby_is_there),
		RIG_TEST(guests_are_known_by_token),
		RIG_TEST(a_known_token_is_its_guest),
		RIG_TEST(nobody_is_in_no_rooms),
		RIG_TEST(an_empty_room_has_no_page),
		RIG_TEST(pages_from_the_end),
		RIG_TEST(pages_make_the_whole),
		RIG_TEST(a_page_has_a_size),
		RIG_TEST(a_page_leaves_nothing_out),
		RIG_TEST(resume_tells_what_came_after),
		RIG_TEST(resume_says_when_to_begin_anew),
		RIG_TEST(a_reset_of_a_short_log_is_all_of_it),
		RIG_TEST(unknown_rooms_are_not_found),
		RIG_TEST(reads_see_what_was_answered),
		RIG_TEST(reads_go_on_while_the_writer_is_held),
	};

	return RIG_RUN(tests);
}
