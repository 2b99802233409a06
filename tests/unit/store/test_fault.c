/* A disk that is full, and one that fails: what is answered then, and that nothing acknowledged is ever lost. */
#include <errno.h>
#include <sqlite3.h>

#include "session.h"

enum { BATCH = 6, LARGE_BATCH = 120 };

static const struct fault full = {
	.ops = FAULT_WRITE | FAULT_TRUNCATE, .files = FAULT_FILES, .nth = 1, .on = true, .code = SQLITE_FULL
};

static const struct fault quota = {
	.ops = FAULT_WRITE | FAULT_TRUNCATE, .files = FAULT_FILES, .nth = 1, .on = true, .error = EDQUOT
};

/* A batch of sends with ids, all in one transaction, that meets a fault; seq 1 was there before it. */
static void fail_a_batch(
	struct rig *rig, const struct fault *fault, struct str text, struct answer **a, size_t count)
{
	struct answer *held = rig_hold(rig);

	for (size_t i = 0; i < count; i++) {
		struct store_send send = lobby("", "");
		char cid[32];

		snprintf(cid, sizeof(cid), "batch-%zu", i);
		send.cid = str_c(cid);
		send.text = text;
		a[i] = rig_append(rig, &send);
	}
	fault_vfs_arm(fault);
	rig_let_go(rig);
	assert_int_equal(answer_wait(held)->status, STORE_OK);
	for (size_t i = 0; i < count; i++)
		answer_wait(a[i]);
}

/* Each of the batch is sent again: every one is new, and they follow `head`. */
static void send_again(struct rig *rig, struct str text, size_t count, uint64_t head)
{
	for (size_t i = 0; i < count; i++) {
		struct store_send send = lobby("", "");
		struct answer *a;
		char cid[32];

		snprintf(cid, sizeof(cid), "batch-%zu", i);
		send.cid = str_c(cid);
		send.text = text;
		a = answer_wait(rig_append(rig, &send));
		assert_int_equal(a->status, STORE_OK);
		assert_int_equal(a->sent.seq, head + i + 1);
	}
}

