/*
 * The log under a flood: all that can be written, while reads overlap so that there never is a moment without one. SQLite
 * cannot begin its log anew under a reader, so without care it grows for ever. Here it stays below its bound, memory stays
 * where it was, and every read is answered.
 *
 * And under a reader that is not ours and does not end: then the log is full, and posts are refused, in time, until it does.
 *
 * MEGABYTES: how much is written, or tried. ROUNDS: readers that are not ours, one after the other. TRIES: of the store to
 * begin its log anew under each, while it is full.
 */

#include <sqlite3.h>

#include "unit/store/harness.h"

enum {
	MEGABYTES = 200,
	ROUNDS = 1,
	TRIES = 1,
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

/* ---- a reader that is not ours, as of a program for backups: a transaction that stands ---- */

enum {
	BEFORE = 512, /* posts before it begins; so many are in the log where they are not in the database */
	AFTER = (32 << 20) / TEXT_BYTES, /* after it: more than the log had room for */
	AGAIN_MAX = 8, /* of those who were refused, each millisecond */
	READS = 100, /* that must be answered meanwhile */
	ENTRIES_MAX = 1 << 20, /* that there can be at all */
};

/* Says one thing after the other, and each until it is taken, under its cid. */
struct sender {
	struct siege *siege;
	unsigned id, said;
	uint64_t asked_ns;
	atomic_bool refused; /* and waits until it is told to say it again */
};

struct siege {
	struct flood f; /* its text, its head, and its reads */
	struct sender senders[SENDERS];
	atomic_bool enough;
	atomic_uint talking; /* senders that have not ended */
	atomic_ullong taken, refused, wrong, slowest_ns;
	uint32_t *nonces; /* by seq */
	sqlite3 *outsider; /* NULL: there is none */
	/* As it looked. */
	uint64_t file, early, most, reads, read_at_ns, pause_ns;
	unsigned next; /* of the senders */
};

static struct siege siege; /* not on the stack, which a failed test leaves while senders are at it */

static void say_it(struct sender *s);

static void on_said(void *ctx, enum store_status status, const struct store_sent *sent)
{
	struct sender *s = ctx;
	uint64_t ns = clock_now_ns() - s->asked_ns;

	if (ns > atomic_load(&siege.slowest_ns))
		atomic_store(&siege.slowest_ns, ns);
	if (status == STORE_OK && sent->seq < ENTRIES_MAX) {
		siege.nonces[sent->seq] = sent->nonce;
		atomic_store(&siege.f.head, sent->seq);
		atomic_fetch_add(&siege.taken, 1);
		s->said++;
		say_it(s);
	} else if (status == STORE_UNAVAILABLE) {
		atomic_fetch_add(&siege.refused, 1);
		atomic_store(&s->refused, true);
	} else {
		atomic_fetch_add(&siege.wrong, 1);
		atomic_fetch_sub(&siege.talking, 1);
	}
}

static void say_it(struct sender *s)
{
	const struct store_ops *ops = siege.f.rig->store->ops;
	char cid[32];
	struct store_send send;

	if (atomic_load(&siege.enough)) {
		atomic_fetch_sub(&siege.talking, 1);
		return;
	}
	snprintf(cid, sizeof(cid), "%u-%u", s->id, s->said);
	send = lobby("", cid);
	send.text = siege.f.text;
	s->asked_ns = clock_now_ns();
	if (ops->append(siege.f.rig->store, &send, on_said, s) != STORE_OK) {
		atomic_fetch_add(&siege.wrong, 1);
		atomic_fetch_sub(&siege.talking, 1);
	}
}

/* Some of those who were refused try again. */
static void say_again(void)
{
	for (unsigned i = 0, again = 0; i < SENDERS && again < AGAIN_MAX; i++) {
		struct sender *s = &siege.senders[siege.next++ % SENDERS];

		if (atomic_exchange(&s->refused, false)) {
			say_it(s);
			again++;
		}
	}
}

/* One look a millisecond, while it waits: what must be so all the time. */
static void look(void)
{
	uint64_t file = log_file_bytes(siege.f.rig), resident = resident_bytes(), now = clock_now_ns();
	uint64_t reads = atomic_load(&siege.f.reads);

	siege.file = file > siege.file ? file : siege.file;
	siege.most = resident > siege.most ? resident : siege.most;
	if (reads != siege.reads)
		siege.read_at_ns = now;
	siege.reads = reads;
	if (now - siege.read_at_ns > siege.pause_ns)
		siege.pause_ns = now - siege.read_at_ns;
	assert_true(siege.file < WAL_BYTES_MAX);
	assert_true(siege.early == 0 || siege.most < siege.early + GROWTH_BYTES_MAX);
	assert_true(atomic_load(&siege.slowest_ns) < rig_slower() * STORE_ANSWER_MS * CLOCK_NS_PER_MS);
	assert_int_equal(atomic_load(&siege.wrong), 0);
	assert_int_equal(atomic_load(&siege.f.reads_failed), 0);
	say_again();
}

#define UNTIL(condition)                                                                                     \
	do {                                                                                                 \
		for (uint64_t since_ns = clock_now_ns(); !(condition); look())                               \
			rig_wait_ms(since_ns, #condition);                                                   \
	} while (0)

static sqlite3_int64 count_entries(sqlite3 *db)
{
	sqlite3_stmt *stmt;
	sqlite3_int64 count;

	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM entries", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	count = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return count;
}

/* In a transaction from here on. Returns what it sees. */
static sqlite3_int64 outsider_begin(void)
{
	char path[RIG_PATH_BYTES * 2];

	snprintf(path, sizeof(path), "%s/palaver.db", siege.f.rig->folder);
	assert_int_equal(sqlite3_open(path, &siege.outsider), SQLITE_OK);
	assert_int_equal(sqlite3_exec(siege.outsider, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	return count_entries(siege.outsider);
}

static void outsider_end(void)
{
	assert_int_equal(sqlite3_close(siege.outsider), SQLITE_OK);
	siege.outsider = NULL;
}

static void flood_begin(void)
{
	siege.enough = siege.f.stop = false;
	siege.talking = SENDERS;
	siege.f.readers = 2;
	siege.read_at_ns = clock_now_ns();
	for (int i = 0; i < 2; i++)
		read_one(&siege.f);
	for (unsigned i = 0; i < SENDERS; i++) {
		siege.senders[i].id = i;
		say_it(&siege.senders[i]);
	}
}

static void flood_end(void)
{
	atomic_store(&siege.enough, true);
	UNTIL(atomic_load(&siege.talking) == 0);
	atomic_store(&siege.f.stop, true);
	WAIT_FOR(atomic_load(&siege.f.readers) == 0);
}

/* The log is full: nothing is taken, all is answered, reads go on, and all tries to begin it anew are in vain. */
static void stay_full(uint64_t posts)
{
	struct rig *rig = siege.f.rig;
	struct store_stats stats = rig_stats(rig);
	uint64_t taken = atomic_load(&siege.taken), reads = atomic_load(&siege.f.reads);

	posts += taken + atomic_load(&siege.refused);
	UNTIL(rig_stats(rig).checkpoints >= stats.checkpoints + rig_scale("TRIES", TRIES));
	UNTIL(atomic_load(&siege.f.reads) >= reads + READS);
	UNTIL(atomic_load(&siege.taken) + atomic_load(&siege.refused) >= posts);
	assert_int_equal(atomic_load(&siege.taken), taken);
	assert_int_equal(rig_stats(rig).wal_bytes, stats.wal_bytes);
}

/* Its transaction ends: posts are taken again, all of them, and more than the log had room for. Returns after how long. */
static uint64_t end_and_go_on(void)
{
	uint64_t full = atomic_load(&siege.taken), full_bytes = rig_stats(siege.f.rig).wal_bytes;
	uint64_t ended_ns, in_time_ns = rig_slower() * STORE_ANSWER_MS * CLOCK_NS_PER_MS, ns, refused;

	assert_int_equal(sqlite3_exec(siege.outsider, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	ended_ns = clock_now_ns();
	UNTIL(atomic_load(&siege.taken) > full || clock_now_ns() - ended_ns > in_time_ns);
	ns = clock_now_ns() - ended_ns;
	assert_true(ns < in_time_ns);
	refused = atomic_load(&siege.refused);
	UNTIL(atomic_load(&siege.taken) > full + AFTER);
	flood_end();
	assert_int_equal(siege.refused, refused);
	assert_true(rig_stats(siege.f.rig).wal_bytes < full_bytes);
	return ns;
}

/* `early`: it begins while nothing is in the log, and reads the database alone; else from the log too. */
static void one_round(uint64_t posts, bool early)
{
	uint64_t before = siege.taken, refused = siege.refused, full, bytes, ns;
	sqlite3_int64 saw = 0;

	if (early) {
		rig_reopen(siege.f.rig);
		saw = outsider_begin();
	}
	flood_begin();
	UNTIL(atomic_load(&siege.taken) >= before + BEFORE);
	if (!early)
		saw = outsider_begin();
	if (siege.early == 0)
		siege.early = resident_bytes();
	UNTIL(atomic_load(&siege.refused) > refused);
	full = atomic_load(&siege.taken);
	bytes = rig_stats(siege.f.rig).wal_bytes;
	stay_full(posts);
	refused = atomic_load(&siege.refused) - refused;
	assert_int_equal(count_entries(siege.outsider), saw); /* it has been one transaction all the while */
	ns = end_and_go_on();
	outsider_end();
	printf("# %s: full with %.1f MiB after %" PRIu64 " MiB of posts, %" PRIu64
	       " MiB refused; taken again after %.2f s\n",
		early ? "from an empty log" : "from within the log", (double)bytes / (1 << 20),
		(full - before) * TEXT_BYTES >> 20, refused * TEXT_BYTES >> 20, (double)ns / 1e9);
}

/* All that was taken is there, and no more: dense, and each sender's in its order. */
static void expect_all(struct rig *rig)
{
	unsigned said[SENDERS] = { 0 };
	uint64_t seq = 0;
	bool more = true;

	while (more) {
		struct answer *a = answer_wait(rig_resume(rig, seq, siege.nonces[seq]));

		assert_int_equal(a->status, STORE_OK);
		assert_false(a->page.reset);
		for (size_t i = 0; i < a->page.count; i++) {
			const struct store_entry *e = &a->page.entries[i];
			char cid[32];
			unsigned long id = strtoul(e->cid.s, NULL, 10);

			assert_int_equal(e->seq, ++seq);
			assert_int_equal(e->nonce, siege.nonces[seq]);
			assert_true(id < SENDERS);
			snprintf(cid, sizeof(cid), "%lu-%u", id, said[id]++);
			assert_true(str_equal(e->cid, str_c(cid)));
			assert_true(str_equal(e->text, siege.f.text));
		}
		more = a->page.more;
		rig_forget_answers(rig);
	}
	assert_int_equal(seq, siege.taken);
	for (unsigned i = 0; i < SENDERS; i++)
		assert_int_equal(said[i], siege.senders[i].said);
}

static void a_reader_that_is_not_ours(void **state)
{
	static char text[TEXT_BYTES];
	struct rig *rig = *state;
	uint64_t rounds = rig_scale("ROUNDS", ROUNDS),
		 posts = rig_scale("MEGABYTES", MEGABYTES) * (1 << 20) / TEXT_BYTES / rounds;
	uint64_t began = clock_now_ns();
	struct store_stats stats;

	memset(text, 't', TEXT_BYTES);
	siege = (struct siege){ .f = { .rig = rig, .text = str_of(text, TEXT_BYTES) } };
	siege.nonces = steady(NULL, ENTRIES_MAX * sizeof(*siege.nonces));
	siege.nonces[0] = 0;
	rig->options.committed = ignore;
	rig_open(rig);
	for (uint64_t i = 0; i < rounds; i++)
		one_round(posts, i % 2 == 1);
	stats = rig_stats(rig);
	printf("# %.1f s; the log's file at most %.1f MiB; an answer took at most %.2f s; memory grew by "
	       "%.1f MiB\n",
		(double)(clock_now_ns() - began) / 1e9, (double)siege.file / (1 << 20),
		(double)siege.slowest_ns / 1e9, (double)(siege.most - siege.early) / (1 << 20));
	printf("# %llu reads of %llu entries, the longest pause %.2f s; %" PRIu64 " interrupted\n",
		siege.f.reads, siege.f.entries, (double)siege.pause_ns / 1e9, stats.reads_interrupted);
	assert_int_equal(stats.answered_late, 0);
	assert_false(stats.read_only);
	assert_true(stats.wal_bytes_max < WAL_BYTES_MAX);
	expect_all(rig);
	rig_reopen(rig);
	expect_all(rig);
}

/* Also of a test that failed: while its transaction stands the store's end would wait for it. */
static int siege_teardown(void **state)
{
	outsider_end();
	rig_teardown(state);
	free(siege.nonces);
	siege.nonces = NULL;
	return 0;
}

int main(void)
{
	const struct CMUnitTest floods[] = {
		RIG_CLOSED_TEST(the_log_stays_small),
	};
	const struct CMUnitTest sieges[] = {
		cmocka_unit_test_setup_teardown(a_reader_that_is_not_ours, rig_setup_closed, siege_teardown),
	};

	return RIG_RUN(floods) + RIG_RUN_ON_DISK(sieges);
}
