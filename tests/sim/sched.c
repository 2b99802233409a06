/* tests/sim/sched.c -- time and threads of the simulated kernel: see tests/sim/kernel.h. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/rng.h"
#include "sim/kernel_int.h"

enum { NOTE_BYTES = 200 };
#define FOREIGN UINT32_MAX /* a thread that is none of the run's */

enum thread_state { THREAD_WAITS, THREAD_JOINS, THREAD_ENDED };

struct thread {
	enum thread_state state;
	pthread_t id;
	pthread_cond_t turn;
	int epoll; /* 0: it sleeps */
	uint64_t due_ns; /* UINT64_MAX: never */
	uint32_t joins; /* the thread it waits for */
	void *(*main)(void *);
	void *arg;
};

struct event {
	uint64_t at_ns, order;
	void (*run)(void *ctx, uint64_t arg);
	void *ctx;
	uint64_t arg;
};

static struct {
	uint64_t seed, now_ns, trace, orders;
	struct rng rng;
	struct kernel_faults faults;
	struct kernel_figures figures;
	struct event *events; /* a heap */
	size_t event_count, event_cap;
	struct thread threads[KERNEL_THREADS_MAX];
	uint32_t thread_count, current;
	pthread_mutex_t lock; /* guards `current`; who has the baton uses the rest */
	char notes[KERNEL_NOTES_MAX][NOTE_BYTES];
	uint64_t noted;
	bool failed;
} k; /* thread_count 0: there is no run */

static _Thread_local uint32_t self = FOREIGN;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __real_pthread_join(pthread_t, void **);
int __real_pthread_mutex_lock(pthread_mutex_t *);
int __real_clock_gettime(clockid_t, struct timespec *);
time_t __real_time(time_t *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_join(pthread_t, void **);
int __wrap_pthread_mutex_lock(pthread_mutex_t *);
int __wrap_clock_gettime(clockid_t, struct timespec *);
time_t __wrap_time(time_t *);
ssize_t __wrap_getrandom(void *, size_t, unsigned);

void kernel_say_notes(void)
{
	uint64_t first = k.noted > KERNEL_NOTES_MAX ? k.noted - KERNEL_NOTES_MAX : 0;

	for (uint64_t i = first; i < k.noted; i++)
		printf("#   %s\n", k.notes[i % KERNEL_NOTES_MAX]);
}

void kernel_begin(uint64_t seed)
{
	memset(&k, 0, sizeof(k));
	k.seed = seed;
	k.rng.state = seed;
	k.now_ns = 1000 * KERNEL_S;
	k.trace = UINT64_C(0xcbf29ce484222325);
	pthread_mutex_init(&k.lock, NULL);
	k.thread_count = 1;
	pthread_cond_init(&k.threads[0].turn, NULL);
	self = 0;
	kernel_calls_begin();
	kernel_tcp_begin();
}

void kernel_end(void)
{
	for (uint32_t i = 0; i < k.thread_count; i++)
		pthread_cond_destroy(&k.threads[i].turn);
	pthread_mutex_destroy(&k.lock);
	k.thread_count = 0;
	self = FOREIGN;
	kernel_memory_end();
	k.events = NULL;
	k.event_count = k.event_cap = 0;
}

bool kernel_has_failed(void)
{
	return k.failed;
}

struct kernel_faults *kernel_faults(void)
{
	return &k.faults;
}

const struct kernel_figures *kernel_figures(void)
{
	return &k.figures;
}

struct kernel_figures *kernel_figures_mine(void)
{
	return &k.figures;
}

uint64_t kernel_trace(void)
{
	return k.trace;
}

void kernel_trace_add(uint64_t what)
{
	k.trace = (k.trace ^ what) * UINT64_C(0x100000001b3);
	k.trace ^= k.trace >> 29;
}

uint64_t kernel_now_ns(void)
{
	return k.now_ns;
}

uint64_t kernel_random(void)
{
	return rng_u64(&k.rng);
}

uint64_t kernel_below(uint64_t limit)
{
	return rng_below(&k.rng, (size_t)limit);
}

bool kernel_chance(uint32_t of_thousand)
{
	return of_thousand > 0 && kernel_below(1000) < of_thousand;
}

void kernel_note(const char *format, ...)
{
	char *note = k.notes[k.noted++ % KERNEL_NOTES_MAX];
	va_list args;
	int n = snprintf(note, NOTE_BYTES, "%11.6f ", (double)(k.now_ns - 1000 * KERNEL_S) / 1e9);

	va_start(args, format);
	vsnprintf(note + n, NOTE_BYTES - (size_t)n, format, args);
	va_end(args);
	if (getenv("SIM_VERBOSE") != NULL)
		printf("> %s\n", note);
}

void kernel_fail(const char *format, ...)
{
	va_list args;

	k.failed = true;
	printf("# seed %" PRIu64 " at %.6f s: ", k.seed, (double)(k.now_ns - 1000 * KERNEL_S) / 1e9);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	kernel_say_notes();
	fflush(stdout);
	abort();
}

/* The heap of what is to come. */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void kernel_after(uint64_t delay_ns, void (*run)(void *ctx, uint64_t arg), void *ctx, uint64_t arg)
{
	struct event e = { k.now_ns + delay_ns, k.orders++, run, ctx, arg };

	if (k.event_count == k.event_cap) {
		k.event_cap = k.event_cap == 0 ? 256 : 2 * k.event_cap;
		k.events = kernel_grow(k.events, k.event_cap * sizeof(*k.events));
	}
	size_t at = k.event_count++;
	for (; at > 0 && is_before(&e, &k.events[(at - 1) / 2]); at = (at - 1) / 2)
		k.events[at] = k.events[(at - 1) / 2];
	k.events[at] = e;
}

static struct event take_event(void)
{
	struct event first = k.events[0], last = k.events[--k.event_count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= k.event_count)
			break;
		if (child + 1 < k.event_count && is_before(&k.events[child + 1], &k.events[child]))
			child++;
		if (!is_before(&k.events[child], &last))
			break;
		k.events[at] = k.events[child];
		at = child;
	}
	if (k.event_count > 0)
		k.events[at] = last;
	return first;
}

