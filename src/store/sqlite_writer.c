/*
 * store/sqlite_writer.c -- the writer's thread: group commit, and what becomes of a batch that fails.
 *
 *      take all that has come --> batch --> BEGIN, run each, heads, COMMIT --ok--> tell of each new entry, answer
 *                                              | any other error in a statement: rolled back, and each tried alone
 *                                              | disk full: rolled back, all answered STORE_UNAVAILABLE
 *                                              ` the disk failed in a commit or a sync: all answered STORE_UNKNOWN,
 *                                                and nothing is written any more
 *
 * A batch is what arrived while the one before was being committed: at most STORE_BATCH_MAX commands and
 * STORE_BATCH_BYTES_MAX bytes. One that waits alone goes alone.
 */
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite_int.h"
#include "store/thread.h"

static const char add_entry[] = "INSERT INTO entries (room, seq, nonce, kind, author, at_ms, name, cid, text)"
				" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
static const char add_send[] = "INSERT INTO sends (room, author, cid, seq, nonce, at_ms, hash)"
			       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";

static const char *const sql[STORE_W_STMTS] = {
	[STORE_W_BEGIN] = "BEGIN IMMEDIATE",
	[STORE_W_COMMIT] = "COMMIT",
	[STORE_W_ROLLBACK] = "ROLLBACK",
	[STORE_W_HEAD] = "SELECT head, head_nonce FROM rooms WHERE id = ?1",
	[STORE_W_SET_HEAD] = "UPDATE rooms SET head = ?1, head_nonce = ?2 WHERE id = ?3",
	[STORE_W_ADD_ENTRY] = add_entry,
	[STORE_W_ADD_SEND] = add_send,
	[STORE_W_SEND] =
		"SELECT seq, nonce, at_ms, hash FROM sends WHERE room = ?1 AND author = ?2 AND cid = ?3",
	[STORE_W_TOKEN] =
		"SELECT u.id, u.guest, u.name FROM tokens t JOIN users u ON u.id = t.user WHERE t.hash = ?1",
	[STORE_W_ADD_USER] = "INSERT INTO users (guest, name, made_ms) VALUES (1, ?1, ?2)",
	[STORE_W_ADD_TOKEN] = "INSERT INTO tokens (hash, user, made_ms) VALUES (?1, ?2, ?3)",
};

enum outcome {
	COMMITTED,
	FAILED_FULL, /* nothing was committed: the disk is full */
	NOT_BEGUN, /* not even a transaction could be had */
	FAILED, /* rolled back for another error in a statement */
	FAILED_COMMIT, /* or in the commit: the next commit overwrites what it may have left in the log */
	IN_DOUBT, /* the disk failed in a commit or a sync: what is on it nobody knows */
};

void store_writer_withdrawn(struct store_sqlite *s, struct store_op *op)
{
	atomic_fetch_sub_explicit(&s->write_bytes_waiting, op->bytes_count, memory_order_relaxed);
	store_op_forget_texts(op);
}

/* False: the watch has withdrawn it, and its texts with it. */
static bool begin(struct store_sqlite *s, struct store_op *op)
{
	bool begun = store_op_move(op, STORE_OP_WAITING, STORE_OP_BEGUN);

	atomic_fetch_sub_explicit(&s->writes_waiting, 1, memory_order_relaxed);
	if (begun)
		atomic_fetch_sub_explicit(&s->write_bytes_waiting, op->bytes_count, memory_order_relaxed);
	else
		store_op_drop(op);
	return begun;
}

/* Unless the watch has answered it meanwhile. */
static void answer(struct store_sqlite *s, struct store_op *op, enum store_status status)
{
	if (store_op_move(op, STORE_OP_BEGUN, STORE_OP_ANSWERED)) {
		if (status == STORE_UNAVAILABLE)
			store_count(&s->counts.refused_unavailable, 1);
		op->verb->tell(op, status);
	}
	store_op_forget_texts(op);
	store_op_drop(op);
}

void store_writer_refuse(struct store_sqlite *s, struct store_op *op)
{
	if (begin(s, op))
		answer(s, op, STORE_UNAVAILABLE);
}

void store_writer_end_writing(struct store_writer *w, int rc)
{
	store_log_let_reads_in(w);
	if (!atomic_exchange(&w->s->read_only, true))
		log_line(LOG_ERROR,
			"store: the disk failed (%s): nothing is written until the program is started again",
			sqlite3_errstr(rc));
}