static void fill_the_disk(struct rig *rig, const struct fault *fault, struct str text, size_t count)
{
	struct answer **a = steady(NULL, count * sizeof(struct answer *)), *page;

	fail_a_batch(rig, fault, text, a, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(a[i]->status, STORE_UNAVAILABLE);
	assert_true(rig_stats(rig).batches_failed >= 1);
	assert_false(rig_stats(rig).read_only);
	assert_int_equal(rig_seen_count(rig), 1);
	/* It stays full. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(say(rig, "no room", "")->status, STORE_UNAVAILABLE);
		assert_int_equal(answer_wait(rig_guest(rig, "Ann", 1))->status, STORE_UNAVAILABLE);
		page = answer_wait(rig_page_before(rig, 0, 10));
		assert_int_equal(page->status, STORE_OK);
		assert_int_equal(page->page.as_of, 1);
		assert_int_equal(answer_wait(rig_find(rig, 1))->status, STORE_NOT_FOUND);
		assert_int_equal(answer_wait(rig_rooms(rig))->rooms[0].head, 1);
	}
	assert_true(fault_vfs_disarm() > 0);
	/* There is room again. */
	send_again(rig, text, count, 1);
	assert_int_equal(answer_wait(rig_guest(rig, "Ann", 1))->status, STORE_OK);
	assert_int_equal(rig_seen_count(rig), 1 + count);
	rig_reopen(rig);
	page = answer_wait(rig_page_before(rig, 0, 1));
	assert_int_equal(page->page.as_of, 1 + count);
	free(a);
}

static void a_full_disk_refuses_and_recovers(void **state)
{
	fill_the_disk(*state, &full, STR("text"), BATCH);
}

static void a_full_quota_refuses_and_recovers(void **state)
{
	fill_the_disk(*state, &quota, STR("text"), BATCH);
}

/* More than SQLite keeps in memory: the log is written before the commit. */
static void a_full_disk_in_the_midst_of_a_batch(void **state)
{
	char *text = steady(NULL, STORE_BODY_BYTES_MAX);

	memset(text, 't', STORE_BODY_BYTES_MAX);
	fill_the_disk(*state, &full, str_of(text, STORE_BODY_BYTES_MAX), LARGE_BATCH);
	free(text);
}

/* Full for one write: whatever is answered is true. */
static void a_full_disk_for_a_moment(void **state)
{
	struct rig *rig = *state;
	struct fault once = full;
	struct answer *a[BATCH], *page;
	uint64_t head = 1;

	once.on = false;
	fail_a_batch(rig, &once, STR("text"), a, BATCH);
	assert_int_equal(fault_vfs_disarm(), 1);
	for (size_t i = 0; i < BATCH; i++) {
		assert_true(a[i]->status == STORE_OK || a[i]->status == STORE_UNAVAILABLE);
		if (a[i]->status == STORE_OK)
			assert_int_equal(a[i]->sent.seq, ++head);
	}
	assert_int_equal(say(rig, "next", "")->sent.seq, head + 1);
	page = log_check(rig);
	assert_int_equal(page->page.as_of, head + 1);
	for (size_t i = 0; i < BATCH; i++) {
		char cid[32];

		snprintf(cid, sizeof(cid), "batch-%zu", i);
		assert_int_equal(log_find(page, cid) != NULL, a[i]->status == STORE_OK);
	}
}

/* After a commit that failed in an unknown way: nothing more is written, all is read, and a restart tells. */
static void fail_the_commit(struct rig *rig, const struct fault *fault, bool cut)
{
	struct disk_cut lost = { .dirty = 0 };
	struct answer *a[BATCH], *page;
	struct store_stats stats;
	struct rng r;

	fail_a_batch(rig, fault, STR("text"), a, BATCH);
	for (size_t i = 0; i < BATCH; i++)
		assert_int_equal(a[i]->status, STORE_UNKNOWN);
	assert_true(rig_stats(rig).read_only);
	assert_int_equal(rig_seen_count(rig), 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(say(rig, "late", "")->status, STORE_UNAVAILABLE);
		assert_int_equal(answer_wait(rig_guest(rig, "Ann", 1))->status, STORE_UNAVAILABLE);
		/* Not even what is there already: the disk is not to be trusted. But it may be read. */
		assert_false(is_acknowledged(say(rig, "text", "batch-0")->status));
		page = answer_wait(rig_page_before(rig, 0, 10));
		assert_int_equal(page->status, STORE_OK);
		assert_int_equal(page->page.as_of, 1);
		if (i == 1)
			fault_vfs_disarm(); /* that it works again changes nothing */
	}
	stats = rig_stats(rig);
	assert_true(stats.read_only);
	assert_true(stats.refused_unavailable >= 6);
	assert_int_equal(rig_seen_count(rig), 1);
	if (cut)
		fault_vfs_cut_now();
	rig_close(rig);
	if (cut) {
		rng_init(&r);
		fault_reboot(rig, &r, &lost);
	}
	rig_open(rig);
	assert_false(rig_stats(rig).read_only);
	page = log_check(rig);
	/* All of the batch or nothing of it. */
	assert_true(page->page.as_of == 1 || page->page.as_of == 1 + BATCH);
	for (size_t i = 0; i < BATCH; i++) {
		char cid[32];
		bool there;

		snprintf(cid, sizeof(cid), "batch-%zu", i);
		there = log_find(page, cid) != NULL;
		assert_int_equal(there, page->page.as_of > 1);
		assert_int_equal(say(rig, "text", cid)->status, there ? STORE_SAME : STORE_OK);
	}
	assert_int_equal(log_check(rig)->page.as_of, 1 + BATCH);
}

static void a_failed_commit_is_unknown(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 8; i++) {
		struct fault fault = {
			.ops = i & 1 ? FAULT_WRITE : FAULT_SYNC, .files = FAULT_WAL, .nth = 1, .on = i & 2
		};

		fail_the_commit(rig, &fault, i & 4);
		fault_anew(rig);
		rig_open(rig);
	}
}

/* The sync of a single message, as most are. */
static void a_failed_sync_of_one(void **state)
{
	struct rig *rig = *state;
	struct fault fault = { .ops = FAULT_SYNC, .files = FAULT_WAL, .nth = 1 };
	struct answer *a;

	assert_int_equal(say(rig, "first", "")->status, STORE_OK);
	fault_vfs_arm(&fault);
	a = say(rig, "second", "c");
	assert_int_equal(a->status, STORE_UNKNOWN);
	assert_true(rig_stats(rig).read_only);
	assert_int_equal(fault_vfs_disarm(), 1);
	assert_int_equal(say(rig, "third", "")->status, STORE_UNAVAILABLE);
	rig_reopen(rig);
	a = say(rig, "second", "c");
	assert_true(is_acknowledged(a->status));
	assert_int_equal(a->sent.seq, 2);
}

/* Reads see what has been synced, and nothing before. */
static void reads_see_only_the_committed(void **state)
{
	struct rig *rig = *state;
	struct answer *a, *page;

	assert_int_equal(say(rig, "first", "")->status, STORE_OK);
	fault_vfs_hang(FAULT_SYNC, FAULT_WAL);
	a = rig_say(rig, "second", "");
	WAIT_FOR(fault_vfs_hanging() == 1);
	for (int i = 0; i < 10; i++) {
		page = answer_wait(rig_page_before(rig, 0, 10));
		assert_int_equal(page->page.as_of, 1);
		assert_int_equal(page->page.count, 1);
		assert_int_equal(answer_wait(rig_rooms(rig))->rooms[0].head, 1);
	}
	assert_int_equal(atomic_load(&a->calls), 0);
	assert_int_equal(rig_seen_count(rig), 1);
	fault_vfs_release();
	assert_int_equal(answer_wait(a)->status, STORE_OK);
	assert_int_equal(answer_wait(rig_page_before(rig, 0, 10))->page.as_of, 2);
}

