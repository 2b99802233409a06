/*
 * store/sqlite_append.c -- append(): a message becomes a room's next entry, once for each cid.
 *
 * The row of `sends` is inserted first, and where it is there already nothing was changed: so the common case costs two
 * inserts and no query. Used by: sqlite.c (the verb). Threads: the hash in the caller's, the rest in the writer's.
 */
#include "base/assert.h"
#include "base/random.h"
#include "store/sqlite_int.h"

/*
 * 128 keyed bits of name and text: who does not know the database's keys can make no second request with the same. The
 * name's length parts them. One runs over the copy, where the two lie together; the other over that one's result too.
 */
void store_append_hash(const struct store_sqlite *s, struct store_op *op)
{
	size_t bytes = op->name.bytes + op->text.bytes;

	for (size_t i = 0; i < 2; i++) {
		uint64_t parts[2] = { op->name.bytes, siphash(s->hash_keys[i], op->bytes, bytes) };

		op->request_hash[i] = siphash(s->hash_keys[i], parts, sizeof(parts));
	}
}

static uint32_t next_nonce(struct store_writer *w)
{
	uint32_t nonce;

	do {
		if (w->nonces_used == 0) {
			random_bytes(w->nonces, sizeof(w->nonces));
			w->nonces_used = sizeof(w->nonces) / sizeof(w->nonces[0]);
		}
		nonce = w->nonces[--w->nonces_used];
	} while (nonce == 0);
	return nonce;
}

/* The result of a cid that was committed before. With none: *ret_found is false. */
static int find_send(struct store_writer *w, struct store_op *op, bool *ret_found)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_SEND];

	sqlite3_bind_int64(stmt, 1, op->room);
	sqlite3_bind_int64(stmt, 2, op->user);
	store_db_bind_str(stmt, 3, op->cid);
	int rc = sqlite3_step(stmt);
	*ret_found = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW) {
		const void *hash = sqlite3_column_blob(stmt, 3);
		bool same = sqlite3_column_bytes(stmt, 3) == (int)sizeof(op->request_hash) && hash != NULL &&
			    memcmp(hash, op->request_hash, sizeof(op->request_hash)) == 0;

		op->status = same ? STORE_SAME : STORE_CONFLICT;
		op->sent.seq = (uint64_t)sqlite3_column_int64(stmt, 0);
		op->sent.nonce = (uint32_t)sqlite3_column_int64(stmt, 1);
		op->sent.at_ms = sqlite3_column_int64(stmt, 2);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* *ret_added is false if the cid was committed before. */
static int add_send(struct store_writer *w, const struct store_op *op, bool *ret_added)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_ADD_SEND];

	sqlite3_bind_int64(stmt, 1, op->room);
	sqlite3_bind_int64(stmt, 2, op->user);
	store_db_bind_str(stmt, 3, op->cid);
	sqlite3_bind_int64(stmt, 4, (int64_t)op->sent.seq);
	sqlite3_bind_int64(stmt, 5, op->sent.nonce);
	sqlite3_bind_int64(stmt, 6, op->sent.at_ms);
	sqlite3_bind_blob(stmt, 7, op->request_hash, sizeof(op->request_hash), SQLITE_STATIC);
	int rc = store_db_run(stmt);
	*ret_added = rc == SQLITE_OK && sqlite3_changes(w->db) != 0;
	return rc;
}

static int add_entry(struct store_writer *w, const struct store_op *op)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_ADD_ENTRY];

	sqlite3_bind_int64(stmt, 1, op->room);
	sqlite3_bind_int64(stmt, 2, (int64_t)op->sent.seq);
	sqlite3_bind_int64(stmt, 3, op->sent.nonce);
	sqlite3_bind_int64(stmt, 4, STORE_MESSAGE);
	sqlite3_bind_int64(stmt, 5, op->user);
	sqlite3_bind_int64(stmt, 6, op->sent.at_ms);
	store_db_bind_str(stmt, 7, op->name);
	store_db_bind_str(stmt, 8, op->cid);
	store_db_bind_str(stmt, 9, op->text);
	return store_db_run(stmt);
}

/* A room that is not there: but what was sent before has its answer whatever has changed since. */
static int run_without_room(struct store_writer *w, struct store_op *op)
{
	bool found = false;
	int rc = op->cid.bytes != 0 ? find_send(w, op, &found) : SQLITE_OK;

	if (!found)
		op->status = STORE_NOT_FOUND;
	return rc;
}

static int run(void *worker, struct store_op *op)
{
	struct store_writer *w = worker;
	struct store_head *head;
	int rc = store_heads_find(w, op->room, &head);

	op->committed_new = false;
	if (rc != SQLITE_OK)
		return rc;
	if (head == NULL)
		return run_without_room(w, op);
	op->sent = (struct store_sent){ .seq = head->seq + 1, .nonce = next_nonce(w), .at_ms = w->now_ms };
	if (op->cid.bytes != 0) {
		bool added, found;

		rc = add_send(w, op, &added);
		if (rc == SQLITE_OK && !added) {
			rc = find_send(w, op, &found);
			return rc == SQLITE_OK && !found ? SQLITE_CORRUPT : rc;
		}
	}
	if (rc == SQLITE_OK)
		rc = add_entry(w, op);
	if (rc != SQLITE_OK)
		return rc;
	store_heads_set(&w->heads, head, op->sent.seq, op->sent.nonce);
	op->status = STORE_OK;
	op->committed_new = true;
	return SQLITE_OK;
}

static void tell(const struct store_op *op, enum store_status status)
{
	op->fn.sent(op->ctx, status, status == STORE_OK || status == STORE_SAME ? &op->sent : NULL);
}

const struct store_verb store_verb_append = { .writes = true, .tell = tell, .run = run };
