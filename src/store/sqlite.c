/*
 * store/sqlite.c -- the store on SQLite: the verbs, from the caller's thread to the queues, and its opening and closing.
 *
 * How it works: docs/store.md; its parts: store/sqlite_int.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/sqlite_int.h"

#define FILE_NAME "palaver.db"

static struct store_sqlite *sqlite_of(struct store *store)
{
	return (struct store_sqlite *)(void *)store;
}

static enum store_status busy(struct store_sqlite *s)
{
	store_count(&s->counts.refused_busy, 1);
	return STORE_BUSY;
}

static enum store_status unavailable(struct store_sqlite *s)
{
	store_count(&s->counts.refused_unavailable, 1);
	return STORE_UNAVAILABLE;
}

static struct store_op *new_op(
	struct store_sqlite *s, const struct store_verb *verb, const struct store_send *send, void *ctx)
{
	struct store_op *op = store_op_create(verb, send, store_watch_late_at(&s->watch, clock_now_ns()));

	if (op != NULL)
		op->ctx = ctx;
	return op;
}

/* Takes a place in the writer's queue for a command with texts of so many bytes. */
static bool reserve_write(struct store_sqlite *s, size_t bytes)
{
	uint64_t count = atomic_fetch_add_explicit(&s->writes_waiting, 1, memory_order_relaxed);
	uint64_t before = atomic_fetch_add_explicit(&s->write_bytes_waiting, bytes, memory_order_relaxed);

	if (count < STORE_QUEUE_MAX && before + bytes <= STORE_QUEUE_BYTES_MAX)
		return true;
	atomic_fetch_sub_explicit(&s->writes_waiting, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&s->write_bytes_waiting, bytes, memory_order_relaxed);
	return false;
}

static void unreserve_write(struct store_sqlite *s, size_t bytes)
{
	atomic_fetch_sub_explicit(&s->writes_waiting, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&s->write_bytes_waiting, bytes, memory_order_relaxed);
}

/* From here on the op is its worker's and the watch's. */
static enum store_status hand_over(struct store_sqlite *s, struct inbox *worker, struct store_op *op)
{
	store_watch_add(&s->watch, op);
	inbox_push(worker, &op->queued);
	return STORE_OK;
}

static bool refuses_writes(const struct store_sqlite *s)
{
	return atomic_load(&s->closing) || atomic_load(&s->read_only);
}

static enum store_status append(
	struct store *store, const struct store_send *send, store_sent_fn *fn, void *ctx)
{
	struct store_sqlite *s = sqlite_of(store);
	size_t bytes = send->name.bytes + send->text.bytes + send->cid.bytes;

	if (refuses_writes(s))
		return unavailable(s);
	if (!reserve_write(s, bytes))
		return busy(s);
	struct store_op *op = new_op(s, &store_verb_append, send, ctx);
	if (op == NULL) {
		unreserve_write(s, bytes);
		return busy(s);
	}
	op->fn.sent = fn;
	if (op->cid.bytes != 0)
		store_append_hash(s, op);
	return hand_over(s, &s->writer->inbox, op);
}

static enum store_status create_guest(struct store *store, struct str name,
	const uint8_t token_hash[STORE_TOKEN_HASH_BYTES], store_user_fn *fn, void *ctx)
{
	struct store_sqlite *s = sqlite_of(store);
	const struct store_send send = { .name = name };

	if (refuses_writes(s))
		return unavailable(s);
	if (!reserve_write(s, name.bytes))
		return busy(s);
	struct store_op *op = new_op(s, &store_verb_create_guest, &send, ctx);
	if (op == NULL) {
		unreserve_write(s, name.bytes);
		return busy(s);
	}
	op->fn.user = fn;
	memcpy(op->token_hash, token_hash, STORE_TOKEN_HASH_BYTES);
	return hand_over(s, &s->writer->inbox, op);
}

/* NULL: *ret_refusal says why. */
static struct store_op *new_read(
	struct store_sqlite *s, const struct store_verb *verb, void *ctx, enum store_status *ret_refusal)
{
	if (atomic_load(&s->closing)) {
		*ret_refusal = unavailable(s);
		return NULL;
	}
	bool fits = atomic_fetch_add_explicit(&s->reads_waiting, 1, memory_order_relaxed) < STORE_READS_MAX;
	struct store_op *op = fits ? new_op(s, verb, NULL, ctx) : NULL;
	if (op == NULL) {
		atomic_fetch_sub_explicit(&s->reads_waiting, 1, memory_order_relaxed);
		*ret_refusal = busy(s);
	}
	return op;
}

