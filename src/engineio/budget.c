/*
 * engineio/budget.c -- what waits for all clients of the process has a limit: past it those for whom most waits are closed.
 *
 *      RESTING --the account is past a limit--> WEIGHING: each loop weighs its sessions
 *         ^                                        v by the last one
 *         |<----- nobody is heavy -------------- WEIGHED: how heavy is too heavy
 *         |                                        v
 *        SHED <------- by the last one -------- SHEDDING: each loop closes its heaviest sessions
 *
 * What a queue weighs is not what it holds alone, for most of it may be shared. So only as much is closed as the account is
 * too large, by weight, and then the account is looked at again. There is one round at a time, of all servers whose limit is
 * passed, for memory is the process's.
 *
 * Threads: the account may grow on any. What each loop does it does as a posted message; what lies between belongs to whoever
 * holds `taken`, for which nobody waits who may be on a loop: whoever has it looks again before it goes.
 */
#include <sched.h>
#include <stdlib.h>

#include "base/account.h"
#include "base/assert.h"
#include "base/log.h"
#include "engineio/session_int.h"

enum { CLASSES = 256 };

enum stage { RESTING, WEIGHING, WEIGHED, SHEDDING, SHED };

/* A loop's part in a step. */
struct part {
	struct net_message message;
	struct eio_budget *budget;
	struct eio_loop *at;
};

/* A server's. */
struct eio_budget {
	struct list all;
	struct eio_server *server; /* NULL: it has gone, and left messages behind */
	bool takes_part; /* in this round */
	atomic_uint posted; /* parts that are under way */
	struct part parts[]; /* of each loop */
};

static atomic_flag taken = ATOMIC_FLAG_INIT;
static atomic_bool wanted; /* somebody was to look, and could not */
static struct list budgets = { &budgets, &budgets };

/* The round. */
static _Atomic(enum stage) stage;
static atomic_uint left; /* parts of this step that are not done */
static size_t limit; /* the greatest that was passed */
static size_t waiting; /* so much was, when it was chosen who has to go */
static atomic_bool unsaid; /* the log does not have that yet */
static size_t vain; /* at so many bytes there was nobody to close ... */
static size_t vain_limit; /* ... for this limit; vain 0: that is over */
static atomic_uint_fast64_t classes[CLASSES]; /* weight of all sessions of a class, by their weight */
static uint32_t heavy; /* the least class that has to go, in part ... */
static atomic_int_fast64_t excess; /* ... of which so much is still to go */

/* Four to each power of two, so two in a class differ by a quarter at most. */
static uint32_t class_of(size_t weight)
{
	uint32_t high = 63 - (uint32_t)__builtin_clzll(weight | 4);

	return high * 4 + (uint32_t)(weight >> (high - 2) & 3);
}

/* What none is closed for: half of what each had if all had the same. */
static size_t fair_weight(const struct eio_server *server)
{
	uint32_t sessions = atomic_load_explicit(&server->sessions, memory_order_relaxed);

	return server->options.queued_bytes_max / 2 / (sessions + 1);
}

/* There is something to close, or to let go. */
static bool can_be_shed(const struct eio_session *s)
{
	return s->state == EIO_STATE_OPEN ||
	       (s->state == EIO_STATE_CLOSING && (s->ws == NULL || s->queue.count > (s->queue.sent > 0)));
}

/* A session's weight, if it may have to go. */
static size_t weight_of(const struct eio_session *s)
{
	size_t weight = s == NULL || !can_be_shed(s) ? 0 : eio_queue_weight(&s->queue);

	return s != NULL && weight > fair_weight(s->at->server) ? weight : 0;
}

static void weigh(struct eio_loop *at)
{
	for (uint32_t slot = 0; slot < at->sessions.used; slot++) {
		size_t weight = weight_of(slots_at(&at->sessions, slot));

		if (weight > 0)
			atomic_fetch_add_explicit(&classes[class_of(weight)], weight, memory_order_relaxed);
	}
}

/* One of the class of which not all need to go: does this one? */
static bool is_needed(size_t weight)
{
	int64_t before = atomic_fetch_sub_explicit(&excess, (int64_t)weight, memory_order_relaxed);

	if (before > 0)
		return true;
	atomic_fetch_add_explicit(&excess, (int64_t)weight, memory_order_relaxed);
	return false;
}

static void close_one(struct eio_session *s)
{
	if (s->state == EIO_STATE_OPEN) {
		eio_count(&s->at->counts.shed);
		eio_session_end(s, EIO_OVERFLOW);
	} else {
		eio_closing_hurry(s);
	}
}

static void shed(struct eio_loop *at)
{
	for (uint32_t slot = 0; slot < at->sessions.used; slot++) {
		struct eio_session *s = slots_at(&at->sessions, slot);
		size_t weight = weight_of(s);

		if (weight == 0)
			continue;
		uint32_t class = class_of(weight);
		if (class > heavy || (class == heavy && is_needed(weight)))
			close_one(s);
	}
}

/* Once in a round. */
static void say(void)
{
	if (atomic_exchange(&unsaid, false))
		log_line(LOG_WARN,
			"%zu bytes wait for clients, over the limit of %zu: those for whom most waits are "
			"closed",
			waiting, limit);
}

static void look(void);

static void done(void)
{
	if (atomic_fetch_sub_explicit(&left, 1, memory_order_acq_rel) > 1)
		return;
	atomic_store(&stage, atomic_load(&stage) == WEIGHING ? WEIGHED : SHED);
	look();
}

