/*
 * tests/unit/store/harness.h -- what the tests of the store share: a store in a folder of its own, verbs that are waited for,
 * and a record of all that it said.
 *
 *      test's thread: verb ----> store's threads: answer() and observer, which copy what they are lent and check it by assert()
 *             ^                       |
 *             `--- struct answer <----+---> rig: entries in the order in which they were committed
 *
 * The suite runs over every backend in `backends`, each on the disk ($TMPDIR) and in memory (/dev/shm). Each verb goes
 * through a struct answer that the rig keeps, and the end of each test checks that all of them were called exactly once, or
 * not at all where the verb refused. cmocka's own assertions jump, so they belong to the test's thread alone.
 */
#ifndef TESTS_UNIT_STORE_HARNESS_H
#define TESTS_UNIT_STORE_HARNESS_H

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "lib/cmocka.h"
#include "store/store.h"

enum { RIG_WAIT_MS = 60000, RIG_PATH_BYTES = 512 };

static const struct backend {
	const char *name;
	struct store *(*open)(const struct store_options *, char *err, size_t err_bytes);
} backends[] = {
	{ "sqlite", store_sqlite_open },
};

/* The harness' own memory never fails: see lib/failing_alloc.h. */
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);

static inline void *steady(void *old, size_t bytes)
{
	void *p = __real_realloc(old, bytes + 1);

	assert(p != NULL);
	return p;
}

static inline struct str steady_str(struct str s)
{
	char *copy = steady(NULL, s.bytes);

	if (s.bytes > 0)
		memcpy(copy, s.s, s.bytes);
	return str_of(copy, s.bytes);
}

/* Free what a str that we own points to. */
static inline void str_free(struct str s)
{
	free((void *)(uintptr_t)s.s);
}

static inline unsigned rig_slower(void)
{
	const char *text = getenv("TEST_SLOWER");
	unsigned long n = text == NULL ? 1 : strtoul(text, NULL, 10);

	return n < 1 || n > 100 ? 1 : (unsigned)n;
}

static inline unsigned long rig_scale(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoul(text, NULL, 10);
}

static inline void rig_wait_ms(uint64_t since_ns, const char *condition)
{
	if (clock_now_ns() - since_ns > rig_slower() * RIG_WAIT_MS * CLOCK_NS_PER_MS)
		fail_msg("still not so: %s", condition);
	poll(NULL, 0, 1);
}

