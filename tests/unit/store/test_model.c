/*
 * A long random session against a simple model: sends with repeated ids, pages, resumes, guests and reopening.
 * SEED repeats it; STEPS is its length.
 */
#include "harness.h"
#include "lib/rng.h"

enum { AUTHORS_MAX = 6, ENTRIES_MAX = 20000, CIDS = 40, IN_FLIGHT_MAX = 64, STEPS = 1500 };

struct said {
	int64_t author;
	unsigned name, text, cid; /* numbers of them; cid 0: none */
	struct store_sent sent;
};

struct model {
	struct rig *rig;
	struct rng rng;
	int64_t authors[AUTHORS_MAX];
	uint8_t tokens[AUTHORS_MAX];
	size_t author_count;
	struct said *log; /* by seq - 1 */
	size_t head;
	char epoch[STORE_EPOCH_BYTES];
	/* Sends that were not waited for yet. */
	struct said pending[IN_FLIGHT_MAX];
	struct answer *answers[IN_FLIGHT_MAX];
	size_t pending_count;
	unsigned counts[8];
};

enum { TEXT_BYTES_MAX = 6000 };

/* Text number n: it begins with it, and its length and its letters follow from it. */
static struct str text_of(unsigned n, char buffer[TEXT_BYTES_MAX + 1])
{
	size_t bytes = n % 11 == 0 ? n * 977u % TEXT_BYTES_MAX : n % 40;
	size_t i = (size_t)snprintf(buffer, TEXT_BYTES_MAX, "%u:", n);

	for (; i < bytes; i++)
		buffer[i] = (char)('!' + (n + i * i) % 90);
	return str_of(buffer, i);
}

static struct str name_of(unsigned n, char buffer[32])
{
	snprintf(buffer, 32, "name %u", n);
	return str_c(buffer);
}

static struct str cid_of(unsigned n, char buffer[32])
{
	snprintf(buffer, 32, "cid-%u", n);
	return n == 0 ? STR("") : str_c(buffer);
}

/* What was said before with the same name. */
static const struct said *model_find(const struct model *m, const struct said *s)
{
	for (size_t i = 0; s->cid != 0 && i < m->head; i++)
		if (m->log[i].cid == s->cid && m->log[i].author == s->author)
			return &m->log[i];
	return NULL;
}

static void expect_sent(struct model *m, const struct said *s, struct answer *a)
{
	const struct said *before = model_find(m, s);

	answer_wait(a);
	if (before && (before->text != s->text || before->name != s->name)) {
		assert_int_equal(a->status, STORE_CONFLICT);
		m->counts[STORE_CONFLICT]++;
	} else if (before) {
		assert_int_equal(a->status, STORE_SAME);
		assert_int_equal(a->sent.seq, before->sent.seq);
		assert_int_equal(a->sent.nonce, before->sent.nonce);
		assert_int_equal(a->sent.at_ms, before->sent.at_ms);
		m->counts[STORE_SAME]++;
	} else {
		assert_int_equal(a->status, STORE_OK);
		assert_int_equal(a->sent.seq, m->head + 1);
		assert_true(m->head < ENTRIES_MAX);
		m->log[m->head] = *s;
		m->log[m->head++].sent = a->sent;
		m->counts[STORE_OK]++;
	}
}

/* Wait for all sends, in the order in which they were made. */
static void settle(struct model *m)
{
	for (size_t i = 0; i < m->pending_count; i++)
		expect_sent(m, &m->pending[i], m->answers[i]);
	m->pending_count = 0;
}

static void do_send(struct model *m)
{
	struct said s = { .author = m->authors[rng_below(&m->rng, m->author_count)],
		.name = (unsigned)rng_below(&m->rng, 20) == 0,
		.text = (unsigned)rng_below(&m->rng, 300),
		.cid = (unsigned)rng_below(&m->rng, CIDS) };
	char text[TEXT_BYTES_MAX + 1], name[32], cid[32];
	struct store_send send = { .room = STORE_LOBBY, .author = s.author };
	const struct said *before = model_find(m, &s);

	size_t dice = rng_below(&m->rng, 4);

	/* Of those that are repeated some are repeated as they were, some are changed, and some get a new id after all. */
	if (before && dice == 0) {
		s.text = before->text;
		s.name = before->name;
	} else if (before && dice < 3) {
		s.cid = (unsigned)(CIDS + m->head + m->pending_count);
	}
	send.text = text_of(s.text, text);
	send.name = name_of(s.name, name);
	send.cid = cid_of(s.cid, cid);
	if (m->pending_count == IN_FLIGHT_MAX)
		settle(m);
	m->pending[m->pending_count] = s;
	m->answers[m->pending_count++] = rig_append(m->rig, &send);
}

static void expect_entry(const struct model *m, const struct store_entry *e)
{
	const struct said *s;
	char text[TEXT_BYTES_MAX + 1], name[32], cid[32];

	assert_in_range(e->seq, 1, m->head);
	s = &m->log[e->seq - 1];
	assert_int_equal(e->nonce, s->sent.nonce);
	assert_int_equal(e->at_ms, s->sent.at_ms);
	assert_int_equal(e->author, s->author);
	assert_true(str_equal(e->name, name_of(s->name, name)));
	assert_true(str_equal(e->text, text_of(s->text, text)));
	assert_true(str_equal(e->cid, cid_of(s->cid, cid)));
}

