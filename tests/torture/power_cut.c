/*
 * Power cuts: a store on a simulated disk, some threads that send, and the power that goes at a random write or sync. After
 * the reboot every acknowledged message is there with its number, nonce and text; numbers are dense; nothing is twice;
 * SQLite finds no damage; and what was not acknowledged can be sent again and is there once.
 *
 *      line: empty folder -> session, cut, reboot, check, send again, -> session, cut, ... some times over
 *
 * CUTS: how many; SEED repeats them, as far as threads can be repeated. The control is the same without syncs: it must lose.
 */
#include <semaphore.h>
#include <sqlite3.h>

#include "unit/store/session.h"

enum {
	CUTS = 50,
	SENDS_MAX = 8000, /* in a line */
	SESSION_SENDS_MAX = 400,
	SESSIONS_MAX = 8, /* in a line */
	THREADS_MAX = 4,
	WINDOW_MAX = 32, /* unanswered sends of a thread */
	REPEATS_MAX = 32, /* of a thread */
	TEXT_BYTES_MAX = 20000,
	DATABASE_CHANGES = 24, /* in which it may be cut */
};

/* What is known of send number k. */
struct sent {
	struct answer *answer; /* of this session */
	bool acknowledged;
	bool refused; /* nothing was committed, it was told */
	struct store_sent sent;
	uint64_t found; /* its seq in the log after the reboot; 0: not there */
};

struct line {
	struct rig *rig;
	struct rng rng;
	uint64_t salt;
	atomic_uint next, limit;
	unsigned first; /* of this session */
	struct sent sends[SENDS_MAX];
	char epoch[STORE_EPOCH_BYTES];
	bool opened; /* at least once, so that it has an epoch that was told */
	uint8_t guests;
	int64_t guest_ids[256]; /* 0: not acknowledged */
	const char *wrong; /* what the last check found */
	uint64_t wrong_at;
};

struct sender {
	struct line *line;
	pthread_t thread;
	struct rng rng;
	sem_t window;
	struct answer *repeats[REPEATS_MAX];
	unsigned repeated[REPEATS_MAX], repeat_count;
};

static const char is_lost[] = "an acknowledged one is lost";

static struct {
	unsigned cuts, in_opening, in_database, in_closing, sessions;
	uint64_t acknowledged, unknown, unknown_there, repeats;
	struct disk_cut disk;
} figures;

/* The text of send k: its own, of a length of its own. */
static struct str text_of(const struct line *line, unsigned k, char buffer[TEXT_BYTES_MAX])
{
	struct rng r = { line->salt + k };
	size_t bytes = rng_below(&r, 40) == 0 ? rng_below(&r, TEXT_BYTES_MAX) : 1 + rng_below(&r, 300);

	for (size_t i = 0; i < bytes; i++)
		buffer[i] = (char)('!' + rng_u64(&r) % 90);
	return str_of(buffer, bytes);
}

static void slot_is_free(struct answer *a, void *ctx)
{
	(void)a;
	sem_post(ctx);
}

static struct answer *send_number(struct line *line, unsigned k, sem_t *window)
{
	char text[TEXT_BYTES_MAX], cid[32];
	struct store_send send = lobby("", "");

	snprintf(cid, sizeof(cid), "k-%u", k);
	send.cid = str_c(cid);
	send.text = text_of(line, k, text);
	return window ? rig_append_then(line->rig, &send, slot_is_free, window)
		      : rig_append(line->rig, &send);
}

static void take(sem_t *s, unsigned count)
{
	while (count > 0)
		if (sem_wait(s) == 0)
			count--;
		else
			assert(errno == EINTR);
}

static void give(sem_t *s, unsigned count)
{
	while (count-- > 0)
		sem_post(s);
}

/* One thread: sends until the power has gone, at times waits for all of its answers, at times says something again. */
static void *send_until_cut(void *arg)
{
	struct sender *s = arg;
	struct line *line = s->line;
	unsigned window = rng_below(&s->rng, 3) == 0 ? 1 : 1 + (unsigned)rng_below(&s->rng, WINDOW_MAX), k,
		 last = 0;
	bool any = false;

	sem_init(&s->window, 0, window);
	while (!fault_vfs_is_cut() && (k = atomic_fetch_add(&line->next, 1)) < atomic_load(&line->limit)) {
		struct answer *a;

		take(&s->window, 1);
		a = send_number(line, k, &s->window);
		line->sends[k].answer = a;
		if (a->returned != STORE_OK)
			sem_post(&s->window);
		if (any && s->repeat_count < REPEATS_MAX && rng_below(&s->rng, 8) == 0) {
			take(&s->window, 1);
			a = send_number(line, last, &s->window);
			if (a->returned != STORE_OK)
				sem_post(&s->window);
			s->repeated[s->repeat_count] = last;
			s->repeats[s->repeat_count++] = a;
		}
		if (rng_below(&s->rng, 16) == 0) {
			take(&s->window, window);
			give(&s->window, window);
		}
		last = k;
		any = true;
	}
	take(&s->window, window);
	sem_destroy(&s->window);
	return NULL;
}

