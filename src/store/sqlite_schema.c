/*
 * store/sqlite_schema.c -- the tables, made and changed by numbered migrations, each in one transaction.
 *
 *      PRAGMA user_version is the number of the last one that ran. Added to at the end, never changed.
 *
 * Used by: sqlite_writer.c, once at each start.
 */
#include <stdio.h>
#include <time.h>

#include "base/assert.h"
#include "base/random.h"
#include "store/sqlite_int.h"

#define APPLICATION_ID 0x70616c61 /* "pala": the file's own header says whose it is */

enum { KEYS_BYTES = 2 * sizeof(struct siphash_key) };

/*
 * entries: a room's log. Rows of a room lie together, in order.
 * sends: each cid that was committed, with what it named. Outlives its entry.
 * rooms: head and head_nonce are those of the room's newest entry, also after that has been purged.
 */
static const char tables[] = "CREATE TABLE meta ("
			     " key TEXT NOT NULL PRIMARY KEY,"
			     " value BLOB NOT NULL"
			     ") STRICT, WITHOUT ROWID;"
			     "CREATE TABLE users ("
			     " id INTEGER PRIMARY KEY,"
			     " guest INTEGER NOT NULL,"
			     " name TEXT NOT NULL,"
			     " made_ms INTEGER NOT NULL"
			     ") STRICT;"
			     "CREATE TABLE tokens ("
			     " hash BLOB NOT NULL PRIMARY KEY,"
			     " user INTEGER NOT NULL REFERENCES users,"
			     " made_ms INTEGER NOT NULL"
			     ") STRICT, WITHOUT ROWID;"
			     "CREATE TABLE rooms ("
			     " id INTEGER PRIMARY KEY,"
			     " name TEXT NOT NULL,"
			     " head INTEGER NOT NULL DEFAULT 0,"
			     " head_nonce INTEGER NOT NULL DEFAULT 0,"
			     " first_seq INTEGER NOT NULL DEFAULT 1"
			     ") STRICT;"
			     "CREATE TABLE entries ("
			     " room INTEGER NOT NULL REFERENCES rooms,"
			     " seq INTEGER NOT NULL,"
			     " nonce INTEGER NOT NULL,"
			     " kind INTEGER NOT NULL,"
			     " author INTEGER NOT NULL REFERENCES users,"
			     " at_ms INTEGER NOT NULL,"
			     " name TEXT NOT NULL,"
			     " cid TEXT NOT NULL,"
			     " text TEXT NOT NULL,"
			     " PRIMARY KEY (room, seq)"
			     ") STRICT, WITHOUT ROWID;"
			     "CREATE TABLE sends ("
			     " room INTEGER NOT NULL REFERENCES rooms,"
			     " author INTEGER NOT NULL REFERENCES users,"
			     " cid TEXT NOT NULL,"
			     " seq INTEGER NOT NULL,"
			     " nonce INTEGER NOT NULL,"
			     " at_ms INTEGER NOT NULL,"
			     " hash BLOB NOT NULL,"
			     " PRIMARY KEY (room, cid, author)"
			     ") STRICT, WITHOUT ROWID;";

static int set_meta(sqlite3 *db, const char *key, const void *value, int bytes)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, "INSERT INTO meta (key, value) VALUES (?, ?)", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_blob(stmt, 2, value, bytes, SQLITE_STATIC);
	rc = store_db_run(stmt);
	sqlite3_finalize(stmt);
	return rc;
}