#define WAIT_FOR(condition)                                                                                  \
	do {                                                                                                 \
		for (uint64_t since_ns = clock_now_ns(); !(condition);)                                      \
			rig_wait_ms(since_ns, #condition);                                                   \
	} while (0)

struct rig;

/* A verb that was called, and what came of it. */
struct answer {
	struct rig *rig;
	struct answer *next;
	enum store_status returned; /* STORE_OK: taken */
	/* With `calls` at 1 the rest is there. */
	atomic_uint calls;
	enum store_status status;
	struct store_sent sent;
	struct store_user user;
	struct store_room *rooms;
	struct store_page page; /* its entries are ours */
	size_t count; /* of rooms */
	uint64_t order; /* among all that the store said */
	uint64_t answered_ns;
	pthread_t thread;
	void (*then)(struct answer *, void *ctx); /* called at the end of the answer, on the store's thread */
	void *ctx;
};

/* An entry that the observer was given; its strings are ours. */
struct seen {
	struct store_entry entry;
	uint64_t order;
	pthread_t thread;
};

struct rig {
	const struct backend *backend;
	char root[RIG_PATH_BYTES], folder[RIG_PATH_BYTES];
	struct store_options options; /* of the next open */
	struct store *store;
	pthread_mutex_t lock; /* guards seen, seen_count and answers */
	pthread_cond_t answered;
	struct seen *seen;
	size_t seen_count, seen_room;
	struct answer *answers;
	atomic_ullong order;
	/* The writer is held in the observer while `holding`; `held` says that it is. */
	atomic_bool holding, held;
	/* At the end of the observer, on the writer's thread. */
	void (*observed)(struct rig *, const struct store_entry *);
	void *ctx; /* of the test */
};

static inline void rig_observe(void *ctx, const struct store_entry *e)
{
	struct rig *rig = ctx;
	struct seen *s;

	assert(e->kind == STORE_MESSAGE && e->seq > 0 && e->nonce != 0);
	pthread_mutex_lock(&rig->lock);
	if (rig->seen_count == rig->seen_room) {
		rig->seen_room = rig->seen_room * 2 + 64;
		rig->seen = steady(rig->seen, rig->seen_room * sizeof(*rig->seen));
	}
	s = &rig->seen[rig->seen_count++];
	*s = (struct seen){
		.entry = *e, .order = atomic_fetch_add(&rig->order, 1), .thread = pthread_self()
	};
	s->entry.name = steady_str(e->name);
	s->entry.cid = steady_str(e->cid);
	s->entry.text = steady_str(e->text);
	pthread_mutex_unlock(&rig->lock);
	if (rig->observed)
		rig->observed(rig, e);
	while (atomic_load(&rig->holding)) {
		atomic_store(&rig->held, true);
		poll(NULL, 0, 1);
	}
	atomic_store(&rig->held, false);
}

static inline size_t rig_seen_count(struct rig *rig)
{
	size_t count;

	pthread_mutex_lock(&rig->lock);
	count = rig->seen_count;
	pthread_mutex_unlock(&rig->lock);
	return count;
}

static inline void rig_forget_seen(struct rig *rig)
{
	pthread_mutex_lock(&rig->lock);
	for (size_t i = 0; i < rig->seen_count; i++) {
		str_free(rig->seen[i].entry.name);
		str_free(rig->seen[i].entry.cid);
		str_free(rig->seen[i].entry.text);
	}
	rig->seen_count = 0;
	pthread_mutex_unlock(&rig->lock);
}

/* ---- answers ---- */

static inline void answer_done(struct answer *a, enum store_status status)
{
	assert(atomic_load(&a->calls) == 0);
	assert(status >= STORE_OK && status <= STORE_UNKNOWN);
	a->status = status;
	a->order = atomic_fetch_add(&a->rig->order, 1);
	a->answered_ns = clock_now_ns();
	a->thread = pthread_self();
	if (a->then)
		a->then(a, a->ctx);
	pthread_mutex_lock(&a->rig->lock);
	atomic_fetch_add(&a->calls, 1);
	pthread_cond_broadcast(&a->rig->answered);
	pthread_mutex_unlock(&a->rig->lock);
}

static inline void answer_sent(void *ctx, enum store_status status, const struct store_sent *sent)
{
	struct answer *a = ctx;

	if (status == STORE_OK || status == STORE_SAME) {
		assert(sent != NULL && sent->seq > 0 && sent->nonce != 0);
		a->sent = *sent;
	} else {
		assert(sent == NULL);
	}
	answer_done(a, status);
}

static inline void answer_user(void *ctx, enum store_status status, const struct store_user *user)
{
	struct answer *a = ctx;

	assert((user != NULL) == (status == STORE_OK || status == STORE_SAME));
	if (user) {
		a->user = *user;
		a->user.name = steady_str(user->name);
	}
	answer_done(a, status);
}

static inline void answer_rooms(
	void *ctx, enum store_status status, const struct store_room *rooms, size_t count)
{
	struct answer *a = ctx;

	assert((rooms != NULL) == (status == STORE_OK));
	if (rooms) {
		a->count = count;
		a->rooms = steady(NULL, count * sizeof(*rooms));
		for (size_t i = 0; i < count; i++) {
			a->rooms[i] = rooms[i];
			a->rooms[i].name = steady_str(rooms[i].name);
		}
	}
	answer_done(a, status);
}

/* Whatever its contents, a page keeps these. */
static inline void page_check(const struct store_page *p)
{
	size_t bytes = 0;

	assert(p->count <= STORE_PAGE_MESSAGES_MAX);
	for (size_t i = 0; i < p->count; i++) {
		const struct store_entry *e = &p->entries[i];

		assert(e->room == p->room && e->kind == STORE_MESSAGE && e->nonce != 0);
		assert(e->seq > 0 && e->seq <= p->as_of);
		assert(i == 0 || e->seq == p->entries[i - 1].seq + 1);
		bytes += store_entry_weight(e->name.bytes, e->cid.bytes, e->text.bytes);
	}
	assert(p->count <= 1 || bytes <= STORE_PAGE_BYTES_MAX);
}

static inline void answer_page(void *ctx, enum store_status status, const struct store_page *page)
{
	struct answer *a = ctx;

	assert((page != NULL) == (status == STORE_OK));
	if (page) {
		struct store_entry *copies = steady(NULL, page->count * sizeof(*copies));

		page_check(page);
		for (size_t i = 0; i < page->count; i++) {
			copies[i] = page->entries[i];
			copies[i].name = steady_str(copies[i].name);
			copies[i].cid = steady_str(copies[i].cid);
			copies[i].text = steady_str(copies[i].text);
		}
		a->page = *page;
		a->page.entries = copies;
	}
	answer_done(a, status);
}

static inline struct answer *answer_new(struct rig *rig)
{
	struct answer *a = __real_calloc(1, sizeof(*a));

	assert(a != NULL);
	a->rig = rig;
	pthread_mutex_lock(&rig->lock);
	a->next = rig->answers;
	rig->answers = a;
	pthread_mutex_unlock(&rig->lock);
	return a;
}

static inline void answer_free(struct answer *a)
{
	for (size_t i = 0; i < a->page.count; i++) {
		str_free(a->page.entries[i].name);
		str_free(a->page.entries[i].cid);
		str_free(a->page.entries[i].text);
	}
	free((void *)(uintptr_t)a->page.entries);
	for (size_t i = 0; i < a->count; i++)
		str_free(a->rooms[i].name);
	free(a->rooms);
	str_free(a->user.name);
	free(a);
}

/* ---- verbs: rig_x() calls, answer_wait() waits; one that was refused needs no waiting ---- */

static inline bool answer_there(struct answer *a)
{
	return a->returned != STORE_OK || atomic_load(&a->calls) > 0;
}

static inline struct answer *answer_wait(struct answer *a)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += rig_slower() * RIG_WAIT_MS / 1000;
	pthread_mutex_lock(&a->rig->lock);
	while (!answer_there(a) && rc == 0)
		rc = pthread_cond_timedwait(&a->rig->answered, &a->rig->lock, &until);
	pthread_mutex_unlock(&a->rig->lock);
	if (!answer_there(a))
		fail_msg("no answer");
	if (a->returned != STORE_OK)
		a->status = a->returned;
	return a;
}

