/*
 * store/sqlite_checkpoint.c -- the write-ahead log: copied into the database in time, and begun anew before it is long.
 *
 *      log grows ---- each STORE_LOG_STEP_BYTES, or idle: PASSIVE, as far as the oldest reader allows
 *         | STORE_LOG_HOLD_BYTES: the gate is closed to new reads; those inside end within STORE_READ_MS; batches go on
 *         |                       nobody inside any more: RESTART, the gate opens
 *         v STORE_LOG_BYTES_MAX:  batches wait for that, and are refused if a read will not end
 *
 * A log begins anew with the first commit that finds all of it copied and nobody reading from it. Under light load that is
 * after a PASSIVE one. Threads: the writer's alone.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite_int.h"

enum { LOG_FRAME_HEADER_BYTES = 24 };

static uint64_t bytes_of(const struct store_log *log)
{
	return (uint64_t)log->frames * log->frame_bytes;
}

static void set_frames(struct store_writer *w, uint32_t frames)
{
	struct store_log *log = &w->log;
	struct store_counts *counts = &w->s->counts;

	if (frames < log->frames)
		log->copied = log->tried_at = 0; /* it has begun anew */
	log->frames = frames;
	atomic_store_explicit(&counts->wal_bytes, bytes_of(log), memory_order_relaxed);
	if (bytes_of(log) > store_counted(&counts->wal_bytes_max))
		atomic_store_explicit(&counts->wal_bytes_max, bytes_of(log), memory_order_relaxed);
}

/* After each commit: how many frames the log has. */
static int committed(void *ctx, sqlite3 *db, const char *name, int frames)
{
	(void)db;
	(void)name;
	set_frames(ctx, (uint32_t)frames);
	return SQLITE_OK;
}

int store_log_init(struct store_writer *w)
{
	int64_t page_bytes = 0;
	int rc = store_db_number(w->db, "PRAGMA page_size", &page_bytes);

	w->log = (struct store_log){ .frame_bytes = (uint32_t)page_bytes + LOG_FRAME_HEADER_BYTES };
	sqlite3_wal_hook(w->db, committed, w);
	return rc;
}

static void count_time(struct store_counts *counts, uint64_t ns)
{
	store_count(&counts->checkpoints, 1);
	atomic_store_explicit(&counts->checkpoint_ns_last, ns, memory_order_relaxed);
	if (ns > store_counted(&counts->checkpoint_ns_max))
		atomic_store_explicit(&counts->checkpoint_ns_max, ns, memory_order_relaxed);
}

/* A full disk and a foreign reader pass; a disk that fails does not. */
static int checkpoint(struct store_writer *w, int mode)
{
	int frames = -1, copied = -1;
	uint64_t began_ns = clock_now_ns();

	if (atomic_load(&w->s->read_only))
		return SQLITE_READONLY;
	int rc = sqlite3_wal_checkpoint_v2(w->db, "main", mode, &frames, &copied);

	count_time(&w->s->counts, clock_now_ns() - began_ns);
	if (store_db_is_io(rc) && !store_db_is_full(w->db, rc, STORE_DB_DATABASE))
		store_writer_end_writing(w, rc);
	if (frames >= 0 && copied >= 0) {
		set_frames(w, (uint32_t)frames);
		w->log.copied = (uint32_t)copied;
	}
	w->log.tried_at = w->log.frames;
	return rc;
}

int store_log_empty(sqlite3 *db)
{
	return sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

void store_log_let_reads_in(struct store_writer *w)
{
	if (w->log.held_since_ns == 0)
		return;
	w->log.held_since_ns = 0;
	store_gate_open(&w->s->gate);
}

/* New reads are held back. Begin anew if none is under way; wait for that a moment if `may_wait`. */
static void try_restart(struct store_writer *w, bool may_wait)
{
	struct store_log *log = &w->log;
	uint64_t until_ns = log->held_since_ns + STORE_LOG_HELD_MS * CLOCK_NS_PER_MS;

	if (store_gate_wait_empty(&w->s->gate, may_wait ? until_ns : 0)) {
		bool restarted = checkpoint(w, SQLITE_CHECKPOINT_RESTART) == SQLITE_OK;

		if (restarted)
			set_frames(w, 0);
		else
			log->hold_again_ns = clock_now_ns() + STORE_LOG_HELD_MS * CLOCK_NS_PER_MS;
		store_log_let_reads_in(w);
	} else if (clock_now_ns() >= until_ns) {
		log->hold_again_ns = clock_now_ns() + STORE_LOG_HELD_MS * CLOCK_NS_PER_MS;
		store_log_let_reads_in(w);
	}
}

static void complain(struct store_log *log, bool full)
{
	if (full && !log->complained)
		log_line(LOG_ERROR, "store: the log is full: the disk is, or a read transaction does not "
				    "end. Posts are refused");
	log->complained = full;
}

bool store_log_ready(struct store_writer *w)
{
	struct store_log *log = &w->log;

	if (bytes_of(log) < STORE_LOG_HOLD_BYTES && log->held_since_ns == 0)
		return true;
	if (log->held_since_ns == 0 && clock_now_ns() >= log->hold_again_ns) {
		log->held_since_ns = clock_now_ns();
		store_gate_close(&w->s->gate);
	}
	if (log->held_since_ns != 0)
		try_restart(w, bytes_of(log) >= STORE_LOG_BYTES_MAX);
	complain(log, bytes_of(log) >= STORE_LOG_BYTES_MAX);
	return bytes_of(log) < STORE_LOG_BYTES_MAX;
}

void store_log_after_batch(struct store_writer *w)
{
	uint64_t fresh = (uint64_t)(w->log.frames - w->log.tried_at) * w->log.frame_bytes;

	if (fresh >= STORE_LOG_STEP_BYTES)
		checkpoint(w, SQLITE_CHECKPOINT_PASSIVE);
}

uint64_t store_log_idle_at(const struct store_writer *w)
{
	const struct store_log *log = &w->log;

	if (atomic_load(&w->s->read_only))
		return INBOX_FOR_EVER;
	if (log->held_since_ns != 0)
		return clock_now_ns() + STORE_LOG_POLL_MS * CLOCK_NS_PER_MS;
	return log->copied < log->frames ? clock_now_ns() + STORE_LOG_IDLE_MS * CLOCK_NS_PER_MS
					 : INBOX_FOR_EVER;
}

void store_log_idle(struct store_writer *w)
{
	if (w->log.held_since_ns != 0)
		try_restart(w, false);
	else if (w->log.copied < w->log.frames)
		checkpoint(w, SQLITE_CHECKPOINT_PASSIVE);
}
