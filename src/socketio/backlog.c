/*
 * socketio/backlog.c -- what was emitted in a namespace, as one loop has had it, to be sent again: see socketio/recovery_int.h.
 * Places have no gaps, so it is a ring; what was emitted is also found by its offset, and by its unit.
 *
 *      [ past 17 | past 18 | ... | past 93 ]     bounded by bytes and time; the oldest go first, whoever may want them; answers
 *        ^ first_place                 ^ next_place - 1        go for answers, and of all namespaces the oldest for the newest
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
	list_init(&b->answers);
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

static struct sio_past **slot_of(const struct sio_backlog *b, uint64_t place)
{
	return &b->ring[place & (b->ring_cap - 1)];
}

static bool is_empty(const struct sio_backlog *b)
{
	return b->first_place == b->next_place;
}

static bool is_answer(const struct sio_past *p)
{
	return p->offset.count == 0 && p->unit != NULL;
}

/* `more` may be less: it wraps. */
static void count_bytes(struct sio_backlog *b, const struct sio_past *p, size_t more)
{
	b->bytes += more;
	b->at->backlogs_bytes += more;
	if (is_answer(p))
		b->answers_bytes += more;
}

static void destroy(struct sio_backlog *b, struct sio_past *p)
{
	if (p->offset.count > 0)
		map_remove(&b->by_offset, &p->offset_node);
	list_remove(&p->node);
	list_remove(&p->answer_node);
	count_bytes(b, p, -p->bytes);
	*slot_of(b, p->place) = NULL;
	if (p->unit != NULL) {
		map_remove(&b->by_unit, &p->unit_node);
		blob_unkeep(p->unit);
		blob_unref(p->unit);
	}
	free(p);
	while (!is_empty(b) && *slot_of(b, b->first_place) == NULL)
		b->first_place++;
}

/* The oldest answer: whoever it was for will not come back to before it. */
static void drop_answer(struct sio_backlog *b)
{
	struct sio_past *p = list_entry(b->answers.next, struct sio_past, answer_node);

	assert(is_answer(p));
	sio_count(&b->at->counts.pasts_dropped, 1);
	sio_recoverable_answer_lost(p);
	destroy(b, p);
}

/* The oldest. */
static void drop(struct sio_backlog *b)
{
	struct sio_past *p = *slot_of(b, b->first_place);

	assert(p->place == b->first_place);
	if (is_seen_by_all(p->offset))
		b->lost[p->offset.emitter] = larger(b->lost[p->offset.emitter], p->offset.count);
	destroy(b, p);
}

static void drop_all(struct sio_backlog *b)
{
	while (!is_empty(b))
		drop(b);
	free(b->ring);
	b->ring = NULL;
	b->ring_cap = 0;
	net_delay_stop(&b->sweep);
}

/* For one more. False: no memory. */
static bool has_room(struct sio_backlog *b)
{
	if (b->next_place - b->first_place < b->ring_cap)
		return true;
	struct sio_backlog bigger = *b;
	bigger.ring_cap = b->ring_cap == 0 ? 16 : b->ring_cap * 2;
	bigger.ring = calloc(bigger.ring_cap, sizeof(struct sio_past *));
	if (bigger.ring == NULL)
		return false;
	for (uint64_t place = b->first_place; place < b->next_place; place++)
		*slot_of(&bigger, place) = *slot_of(b, place);
	free(b->ring);
	b->ring = bigger.ring;
	b->ring_cap = bigger.ring_cap;
	return true;
}

void sio_backlog_destroy(struct sio_backlog *b)
{
	drop_all(b);
	for (struct map_node *n; (n = map_any(&b->by_pid)) != NULL;)
		sio_recoverable_destroy(map_entry(n, struct sio_recoverable, pid_node));
	map_finish(&b->by_pid);
	map_finish(&b->by_id);
	map_finish(&b->by_sid);
	map_finish(&b->by_offset);
	map_finish(&b->by_unit);
	list_remove(&b->node);
	sio_here(b->space, b->at)->backlog = NULL;
	free(b);
}

static void drop_old(struct sio_backlog *b, size_t more_bytes)
{
	const struct sio_server *server = b->at->server;
	uint64_t now_ns = net_loop_now_ns(b->at->loop), window_ns = server->recovery_ms * CLOCK_NS_PER_MS;

	while (!is_empty(b)) {
		bool is_old = now_ns - (*slot_of(b, b->first_place))->at_ns > window_ns;

		if (!is_old && b->bytes + more_bytes <= server->backlog_bytes_max &&
			b->next_place - b->first_place < SIO_PLACES_MAX)
			return;
		sio_count(&b->at->counts.pasts_dropped, !is_old);
		drop(b);
	}
}

/* For one more that is so large; one always fits, however large. */
static void make_room(struct sio_backlog *b, bool for_answer, size_t bytes)
{
	struct sio_loop *at = b->at;
	size_t max = at->server->backlog_bytes_max;

	while (for_answer && !list_empty(&b->answers) && b->answers_bytes + bytes > max / SIO_ANSWERS_PART)
		drop_answer(b);
	drop_old(b, bytes);
	while (!list_empty(&at->pasts) && at->backlogs_bytes + bytes > max * SIO_BACKLOGS_MAX) {
		sio_count(&at->counts.pasts_dropped, 1);
		drop(list_entry(at->pasts.next, struct sio_past, node)->backlog);
	}
}