static void run(struct net_loop *loop, struct net_message *m)
{
	struct part *p = list_entry(m, struct part, message);

	net_loop_arrived(loop);
	if (atomic_load(&stage) == WEIGHING) {
		weigh(p->at);
	} else {
		say();
		shed(p->at);
	}
	atomic_fetch_sub(&p->budget->posted, 1);
	done();
}

/* Its loop has ended, and its sessions; the server, too, it may be. */
static void discard(struct net_message *m)
{
	struct eio_budget *b = list_entry(m, struct part, message)->budget;

	if (atomic_fetch_sub(&b->posted, 1) == 1 && b->server == NULL)
		free(b);
	done();
}

/* All loops are to take this step; those that have ended, or not begun, have nobody to weigh. */
static void post(enum stage step)
{
	atomic_store(&left, 1); /* until all are posted */
	atomic_store(&stage, step);
	for (struct list *n = budgets.next; n != &budgets; n = n->next) {
		struct eio_budget *b = list_entry(n, struct eio_budget, all);

		for (uint32_t i = 0; b->takes_part && i < b->server->loop_count; i++) {
			struct net_loop *loop = b->server->loops[i].loop;

			if (!net_loop_expect(loop))
				continue;
			atomic_fetch_add(&left, 1);
			atomic_fetch_add(&b->posted, 1);
			net_post_reserved(loop, &b->parts[i].message);
		}
	}
	done();
}

/* Is there too much, and anything to be done about it? */
static void begin(void)
{
	size_t bytes = account_bytes();

	limit = 0;
	for (struct list *n = budgets.next; n != &budgets; n = n->next) {
		struct eio_budget *b = list_entry(n, struct eio_budget, all);
		size_t max = b->server->options.queued_bytes_max;

		b->takes_part = bytes > max;
		if (b->takes_part && max > limit)
			limit = max; /* a smaller one that is passed then still has a round of its own */
	}
	if (limit != vain_limit)
		vain = 0; /* others take part */
	vain_limit = limit;
	if (bytes < vain)
		vain = bytes;
	if (limit == 0 || (vain != 0 && bytes < vain + ((size_t)1 << ACCOUNT_STEP_BITS)))
		return;
	for (uint32_t i = 0; i < CLASSES; i++)
		atomic_store_explicit(&classes[i], 0, memory_order_relaxed);
	post(WEIGHING);
}

/* All have been weighed. */
static void choose(void)
{
	size_t low = limit - limit / EIO_BUDGET_PART, bytes = account_bytes();
	uint64_t sum = 0, of_class = 0;
	uint32_t class = CLASSES;

	while (bytes > low && class > 0 && sum < bytes - low) {
		of_class = atomic_load_explicit(&classes[--class], memory_order_relaxed);
		sum += of_class;
	}
	if (sum == 0) { /* it is held by others, or gone by now */
		vain = bytes > low ? bytes : 0;
		atomic_store(&stage, RESTING);
		if (bytes <= low)
			begin(); /* a smaller limit may still be passed */
		return;
	}
	vain = 0;
	waiting = bytes;
	atomic_store(&unsaid, true); /* by a loop: here the log would be called in the midst of anything */
	heavy = class;
	atomic_store_explicit(
		&excess, (int64_t)(bytes - low) - (int64_t)(sum - of_class), memory_order_relaxed);
	post(SHEDDING);
}

/* Whatever is next. Only who holds `taken`. */
static void advance(void)
{
	switch (atomic_load(&stage)) {
	case WEIGHED:
		choose();
		break;
	case SHED: /* what was closed may have been shared with others */
		atomic_store(&stage, RESTING);
		begin();
		break;
	case RESTING:
		begin();
		break;
	case WEIGHING:
	case SHEDDING:
		break; /* the last one will look */
	}
}

/* On any thread, in the midst of anything. */
static void look(void)
{
	atomic_store(&wanted, true);
	while (atomic_load(&wanted) && !atomic_flag_test_and_set(&taken)) {
		atomic_store(&wanted, false);
		advance();
		atomic_flag_clear(&taken);
	}
}

static void lock(void)
{
	while (atomic_flag_test_and_set(&taken))
		sched_yield();
}

static void unlock(void)
{
	atomic_flag_clear(&taken);
	if (atomic_load(&wanted))
		look();
}

bool eio_budget_create(struct eio_server *server)
{
	if (server->options.queued_bytes_max == 0)
		return true;
	struct eio_budget *b = calloc(1, sizeof(*b) + server->loop_count * sizeof(b->parts[0]));
	if (b == NULL)
		return false;
	list_init(&b->all);
	b->server = server;
	atomic_init(&b->posted, 0);
	for (uint32_t i = 0; i < server->loop_count; i++)
		b->parts[i] = (struct part){
			.message = { .run = run, .discard = discard, .bytes = sizeof(struct part) },
			.budget = b,
			.at = &server->loops[i],
		};
	server->budget = b;
	return true;
}

void eio_budget_begin(struct eio_server *server)
{
	if (server->budget == NULL)
		return;
	account_watch(look);
	lock();
	list_push_back(&budgets, &server->budget->all);
	unlock();
}

void eio_budget_end(struct eio_server *server)
{
	struct eio_budget *b = server->budget;

	if (b == NULL)
		return;
	lock();
	list_remove(&b->all);
	b->server = NULL;
	bool is_over =
		atomic_load(&b->posted) == 0; /* else the last message is its end, when its loop is closed */
	unlock();
	if (is_over)
		free(b);
}