static enum store_status find_token(
	struct store *store, const uint8_t token_hash[STORE_TOKEN_HASH_BYTES], store_user_fn *fn, void *ctx)
{
	struct store_sqlite *s = sqlite_of(store);
	enum store_status refusal;
	struct store_op *op = new_read(s, &store_verb_find_token, ctx, &refusal);

	if (op == NULL)
		return refusal;
	op->fn.user = fn;
	memcpy(op->token_hash, token_hash, STORE_TOKEN_HASH_BYTES);
	return hand_over(s, &s->reads, op);
}

static enum store_status rooms(struct store *store, int64_t user, store_rooms_fn *fn, void *ctx)
{
	struct store_sqlite *s = sqlite_of(store);
	enum store_status refusal;
	struct store_op *op = new_read(s, &store_verb_rooms, ctx, &refusal);

	if (op == NULL)
		return refusal;
	op->fn.rooms = fn;
	op->user = user;
	return hand_over(s, &s->reads, op);
}

static enum store_status page_before(struct store *store, int64_t room, uint64_t before_seq,
	uint32_t messages_max, store_page_fn *fn, void *ctx)
{
	struct store_sqlite *s = sqlite_of(store);
	enum store_status refusal;
	struct store_op *op = new_read(s, &store_verb_page_before, ctx, &refusal);

	if (op == NULL)
		return refusal;
	op->fn.page = fn;
	op->room = room;
	op->seq = before_seq;
	op->messages_max = messages_max == 0                        ? 1
			   : messages_max > STORE_PAGE_MESSAGES_MAX ? STORE_PAGE_MESSAGES_MAX
								    : messages_max;
	return hand_over(s, &s->reads, op);
}

static enum store_status resume(
	struct store *store, int64_t room, uint64_t seq, uint32_t nonce, store_page_fn *fn, void *ctx)
{
	struct store_sqlite *s = sqlite_of(store);
	enum store_status refusal;
	struct store_op *op = new_read(s, &store_verb_resume, ctx, &refusal);

	if (op == NULL)
		return refusal;
	op->fn.page = fn;
	op->room = room;
	op->seq = seq;
	op->nonce = nonce;
	return hand_over(s, &s->reads, op);
}

static void stats(const struct store *store, struct store_stats *ret)
{
	const struct store_sqlite *s = (const struct store_sqlite *)(const void *)store;
	const struct store_counts *c = &s->counts;
	const struct store_watch_counts *late = &s->watch.counts;
	struct timespec cpu = { 0 };

	clock_gettime(s->writer->cpu_clock, &cpu);
	*ret = (struct store_stats){
		.commands = store_counted(&c->commands),
		.batches = store_counted(&c->batches),
		.batches_failed = store_counted(&c->batches_failed),
		.replayed = store_counted(&c->replayed),
		.refused_busy = store_counted(&c->refused_busy) + store_counted(&late->reads),
		.refused_unavailable =
			store_counted(&c->refused_unavailable) + store_counted(&late->withdrawn),
		.answered_late = store_counted(&late->unknown),
		.reads = store_counted(&c->reads),
		.reads_interrupted = store_counted(&c->reads_interrupted),
		.checkpoints = store_counted(&c->checkpoints),
		.checkpoint_ns_max = store_counted(&c->checkpoint_ns_max),
		.checkpoint_ns_last = store_counted(&c->checkpoint_ns_last),
		.wal_bytes = store_counted(&c->wal_bytes),
		.wal_bytes_max = store_counted(&c->wal_bytes_max),
		.commit_ns = store_counted(&c->commit_ns),
		.writer_cpu_ns = (uint64_t)cpu.tv_sec * CLOCK_NS_PER_S + (uint64_t)cpu.tv_nsec,
		.read_only = atomic_load(&s->read_only),
	};
}

