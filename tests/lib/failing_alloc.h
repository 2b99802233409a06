/*
 * tests/lib/failing_alloc.h -- make the n-th allocation fail.
 *
 * Test programs are linked with --wrap for malloc, calloc and realloc: every call in them and in libsio comes here
 * (those inside of shared libraries, and strdup and the like, do not). The usual loop:
 *
 *	unsigned n = 0;
 *	do {
 *		failing_alloc_arm(++n);
 *		... what promises to survive ...
 *	} while (failing_alloc_disarm());
 *
 * It ends with the first run in which no allocation was left to fail, so n - 1 allocations have been tried.
 * Threads: counted over all of them; arm and disarm from one.
 */
#ifndef TESTS_LIB_FAILING_ALLOC_H
#define TESTS_LIB_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now fails, and only that one. n > 0. */
void failing_alloc_arm(unsigned n);
/* The n-th allocation from now fails, and all after it. n > 0. */
void failing_alloc_arm_from(unsigned n);
/*
 * Call `fn` before each allocation of this thread, with its size, which may wait; NULL: no more. It allocates nothing.
 */
void failing_alloc_watch(void (*fn)(size_t bytes));
/* Allocations succeed again. Returns whether any has failed since it was armed. */
bool failing_alloc_disarm(void);

#endif
