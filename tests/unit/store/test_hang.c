/*
 * A disk that hangs, or is slow: everybody is answered in time and once, and what happens later still reaches the observer.
 */
#include "session.h"

enum { ANSWER_MS = 400, SLACK_MS = 1000, WAITING = 100, READ_ENTRIES = 400 };

/* A page of messages is some 20 pages of the database: less than a second in all, or three. */
enum { SLOW_ENTRIES = 130, SLOW_TEXT_BYTES = 300, SLOW_MS = 5, TOO_SLOW_MS = 150 };

static int hang_setup(void **state)
{
	struct rig *rig;

	fault_setup_closed(state);
	rig = *state;
	rig->options.answer_ms = ANSWER_MS;
	rig->options.readers = 1;
	rig_open(rig);
	return 0;
}

#define HANG_TEST(fn) cmocka_unit_test_setup_teardown(fn, hang_setup, fault_teardown)

struct timed {
	struct answer *answer;
	uint64_t asked_ns;
};

static struct timed timed_say(struct rig *rig, const char *text, const char *cid)
{
	struct timed t = { .asked_ns = clock_now_ns() };

	t.answer = rig_say(rig, text, cid);
	return t;
}

/* Answered, though the disk hangs, and in time. */
static enum store_status in_time(struct timed t)
{
	answer_wait(t.answer);
	if (t.answer->returned == STORE_OK)
		assert_true(t.answer->answered_ns - t.asked_ns <
			    (ANSWER_MS + rig_slower() * SLACK_MS) * CLOCK_NS_PER_MS);
	return t.answer->status;
}

static bool is_seen(struct rig *rig, const char *cid)
{
	bool found = false;

	pthread_mutex_lock(&rig->lock);
	for (size_t i = 0; i < rig->seen_count; i++)
		found = found || str_equal(rig->seen[i].entry.cid, str_c(cid));
	pthread_mutex_unlock(&rig->lock);
	return found;
}

/* Said while the disk hung, and answered `status`: what is true of it once the disk works and all has been done. */
static void expect_outcome(struct rig *rig, const struct answer *page, const char *text, const char *cid,
	enum store_status status)
{
	const struct store_entry *e = log_find(page, cid);
	struct answer *again;

	if (status != STORE_UNKNOWN)
		assert_null(e); /* never begun, and never done later */
	assert_int_equal(is_seen(rig, cid), e != NULL);
	again = say(rig, text, cid);
	assert_int_equal(again->status, e ? STORE_SAME : STORE_OK);
	if (e)
		assert_int_equal(again->sent.seq, e->seq);
}

/* The disk works again; wait until the writer has done all that it had taken. */
static void release_and_settle(struct rig *rig)
{
	struct answer *a;

	fault_vfs_release();
	WAIT_FOR((a = say(rig, "settled", ""))->status == STORE_OK);
	assert_true(a->sent.seq > 0);
}

static void hang_a_commit(struct rig *rig, unsigned ops)
{
	struct timed first, waiting[WAITING], refused;
	char cid[32];

	assert_int_equal(say(rig, "before", "")->status, STORE_OK);
	fault_vfs_hang(ops, FAULT_WAL);
	first = timed_say(rig, "first", "first");
	WAIT_FOR(fault_vfs_hanging() >= 1);
	for (unsigned i = 0; i < WAITING; i++) {
		snprintf(cid, sizeof(cid), "waits-%u", i);
		waiting[i] = timed_say(rig, cid, cid);
	}
	/* Reads go on all the while. */
	assert_int_equal(answer_wait(rig_page_before(rig, 0, 10))->page.as_of, 1);
	assert_int_equal(in_time(first), STORE_UNKNOWN);
	/* Not before its time, either: the disk may be slow. */
	assert_true(first.answer->answered_ns - first.asked_ns >= ANSWER_MS / 2 * CLOCK_NS_PER_MS);
	for (unsigned i = 0; i < WAITING; i++)
		assert_int_equal(in_time(waiting[i]), STORE_UNAVAILABLE);
	/* It still hangs, and whoever comes now is answered too. */
	assert_true(fault_vfs_hanging() >= 1);
	refused = timed_say(rig, "late", "late");
	assert_int_equal(in_time(refused), STORE_UNAVAILABLE);
	assert_int_equal(answer_wait(rig_page_before(rig, 0, 10))->page.as_of, 1);
	assert_true(rig_stats(rig).answered_late >= 1);
	assert_int_equal(rig_seen_count(rig), 1);
	release_and_settle(rig);
	/* What was begun has been done, late, and was observed. */
	assert_true(is_seen(rig, "first"));
	struct answer *page = log_check(rig);
	assert_int_equal(page->page.count, rig_seen_count(rig));
	expect_outcome(rig, page, "first", "first", STORE_UNKNOWN);
	for (unsigned i = 0; i < WAITING; i++) {
		snprintf(cid, sizeof(cid), "waits-%u", i);
		expect_outcome(rig, page, cid, cid, waiting[i].answer->status);
	}
	expect_outcome(rig, page, "late", "late", refused.answer->status);
	/* As before: no answer is late any more, and the next number is the next. */
	page = log_check(rig);
	assert_int_equal(say(rig, "after", "")->sent.seq, page->page.as_of + 1);
	assert_false(rig_stats(rig).read_only);
}

