/*
 * base/list.h -- an intrusive, doubly linked, circular list.
 *
 *      head <-> a <-> b <-> head        an empty head, and a node in no list, point to themselves
 *
 * The node lives in its object; list_entry() finds the object. O(1) for all but the walk.
 * Threads: a list belongs to one thread.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Insert `node` (in no list) before `at`; with `at` the head that is the end of the list. */
static inline void list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

#define list_push_back(head, node) list_insert_before((head), (node))

/* Take out of whatever list it is in; harmless when in none. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->prev = node->next = node;
}

/* Take the first out and return it; the list is not empty. */
static inline struct list *list_take_first(struct list *l)
{
	struct list *first = l->next;

	first->next->prev = l;
	l->next = first->next;
	first->prev = first->next = first;
	return first;
}

/* Move all nodes of `from` to the end of `to`; `from` is then empty. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
