/* Many threads at once, verbs from within answers, queues that are full, and an end while much waits. */
#include <sys/syscall.h>

#include "harness.h"

enum { THREADS = 8, EACH = 200, TAKEN_MAX = STORE_QUEUE_MAX + 10 };

struct sender {
	struct rig *rig;
	pthread_t thread;
	unsigned number;
	struct answer *answers[EACH];
};

static void *send_many(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < EACH; i++) {
		char text[48], cid[48];

		snprintf(text, sizeof(text), "%u says %u", s->number, i);
		snprintf(cid, sizeof(cid), "%u-%u", s->number, i);
		s->answers[i] = rig_say(s->rig, text, i % 3 == 0 ? "" : cid);
		/* Now and then somebody waits, reads and says it again. */
		if (i % 16 == 1 && i % 3 != 0) {
			answer_wait(s->answers[i]);
			rig_page_before(s->rig, 0, 20);
			rig_say(s->rig, text, cid);
		}
	}
	return NULL;
}

static void all_arrive_once(void **state)
{
	struct rig *rig = *state;
	struct sender senders[THREADS];
	uint64_t head = THREADS * EACH;
	bool *there = steady(NULL, head + 1);
	struct answer *a;

	memset(there, 0, head + 1);
	for (unsigned i = 0; i < THREADS; i++) {
		senders[i].rig = rig;
		senders[i].number = i;
		assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
	for (a = rig->answers; a; a = a->next) {
		answer_wait(a);
		assert_true(a->status == STORE_OK || a->status == STORE_SAME);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned j = 0; j < EACH; j++) {
			struct store_sent *sent = &senders[i].answers[j]->sent;
			char text[48];

			assert_int_equal(senders[i].answers[j]->status, STORE_OK);
			assert_true(sent->seq <= head && !there[sent->seq]);
			there[sent->seq] = true;
			/* A queue: what one thread has sent first comes first. */
			assert_true(j == 0 || sent->seq > senders[i].answers[j - 1]->sent.seq);
			snprintf(text, sizeof(text), "%u says %u", i, j);
			assert_true(str_equal(rig->seen[sent->seq - 1].entry.text, str_c(text)));
			assert_int_equal(rig->seen[sent->seq - 1].entry.nonce, sent->nonce);
		}
	}
	assert_int_equal(rig_seen_count(rig), head);
	for (uint64_t i = 0; i < head; i++) {
		assert_int_equal(rig->seen[i].entry.seq, i + 1);
		assert_true(pthread_equal(rig->seen[i].thread, rig->seen[0].thread));
	}
	assert_true(rig_stats(rig).batches < rig_stats(rig).commands);
	assert_int_equal(rig_stats(rig).batches_failed, 0);
	free(there);
}

/* ---- verbs from within callbacks ---- */

enum { CHAIN = 100 };

struct chain {
	struct rig *rig;
	struct answer *sent, *page, *guest, *found, *rooms;
	atomic_uint left, done;
};

static void chain_sent(struct answer *a, void *ctx);

static void chain_page(struct answer *a, void *ctx)
{
	struct chain *c = ctx;

	assert(a->status == STORE_OK && a->page.count == 1);
	if (atomic_fetch_sub(&c->left, 1) > 1) {
		struct store_send send = lobby("again", "");
		struct answer *next = rig_append_then(c->rig, &send, chain_sent, c);

		assert(next->returned == STORE_OK);
	} else {
		c->rooms = rig_rooms(c->rig);
		c->found = rig_find(c->rig, 9);
		c->guest = rig_guest(c->rig, "chained", 9);
		atomic_store(&c->done, 1);
	}
}

/* On the writer's thread. */
static void chain_sent(struct answer *a, void *ctx)
{
	struct chain *c = ctx;
	struct answer *page = answer_new(c->rig);

	assert(a->status == STORE_OK);
	page->then = chain_page;
	page->ctx = c;
	page->returned = c->rig->store->ops->page_before(c->rig->store, STORE_LOBBY, 0, 1, answer_page, page);
	assert(page->returned == STORE_OK);
}