static void a_commit_whose_sync_hangs(void **state)
{
	hang_a_commit(*state, FAULT_SYNC);
}

static void a_commit_whose_write_hangs(void **state)
{
	hang_a_commit(*state, FAULT_WRITE);
}

/* A guest whose commit hung: his token is known or it is not, and then it may be made. */
static void a_guest_while_it_hangs(void **state)
{
	struct rig *rig = *state;
	struct timed t = { .asked_ns = clock_now_ns() };

	fault_vfs_hang(FAULT_SYNC, FAULT_WAL);
	t.answer = rig_guest(rig, "Ann", 1);
	assert_int_equal(in_time(t), STORE_UNKNOWN);
	release_and_settle(rig);
	assert_int_equal(answer_wait(rig_find(rig, 1))->status, STORE_OK);
}

/* A disk that hangs a few times in turn. */
static void it_hangs_again_and_again(void **state)
{
	struct rig *rig = *state;

	for (unsigned i = 0; i < 4; i++) {
		char cid[32];
		struct timed t;

		snprintf(cid, sizeof(cid), "turn-%u", i);
		fault_vfs_hang(FAULT_SYNC, FAULT_WAL);
		t = timed_say(rig, "text", cid);
		assert_int_equal(in_time(t), STORE_UNKNOWN);
		fault_vfs_release();
		WAIT_FOR(is_seen(rig, cid));
		assert_int_equal(say(rig, "text", cid)->status, STORE_SAME);
	}
	assert_int_equal(log_check(rig)->page.as_of, 4);
}

/* A sync that hangs and then fails: unknown, and read-only; the disk is not asked again, also for those given up meanwhile. */
static void a_hang_that_ends_in_failure(void **state)
{
	struct rig *rig = *state;
	struct fault fault = { .ops = FAULT_SYNC, .files = FAULT_WAL, .nth = 1, .on = true };
	struct timed t, behind;

	assert_int_equal(say(rig, "before", "")->status, STORE_OK);
	fault_vfs_hang(FAULT_SYNC, FAULT_WAL);
	t = timed_say(rig, "text", "c");
	WAIT_FOR(fault_vfs_hanging() >= 1);
	behind = timed_say(rig, "behind", "");
	assert_int_equal(in_time(t), STORE_UNKNOWN);
	assert_int_equal(in_time(behind), STORE_UNAVAILABLE);
	fault_vfs_arm(&fault);
	fault_vfs_release();
	WAIT_FOR(rig_stats(rig).read_only);
	assert_int_equal(say(rig, "text", "")->status, STORE_UNAVAILABLE);
	assert_int_equal(rig_seen_count(rig), 1);
	rig_close(rig);
	assert_int_equal(fault_vfs_disarm(), 1);
	rig_open(rig);
	assert_true(is_acknowledged(say(rig, "text", "c")->status));
	assert_int_equal(log_check(rig)->page.as_of, 2);
}

static void reads_that_hang(void **state)
{
	struct rig *rig = *state;
	struct timed reads[5];
	struct answer *last = NULL;

	for (unsigned i = 0; i < READ_ENTRIES; i++)
		last = rig_say(rig, "some text so that there are pages which are not in memory", "");
	assert_int_equal(answer_wait(last)->status, STORE_OK);
	rig_reopen(rig);
	fault_vfs_hang(FAULT_READ, FAULT_DATABASE | FAULT_WAL);
	for (unsigned i = 0; i < 5; i++) {
		reads[i].asked_ns = clock_now_ns();
		reads[i].answer = i % 2 ? rig_resume(rig, 0, 0) : rig_page_before(rig, 0, 200);
	}
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(in_time(reads[i]), STORE_BUSY);
	}
	assert_true(fault_vfs_hanging() >= 1);
	fault_vfs_release();
	WAIT_FOR(answer_wait(rig_page_before(rig, 0, 200))->status == STORE_OK);
	assert_int_equal(answer_wait(rig_resume(rig, 0, 0))->page.count, 200);
	assert_int_equal(say(rig, "next", "")->sent.seq, READ_ENTRIES + 1);
}

