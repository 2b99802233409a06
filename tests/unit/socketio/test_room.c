/* Who is in which room, beside a table of truth: at random, with memory that fails now and then. And how the tables grow. */
#include <errno.h>

#include "lib/failing_alloc.h"
#include "lib/rng.h"
#include "served.h"
#include "sio/stats.h"

enum { SOCKETS = 24, ROOMS = 120, STEPS = 40000, FAIL_EVERY = 7 };
enum { CROWD = 3000 };
enum { ALLOCATIONS = 4 }; /* of one that joins a new room: the room, its place in the map, both tables */

static struct served s;
static struct sio_client client;
static struct sio_socket sockets[SOCKETS];
static bool truth[SOCKETS][ROOMS];
static const struct sio_space_loop *rooms;

static const char *name_of(uint32_t room)
{
	static char name[16];

	snprintf(name, sizeof(name), "room %u", room);
	return name;
}

static void check_socket(struct sio_socket *socket, const bool *in)
{
	uint32_t count = 1;

	for (uint32_t r = 0; r < ROOMS; r++)
		count += in[r];
	assert_int_equal(socket->membership_count, count);
	for (uint32_t i = 0; i < count; i++) {
		const struct sio_membership *m = i == 0 ? &socket->all : &socket->memberships[i - 1];

		assert_true(m->member < m->room->count);
		assert_ptr_equal(m->room->members[m->member].socket, socket);
		assert_int_equal(m->room->members[m->member].membership, i);
	}
	assert_ptr_equal(socket->all.room, rooms->all);
}

static void check_everything(void)
{
	for (uint32_t i = 0; i < SOCKETS; i++)
		check_socket(&sockets[i], truth[i]);
	for (uint32_t r = 0; r < ROOMS; r++) {
		const struct sio_room *room = sio_room_find(rooms, name_of(r));
		uint32_t count = 0;

		for (uint32_t i = 0; i < SOCKETS; i++)
			count += truth[i][r];
		assert_true(room == NULL ? count == 0 : room->count == count && count > 0);
	}
	assert_int_equal(rooms->all->count, SOCKETS);
}

static void come(uint32_t i)
{
	memset(truth[i], 0, sizeof(truth[i]));
	assert_true(sio_room_enter_all(&sockets[i]));
}

static void step(struct rng *rng)
{
	uint32_t i = (uint32_t)rng_below(rng, SOCKETS), r = (uint32_t)rng_below(rng, ROOMS);
	uint32_t what = (uint32_t)rng_below(rng, 100);

	if (what == 0) { /* another comes in its place */
		sio_rooms_leave_all(&sockets[i]);
		come(i);
	} else if (what < 60) {
		if (what % FAIL_EVERY == 0)
			failing_alloc_arm(1 + (uint32_t)rng_below(rng, ALLOCATIONS));
		int rc = sio_join(&sockets[i], name_of(r));
		(void)!failing_alloc_disarm();
		assert_true(rc == 0 || (rc == -ENOMEM && what % FAIL_EVERY == 0));
		truth[i][r] = truth[i][r] || rc == 0;
	} else {
		sio_leave(&sockets[i], name_of(r));
		truth[i][r] = false;
	}
}

static void tables_that_name_each_other(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	struct sio_space *root = sio_of(s.io, "/");
	rooms = &root->loops[0];
	client.at = &s.io->loops[0];
	for (uint32_t i = 0; i < SOCKETS; i++) {
		sockets[i].client = &client;
		sockets[i].space = root;
		sockets[i].session = (void *)&client; /* it has joined: more is not asked of it */
		come(i);
	}
	for (uint32_t n = 0; n < STEPS; n++) {
		step(&rng);
		if (n % 64 == 0)
			check_everything();
	}
	for (uint32_t i = 0; i < SOCKETS; i++)
		sio_rooms_leave_all(&sockets[i]);
	assert_null(rooms->all);
	assert_null(map_any(&rooms->rooms));
	served_finish(&s);
}

static void enter_server(void)
{
	served_create(&s, &(struct sio_options){ .threads = 1 });
	rooms = &sio_of(s.io, "/")->loops[0];
	client.at = &s.io->loops[0];
}

static void enter_socket(struct sio_socket *socket)
{
	*socket = (struct sio_socket){
		.client = &client, .space = sio_of(s.io, "/"), .session = (void *)&client
	};
	assert_true(sio_room_enter_all(socket));
}

/* A table is full when it grows, so how many there are then is what it had room for: at most 1.3 times those of the time before. */
static void a_socket_grows_by_little_and_to_a_limit(void **state)
{
	struct sio_socket *socket = &sockets[0];
	uint32_t grew_at = 0;
	uint8_t steps = 0;
	char name[16];
	struct sio_stats stats;

	(void)state;
	enter_server();
	enter_socket(socket);
	assert_int_equal(sio_join(socket, "\xff"), -EINVAL);
	assert_int_equal(sio_join_all(sio_all(socket->space), "\xff"), -EINVAL);
	for (uint32_t count = 1; count <= SIO_ROOMS_PER_SOCKET_MAX; count++) {
		snprintf(name, sizeof(name), "%u", count);
		assert_int_equal(sio_join(socket, name), 0);
		if (socket->membership_steps == steps)
			continue;
		assert_true(grew_at < 8 || (count - 1) * 10 <= grew_at * 13);
		steps = socket->membership_steps;
		grew_at = count;
	}
	assert_true(grew_at > SIO_ROOMS_PER_SOCKET_MAX / 2);
	assert_int_equal(sio_join(socket, "one too many"), -ENOSPC);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.joins_refused, 1);
	assert_int_equal(sio_join(socket, name), 0); /* where it is already */
	assert_true(sio_is_in(socket, name));
	assert_false(sio_is_in(socket, "one too many"));
	sio_leave(socket, name);
	assert_int_equal(sio_join(socket, "one too many"), 0);
	sio_rooms_leave_all(socket);
	assert_null(map_any(&rooms->rooms));
	served_finish(&s);
}

static void a_room_grows_by_little(void **state)
{
	static struct sio_socket crowd[CROWD];

	(void)state;
	enter_server();
	for (uint32_t i = 0; i < CROWD; i++) {
		enter_socket(&crowd[i]);
		assert_int_equal(rooms->all->count, i + 1);
		assert_true(rooms->all->cap > i && (i < 8 || rooms->all->cap * 10 <= (i + 1) * 13));
	}
	for (uint32_t i = 0; i < CROWD; i++)
		sio_rooms_leave_all(&crowd[i]);
	assert_null(rooms->all);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_grows_by_little_and_to_a_limit),
		cmocka_unit_test(a_room_grows_by_little),
		cmocka_unit_test(tables_that_name_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