static void wrong(struct line *line, const char *what, uint64_t at)
{
	if (line->wrong == NULL) {
		line->wrong = what;
		line->wrong_at = at;
	}
}

/* After its store has been closed: what was acknowledged in this session. */
static void harvest(struct line *line, const struct sender *senders, unsigned threads)
{
	unsigned end = atomic_load(&line->next);

	for (unsigned k = line->first; k < end && k < SENDS_MAX; k++) {
		struct sent *s = &line->sends[k];

		s->acknowledged =
			s->answer && s->answer->returned == STORE_OK && is_acknowledged(s->answer->status);
		s->refused = s->answer &&
			     (s->answer->returned != STORE_OK || s->answer->status == STORE_UNAVAILABLE);
		if (s->acknowledged)
			s->sent = s->answer->sent;
		figures.acknowledged += s->acknowledged;
		figures.unknown += !s->acknowledged;
	}
	for (unsigned i = 0; i < threads; i++) {
		for (unsigned j = 0; j < senders[i].repeat_count; j++) {
			const struct answer *a = senders[i].repeats[j];
			struct sent *s = &line->sends[senders[i].repeated[j]];

			if (a->returned != STORE_OK || !is_acknowledged(a->status))
				continue;
			figures.repeats++;
			if (a->status != STORE_SAME || (s->acknowledged && s->sent.seq != a->sent.seq))
				wrong(line, "a repeated send is another entry", a->sent.seq);
			s->sent = a->sent;
			s->acknowledged = true;
			s->refused = false;
		}
	}
}

/* From opening to the cut, which may come in the midst of opening. */
static void session(struct line *line)
{
	static const unsigned spans[] = { 25, 100, 400, 2000 };
	struct rig *rig = line->rig;
	struct sender senders[THREADS_MAX];
	unsigned threads = 1 + (unsigned)rng_below(&line->rng, THREADS_MAX);
	bool at_database = rng_below(&line->rng, 3) == 0;
	char err[256] = "";

	figures.sessions++;
	line->first = atomic_load(&line->next);
	atomic_store(&line->limit, line->first + SESSION_SENDS_MAX);
	/* At any change, or among the few of a checkpoint, which a close makes at the latest. */
	if (at_database)
		fault_vfs_cut_at(1 + rng_below(&line->rng, DATABASE_CHANGES), FAULT_DATABASE);
	else
		fault_vfs_cut_at(1 + rng_below(&line->rng, spans[rng_below(&line->rng, 4)]), FAULT_FILES);
	rig->options.readers = 1;
	rig->store = rig->backend->open(&rig->options, err, sizeof(err));
	if (rig->store == NULL) {
		figures.in_opening++;
		if (!fault_vfs_is_cut())
			wrong(line, err[0] ? "it does not open" : "it does not open, without a text", 0);
		return;
	}
	if (!line->opened)
		memcpy(line->epoch, rig->store->epoch, sizeof(line->epoch));
	line->opened = true;
	struct answer *guest = rig_guest(rig, "Ann", line->guests);
	for (unsigned i = 0; i < threads; i++) {
		senders[i] = (struct sender){ .line = line, .rng = { rng_u64(&line->rng) } };
		assert_int_equal(pthread_create(&senders[i].thread, NULL, send_until_cut, &senders[i]), 0);
	}
	for (unsigned i = 0; i < threads; i++)
		assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
	if (!at_database)
		fault_vfs_cut_now();
	if (atomic_load(&line->next) > atomic_load(&line->limit))
		atomic_store(&line->next, atomic_load(&line->limit));
	figures.in_closing += !fault_vfs_is_cut();
	rig_close(rig);
	fault_vfs_cut_now();
	line->guest_ids[line->guests++] =
		guest->returned == STORE_OK && guest->status == STORE_OK ? guest->user.id : 0;
	harvest(line, senders, threads);
}

/* ---- after the reboot ---- */

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "re"), *out;
	size_t n;

	if (in == NULL)
		return;
	out = fopen(to, "we");
	assert_non_null(out);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

static int is_ok(void *ctx, int columns, char **values, char **names)
{
	(void)names;
	if (columns != 1 || values[0] == NULL || strcmp(values[0], "ok") != 0)
		*(bool *)ctx = false;
	if (!*(bool *)ctx)
		printf("# integrity_check: %.200s\n", values[0] ? values[0] : "");
	return 0;
}