static int get_meta(sqlite3 *db, const char *key, void *ret_value, int bytes)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = ?", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const void *value = sqlite3_column_blob(stmt, 0);

		rc = value != NULL && sqlite3_column_bytes(stmt, 0) == bytes ? SQLITE_OK : SQLITE_CORRUPT;
		if (rc == SQLITE_OK)
			memcpy(ret_value, value, (size_t)bytes);
	} else if (rc == SQLITE_DONE) {
		rc = SQLITE_CORRUPT;
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int make_tables(sqlite3 *db)
{
	uint8_t random[STORE_EPOCH_BYTES / 2], keys[KEYS_BYTES];
	char epoch[STORE_EPOCH_BYTES + 1], rows[512];
	struct timespec now;

	random_bytes(random, sizeof(random));
	random_bytes(keys, sizeof(keys));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(epoch + 2 * i, 3, "%02x", random[i]);
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(rows, sizeof(rows),
		"INSERT INTO users (id, guest, name, made_ms) VALUES (%d, 1, 'anonymous', %lld000);"
		"INSERT INTO rooms (id, name) VALUES (%d, 'lobby');",
		STORE_ANONYMOUS, (long long)now.tv_sec, STORE_LOBBY);
	int rc = store_db_exec(db, tables);
	if (rc == SQLITE_OK)
		rc = store_db_exec(db, rows);
	if (rc == SQLITE_OK)
		rc = set_meta(db, "epoch", epoch, STORE_EPOCH_BYTES);
	if (rc == SQLITE_OK)
		rc = set_meta(db, "hash_keys", keys, sizeof(keys));
	return rc;
}

static int (*const migrations[])(sqlite3 *) = {
	make_tables,
};

enum { NEWEST = sizeof(migrations) / sizeof(migrations[0]) };

static int migrate(sqlite3 *db, int64_t from)
{
	for (int64_t n = from; n < NEWEST; n++) {
		char version[96];

		snprintf(version, sizeof(version),
			"PRAGMA user_version = %lld; PRAGMA application_id = %d; COMMIT", (long long)n + 1,
			APPLICATION_ID);
		int rc = store_db_exec(db, "BEGIN IMMEDIATE");
		if (rc == SQLITE_OK)
			rc = migrations[n](db);
		if (rc == SQLITE_OK)
			rc = store_db_exec(db, version);
		if (rc != SQLITE_OK) {
			if (!sqlite3_get_autocommit(db))
				store_db_exec(db, "ROLLBACK");
			return rc;
		}
	}
	return SQLITE_OK;
}

/* Whether it is ours at all, before anything is written to it. */
static bool check_identity(
	const struct store_sqlite *s, sqlite3 *db, int64_t *ret_version, char *err, size_t err_bytes)
{
	int64_t id = 0, objects = 0;
	int rc = store_db_number(db, "PRAGMA user_version", ret_version);

	if (rc == SQLITE_OK)
		rc = store_db_number(db, "PRAGMA application_id", &id);
	if (rc == SQLITE_OK)
		rc = store_db_number(db, "SELECT count(*) FROM sqlite_schema", &objects);
	if (rc != SQLITE_OK) {
		store_schema_say(s, rc, err, err_bytes);
		return false;
	}
	bool empty = id == 0 && *ret_version == 0 && objects == 0;
	if (!empty && (id != APPLICATION_ID || *ret_version < 1)) {
		snprintf(err, err_bytes, "%s is another program's database: choose another folder", s->path);
		return false;
	}
	if (*ret_version > NEWEST) {
		snprintf(err, err_bytes,
			"%s was made by a newer palaver (its format is %lld, this program knows %d): start "
			"that one, or "
			"restore a backup made before",
			s->path, (long long)*ret_version, (int)NEWEST);
		return false;
	}
	return true;
}

/* What a look at all its pages finds. SQLITE_CORRUPT, or another code if it could not look. */
static int quick_check(sqlite3 *db)
{
	sqlite3_stmt *stmt;
	struct str found = STR("");
	int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		rc = store_db_str(stmt, 0, &found);
	if (rc == SQLITE_OK && !str_equal(found, STR("ok")))
		rc = SQLITE_CORRUPT;
	sqlite3_finalize(stmt);
	return rc;
}

static int check_health(struct store_sqlite *s, sqlite3 *db, bool crashed)
{
	int64_t pages = 0, page_bytes = 0, lobby = 0;
	int rc = store_db_number(db, "PRAGMA page_count", &pages);

	if (rc == SQLITE_OK)
		rc = store_db_number(db, "PRAGMA page_size", &page_bytes);
	if (rc == SQLITE_OK &&
		pages * page_bytes <= (crashed ? STORE_RECHECK_BYTES_MAX : STORE_CHECK_BYTES_MAX)) {
		rc = quick_check(db);
		sqlite3_db_release_memory(db); /* pages that nobody may ask for again */
	}
	if (rc == SQLITE_OK)
		rc = get_meta(db, "epoch", s->store.epoch, STORE_EPOCH_BYTES);
	if (rc == SQLITE_OK)
		rc = get_meta(db, "hash_keys", s->hash_keys, KEYS_BYTES);
	if (rc == SQLITE_OK)
		rc = store_db_number(db,
			"SELECT count(*) FROM rooms r JOIN users u WHERE r.id = 1 AND u.id = 1 AND r.head ="
			" coalesce((SELECT max(seq) FROM entries WHERE room = 1), r.head)",
			&lobby);
	return rc != SQLITE_OK ? rc : lobby == 1 ? SQLITE_OK : SQLITE_CORRUPT;
}

/* Whether the last one to have it open did not close it: the log's file is there still. */
static int was_left(const struct store_sqlite *s, bool *ret_left)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(s->vfs);
	char log_path[sizeof(s->path) + 8];
	int there = 0;

	if (vfs == NULL)
		return SQLITE_ERROR;
	snprintf(log_path, sizeof(log_path), "%s-wal", s->path);
	int rc = vfs->xAccess(vfs, log_path, SQLITE_ACCESS_EXISTS, &there);
	*ret_left = there != 0;
	return rc;
}