/* What cannot be read is unavailable, and can be read when it can. */
static void unreadable_is_unavailable(void **state)
{
	struct rig *rig = *state;
	struct fault fault = { .ops = FAULT_READ, .files = FAULT_FILES, .nth = 1, .on = true };
	struct answer *reads[4], *last = NULL;

	for (int i = 0; i < 400; i++)
		last = rig_say(rig, "some text so that there are pages which are not in memory", "");
	assert_int_equal(answer_wait(last)->status, STORE_OK);
	rig_reopen(rig);
	fault_vfs_arm(&fault);
	reads[0] = rig_page_before(rig, 200, 200);
	reads[1] = rig_resume(rig, 0, 0);
	reads[2] = rig_resume(rig, 100, 1);
	reads[3] = rig_page_before(rig, 100, 10);
	for (int i = 0; i < 4; i++)
		assert_int_equal(answer_wait(reads[i])->status, STORE_UNAVAILABLE);
	assert_true(fault_vfs_disarm() > 0);
	assert_int_equal(answer_wait(rig_page_before(rig, 200, 200))->page.count, 199);
	assert_int_equal(answer_wait(rig_resume(rig, 0, 0))->page.count, 200);
	assert_int_equal(say(rig, "next", "")->sent.seq, 401);
}

/* ---- the n-th operation, for every n ---- */

static void fail_every(struct rig *rig, const char *what, struct fault fault, bool cut)
{
	struct disk_cut lost = { .dirty = 0 };
	unsigned acknowledged = 0, opened = 0, tried = 0, stride = session_stride(1);
	uint64_t failed;
	struct rng r;

	rng_init(&r);
	for (fault.nth = 1 + rng_below(&r, stride);; fault.nth += stride) {
		struct session s = { .opened = false };

		fault_vfs_arm(&fault);
		session_run(rig, &s);
		failed = fault_vfs_disarm();
		opened += s.opened;
		for (unsigned i = 0; i < SESSION_SENDS; i++)
			acknowledged += is_acknowledged(s.status[i]);
		if (cut) {
			fault_vfs_cut_now();
			mkdir(rig->folder, 0700);
			fault_reboot(rig, &r, &lost);
		}
		rig_open(rig);
		session_verify(rig, &s);
		fault_anew(rig);
		if (failed == 0) {
			/* None was left to fail: all has gone well. */
			for (unsigned i = 0; i < SESSION_SENDS; i++)
				assert_int_equal(s.status[i], STORE_OK);
			assert_int_equal(s.guest_status, STORE_OK);
			break;
		}
		tried++;
	}
	printf("# %s%s%s: %u operations failed in turn; %u opened, %u acknowledged\n", what,
		fault.on ? ", and all after it" : "", cut ? ", then a cut" : "", tried, opened, acknowledged);
	assert_true(tried > 0);
}

static void fail_every_way(struct rig *rig, const char *what, unsigned ops, int code)
{
	for (int i = 0; i < 4; i++)
		fail_every(rig, what,
			(struct fault){ .ops = ops, .files = FAULT_FILES, .on = i & 1, .code = code }, i & 2);
}

static void every_write_fails(void **state)
{
	fail_every_way(*state, "write", FAULT_WRITE, 0);
}

static void every_write_finds_the_disk_full(void **state)
{
	fail_every_way(*state, "full", FAULT_WRITE | FAULT_TRUNCATE, SQLITE_FULL);
}

static void every_sync_fails(void **state)
{
	fail_every_way(*state, "sync", FAULT_SYNC, 0);
}

static void every_open_fails(void **state)
{
	fail_every_way(*state, "open", FAULT_OPEN, 0);
}

static void every_read_fails(void **state)
{
	fail_every_way(*state, "read", FAULT_READ, 0);
}

static void every_operation_fails(void **state)
{
	fail_every_way(*state, "any", FAULT_OPS, SQLITE_IOERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(a_full_disk_refuses_and_recovers),
		FAULT_TEST(a_full_quota_refuses_and_recovers),
		FAULT_TEST(a_full_disk_in_the_midst_of_a_batch),
		FAULT_TEST(a_full_disk_for_a_moment),
		FAULT_TEST(a_failed_commit_is_unknown),
		FAULT_TEST(a_failed_sync_of_one),
		FAULT_TEST(reads_see_only_the_committed),
		FAULT_TEST(unreadable_is_unavailable),
		FAULT_CLOSED_TEST(every_write_fails),
		FAULT_CLOSED_TEST(every_write_finds_the_disk_full),
		FAULT_CLOSED_TEST(every_sync_fails),
		FAULT_CLOSED_TEST(every_open_fails),
		FAULT_CLOSED_TEST(every_read_fails),
		FAULT_CLOSED_TEST(every_operation_fails),
	};

	return RIG_RUN_IN_MEMORY(tests);
}
