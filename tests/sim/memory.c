/* tests/sim/memory.c -- allocations are counted, so that what is left at the end of a run is noticed: see tests/sim/kernel.h. */
#include <malloc.h>
#include <stddef.h>
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

static int64_t live, live_bytes;

int64_t kernel_allocations(void)
{
	return live;
}

int64_t kernel_allocated(void)
{
	return live_bytes;
}

static void *counted(void *p)
{
	if (p != NULL)
		live++;
	live_bytes += (int64_t)malloc_usable_size(p);
	return p;
}

static void uncounted(void *p)
{
	live -= p != NULL;
	live_bytes -= (int64_t)malloc_usable_size(p);
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
	int64_t before = (int64_t)malloc_usable_size(old);
	void *p = __real_realloc(old, bytes);

	if (old == NULL)
		return counted(p);
	if (p != NULL)
		live_bytes += (int64_t)malloc_usable_size(p) - before;
	return p;
}

void __wrap_free(void *p)
{
	uncounted(p);
	__real_free(p);
}

char *__wrap_strdup(const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = __wrap_malloc(bytes);

	return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

/* The simulation's own: a ring of blocks, each with its bytes behind it. */
struct block {
	struct block *prev, *next;
	max_align_t bytes[];
};
static struct block blocks = { &blocks, &blocks };

static void *keep(struct block *b)
{
	if (b == NULL)
		kernel_fail("no memory");
	b->prev = blocks.prev;
	b->next = &blocks;
	b->prev->next = b->next->prev = b;
	return b->bytes;
}

static void drop(struct block *b)
{
	b->prev->next = b->next;
	b->next->prev = b->prev;
}

void *kernel_alloc(size_t bytes)
{
	return keep(__real_calloc(1, sizeof(struct block) + bytes));
}

void *kernel_grow(void *old, size_t bytes)
{
	struct block *b = NULL;

	if (old != NULL) {
		b = (struct block *)(void *)((char *)old - offsetof(struct block, bytes));
		drop(b);
	}
	return keep(__real_realloc(b, sizeof(*b) + bytes));
}

void kernel_memory_end(void)
{
	while (blocks.next != &blocks) {
		struct block *b = blocks.next;

		drop(b);
		__real_free(b);
	}
}
