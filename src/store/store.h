/*
 * store/store.h -- durable facts, as verbs of a chat. One table of verbs for each database.
 *
 *      any thread -- append, create_guest --> queue --> writer: one transaction for all that waits, one commit
 *                                                          |--> observer: each committed entry, in commit order
 *                                                          `--> the answer of each command, right after its entry
 *      any thread -- all other verbs ------> queue --> readers: a snapshot each, never waited for by the writer
 *
 * Every verb is asynchronous. It returns STORE_OK if it was taken: then `fn` is called exactly once, within STORE_ANSWER_MS,
 * on a thread of the store's, perhaps before the verb has returned on its own; it must not block and may call verbs. Any
 * other return value is the answer (nothing was tried), and `fn` is not called. Inputs are copied. What `fn` and the
 * observer are given is lent for the call.
 *
 * An answer within STORE_ANSWER_MS holds even if the disk hangs. A command that had been begun is then STORE_UNKNOWN, and
 * what it does later still reaches the observer; one that had not is withdrawn, STORE_UNAVAILABLE; a read is STORE_BUSY.
 *
 * Acknowledged is durable: STORE_OK for a command that writes comes after its commit has been synced. A failed batch leaves
 * no trace: the next seq of a room follows the last that was committed.
 *
 * Used by: chat/, app/. Threads: verbs from any; opened and destroyed by one, when nobody calls verbs.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/str.h"

enum {
	STORE_ANSWER_MS = 10000,
	STORE_CID_BYTES_MAX = 64, /* [A-Za-z0-9_-]; the caller has checked it */
	STORE_NAME_BYTES_MAX = 256, /* of a user's or room's name */
	STORE_BODY_BYTES_MAX = 64 << 10,
	STORE_TOKEN_HASH_BYTES = 32,
	STORE_EPOCH_BYTES = 32, /* hexadecimal digits, no NUL */
	STORE_PAGE_MESSAGES_MAX = 200,
	STORE_PAGE_BYTES_MAX =
		64 << 10, /* of a page, as store_entry_weight() counts; one entry always fits */
	STORE_ENTRY_BYTES = 176, /* of an entry beside its texts, as it will be written at most */
	STORE_RESET_MESSAGES_MAX = 50, /* in the newest page after a reset */
	STORE_ROOMS_MAX = 1024, /* in an answer of rooms() */
	STORE_QUEUE_MAX = 16384, /* commands that wait for the writer: STORE_BUSY past it */
	STORE_QUEUE_BYTES_MAX = 64 << 20, /* likewise, with their bodies */
	STORE_READS_MAX = 4096, /* reads that wait */
	STORE_BATCH_MAX = 1024, /* commands in a transaction */
};

enum {
	STORE_LOBBY = 1, /* the room that every database has from its start */
	STORE_ANONYMOUS = 1, /* the user who stands for all who speak without a token */
};

enum store_status {
	STORE_OK = 0,
	STORE_SAME, /* this cid was committed before with the same request: success, and the original entry */
	STORE_CONFLICT, /* this cid was committed before with another request */
	STORE_NOT_FOUND, /* no such room, user or token */
	STORE_BUSY, /* a queue is full, and nothing was tried; or a read took too long */
	STORE_UNAVAILABLE, /* read-only, disk full, closing: nothing was committed */
	STORE_UNKNOWN, /* it may have been committed, or may yet be: the same cid may be sent again */
};

enum store_kind {
	STORE_MESSAGE = 1,
};

struct store_entry {
	int64_t room;
	uint64_t seq; /* dense in its room, from 1 */
	uint32_t nonce; /* random: tells a restored backup's entry from the one that a client knows */
	enum store_kind kind;
	int64_t author;
	int64_t at_ms; /* since 1970, for people; never for order */
	struct str name; /* the author's, as he spoke */
	struct str cid; /* empty: none */
	struct str text; /* UTF-8, without NUL */
};

/* What it takes in a page: about what it will take as JSON, without what its texts need to be escaped. */
static inline size_t store_entry_weight(size_t name_bytes, size_t cid_bytes, size_t text_bytes)
{
	return STORE_ENTRY_BYTES + name_bytes + cid_bytes + text_bytes;
}

struct store_user {
	int64_t id;
	bool guest;
	struct str name;
};

struct store_room {
	int64_t id;
	struct str name;
	uint64_t head; /* seq of its newest entry; 0: none yet */
	uint32_t head_nonce; /* 0 with head 0 */
	uint64_t first_seq; /* the oldest there may be; 1 unless older ones were purged */
};

/* What is to be appended. */
struct store_send {
	int64_t room, author;
	struct str name, text;
	struct str cid; /* empty: it can not be repeated safely */
};

/* An answer to append(). STORE_OK and STORE_SAME: seq, nonce and at_ms of the entry that is there. */
struct store_sent {
	uint64_t seq;
	uint32_t nonce;
	int64_t at_ms;
};