static void tell_entry(const struct store_writer *w, const struct store_op *op)
{
	const struct store_entry entry = {
		.room = op->room,
		.seq = op->sent.seq,
		.nonce = op->sent.nonce,
		.kind = STORE_MESSAGE,
		.author = op->user,
		.at_ms = op->sent.at_ms,
		.name = op->name,
		.cid = op->cid,
		.text = op->text,
	};

	if (w->s->committed != NULL)
		w->s->committed(w->s->ctx, &entry);
}

static void answer_batch(struct store_writer *w, struct store_op **ops, size_t count, enum outcome outcome)
{
	for (size_t i = 0; i < count; i++) {
		struct store_op *op = ops[i];
		enum store_status status = op->status;

		if (outcome == COMMITTED && op->committed_new)
			tell_entry(w, op);
		else if (outcome != COMMITTED)
			status = outcome == IN_DOUBT || outcome == FAILED_COMMIT ? STORE_UNKNOWN
										 : STORE_UNAVAILABLE;
		answer(w->s, op, status);
	}
}

static int run_all(struct store_writer *w, struct store_op **ops, size_t count)
{
	struct timespec now;
	int rc = SQLITE_OK;

	clock_gettime(CLOCK_REALTIME, &now);
	w->now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
		rc = ops[i]->verb->run(w, ops[i]);
	return rc == SQLITE_OK ? store_heads_write(w) : rc;
}

enum step {
	BEGINNING,
	RUNNING,
	COMMITTING,
};

static enum outcome judge(struct store_writer *w, int rc, bool full, enum step at)
{
	bool sync = rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC;

	if (full)
		return FAILED_FULL;
	if (sync || (at == COMMITTING && store_db_is_io(rc))) {
		store_writer_end_writing(w, rc);
		return IN_DOUBT;
	}
	return at == COMMITTING ? FAILED_COMMIT : at == RUNNING ? FAILED : NOT_BEGUN;
}

/* One transaction. Whatever comes of it, none is open afterwards, and the heads are those of the database. */
static enum outcome transact(struct store_writer *w, struct store_op **ops, size_t count, int *ret_rc)
{
	struct store_counts *counts = &w->s->counts;

	store_count(&counts->batches, 1);
	enum step at = BEGINNING;
	int rc = store_db_run(w->stmts[STORE_W_BEGIN]);
	if (rc == SQLITE_OK) {
		at = RUNNING;
		rc = run_all(w, ops, count);
	}
	if (rc == SQLITE_OK) {
		uint64_t began_ns = clock_now_ns();

		at = COMMITTING;
		rc = store_db_run(w->stmts[STORE_W_COMMIT]);
		store_count(&counts->commit_ns, clock_now_ns() - began_ns);
	}
	*ret_rc = rc;
	if (rc == SQLITE_OK) {
		store_heads_committed(&w->heads);
		return COMMITTED;
	}
	bool full = store_db_is_full(w->db, rc, STORE_DB_LOG);

	store_count(&counts->batches_failed, 1);
	if (!sqlite3_get_autocommit(w->db))
		store_db_run(w->stmts[STORE_W_ROLLBACK]);
	store_heads_rolled_back(&w->heads);
	return judge(w, rc, full, at);
}

static void say_full(struct store_writer *w, bool full)
{
	if (full && !w->full)
		log_line(LOG_ERROR, "store: the disk is full: posts are refused until there is room");
	else if (!full && w->full)
		log_line(LOG_INFO, "store: there is room on the disk again");
	w->full = full;
}

/* Each alone: the one that is to blame is refused, the others are not. */
static void replay(struct store_writer *w, struct store_op **ops, size_t count)
{
	int rc;

	for (size_t i = 0; i < count; i++) {
		if (atomic_load(&w->s->read_only)) {
			answer_batch(w, ops + i, count - i, FAILED);
			return;
		}
		store_count(&w->s->counts.replayed, 1);
		enum outcome outcome = transact(w, ops + i, 1, &rc);
		if (outcome == FAILED || outcome == FAILED_COMMIT)
			log_line(LOG_ERROR, "store: a command failed: %s (%d)", sqlite3_errstr(rc), rc);
		answer_batch(w, ops + i, 1, outcome);
	}
}

