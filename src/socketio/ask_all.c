/*
 * socketio/ask_all.c -- one question to all sockets of a target, and all their answers: see sio_ask_all().
 *
 *      asking --+-- part of loop 0: who was asked there, the answers so far
 *               `-- part of loop 1 ...       the last part to end makes one list of all, and calls the handler
 *
 * The question has one id for all, and is encoded once. Each socket asked has a waiting question of its own (ack.c), whose end, be it an
 * answer, the deadline or the socket's end, is counted by its loop's part.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "socketio/server_int.h"

struct part {
	struct asking *whole;
	struct sio_given *answers; /* each one's args.attachments is a block that holds all of it */
	uint32_t count, cap;
	uint32_t asked, waiting, late;
	bool begun; /* all who are to be asked have been */
};

struct asking {
	struct sio_space *space;
	uint64_t id;
	uint32_t timeout_ms;
	sio_replies_fn *fn;
	void *ctx;
	atomic_size_t bytes; /* of answers kept */
	atomic_bool lost; /* some answer was not kept */
	atomic_uint loops; /* that have not ended */
	uint32_t loop_count;
	struct part parts[];
};

/* A copy of somebody's answer in one block; false: no memory, or more than may be kept. */
static bool keep(struct part *p, struct sio_socket *socket, const struct sio_args *args)
{
	size_t bytes = args->attachment_count * sizeof(struct sio_bytes) + args->json.bytes;

	for (uint32_t i = 0; i < args->attachment_count; i++)
		bytes += args->attachments[i].bytes;
	size_t before = atomic_fetch_add_explicit(&p->whole->bytes, bytes, memory_order_relaxed);
	if (before + bytes > SIO_REPLIES_BYTES_MAX) {
		sio_count(&socket->client->at->counts.replies_dropped, 1);
		return false;
	}
	if (p->count == p->cap) {
		uint32_t cap = p->cap == 0 ? 16 : p->cap * 2;
		struct sio_given *bigger = realloc(p->answers, cap * sizeof(*bigger));
		if (bigger == NULL)
			return false;
		p->answers = bigger;
		p->cap = cap;
	}
	struct sio_bytes *attachments = malloc(bytes == 0 ? 1 : bytes);
	if (attachments == NULL)
		return false;
	char *at = (char *)(attachments + args->attachment_count);
	memcpy(at, args->json.s, args->json.bytes);
	p->answers[p->count++] = (struct sio_given){
		.socket = sio_id(socket),
		.args = { { at, args->json.bytes }, attachments, args->attachment_count },
	};
	at += args->json.bytes;
	for (uint32_t i = 0; i < args->attachment_count; i++) {
		attachments[i] = (struct sio_bytes){ at, args->attachments[i].bytes };
		if (attachments[i].bytes > 0)
			memcpy(at, args->attachments[i].data, attachments[i].bytes);
		at += attachments[i].bytes;
	}
	return true;
}

/* All answers in one list; NULL: no memory. */
static struct sio_given *join(const struct asking *a, uint32_t count)
{
	struct sio_given *all = calloc(count == 0 ? 1 : count, sizeof(*all));
	uint32_t at = 0;

	for (uint32_t i = 0; i < a->loop_count && all != NULL; i++) {
		if (a->parts[i].count > 0)
			memcpy(all + at, a->parts[i].answers, a->parts[i].count * sizeof(*all));
		at += a->parts[i].count;
	}
	return all;
}

static void end(struct asking *a)
{
	struct sio_replies replies = { .ctx = a->ctx };
	uint32_t late = 0;

	for (uint32_t i = 0; i < a->loop_count; i++) {
		replies.asked += a->parts[i].asked;
		replies.count += a->parts[i].count;
		late += a->parts[i].late;
	}
	struct sio_given *all = join(a, replies.count);
	if (all == NULL || atomic_load(&a->lost))
		replies.status = -ENOBUFS;
	else if (replies.count < replies.asked)
		replies.status = late > 0 ? -ETIMEDOUT : -ECONNRESET;
	replies.count = all == NULL ? 0 : replies.count;
	replies.answers = all;
	atomic_fetch_sub_explicit(&a->space->server->askings_all, 1, memory_order_relaxed);
	a->fn(&replies);
	free(all);
	for (uint32_t i = 0; i < a->loop_count; i++) {
		for (uint32_t k = 0; k < a->parts[i].count; k++)
			free((void *)(uintptr_t)a->parts[i].answers[k].args.attachments);
		free(a->parts[i].answers);
	}
	free(a);
}

static void end_part(struct part *p)
{
	if (!p->begun || p->waiting > 0)
		return;
	if (atomic_fetch_sub_explicit(&p->whole->loops, 1, memory_order_acq_rel) == 1)
		end(p->whole);
}

static void on_reply(const struct sio_reply *r)
{
	struct part *p = r->ctx;

	assert(p->waiting > 0);
	p->waiting--;
	if (r->status == -ETIMEDOUT)
		p->late++;
	else if (r->status == 0 && !keep(p, r->socket, &r->args))
		atomic_store(&p->whole->lost, true);
	end_part(p);
}

struct question {
	struct part *part;
	struct blob_share *unit;
};

