/* Opening: the folder, its lock, the epoch, and what is refused with a text: another's, damaged, newer, impossible. */
#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "harness.h"
#include "lib/vector.h"

/* What open says instead of opening. */
static void expect_refused(struct rig *rig)
{
	char err[256] = "";
	struct store *store = rig->backend->open(&rig->options, err, sizeof(err));

	if (store)
		store->ops->destroy(store);
	assert_null(store);
	assert_int_not_equal(err[0], '\0');
	assert_non_null(memchr(err, '\0', sizeof(err)));
	printf("# refused: %.200s\n", err);
}

static void epochs_name_databases(void **state)
{
	struct rig *rig = *state;
	char epoch[STORE_EPOCH_BYTES];

	rig_open(rig);
	memcpy(epoch, rig->store->epoch, sizeof(epoch));
	for (size_t i = 0; i < sizeof(epoch); i++)
		assert_non_null(memchr("0123456789abcdef", epoch[i], 16));
	for (int i = 0; i < 3; i++) {
		if (i == 1)
			say(rig, "text", "");
		rig_reopen(rig);
		assert_memory_equal(rig->store->epoch, epoch, sizeof(epoch));
	}
	rig_close(rig);
	char other[RIG_PATH_BYTES + 8];
	snprintf(other, sizeof(other), "%s/other", rig->root);
	rig->options.folder = other;
	rig_open(rig);
	assert_memory_not_equal(rig->store->epoch, epoch, sizeof(epoch));
	rig_close(rig);
}

static void expect_mode(const char *path, mode_t mode)
{
	struct stat s;

	assert_int_equal(stat(path, &s), 0);
	assert_true(S_ISDIR(s.st_mode));
	assert_int_equal(s.st_mode & 07777, mode);
}

static void folders_are_made(void **state)
{
	struct rig *rig = *state;
	char deep[RIG_PATH_BYTES + 32];
	mode_t before = umask(0);

	snprintf(deep, sizeof(deep), "%s/a/b.c/d", rig->root);
	rig->options.folder = deep;
	rig_open(rig);
	umask(before);
	expect_mode(deep, 0700);
	for (int i = 0; i < 2; i++) {
		*strrchr(deep, '/') = '\0';
		expect_mode(deep, 0700);
	}
	assert_int_equal(say(rig, "text", "")->sent.seq, 1);
	rig_close(rig);
}

/* Whatever a path has in it is no option, no URI and no SQL. */
static void any_folder_will_do(void **state)
{
	struct rig *rig = *state;
	static const char *const names[] = { "a b", "it's \"mine\"", "x?mode=memory&cache=shared",
		"100%41#frag", "file:x", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xb1", ":memory:", "-wal",
		"slash/" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[RIG_PATH_BYTES + 64];

		snprintf(path, sizeof(path), "%s/%s", rig->root, names[i]);
		rig->options.folder = path;
		rig_open(rig);
		assert_int_equal(say(rig, "text", "")->sent.seq, 1);
		rig_reopen(rig);
		assert_int_equal(say(rig, "text", "")->sent.seq, 2);
		rig_close(rig);
		expect_mode(path, 0700);
	}
}

static void a_folder_has_one_user(void **state)
{
	struct rig *rig = *state;
	char alias[RIG_PATH_BYTES + 8];

	snprintf(alias, sizeof(alias), "%s/alias", rig->root);
	rig_open(rig);
	assert_int_equal(symlink(rig->folder, alias), 0);
	expect_refused(rig);
	rig->options.folder = alias;
	expect_refused(rig);
	rig->options.folder = rig->folder;
	/* The refused ones have changed nothing for the one that has it. */
	assert_int_equal(say(rig, "text", "")->sent.seq, 1);
	expect_refused(rig);
	rig_reopen(rig);
	assert_int_equal(say(rig, "text", "")->sent.seq, 2);
}