static void run_batch(struct store_writer *w, size_t count)
{
	int rc;

	bool ready = !atomic_load(&w->s->read_only) && store_log_ready(w);

	/* The log's own work may have found the disk failing. */
	if (!ready || atomic_load(&w->s->read_only)) {
		answer_batch(w, w->batch, count, FAILED);
		return;
	}
	enum outcome outcome = transact(w, w->batch, count, &rc);
	if (outcome == FAILED_FULL || outcome == COMMITTED)
		say_full(w, outcome == FAILED_FULL);
	if (outcome == FAILED || outcome == FAILED_COMMIT) {
		log_line(LOG_WARN, "store: a batch failed: %s (%d)", sqlite3_errstr(rc), rc);
		replay(w, w->batch, count);
	} else {
		if (outcome == NOT_BEGUN)
			log_line(LOG_WARN, "store: no transaction: %s (%d)", sqlite3_errstr(rc), rc);
		answer_batch(w, w->batch, count, outcome);
	}
	store_log_after_batch(w);
}

static void take(struct store_writer *w, uint64_t until_ns)
{
	struct pile_node *next;

	for (struct pile_node *node = inbox_take(&w->inbox, until_ns); node != NULL; node = next) {
		next = node->next;
		if (node == &w->stop) {
			w->stopping = true;
			continue;
		}
		struct store_op *op = pile_entry(node, struct store_op, queued);
		op->next = NULL;
		*w->end = op;
		w->end = &op->next;
	}
}

/* From what was taken, in order. What the watch has withdrawn is left out. */
static size_t gather(struct store_writer *w)
{
	size_t count = 0, bytes = 0;

	while (w->first != NULL && count < STORE_BATCH_MAX) {
		struct store_op *op = w->first;

		if (count != 0 && bytes + op->bytes_count > STORE_BATCH_BYTES_MAX)
			break;
		w->first = op->next;
		if (w->first == NULL)
			w->end = &w->first;
		size_t more = op->bytes_count;
		if (!begin(w->s, op))
			continue;
		w->batch[count++] = op;
		bytes += more;
	}
	store_count(&w->s->counts.commands, count);
	return count;
}

static void *run(void *arg)
{
	struct store_writer *w = arg;

	while (!w->stopping || w->first != NULL) {
		take(w, w->first != NULL || w->stopping ? 0 : store_log_idle_at(w));
		size_t count = gather(w);
		if (count != 0)
			run_batch(w, count);
		else if (!w->stopping)
			store_log_idle(w);
	}
	return NULL;
}

bool store_writer_open(struct store_sqlite *s, char *err, size_t err_bytes)
{
	struct store_writer *w = calloc(1, sizeof(*w));
	sqlite3 *db;

	if (w == NULL) {
		store_schema_say(s, SQLITE_NOMEM, err, err_bytes);
		return false;
	}
	int rc = store_db_open(s, true, &db);
	if (rc != SQLITE_OK) {
		store_schema_say(s, rc, err, err_bytes);
		free(w);
		return false;
	}
	s->writer = w;
	w->s = s;
	w->db = db;
	w->end = &w->first;
	store_heads_init(&w->heads);
	inbox_init(&w->inbox);
	if (!store_schema_open(s, db, err, err_bytes))
		return false;
	rc = store_db_prepare(db, sql, STORE_W_STMTS, w->stmts);
	if (rc == SQLITE_OK)
		rc = store_log_init(w);
	if (rc != SQLITE_OK)
		store_schema_say(s, rc, err, err_bytes);
	return rc == SQLITE_OK;
}

bool store_writer_start(struct store_writer *w)
{
	if (!store_thread_start(&w->thread, "store writer", run, w))
		return false;
	int rc = pthread_getcpuclockid(w->thread, &w->cpu_clock);
	assert(rc == 0);
	w->started = true;
	return true;
}

void store_writer_stop(struct store_writer *w)
{
	if (!w->started)
		return;
	inbox_push(&w->inbox, &w->stop);
	pthread_join(w->thread, NULL);
	w->started = false;
}

/* A log that the disk may not have taken is left as it is: the next start finds out. */
void store_writer_close(struct store_writer *w)
{
	if (atomic_load(&w->s->read_only))
		sqlite3_db_config(w->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
	store_db_close(w->db, w->stmts, STORE_W_STMTS);
	store_heads_finish(&w->heads);
	inbox_finish(&w->inbox);
	free(w);
}
