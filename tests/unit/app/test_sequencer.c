/*
 * The sequencer: entries and answers leave in order, answers about entries after those, and at the end nothing is left. What is
 * pushed to sockets comes to this test instead (a stand-in for app/live.c).
 */
#include "app/sequencer.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/live.h"
#include "base/assert.h"
#include "base/clock.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum {
	EVENTS_MAX = 200000,
	ENTRIES = 5000,
	THREADS = 4,
	ROOM = 7,
	OTHER_ROOM = 8,
	TOLD_AGAIN_MS = 100, /* RETRY_MS of app/sequencer.c */
};

/* What the sequencer's thread did, in order. */
struct event {
	int64_t room; /* of an entry; 0: an item */
	uint64_t number; /* its seq, or the item's number; 0: a gap was told */
};

static struct {
	struct event events[EVENTS_MAX];
	atomic_size_t count;
	atomic_bool push_fails;
	atomic_uint cannot_be_told; /* of whom live_gap() has no memory for */
	atomic_uint gaps; /* calls of live_gap(); whom the last was for */
	atomic_uint whom;
	char text[64], name[64], cid[64]; /* of the last entry */
} left;

static struct app app;

enum { WAIT_MS = 60000 };

#define WAIT_FOR(condition)                                                                                  \
	do {                                                                                                 \
		for (int left_ms = WAIT_MS; !(condition); left_ms--) {                                       \
			assert_true(left_ms > 0);                                                            \
			(void)poll(NULL, 0, 1);                                                              \
		}                                                                                            \
	} while (0)

static void note(int64_t room, uint64_t number)
{
	size_t at = atomic_load(&left.count);

	assert(at < EVENTS_MAX);
	left.events[at] = (struct event){ room, number };
	atomic_store(&left.count, at + 1);
}

static void keep(char out[64], struct str text)
{
	snprintf(out, 64, "%.*s", (int)text.bytes, text.s);
}

/* Stand-ins. */
bool live_push(struct app *a, const struct store_entry *e)
{
	assert(a == &app);
	keep(left.text, e->text);
	keep(left.name, e->name);
	keep(left.cid, e->cid);
	note(e->room, e->seq);
	return !atomic_load(&left.push_fails);
}

unsigned live_gap(struct app *a, unsigned whom)
{
	assert(a == &app);
	note(0, 0);
	atomic_store(&left.whom, whom);
	atomic_fetch_add(&left.gaps, 1);
	return whom & atomic_load(&left.cannot_be_told);
}

struct item {
	struct sequencer_item item; /* first */
	uint64_t number;
	sem_t done, go;
	bool again; /* it comes once more */
	uint64_t head;
	uint32_t nonce;
};

static void run_item(struct sequencer *s, struct sequencer_item *i)
{
	struct item *item = (struct item *)(void *)i;

	sequencer_head(s, ROOM, &item->head, &item->nonce);
	note(0, item->number);
	if (item->again) {
		item->again = false;
		sequencer_push(s, &item->item);
		return;
	}
	sem_post(&item->done);
}

static void run_and_wait(struct sequencer *s, struct sequencer_item *i)
{
	struct item *item = (struct item *)(void *)i;

	(void)s;
	sem_post(&item->done);
	sem_wait(&item->go);
}

static void item_init(struct item *item, uint64_t number, int64_t room, uint64_t after)
{
	*item = (struct item){ .number = number };
	item->item = (struct sequencer_item){ .run = run_item, .room = room, .after = after };
	sem_init(&item->done, 0, 0);
	sem_init(&item->go, 0, 0);
}

static void push(struct item *item)
{
	sequencer_push(app.sequencer, &item->item);
}

/* All that was pushed before by this thread has been looked at. */
static void settle(void)
{
	struct item last;

	item_init(&last, UINT64_MAX, 0, 0);
	push(&last);
	sem_wait(&last.done);
}

static void commit(int64_t room, uint64_t seq, const char *text)
{
	char copy[64];
	struct store_entry e = { .room = room,
		.seq = seq,
		.nonce = (uint32_t)seq * 3,
		.kind = STORE_MESSAGE,
		.author = 1,
		.name = STR("Ann"),
		.cid = STR("") };

	/* Lent for the call: it is gone right after. */
	snprintf(copy, sizeof(copy), "%s", text);
	e.text = str_c(copy);
	sequencer_committed(&app, &e);
	memset(copy, '!', sizeof(copy));
}

static int set_up(void **state)
{
	char err[128];

	(void)state;
	memset(&left, 0, sizeof(left));
	app.sequencer = sequencer_create(&app, err, sizeof(err));
	return app.sequencer == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	sequencer_destroy(app.sequencer);
	app.sequencer = NULL;
	return 0;
}

static void destroy(void)
{
	sequencer_destroy(app.sequencer);
	app.sequencer = NULL;
}