static void answers_may_call_verbs(void **state)
{
	struct rig *rig = *state;
	struct chain c = { .rig = rig, .left = CHAIN };
	struct store_send send = lobby("first", "");

	rig_append_then(rig, &send, chain_sent, &c);
	WAIT_FOR(atomic_load(&c.done) == 1);
	assert_int_equal(answer_wait(c.rooms)->rooms[0].head, CHAIN);
	assert_int_equal(answer_wait(c.guest)->status, STORE_OK);
	assert_true(answer_wait(c.found)->status == STORE_NOT_FOUND || c.found->status == STORE_OK);
}

/* The observer too may send and read; what it sends comes in a batch behind this one. */
static void observe_and_answer(struct rig *rig, const struct store_entry *e)
{
	struct chain *c = rig->ctx;

	if (e->seq >= CHAIN)
		return;
	rig_say(rig, "echo", "");
	c->page = rig_page_before(rig, 0, 1);
}

static void the_observer_may_call_verbs(void **state)
{
	struct rig *rig = *state;
	struct chain c = { .rig = rig };

	rig->ctx = &c;
	rig->observed = observe_and_answer;
	rig_say(rig, "first", "");
	WAIT_FOR(rig_seen_count(rig) == CHAIN);
	assert_int_equal(answer_wait(c.page)->status, STORE_OK);
	assert_true(c.page->page.as_of >= CHAIN - 1);
}

/* ---- queues that are full ---- */

/* Say it until it is refused; how many were taken. */
static size_t say_until_busy(struct rig *rig, struct str text, struct answer **taken, size_t max)
{
	struct store_send send = lobby("", "");
	size_t count = 0;

	send.text = text;
	for (;;) {
		struct answer *a = rig_append(rig, &send);

		if (a->returned != STORE_OK) {
			assert_int_equal(a->returned, STORE_BUSY);
			return count;
		}
		assert_true(count < max);
		taken[count++] = a;
	}
}

static void expect_taken(struct rig *rig, struct answer **taken, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(answer_wait(taken[i])->status, STORE_OK);
		assert_int_equal(taken[i]->sent.seq, i + 2);
	}
	assert_int_equal(rig_seen_count(rig), count + 1);
	/* There is room again, and what was refused has left nothing. */
	assert_int_equal(say(rig, "room again", "")->sent.seq, count + 2);
	assert_int_equal(answer_wait(rig_rooms(rig))->rooms[0].head, count + 2);
}

static void the_queue_is_bounded(void **state)
{
	struct rig *rig = *state;
	struct answer **taken = steady(NULL, TAKEN_MAX * sizeof(struct answer *));
	size_t count;

	rig_hold(rig);
	count = say_until_busy(rig, STR("x"), taken, TAKEN_MAX);
	assert_int_equal(count, STORE_QUEUE_MAX);
	/* Every verb that writes is refused now, none that reads. */
	assert_int_equal(rig_guest(rig, "Ann", 1)->returned, STORE_BUSY);
	assert_int_equal(rig_say(rig, "x", "cid")->returned, STORE_BUSY);
	assert_int_equal(answer_wait(rig_page_before(rig, 0, 10))->page.as_of, 1);
	assert_int_equal(rig_stats(rig).refused_busy, 3);
	rig_let_go(rig);
	expect_taken(rig, taken, count);
	assert_int_equal(answer_wait(rig_find(rig, 1))->status, STORE_NOT_FOUND);
	assert_true(rig_stats(rig).batches >= count / STORE_BATCH_MAX);
	free(taken);
}

static void the_queues_bytes_are_bounded(void **state)
{
	struct rig *rig = *state;
	size_t max = STORE_QUEUE_BYTES_MAX / STORE_BODY_BYTES_MAX, count;
	struct answer **taken = steady(NULL, (max + 1) * sizeof(struct answer *));
	char *text = steady(NULL, STORE_BODY_BYTES_MAX);

	memset(text, 't', STORE_BODY_BYTES_MAX);
	rig_hold(rig);
	count = say_until_busy(rig, str_of(text, STORE_BODY_BYTES_MAX), taken, max + 1);
	/* With what comes beside a body it is a little less. */
	assert_in_range(count, max * 9 / 10, max);
	rig_let_go(rig);
	expect_taken(rig, taken, count);
	/* All of its bytes have been given back. */
	rig_forget_seen(rig);
	rig_hold(rig);
	assert_int_equal(say_until_busy(rig, str_of(text, STORE_BODY_BYTES_MAX), taken, max + 1), count);
	rig_let_go(rig);
	free(text);
	free(taken);
}

