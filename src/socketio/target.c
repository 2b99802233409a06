/*
 * socketio/target.c -- whom a target names, on one loop; what is asked of all of them; and targets that travel.
 *
 *      all | room, rooms[] | a socket's id        each socket once: what a visit has met, or is to leave out, has its number
 *        less except, except_rooms[]
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/base64.h"
#include "socketio/server_int.h"

bool sio_target_valid(const struct sio_target *t)
{
	return t->space != NULL && t->room_count <= SIO_TARGET_ROOMS_MAX &&
	       t->except_room_count <= SIO_TARGET_ROOMS_MAX;
}

bool sio_target_plain(const struct sio_target *t)
{
	return t->room_count == 0 && t->except_room_count == 0 && t->space->hooks->any_out.fn == NULL;
}

struct sio_socket *sio_socket_called(
	const struct sio_loop *at, const struct sio_space *space, const char *sid)
{
	uint8_t bytes[SIO_SOCKET_ID_BYTES + 3];
	struct sio_socket *back = at->server->recovers ? sio_recoverable_called(at, space, sid) : NULL;
	size_t decoded;

	if (back != NULL)
		return back;
	if (strlen(sid) != SIO_SID_BYTES - 1 || !base64url_decode(bytes, sid, SIO_SID_BYTES - 1, &decoded) ||
		decoded != SIO_SOCKET_ID_BYTES || bytes[11] != net_loop_index(at->loop))
		return NULL;
	struct sio_socket *s = slots_at(
		&at->sockets, (uint32_t)bytes[12] << 16 | (uint32_t)bytes[13] << 8 | (uint32_t)bytes[14]);
	if (s == NULL || s->space != space || s->session == NULL ||
		memcmp(s->random, bytes, sizeof(s->random)) != 0)
		return NULL;
	return s;
}

/* A new visit: nobody has its number. */
static void begin_visit(struct sio_loop *at)
{
	if (++at->visit != 0)
		return;
	for (uint32_t slot = 0; slot < at->sockets.used; slot++) {
		struct sio_socket *s = slots_at(&at->sockets, slot);
		if (s != NULL)
			s->visit = 0;
	}
	at->visit = 1;
}

static void mark(struct sio_socket *s, void *loop)
{
	const struct sio_loop *at = loop;

	s->visit = at->visit;
}

struct met {
	struct sio_loop *at;
	sio_visit_fn *fn;
	void *ctx;
};

static void meet(struct sio_socket *s, void *ctx)
{
	const struct met *m = ctx;

	if (s->visit == m->at->visit || s->session == NULL)
		return;
	s->visit = m->at->visit;
	m->fn(s, m->ctx);
}

/* Everybody in the room of that name (NULL: in the namespace), marked or not. */
static void each_in(const struct sio_loop *at, const struct sio_space *space, const char *name,
	sio_visit_fn *fn, void *ctx)
{
	const struct sio_space_loop *rooms = &space->loops[net_loop_index(at->loop)];
	const struct sio_room *room = name == NULL ? rooms->all : sio_room_find(rooms, name);
	struct sio_socket *called = name == NULL ? NULL : sio_socket_called(at, space, name);

	for (uint32_t i = 0; room != NULL && i < room->count; i++)
		fn(room->members[i].socket, ctx);
	if (called != NULL)
		fn(called, ctx);
}

static struct sio_socket *socket_of(
	const struct sio_loop *at, const struct sio_space *space, struct sio_id id)
{
	struct sio_socket *s = sio_socket_find(at, id);

	return s == NULL || s->space != space ? NULL : s;
}

void sio_visit(struct sio_loop *at, const struct sio_target *t, sio_visit_fn *fn, void *ctx)
{
	struct met m = { .at = at, .fn = fn, .ctx = ctx };
	struct sio_socket *except = socket_of(at, t->space, t->except);

	begin_visit(at);
	if (except != NULL)
		mark(except, at);
	for (uint32_t i = 0; i < t->except_room_count; i++)
		each_in(at, t->space, t->except_rooms[i], mark, at);
	if (t->only.generation != 0) {
		struct sio_socket *only = socket_of(at, t->space, t->only);
		if (only != NULL)
			meet(only, &m);
		return;
	}
	if (t->room != NULL || t->room_count == 0)
		each_in(at, t->space, t->room, meet, &m);
	for (uint32_t i = 0; i < t->room_count; i++)
		each_in(at, t->space, t->rooms[i], meet, &m);
}

struct found {
	struct sio_socket *first, **end;
};

static void link_found(struct sio_socket *s, void *ctx)
{
	struct found *f = ctx;

	s->next_visited = NULL;
	*f->end = s;
	f->end = &s->next_visited;
}

void sio_visit_all(struct sio_loop *at, const struct sio_target *t, sio_visit_fn *fn, void *ctx)
{
	struct found found = { .end = &found.first };

	assert(!at->visiting);
	sio_visit(at, t, link_found, &found);
	at->visiting = true;
	/* Who goes meanwhile is not freed before the iteration ends. */
	for (struct sio_socket *s = found.first; s != NULL; s = s->next_visited) {
		if (s->session != NULL)
			fn(s, ctx);
	}
	at->visiting = false;
}

/* Where the names of a target go: first the arrays of pointers to them, then their texts. */
size_t sio_target_names_bytes(const struct sio_target *t)
{
	size_t bytes = ((size_t)t->room_count + t->except_room_count) * sizeof(char *);

	if (t->room != NULL)
		bytes += strlen(t->room) + 1;
	for (uint32_t i = 0; i < t->room_count; i++)
		bytes += strlen(t->rooms[i]) + 1;
	for (uint32_t i = 0; i < t->except_room_count; i++)
		bytes += strlen(t->except_rooms[i]) + 1;
	return bytes;
}

static const char *copy_text(char **at, const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = *at;

	memcpy(copy, text, bytes);
	*at += bytes;
	return copy;
}

struct sio_target sio_target_copy(const struct sio_target *t, void *to)
{
	struct sio_target copy = *t;
	const char **pointers = to;
	char *texts = (char *)(pointers + t->room_count + t->except_room_count);

	if (t->room != NULL)
		copy.room = copy_text(&texts, t->room);
	copy.rooms = pointers;
	for (uint32_t i = 0; i < t->room_count; i++)
		*pointers++ = copy_text(&texts, t->rooms[i]);
	copy.except_rooms = pointers;
	for (uint32_t i = 0; i < t->except_room_count; i++)
		*pointers++ = copy_text(&texts, t->except_rooms[i]);
	return copy;
}
