/*
 * store/sqlite_int.h -- the insides of the store on SQLite, shared by the sqlite*.c files.
 *
 *      verbs (sqlite.c) --> inbox --> writer (sqlite_writer.c): sqlite_append.c, sqlite_guest.c, sqlite_heads.c
 *            |                           `--> sqlite_checkpoint.c -- closes --> gate
 *            `------------> inbox --> readers (sqlite_reader.c) -- enter ---------'
 *                                        `--> sqlite_page.c
 *
 * The writer's connection is the only one that writes, checkpoints or ends the log: SQLite 3.40 may damage a database where
 * two connections do (fixed in 3.51.3).
 */
#ifndef STORE_SQLITE_INT_H
#define STORE_SQLITE_INT_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/inbox.h"
#include "base/list.h"
#include "base/map.h"
#include "base/siphash.h"
#include "store/folder.h"
#include "store/gate.h"
#include "store/op.h"
#include "store/watch.h"

enum {
	STORE_READERS = 2, /* threads, unless the options say otherwise */
	STORE_READERS_MAX = 16,
	STORE_READ_MS = 1000, /* of a read transaction: then STORE_BUSY */
	STORE_READ_STEPS = 100, /* of SQLite's machine between two looks at the clock */
	STORE_BATCH_BYTES_MAX = 4 << 20, /* of texts in a transaction; one command always fits */
	STORE_HEADS_MAX = 4096, /* rooms whose head the writer keeps in memory: at least STORE_BATCH_MAX */
	STORE_BUSY_MS = 1000, /* for a lock that another program has */
	STORE_WRITER_CACHE_KIB = 8192,
	STORE_READER_CACHE_KIB = 2048,
	STORE_LOG_STEP_BYTES = 4 << 20, /* of new log: copied into the database between two batches */
	STORE_LOG_HOLD_BYTES = 24 << 20, /* of log: new reads are held back, so that it can begin anew */
	STORE_LOG_BYTES_MAX =
		40 << 20, /* of log before a batch, which may add less than 24 MiB: else it is refused */
	STORE_LOG_IDLE_MS = 1000, /* without a command: what the log holds is copied */
	STORE_LOG_POLL_MS = 5, /* while reads are held back and no command comes */
	STORE_LOG_HELD_MS = 1500, /* reads are held back no longer, and then not for as long */
	STORE_CHECK_BYTES_MAX = 8 << 20, /* a database of that size is checked whole at each start */
	STORE_RECHECK_BYTES_MAX = 64 << 20, /* after a crash */
};

struct store_counts {
	_Atomic(uint64_t) commands, batches, batches_failed, replayed, refused_busy, refused_unavailable;
	_Atomic(uint64_t) reads, reads_interrupted;
	_Atomic(uint64_t) checkpoints, checkpoint_ns_max, checkpoint_ns_last, wal_bytes, wal_bytes_max,
		commit_ns;
};

