/* The sequencer: entries and answers leave in order, answers about entries after those, and at the end nothing is left. */
#include "sequencer_rig.h"

static void what_one_thread_pushes_leaves_in_its_order(void **state)
{
	(void)state;
	struct item items[3];

	for (uint64_t i = 0; i < 3; i++)
		item_init(&items[i], i + 1, 0, 0);
	push(&items[0]);
	commit(ROOM, 1, "one");
	push(&items[1]);
	commit(OTHER_ROOM, 1, "one");
	commit(ROOM, 2, "two");
	push(&items[2]);
	settle();
	EXPECT({ 0, 1 }, { ROOM, 1 }, { 0, 2 }, { OTHER_ROOM, 1 }, { ROOM, 2 }, { 0, 3 });
	/* The item sees what has left before it, and no more. */
	assert_int_equal(items[0].head, 0);
	assert_int_equal(items[1].head, 1);
	assert_int_equal(items[2].head, 2);
	assert_int_equal(items[2].nonce, 6);
}

static void an_entry_is_copied(void **state)
{
	(void)state;
	struct store_entry e = { .room = ROOM,
		.seq = 1,
		.kind = STORE_MESSAGE,
		.name = STR("Ann"),
		.cid = STR("c-1"),
		.text = STR("hello") };

	commit(ROOM, 1, "a text that is overwritten at once");
	settle();
	assert_string_equal(left.text, "a text that is overwritten at once");
	assert_string_equal(left.cid, "");
	e.seq = 2;
	sequencer_committed(&app, &e);
	settle();
	assert_string_equal(left.name, "Ann");
	assert_string_equal(left.cid, "c-1");
	assert_string_equal(left.text, "hello");
}

static void heads_are_those_that_have_left(void **state)
{
	(void)state;
	struct item before, after;

	assert_true(sequencer_set_head(app.sequencer, ROOM, 41, 5));
	item_init(&before, 1, 0, 0);
	item_init(&after, 2, 0, 0);
	push(&before);
	commit(ROOM, 42, "x");
	push(&after);
	settle();
	assert_int_equal(before.head, 41);
	assert_int_equal(before.nonce, 5);
	assert_int_equal(after.head, 42);
	assert_int_equal(after.nonce, 126);
}

static void an_answer_waits_for_its_entries(void **state)
{
	(void)state;
	struct item five, three, now, other;

	assert_true(sequencer_set_head(app.sequencer, ROOM, 2, 1));
	assert_true(sequencer_set_head(app.sequencer, OTHER_ROOM, 9, 1));
	item_init(&five, 5, ROOM, 5);
	item_init(&three, 3, ROOM, 3);
	item_init(&now, 1, ROOM, 2);
	item_init(&other, 2, OTHER_ROOM, 9);
	push(&five);
	push(&three);
	push(&now);
	push(&other);
	settle();
	EXPECT({ 0, 1 }, { 0, 2 });
	commit(OTHER_ROOM, 10, "x");
	commit(ROOM, 3, "x");
	commit(ROOM, 4, "x");
	settle();
	EXPECT({ 0, 1 }, { 0, 2 }, { OTHER_ROOM, 10 }, { ROOM, 3 }, { 0, 3 }, { ROOM, 4 });
	commit(ROOM, 5, "x");
	settle();
	EXPECT({ 0, 1 }, { 0, 2 }, { OTHER_ROOM, 10 }, { ROOM, 3 }, { 0, 3 }, { ROOM, 4 }, { ROOM, 5 },
		{ 0, 5 });
}

static void those_that_wait_for_one_entry_keep_their_order(void **state)
{
	(void)state;
	struct item items[5];

	assert_true(sequencer_set_head(app.sequencer, ROOM, 1, 1));
	for (uint64_t i = 0; i < 5; i++) {
		item_init(&items[i], i + 1, ROOM, i == 2 ? 3 : 2);
		push(&items[i]);
	}
	settle();
	expect_left(NULL, 0);
	commit(ROOM, 2, "x");
	commit(ROOM, 3, "x");
	settle();
	EXPECT({ ROOM, 2 }, { 0, 1 }, { 0, 2 }, { 0, 4 }, { 0, 5 }, { ROOM, 3 }, { 0, 3 });
}

static void of_an_unknown_room_nothing_is_waited_for(void **state)
{
	(void)state;
	struct item item;

	item_init(&item, 1, 12345, 7);
	push(&item);
	sem_wait(&item.done);
	EXPECT({ 0, 1 });
}

/* An item may come again in its own turn: it is behind what has been pushed meanwhile. */
static void an_item_may_come_again(void **state)
{
	(void)state;
	struct item item;

	item_init(&item, 1, 0, 0);
	item.again = true;
	push(&item);
	sem_wait(&item.done);
	EXPECT({ 0, 1 }, { 0, 1 });
}