static int use_log(sqlite3 *db)
{
	sqlite3_stmt *stmt;
	struct str mode = STR("");
	int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		rc = store_db_str(stmt, 0, &mode);
	if (rc == SQLITE_OK && !str_equal(mode, STR("wal")))
		rc = SQLITE_CANTOPEN;
	int end = sqlite3_finalize(stmt);
	return rc == SQLITE_OK ? end : rc;
}

void store_schema_say(const struct store_sqlite *s, int rc, char *err, size_t err_bytes)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		snprintf(err, err_bytes,
			"%s is damaged: restore a backup, or move it and its -wal file away to start anew",
			s->path);
		break;
	case SQLITE_FULL:
		snprintf(err, err_bytes, "%s: the disk is full", s->path);
		break;
	case SQLITE_BUSY:
		snprintf(err, err_bytes, "%s is in use by another program: end that one first", s->path);
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		snprintf(err, err_bytes, "%s cannot be opened for writing: see whose it and its folder are",
			s->path);
		break;
	default:
		snprintf(err, err_bytes, "%s: %s (SQLite's error %d)", s->path, sqlite3_errstr(rc), rc);
	}
}

/*
 * What a crash left in the log is copied into the database and synced before anything is built on it. After a sync that
 * failed, the kernel may show pages that the disk has never got; copied, they are written once more.
 */
bool store_schema_open(struct store_sqlite *s, sqlite3 *db, char *err, size_t err_bytes)
{
	int64_t version = 0;
	bool left = false;
	int rc = was_left(s, &left);

	if (rc == SQLITE_OK && !check_identity(s, db, &version, err, err_bytes))
		return false;
	if (rc == SQLITE_OK)
		rc = use_log(db);
	if (rc == SQLITE_OK && left)
		rc = store_log_empty(db);
	if (rc == SQLITE_OK)
		rc = migrate(db, version);
	if (rc == SQLITE_OK)
		rc = check_health(s, db, left);
	if (rc == SQLITE_OK)
		return true;
	store_schema_say(s, rc, err, err_bytes);
	return false;
}