static void run_events(void)
{
	while (k.event_count > 0 && k.events[0].at_ns <= k.now_ns) {
		struct event e = take_event();

		e.run(e.ctx, e.arg);
	}
}

static bool can_run(const struct thread *t)
{
	if (t->state == THREAD_ENDED)
		return false;
	if (t->state == THREAD_JOINS)
		return k.threads[t->joins].state == THREAD_ENDED;
	return t->due_ns <= k.now_ns || (t->epoll != 0 && kernel_epoll_ready(t->epoll));
}

/* The clock jumps to what is next. */
static void jump(void)
{
	uint64_t next = k.event_count > 0 ? k.events[0].at_ns : UINT64_MAX;

	for (uint32_t i = 0; i < k.thread_count; i++) {
		const struct thread *t = &k.threads[i];

		if (t->state == THREAD_WAITS && t->due_ns < next)
			next = t->due_ns;
	}
	if (next == UINT64_MAX)
		kernel_fail("all threads wait for ever: a wake-up is lost");
	if (next > k.now_ns)
		k.now_ns = next;
}

static uint32_t choose(void)
{
	uint32_t able[KERNEL_THREADS_MAX], count = 0;

	for (;;) {
		run_events();
		for (uint32_t i = 0; i < k.thread_count; i++) {
			if (can_run(&k.threads[i]))
				able[count++] = i;
		}
		if (count > 0)
			break;
		jump();
	}
	uint32_t chosen = able[kernel_below(count)];
	k.figures.steps++;
	if (k.faults.step_ns_max > 0)
		k.now_ns += kernel_below(k.faults.step_ns_max);
	kernel_trace_add(k.now_ns << 4 | chosen);
	return chosen;
}

static void wait_for_turn(void)
{
	(void)__real_pthread_mutex_lock(&k.lock);
	while (k.current != self)
		pthread_cond_wait(&k.threads[self].turn, &k.lock);
	pthread_mutex_unlock(&k.lock);
}

/* Give the baton to whoever is chosen, and wait until it comes back. */
static void pass(bool comes_back)
{
	uint32_t next = choose();

	if (next == self)
		return;
	(void)__real_pthread_mutex_lock(&k.lock);
	k.current = next;
	pthread_mutex_unlock(&k.lock);
	pthread_cond_signal(&k.threads[next].turn); /* now, so that it need not wait for the lock */
	if (comes_back)
		wait_for_turn();
}

void kernel_wait(int epoll, uint64_t timeout_ns)
{
	struct thread *t = &k.threads[self];

	t->state = THREAD_WAITS;
	t->epoll = epoll;
	t->due_ns = timeout_ns == UINT64_MAX ? UINT64_MAX : k.now_ns + timeout_ns;
	pass(true);
}

void kernel_sleep(uint64_t delay_ns)
{
	kernel_wait(0, delay_ns);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	self = (uint32_t)(t - k.threads);
	wait_for_turn();
	void *result = t->main(t->arg);
	t->state = THREAD_ENDED;
	pass(false);
	return result;
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	struct thread *t = &k.threads[k.thread_count];

	if (k.thread_count == KERNEL_THREADS_MAX)
		return EAGAIN;
	t->main = start;
	t->arg = arg;
	t->due_ns = k.now_ns;
	pthread_cond_init(&t->turn, NULL);
	k.thread_count++;
	int rc = __real_pthread_create(ret, attr, thread_main, t);
	t->id = *ret;
	return rc;
}

int __wrap_pthread_join(pthread_t id, void **ret)
{
	struct thread *t = &k.threads[self];

	for (uint32_t i = 0; i < k.thread_count; i++) {
		if (i != self && k.threads[i].main != NULL && pthread_equal(k.threads[i].id, id))
			t->joins = i;
	}
	t->state = THREAD_JOINS;
	pass(true);
	t->state = THREAD_WAITS;
	return __real_pthread_join(id, ret);
}

/* Whoever has it may have been preempted. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	int rc;

	if (k.thread_count == 0 || self == FOREIGN)
		return __real_pthread_mutex_lock(lock);
	while ((rc = pthread_mutex_trylock(lock)) == EBUSY)
		kernel_sleep(1);
	return rc;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	uint64_t epoch_s = clock == CLOCK_REALTIME ? 1700000000 : 0;

	if (k.thread_count == 0 || self == FOREIGN)
		return __real_clock_gettime(clock, ret);
	ret->tv_sec = (time_t)(epoch_s + k.now_ns / KERNEL_S);
	ret->tv_nsec = (long)(k.now_ns % KERNEL_S);
	return 0;
}

time_t __wrap_time(time_t *ret)
{
	time_t now = (time_t)(1700000000 + k.now_ns / KERNEL_S);

	if (k.thread_count == 0 || self == FOREIGN)
		return __real_time(ret);
	if (ret != NULL)
		*ret = now;
	return now;
}

ssize_t __wrap_getrandom(void *out, size_t bytes, unsigned flags)
{
	uint8_t *at = out;

	(void)flags;
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)kernel_random();
	return (ssize_t)bytes;
}