/* Entries of a room in ascending order, all of one snapshot. */
struct store_page {
	int64_t room;
	const struct store_entry *entries;
	size_t count;
	uint64_t as_of; /* the room's head in that snapshot */
	bool reset; /* resume(): what the caller knows is void; this is the newest page */
	bool more; /* there are others: older ones, or with resume() without reset newer ones */
};

/* The result is there with STORE_OK and STORE_SAME; NULL with all others. */
typedef void store_sent_fn(void *ctx, enum store_status, const struct store_sent *);
typedef void store_user_fn(void *ctx, enum store_status, const struct store_user *);
typedef void store_rooms_fn(void *ctx, enum store_status, const struct store_room *, size_t count);
typedef void store_page_fn(void *ctx, enum store_status, const struct store_page *);

/* Figures since it was opened; each exact, their set not one instant. */
struct store_stats {
	uint64_t commands, batches; /* begun; batches: transactions for commands, and so syncs of the log */
	uint64_t batches_failed, replayed; /* replayed: commands that were tried again one by one */
	uint64_t refused_busy, refused_unavailable,
		answered_late; /* late: STORE_UNKNOWN after STORE_ANSWER_MS */
	uint64_t reads, reads_interrupted;
	uint64_t checkpoints, checkpoint_ns_max, checkpoint_ns_last;
	uint64_t wal_bytes, wal_bytes_max; /* of the log: what it holds now, and the most it held */
	uint64_t commit_ns; /* the sum of all commits */
	uint64_t writer_cpu_ns; /* of the writer's thread */
	bool read_only; /* after a sync that failed, until it is opened again */
};

struct store;

/* One per backend: const. There is no optional slot. */
struct store_ops {
	const char *name; /* "sqlite" */
	/* What waits is committed and answered first. Reads that wait are answered STORE_UNAVAILABLE. */
	void (*destroy)(struct store *);
	void (*stats)(const struct store *, struct store_stats *ret);

	/*
	 * Write. append(): the room must exist. Where cid is not empty, (room, author, cid) names this send for ever: an equal
	 * one (name and text) answers STORE_SAME, another STORE_CONFLICT, whatever else has changed since.
	 */
	enum store_status (*append)(struct store *, const struct store_send *, store_sent_fn *, void *ctx);
	/*
	 * A new guest, known by the hash of his token from now on. A hash that is known already: STORE_SAME and that guest
	 * where the name is his, else STORE_CONFLICT. So it can be repeated after STORE_UNKNOWN.
	 */
	enum store_status (*create_guest)(struct store *, struct str name,
		const uint8_t token_hash[STORE_TOKEN_HASH_BYTES], store_user_fn *, void *ctx);

	/* Read. */
	enum store_status (*find_token)(
		struct store *, const uint8_t token_hash[STORE_TOKEN_HASH_BYTES], store_user_fn *, void *ctx);
	/* The rooms that a user is in, by id: for now, all. STORE_NOT_FOUND: no such user. */
	enum store_status (*rooms)(struct store *, int64_t user, store_rooms_fn *, void *ctx);
	/*
	 * The newest messages before `before_seq` (0, or beyond the head: from the end), at most messages_max: 1 to
	 * STORE_PAGE_MESSAGES_MAX, others are taken for the nearest.
	 */
	enum store_status (*page_before)(struct store *, int64_t room, uint64_t before_seq,
		uint32_t messages_max, store_page_fn *, void *ctx);
	/*
	 * What came after the entry `seq` with that nonce, oldest first; (0, 0) knows of nothing. Or, where there is no such
	 * entry (purged, beyond the head, another nonce): reset, and the newest page, at most STORE_RESET_MESSAGES_MAX.
	 */
	enum store_status (*resume)(
		struct store *, int64_t room, uint64_t seq, uint32_t nonce, store_page_fn *, void *ctx);
};

struct store {
	const struct store_ops *ops;
	char epoch[STORE_EPOCH_BYTES]; /* of this database: made with it */
};

struct store_options {
	const char *folder; /* made if need be, with mode 0700; its parents too */
	uint32_t readers; /* threads; 0: 2; at most 16 */
	/* Each committed entry, once, in commit order, on the writer's thread. Must not block. */
	void (*committed)(void *ctx, const struct store_entry *);
	void *ctx;
	/* For tests. */
	const char *vfs; /* of SQLite; NULL: the default */
	bool unsafe; /* commit without syncing: the control that must lose data */
	uint32_t answer_ms; /* 0: STORE_ANSWER_MS */
};

/*
 * Open or make the database in a folder. NULL, with a text for people: the folder cannot be had, another process has it,
 * the database is damaged or of a newer program.
 */
__attribute__((warn_unused_result)) struct store *store_sqlite_open(
	const struct store_options *, char *err, size_t err_bytes);

#endif
