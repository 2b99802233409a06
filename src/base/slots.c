/* base/slots.c -- see base/slots.h. */
#include "base/slots.h"

#include <stdlib.h>

#include "base/assert.h"

void slots_finish(struct slots *t)
{
	assert(t->count == 0);
	free(t->slots);
	*t = (struct slots){ 0 };
}

static bool grow(struct slots *t)
{
	uint32_t cap = t->cap == 0 ? 16 : t->cap * 2;

	if (cap > SLOTS_MAX)
		return false;
	struct slot *bigger = realloc(t->slots, cap * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	t->slots = bigger;
	t->cap = cap;
	return true;
}

bool slots_put(struct slots *t, void *object, uint32_t *ret_slot, uint32_t *ret_generation)
{
	uint32_t at;

	assert(object != NULL);
	if (t->free_head != 0) {
		at = t->free_head - 1;
		t->free_head = t->slots[at].next_free;
	} else {
		if (t->used == t->cap && !grow(t))
			return false;
		at = t->used++;
		t->slots[at].generation = 1;
	}
	t->slots[at].object = object;
	t->count++;
	*ret_slot = at;
	*ret_generation = t->slots[at].generation;
	return true;
}

void *slots_at(const struct slots *t, uint32_t slot)
{
	return slot < t->used ? t->slots[slot].object : NULL;
}

void *slots_get(const struct slots *t, uint32_t slot, uint32_t generation)
{
	if (slot >= t->used || t->slots[slot].generation != generation)
		return NULL;
	return t->slots[slot].object;
}

void slots_take(struct slots *t, uint32_t slot)
{
	assert(slot < t->used);
	struct slot *s = &t->slots[slot];

	assert(s->object != NULL);
	s->object = NULL;
	/* A slot whose generation would come round again is retired instead of reused. */
	if (++s->generation != 0) {
		s->next_free = t->free_head;
		t->free_head = slot + 1;
	}
	t->count--;
}
