/* app/sequencer.c -- see app/sequencer.h. */
#include "app/sequencer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/live.h"
#include "app/log.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/inbox.h"
#include "base/map.h"

enum { RETRY_MS = 100 };

struct room {
	struct map_node node; /* by id */
	int64_t id;
	uint64_t seq; /* the last that has left */
	uint32_t nonce;
	bool unsure; /* entries after `seq` may have been missed: nobody waits for one, until a later one has left */
	unsigned sure_from; /* `misses` of such a one */
	struct pile_node *held; /* items that wait for an entry to leave; few, and seldom */
	struct room *next; /* of all */
};

struct sequencer {
	struct app *app;
	struct inbox inbox;
	pthread_t thread;
	atomic_bool stop;
	atomic_size_t backlog, backlog_bytes;
	atomic_bool missed; /* an entry could not be copied: everybody has a gap */
	atomic_uint misses; /* how many could not; it wraps */
	atomic_bool nudged; /* `nudge` is in the inbox: it may be asleep, and has something to mend */
	struct sequencer_item nudge;
	unsigned untold; /* LIVE_...: who does not know yet that something was missed */
	uint64_t tell_ns; /* not before that is anybody told again */
	struct map rooms;
	struct room *first;
};

struct entry_item {
	struct sequencer_item item;
	unsigned misses; /* before it */
	struct store_entry entry;
	char texts[]; /* name, cid and text */
};

static struct room *find_room(const struct sequencer *s, int64_t id)
{
	struct map_node *n = map_find(&s->rooms, str_of((const char *)&id, sizeof(id)));

	return n == NULL ? NULL : map_entry(n, struct room, node);
}

static struct room *have_room(struct sequencer *s, int64_t id)
{
	struct room *r = find_room(s, id);

	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->id = id;
	if (!map_insert(&s->rooms, &r->node, str_of((const char *)&r->id, sizeof(r->id)))) {
		free(r);
		return NULL;
	}
	r->next = s->first;
	s->first = r;
	return r;
}

bool sequencer_set_head(struct sequencer *s, int64_t room, uint64_t seq, uint32_t nonce)
{
	struct room *r = have_room(s, room);

	if (r == NULL)
		return false;
	r->seq = seq;
	r->nonce = nonce;
	return true;
}

bool sequencer_head(const struct sequencer *s, int64_t room, uint64_t *ret_seq, uint32_t *ret_nonce)
{
	const struct room *r = find_room(s, room);

	*ret_seq = r == NULL ? 0 : r->seq;
	*ret_nonce = r == NULL ? 0 : r->nonce;
	return r == NULL || !r->unsure;
}

void sequencer_push(struct sequencer *s, struct sequencer_item *item)
{
	atomic_fetch_add_explicit(&s->backlog, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->backlog_bytes, item->bytes, memory_order_relaxed);
	inbox_push(&s->inbox, &item->node);
}

bool sequencer_behind(const struct sequencer *s)
{
	return atomic_load_explicit(&s->backlog, memory_order_relaxed) > SEQUENCER_BACKLOG_MAX ||
	       atomic_load_explicit(&s->backlog_bytes, memory_order_relaxed) > SEQUENCER_BACKLOG_BYTES_MAX;
}

/* Those whose entry has left now, in the order in which they came; or all. */
static void release(struct sequencer *s, struct room *r, bool all)
{
	struct pile_node *node = r->held, **keep = &r->held;

	r->held = NULL;
	while (node != NULL) {
		struct sequencer_item *item = pile_entry(node, struct sequencer_item, node);

		node = node->next;
		if (!all && item->after > r->seq) {
			item->node.next = NULL;
			*keep = &item->node;
			keep = &item->node.next;
		} else {
			item->run(s, item);
		}
	}
}

static void run_entry(struct sequencer *s, struct sequencer_item *item)
{
	struct entry_item *e = (struct entry_item *)(void *)item;
	struct room *r = have_room(s, e->entry.room);

	if (r == NULL || !live_push(s->app, &e->entry))
		atomic_store_explicit(&s->missed, true, memory_order_relaxed);
	if (r != NULL) {
		r->seq = e->entry.seq;
		r->nonce = e->entry.nonce;
		r->unsure = r->unsure && (int)(e->misses - r->sure_from) < 0;
		if (r->held != NULL)
			release(s, r, false);
	}
	free(e);
}

static void run_nudge(struct sequencer *s, struct sequencer_item *item)
{
	(void)item;
	atomic_store_explicit(&s->nudged, false, memory_order_release);
}

/* On the store's thread that commits. */
static void miss(struct sequencer *s)
{
	atomic_fetch_add_explicit(&s->misses, 1, memory_order_relaxed);
	atomic_store_explicit(&s->missed, true, memory_order_release);
	if (!atomic_exchange_explicit(&s->nudged, true, memory_order_acq_rel))
		sequencer_push(s, &s->nudge);
}

static struct str keep(char **at, struct str text)
{
	char *start = *at;