/* Another process: made before there are threads, it tries when it is told to, and says whether it was refused. */
static void a_folder_has_one_process(void **state)
{
	struct rig *rig = *state;
	int go[2], status = 0;
	char byte = 0;
	pid_t child;

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char err[256] = "";
		bool told = read(go[0], &byte, 1) == 1;

		_exit(told && rig->backend->open(&rig->options, err, sizeof(err)) == NULL && err[0] ? 7 : 1);
	}
	rig_open(rig);
	say(rig, "text", "");
	assert_int_equal(write(go[1], "g", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	close(go[0]);
	close(go[1]);
	/* It was there and has gone, and the lock is still ours. */
	expect_refused(rig);
	assert_int_equal(say(rig, "text", "")->sent.seq, 2);
}

/* The database file of a closed store: the one that begins as SQLite's do. */
static void database_path(struct rig *rig, char path[RIG_PATH_BYTES * 2])
{
	DIR *d = opendir(rig->folder);
	struct dirent *e;
	bool found = false;

	assert_non_null(d);
	while (!found && (e = readdir(d)) != NULL) {
		char head[16] = "";
		int fd;

		snprintf(path, RIG_PATH_BYTES * 2, "%s/%s", rig->folder, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		found = read(fd, head, sizeof(head)) == sizeof(head) &&
			memcmp(head, "SQLite format 3", 16) == 0;
		close(fd);
	}
	closedir(d);
	assert_true(found);
}

static void a_newer_database_is_refused(void **state)
{
	struct rig *rig = *state;
	char path[RIG_PATH_BYTES * 2], err[256] = "", sql[64];
	int version = 0;
	sqlite3 *db;
	sqlite3_stmt *ask;

	rig_open(rig);
	say(rig, "text", "c");
	rig_close(rig);
	database_path(rig, path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &ask, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(ask), SQLITE_ROW);
	version = sqlite3_column_int(ask, 0);
	sqlite3_finalize(ask);
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", version + 1);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	expect_refused(rig);
	expect_refused(rig);
	/* It has not been touched: with its version, all is there. */
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", version);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	rig->store = rig->backend->open(&rig->options, err, sizeof(err));
	assert_non_null(rig->store);
	assert_int_equal(say(rig, "text", "c")->status, STORE_SAME);
}

static void spoil(const char *path, off_t at, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char noise[4096];

	memset(noise, 0xa5, sizeof(noise));
	assert_true(fd >= 0 && bytes <= sizeof(noise));
	assert_int_equal(pwrite(fd, noise, bytes, at), (ssize_t)bytes);
	close(fd);
}

static void a_damaged_database_is_refused(void **state)
{
	struct rig *rig = *state;

	for (int how = 0; how < 5; how++) {
		char path[RIG_PATH_BYTES * 2];
		struct stat s;

		rig_open(rig);
		for (int i = 0; i < 100; i++)
			rig_say(rig, "some text so that there are pages to be damaged, and some more of it",
				"");
		rig_close(rig);
		database_path(rig, path);
		assert_int_equal(stat(path, &s), 0);
		assert_true(s.st_size > 8192);
		switch (how) {
		case 0: /* its head */
			spoil(path, 0, 100);
			break;
		case 1: /* its schema */
			spoil(path, 100, 2000);
			break;
		case 2: /* another file altogether */
			assert_int_equal(truncate(path, 0), 0);
			spoil(path, 0, 3000);
			break;
		case 3: /* its end has gone */
			assert_int_equal(truncate(path, s.st_size / 2 / 4096 * 4096), 0);
			break;
		case 4: /* all but its head has gone */
			assert_int_equal(truncate(path, 4096), 0);
			break;
		}
		expect_refused(rig);
		rig_remove(rig->folder);
	}
	/* A folder without the damaged one begins anew. */
	rig_open(rig);
	assert_int_equal(say(rig, "text", "")->sent.seq, 1);
}

static void impossible_folders_are_refused(void **state)
{
	struct rig *rig = *state;
	char path[RIG_PATH_BYTES * 2], *far;
	int fd;

	snprintf(path, sizeof(path), "%s/file", rig->root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	rig->options.folder = path;
	expect_refused(rig);
	snprintf(path, sizeof(path), "%s/file/below", rig->root);
	expect_refused(rig);
	rig->options.folder = "/proc/palaver/data";
	expect_refused(rig);
	rig->options.folder = "";
	expect_refused(rig);
	far = steady(NULL, 10000);
	memset(far, 'a', 9999);
	far[0] = '/';
	far[9999] = '\0';
	rig->options.folder = far;
	expect_refused(rig);
	free(far);
}

/* However small the place for it, the text is one and stays in it. */
static void the_text_is_bounded(void **state)
{
	struct rig *rig = *state;
	static const size_t sizes[] = { 1, 2, 7, 20, 1000 };

	rig->options.folder = "/proc/palaver/data";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		char *err = (char *)guard_alloc(sizes[i]);

		memset(err, 'x', sizes[i]);
		assert_null(rig->backend->open(&rig->options, err, sizes[i]));
		assert_non_null(memchr(err, '\0', sizes[i]));
		guard_free((uint8_t *)err, sizes[i]);
	}
}

static void any_number_of_readers(void **state)
{
	struct rig *rig = *state;

	for (uint32_t readers = 0; readers < 5; readers++) {
		struct answer *pages[20];

		rig->options.readers = readers;
		rig_open(rig);
		say(rig, "text", "");
		for (int i = 0; i < 20; i++)
			pages[i] = rig_page_before(rig, 0, 10);
		for (int i = 0; i < 20; i++)
			assert_int_equal(answer_wait(pages[i])->page.as_of, readers + 1);
		rig_close(rig);
	}
}

static void it_has_a_name_and_all_verbs(void **state)
{
	struct rig *rig = *state;
	const struct store_ops *ops;

	rig_open(rig);
	ops = rig->store->ops;
	assert_string_equal(ops->name, rig->backend->name);
	assert_true(ops->destroy && ops->stats && ops->append && ops->create_guest && ops->find_token);
	assert_true(ops->rooms && ops->page_before && ops->resume);
	ops->destroy(NULL);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CLOSED_TEST(epochs_name_databases),
		RIG_CLOSED_TEST(folders_are_made),
		RIG_CLOSED_TEST(any_folder_will_do),
		RIG_CLOSED_TEST(a_folder_has_one_user),
		RIG_CLOSED_TEST(a_folder_has_one_process),
		RIG_CLOSED_TEST(a_newer_database_is_refused),
		RIG_CLOSED_TEST(a_damaged_database_is_refused),
		RIG_CLOSED_TEST(impossible_folders_are_refused),
		RIG_CLOSED_TEST(the_text_is_bounded),
		RIG_CLOSED_TEST(any_number_of_readers),
		RIG_CLOSED_TEST(it_has_a_name_and_all_verbs),
	};

	return RIG_RUN(tests);
}