static size_t bytes_of(const struct model *m, uint64_t seq)
{
	const struct said *s = &m->log[seq - 1];
	char text[TEXT_BYTES_MAX + 1], name[32], cid[32];

	return store_entry_weight(
		name_of(s->name, name).bytes, cid_of(s->cid, cid).bytes, text_of(s->text, text).bytes);
}

/* The first of the most entries that end with `to`. */
static uint64_t first_before(const struct model *m, uint64_t to, size_t max)
{
	size_t bytes = 0, count = 0;
	uint64_t seq = to;

	while (seq > 0 && count < max && (count == 0 || bytes + bytes_of(m, seq) <= STORE_PAGE_BYTES_MAX)) {
		bytes += bytes_of(m, seq--);
		count++;
	}
	return seq + 1;
}

static void expect_page(struct model *m, struct answer *a, uint64_t from, uint64_t to, bool reset, bool more)
{
	answer_wait(a);
	assert_int_equal(a->status, STORE_OK);
	assert_int_equal(a->page.as_of, m->head);
	assert_int_equal(a->page.count, to + 1 - from);
	assert_int_equal(a->page.reset, reset);
	assert_int_equal(a->page.more, more);
	for (size_t i = 0; i < a->page.count; i++) {
		assert_int_equal(a->page.entries[i].seq, from + i);
		expect_entry(m, &a->page.entries[i]);
	}
}

static void do_page(struct model *m)
{
	uint64_t before = rng_below(&m->rng, m->head + 3);
	size_t max = 1 + rng_below(&m->rng, rng_below(&m->rng, 2) ? 10 : STORE_PAGE_MESSAGES_MAX);
	uint64_t to, from;

	settle(m);
	to = before == 0 || before > m->head ? m->head : before - 1;
	from = first_before(m, to, max);
	expect_page(m, rig_page_before(m->rig, before, (uint32_t)max), from, to, false, from > 1);
}

static void do_resume(struct model *m)
{
	uint64_t seq = rng_below(&m->rng, m->head + 2);
	bool wrong = rng_below(&m->rng, 4) == 0;
	uint32_t nonce;
	uint64_t from, to;
	size_t bytes = 0;

	settle(m);
	nonce = seq == 0 || seq > m->head ? 0 : m->log[seq - 1].sent.nonce;
	if (wrong)
		nonce ^= 1u << rng_below(&m->rng, 32);
	if (wrong || seq > m->head) {
		from = first_before(m, m->head, STORE_RESET_MESSAGES_MAX);
		expect_page(m, rig_resume(m->rig, seq, nonce), from, m->head, true, from > 1);
		return;
	}
	from = to = seq + 1;
	for (; to <= m->head && to < from + STORE_PAGE_MESSAGES_MAX; to++) {
		bytes += bytes_of(m, to);
		if (to > from && bytes > STORE_PAGE_BYTES_MAX)
			break;
	}
	expect_page(m, rig_resume(m->rig, seq, nonce), from, to - 1, false, to <= m->head);
}

static void do_guest(struct model *m)
{
	uint8_t number = (uint8_t)rng_below(&m->rng, 256);
	struct answer *a;
	size_t i = 0;

	while (i < m->author_count && m->tokens[i] != number)
		i++;
	a = answer_wait(rig_find(m->rig, number));
	if (i > 0 && i < m->author_count) {
		assert_int_equal(a->user.id, m->authors[i]);
	} else if (i == m->author_count) {
		assert_int_equal(a->status, STORE_NOT_FOUND);
		if (i == AUTHORS_MAX)
			return;
		a = answer_wait(rig_guest(m->rig, "guest", number));
		assert_int_equal(a->status, STORE_OK);
		m->tokens[m->author_count] = number;
		m->authors[m->author_count++] = a->user.id;
	}
}

static void do_reopen(struct model *m)
{
	/* What waits is committed first; half of the time much does. */
	if (rng_below(&m->rng, 2) == 0)
		settle(m);
	rig_close(m->rig);
	settle(m);
	assert_int_equal(rig_seen_count(m->rig), m->head);
	m->rig->options.readers = (uint32_t)rng_below(&m->rng, 4);
	rig_open(m->rig);
	assert_memory_equal(m->rig->store->epoch, m->epoch, sizeof(m->epoch));
	rig_forget_answers(m->rig);
}

static void a_random_session(void **state)
{
	struct model m = { .rig = *state, .authors = { STORE_ANONYMOUS }, .author_count = 1 };
	unsigned long steps = rig_scale("STEPS", STEPS);

	rng_init(&m.rng);
	m.log = steady(NULL, ENTRIES_MAX * sizeof(*m.log));
	memcpy(m.epoch, m.rig->store->epoch, sizeof(m.epoch));
	for (unsigned long i = 0; i < steps; i++) {
		size_t dice = rng_below(&m.rng, 100);

		if (dice < 80)
			do_send(&m);
		else if (dice < 88)
			do_page(&m);
		else if (dice < 96)
			do_resume(&m);
		else if (dice < 98)
			do_guest(&m);
		else
			do_reopen(&m);
	}
	settle(&m);
	for (size_t i = 0; i < m.head; i++) {
		assert_int_equal(m.rig->seen[i].entry.seq, i + 1);
		expect_entry(&m, &m.rig->seen[i].entry);
	}
	printf("# %u new, %u the same, %u conflicts\n", m.counts[STORE_OK], m.counts[STORE_SAME],
		m.counts[STORE_CONFLICT]);
	free(m.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_random_session),
	};

	return RIG_RUN(tests);
}
