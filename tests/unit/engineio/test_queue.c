/* The outbound queue, held against a plain array of units through random pushes, gathers, sends and drops. */
#include "engineio/queue.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cmocka.h"
#include "lib/failing_alloc.h"
#include "lib/rng.h"

enum {
	STEPS = 30000,
	UNITS_MAX = 3000,
	IOV_MAX_HERE = 8,
};

static struct eio_rings rings; /* of all queues here */

/* What the queue must hold: units from `first` on, `sent` bytes of the first of which have gone. */
struct model {
	struct blob_share *units[UNITS_MAX];
	size_t first, count, sent;
};

static struct blob_share *unit_of(size_t bytes, uint64_t seed)
{
	uint8_t *data;
	struct blob_share *unit = blob_create(bytes, &data);

	assert_non_null(unit);
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(seed + i * 13);
	return unit;
}

static size_t model_bytes(const struct model *m)
{
	size_t bytes = 0;

	for (size_t i = 0; i < m->count; i++)
		bytes += m->units[m->first + i]->bytes;
	return bytes;
}

static void expect_same(const struct eio_queue *q, const struct model *m)
{
	assert_int_equal(q->count, m->count);
	assert_int_equal(q->bytes, model_bytes(m));
	assert_int_equal(q->sent, m->sent);
	for (uint32_t i = 0; i < m->count; i++)
		assert_ptr_equal(eio_queue_at(q, i), m->units[m->first + i]);
	if (m->count == 0)
		assert_null(q->ring);
}

/* Byte by byte what comes next, from however many pieces; returns the units of the model that it covers. */
static size_t compare_bytes(const struct net_gather *g, const struct model *m)
{
	size_t unit = 0, at = m->sent;

	for (uint32_t i = 0; i < g->count; i++) {
		const uint8_t *piece = g->iov[i].iov_base;

		for (size_t b = 0; b < g->iov[i].iov_len; b++) {
			assert_true(unit < m->count);
			assert_int_equal(piece[b], m->units[m->first + unit]->data[at]);
			if (++at == m->units[m->first + unit]->bytes) {
				unit++;
				at = 0;
			}
		}
	}
	assert_int_equal(at, unit == 0 && g->count == 0 ? m->sent : 0); /* units are not cut */
	return unit;
}

/* Asked twice, as two connections with the same units would be: the first units, whole but for what has gone. */
static void expect_gathered(const struct eio_queue *q, const struct model *m, uint32_t room)
{
	static uint8_t memory[NET_BUNDLES_BYTES];
	struct net_bundle bundle = { .room = memory, .room_bytes = sizeof(memory) };
	struct iovec iov[IOV_MAX_HERE];

	for (int i = 0; i < 2; i++) {
		struct net_gather g = { .iov = iov, .max = room, .bundle = &bundle };
		size_t bytes = 0;

		eio_queue_gather(q, &g);
		assert_true(g.count <= room);
		size_t units = compare_bytes(&g, m);
		assert_true(units >= (m->count < room ? m->count : room) || units == NET_BUNDLE_PARTS_MAX);
		assert_int_equal(g.more, units < m->count);
		for (uint32_t k = 0; k < g.count; k++)
			bytes += iov[k].iov_len;
		assert_int_equal(g.bytes, bytes);
	}
}

static void model_sent(struct model *m, size_t bytes)
{
	while (bytes > 0) {
		size_t left = m->units[m->first]->bytes - m->sent;
		size_t now = bytes < left ? bytes : left;

		bytes -= now;
		m->sent += now;
		if (now < left)
			return;
		m->sent = 0;
		m->first++;
		m->count--;
	}
}

/* One random operation on both. */
static void step(struct eio_queue *q, struct model *m, struct rng *rng, unsigned push_percent)
{
	if (rng_below(rng, 100) < push_percent) {
		/* Where the array has no room left, the queue has none of it yet. */
		if (m->first + m->count == UNITS_MAX)
			return;
		struct blob_share *unit = m->units[m->first + m->count];

		assert_true(eio_queue_push(q, &rings, unit));
		m->count++;
		return;
	}
	if (m->count == 0)
		return;
	if (rng_below(rng, 10) == 0 && m->sent == 0) {
		uint32_t units = (uint32_t)rng_below(rng, (m->count < 5 ? m->count : 5) + 1);

		eio_queue_drop(q, &rings, units);
		m->first += units;
		m->count -= units;
		return;
	}
	size_t most = model_bytes(m) - m->sent;
	size_t bytes = rng_below(rng, most < 100 ? most + 1 : rng_below(rng, 20) == 0 ? most + 1 : 100);

	eio_queue_sent(q, &rings, bytes);
	model_sent(m, bytes);
}

static void random_use_against_an_array(void **state)
{
	static struct model m;
	struct eio_queue q = { 0 };
	struct rng rng;

	(void)state;
	rng_init(&rng);
	for (size_t i = 0; i < UNITS_MAX; i++)
		m.units[i] = unit_of(1 + rng_below(&rng, 60), rng_u64(&rng));
	for (int i = 0; i < STEPS; i++) {
		if (m.first + m.count == UNITS_MAX && m.count == 0)
			m.first = 0;
		step(&q, &m, &rng, i / 500 % 2 == 0 ? 60 : 30);
		if (i % 16 == 0 || m.count < 4)
			expect_same(&q, &m);
		expect_gathered(&q, &m, (uint32_t)rng_below(&rng, IOV_MAX_HERE + 1));
	}
	/* One reference for ourselves, and one a place in the queue. */
	for (size_t i = 0; i < UNITS_MAX; i++)
		assert_int_equal(m.units[i]->refs, 1u + (i >= m.first && i < m.first + m.count));
	eio_queue_clear(&q, &rings);
	m.count = m.sent = 0;
	expect_same(&q, &m);
	for (size_t i = 0; i < UNITS_MAX; i++) {
		assert_int_equal(m.units[i]->refs, 1);
		blob_unref(m.units[i]);
	}
}