static inline void store_count(_Atomic(uint64_t) *counter, uint64_t more)
{
	atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static inline uint64_t store_counted(const _Atomic(uint64_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

struct store_sqlite;

/* A room's head as the open transaction sees it, and as it was committed. */
struct store_head {
	struct map_node node; /* by id */
	struct list used; /* in the writer's list, the least lately used first */
	struct store_head *next_changed;
	int64_t room;
	uint64_t seq, committed_seq;
	uint32_t nonce, committed_nonce;
	bool changed;
};

struct store_heads {
	struct map map;
	struct list used;
	struct store_head *changed; /* in this transaction */
};

/* The write-ahead log, as the writer knows it. */
struct store_log {
	uint32_t frame_bytes;
	uint32_t frames; /* it holds */
	uint32_t copied; /* of them are in the database too */
	uint32_t tried_at; /* frames, when that was last tried */
	uint64_t held_since_ns; /* new reads are held back; 0: they are not */
	uint64_t hold_again_ns; /* not before */
	bool complained; /* that it is full */
};

enum store_writer_stmt {
	STORE_W_BEGIN,
	STORE_W_COMMIT,
	STORE_W_ROLLBACK,
	STORE_W_HEAD,
	STORE_W_SET_HEAD,
	STORE_W_ADD_ENTRY,
	STORE_W_ADD_SEND,
	STORE_W_SEND,
	STORE_W_TOKEN,
	STORE_W_ADD_USER,
	STORE_W_ADD_TOKEN,
	STORE_W_STMTS,
};

struct store_writer {
	struct store_sqlite *s;
	sqlite3 *db;
	sqlite3_stmt *stmts[STORE_W_STMTS];
	pthread_t thread;
	clockid_t cpu_clock;
	struct inbox inbox;
	struct pile_node stop; /* pushed last */
	bool started, stopping;
	struct store_op *first, **end; /* taken, not begun */
	struct store_heads heads;
	struct store_log log;
	int64_t now_ms; /* since 1970: of this transaction */
	uint32_t nonces[256];
	uint32_t nonces_used;
	bool full; /* the last batch found the disk full: said once */
	struct store_op *batch[STORE_BATCH_MAX];
};

enum store_reader_stmt {
	STORE_R_BEGIN,
	STORE_R_COMMIT,
	STORE_R_ROLLBACK,
	STORE_R_TOKEN,
	STORE_R_USER,
	STORE_R_ROOMS,
	STORE_R_ROOM,
	STORE_R_ENTRY,
	STORE_R_BEFORE,
	STORE_R_AFTER,
	STORE_R_STMTS,
};

struct store_reader {
	struct store_sqlite *s;
	sqlite3 *db;
	sqlite3_stmt *stmts[STORE_R_STMTS];
	pthread_t thread;
	bool started;
	uint64_t until_ns; /* of the read under way */
	/* Its result. Memory that is never touched costs nothing. */
	struct store_page page;
	struct store_user user;
	struct store_entry entries[STORE_PAGE_MESSAGES_MAX];
	struct store_room rooms[STORE_ROOMS_MAX];
	size_t bytes_used;
	char bytes[STORE_ROOMS_MAX * STORE_NAME_BYTES_MAX];
};

struct store_sqlite {
	struct store store; /* first: a store is one of these */
	void (*committed)(void *ctx, const struct store_entry *);
	void *ctx;
	struct store_folder folder;
	char path[STORE_FOLDER_PATH_BYTES_MAX + 16];
	const char *vfs;
	bool unsafe;
	struct siphash_key hash_keys[2];
	struct store_watch watch;
	struct store_gate gate;
	struct store_counts counts;
	_Atomic(bool) closing, read_only;
	_Atomic(bool) reads_fail; /* said once */
	_Atomic(uint64_t) writes_waiting, write_bytes_waiting, reads_waiting;
	struct store_writer *writer;
	uint32_t readers_count;
	struct store_reader *readers[STORE_READERS_MAX];
	/* Readers take turns in waiting for reads. The lock guards `waiting`, and who takes from the inbox. */
	pthread_mutex_t reads_lock;
	struct inbox reads;
	struct pile_node *waiting;
	struct pile_node reads_stop; /* pushed last: wakes who waits */
	bool watching;
};

/* sqlite_db.c: connections and statements. Errors are SQLite's extended codes. */

int store_db_open(const struct store_sqlite *, bool writer, sqlite3 **ret_db);
int store_db_exec(sqlite3 *, const char *sql);
/* The one number that `sql` gives. */
int store_db_number(sqlite3 *, const char *sql, int64_t *ret_number);
int store_db_prepare(sqlite3 *, const char *const *sql, size_t count, sqlite3_stmt **ret_stmts);
void store_db_close(sqlite3 *, sqlite3_stmt **stmts, size_t count);
/* Run a statement that gives no row, and reset it. */
int store_db_run(sqlite3_stmt *);
void store_db_bind_str(
	sqlite3_stmt *, int at, struct str); /* lent until the statement is bound or finalized */
/* Text of a row, lent until the next step. SQLITE_NOMEM: it is not to be had. */
int store_db_str(sqlite3_stmt *, int column, struct str *ret_text);
bool store_db_is_io(int rc); /* the disk failed, as opposed to memory */
enum store_db_file {
	STORE_DB_DATABASE, /* what a checkpoint writes */
	STORE_DB_LOG, /* what a transaction does */
};
/* There was no room for what was to be written: on the disk, or in somebody's quota. */
bool store_db_is_full(sqlite3 *, int rc, enum store_db_file);

/* sqlite_schema.c: with the text for people. Also reads epoch and keys. */
__attribute__((warn_unused_result)) bool store_schema_open(
	struct store_sqlite *, sqlite3 *, char *err, size_t err_bytes);
/* What an error at the start means, and what is to be done. */
void store_schema_say(const struct store_sqlite *, int rc, char *err, size_t err_bytes);

/* sqlite_writer.c */
__attribute__((warn_unused_result)) bool store_writer_open(
	struct store_sqlite *, char *err, size_t err_bytes);
__attribute__((warn_unused_result)) bool store_writer_start(struct store_writer *);
void store_writer_stop(struct store_writer *);
void store_writer_close(struct store_writer *);
/* Answer a command that waits, and will not be run: STORE_UNAVAILABLE. */
void store_writer_refuse(struct store_sqlite *, struct store_op *);
/* The watch has answered one that waits: its texts are freed, and so is their room in the queue. */
void store_writer_withdrawn(struct store_sqlite *, struct store_op *);
/* Nothing is written any more until it is opened again. */
void store_writer_end_writing(struct store_writer *, int rc);

/* sqlite_append.c, sqlite_guest.c */
extern const struct store_verb store_verb_append, store_verb_create_guest;
void store_append_hash(const struct store_sqlite *, struct store_op *);

/* sqlite_heads.c: heads of rooms in memory, true with the open transaction. */
void store_heads_init(struct store_heads *);
void store_heads_finish(struct store_heads *);
/* *ret_head is NULL if there is no such room. SQLite's codes. */
int store_heads_find(struct store_writer *, int64_t room, struct store_head **ret_head);
void store_heads_set(struct store_heads *, struct store_head *, uint64_t seq, uint32_t nonce);
int store_heads_write(struct store_writer *); /* the rooms' rows, before the commit */
void store_heads_committed(struct store_heads *);
void store_heads_rolled_back(struct store_heads *);

/* sqlite_checkpoint.c */
int store_log_init(struct store_writer *);
/* Before a batch. False: the log is full, and cannot begin anew for now. */
__attribute__((warn_unused_result)) bool store_log_ready(struct store_writer *);
/* If they are held back. */
void store_log_let_reads_in(struct store_writer *);
void store_log_after_batch(struct store_writer *);
void store_log_idle(struct store_writer *);
/* When idle should be called, if nothing else is to be done; INBOX_FOR_EVER: need not be. */
uint64_t store_log_idle_at(const struct store_writer *);
/* All of it is in the database, and the file is empty. */
int store_log_empty(sqlite3 *);

/* sqlite_reader.c */
extern const struct store_verb store_verb_find_token, store_verb_rooms, store_verb_page_before,
	store_verb_resume;
__attribute__((warn_unused_result)) bool store_reader_open(
	struct store_sqlite *, struct store_reader **ret_reader, char *err, size_t err_bytes);
__attribute__((warn_unused_result)) bool store_reader_start(struct store_reader *);
void store_reader_close(struct store_reader *);
/* Copy a row's text into the result. SQLITE_CORRUPT: there is no room for it, so it is none of ours. */
int store_reader_copy(struct store_reader *, sqlite3_stmt *, int column, struct str *ret_copy);

/* sqlite_page.c */
int store_page_before_run(void *reader, struct store_op *);
int store_resume_run(void *reader, struct store_op *);

#endif
