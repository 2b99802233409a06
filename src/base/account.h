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

#include <stddef.h>
#include <stdint.h>

enum {
	ACCOUNT_PLACES = 64, /* more threads share them */
	ACCOUNT_STEP_BITS = 18, /* 256 KiB */
};

/* So much more is held, or less (negative), by the calling thread's doing. It may call the watcher. */
void account_add(int64_t bytes);
/* What is held. Exact where nobody is adding; never below 0. O(ACCOUNT_PLACES). */
size_t account_bytes(void);
/* To be called when a thread's place has grown past a multiple of a step; on that thread, in the midst of anything. NULL: nobody. */
void account_watch(void (*grown)(void));

#endif
