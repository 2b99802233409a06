/*
 * The log under a flood: all that can be written, while reads overlap so that there never is a moment without one. SQLite
 * cannot begin its log anew under a reader, so without care it grows for ever. Here it stays below its bound, memory stays
 * where it was, and every read is answered.
 *
 * MEGABYTES: how much is written.
 */

#include "unit/store/harness.h"

enum {
	MEGABYTES = 200,
	SENDERS = 64, /* sends that are under way */
	READERS = 8, /* reads likewise */
	TEXT_BYTES = 16 << 10,
	WAL_BYTES_MAX = 64 << 20,
	GROWTH_BYTES_MAX = 48 << 20, /* of memory, from an eighth of the flood to its end */
};

struct flood {
	struct rig *rig;
	struct str text;
	atomic_ullong to_send, sent, failed;
	atomic_bool stop;
	atomic_ullong reads, reads_failed, entries;
	atomic_uint senders, readers; /* that have not ended */
	atomic_ullong head;
};

static void send_one(struct flood *f);

static void on_sent(void *ctx, enum store_status status, const struct store_sent *sent)
{
	struct flood *f = ctx;

	if (status == STORE_OK) {
		atomic_store(&f->head, sent->seq);
		atomic_fetch_add(&f->sent, 1);
	} else {
		atomic_fetch_add(&f->failed, 1);
	}
	send_one(f);
}

static void send_one(struct flood *f)
{
	struct store_send send = lobby("", "");
	enum store_status status;

	send.text = f->text;
	if (atomic_fetch_sub(&f->to_send, 1) - 1 > UINT64_MAX / 2) {
		atomic_fetch_sub(&f->senders, 1);
		return;
	}
	status = f->rig->store->ops->append(f->rig->store, &send, on_sent, f);
	if (status != STORE_OK) {
		atomic_fetch_add(&f->failed, 1);
		atomic_fetch_sub(&f->senders, 1);
	}
}

static void read_one(struct flood *f);

static void on_page(void *ctx, enum store_status status, const struct store_page *page)
{
	struct flood *f = ctx;

	atomic_fetch_add(&f->reads, 1);
	if (status == STORE_OK) {
		page_check(page);
		atomic_fetch_add(&f->entries, page->count);
	} else {
		atomic_fetch_add(&f->reads_failed, 1);
	}
	read_one(f);
}

/* As soon as one is answered the next is asked for: far back, at the end, or all. */
static void read_one(struct flood *f)
{
	const struct store_ops *ops = f->rig->store->ops;
	uint64_t n = atomic_load(&f->reads), head = atomic_load(&f->head);
	enum store_status status;

	if (atomic_load(&f->stop)) {
		atomic_fetch_sub(&f->readers, 1);
		return;
	}
	if (n % 3 == 0)
		status = ops->resume(f->rig->store, STORE_LOBBY, 0, 0, on_page, f);
	else
		status = ops->page_before(
			f->rig->store, STORE_LOBBY, n % 3 == 1 ? 0 : head / 2, 200, on_page, f);
	if (status != STORE_OK) {
		atomic_fetch_add(&f->reads_failed, 1);
		atomic_fetch_sub(&f->readers, 1);
	}
}

static uint64_t resident_bytes(void)
{
	char text[128] = "";
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages[3] = { 0 };
	char *at = text;

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	/* The second is all that is resident, the third what of it is shared with files, such as the wal-index. */
	for (int i = 0; i < 3; i++)
		pages[i] = strtoul(at, &at, 10);
	return (pages[1] - pages[2]) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The largest log file of the folder now. */
static uint64_t log_file_bytes(const struct rig *rig)
{
	char path[RIG_PATH_BYTES * 2];
	struct stat s = { .st_size = 0 };

	snprintf(path, sizeof(path), "%s/palaver.db-wal", rig->folder);
	assert_int_equal(stat(path, &s), 0);
	return (uint64_t)s.st_size;
}

static void ignore(void *ctx, const struct store_entry *e)
{
	(void)ctx;
	(void)e;
}

static void the_log_stays_small(void **state)
{
	struct rig *rig = *state;
	uint64_t count = rig_scale("MEGABYTES", MEGABYTES) * (1 << 20) / TEXT_BYTES, began, moved, early = 0,
		 most = 0, file = 0;
	char *text = steady(NULL, TEXT_BYTES);
	struct flood f = { .rig = rig, .text = str_of(text, TEXT_BYTES), .to_send = count };
	struct store_stats stats;

	memset(text, 't', TEXT_BYTES);
	rig->options.committed = ignore;
	rig_open(rig);
	began = clock_now_ns();
	f.senders = SENDERS;
	f.readers = READERS;
	for (int i = 0; i < READERS; i++)
		read_one(&f);
	for (int i = 0; i < SENDERS; i++)
		send_one(&f);
	moved = began;
	for (uint64_t sent = 0; atomic_load(&f.senders) > 0;) {
		uint64_t resident = resident_bytes(), bytes = log_file_bytes(rig);

		if (early == 0 || atomic_load(&f.sent) <= count / 8)
			early = resident;
		most = resident > most ? resident : most;
		file = bytes > file ? bytes : file;
		if (atomic_load(&f.sent) != sent) {
			sent = atomic_load(&f.sent);
			moved = clock_now_ns();
		}
		rig_wait_ms(moved, "something more is written");
	}
	atomic_store(&f.stop, true);
	WAIT_FOR(atomic_load(&f.readers) == 0);
	stats = rig_stats(rig);
	printf("# %" PRIu64 " MiB in %.1f s; log at most %.1f MiB, its file %.1f MiB; %" PRIu64
	       " checkpoints, the longest %.0f ms\n",
		count * TEXT_BYTES >> 20, (double)(clock_now_ns() - began) / 1e9,
		(double)stats.wal_bytes_max / (1 << 20), (double)file / (1 << 20), stats.checkpoints,
		(double)stats.checkpoint_ns_max / 1e6);
	printf("# %llu reads of %llu entries; %" PRIu64 " interrupted; memory grew by %.1f MiB\n", f.reads,
		f.entries, stats.reads_interrupted, (double)(most - early) / (1 << 20));
	assert_int_equal(f.failed, 0);
	assert_int_equal(f.sent, count);
	assert_int_equal(f.reads_failed, 0);
	assert_true(f.reads > count / 100);
	assert_true(stats.wal_bytes_max < WAL_BYTES_MAX);
	assert_true(file < WAL_BYTES_MAX);
	assert_true(most - early < GROWTH_BYTES_MAX);
	assert_int_equal(answer_wait(rig_rooms(rig))->rooms[0].head, count);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CLOSED_TEST(the_log_stays_small),
	};

	return RIG_RUN(tests);
}
