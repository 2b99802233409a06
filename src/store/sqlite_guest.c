/* store/sqlite_guest.c -- create_guest(): a user who is known by a token. Used by: sqlite.c. Threads: the writer's. */
#include "base/assert.h"
#include "store/sqlite_int.h"

/* The guest whom that hash names already, if any: *ret_found. */
static int find_guest(struct store_writer *w, struct store_op *op, bool *ret_found)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_TOKEN];

	sqlite3_bind_blob(stmt, 1, op->token_hash, sizeof(op->token_hash), SQLITE_STATIC);
	int rc = sqlite3_step(stmt);
	*ret_found = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW) {
		bool guest = sqlite3_column_int64(stmt, 1) != 0;
		struct str name = STR("");
		int got = store_db_str(stmt, 2, &name);
		bool same = guest && str_equal(name, op->name);

		rc = got != SQLITE_OK ? got : rc;

		op->status = same ? STORE_SAME : STORE_CONFLICT;
		op->made = (struct store_user){
			.id = sqlite3_column_int64(stmt, 0), .guest = guest, .name = op->name
		};
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int add_user(struct store_writer *w, const struct store_op *op)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_ADD_USER];

	store_db_bind_str(stmt, 1, op->name);
	sqlite3_bind_int64(stmt, 2, w->now_ms);
	return store_db_run(stmt);
}

static int add_token(struct store_writer *w, const struct store_op *op)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_ADD_TOKEN];

	sqlite3_bind_blob(stmt, 1, op->token_hash, sizeof(op->token_hash), SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, op->made.id);
	sqlite3_bind_int64(stmt, 3, w->now_ms);
	return store_db_run(stmt);
}

static int run(void *worker, struct store_op *op)
{
	struct store_writer *w = worker;
	bool found;
	int rc = find_guest(w, op, &found);

	if (rc != SQLITE_OK || found)
		return rc;
	rc = add_user(w, op);
	if (rc != SQLITE_OK)
		return rc;
	op->made = (struct store_user){
		.id = sqlite3_last_insert_rowid(w->db),
		.guest = true,
		.name = op->name,
	};
	op->status = STORE_OK;
	return add_token(w, op);
}

static void tell(const struct store_op *op, enum store_status status)
{
	op->fn.user(op->ctx, status, status == STORE_OK || status == STORE_SAME ? &op->made : NULL);
}

const struct store_verb store_verb_create_guest = { .writes = true, .tell = tell, .run = run };
