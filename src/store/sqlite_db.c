/* store/sqlite_db.c -- connections to the database, statements, and values in and out of them. */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "store/sqlite_int.h"

int store_db_exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int store_db_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
	sqlite3_stmt *stmt;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret_number = sqlite3_column_int64(stmt, 0);
	int end = sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? SQLITE_OK : end != SQLITE_OK ? end : SQLITE_ERROR;
}

/*
 * No mmap: a failing disk would then be a signal instead of an error. No checkpoint but those that the writer asks for.
 */
static int set_up(const struct store_sqlite *s, bool writer, sqlite3 *db)
{
	static const char for_all[] =
		"PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
		"PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF;";
	char cache[64];

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, STORE_BUSY_MS);
	sqlite3_wal_autocheckpoint(db, 0);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	snprintf(cache, sizeof(cache), "PRAGMA cache_size = -%d",
		writer ? STORE_WRITER_CACHE_KIB : STORE_READER_CACHE_KIB);
	int rc = store_db_exec(db, for_all);
	if (rc == SQLITE_OK)
		rc = store_db_exec(db, cache);
	if (rc == SQLITE_OK && writer)
		rc = store_db_exec(db, s->unsafe ? "PRAGMA synchronous = OFF" : "PRAGMA synchronous = FULL");
	if (rc == SQLITE_OK && !writer)
		rc = store_db_exec(db, "PRAGMA query_only = ON");
	if (!writer)
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	return rc;
}

int store_db_open(const struct store_sqlite *s, bool writer, sqlite3 **ret_db)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	sqlite3 *db = NULL;

	flags |= writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
	int rc = sqlite3_open_v2(s->path, &db, flags, s->vfs);
	if (rc == SQLITE_OK)
		rc = set_up(s, writer, db);
	if (rc != SQLITE_OK) {
		int exact = db != NULL ? sqlite3_extended_errcode(db) : SQLITE_OK;

		if ((exact & 0xff) == (rc & 0xff))
			rc = exact;
		sqlite3_close(db);
		return rc;
	}
	*ret_db = db;
	return SQLITE_OK;
}

int store_db_prepare(sqlite3 *db, const char *const *sql, size_t count, sqlite3_stmt **ret_stmts)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &ret_stmts[i], NULL);
	return rc;
}

void store_db_close(sqlite3 *db, sqlite3_stmt **stmts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sqlite3_finalize(stmts[i]);
	int rc = sqlite3_close(db);
	assert(rc != SQLITE_BUSY); /* a statement that was not finalized */
}

int store_db_run(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	sqlite3_reset(stmt);
	assert(rc != SQLITE_ROW && rc != SQLITE_OK);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void store_db_bind_str(sqlite3_stmt *stmt, int at, struct str text)
{
	/* It cannot fail: nothing is copied, and all columns are there. */
	int rc = sqlite3_bind_text(stmt, at, text.s != NULL ? text.s : "", (int)text.bytes, SQLITE_STATIC);

	assert(rc == SQLITE_OK);
}

int store_db_str(sqlite3_stmt *stmt, int column, struct str *ret_text)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	if (text == NULL)
		return SQLITE_NOMEM; /* no column of ours is NULL */
	*ret_text = str_of((const char *)text, (size_t)sqlite3_column_bytes(stmt, column));
	return SQLITE_OK;
}

bool store_db_is_io(int rc)
{
	return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_NOMEM;
}

/* SQLite calls it an error of the disk when a quota is used up: its VFS knows better. */
bool store_db_is_full(sqlite3 *db, int rc, enum store_db_file which)
{
	int ask = which == STORE_DB_LOG ? SQLITE_FCNTL_JOURNAL_POINTER : SQLITE_FCNTL_FILE_POINTER;
	sqlite3_file *file = NULL;
	int error = 0;

	if ((rc & 0xff) == SQLITE_FULL)
		return true;
	return rc == SQLITE_IOERR_WRITE && sqlite3_file_control(db, "main", ask, &file) == SQLITE_OK &&
	       file != NULL && file->pMethods != NULL &&
	       file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) == SQLITE_OK &&
	       error == EDQUOT;
}
