/* base/account.c -- see base/account.h. */
#include "base/account.h"

#include <stdalign.h>

enum { LINE_BYTES = 64 };

static struct place {
	alignas(LINE_BYTES) atomic_int_fast64_t bytes;
} places[ACCOUNT_PLACES];
static atomic_uint threads; /* that have a place */
static _Atomic(void (*)(void)) watcher;

_Thread_local atomic_int_fast64_t *account_mine;

atomic_int_fast64_t *account_take_place(void)
{
	unsigned number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);

	account_mine = &places[number % ACCOUNT_PLACES].bytes;
	return account_mine;
}

void account_tell(void)
{
	void (*grown)(void) = atomic_load_explicit(&watcher, memory_order_acquire);

	if (grown != NULL)
		grown();
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