	if (text.bytes > 0)
		memcpy(start, text.s, text.bytes);
	*at += text.bytes;
	return str_of(start, text.bytes);
}

void sequencer_committed(void *ctx, const struct store_entry *entry)
{
	const struct app *app = ctx;
	struct sequencer *s = app->sequencer;
	size_t bytes = sizeof(struct entry_item) + entry->name.bytes + entry->cid.bytes + entry->text.bytes;
	struct entry_item *e = malloc(bytes);

	if (e == NULL) {
		miss(s);
		return;
	}
	char *at = e->texts;
	e->item = (struct sequencer_item){ .run = run_entry, .bytes = bytes };
	e->misses = atomic_load_explicit(&s->misses, memory_order_relaxed);
	e->entry = *entry;
	e->entry.name = keep(&at, entry->name);
	e->entry.cid = keep(&at, entry->cid);
	e->entry.text = keep(&at, entry->text);
	sequencer_push(s, &e->item);
}

static void hold(struct room *r, struct sequencer_item *item)
{
	struct pile_node **end = &r->held;

	while (*end != NULL)
		end = &(*end)->next;
	item->node.next = NULL;
	*end = &item->node;
}

static void run_one(struct sequencer *s, struct sequencer_item *item)
{
	struct room *r = item->after == 0 ? NULL : find_room(s, item->room);

	/* Of a room that is not known nothing has left, and nothing is on its way but what comes in its time. */
	if (r != NULL && !r->unsure && item->after > r->seq)
		hold(r, item);
	else
		item->run(s, item);
}

/* Somebody has missed something: all are told to look, and what waits for it waits no longer. */
static void mend(struct sequencer *s)
{
	bool more = atomic_exchange_explicit(&s->missed, false, memory_order_acquire);

	if (more && s->untold == 0)
		log_event(
			LOG_ERROR, "entries_missed", "why", "no memory; all clients are told to sync", NULL);
	if (more)
		s->untold = LIVE_CHAT | LIVE_ROOT;
	if (s->untold != 0 && clock_now_ns() >= s->tell_ns) {
		s->untold = live_gap(s->app, s->untold);
		s->tell_ns = clock_now_ns() + RETRY_MS * CLOCK_NS_PER_MS;
	}
	for (struct room *r = more ? s->first : NULL; r != NULL; r = r->next) {
		r->unsure = true;
		r->sure_from = atomic_load_explicit(&s->misses, memory_order_relaxed);
		release(s, r, true);
	}
}

/* Nobody pushes any more but those who are released: what they wait for does not come. False: nobody waits. */
static bool release_rest(struct sequencer *s)
{
	bool any = false;

	for (struct room *r = s->first; r != NULL; r = r->next) {
		any = any || r->held != NULL;
		release(s, r, true);
	}
	return any;
}

/* What could not be told is told later, also while nobody says anything. */
static uint64_t wake_at(const struct sequencer *s)
{
	return s->untold != 0 ? s->tell_ns : INBOX_FOR_EVER;
}

static void *run(void *ctx)
{
	struct sequencer *s = ctx;
	bool last = false;

	while (!last || !pile_empty(&s->inbox.pile) || release_rest(s)) {
		struct pile_node *node = inbox_take(&s->inbox, last ? 0 : wake_at(s));

		while (node != NULL) {
			struct sequencer_item *item = pile_entry(node, struct sequencer_item, node);

			node = node->next;
			atomic_fetch_sub_explicit(&s->backlog, 1, memory_order_relaxed);
			atomic_fetch_sub_explicit(&s->backlog_bytes, item->bytes, memory_order_relaxed);
			run_one(s, item);
		}
		mend(s);
		last = atomic_load_explicit(&s->stop, memory_order_acquire);
	}
	return NULL;
}

struct sequencer *sequencer_create(struct app *app, char *err, size_t err_bytes)
{
	struct sequencer *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		snprintf(err, err_bytes, "no memory");
		return NULL;
	}
	s->app = app;
	s->nudge = (struct sequencer_item){ .run = run_nudge };
	inbox_init(&s->inbox);
	int rc = pthread_create(&s->thread, NULL, run, s);
	if (rc != 0) {
		snprintf(err, err_bytes, "no thread can be had: %s", strerror(rc));
		inbox_finish(&s->inbox);
		free(s);
		return NULL;
	}
	pthread_setname_np(s->thread, "sequencer");
	return s;
}

static void stop(struct sequencer *s, struct sequencer_item *item)
{
	(void)item;
	atomic_store_explicit(&s->stop, true, memory_order_release);
}

void sequencer_destroy(struct sequencer *s)
{
	struct sequencer_item last = { .run = stop };

	if (s == NULL)
		return;
	sequencer_push(s, &last);
	pthread_join(s->thread, NULL);
	while (s->first != NULL) {
		struct room *r = s->first;

		assert(r->held == NULL);
		map_remove(&s->rooms, &r->node);
		s->first = r->next;
		free(r);
	}
	map_finish(&s->rooms);
	inbox_finish(&s->inbox);
	free(s);
}