/* What SQLite itself says of each database that is left, looking at copies. */
static bool is_sound(const struct rig *rig)
{
	char from[RIG_PATH_BYTES * 2], to[RIG_PATH_BYTES * 2], at[RIG_PATH_BYTES + 16],
		name[DISK_NAME_BYTES_MAX];
	static const char *const suffixes[] = { "", "-wal", "-journal" };
	bool ok = true;
	sqlite3 *db;

	snprintf(at, sizeof(at), "%s/check", rig->root);
	assert_int_equal(mkdir(at, 0700), 0);
	if (fault_vfs_database(name)) {
		for (int i = 0; i < 3; i++) {
			snprintf(from, sizeof(from), "%s/%s%s", rig->folder, name, suffixes[i]);
			snprintf(to, sizeof(to), "%s/%s%s", at, name, suffixes[i]);
			copy_file(from, to);
		}
		snprintf(to, sizeof(to), "%s/%s", at, name);
		ok = sqlite3_open(to, &db) == SQLITE_OK;
		ok = ok && sqlite3_exec(db, "PRAGMA integrity_check", is_ok, &ok, NULL) == SQLITE_OK && ok;
		if (!ok)
			printf("# integrity_check: %s\n", sqlite3_errmsg(db));
		sqlite3_close(db);
	}
	rig_remove(at);
	return ok;
}

/* An entry of the log: of which send it is, and whether it is as it was sent. */
static void check_entry(struct line *line, const struct store_entry *e)
{
	char text[TEXT_BYTES_MAX], cid[STORE_CID_BYTES_MAX + 1] = "";
	struct sent *s;
	unsigned long k;

	memcpy(cid, e->cid.s, e->cid.bytes);
	k = strncmp(cid, "k-", 2) == 0 ? strtoul(cid + 2, NULL, 10) : SENDS_MAX;
	if (k >= atomic_load(&line->next)) {
		wrong(line, "an entry that nobody sent", e->seq);
		return;
	}
	s = &line->sends[k];
	if (s->found)
		wrong(line, "an entry that is there twice", e->seq);
	s->found = e->seq;
	if (!str_equal(e->text, text_of(line, (unsigned)k, text)))
		wrong(line, "a text that is another", e->seq);
	if (s->acknowledged && s->sent.nonce != e->nonce)
		wrong(line, "a nonce that is another", e->seq);
}

/* The whole log, piece by piece; returns its head. */
static uint64_t check_log(struct line *line)
{
	uint64_t seq = 0;
	uint32_t nonce = 0;
	bool more = true;

	for (unsigned k = 0; k < SENDS_MAX; k++)
		line->sends[k].found = 0;
	while (more && !line->wrong) {
		struct answer *a = answer_wait(rig_resume(line->rig, seq, nonce));

		if (a->status != STORE_OK || a->page.reset) {
			wrong(line, "a log that cannot be read", seq);
			break;
		}
		for (size_t i = 0; i < a->page.count; i++) {
			if (a->page.entries[i].seq != ++seq)
				wrong(line, "a gap", seq);
			nonce = a->page.entries[i].nonce;
			check_entry(line, &a->page.entries[i]);
		}
		more = a->page.more;
		if (!more && a->page.as_of != seq)
			wrong(line, "a head that is not the last entry", seq);
	}
	return seq;
}

/* Acknowledged, observed: all of it is in the log. Then what was not is sent again. */
static void check(struct line *line)
{
	struct rig *rig = line->rig;
	uint64_t head = check_log(line);
	unsigned end = atomic_load(&line->next);
	struct answer *a;

	for (unsigned k = 0; k < end; k++)
		if (line->sends[k].acknowledged && line->sends[k].found != line->sends[k].sent.seq)
			wrong(line, line->sends[k].found ? "an acknowledged one has moved" : is_lost,
				line->sends[k].sent.seq);
	for (size_t i = 0; i < rig->seen_count; i++)
		if (rig->seen[i].entry.seq > head)
			wrong(line, "one that was observed is lost", rig->seen[i].entry.seq);
	for (unsigned i = 0; i < line->guests; i++) {
		a = answer_wait(rig_find(rig, (uint8_t)i));
		if (line->guest_ids[i] && (a->status != STORE_OK || a->user.id != line->guest_ids[i]))
			wrong(line, "an acknowledged guest is lost", i);
	}
	if (line->opened && memcmp(line->epoch, rig->store->epoch, sizeof(line->epoch)) != 0)
		wrong(line, "another epoch", 0);
	rig_forget_seen(rig);
	for (unsigned k = line->first; k < end && !line->wrong; k++) {
		struct sent *s = &line->sends[k];
		bool again = !s->acknowledged || rng_below(&line->rng, 20) == 0;

		if (!again)
			continue;
		if (s->refused && s->found)
			wrong(line, "one that was refused is there", s->found);
		s->refused = false;
		figures.unknown_there += !s->acknowledged && s->found;
		a = answer_wait(send_number(line, k, NULL));
		if (a->status != (s->found ? STORE_SAME : STORE_OK) ||
			a->sent.seq != (s->found ? s->found : ++head))
			wrong(line, "one that is sent again is not there once", a->sent.seq);
		s->acknowledged = true;
		s->sent = a->sent;
	}
}

