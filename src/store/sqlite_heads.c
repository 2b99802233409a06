/*
 * store/sqlite_heads.c -- the heads of rooms, in the writer's memory.
 *
 *      rooms' rows --first use--> head {seq, committed_seq} --once per room and batch--> rooms' rows
 *
 * A room's next seq comes from here, not from a query. What a transaction changed is taken back when it fails. Bounded:
 * the least lately used one makes room, never one that the open transaction has changed.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "store/sqlite_int.h"

static_assert((int)STORE_HEADS_MAX > (int)STORE_BATCH_MAX, "a batch may change as many rooms");

void store_heads_init(struct store_heads *h)
{
	*h = (struct store_heads){ 0 };
	list_init(&h->used);
}

static void forget(struct store_heads *h, struct store_head *head)
{
	assert(!head->changed);
	map_remove(&h->map, &head->node);
	list_remove(&head->used);
	free(head);
}

void store_heads_finish(struct store_heads *h)
{
	while (!list_empty(&h->used))
		forget(h, list_entry(h->used.next, struct store_head, used));
	map_finish(&h->map);
}

static struct str key_of(const int64_t *room)
{
	return str_of((const char *)room, sizeof(*room));
}

/* Changed ones are at the end of the list: they were used in this transaction. */
static void make_room(struct store_heads *h)
{
	if (h->map.count >= STORE_HEADS_MAX)
		forget(h, list_entry(h->used.next, struct store_head, used));
}

static int load(struct store_writer *w, int64_t room, struct store_head **ret_head)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_HEAD];

	sqlite3_bind_int64(stmt, 1, room);
	int rc = sqlite3_step(stmt);
	uint64_t seq = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(stmt, 0) : 0;
	uint32_t nonce = rc == SQLITE_ROW ? (uint32_t)sqlite3_column_int64(stmt, 1) : 0;
	sqlite3_reset(stmt);
	if (rc != SQLITE_ROW) {
		*ret_head = NULL;
		return rc == SQLITE_DONE ? SQLITE_OK : rc;
	}
	make_room(&w->heads);
	struct store_head *head = calloc(1, sizeof(*head));
	if (head == NULL)
		return SQLITE_NOMEM;
	head->room = room;
	head->seq = head->committed_seq = seq;
	head->nonce = head->committed_nonce = nonce;
	if (!map_insert(&w->heads.map, &head->node, key_of(&head->room))) {
		free(head);
		return SQLITE_NOMEM;
	}
	list_push_back(&w->heads.used, &head->used);
	*ret_head = head;
	return SQLITE_OK;
}

int store_heads_find(struct store_writer *w, int64_t room, struct store_head **ret_head)
{
	struct map_node *node = map_find(&w->heads.map, key_of(&room));

	if (node == NULL)
		return load(w, room, ret_head);
	struct store_head *head = map_entry(node, struct store_head, node);
	list_remove(&head->used);
	list_push_back(&w->heads.used, &head->used);
	*ret_head = head;
	return SQLITE_OK;
}

void store_heads_set(struct store_heads *h, struct store_head *head, uint64_t seq, uint32_t nonce)
{
	assert(seq == head->seq + 1 && nonce != 0);
	head->seq = seq;
	head->nonce = nonce;
	if (!head->changed) {
		head->changed = true;
		head->next_changed = h->changed;
		h->changed = head;
	}
}

int store_heads_write(struct store_writer *w)
{
	sqlite3_stmt *stmt = w->stmts[STORE_W_SET_HEAD];
	int rc = SQLITE_OK;

	for (struct store_head *head = w->heads.changed; head != NULL && rc == SQLITE_OK;
		head = head->next_changed) {
		sqlite3_bind_int64(stmt, 1, (int64_t)head->seq);
		sqlite3_bind_int64(stmt, 2, head->nonce);
		sqlite3_bind_int64(stmt, 3, head->room);
		rc = store_db_run(stmt);
	}
	return rc;
}

static struct store_head *take_changed(struct store_heads *h)
{
	struct store_head *head = h->changed;

	if (head != NULL) {
		assert(head->changed);
		h->changed = head->next_changed;
		head->changed = false;
	}
	return head;
}

void store_heads_committed(struct store_heads *h)
{
	for (struct store_head *head; (head = take_changed(h)) != NULL;) {
		head->committed_seq = head->seq;
		head->committed_nonce = head->nonce;
	}
}

void store_heads_rolled_back(struct store_heads *h)
{
	for (struct store_head *head; (head = take_changed(h)) != NULL;) {
		head->seq = head->committed_seq;
		head->nonce = head->committed_nonce;
	}
}