/* A reader that is held in its answer. */
struct held_reader {
	atomic_bool held, go;
};

static void hold_reader(struct answer *a, void *ctx)
{
	struct held_reader *h = ctx;

	(void)a;
	atomic_store(&h->held, true);
	while (!atomic_load(&h->go))
		poll(NULL, 0, 1);
}

static struct answer *hold_the_reader(struct rig *rig, struct held_reader *h)
{
	struct answer *a = answer_new(rig);

	a->then = hold_reader;
	a->ctx = h;
	a->returned = rig->store->ops->page_before(rig->store, STORE_LOBBY, 0, 10, answer_page, a);
	WAIT_FOR(atomic_load(&h->held));
	return a;
}

static void the_reads_are_bounded(void **state)
{
	struct rig *rig = *state;
	struct held_reader h = { .held = false };
	struct answer *a, **taken = steady(NULL, (STORE_READS_MAX + 1) * sizeof(struct answer *));
	size_t count = 0;

	rig->options.readers = 1;
	rig_reopen(rig);
	hold_the_reader(rig, &h);
	while ((a = rig_page_before(rig, 0, 1))->returned == STORE_OK) {
		assert_true(count < STORE_READS_MAX);
		taken[count++] = a;
	}
	assert_int_equal(a->returned, STORE_BUSY);
	assert_int_equal(count, STORE_READS_MAX);
	assert_int_equal(rig_rooms(rig)->returned, STORE_BUSY);
	assert_int_equal(rig_find(rig, 1)->returned, STORE_BUSY);
	assert_int_equal(rig_resume(rig, 0, 0)->returned, STORE_BUSY);
	assert_int_equal(rig_stats(rig).refused_busy, 4);
	/* The writer does not wait for readers. */
	assert_int_equal(say(rig, "text", "")->status, STORE_OK);
	atomic_store(&h.go, true);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(answer_wait(taken[i])->status, STORE_OK);
	assert_int_equal(answer_wait(rig_page_before(rig, 0, 1))->page.as_of, 1);
	free(taken);
}

/* ---- the end ---- */

struct ender {
	struct rig *rig;
	pthread_t thread;
	atomic_int tid;
	atomic_bool done;
};

static void *end(void *arg)
{
	struct ender *e = arg;
	struct store *store = e->rig->store;

	atomic_store(&e->tid, (int)syscall(SYS_gettid));
	store->ops->destroy(store);
	atomic_store(&e->done, true);
	return NULL;
}

/* destroy() has begun and waits: its thread sleeps. */
static bool ender_sleeps(struct ender *e)
{
	char path[64], text[256] = "", *state;
	FILE *f;

	if (atomic_load(&e->tid) == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&e->tid));
	f = fopen(path, "re");
	assert_non_null(f);
	state = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	fclose(f);
	return state != NULL && state[1] == ' ' && state[2] == 'S';
}

static void begin_end(struct ender *e, struct rig *rig)
{
	*e = (struct ender){ .rig = rig };
	assert_int_equal(pthread_create(&e->thread, NULL, end, e), 0);
	WAIT_FOR(ender_sleeps(e));
	assert_false(atomic_load(&e->done));
}

static void finish_end(struct ender *e)
{
	assert_int_equal(pthread_join(e->thread, NULL), 0);
	e->rig->store = NULL;
	rig_close(e->rig); /* all of it answered */
}

