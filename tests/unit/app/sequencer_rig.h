/*
 * tests/unit/app/sequencer_rig.h -- a sequencer by itself: what is pushed to sockets comes to the test instead (a stand-in for
 * app/live.c), and is noted in order.
 */
#ifndef TESTS_UNIT_APP_SEQUENCER_RIG_H
#define TESTS_UNIT_APP_SEQUENCER_RIG_H

#include "app/sequencer.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/live.h"
#include "base/assert.h"
#include "base/clock.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum {
	EVENTS_MAX = 200000,
	ENTRIES = 5000,
	THREADS = 4,
	ROOM = 7,
	OTHER_ROOM = 8,
	TOLD_AGAIN_MS = 100, /* RETRY_MS of app/sequencer.c */
};

/* What the sequencer's thread did, in order. */
struct event {
	int64_t room; /* of an entry; 0: an item */
	uint64_t number; /* its seq, or the item's number; 0: a gap was told */
};

static struct {
	struct event events[EVENTS_MAX];
	atomic_size_t count;
	atomic_bool push_fails;
	atomic_uint cannot_be_told; /* of whom live_gap() has no memory for */
	atomic_uint gaps; /* calls of live_gap(); whom the last was for */
	atomic_uint whom;
	char text[64], name[64], cid[64]; /* of the last entry */
} left;

static struct app app;

enum { WAIT_MS = 60000 };

#define WAIT_FOR(condition)                                                                                  \
	do {                                                                                                 \
		for (int left_ms = WAIT_MS; !(condition); left_ms--) {                                       \
			assert_true(left_ms > 0);                                                            \
			(void)poll(NULL, 0, 1);                                                              \
		}                                                                                            \
	} while (0)

static inline void note(int64_t room, uint64_t number)
{
	size_t at = atomic_load(&left.count);

	assert(at < EVENTS_MAX);
	left.events[at] = (struct event){ room, number };
	atomic_store(&left.count, at + 1);
}

static inline void keep(char out[64], struct str text)
{
	snprintf(out, 64, "%.*s", (int)text.bytes, text.s);
}

/* Stand-ins. */
bool live_push(struct app *a, const struct store_entry *e)
{
	assert(a == &app);
	keep(left.text, e->text);
	keep(left.name, e->name);
	keep(left.cid, e->cid);
	note(e->room, e->seq);
	return !atomic_load(&left.push_fails);
}

unsigned live_gap(struct app *a, unsigned whom)
{
	assert(a == &app);
	note(0, 0);
	atomic_store(&left.whom, whom);
	atomic_fetch_add(&left.gaps, 1);
	return whom & atomic_load(&left.cannot_be_told);
}

struct item {
	struct sequencer_item item; /* first */
	uint64_t number;
	sem_t done, go;
	bool again; /* it comes once more */
	uint64_t head;
	uint32_t nonce;
};

static inline void run_item(struct sequencer *s, struct sequencer_item *i)
{
	struct item *item = (struct item *)(void *)i;

	sequencer_head(s, ROOM, &item->head, &item->nonce);
	note(0, item->number);
	if (item->again) {
		item->again = false;
		sequencer_push(s, &item->item);
		return;
	}
	sem_post(&item->done);
}

static inline void run_and_wait(struct sequencer *s, struct sequencer_item *i)
{
	struct item *item = (struct item *)(void *)i;

	(void)s;
	sem_post(&item->done);
	sem_wait(&item->go);
}

static inline void item_init(struct item *item, uint64_t number, int64_t room, uint64_t after)
{
	*item = (struct item){ .number = number };
	item->item = (struct sequencer_item){ .run = run_item, .room = room, .after = after };
	sem_init(&item->done, 0, 0);
	sem_init(&item->go, 0, 0);
}

static inline void push(struct item *item)
{
	sequencer_push(app.sequencer, &item->item);
}

/* All that was pushed before by this thread has been looked at. */
static inline void settle(void)
{
	struct item last;

	item_init(&last, UINT64_MAX, 0, 0);
	push(&last);
	sem_wait(&last.done);
}

static inline void commit(int64_t room, uint64_t seq, const char *text)
{
	char copy[64];
	struct store_entry e = { .room = room,
		.seq = seq,
		.nonce = (uint32_t)seq * 3,
		.kind = STORE_MESSAGE,
		.author = 1,
		.name = STR("Ann"),
		.cid = STR("") };

	/* Lent for the call: it is gone right after. */
	snprintf(copy, sizeof(copy), "%s", text);
	e.text = str_c(copy);
	sequencer_committed(&app, &e);
	memset(copy, '!', sizeof(copy));
}

static inline int set_up(void **state)
{
	char err[128];

	(void)state;
	memset(&left, 0, sizeof(left));
	app.sequencer = sequencer_create(&app, err, sizeof(err));
	return app.sequencer == NULL ? -1 : 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	sequencer_destroy(app.sequencer);
	app.sequencer = NULL;
	return 0;
}

static inline void destroy(void)
{
	sequencer_destroy(app.sequencer);
	app.sequencer = NULL;
}

/* What has left so far, without settle()'s own. */
static inline void expect_left(const struct event *events, size_t count)
{
	size_t all = atomic_load(&left.count), at = 0;

	for (size_t i = 0; i < all; i++) {
		if (left.events[i].number == UINT64_MAX)
			continue;
		if (at < count && (left.events[i].room != events[at].room ||
					  left.events[i].number != events[at].number))
			print_error("%zu: %lld, %llu\n", at, (long long)left.events[i].room,
				(unsigned long long)left.events[i].number);
		assert_true(at < count);
		assert_int_equal(left.events[i].room, events[at].room);
		assert_int_equal(left.events[i].number, events[at].number);
		at++;
	}
	assert_int_equal(at, count);
}

#define EXPECT(...)                                                                                          \
	do {                                                                                                 \
		const struct event expected[] = { __VA_ARGS__ };                                             \
		expect_left(expected, sizeof(expected) / sizeof(*expected));                                 \
	} while (0)

#endif