static void reboot(struct line *line)
{
	figures.cuts++;
	figures.in_database += fault_vfs_cut_in_database();
	mkdir(line->rig->folder, 0700);
	fault_reboot(line->rig, &line->rng, &figures.disk);
	if (!is_sound(line->rig))
		wrong(line, "integrity_check", 0);
}

/* One cut, and what was left. False: something was lost; line->wrong says what. */
static bool one_cut(struct line *line)
{
	struct rig *rig = line->rig;
	char err[256] = "";

	session(line);
	reboot(line);
	rig_forget_answers(rig);
	rig->store = rig->backend->open(&rig->options, err, sizeof(err));
	if (rig->store == NULL)
		wrong(line, "it does not open", 0);
	else if (!line->wrong)
		check(line);
	/* The next session finds a closed database, or one that was cut again in peace. */
	if (rig->store && !line->wrong && rng_below(&line->rng, 2) == 0) {
		fault_vfs_cut_now();
		rig_close(rig);
		reboot(line);
	} else {
		rig_close(rig);
		fault_vfs_reset();
	}
	rig_forget_answers(rig);
	rig_forget_seen(rig);
	return line->wrong == NULL;
}

/* Lines of cuts until there were so many, or one has lost something. Returns what was wrong, or NULL. */
static const char *cut_many(struct rig *rig, unsigned long cuts, bool unsafe, uint64_t *ret_at)
{
	struct line *line = steady(NULL, sizeof(*line));
	const char *found = NULL;
	struct rng r;

	rng_init(&r);
	memset(&figures, 0, sizeof(figures));
	rig->options.unsafe = unsafe;
	while (figures.cuts < cuts && !found) {
		memset(line, 0, sizeof(*line));
		line->rig = rig;
		line->rng = (struct rng){ rng_u64(&r) };
		line->salt = rng_u64(&r);
		fault_vfs_powersafe(rng_below(&r, 2) == 0);
		for (size_t n = 1 + rng_below(&line->rng, SESSIONS_MAX); n > 0 && figures.cuts < cuts; n--)
			if (!one_cut(line))
				break;
		/* The control is to lose what was acknowledged, no less. */
		found = unsafe && line->wrong != is_lost ? NULL : line->wrong;
		*ret_at = line->wrong_at;
		rig_remove(rig->folder);
	}
	free(line);
	printf("# %u cuts, %u sessions: %u in opening, %u in closing or behind it, %u in a checkpoint\n",
		figures.cuts, figures.sessions, figures.in_opening, figures.in_closing, figures.in_database);
	printf("# %" PRIu64 " acknowledged, %" PRIu64 " repeated; %" PRIu64
	       " not acknowledged, of which %" PRIu64 " were there\n",
		figures.acknowledged, figures.repeats, figures.unknown, figures.unknown_there);
	printf("# %" PRIu64 " sectors were not synced: %" PRIu64 " old, %" PRIu64 " new, %" PRIu64
	       " torn; %" PRIu64 " names\n",
		figures.disk.dirty, figures.disk.old, figures.disk.kept, figures.disk.torn,
		figures.disk.names);
	return found;
}

static void nothing_acknowledged_is_lost(void **state)
{
	uint64_t at = 0;
	const char *found = cut_many(*state, rig_scale("CUTS", CUTS), false, &at);

	if (found)
		fail_msg("cut %u: %s (%" PRIu64 ")", figures.cuts, found, at);
	/* Cuts that hit nothing would show nothing. */
	assert_true(figures.acknowledged > figures.cuts);
	assert_true(figures.disk.old > 0 && figures.disk.kept > 0 && figures.disk.torn > 0);
}

static void without_syncs_it_is(void **state)
{
	uint64_t at = 0;
	const char *found = cut_many(*state, CUTS, true, &at);

	if (found == NULL)
		fail_msg("%u cuts without a sync have lost nothing: this test sees nothing", figures.cuts);
	printf("# the control, after %u cuts: %s (%" PRIu64 ")\n", figures.cuts, found, at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_CLOSED_TEST(nothing_acknowledged_is_lost),
		FAULT_CLOSED_TEST(without_syncs_it_is),
	};

	return RIG_RUN_IN_MEMORY(tests);
}