static void what_waits_is_committed_at_the_end(void **state)
{
	struct rig *rig = *state;
	enum { WAITING = STORE_BATCH_MAX * 2 };
	struct answer **a = steady(NULL, WAITING * sizeof(struct answer *)), *page;
	struct ender e;

	rig_hold(rig);
	for (int i = 0; i < WAITING; i++)
		a[i] = rig_say(rig, "waits", "");
	struct answer *guest = rig_guest(rig, "late", 5);
	begin_end(&e, rig);
	rig_let_go(rig);
	finish_end(&e);
	for (uint64_t i = 0; i < WAITING; i++) {
		assert_int_equal(a[i]->status, STORE_OK);
		assert_int_equal(a[i]->sent.seq, i + 2);
	}
	assert_int_equal(guest->status, STORE_OK);
	rig_open(rig);
	page = answer_wait(rig_page_before(rig, 0, 1));
	assert_int_equal(page->page.as_of, WAITING + 1);
	assert_int_equal(answer_wait(rig_find(rig, 5))->user.id, guest->user.id);
	free(a);
}

static void reads_that_wait_are_refused_at_the_end(void **state)
{
	struct rig *rig = *state;
	struct held_reader h = { .held = false };
	struct answer *a[50], *held;
	struct ender e;

	rig->options.readers = 1;
	rig_reopen(rig);
	held = hold_the_reader(rig, &h);
	for (int i = 0; i < 50; i++)
		a[i] = i % 2 ? rig_page_before(rig, 0, 1) : rig_rooms(rig);
	begin_end(&e, rig);
	atomic_store(&h.go, true);
	finish_end(&e);
	assert_int_equal(held->status, STORE_OK);
	for (int i = 0; i < 50; i++)
		assert_int_equal(a[i]->status, STORE_UNAVAILABLE);
}

/* An answer that sends and reads once more, for ever: it is told that there is an end. */
static void say_again(struct answer *a, void *ctx)
{
	struct store_send send = lobby("again", "");
	struct answer *next;

	if (a->status != STORE_OK)
		return;
	next = rig_append_then(a->rig, &send, say_again, ctx);
	assert(next->returned == STORE_OK || next->returned == STORE_UNAVAILABLE);
	if (next->returned != STORE_OK)
		atomic_store((atomic_bool *)ctx, true);
}

static void an_end_ends_chains(void **state)
{
	struct rig *rig = *state;
	struct store_send send = lobby("first", "");
	atomic_bool refused = false;

	rig_append_then(rig, &send, say_again, &refused);
	WAIT_FOR(rig_seen_count(rig) > 20);
	rig_close(rig);
	size_t committed = 0;
	for (struct answer *a = rig->answers; a; a = a->next) {
		committed += a->returned == STORE_OK && a->status == STORE_OK;
		assert_true(a->returned == STORE_UNAVAILABLE || a->status == STORE_OK ||
			    a->status == STORE_UNAVAILABLE);
	}
	assert_int_equal(committed, rig_seen_count(rig));
	rig_open(rig);
	assert_int_equal(answer_wait(rig_rooms(rig))->rooms[0].head, committed);
}

static void figures_add_up(void **state)
{
	struct rig *rig = *state;
	struct store_stats s = rig_stats(rig);

	assert_int_equal(s.commands, 0);
	assert_int_equal(s.reads, 0);
	assert_int_equal(s.batches, 0);
	assert_false(s.read_only);
	for (uint64_t i = 1; i <= 5; i++) {
		say(rig, "text", "c");
		answer_wait(rig_page_before(rig, 0, 1));
		s = rig_stats(rig);
		assert_int_equal(s.commands, i);
		assert_int_equal(s.batches, i);
		assert_int_equal(s.reads, i);
		assert_true(s.commit_ns > 0 && s.writer_cpu_ns > 0);
		assert_true(s.wal_bytes_max >= s.wal_bytes && s.wal_bytes_max > 0);
	}
	assert_int_equal(s.refused_busy + s.refused_unavailable + s.answered_late + s.replayed, 0);
	assert_int_equal(s.batches_failed + s.reads_interrupted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(all_arrive_once),
		RIG_TEST(answers_may_call_verbs),
		RIG_TEST(the_observer_may_call_verbs),
		RIG_TEST(the_queue_is_bounded),
		RIG_TEST(the_queues_bytes_are_bounded),
		RIG_TEST(the_reads_are_bounded),
		RIG_TEST(what_waits_is_committed_at_the_end),
		RIG_TEST(reads_that_wait_are_refused_at_the_end),
		RIG_TEST(an_end_ends_chains),
		RIG_TEST(figures_add_up),
	};

	return RIG_RUN(tests);
}