/* Without a page of the database in memory. */
static struct answer *read_anew(struct rig *rig, unsigned slow_ms)
{
	struct answer *page;

	rig_reopen(rig);
	fault_vfs_slow(FAULT_READ, FAULT_DATABASE | FAULT_WAL, slow_ms);
	page = answer_wait(rig_page_before(rig, 0, SLOW_ENTRIES));
	fault_vfs_release();
	return page;
}

/* The disk is slow, and never hangs: a read that takes too long is ended by itself, long before it is answered for it. */
static void a_read_that_takes_too_long(void **state)
{
	struct rig *rig = *state;
	char text[SLOW_TEXT_BYTES + 1];
	struct answer *a = NULL;
	uint64_t began_ns;

	memset(text, 's', SLOW_TEXT_BYTES);
	text[SLOW_TEXT_BYTES] = '\0';
	rig->options.readers = 1;
	rig_open(rig);
	for (unsigned i = 0; i < SLOW_ENTRIES; i++)
		a = rig_say(rig, text, "");
	assert_int_equal(answer_wait(a)->status, STORE_OK);
	a = read_anew(rig, SLOW_MS);
	assert_int_equal(a->status, STORE_OK);
	assert_int_equal(a->page.count, SLOW_ENTRIES);
	assert_int_equal(rig_stats(rig).reads_interrupted, 0);
	began_ns = clock_now_ns();
	a = read_anew(rig, TOO_SLOW_MS);
	printf("# ended after %.2f s\n", (double)(a->answered_ns - began_ns) / 1e9);
	assert_int_equal(a->status, STORE_BUSY);
	assert_int_equal(rig_stats(rig).reads_interrupted, 1);
	assert_int_equal(rig_stats(rig).refused_busy, 1);
	/* Its connection is as good as before, and sees what has come since. */
	assert_int_equal(say(rig, "next", "")->sent.seq, SLOW_ENTRIES + 1);
	a = answer_wait(rig_page_before(rig, 0, SLOW_ENTRIES));
	assert_int_equal(a->status, STORE_OK);
	assert_int_equal(a->page.as_of, SLOW_ENTRIES + 1);
	assert_int_equal(a->page.count, SLOW_ENTRIES);
	assert_int_equal(answer_wait(rig_resume(rig, 0, 0))->page.count, SLOW_ENTRIES + 1);
	assert_int_equal(rig_stats(rig).reads_interrupted, 1);
}

/* Whatever it was that hung, the end answers all. */
static void the_end_while_it_hangs(void **state)
{
	struct rig *rig = *state;
	struct timed t[WAITING];

	fault_vfs_hang(FAULT_SYNC, FAULT_WAL);
	for (unsigned i = 0; i < WAITING; i++)
		t[i] = timed_say(rig, "text", "");
	for (unsigned i = 0; i < WAITING / 2; i++)
		in_time(t[i]);
	fault_vfs_release();
	rig_close(rig);
	for (unsigned i = 0; i < WAITING; i++)
		in_time(t[i]);
}

/* A sync of the database itself, as a checkpoint makes it. */
static void a_checkpoint_that_hangs(void **state)
{
	struct rig *rig = *state;
	struct timed t;
	enum store_status status;

	fault_vfs_hang(FAULT_SYNC, FAULT_DATABASE);
	for (unsigned i = 0; i < READ_ENTRIES; i++)
		rig_say(rig, "some text so that there is something to move", "");
	WAIT_FOR(fault_vfs_hanging() >= 1);
	t = timed_say(rig, "text", "c");
	status = in_time(t);
	assert_int_equal(answer_wait(rig_page_before(rig, 0, 1))->status, STORE_OK);
	release_and_settle(rig);
	status = is_acknowledged(status) ? STORE_SAME : status;
	struct answer *again = say(rig, "text", "c");
	if (status == STORE_SAME)
		assert_int_equal(again->status, STORE_SAME);
	else if (status != STORE_UNKNOWN)
		assert_int_equal(again->status, STORE_OK);
	else
		assert_true(is_acknowledged(again->status));
	assert_false(rig_stats(rig).read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HANG_TEST(a_commit_whose_sync_hangs),
		HANG_TEST(a_commit_whose_write_hangs),
		HANG_TEST(a_guest_while_it_hangs),
		HANG_TEST(it_hangs_again_and_again),
		HANG_TEST(a_hang_that_ends_in_failure),
		HANG_TEST(reads_that_hang),
		FAULT_CLOSED_TEST(a_read_that_takes_too_long),
		HANG_TEST(the_end_while_it_hangs),
		HANG_TEST(a_checkpoint_that_hangs),
	};

	return RIG_RUN_IN_MEMORY(tests);
}