void sio_backlog_sweep(struct net_delay *delay, void *loop)
{
	struct sio_backlog *b = list_entry(delay, struct sio_backlog, sweep);
	struct sio_loop *at = loop;

	drop_old(b, 0);
	if (is_empty(b))
		drop_all(b);
	else
		net_delay_start(&b->sweep, &at->sweeps, at->loop);
}

void sio_backlog_break(struct sio_backlog *b)
{
	uint64_t kept = 0;

	for (uint64_t place = b->first_place; place < b->next_place; place++)
		kept += *slot_of(b, place) != NULL;
	if (atomic_load_explicit(&b->space->identities, memory_order_relaxed) > 0)
		sio_count(&b->at->counts.pasts_dropped, kept);
	drop_all(b);
	b->first_place = ++b->next_place;
}

/* By what it is found. False: no memory, and it is by nothing. */
static bool index_past(struct sio_backlog *b, struct sio_past *p)
{
	if (p->unit == NULL)
		return true;
	if (!map_insert(&b->by_unit, &p->unit_node, str_of((const char *)&p->unit, sizeof(p->unit))))
		return false;
	if (p->offset.count == 0 || map_insert(&b->by_offset, &p->offset_node,
					    str_of((const char *)&p->offset, sizeof(p->offset))))
		return true;
	map_remove(&b->by_unit, &p->unit_node);
	return false;
}

/* Not kept, for there is nobody who might come back, or no memory: as if it had been dropped at once. */
static uint64_t skip(struct sio_backlog *b, struct sio_offset offset)
{
	sio_backlog_break(b);
	sio_count(&b->at->counts.pasts_dropped,
		atomic_load_explicit(&b->space->identities, memory_order_relaxed) > 0);
	if (is_seen_by_all(offset))
		b->lost[offset.emitter] = larger(b->lost[offset.emitter], offset.count);
	return b->next_place - 1;
}

uint64_t sio_backlog_add(struct sio_backlog *b, const struct sio_target *target, struct sio_offset offset,
	struct blob_share *unit)
{
	size_t names_bytes = sio_target_names_bytes(target);
	size_t bytes = sizeof(struct sio_past) + names_bytes + (unit == NULL ? 0 : unit->bytes);

	if (is_seen_by_all(offset))
		see(b, offset);
	if (atomic_load_explicit(&b->space->identities, memory_order_relaxed) == 0)
		return skip(b, offset);
	make_room(b, offset.count == 0 && unit != NULL, bytes);
	struct sio_past *p = has_room(b) ? malloc(sizeof(*p) + names_bytes) : NULL;
	if (p == NULL)
		return skip(b, offset);
	p->place = b->next_place;
	p->offset = offset;
	p->at_ns = net_loop_now_ns(b->at->loop);
	p->unit = unit;
	p->bytes = bytes;
	p->backlog = b;
	list_init(&p->node);
	list_init(&p->answer_node);
	p->target = sio_target_copy(target, p->names);
	if (!index_past(b, p)) {
		free(p);
		return skip(b, offset);
	}
	if (unit != NULL)
		blob_keep(blob_ref(unit));
	count_bytes(b, p, bytes);
	list_push_back(&b->at->pasts, &p->node);
	if (is_answer(p))
		list_push_back(&b->answers, &p->answer_node);
	*slot_of(b, b->next_place++) = p;
	if (!net_delay_running(&b->sweep))
		net_delay_start(&b->sweep, &b->at->sweeps, b->at->loop);
	return p->place;
}

static bool is_in(const struct sio_recoverable *r, const char *room)
{
	return strcmp(r->sid, room) == 0 || sio_recoverable_was_in(r, room);
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

bool sio_target_was_for(const struct sio_target *t, const struct sio_recoverable *r)
{
	if (is_same(t->except, r->id) || is_in_any(r, t->except_rooms, t->except_room_count))
		return false;
	if (t->only.generation != 0)
		return is_same(t->only, r->id);
	return (t->room == NULL && t->room_count == 0) || (t->room != NULL && is_in(r, t->room)) ||
	       is_in_any(r, t->rooms, t->room_count);
}

bool sio_past_is_for(const struct sio_past *p, const struct sio_recoverable *r)
{
	return p != NULL && p->unit != NULL && sio_target_was_for(&p->target, r);
}

uint64_t sio_backlog_find(const struct sio_backlog *b, struct sio_offset offset)
{
	struct map_node *n = map_find(&b->by_offset, str_of((const char *)&offset, sizeof(offset)));

	return n == NULL ? 0 : map_entry(n, struct sio_past, offset_node)->place;
}

uint64_t sio_backlog_find_unit(const struct sio_backlog *b, const struct blob_share *unit)
{
	struct map_node *n = map_find(&b->by_unit, str_of((const char *)&unit, sizeof(unit)));

	return n == NULL ? 0 : map_entry(n, struct sio_past, unit_node)->place;
}

const struct sio_past *sio_backlog_at(const struct sio_backlog *b, uint64_t place)
{
	assert(place >= b->first_place && place < b->next_place);
	return *slot_of(b, place);
}
