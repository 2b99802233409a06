/*
 * Without memory: the n-th allocation of a scripted session fails, ours or SQLite's, for every n. Nothing is lost, leaked
 * or answered twice. STRIDE: of SQLite's, which are thousands, every so many-th, from a random one on; 1 tries all.
 */
#include <dirent.h>
#include <sqlite3.h>

#include "lib/failing_alloc.h"
#include "lib/rng.h"
#include "session.h"

enum { STRIDE = 23 };

/* SQLite's allocator, made to fail in the way of lib/failing_alloc.h. */
static sqlite3_mem_methods allocator;
static atomic_uint count, first_bad, last_bad;

static bool fails(void)
{
	unsigned last = last_bad, n;

	if (last == 0)
		return false;
	n = ++count;
	return n >= first_bad && n <= last;
}

static void *sqlite_malloc(int bytes)
{
	return fails() ? NULL : allocator.xMalloc(bytes);
}

static void *sqlite_realloc(void *old, int bytes)
{
	return fails() ? NULL : allocator.xRealloc(old, bytes);
}

static void arm(bool ours, unsigned n, bool on)
{
	if (ours && on) {
		failing_alloc_arm_from(n);
	} else if (ours) {
		failing_alloc_arm(n);
	} else {
		count = 0;
		first_bad = n;
		last_bad = on ? UINT32_MAX : n;
	}
}

static bool disarm(bool ours)
{
	if (ours)
		return failing_alloc_disarm();
	last_bad = 0;
	return count >= first_bad;
}

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void fail_every(struct rig *rig, bool ours, bool on, unsigned first, unsigned stride)
{
	unsigned descriptors = open_descriptors(), opened = 0, acknowledged = 0, tried = 0;
	bool failed;
	unsigned n = first;

	do {
		struct session s = { .opened = false };

		arm(ours, n, on);
		session_run(rig, &s);
		failed = disarm(ours);
		assert_int_equal(open_descriptors(), descriptors);
		assert_int_equal(sqlite3_memory_used(), 0);
		opened += s.opened;
		for (unsigned i = 0; i < SESSION_SENDS; i++) {
			acknowledged += is_acknowledged(s.status[i]);
			if (!failed)
				assert_int_equal(s.status[i], STORE_OK);
		}
		rig_open(rig);
		session_verify(rig, &s);
		fault_anew(rig);
		n += stride;
		tried++;
	} while (failed);
	printf("# %s%s: %u tried up to number %u; %u opened, %u acknowledged\n", ours ? "ours" : "SQLite's",
		on ? ", and all after it" : "", tried, n - stride, opened, acknowledged);
	assert_true(tried > 1);
}

static void each_of_ours_fails(void **state)
{
	fail_every(*state, true, false, 1, 1);
}

static void all_of_ours_fail(void **state)
{
	fail_every(*state, true, true, 1, 1);
}

static void each_of_sqlites_fails(void **state)
{
	unsigned stride = (unsigned)rig_scale("STRIDE", STRIDE);
	struct rng r;

	rng_init(&r);
	fail_every(*state, false, false, 1 + (unsigned)rng_below(&r, stride), stride);
}

static void all_of_sqlites_fail(void **state)
{
	unsigned stride = (unsigned)rig_scale("STRIDE", STRIDE);
	struct rng r;

	rng_init(&r);
	fail_every(*state, false, true, 1 + (unsigned)rng_below(&r, stride), stride);
}

/* What is taken needs memory; what is refused says so, and the next is as if nothing had been. */
static void a_verb_without_memory_is_refused(void **state)
{
	struct rig *rig = *state;
	unsigned refused = 0, n = 0;

	rig_open(rig);
	for (bool failed = true; failed;) {
		struct answer *a, *again;
		char cid[32];

		snprintf(cid, sizeof(cid), "cid-%u", ++n);
		failing_alloc_arm(n);
		a = say(rig, "text", cid);
		failed = failing_alloc_disarm();
		refused += !is_acknowledged(a->status);
		again = say(rig, "text", cid);
		assert_true(is_acknowledged(again->status));
		if (is_acknowledged(a->status))
			assert_int_equal(again->status, STORE_SAME);
		assert_int_equal(again->sent.seq, n);
	}
	assert_true(refused > 0);
	assert_false(rig_stats(rig).read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CLOSED_TEST(each_of_ours_fails),
		RIG_CLOSED_TEST(all_of_ours_fail),
		RIG_CLOSED_TEST(a_verb_without_memory_is_refused),
		RIG_CLOSED_TEST(each_of_sqlites_fails),
		RIG_CLOSED_TEST(all_of_sqlites_fail),
	};
	sqlite3_mem_methods failing;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &allocator) != SQLITE_OK)
		return 1;
	failing = allocator;
	failing.xMalloc = sqlite_malloc;
	failing.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) != SQLITE_OK)
		return 1;
	return RIG_RUN_IN_MEMORY(tests);
}
