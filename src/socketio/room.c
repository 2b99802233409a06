/*
 * socketio/room.c -- who is in which room, on one loop.
 *
 *      room.members:        [ {socket A, 1} | {socket B, 3} | ... ]      the numbers are places in each other, so
 *      A: all, memberships: [ {room, 0} | ... ]                          nobody else is moved but the last of each
 *
 * Joining looks through the socket's own rooms or the room, whichever is shorter; leaving through the socket's rooms.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "socketio/server_int.h"

static struct sio_space_loop *rooms_of(const struct sio_socket *s)
{
	return &s->space->loops[net_loop_index(s->client->at->loop)];
}

struct sio_room *sio_room_find(const struct sio_space_loop *rooms, const char *name)
{
	struct map_node *n = map_find(&rooms->rooms, str_c(name));

	return n == NULL ? NULL : map_entry(n, struct sio_room, node);
}

static struct sio_room *create_room(struct str name)
{
	struct sio_room *r = calloc(1, sizeof(*r) + name.bytes + 1);

	if (r != NULL && name.bytes > 0)
		memcpy(r->name, name.s, name.bytes);
	return r;
}

static void destroy_room(struct sio_room *r)
{
	assert(r->count == 0);
	free(r->members);
	free(r);
}

static struct sio_membership *membership(struct sio_socket *s, uint32_t i)
{
	assert(i < s->membership_count);
	return i == 0 ? &s->all : &s->memberships[i - 1];
}

/*
 * How tables grow: a socket's, which counts how often it has, and a room's, which keeps what it has room for. From eight on by at most
 * 3/10, so that a membership takes at most 1.3 times its two places.
 */
#define OCTAVE(n) 8 << (n), 10 << (n), 13 << (n)
static const uint32_t table_room[] = { 0, 1, 2, 3, 4, 6, OCTAVE(0), OCTAVE(1), OCTAVE(2), OCTAVE(3),
	OCTAVE(4), OCTAVE(5), OCTAVE(6), OCTAVE(7), OCTAVE(8), OCTAVE(9), OCTAVE(10), OCTAVE(11), OCTAVE(12),
	OCTAVE(13) };
_Static_assert(8 << 13 >= SIO_ROOMS_PER_SOCKET_MAX, "a socket's table may grow to its limit");

static uint32_t grown(uint32_t cap)
{
	return cap < 4 ? cap + 1 : cap < 8 ? cap + 2 : cap + cap / 10 * 3 + cap % 10 * 3 / 10;
}

/* Make both tables one longer, or neither. */
static bool reserve(struct sio_socket *s, struct sio_room *r)
{
	if (s->membership_count > table_room[s->membership_steps]) {
		uint32_t room = table_room[s->membership_steps + 1];
		struct sio_membership *bigger = realloc(s->memberships, room * sizeof(*bigger));
		if (bigger == NULL)
			return false;
		s->memberships = bigger;
		s->membership_steps++;
	}
	if (r->count == r->cap) {
		uint32_t cap = grown(r->cap);
		struct sio_member *bigger = realloc(r->members, cap * sizeof(*bigger));
		if (bigger == NULL)
			return false;
		r->members = bigger;
		r->cap = cap;
	}
	return true;
}

static bool enter(struct sio_socket *s, struct sio_room *r)
{
	if (!reserve(s, r))
		return false;
	r->members[r->count] = (struct sio_member){ .socket = s, .membership = s->membership_count };
	s->membership_count++;
	*membership(s, s->membership_count - 1) = (struct sio_membership){ .room = r, .member = r->count };
	r->count++;
	return true;
}

bool sio_room_enter_all(struct sio_socket *s)
{
	struct sio_space_loop *rooms = rooms_of(s);

	assert(s->membership_count == 0);
	if (rooms->all == NULL)
		rooms->all = create_room(STR(""));
	if (rooms->all == NULL)
		return false;
	if (enter(s, rooms->all))
		return true;
	if (rooms->all->count == 0) {
		destroy_room(rooms->all);
		rooms->all = NULL;
	}
	return false;
}