/* What an answer on the last of the threads asked for, between its look at `closing` and that being set. */
static void refuse_strays(struct store_sqlite *s)
{
	struct pile_node *node, *next;

	for (node = s->writer != NULL ? inbox_take(&s->writer->inbox, 0) : NULL; node != NULL; node = next) {
		next = node->next;
		store_writer_refuse(s, pile_entry(node, struct store_op, queued));
	}
	for (node = inbox_take(&s->reads, 0); node != NULL; node = next) {
		struct store_op *op = pile_entry(node, struct store_op, queued);

		next = node->next;
		if (&op->queued == &s->reads_stop)
			continue;
		if (store_op_move(op, STORE_OP_WAITING, STORE_OP_ANSWERED))
			op->verb->tell(op, STORE_UNAVAILABLE);
		store_op_drop(op);
	}
}

/* Also of one that was opened only in part. Readers end first, so that the writer's is the last connection. */
static void destroy(struct store *store)
{
	struct store_sqlite *s = sqlite_of(store);

	if (s == NULL)
		return;
	atomic_store(&s->closing, true);
	inbox_push(&s->reads, &s->reads_stop);
	for (uint32_t i = 0; i < s->readers_count; i++)
		if (s->readers[i] != NULL)
			store_reader_close(s->readers[i]);
	if (s->writer != NULL)
		store_writer_stop(s->writer);
	if (s->watching)
		store_watch_stop(&s->watch);
	refuse_strays(s);
	if (s->watching)
		store_watch_finish(&s->watch);
	if (s->writer != NULL)
		store_writer_close(s->writer);
	store_folder_close(&s->folder);
	inbox_finish(&s->reads);
	pthread_mutex_destroy(&s->reads_lock);
	store_gate_finish(&s->gate);
	free(s);
}

static const struct store_ops ops = {
	.name = "sqlite",
	.destroy = destroy,
	.stats = stats,
	.append = append,
	.create_guest = create_guest,
	.find_token = find_token,
	.rooms = rooms,
	.page_before = page_before,
	.resume = resume,
};

/* On the watch's thread: the writer will not look at its texts any more. */
static void withdrawn(void *ctx, struct store_op *op)
{
	if (op->verb->writes)
		store_writer_withdrawn(ctx, op);
}

static bool open_all(struct store_sqlite *s, const struct store_options *options, char *err, size_t err_bytes)
{
	if (!store_folder_open(&s->folder, options->folder, err, err_bytes))
		return false;
	snprintf(s->path, sizeof(s->path), "%s/" FILE_NAME, s->folder.path);
	/* SQLite's own would be readable for all. A test's VFS may keep its files elsewhere. */
	if (s->vfs == NULL && !store_folder_touch(&s->folder, FILE_NAME, err, err_bytes))
		return false;
	if (!store_writer_open(s, err, err_bytes))
		return false;
	for (uint32_t i = 0; i < s->readers_count; i++)
		if (!store_reader_open(s, &s->readers[i], err, err_bytes))
			return false;
	if (!store_folder_sync(&s->folder)) {
		snprintf(err, err_bytes, "the data folder %s cannot be synced to its disk", s->folder.path);
		return false;
	}
	return true;
}

static bool start_all(
	struct store_sqlite *s, const struct store_options *options, char *err, size_t err_bytes)
{
	uint32_t answer_ms = options->answer_ms != 0 ? options->answer_ms : STORE_ANSWER_MS;

	s->watching = store_watch_start(&s->watch, answer_ms, withdrawn, s);
	bool ok = s->watching && store_writer_start(s->writer);
	for (uint32_t i = 0; i < s->readers_count && ok; i++)
		ok = store_reader_start(s->readers[i]);
	if (!ok)
		snprintf(err, err_bytes, "no thread is to be had for the store");
	return ok;
}

struct store *store_sqlite_open(const struct store_options *options, char *err, size_t err_bytes)
{
	struct store_sqlite *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(err, err_bytes, "no memory for the store");
		return NULL;
	}
	s->store.ops = &ops;
	s->committed = options->committed;
	s->ctx = options->ctx;
	s->vfs = options->vfs;
	s->unsafe = options->unsafe;
	s->folder.fd = s->folder.lock_fd = -1;
	s->readers_count = options->readers == 0 ? STORE_READERS : options->readers;
	if (s->readers_count > STORE_READERS_MAX)
		s->readers_count = STORE_READERS_MAX;
	inbox_init(&s->reads);
	store_gate_init(&s->gate);
	pthread_mutex_init(&s->reads_lock, NULL);
	if (open_all(s, options, err, err_bytes) && start_all(s, options, err, err_bytes))
		return &s->store;
	destroy(&s->store);
	return NULL;
}
