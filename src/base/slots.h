/*
 * base/slots.h -- objects by number: a table of slots with generations.
 *
 *      slot  0        1        2          An id is slot + generation. Taking an object out raises the slot's
 *          [obj,g3] [free,g7] [obj,g1]    generation, so an old id finds nothing, for ever.
 *
 * Threads: belongs to one thread; ids may travel.
 */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLOTS_MAX = 1 << 24 };

struct slot {
	void *object; /* NULL: free */
	uint32_t generation; /* from 1 */
	uint32_t next_free;
};

/* Zeroed is an empty table. */
struct slots {
	struct slot *slots;
	uint32_t cap, used, free_head; /* free_head: slot + 1, 0 for none */
	uint32_t count; /* objects in the table */
};

void slots_finish(struct slots *t);
/* Put an object in. False: no memory, or SLOTS_MAX reached. */
__attribute__((warn_unused_result)) bool slots_put(
	struct slots *t, void *object, uint32_t *ret_slot, uint32_t *ret_generation);
/* The object, or NULL if it has gone. */
void *slots_get(const struct slots *t, uint32_t slot, uint32_t generation);
/* Whatever is in the slot now, or NULL. */
void *slots_at(const struct slots *t, uint32_t slot);
void slots_take(struct slots *t, uint32_t slot);

#endif