/* What has left so far, without settle()'s own. */
static void expect_left(const struct event *events, size_t count)
{
	size_t all = atomic_load(&left.count), at = 0;

	for (size_t i = 0; i < all; i++) {
		if (left.events[i].number == UINT64_MAX)
			continue;
		if (at < count && (left.events[i].room != events[at].room ||
					  left.events[i].number != events[at].number))
			print_error("%zu: %lld, %llu\n", at, (long long)left.events[i].room,
				(unsigned long long)left.events[i].number);
		assert_true(at < count);
		assert_int_equal(left.events[i].room, events[at].room);
		assert_int_equal(left.events[i].number, events[at].number);
		at++;
	}
	assert_int_equal(at, count);
}

#define EXPECT(...)                                                                                          \
	do {                                                                                                 \
		const struct event expected[] = { __VA_ARGS__ };                                             \
		expect_left(expected, sizeof(expected) / sizeof(*expected));                                 \
	} while (0)

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

static void commit_without_memory(uint64_t seq)
{
	failing_alloc_arm(1);
	commit(ROOM, seq, "lost");
	assert_true(failing_alloc_disarm());
}

/* An entry that could not be copied: all are told to sync, though nothing else happens; and nobody waits for it. */
static void a_lost_entry_is_a_gap(void **state)
{
	(void)state;
	struct item held, later;

	assert_true(sequencer_set_head(app.sequencer, ROOM, 1, 1));
	item_init(&held, 1, ROOM, 2);
	push(&held);
	settle();
	expect_left(NULL, 0);
	commit_without_memory(2);
	sem_wait(&held.done);
	EXPECT({ 0, 0 }, { 0, 1 });
	/* A page of the store's knows it, so long as nothing comes after it as well. */
	item_init(&later, 2, ROOM, 2);
	push(&later);
	sem_wait(&later.done);
	/* From the next one on all is as before. */
	commit(ROOM, 3, "x");
	settle();
	item_init(&held, 3, ROOM, 4);
	push(&held);
	settle();
	EXPECT({ 0, 0 }, { 0, 1 }, { 0, 2 }, { ROOM, 3 });
	commit(ROOM, 4, "x");
	sem_wait(&held.done);
	EXPECT({ 0, 0 }, { 0, 1 }, { 0, 2 }, { ROOM, 3 }, { ROOM, 4 }, { 0, 3 });
	assert_int_equal(atomic_load(&left.gaps), 1);
}

static void a_push_that_fails_is_a_gap(void **state)
{
	(void)state;
	atomic_store(&left.push_fails, true);
	commit(ROOM, 1, "x");
	settle();
	settle();
	atomic_store(&left.push_fails, false);
	assert_int_equal(atomic_load(&left.gaps), 1);
	EXPECT({ ROOM, 1 }, { 0, 0 });
}

static void a_gap_that_cannot_be_told_is_told_later(void **state)
{
	(void)state;
	uint64_t began_ns = clock_now_ns();

	atomic_store(&left.push_fails, true);
	atomic_store(&left.cannot_be_told, LIVE_ROOT);
	commit(ROOM, 1, "x");
	WAIT_FOR(atomic_load(&left.gaps) == 1);
	assert_int_equal(atomic_load(&left.whom), LIVE_CHAT | LIVE_ROOT);
	atomic_store(&left.push_fails, false);
	/* Again and again, but neither those who know, nor with all that happens meanwhile. */
	WAIT_FOR(atomic_load(&left.gaps) >= 3);
	assert_int_equal(atomic_load(&left.whom), LIVE_ROOT);
	for (uint64_t i = 2; i < 50; i++) {
		commit(ROOM, i, "x");
		settle();
	}
	uint64_t took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
	assert_true(atomic_load(&left.gaps) <= took_ms / TOLD_AGAIN_MS + 1);
	unsigned told = atomic_load(&left.gaps);
	atomic_store(&left.cannot_be_told, 0);
	WAIT_FOR(atomic_load(&left.gaps) > told);
	assert_int_equal(atomic_load(&left.whom), LIVE_ROOT);
	settle();
	told = atomic_load(&left.gaps);
	/* Whoever misses something again is told again, and not before its time. */
	atomic_store(&left.push_fails, true);
	commit(ROOM, 50, "x");
	settle();
	atomic_store(&left.push_fails, false);
	WAIT_FOR(atomic_load(&left.gaps) > told);
	assert_int_equal(atomic_load(&left.whom), LIVE_CHAT | LIVE_ROOT);
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
		EACH(a_lost_entry_is_a_gap),
		EACH(a_push_that_fails_is_a_gap),
		EACH(a_gap_that_cannot_be_told_is_told_later),
		EACH(threads_keep_their_order),
		EACH(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
