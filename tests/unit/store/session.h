/*
 * tests/unit/store/session.h -- a scripted session on a disk that may fail, and what must be true of it afterwards.
 *
 *      open, guest, sends one by one and several at once, reads, close     what was answered is written down
 *      ... whatever happened, and open again ...
 *      every acknowledged one is there with its seq, nonce and text; dense; every id once, and may be sent again
 */
#ifndef TESTS_UNIT_STORE_SESSION_H
#define TESTS_UNIT_STORE_SESSION_H

#include "harness.h"
#include "lib/fault_vfs.h"

enum { SESSION_SENDS = 10, SESSION_ALONE = 5, SESSION_PAGE_MAX = 200 };

struct session {
	enum store_status status[SESSION_SENDS];
	struct store_sent sent[SESSION_SENDS];
	enum store_status guest_status;
	int64_t guest;
	bool opened;
	void (*once_open)(void); /* NULL: nothing */
};

static inline bool is_acknowledged(enum store_status status)
{
	return status == STORE_OK || status == STORE_SAME;
}

static inline struct answer *session_say(struct rig *rig, unsigned i)
{
	char text[32], cid[32];

	snprintf(text, sizeof(text), "text %u", i);
	snprintf(cid, sizeof(cid), "cid-%u", i);
	return rig_say(rig, text, cid);
}

/* Where all is well, all is STORE_OK. */
static inline void session_run(struct rig *rig, struct session *s)
{
	struct answer *a[SESSION_SENDS], *reads[4];
	char err[256] = "";

	for (unsigned i = 0; i < SESSION_SENDS; i++)
		s->status[i] = STORE_UNAVAILABLE;
	s->guest_status = STORE_UNAVAILABLE;
	rig->store = rig->backend->open(&rig->options, err, sizeof(err));
	s->opened = rig->store != NULL;
	if (!s->opened) {
		assert_int_not_equal(err[0], '\0');
		return;
	}
	if (s->once_open)
		s->once_open();
	a[0] = answer_wait(rig_guest(rig, "Ann", 1));
	s->guest_status = a[0]->status;
	s->guest = a[0]->user.id;
	for (unsigned i = 0; i < SESSION_ALONE; i++)
		a[i] = answer_wait(session_say(rig, i));
	reads[0] = rig_page_before(rig, 0, SESSION_PAGE_MAX);
	reads[1] = rig_resume(rig, 0, 0);
	reads[2] = rig_rooms(rig);
	reads[3] = rig_find(rig, 1);
	for (unsigned i = SESSION_ALONE; i < SESSION_SENDS; i++)
		a[i] = session_say(rig, i);
	for (unsigned i = 0; i < SESSION_SENDS; i++) {
		s->status[i] = answer_wait(a[i])->status;
		s->sent[i] = a[i]->sent;
	}
	for (unsigned i = 0; i < 4; i++)
		answer_wait(reads[i]);
	rig_close(rig);
}

/* The log of an open store: dense, and no id twice. */
static inline struct answer *log_check(struct rig *rig)
{
	struct answer *page = answer_wait(rig_resume(rig, 0, 0));

	assert_int_equal(page->status, STORE_OK);
	assert_false(page->page.reset);
	assert_false(page->page.more); /* a session is less than a page */
	assert_int_equal(page->page.count, page->page.as_of);
	for (size_t i = 0; i < page->page.count; i++) {
		const struct store_entry *e = &page->page.entries[i];

		assert_int_equal(e->seq, i + 1);
		for (size_t j = 0; j < i && e->cid.bytes > 0; j++)
			assert_false(str_equal(e->cid, page->page.entries[j].cid));
	}
	return page;
}

static inline const struct store_entry *log_find(const struct answer *page, const char *cid)
{
	for (size_t i = 0; i < page->page.count; i++)
		if (str_equal(page->page.entries[i].cid, str_c(cid)))
			return &page->page.entries[i];
	return NULL;
}

