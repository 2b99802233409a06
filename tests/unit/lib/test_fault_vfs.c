/* The disk that fails, of the store's tests: plain SQLite on it keeps what it promises, and loses what it does not. */
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/cmocka.h"
#include "lib/fault_vfs.h"

enum { CUTS = 200, ROWS_MAX = 60, CHANGES_MAX = 400 };

static char folder[512];

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void folder_make(void)
{
	snprintf(folder, sizeof(folder), "/dev/shm/fault.XXXXXX");
	assert_non_null(mkdtemp(folder));
}

static void folder_remove(const char *path)
{
	assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static sqlite3 *database_open(const char *pragmas)
{
	char path[600];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/db", folder);
	assert_int_equal(
		sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, FAULT_VFS), SQLITE_OK);
	if (sqlite3_exec(db, pragmas, NULL, NULL, NULL) == SQLITE_OK)
		sqlite3_exec(
			db, "CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, text)", NULL, NULL, NULL);
	return db;
}

static int run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int count_row(void *ctx, int columns, char **values, char **names)
{
	(void)names;
	assert_int_equal(columns, 1);
	snprintf(ctx, 64, "%s", values[0] ? values[0] : "");
	return 0;
}

static unsigned long ask(sqlite3 *db, const char *sql)
{
	char text[64] = "";

	assert_int_equal(sqlite3_exec(db, sql, count_row, text, NULL), SQLITE_OK);
	return strcmp(text, "ok") == 0 ? 1 : strtoul(text, NULL, 10);
}

/* Commits until the power is cut, somewhere; how many were acknowledged. */
static unsigned long session(const char *pragmas, struct rng *r)
{
	unsigned long done = 0;
	sqlite3 *db;

	fault_vfs_cut_at(1 + rng_below(r, CHANGES_MAX), FAULT_FILES);
	db = database_open(pragmas);
	while (done < ROWS_MAX && run(db, "INSERT INTO t(text) VALUES(hex(randomblob(300)))") == SQLITE_OK) {
		done++;
		if (rng_below(r, 20) == 0)
			run(db, "PRAGMA wal_checkpoint(RESTART)");
	}
	fault_vfs_cut_now();
	sqlite3_close(db);
	return done;
}

/* In how many of the cuts something acknowledged was not there, or the file was damaged. */
static unsigned losses(const char *pragmas, struct rng *r, struct disk_cut *cut)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < CUTS; i++) {
		char before[512];
		unsigned long acknowledged;
		sqlite3 *db;

		folder_make();
		fault_vfs_powersafe(i % 2 == 0);
		acknowledged = session(pragmas, r);
		memcpy(before, folder, sizeof(before));
		folder_make();
		fault_vfs_reboot(folder, r, cut);
		folder_remove(before);
		db = database_open("PRAGMA synchronous=FULL");
		if (run(db, "SELECT * FROM t") != SQLITE_OK ||
			ask(db, "SELECT count(*) FROM t") < acknowledged ||
			ask(db, "PRAGMA integrity_check") != 1)
			lost++;
		sqlite3_close(db);
		fault_vfs_reset();
		folder_remove(folder);
	}
	return lost;
}

static void synced_is_kept(void **state)
{
	struct disk_cut cut = { .dirty = 0 };
	struct rng r;

	(void)state;
	rng_init(&r);
	assert_int_equal(losses("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", &r, &cut), 0);
	printf("# %d cuts: of %lu sectors %lu kept, %lu torn; %lu names\n", CUTS, (unsigned long)cut.dirty,
		(unsigned long)cut.kept, (unsigned long)cut.torn, (unsigned long)cut.names);
	assert_true(cut.old > 0 && cut.kept > 0 && cut.torn > 0);
	/* With a journal of rollbacks too. */
	assert_int_equal(losses("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA", &r, &cut), 0);
	assert_true(cut.names > 0);
}

static void not_synced_is_lost(void **state)
{
	struct disk_cut cut = { .dirty = 0 };
	struct rng r;

	(void)state;
	rng_init(&r);
	assert_true(losses("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF", &r, &cut) > CUTS / 4);
	assert_true(losses("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", &r, &cut) > CUTS / 4);
	assert_true(losses("PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF", &r, &cut) > 0);
}

/* A sync that failed has lost what it was to sync, whatever a later one says. */
static void failed_sync_loses(void **state)
{
	struct disk_cut cut = { .dirty = 0 };
	struct rng r;
	unsigned lost = 0;

	(void)state;
	rng_init(&r);
	for (unsigned i = 0; i < CUTS && lost == 0; i++) {
		struct disk disk = { .count = 0 };
		struct disk_file *f = disk_add(&disk, "f", "old", 3);
		char path[600], text[4] = "";
		FILE *file;

		folder_make();
		disk_write(f, "new", 3, 0);
		disk_sync_failed(f);
		disk_sync(f);
		disk_sync(f);
		disk_cut(&disk, folder, &r, &cut);
		snprintf(path, sizeof(path), "%s/f", folder);
		file = fopen(path, "re");
		assert_non_null(file);
		assert_int_equal(fread(text, 1, 3, file), 3);
		fclose(file);
		lost += strcmp(text, "old") == 0;
		disk_finish(&disk);
		folder_remove(folder);
	}
	assert_int_equal(lost, 1);
}

