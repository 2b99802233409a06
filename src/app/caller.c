/* app/caller.c -- see app/caller.h. */
#include "app/caller.h"

#include <stdlib.h>

static _Atomic uint64_t made;

struct caller *caller_create(const struct visitor *visitor)
{
	struct caller *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	atomic_init(&c->refs, 1);
	c->number = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
	c->visitor = *visitor;
	return c;
}

void caller_ref(struct caller *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void caller_unref(void *caller)
{
	struct caller *c = caller;

	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}
