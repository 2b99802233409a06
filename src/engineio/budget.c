/*
 * engineio/budget.c -- what waits for all clients of the process has a limit: past it those for whom most waits are closed.
 *
 *      the account grows past it --> each loop weighs its sessions --> the last one chooses how heavy is too heavy
 *                  ^                                                          |
 *                  `--- still past it --- the last one <--- each loop closes its heaviest sessions
 *
 * What a queue weighs is not what it holds alone, for most of it may be shared. So only as much is closed as the account is
 * too large, by weight, and then the account is looked at again.
 *
 * Threads: the account may grow on any; the rest runs on the loops, as posted messages.
 */
#include <sched.h>

#include "base/account.h"
#include "base/assert.h"
#include "base/log.h"
#include "engineio/session_int.h"

/* Whoever holds it reads or changes the list of servers. Nobody waits for it on a loop. */
static atomic_flag taken = ATOMIC_FLAG_INIT;
static struct list servers = { &servers, &servers };

static bool try_lock(void)
{
	return !atomic_flag_test_and_set_explicit(&taken, memory_order_acquire);
}

static void lock(void)
{
	while (!try_lock())
		sched_yield();
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&taken, memory_order_release);
}

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

/* A session's weight, if it may have to go. */
static size_t weight_of(const struct eio_session *s)
{
	size_t weight = s == NULL || s->state != EIO_STATE_OPEN ? 0 : eio_queue_weight(&s->queue);

	return s != NULL && weight > fair_weight(s->at->server) ? weight : 0;
}

static void begin(struct eio_server *server);

/* All loops are to take this step. */
static void post(
	struct eio_server *server, void (*step)(struct eio_loop *), void (*last)(struct eio_server *))
{
	struct eio_budget *b = &server->budget;

	b->step = step;
	b->last = last;
	atomic_store_explicit(&b->left, server->loop_count, memory_order_release);
	for (uint32_t i = 0; i < server->loop_count; i++)
		net_post_reserved(server->loops[i].loop, &server->loops[i].weigh);
}

static void done(struct eio_loop *at)
{
	struct eio_budget *b = &at->server->budget;

	if (atomic_fetch_sub_explicit(&b->left, 1, memory_order_acq_rel) == 1)
		b->last(at->server);
}

static struct eio_loop *of_message(struct net_message *m)
{
	return list_entry(m, struct eio_loop, weigh);
}

static void run(struct net_loop *loop, struct net_message *m)
{
	struct eio_loop *at = of_message(m);

	(void)loop;
	at->server->budget.step(at);
	done(at);
}

static void discard(struct net_message *m)
{
	done(of_message(m)); /* its loop has ended, and its sessions */
}

static void weigh(struct eio_loop *at)
{
	struct eio_budget *b = &at->server->budget;

	for (uint32_t slot = 0; slot < at->sessions.used; slot++) {
		size_t weight = weight_of(slots_at(&at->sessions, slot));

		if (weight > 0)
			atomic_fetch_add_explicit(
				&b->classes[class_of(weight)], weight, memory_order_relaxed);
	}
}

static void close_one(struct eio_session *s, size_t weight)
{
	eio_count(&s->at->counts.shed);
	atomic_fetch_sub_explicit(&s->at->server->budget.excess, (int64_t)weight, memory_order_relaxed);
	eio_session_end(s, EIO_OVERFLOW);
}

/* Those who are over the class, and of it as many as are still needed. */
static void shed(struct eio_loop *at)
{
	struct eio_budget *b = &at->server->budget;

	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t slot = 0; slot < at->sessions.used; slot++) {
			struct eio_session *s = slots_at(&at->sessions, slot);
			size_t weight = weight_of(s);

			if (weight == 0)
				continue;
			uint32_t class = class_of(weight);
			bool needed = atomic_load_explicit(&b->excess, memory_order_relaxed) > 0;
			if (class > b->class || (round == 1 && class == b->class && needed))
				close_one(s, weight);
		}
	}
}

static void finish(struct eio_server *server)
{
	atomic_store_explicit(&server->budget.at_work, false, memory_order_release);
}

/* What was closed may have been shared with others: look again. */
static void look_again(struct eio_server *server)
{
	finish(server);
	if (account_bytes() > server->options.queued_bytes_max)
		begin(server);
}

/* All have been weighed. */
static void choose(struct eio_server *server)
{
	struct eio_budget *b = &server->budget;
	size_t max = server->options.queued_bytes_max, low = max - max / EIO_BUDGET_PART,
	       bytes = account_bytes();
	uint64_t sum = 0;
	uint32_t class = EIO_BUDGET_CLASSES;

	while (bytes > low && class > 0 && sum < bytes - low)
		sum += atomic_load_explicit(&b->classes[--class], memory_order_relaxed);
	if (sum == 0) { /* it is held by others, or gone by now */
		finish(server);
		return;
	}
	log_line(LOG_WARN,
		"%zu bytes wait for clients, over the limit of %zu: those for whom most waits are closed",
		bytes, max);
	b->class = class;
	atomic_store_explicit(&b->excess, (int64_t)(bytes - low), memory_order_relaxed);
	post(server, shed, look_again);
}

static void begin(struct eio_server *server)
{
	struct eio_budget *b = &server->budget;

	if (atomic_exchange_explicit(&b->at_work, true, memory_order_acq_rel))
		return;
	for (uint32_t i = 0; i < EIO_BUDGET_CLASSES; i++)
		atomic_store_explicit(&b->classes[i], 0, memory_order_relaxed);
	post(server, weigh, choose);
}

/* On any thread, in the midst of anything. */
static void grown(void)
{
	if (!try_lock())
		return; /* another is looking */
	for (struct list *n = servers.next; n != &servers; n = n->next) {
		struct eio_server *server = list_entry(n, struct eio_server, budget.all);

		if (account_bytes() > server->options.queued_bytes_max)
			begin(server);
	}
	unlock();
}

void eio_budget_begin(struct eio_server *server)
{
	list_init(&server->budget.all);
	if (server->options.queued_bytes_max == 0)
		return;
	for (uint32_t i = 0; i < server->loop_count; i++)
		server->loops[i].weigh = (struct net_message){
			.run = run, .discard = discard, .bytes = sizeof(struct net_message)
		};
	account_watch(grown);
	lock();
	list_push_back(&servers, &server->budget.all);
	unlock();
}

void eio_budget_end(struct eio_server *server)
{
	lock();
	list_remove(&server->budget.all);
	unlock();
}