static void fails_as_told(void **state)
{
	static const struct {
		struct fault fault;
		int code;
	} cases[] = {
		{ { .ops = FAULT_WRITE, .files = FAULT_WAL, .nth = 1, .on = true, .code = SQLITE_FULL },
			SQLITE_FULL },
		{ { .ops = FAULT_WRITE, .files = FAULT_WAL, .nth = 2 }, SQLITE_IOERR_WRITE },
		{ { .ops = FAULT_SYNC, .files = FAULT_WAL, .nth = 1 }, SQLITE_IOERR_FSYNC },
		{ { .ops = FAULT_READ, .files = FAULT_DATABASE, .nth = 1, .on = true }, SQLITE_IOERR_READ },
	};
	sqlite3 *db;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		folder_make();
		db = database_open("PRAGMA journal_mode=WAL");
		assert_int_equal(ask(db, "SELECT count(*) FROM t"), 0);
		sqlite3_close(db);
		db = database_open("PRAGMA journal_mode=WAL");
		assert_int_equal(run(db, "INSERT INTO t(text) VALUES(randomblob(9000))"), SQLITE_OK);
		if (cases[i].fault.ops == FAULT_READ) {
			assert_int_equal(run(db, "PRAGMA wal_checkpoint(RESTART)"), SQLITE_OK);
			assert_int_equal(run(db, "PRAGMA shrink_memory"), SQLITE_OK);
		}
		fault_vfs_arm(&cases[i].fault);
		if (cases[i].fault.ops == FAULT_READ)
			assert_int_not_equal(run(db, "SELECT * FROM t"), SQLITE_OK);
		else
			assert_int_not_equal(
				run(db, "INSERT INTO t(text) VALUES(randomblob(9000))"), SQLITE_OK);
		assert_int_equal(sqlite3_extended_errcode(db), cases[i].code);
		assert_true(fault_vfs_disarm() >= 1);
		assert_int_equal(ask(db, "SELECT count(*) FROM t"), 1);
		assert_int_equal(run(db, "INSERT INTO t(text) VALUES(1)"), SQLITE_OK);
		assert_int_equal(fault_vfs_disarm(), cases[i].fault.on ? fault_vfs_disarm() : 1);
		sqlite3_close(db);
		fault_vfs_reset();
		folder_remove(folder);
	}
}

static void *insert(void *db)
{
	int rc = run(db, "INSERT INTO t(text) VALUES(1)");

	return (void *)(intptr_t)rc;
}

static void hangs_until_released(void **state)
{
	pthread_t thread;
	void *rc = NULL;
	sqlite3 *db, *reader;

	(void)state;
	folder_make();
	db = database_open("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
	reader = database_open("");
	fault_vfs_hang(FAULT_SYNC, FAULT_WAL);
	assert_int_equal(pthread_create(&thread, NULL, insert, db), 0);
	while (fault_vfs_hanging() == 0)
		sched_yield();
	assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 0);
	fault_vfs_release();
	assert_int_equal(pthread_join(thread, &rc), 0);
	assert_int_equal((intptr_t)rc, SQLITE_OK);
	assert_int_equal(ask(reader, "SELECT count(*) FROM t"), 1);
	sqlite3_close(reader);
	sqlite3_close(db);
	fault_vfs_reset();
	folder_remove(folder);
}

static void slow_until_released(void **state)
{
	enum { SLOW_MS = 50 };
	uint64_t began_ns;
	sqlite3 *db;

	(void)state;
	folder_make();
	db = database_open("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
	fault_vfs_slow(FAULT_SYNC, FAULT_WAL, SLOW_MS);
	began_ns = clock_now_ns();
	assert_int_equal(run(db, "INSERT INTO t(text) VALUES(1)"), SQLITE_OK);
	assert_true(clock_now_ns() - began_ns >= SLOW_MS * CLOCK_NS_PER_MS);
	/* What is not named is as ever: otherwise this would take its time. */
	fault_vfs_slow(FAULT_SYNC, FAULT_JOURNAL, INT_MAX);
	assert_int_equal(run(db, "INSERT INTO t(text) VALUES(1)"), SQLITE_OK);
	fault_vfs_slow(FAULT_SYNC, FAULT_WAL, INT_MAX);
	fault_vfs_release();
	assert_int_equal(run(db, "INSERT INTO t(text) VALUES(1)"), SQLITE_OK);
	assert_int_equal(ask(db, "SELECT count(*) FROM t"), 3);
	sqlite3_close(db);
	fault_vfs_reset();
	folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_is_kept),
		cmocka_unit_test(not_synced_is_lost),
		cmocka_unit_test(failed_sync_loses),
		cmocka_unit_test(fails_as_told),
		cmocka_unit_test(hangs_until_released),
		cmocka_unit_test(slow_until_released),
	};

	fault_vfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
