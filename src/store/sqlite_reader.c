/*
 * store/sqlite_reader.c -- the readers' threads: each read is one transaction, and so one snapshot.
 *
 * They take turns: the one that has the lock waits for reads, takes what has come, keeps one and lets the next reader at
 * the rest. So a slow read holds up no other, and whoever asks for one takes no lock. A read that takes longer than
 * STORE_READ_MS is interrupted: the log cannot begin anew while it lasts.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite_int.h"
#include "store/thread.h"

#define ENTRY_COLUMNS "seq, nonce, kind, author, at_ms, name, cid, text"

static const char before[] =
	"SELECT " ENTRY_COLUMNS " FROM entries WHERE room = ?1 AND seq >= ?2 AND seq < ?3"
	" ORDER BY seq DESC LIMIT ?4";
static const char after[] = "SELECT " ENTRY_COLUMNS " FROM entries WHERE room = ?1 AND seq >= ?2 AND seq < ?3"
			    " ORDER BY seq LIMIT ?4";

static const char *const sql[STORE_R_STMTS] = {
	[STORE_R_BEGIN] = "BEGIN",
	[STORE_R_COMMIT] = "COMMIT",
	[STORE_R_ROLLBACK] = "ROLLBACK",
	[STORE_R_TOKEN] =
		"SELECT u.id, u.guest, u.name FROM tokens t JOIN users u ON u.id = t.user WHERE t.hash = ?1",
	[STORE_R_USER] = "SELECT 1 FROM users WHERE id = ?1",
	[STORE_R_ROOMS] = "SELECT id, name, head, head_nonce, first_seq FROM rooms ORDER BY id LIMIT ?1",
	[STORE_R_ROOM] = "SELECT head, head_nonce, first_seq FROM rooms WHERE id = ?1",
	[STORE_R_ENTRY] = "SELECT nonce FROM entries WHERE room = ?1 AND seq = ?2",
	[STORE_R_BEFORE] = before,
	[STORE_R_AFTER] = after,
};

int store_reader_copy(struct store_reader *r, sqlite3_stmt *stmt, int column, struct str *ret_copy)
{
	char *to = r->bytes + r->bytes_used;
	struct str text;
	int rc = store_db_str(stmt, column, &text);

	if (rc != SQLITE_OK)
		return rc;
	if (text.bytes > sizeof(r->bytes) - r->bytes_used)
		return SQLITE_CORRUPT;
	if (text.bytes != 0)
		memcpy(to, text.s, text.bytes);
	r->bytes_used += text.bytes;
	*ret_copy = str_of(to, text.bytes);
	return SQLITE_OK;
}

static int find_token(void *reader, struct store_op *op)
{
	struct store_reader *r = reader;
	sqlite3_stmt *stmt = r->stmts[STORE_R_TOKEN];

	sqlite3_bind_blob(stmt, 1, op->token_hash, sizeof(op->token_hash), SQLITE_STATIC);
	int rc = sqlite3_step(stmt);
	op->status = rc == SQLITE_ROW ? STORE_OK : STORE_NOT_FOUND;
	if (rc == SQLITE_ROW) {
		op->made.id = sqlite3_column_int64(stmt, 0);
		op->made.guest = sqlite3_column_int64(stmt, 1) != 0;
		rc = store_reader_copy(r, stmt, 2, &op->made.name);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int check_user(struct store_reader *r, struct store_op *op)
{
	sqlite3_stmt *stmt = r->stmts[STORE_R_USER];

	sqlite3_bind_int64(stmt, 1, op->user);
	int rc = sqlite3_step(stmt);
	op->status = rc == SQLITE_ROW ? STORE_OK : STORE_NOT_FOUND;
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int rooms(void *reader, struct store_op *op)
{
	struct store_reader *r = reader;
	sqlite3_stmt *stmt = r->stmts[STORE_R_ROOMS];
	int rc = check_user(r, op);

	if (rc != SQLITE_OK || op->status != STORE_OK)
		return rc;
	op->rooms = r->rooms;
	op->rooms_count = 0;
	sqlite3_bind_int64(stmt, 1, STORE_ROOMS_MAX);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct store_room *room = &r->rooms[op->rooms_count++];

		assert(op->rooms_count <= STORE_ROOMS_MAX);
		*room = (struct store_room){
			.id = sqlite3_column_int64(stmt, 0),
			.head = (uint64_t)sqlite3_column_int64(stmt, 2),
			.head_nonce = (uint32_t)sqlite3_column_int64(stmt, 3),
			.first_seq = (uint64_t)sqlite3_column_int64(stmt, 4),
		};
		rc = store_reader_copy(r, stmt, 1, &room->name);
		if (rc != SQLITE_OK)
			break;
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void tell_user(const struct store_op *op, enum store_status status)
{
	op->fn.user(op->ctx, status, status == STORE_OK ? &op->made : NULL);
}

static void tell_rooms(const struct store_op *op, enum store_status status)
{
	bool ok = status == STORE_OK;

	op->fn.rooms(op->ctx, status, ok ? op->rooms : NULL, ok ? op->rooms_count : 0);
}

static void tell_page(const struct store_op *op, enum store_status status)
{
	op->fn.page(op->ctx, status, status == STORE_OK ? op->page : NULL);
}

const struct store_verb store_verb_find_token = { .tell = tell_user, .run = find_token };
const struct store_verb store_verb_rooms = { .tell = tell_rooms, .run = rooms };
const struct store_verb store_verb_page_before = { .tell = tell_page, .run = store_page_before_run };
const struct store_verb store_verb_resume = { .tell = tell_page, .run = store_resume_run };

/* SQLite asks each STORE_READ_STEPS. Not 0: end it. */
static int is_over(void *ctx)
{
	const struct store_reader *r = ctx;

	return clock_now_ns() >= r->until_ns;
}