static void an_empty_queue(void **state)
{
	(void)state;
	struct eio_queue q = { 0 };
	struct model m = { .count = 0 };

	expect_same(&q, &m);
	expect_gathered(&q, &m, 0);
	expect_gathered(&q, &m, 3);
	eio_queue_sent(&q, &rings, 0);
	eio_queue_drop(&q, &rings, 0);
	eio_queue_clear(&q, &rings);
	expect_same(&q, &m);
}

static void the_first_few_need_no_memory(void **state)
{
	(void)state;
	struct eio_queue q = { 0 };
	struct blob_share *unit = unit_of(10, 1);

	failing_alloc_arm_from(1);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < EIO_QUEUE_FEW; i++)
			assert_true(eio_queue_push(&q, &rings, unit));
		eio_queue_sent(&q, &rings, 10);
		assert_true(eio_queue_push(&q, &rings, unit));
		assert_int_equal(q.count, EIO_QUEUE_FEW);
		eio_queue_sent(&q, &rings, 10 * EIO_QUEUE_FEW);
		assert_int_equal(q.count, 0);
	}
	assert_false(failing_alloc_disarm());
	assert_int_equal(unit->refs, 1);
	blob_unref(unit);
}

static void the_same_unit_may_wait_twice(void **state)
{
	(void)state;
	struct eio_queue q = { 0 };
	struct blob_share *unit = unit_of(10, 1);

	for (int i = 0; i < 100; i++)
		assert_true(eio_queue_push(&q, &rings, unit));
	assert_int_equal(unit->refs, 101);
	assert_int_equal(q.bytes, 1000);
	eio_queue_sent(&q, &rings, 995);
	assert_int_equal(unit->refs, 2);
	assert_int_equal(q.sent, 5);
	assert_int_equal(q.bytes, 10);
	/* What has gone in part can be cleared, as with a connection that broke. */
	eio_queue_clear(&q, &rings);
	assert_int_equal(unit->refs, 1);
	assert_int_equal(q.sent, 0);
	assert_int_equal(q.bytes, 0);
	assert_null(q.ring);
	blob_unref(unit);
}

/* Every n-th allocation fails while the queue turns, grows and turns again: what was in it stays. */
static void without_memory_it_stays_as_it_is(void **state)
{
	static struct model m;
	unsigned n = 0, failures = 0;
	bool failed;

	(void)state;
	for (size_t i = 0; i < UNITS_MAX; i++)
		m.units[i] = unit_of(2 + i % 7, i);
	do {
		struct eio_queue q = { 0 };

		m.first = m.count = m.sent = 0;
		eio_rings_finish(&rings);
		failing_alloc_arm(++n);
		for (size_t i = 0; i < 300; i++) {
			while (!eio_queue_push(&q, &rings, m.units[m.first + m.count])) {
				failures++;
				expect_same(&q, &m);
				assert_int_equal(m.units[m.first + m.count]->refs, 1);
			}
			m.count++;
			if (i % 3 == 0) {
				eio_queue_sent(&q, &rings, 2);
				model_sent(&m, 2);
			}
			expect_same(&q, &m);
		}
		failed = failing_alloc_disarm();
		eio_queue_clear(&q, &rings);
	} while (failed);
	assert_int_equal(failures, n - 1);
	assert_true(failures >= 3);
	for (size_t i = 0; i < UNITS_MAX; i++) {
		assert_int_equal(m.units[i]->refs, 1);
		blob_unref(m.units[i]);
	}
}

static void it_has_a_maximum(void **state)
{
	(void)state;
	struct eio_queue q = { 0 };
	struct blob_share *unit = unit_of(1, 1);

	for (uint32_t i = 0; i < EIO_QUEUE_UNITS_MAX; i++)
		assert_true(eio_queue_push(&q, &rings, unit));
	assert_false(eio_queue_push(&q, &rings, unit));
	assert_int_equal(q.count, EIO_QUEUE_UNITS_MAX);
	assert_int_equal(unit->refs, EIO_QUEUE_UNITS_MAX + 1);
	eio_queue_drop(&q, &rings, 1);
	assert_true(eio_queue_push(&q, &rings, unit));
	eio_queue_sent(&q, &rings, EIO_QUEUE_UNITS_MAX);
	assert_int_equal(q.count, 0);
	assert_null(q.ring);
	assert_int_equal(unit->refs, 1);
	blob_unref(unit);
}

static int free_rings(void **state)
{
	(void)state;
	assert_true(rings.count <= EIO_RINGS_SPARE_MAX);
	eio_rings_finish(&rings);
	assert_null(rings.first);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_queue),
		cmocka_unit_test(the_first_few_need_no_memory),
		cmocka_unit_test(the_same_unit_may_wait_twice),
		cmocka_unit_test(random_use_against_an_array),
		cmocka_unit_test(without_memory_it_stays_as_it_is),
		cmocka_unit_test(it_has_a_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, free_rings);
}
