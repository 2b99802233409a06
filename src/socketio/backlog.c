/*
 * socketio/backlog.c -- what was emitted in a namespace, as one loop has had it, to be sent again: see socketio/recovery_int.h.
 *
 *      [ past 17 | past 18 | ... | past 93 ]     bounded by bytes and time; the oldest go first, whoever may want them
 *        ^ first_place                 ^ next_place - 1
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "socketio/recovery_int.h"

struct sio_backlog *sio_backlog_of(struct sio_loop *at, struct sio_space *space)
{
	struct sio_space_loop *here = sio_here(space, at);
	uint32_t emitters = at->server->loop_count + 1;

	if (here->backlog != NULL)
		return here->backlog;
	struct sio_backlog *b = calloc(1, sizeof(*b) + sizeof(b->counts[0]) * 2 * emitters);
	if (b == NULL)
		return NULL;
	b->seen = b->counts;
	b->lost = b->counts + emitters;
	b->space = space;
	b->at = at;
	b->first_place = b->next_place = 1;
	list_init(&b->past);
	net_delay_init(&b->sweep);
	list_push_back(&at->backlogs, &b->node);
	here->backlog = b;
	return b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What others number: not what is for one socket alone. */
static bool is_seen_by_all(struct sio_offset offset)
{
	return offset.count > 0 && offset.emitter < SIO_EMITTER_SELF;
}

/* How far this loop is with an emitter. Its own events may come in another order, where some were put off. */
static void see(struct sio_backlog *b, struct sio_offset offset)
{
	uint64_t *seen = &b->seen[offset.emitter];

	if (offset.emitter != net_loop_index(b->at->loop) && offset.count > *seen + 1)
		b->lost[offset.emitter] = offset.count - 1; /* it has missed one */
	*seen = larger(*seen, offset.count);
}

/* The oldest. */
static void drop(struct sio_backlog *b)
{
	struct sio_past *p = list_entry(list_take_first(&b->past), struct sio_past, node);

	assert(p->place == b->first_place);
	if (is_seen_by_all(p->offset))
		b->lost[p->offset.emitter] = larger(b->lost[p->offset.emitter], p->offset.count);
	b->first_place++;
	b->bytes -= p->bytes;
	blob_unref(p->unit);
	free(p);
}

static struct sio_past *oldest(const struct sio_backlog *b)
{
	return list_entry(b->past.next, struct sio_past, node);
}

static void drop_all(struct sio_backlog *b)
{
	while (!list_empty(&b->past))
		drop(b);
	net_delay_stop(&b->sweep);
}

void sio_backlog_destroy(struct sio_backlog *b)
{
	drop_all(b);
	for (struct map_node *n; (n = map_any(&b->by_pid)) != NULL;)
		sio_recoverable_destroy(map_entry(n, struct sio_recoverable, pid_node));
	map_finish(&b->by_pid);
	map_finish(&b->by_id);
	map_finish(&b->by_sid);
	list_remove(&b->node);
	sio_here(b->space, b->at)->backlog = NULL;
	free(b);
}

static void drop_old(struct sio_backlog *b, size_t more_bytes)
{
	const struct sio_server *server = b->at->server;
	uint64_t now_ns = net_loop_now_ns(b->at->loop), window_ns = server->recovery_ms * CLOCK_NS_PER_MS;

	while (!list_empty(&b->past) &&
		(now_ns - oldest(b)->at_ns > window_ns || b->bytes + more_bytes > server->backlog_bytes_max))
		drop(b);
}

void sio_backlog_sweep(struct net_delay *delay, void *loop)
{
	struct sio_backlog *b = list_entry(delay, struct sio_backlog, sweep);
	struct sio_loop *at = loop;

	drop_old(b, 0);
	if (!list_empty(&b->past))
		net_delay_start(&b->sweep, &at->sweeps, at->loop);
}

void sio_backlog_break(struct sio_backlog *b)
{
	drop_all(b);
	b->first_place = ++b->next_place;
}

uint64_t sio_backlog_add(struct sio_backlog *b, const struct sio_target *target, struct sio_offset offset,
	struct blob_share *unit)
{
	size_t names_bytes = sio_target_names_bytes(target);
	size_t bytes = sizeof(struct sio_past) + names_bytes + unit->bytes;

	if (is_seen_by_all(offset))
		see(b, offset);
	struct sio_past *p = malloc(sizeof(*p) + names_bytes);
	if (p == NULL) {
		sio_backlog_break(b);
		if (is_seen_by_all(offset))
			b->lost[offset.emitter] = larger(b->lost[offset.emitter], offset.count);
		return b->next_place - 1;
	}
	drop_old(b, bytes); /* one always fits, however large */
	p->place = b->next_place++;
	p->offset = offset;
	p->at_ns = net_loop_now_ns(b->at->loop);
	p->unit = blob_ref(unit);
	p->bytes = bytes;
	p->target = sio_target_copy(target, p->names);
	b->bytes += bytes;
	list_push_back(&b->past, &p->node);
	if (!net_delay_running(&b->sweep))
		net_delay_start(&b->sweep, &b->at->sweeps, b->at->loop);
	return p->place;
}

static bool is_in(const struct sio_recoverable *r, const char *room)
{
	for (const char *name = r->rooms; name != NULL && name < r->rooms + r->rooms_bytes;
		name += strlen(name) + 1) {
		if (strcmp(name, room) == 0)
			return true;
	}
	return strcmp(r->sid, room) == 0;
}

static bool is_in_any(const struct sio_recoverable *r, const char *const *rooms, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (is_in(r, rooms[i]))
			return true;
	}
	return false;
}

static bool is_same(struct sio_id a, struct sio_id b)
{
	return a.loop == b.loop && a.slot == b.slot && a.generation == b.generation;
}

bool sio_past_is_for(const struct sio_past *p, const struct sio_recoverable *r)
{
	const struct sio_target *t = &p->target;

	if (t->only.generation != 0)
		return is_same(t->only, r->id);
	if (is_same(t->except, r->id) || is_in_any(r, t->except_rooms, t->except_room_count))
		return false;
	return (t->room == NULL && t->room_count == 0) || (t->room != NULL && is_in(r, t->room)) ||
	       is_in_any(r, t->rooms, t->room_count);
}

/* Those who ask have mostly missed little: from the newest on. */
uint64_t sio_backlog_find(const struct sio_backlog *b, struct sio_offset offset)
{
	for (struct list *n = b->past.prev; n != &b->past; n = n->prev) {
		const struct sio_past *p = list_entry(n, struct sio_past, node);

		if (p->offset.count == offset.count && p->offset.emitter == offset.emitter)
			return p->place;
	}
	return 0;
}

uint64_t sio_backlog_find_unit(const struct sio_backlog *b, const struct blob_share *unit)
{
	for (struct list *n = b->past.prev; n != &b->past; n = n->prev) {
		const struct sio_past *p = list_entry(n, struct sio_past, node);

		if (p->unit == unit)
			return p->place;
	}
	return 0;
}

struct sio_past *sio_backlog_next(const struct sio_backlog *b, const struct sio_past *p)
{
	return p->node.next == &b->past ? NULL : list_entry(p->node.next, struct sio_past, node);
}

struct sio_past *sio_backlog_behind(const struct sio_backlog *b, uint64_t place)
{
	struct list *n = b->past.prev;

	if (list_empty(&b->past) || b->next_place - 1 <= place)
		return NULL;
	while (n->prev != &b->past && list_entry(n->prev, struct sio_past, node)->place > place)
		n = n->prev;
	return list_entry(n, struct sio_past, node);
}