static void at_the_end_nothing_is_left(void **state)
{
	(void)state;
	struct item blocker, items[4];

	assert_true(sequencer_set_head(app.sequencer, ROOM, 1, 1));
	item_init(&blocker, 9, 0, 0);
	blocker.item.run = run_and_wait;
	push(&blocker);
	sem_wait(&blocker.done);
	/* One held, one that comes again, one behind an entry, one that waits for ever and then comes again. */
	item_init(&items[0], 1, ROOM, 99);
	item_init(&items[1], 2, 0, 0);
	items[1].again = true;
	item_init(&items[2], 3, 0, 0);
	item_init(&items[3], 4, ROOM, 100);
	items[3].again = true;
	push(&items[0]);
	push(&items[1]);
	commit(ROOM, 2, "x");
	push(&items[2]);
	push(&items[3]);
	sem_post(&blocker.go);
	destroy();
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(sem_trywait(&items[i].done), 0);
	assert_int_equal(left.events[0].number, 2);
	assert_int_equal(left.events[1].room, ROOM);
	assert_int_equal(left.events[2].number, 3);
	assert_int_equal(atomic_load(&left.count), 7);
	sequencer_destroy(NULL);
}

static void it_is_behind_when_the_backlog_is_full(void **state)
{
	(void)state;
	struct item *items = calloc(SEQUENCER_BACKLOG_MAX + 1, sizeof(*items)), blocker;

	assert_non_null(items);
	item_init(&blocker, 1, 0, 0);
	blocker.item.run = run_and_wait;
	assert_false(sequencer_behind(app.sequencer));
	push(&blocker);
	sem_wait(&blocker.done);
	for (uint64_t i = 0; i < SEQUENCER_BACKLOG_MAX; i++) {
		item_init(&items[i], i + 1, 0, 0);
		push(&items[i]);
	}
	assert_false(sequencer_behind(app.sequencer));
	item_init(&items[SEQUENCER_BACKLOG_MAX], SEQUENCER_BACKLOG_MAX + 1, 0, 0);
	push(&items[SEQUENCER_BACKLOG_MAX]);
	assert_true(sequencer_behind(app.sequencer));
	sem_post(&blocker.go);
	settle();
	assert_false(sequencer_behind(app.sequencer));
	for (uint64_t i = 0; i <= SEQUENCER_BACKLOG_MAX; i++)
		assert_int_equal(left.events[i].number, i + 1);
	destroy();
	free(items);
}

struct pusher {
	pthread_t thread;
	uint64_t number;
	struct item *items;
};

static void *push_many(void *ctx)
{
	struct pusher *p = ctx;

	for (uint64_t i = 0; i < ENTRIES; i++) {
		/* Answers to what will have been committed soon: held now and then. */
		item_init(&p->items[i], (p->number + 1) * ENTRIES * 10 + i, ROOM, i % 3 == 0 ? i + 1 : 0);
		push(&p->items[i]);
	}
	return NULL;
}

/* Entries and answers from several threads: each thread's own in order, no answer before its entry, none lost, none twice. */
static void threads_keep_their_order(void **state)
{
	(void)state;
	struct pusher pushers[THREADS] = { { .number = 0 } };
	uint64_t seq = 0, next[THREADS] = { 0 };
	size_t answers = 0;

	assert_true(sequencer_set_head(app.sequencer, ROOM, 0, 0));
	for (size_t i = 0; i < THREADS; i++) {
		pushers[i] = (struct pusher){ .number = i, .items = calloc(ENTRIES, sizeof(struct item)) };
		assert_non_null(pushers[i].items);
		assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_many, &pushers[i]), 0);
	}
	for (uint64_t i = 1; i <= ENTRIES; i++)
		commit(ROOM, i, "x");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(pushers[i].thread, NULL);
	destroy();
	for (size_t i = 0; i < atomic_load(&left.count); i++) {
		struct event e = left.events[i];

		if (e.room == ROOM) {
			assert_int_equal(e.number, ++seq);
			continue;
		}
		uint64_t who = e.number / ((uint64_t)ENTRIES * 10) - 1,
			 which = e.number % ((uint64_t)ENTRIES * 10);
		assert_true(who < THREADS && which < ENTRIES);
		answers++;
		if (which % 3 == 0) {
			assert_true(seq >= which + 1);
		} else {
			assert_true(which >= next[who]);
			next[who] = which + 1;
		}
	}
	assert_int_equal(seq, ENTRIES);
	assert_int_equal(answers, THREADS * ENTRIES);
	for (size_t i = 0; i < THREADS; i++) {
		for (size_t k = 0; k < ENTRIES; k++) {
			assert_int_equal(sem_trywait(&pushers[i].items[k].done), 0);
			assert_int_not_equal(sem_trywait(&pushers[i].items[k].done), 0);
		}
		free(pushers[i].items);
	}
}

static void without_memory_there_is_none(void **state)
{
	(void)state;
	char err[64] = "";
	unsigned n = 0;

	failing_alloc_arm(1);
	assert_null(sequencer_create(&app, err, sizeof(err)));
	assert_true(failing_alloc_disarm());
	assert_true(strlen(err) > 3);
	do {
		failing_alloc_arm(++n);
		bool had = sequencer_set_head(app.sequencer, 1000 + n, 5, 6);
		assert_int_equal(failing_alloc_disarm(), !had);
		if (had)
			break;
	} while (n < 10);
	assert_in_range(n, 2, 9);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		EACH(what_one_thread_pushes_leaves_in_its_order),
		EACH(an_entry_is_copied),
		EACH(heads_are_those_that_have_left),
		EACH(an_answer_waits_for_its_entries),
		EACH(those_that_wait_for_one_entry_keep_their_order),
		EACH(of_an_unknown_room_nothing_is_waited_for),
		EACH(an_item_may_come_again),
		EACH(at_the_end_nothing_is_left),
		EACH(it_is_behind_when_the_backlog_is_full),
		EACH(threads_keep_their_order),
		EACH(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