static inline struct answer *rig_append_then(
	struct rig *rig, const struct store_send *send, void (*then)(struct answer *, void *ctx), void *ctx)
{
	struct answer *a = answer_new(rig);

	a->then = then;
	a->ctx = ctx;
	a->returned = rig->store->ops->append(rig->store, send, answer_sent, a);
	return a;
}

static inline struct answer *rig_append(struct rig *rig, const struct store_send *send)
{
	return rig_append_then(rig, send, NULL, NULL);
}

/* Into the lobby, by nobody in particular. */
static inline struct store_send lobby(const char *text, const char *cid)
{
	return (struct store_send){ .room = STORE_LOBBY,
		.author = STORE_ANONYMOUS,
		.name = STR("Ann"),
		.text = str_c(text),
		.cid = str_c(cid) };
}

static inline struct answer *rig_say(struct rig *rig, const char *text, const char *cid)
{
	struct store_send send = lobby(text, cid);

	return rig_append(rig, &send);
}

static inline struct answer *say(struct rig *rig, const char *text, const char *cid)
{
	return answer_wait(rig_say(rig, text, cid));
}

static inline struct answer *rig_page_before(struct rig *rig, uint64_t before, uint32_t max)
{
	struct answer *a = answer_new(rig);

	a->returned = rig->store->ops->page_before(rig->store, STORE_LOBBY, before, max, answer_page, a);
	return a;
}

static inline struct answer *rig_resume(struct rig *rig, uint64_t seq, uint32_t nonce)
{
	struct answer *a = answer_new(rig);

	a->returned = rig->store->ops->resume(rig->store, STORE_LOBBY, seq, nonce, answer_page, a);
	return a;
}

static inline struct answer *rig_rooms(struct rig *rig)
{
	struct answer *a = answer_new(rig);

	a->returned = rig->store->ops->rooms(rig->store, STORE_ANONYMOUS, answer_rooms, a);
	return a;
}

/* A token's hash, by a number. */
static inline const uint8_t *token(uint8_t number, uint8_t buffer[STORE_TOKEN_HASH_BYTES])
{
	memset(buffer, 0, STORE_TOKEN_HASH_BYTES);
	buffer[0] = number;
	buffer[STORE_TOKEN_HASH_BYTES - 1] = (uint8_t)~number;
	return buffer;
}

static inline struct answer *rig_guest(struct rig *rig, const char *name, uint8_t number)
{
	uint8_t buffer[STORE_TOKEN_HASH_BYTES];
	struct answer *a = answer_new(rig);

	a->returned =
		rig->store->ops->create_guest(rig->store, str_c(name), token(number, buffer), answer_user, a);
	memset(buffer, 0xee, sizeof(buffer));
	return a;
}