static void ask(struct sio_socket *s, void *ctx)
{
	const struct question *q = ctx;
	struct asking *a = q->part->whole;

	q->part->asked++;
	q->part->waiting++;
	int rc = sio_ask_encoded(s, a->id, q->unit, EIO_SHARED, a->timeout_ms, on_reply, q->part);
	if (rc == 0)
		return;
	q->part->waiting--;
	if (rc == -ENOMEM)
		atomic_store(&a->lost, true);
	/* Else too many questions wait for this one already: as if it had gone. */
}

struct posted {
	struct net_message message;
	struct part *part;
	struct blob *unit; /* NULL: nobody is asked there, and the part ends */
	struct sio_target target; /* its names lie in the array */
	_Alignas(char *) char names[];
};

static void run(struct net_loop *loop, struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);
	struct sio_loop *here = &p->target.space->server->loops[net_loop_index(loop)];
	struct question q = { .part = p->part, .unit = p->unit == NULL ? NULL : blob_import(p->unit) };

	if (q.unit == NULL) {
		atomic_store(&p->part->whole->lost, true);
	} else {
		if (p->target.space->hooks->any_out.fn != NULL)
			sio_any_out(here, &p->target, q.unit);
		sio_visit_all(here, &p->target, ask, &q);
		blob_unref(q.unit);
	}
	p->part->begun = true;
	end_part(p->part);
	free(p);
}

static void discard(struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);

	if (p->unit != NULL)
		blob_drop(p->unit);
	atomic_store(&p->part->whole->lost, true);
	p->part->begun = true;
	end_part(p->part);
	free(p);
}

static struct posted *create_post(const struct sio_target *t, struct part *part, struct blob_share *unit)
{
	size_t names_bytes = sio_target_names_bytes(t);
	struct posted *p = malloc(sizeof(*p) + names_bytes);

	if (p == NULL)
		return NULL;
	p->message = (struct net_message){
		.run = run, .discard = discard, .bytes = sizeof(*p) + names_bytes + unit->bytes
	};
	p->part = part;
	p->unit = blob_export(unit);
	p->target = sio_target_copy(t, p->names);
	return p;
}

/* A loop that is so far behind that it takes no more asks nobody; that its part has ended is told all the same, behind this call. */
static void hand_over(struct sio_server *server, uint32_t loop, struct posted *p, size_t unit_bytes)
{
	if (sio_hand_over(server, loop, &p->message))
		return;
	atomic_fetch_add_explicit(&server->broadcasts_refused, 1, memory_order_relaxed);
	blob_drop(p->unit);
	p->unit = NULL;
	p->message.bytes -= unit_bytes;
	sio_hand_over_reserved(server, loop, &p->message);
}

/* To all loops, or to none. */
static int post(const struct sio_target *t, struct asking *a, struct blob_share *unit)
{
	struct posted *posts[NET_LOOPS_MAX] = { NULL };
	const uint32_t count = a->loop_count;

	for (uint32_t i = 0; i < count; i++) {
		a->parts[i].whole = a;
		posts[i] = create_post(t, &a->parts[i], unit);
		if (posts[i] != NULL)
			continue;
		while (i > 0) {
			blob_drop(posts[--i]->unit);
			free(posts[i]);
		}
		return -ENOMEM;
	}
	/* With the last of them it may have ended, and is gone. */
	for (uint32_t i = 0; i < count; i++)
		hand_over(t->space->server, i, posts[i], unit->bytes);
	return 0;
}

static int begin(const struct sio_target *t, struct str event, const struct sio_args *args, struct asking *a)
{
	struct sio_message m = { .space = t->space, .name = event, .has_id = true, .args = *args };
	struct blob_share *unit;

	m.id = a->id = atomic_fetch_add_explicit(&t->space->next_ask, 1, memory_order_relaxed);
	int rc = sio_encode(&m, &unit);
	if (rc < 0)
		return rc;
	if (t->uncompressed)
		blob_set_tag(unit, EIO_UNIT_UNCOMPRESSED);
	rc = post(t, a, unit);
	if (rc == 0)
		sio_count_emitted(t->space->server, sio_loop_here(t->space->server));
	blob_unref(unit);
	return rc;
}

int sio_ask_all(struct sio_target target, const char *event, struct sio_args args, uint32_t timeout_ms,
	sio_replies_fn *fn, void *ctx)
{
	struct str name = str_c(event);
	struct asking *a = NULL;
	int rc = -ENOBUFS;

	if (!sio_event_name_valid(name) || !sio_target_valid(&target) || target.space->names != NULL)
		return -EINVAL;
	struct sio_server *server = target.space->server;
	if (sio_is_closed(server))
		return -ENOBUFS;
	if (atomic_fetch_add_explicit(&server->askings_all, 1, memory_order_relaxed) <
		SIO_ASK_ALL_WAITING_MAX) {
		a = calloc(1, sizeof(*a) + server->loop_count * sizeof(a->parts[0]));
		rc = -ENOMEM;
	}
	if (a != NULL) {
		a->space = target.space;
		a->timeout_ms = timeout_ms;
		a->fn = fn;
		a->ctx = ctx;
		a->loop_count = server->loop_count;
		atomic_init(&a->bytes, 0);
		atomic_init(&a->lost, false);
		atomic_init(&a->loops, server->loop_count);
		rc = begin(&target, name, &args, a);
	}
	if (rc == 0)
		return 0;
	atomic_fetch_sub_explicit(&server->askings_all, 1, memory_order_relaxed);
	free(a);
	return rc;
}