/* In an open store, after anything: what was acknowledged is there, and each id can be sent again, once. */
static inline void session_verify(struct rig *rig, const struct session *s)
{
	struct answer *page = log_check(rig), *a;
	uint64_t head = page->page.as_of;

	for (unsigned i = 0; i < SESSION_SENDS; i++) {
		const struct store_entry *e;
		char text[32], cid[32];

		snprintf(text, sizeof(text), "text %u", i);
		snprintf(cid, sizeof(cid), "cid-%u", i);
		e = log_find(page, cid);
		if (is_acknowledged(s->status[i])) {
			assert_non_null(e);
			assert_int_equal(e->seq, s->sent[i].seq);
			assert_int_equal(e->nonce, s->sent[i].nonce);
			assert_int_equal(e->at_ms, s->sent[i].at_ms);
		}
		/* Nothing was committed, is what that says. */
		if (s->status[i] == STORE_UNAVAILABLE || s->status[i] == STORE_BUSY)
			assert_null(e);
		if (e)
			assert_true(str_equal(e->text, str_c(text)));
		a = answer_wait(session_say(rig, i));
		assert_int_equal(a->status, e ? STORE_SAME : STORE_OK);
		assert_int_equal(a->sent.seq, e ? e->seq : ++head);
		if (e)
			assert_int_equal(a->sent.nonce, e->nonce);
	}
	page = log_check(rig);
	assert_int_equal(page->page.as_of, head);
	assert_int_equal(head, SESSION_SENDS);
	a = answer_wait(rig_find(rig, 1));
	if (s->guest_status == STORE_UNAVAILABLE || s->guest_status == STORE_BUSY)
		assert_int_equal(a->status, STORE_NOT_FOUND);
	if (s->guest_status == STORE_OK) {
		assert_int_equal(a->status, STORE_OK);
		assert_int_equal(a->user.id, s->guest);
	}
}

/*
 * Every so many-th fault is tried, from a random one on: STRIDE; else `otherwise`, some times that in a quick check or
 * where all is slow.
 */
static inline unsigned session_stride(unsigned otherwise)
{
	const char *tier = getenv("TEST_TIER");
	bool quick = rig_slower() > 1 || (tier && strcmp(tier, "check") == 0);

	return (unsigned)rig_scale("STRIDE", quick ? 5 * otherwise : otherwise);
}

/* ---- a rig on the disk that fails ---- */

static inline int fault_setup_closed(void **state)
{
	struct rig *rig;

	rig_setup_closed(state);
	rig = *state;
	fault_vfs_register();
	fault_vfs_reset();
	fault_vfs_powersafe(true);
	rig->options.vfs = FAULT_VFS;
	return 0;
}

static inline int fault_setup(void **state)
{
	fault_setup_closed(state);
	rig_open(*state);
	return 0;
}

static inline int fault_teardown(void **state)
{
	struct rig *rig = *state;

	fault_vfs_disarm();
	fault_vfs_release();
	rig_let_go(rig);
	rig_teardown(state);
	fault_vfs_reset();
	return 0;
}

#define FAULT_TEST(fn)        cmocka_unit_test_setup_teardown(fn, fault_setup, fault_teardown)
#define FAULT_CLOSED_TEST(fn) cmocka_unit_test_setup_teardown(fn, fault_setup_closed, fault_teardown)

/* Close, forget what the disk knew, and begin in an empty folder. */
static inline void fault_anew(struct rig *rig)
{
	rig_close(rig);
	rig_forget_answers(rig);
	rig_forget_seen(rig);
	fault_vfs_reset();
	rig_remove(rig->folder);
}

/* After a cut: the folder as the disk has it, in the place of the old one. The store is closed. */
static inline void fault_reboot(struct rig *rig, struct rng *r, struct disk_cut *cut)
{
	char left[RIG_PATH_BYTES + 8];

	snprintf(left, sizeof(left), "%s/left", rig->root);
	assert_int_equal(mkdir(left, 0700), 0);
	fault_vfs_reboot(left, r, cut);
	rig_remove(rig->folder);
	assert_int_equal(rename(left, rig->folder), 0);
}

#endif