/* Whatever comes of it, no transaction is open afterwards: it would keep the log from ever beginning anew. */
static enum store_status transact(struct store_reader *r, struct store_op *op)
{
	r->bytes_used = 0;
	r->until_ns = clock_now_ns() + STORE_READ_MS * CLOCK_NS_PER_MS;
	int rc = store_db_run(r->stmts[STORE_R_BEGIN]);
	if (rc == SQLITE_OK)
		rc = op->verb->run(r, op);
	r->until_ns = UINT64_MAX;
	if (!sqlite3_get_autocommit(r->db) && store_db_run(r->stmts[STORE_R_COMMIT]) != SQLITE_OK &&
		!sqlite3_get_autocommit(r->db))
		store_db_run(r->stmts[STORE_R_ROLLBACK]);
	switch (rc & 0xff) {
	case SQLITE_OK:
		return op->status;
	case SQLITE_INTERRUPT:
		store_count(&r->s->counts.reads_interrupted, 1);
		return STORE_BUSY;
	case SQLITE_BUSY:
	case SQLITE_NOMEM:
	case SQLITE_PROTOCOL:
		return STORE_BUSY;
	default:
		if (!atomic_exchange(&r->s->reads_fail, true))
			log_line(LOG_ERROR, "store: a read failed: %s (%d). Further ones are not told of",
				sqlite3_errstr(rc), rc);
		return STORE_UNAVAILABLE;
	}
}

static void count_refusal(struct store_sqlite *s, enum store_status status)
{
	if (status == STORE_BUSY)
		store_count(&s->counts.refused_busy, 1);
	else if (status == STORE_UNAVAILABLE)
		store_count(&s->counts.refused_unavailable, 1);
}

/* Its place in the queue is free before its answer, so that this may be followed by another read. */
static void finish(
	struct store_sqlite *s, struct store_op *op, enum store_op_state from, enum store_status status)
{
	if (store_op_move(op, from, STORE_OP_ANSWERED)) {
		count_refusal(s, status);
		op->verb->tell(op, status);
	}
	store_op_drop(op);
}

static void read_one(struct store_reader *r, struct store_op *op)
{
	struct store_sqlite *s = r->s;

	atomic_fetch_sub_explicit(&s->reads_waiting, 1, memory_order_relaxed);
	if (atomic_load(&s->closing)) {
		finish(s, op, STORE_OP_WAITING, STORE_UNAVAILABLE);
		return;
	}
	store_gate_enter(&s->gate);
	enum store_status status = STORE_BUSY;
	bool begun = store_op_move(op, STORE_OP_WAITING, STORE_OP_BEGUN);
	if (begun) {
		store_count(&s->counts.reads, 1);
		status = transact(r, op);
	}
	store_gate_leave(&s->gate);
	if (begun)
		finish(s, op, STORE_OP_BEGUN, status);
	else
		store_op_drop(op); /* the watch has answered it */
}

/* NULL: the store is closing, and nothing waits. */
static struct store_op *take(struct store_sqlite *s)
{
	struct pile_node *node;

	pthread_mutex_lock(&s->reads_lock);
	if (s->waiting == NULL)
		s->waiting = inbox_take(&s->reads, atomic_load(&s->closing) ? 0 : INBOX_FOR_EVER);
	node = s->waiting;
	if (node != NULL)
		s->waiting = node->next;
	pthread_mutex_unlock(&s->reads_lock);
	return node == NULL ? NULL : pile_entry(node, struct store_op, queued);
}

static void *run(void *arg)
{
	struct store_reader *r = arg;
	struct store_op *op;

	while ((op = take(r->s)) != NULL)
		if (&op->queued != &r->s->reads_stop)
			read_one(r, op);
	return NULL;
}

bool store_reader_open(struct store_sqlite *s, struct store_reader **ret_reader, char *err, size_t err_bytes)
{
	struct store_reader *r = calloc(1, sizeof(*r));
	int rc = r == NULL ? SQLITE_NOMEM : store_db_open(s, false, &r->db);

	if (rc != SQLITE_OK) {
		store_schema_say(s, rc, err, err_bytes);
		free(r);
		return false;
	}
	*ret_reader = r;
	r->s = s;
	sqlite3_progress_handler(r->db, STORE_READ_STEPS, is_over, r);
	r->until_ns = UINT64_MAX;
	rc = store_db_prepare(r->db, sql, STORE_R_STMTS, r->stmts);
	if (rc != SQLITE_OK)
		store_schema_say(s, rc, err, err_bytes);
	return rc == SQLITE_OK;
}

bool store_reader_start(struct store_reader *r)
{
	r->started = store_thread_start(&r->thread, "store reader", run, r);
	return r->started;
}

void store_reader_close(struct store_reader *r)
{
	if (r->started)
		pthread_join(r->thread, NULL);
	store_db_close(r->db, r->stmts, STORE_R_STMTS);
	free(r);
}
