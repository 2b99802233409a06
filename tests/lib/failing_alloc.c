/* tests/lib/failing_alloc.c -- see tests/lib/failing_alloc.h. */
#include "lib/failing_alloc.h"

#include "base/assert.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

/* The linker's names for what is wrapped. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

/* Allocations number first_bad to last_bad fail; none while last_bad is 0. */
static atomic_uint count, first_bad, last_bad;
static _Thread_local void (*watcher)(size_t bytes);

static void arm(unsigned first, unsigned last)
{
	assert(first > 0);
	count = 0;
	first_bad = first;
	last_bad = last;
}

void failing_alloc_arm(unsigned n)
{
	arm(n, n);
}

void failing_alloc_watch(void (*fn)(size_t bytes))
{
	watcher = fn;
}

void failing_alloc_arm_from(unsigned n)
{
	arm(n, UINT_MAX);
}

bool failing_alloc_disarm(void)
{
	last_bad = 0;
	return count >= first_bad;
}

static bool fails(size_t bytes)
{
	unsigned last = last_bad, n;

	if (watcher != NULL)
		watcher(bytes);
	if (last == 0)
		return false;
	n = ++count;
	if (n < first_bad || n > last)
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t bytes)
{
	return fails(bytes) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return fails(n * bytes) ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails(bytes) ? NULL : __real_realloc(old, bytes);
}
