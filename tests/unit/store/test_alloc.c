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

/* What is to fail. */
static struct {
	bool ours, on;
	unsigned n;
} plan;

static void arm(void)
{
	if (plan.ours && plan.on) {
		failing_alloc_arm_from(plan.n);
	} else if (plan.ours) {
		failing_alloc_arm(plan.n);
	} else {
		count = 0;
		first_bad = plan.n;
		last_bad = plan.on ? UINT32_MAX : plan.n;
	}
}

static bool disarm(void)
{
	if (plan.ours)
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

/* Sessions until none is left to fail; counted from opening, or from when it is open. */
static void fail_every(struct rig *rig, bool opening, unsigned stride)
{
	unsigned descriptors = open_descriptors(), opened = 0, acknowledged = 0, tried = 0;
	bool failed;
	struct rng r;

	rng_init(&r);
	plan.n = 1 + (unsigned)rng_below(&r, stride);
	do {
		struct session s = { .once_open = opening ? NULL : arm };

		if (opening)
			arm();
		session_run(rig, &s);
		failed = disarm();
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
		plan.n += stride;
		tried++;
	} while (failed);
	printf("# %s %s%s: %u tried up to number %u; %u opened, %u acknowledged\n",
		plan.ours ? "ours" : "SQLite's", opening ? "from opening on" : "once open",
		plan.on ? ", and all after it" : "", tried, plan.n - stride, opened, acknowledged);
	assert_true(tried > 1);
}

static void ours_fail(void **state)
{
	for (int i = 0; i < 4; i++) {
		plan.ours = true;
		plan.on = i & 1;
		fail_every(*state, i & 2, 1);
	}
}

static void sqlites_fail(void **state)
{
	for (int i = 0; i < 4; i++) {
		plan.ours = false;
		plan.on = i & 1;
		fail_every(*state, i & 2, session_stride(i & 2 ? STRIDE : 1));
	}
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
		RIG_CLOSED_TEST(ours_fail),
		RIG_CLOSED_TEST(sqlites_fail),
		RIG_CLOSED_TEST(a_verb_without_memory_is_refused),
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
