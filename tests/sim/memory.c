/* tests/sim/memory.c -- allocations are counted, so that what is left at the end of a run is noticed: see tests/sim/kernel.h. */
#include <stdlib.h>
#include <string.h>

#include "sim/kernel_int.h"

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void __wrap_free(void *);
char *__wrap_strdup(const char *);

static int64_t live;

int64_t kernel_allocations(void)
{
	return live;
}

static void *counted(void *p)
{
	if (p != NULL)
		live++;
	return p;
}

void *__wrap_malloc(size_t bytes)
{
	return counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return counted(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
	void *p = __real_realloc(old, bytes);

	return old == NULL ? counted(p) : p;
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

char *__wrap_strdup(const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = __wrap_malloc(bytes);

	return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

void *kernel_alloc(size_t bytes)
{
	void *p = __real_calloc(1, bytes);

	if (p == NULL)
		kernel_fail("no memory");
	return p;
}

void *kernel_grow(void *old, size_t bytes)
{
	void *p = __real_realloc(old, bytes);

	if (p == NULL)
		kernel_fail("no memory");
	return p;
}