static bool is_member(const struct sio_socket *s, const struct sio_room *r)
{
	/* The shorter of the two lists. */
	if (r->count < s->membership_count) {
		for (uint32_t i = 0; i < r->count; i++) {
			if (r->members[i].socket == s)
				return true;
		}
		return false;
	}
	for (uint32_t i = 1; i < s->membership_count; i++) {
		if (s->memberships[i - 1].room == r)
			return true;
	}
	return false;
}

int sio_room_enter(struct sio_socket *s, struct str name)
{
	struct sio_space_loop *rooms = rooms_of(s);
	struct map_node *n = map_find(&rooms->rooms, name);
	struct sio_room *r = n == NULL ? NULL : map_entry(n, struct sio_room, node);

	if (r != NULL && is_member(s, r))
		return 0;
	if (s->membership_count > SIO_ROOMS_PER_SOCKET_MAX) {
		sio_count(&s->client->at->counts.joins_refused, 1);
		return -ENOSPC;
	}
	if (r == NULL) { /* else its name is known to be UTF-8 */
		if (!sio_room_name_valid(name))
			return -EINVAL;
		r = create_room(name);
		if (r == NULL)
			return -ENOMEM;
		if (!map_insert(&rooms->rooms, &r->node, str_of(r->name, name.bytes))) {
			destroy_room(r);
			return -ENOMEM;
		}
	}
	if (enter(s, r))
		return 0;
	if (r->count == 0) {
		map_remove(&rooms->rooms, &r->node);
		destroy_room(r);
	}
	return -ENOMEM;
}

/* Take the socket out of its i-th room; the last membership and the last member fill the gaps. */
static void leave_at(struct sio_socket *s, uint32_t i)
{
	struct sio_membership gone = *membership(s, i);
	struct sio_room *r = gone.room;
	struct sio_member last_member = r->members[r->count - 1];
	struct sio_membership last_membership = *membership(s, s->membership_count - 1);

	assert(r->members[gone.member].socket == s && r->members[gone.member].membership == i);
	r->members[gone.member] = last_member;
	membership(last_member.socket, last_member.membership)->member = gone.member;
	r->count--;
	s->membership_count--;
	if (i != s->membership_count) {
		*membership(s, i) = last_membership;
		last_membership.room->members[last_membership.member].membership = i;
	}
	if (r->count > 0)
		return;
	if (r == rooms_of(s)->all)
		rooms_of(s)->all = NULL;
	else
		map_remove(&rooms_of(s)->rooms, &r->node);
	destroy_room(r);
}

void sio_rooms_leave_all(struct sio_socket *s)
{
	while (s->membership_count > 0)
		leave_at(s, s->membership_count - 1);
	free(s->memberships);
	s->memberships = NULL;
	s->membership_steps = 0;
}

bool sio_is_in(const struct sio_socket *s, const char *room)
{
	const struct sio_room *r = sio_room_find(rooms_of(s), room);

	return r != NULL && s->membership_count > 0 && is_member(s, r);
}

bool sio_room_name_valid(struct str name)
{
	return name.bytes > 0 && name.bytes <= SIO_ROOM_BYTES_MAX &&
	       utf8_valid((const uint8_t *)name.s, name.bytes);
}

int sio_join(struct sio_socket *s, const char *room)
{
	struct str name = str_c(room);

	if (name.bytes == 0 || name.bytes > SIO_ROOM_BYTES_MAX)
		return -EINVAL;
	if (s->session == NULL)
		return s->reason == NULL ? -EINVAL
					 : 0; /* not joined yet; or gone, and it would leave at once */
	return sio_room_enter(s, name);
}

void sio_leave(struct sio_socket *s, const char *room)
{
	const struct sio_room *r = sio_room_find(rooms_of(s), room);

	for (uint32_t i = 1; r != NULL && i < s->membership_count; i++) {
		if (membership(s, i)->room == r) {
			leave_at(s, i);
			return;
		}
	}
}

const char *sio_room_at(const struct sio_socket *s, uint32_t i)
{
	/* The first is the room of all. */
	return s->membership_count > 1 && i < s->membership_count - 1 ? s->memberships[i].room->name : NULL;
}