static inline struct answer *rig_find(struct rig *rig, uint8_t number)
{
	uint8_t buffer[STORE_TOKEN_HASH_BYTES];
	struct answer *a = answer_new(rig);

	a->returned = rig->store->ops->find_token(rig->store, token(number, buffer), answer_user, a);
	memset(buffer, 0xee, sizeof(buffer));
	return a;
}

static inline struct store_stats rig_stats(struct rig *rig)
{
	struct store_stats stats;

	rig->store->ops->stats(rig->store, &stats);
	return stats;
}

/* ---- the writer, held ---- */

/* Commit an entry, and keep the writer in its observer: what is sent now waits for one batch. */
static inline struct answer *rig_hold(struct rig *rig)
{
	struct answer *a;

	atomic_store(&rig->holding, true);
	a = rig_say(rig, "hold", "");
	assert_int_equal(a->returned, STORE_OK);
	WAIT_FOR(atomic_load(&rig->held));
	return a;
}

static inline void rig_let_go(struct rig *rig)
{
	atomic_store(&rig->holding, false);
}

/* ---- opened and closed ---- */

static inline void rig_open(struct rig *rig)
{
	char err[256] = "";

	rig->store = rig->backend->open(&rig->options, err, sizeof(err));
	if (rig->store == NULL)
		fail_msg("not opened: %s", err);
}

/* Destroys it, and checks that all that was taken has been answered, once. */
static inline void rig_close(struct rig *rig)
{
	if (rig->store)
		rig->store->ops->destroy(rig->store);
	rig->store = NULL;
	for (struct answer *a = rig->answers; a; a = a->next)
		assert_int_equal(atomic_load(&a->calls), a->returned == STORE_OK ? 1 : 0);
}

static inline void rig_reopen(struct rig *rig)
{
	rig_close(rig);
	rig_open(rig);
}

static inline void rig_init(struct rig *rig, const struct backend *backend, const char *base)
{
	*rig = (struct rig){
		.backend = backend, .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER
	};
	log_set(LOG_OFF, NULL, NULL);
	snprintf(rig->root, sizeof(rig->root), "%s/store.XXXXXX", base);
	assert_non_null(mkdtemp(rig->root));
	assert_true(
		snprintf(rig->folder, sizeof(rig->folder), "%s/data", rig->root) < (int)sizeof(rig->folder));
	rig->options = (struct store_options){ .folder = rig->folder,
		.answer_ms = rig_slower() * STORE_ANSWER_MS,
		.committed = rig_observe,
		.ctx = rig };
}

static inline int rig_remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void rig_remove(const char *path)
{
	nftw(path, rig_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Forget all answers; none may be outstanding. */
static inline void rig_forget_answers(struct rig *rig)
{
	while (rig->answers) {
		struct answer *a = rig->answers;

		rig->answers = a->next;
		answer_free(a);
	}
}

static inline void rig_finish(struct rig *rig)
{
	rig_let_go(rig);
	rig_close(rig);
	rig_forget_seen(rig);
	rig_forget_answers(rig);
	free(rig->seen);
	rig_remove(rig->root);
}

/* ---- cmocka: each test gets an open store, on each backend and place ---- */

static const struct backend *rig_backend = &backends[0];
static const char *rig_base = "/dev/shm";

static inline int rig_setup_closed(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	assert_non_null(rig);
	rig_init(rig, rig_backend, rig_base);
	*state = rig;
	return 0;
}

static inline int rig_setup(void **state)
{
	rig_setup_closed(state);
	rig_open(*state);
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_finish(*state);
	free(*state);
	return 0;
}

#define RIG_TEST(fn)        cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
#define RIG_CLOSED_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup_closed, rig_teardown)

static inline int rig_run(const struct CMUnitTest *tests, size_t count, const char *place, const char *base)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(backends) / sizeof(*backends); i++) {
		rig_backend = &backends[i];
		rig_base = base;
		printf("# %s %s\n", rig_backend->name, place);
		fflush(stdout);
		failed += _cmocka_run_group_tests(place, tests, count, NULL, NULL);
	}
	return failed;
}

/* All tests of an array, everywhere; for main() to return. */
#define RIG_RUN(tests) (RIG_RUN_ON_DISK(tests) + RIG_RUN_IN_MEMORY(tests))
#define RIG_RUN_ON_DISK(tests)                                                                               \
	rig_run(tests, sizeof(tests) / sizeof(*(tests)), "on disk",                                          \
		getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp")
/* Where the disk is lib/fault_vfs.h's. */
#define RIG_RUN_IN_MEMORY(tests) rig_run(tests, sizeof(tests) / sizeof(*(tests)), "in memory", "/dev/shm")

#endif
