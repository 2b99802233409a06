/* base/account.c -- see base/account.h. */
#include "base/account.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { LINE_BYTES = 64 };

/* A thread frees what another has made: a place alone may be below 0. */
static struct place {
	alignas(LINE_BYTES) atomic_int_fast64_t bytes;
} places[ACCOUNT_PLACES];
static atomic_uint threads; /* that have a place */
static _Thread_local struct place *mine;
static _Atomic(void (*)(void)) watcher;

static __attribute__((noinline)) struct place *take_place(void)
{
	mine = &places[atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % ACCOUNT_PLACES];
	return mine;
}

static __attribute__((noinline)) void tell(void)
{
	void (*grown)(void) = atomic_load_explicit(&watcher, memory_order_acquire);

	if (grown != NULL)
		grown();
}

void account_add(int64_t bytes)
{
	struct place *p = mine != NULL ? mine : take_place();
	int64_t before = atomic_fetch_add_explicit(&p->bytes, bytes, memory_order_relaxed);

	if (bytes > 0 && before >> ACCOUNT_STEP_BITS != (before + bytes) >> ACCOUNT_STEP_BITS)
		tell();
}

size_t account_bytes(void)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < ACCOUNT_PLACES; i++)
		sum += atomic_load_explicit(&places[i].bytes, memory_order_relaxed);
	return sum > 0 ? (size_t)sum : 0;
}

void account_watch(void (*grown)(void))
{
	atomic_store_explicit(&watcher, grown, memory_order_release);
}
