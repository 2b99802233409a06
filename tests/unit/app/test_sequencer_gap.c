/* The sequencer when something could not be pushed: everybody is told, once, and nobody waits for it. */
#include "sequencer_rig.h"

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

/* An entry that was on its way before one was lost does not make what follows that one sure. */
static void what_came_before_a_lost_entry_does_not_mend_it(void **state)
{
	(void)state;
	struct item blocker, page;

	assert_true(sequencer_set_head(app.sequencer, ROOM, 1, 1));
	item_init(&blocker, 9, 0, 0);
	blocker.item.run = run_and_wait;
	push(&blocker);
	sem_wait(&blocker.done);
	commit(ROOM, 2, "x");
	commit_without_memory(3);
	sem_post(&blocker.go);
	settle();
	/* Nobody waits for what does not come. */
	item_init(&page, 1, ROOM, 3);
	push(&page);
	sem_wait(&page.done);
	commit(ROOM, 4, "x");
	item_init(&page, 2, ROOM, 5);
	push(&page);
	settle();
	EXPECT({ 0, 0 }, { ROOM, 2 }, { 0, 1 }, { ROOM, 4 });
	commit(ROOM, 5, "x");
	sem_wait(&page.done);
	EXPECT({ 0, 0 }, { ROOM, 2 }, { 0, 1 }, { ROOM, 4 }, { ROOM, 5 }, { 0, 2 });
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

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		EACH(a_lost_entry_is_a_gap),
		EACH(what_came_before_a_lost_entry_does_not_mend_it),
		EACH(a_push_that_fails_is_a_gap),
		EACH(a_gap_that_cannot_be_told_is_told_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
