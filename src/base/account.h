/*
 * base/account.h -- how much memory the whole process holds for what has not been sent yet.
 *
 *      thread A: +300 -20     thread B: +7000 -7000     ...        each thread counts in a place of its own
 *                     \          |          /
 *                      account_bytes(): the sum
 *
 * What grows by a step, on any thread, calls the watcher: nobody has to look again and again. One account for the process,
 * since memory is the process's.
 *
 * Threads: all may be called from any.
 */
#ifndef BASE_ACCOUNT_H
#define BASE_ACCOUNT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ACCOUNT_PLACES = 64, /* more threads share them */
	ACCOUNT_STEP_BITS = 18, /* 256 KiB */
};

/*
 * The calling thread's place, which may be below 0, for it frees what others have made; NULL: it has none yet. A few bytes: a library
 * that is loaded late has room for them, too.
 */
extern _Thread_local atomic_int_fast64_t *account_mine __attribute__((tls_model("initial-exec")));
atomic_int_fast64_t *account_take_place(void);
void account_tell(void);

/* So much more is held, by the calling thread's doing. It may call the watcher. */
static inline void account_add(size_t bytes)
{
	atomic_int_fast64_t *place = account_mine != NULL ? account_mine : account_take_place();
	int64_t before = atomic_fetch_add_explicit(place, (int64_t)bytes, memory_order_relaxed);

	if ((before ^ (before + (int64_t)bytes)) >> ACCOUNT_STEP_BITS != 0)
		account_tell();
}

/* So much less. */
static inline void account_take(size_t bytes)
{
	atomic_int_fast64_t *place = account_mine != NULL ? account_mine : account_take_place();

	atomic_fetch_sub_explicit(place, (int64_t)bytes, memory_order_relaxed);
}

/* What is held. Exact where nobody is adding; never below 0. O(ACCOUNT_PLACES). */
size_t account_bytes(void);
/* To be called when a thread's place has grown past a multiple of a step; on that thread, in the midst of anything. NULL: nobody. */
void account_watch(void (*grown)(void));

#endif
