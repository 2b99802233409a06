/*
 * base/pile.h -- what threads hand to one other thread: a stack that anyone pushes on and one takes whole.
 *
 *      push: CAS on the top          take: exchange the top with NULL, turn the chain round
 *
 * Nobody waits for anybody, and since it is only ever taken whole, a node that comes again is no danger. The node lives in
 * its object; pile_entry() finds the object. Threads: push from any, also a signal handler; take from one at a time.
 */
#ifndef BASE_PILE_H
#define BASE_PILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pile_node {
	struct pile_node *next;
};

struct pile {
	_Atomic(struct pile_node *) top; /* newest first */
};

#define pile_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void pile_init(struct pile *p)
{
	atomic_init(&p->top, NULL);
}

static inline bool pile_empty(const struct pile *p)
{
	return atomic_load_explicit(&p->top, memory_order_relaxed) == NULL;
}

/* True if it was empty: whoever takes may have to be woken. */
static inline bool pile_push(struct pile *p, struct pile_node *node)
{
	struct pile_node *top = atomic_load_explicit(&p->top, memory_order_relaxed);

	do
		node->next = top;
	while (!atomic_compare_exchange_weak_explicit(
		&p->top, &top, node, memory_order_release, memory_order_relaxed));
	return top == NULL;
}

/* All of it as a chain, oldest first; NULL if it is empty. ret_count may not be NULL. */
static inline struct pile_node *pile_take(struct pile *p, uint32_t *ret_count)
{
	struct pile_node *node = atomic_exchange_explicit(&p->top, NULL, memory_order_acquire);
	struct pile_node *first = NULL;

	*ret_count = 0;
	while (node != NULL) {
		struct pile_node *older = node->next;
		node->next = first;
		first = node;
		node = older;
		++*ret_count;
	}
	return first;
}

#endif
