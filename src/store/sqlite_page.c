/*
 * store/sqlite_page.c -- pages of a room's log: the newest before an entry, or what came after one.
 *
 * Bounded in messages and in bytes (store_entry_weight()); one entry always fits. Older pages are read from their end, so that the
 * newest are the ones that stay. Used by: sqlite_reader.c. Threads: a reader's.
 */
#include "base/assert.h"
#include "store/sqlite_int.h"

struct room {
	uint64_t head, first_seq;
	uint32_t head_nonce;
};

/* The room's row. op->status is STORE_OK or STORE_NOT_FOUND. */
static int find_room(struct store_reader *r, struct store_op *op, struct room *ret_room)
{
	sqlite3_stmt *stmt = r->stmts[STORE_R_ROOM];

	sqlite3_bind_int64(stmt, 1, op->room);
	int rc = sqlite3_step(stmt);
	op->status = rc == SQLITE_ROW ? STORE_OK : STORE_NOT_FOUND;
	if (rc == SQLITE_ROW) {
		ret_room->head = (uint64_t)sqlite3_column_int64(stmt, 0);
		ret_room->head_nonce = (uint32_t)sqlite3_column_int64(stmt, 1);
		ret_room->first_seq = (uint64_t)sqlite3_column_int64(stmt, 2);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_entry(struct store_reader *r, sqlite3_stmt *stmt, int64_t room, struct store_entry *ret_entry)
{
	*ret_entry = (struct store_entry){
		.room = room,
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.nonce = (uint32_t)sqlite3_column_int64(stmt, 1),
		.kind = (enum store_kind)sqlite3_column_int(stmt, 2),
		.author = sqlite3_column_int64(stmt, 3),
		.at_ms = sqlite3_column_int64(stmt, 4),
	};
	int rc = store_reader_copy(r, stmt, 5, &ret_entry->name);
	if (rc == SQLITE_OK)
		rc = store_reader_copy(r, stmt, 6, &ret_entry->cid);
	return rc == SQLITE_OK ? store_reader_copy(r, stmt, 7, &ret_entry->text) : rc;
}

/*
 * Entries in [from_seq, before_seq), from the end or from the start, at most `max`. They are put into r->entries from its
 * end or from its start, so they ascend either way.
 */
static int read_entries(struct store_reader *r, int64_t room, uint64_t from_seq, uint64_t before_seq,
	uint32_t max, bool from_end)
{
	sqlite3_stmt *stmt = r->stmts[from_end ? STORE_R_BEFORE : STORE_R_AFTER];
	struct store_entry *first = from_end ? r->entries + STORE_PAGE_MESSAGES_MAX : r->entries;
	size_t bytes = 0;
	int rc;

	r->page.count = 0;
	r->page.more = false;
	sqlite3_bind_int64(stmt, 1, room);
	sqlite3_bind_int64(stmt, 2, (int64_t)from_seq);
	sqlite3_bind_int64(stmt, 3, (int64_t)before_seq);
	sqlite3_bind_int64(stmt, 4, (int64_t)max + 1);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		size_t more = store_entry_weight((size_t)sqlite3_column_bytes(stmt, 5),
			(size_t)sqlite3_column_bytes(stmt, 6), (size_t)sqlite3_column_bytes(stmt, 7));

		if (r->page.count == max || (r->page.count != 0 && bytes + more > STORE_PAGE_BYTES_MAX)) {
			r->page.more = true;
			rc = SQLITE_DONE;
			break;
		}
		bytes += more;
		struct store_entry *entry = from_end ? --first : first + r->page.count;
		rc = read_entry(r, stmt, room, entry);
		if (rc != SQLITE_OK)
			break;
		r->page.count++;
	}
	r->page.entries = first;
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void begin_page(struct store_reader *r, struct store_op *op, const struct room *room)
{
	r->page = (struct store_page){ .room = op->room, .as_of = room->head };
	op->page = &r->page;
}

int store_page_before_run(void *reader, struct store_op *op)
{
	struct store_reader *r = reader;
	struct room room;
	int rc = find_room(r, op, &room);

	if (rc != SQLITE_OK || op->status != STORE_OK)
		return rc;
	begin_page(r, op, &room);
	uint64_t before = op->seq == 0 || op->seq > room.head ? room.head + 1 : op->seq;
	return read_entries(r, op->room, room.first_seq, before, op->messages_max, true);
}

/* Whether the caller's last entry is one of this log: then what came after it is all that he misses. */
static int knows(struct store_reader *r, const struct store_op *op, const struct room *room, bool *ret_knows)
{
	sqlite3_stmt *stmt = r->stmts[STORE_R_ENTRY];

	*ret_knows = false;
	if (op->seq == 0)
		*ret_knows = op->nonce == 0 && room->first_seq == 1;
	else if (op->seq == room->head && op->seq >= room->first_seq)
		*ret_knows = op->nonce == room->head_nonce;
	if (op->seq == 0 || op->seq >= room->head || op->seq < room->first_seq)
		return SQLITE_OK;
	sqlite3_bind_int64(stmt, 1, op->room);
	sqlite3_bind_int64(stmt, 2, (int64_t)op->seq);
	int rc = sqlite3_step(stmt);
	*ret_knows = rc == SQLITE_ROW && (uint32_t)sqlite3_column_int64(stmt, 0) == op->nonce;
	sqlite3_reset(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_resume_run(void *reader, struct store_op *op)
{
	struct store_reader *r = reader;
	struct room room;
	bool known = false;
	int rc = find_room(r, op, &room);

	if (rc == SQLITE_OK && op->status == STORE_OK)
		rc = knows(r, op, &room, &known);
	if (rc != SQLITE_OK || op->status != STORE_OK)
		return rc;
	begin_page(r, op, &room);
	r->page.reset = !known;
	if (!known)
		return read_entries(
			r, op->room, room.first_seq, room.head + 1, STORE_RESET_MESSAGES_MAX, true);
	return read_entries(r, op->room, op->seq + 1, room.head + 1, STORE_PAGE_MESSAGES_MAX, false);
}
