/*
 * sio_on_broadcast(): two servers, which stand for two processes, hear each other; what is for one socket, or local, stays.
 */
#include <errno.h>

#include "served.h"

#define NEXT "\x1e" /* between the packets of a payload */

struct node {
	struct served s;
	struct sio_space *root, *teams;
	struct node *other;
	int fd; /* of its client */
	char target[100];
	atomic_uint told;
};

static struct node nodes[2];

/* As a bus does: what names the namespace over there, and all else as it is. */
static void pass_on(const struct sio_broadcast *b)
{
	struct node *here = b->ctx, *there = here->other;
	struct sio_target to = b->target;

	assert(to.is_local && to.only.generation == 0 && to.except.generation == 0);
	to.space = to.space == here->root ? there->root : there->teams;
	atomic_fetch_add(&here->told, 1);
	int rc = sio_emit(to, b->event, b->args);
	assert(rc == 0);
}

static void on_connection(const struct sio_event *e)
{
	int rc = sio_join(e->socket, "r");
	assert(rc == 0);
}

static void on_say(const struct sio_event *e)
{
	int rc = sio_emit(sio_to(e->socket, "r"), "said", e->args);
	assert(rc == 0);
}

/* What it emits itself comes behind, elsewhere too. */
static void on_watched(const struct sio_event *e)
{
	if (e->name.bytes == 5 && memcmp(e->name.s, "first", 5) == 0)
		assert(sio_emit(sio_all(((struct node *)e->ctx)->root), "second", sio_json("[]")) == 0);
}

static void on_lead(const struct sio_event *e)
{
	int rc = sio_emit(sio_all(sio_space_of(e->socket)), "first", sio_json("[]"));
	assert(rc == 0);
}

static bool any_team(void *ctx, struct sio_str name, struct sio_str auth)
{
	(void)ctx;
	(void)name;
	(void)auth;
	return true;
}

static void open_client(struct node *node)
{
	struct buf body;

	node->fd = client_connect(&node->s.h);
	assert_true(served_open(node->fd, node->target));
	assert_int_equal(served_ask(node->fd, "POST", node->target, "40" NEXT "40/team-1,", NULL), 200);
	assert_int_equal(
		served_ask(node->fd, "GET", node->target, "", &body), 200); /* both are answered at once */
	assert_non_null(memmem(body.data, body.bytes, "40/team-1,", 10));
	buf_finish(&body);
}

static int start(void **state)
{
	static const struct sio_recovery recovery;

	for (size_t i = 0; i < 2; i++) {
		struct node *node = &nodes[i];

		*node = (struct node){ .other = &nodes[1 - i] };
		served_create(&node->s,
			&(struct sio_options){ .threads = 2, .recovery = *state != NULL ? &recovery : NULL });
		node->root = sio_of(node->s.io, "/");
		node->teams = sio_of_names(node->s.io, any_team, NULL);
		assert_non_null(node->teams);
		assert_int_equal(sio_on(node->root, "connection", on_connection, NULL), 0);
		assert_int_equal(sio_on(node->root, "say", on_say, NULL), 0);
		assert_int_equal(sio_on(node->root, "lead", on_lead, NULL), 0);
		if (i == 0)
			sio_on_any_out(node->root, on_watched, node);
		sio_on_broadcast(node->root, pass_on, node);
		sio_on_broadcast(node->teams, pass_on, node);
	}
	for (size_t i = 0; i < 2; i++) {
		served_run(&nodes[i].s);
		open_client(&nodes[i]);
	}
	return 0;
}

static int finish(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		close(nodes[i].fd);
		served_finish(&nodes[i].s);
	}
	return 0;
}

static void expect(size_t i, const char *want)
{
	served_expect(nodes[i].fd, nodes[i].target, want);
}

static void a_room_is_one_in_both(void **state)
{
	(void)state;
	assert_int_equal(served_ask(nodes[0].fd, "POST", nodes[0].target,
				 "451-[\"say\",{\"_placeholder\":true,\"num\":0}]" NEXT "bAQID", NULL),
		200);
	expect(1, "451-[\"said\",{\"_placeholder\":true,\"num\":0}]" NEXT "bAQID");
	assert_int_equal(served_ask(nodes[1].fd, "POST", nodes[1].target, "42[\"say\",7]", NULL), 200);
	expect(0, "42[\"said\",7]"); /* and before it not what it has said itself */
	assert_int_equal(atomic_load(&nodes[0].told), 1);
	assert_int_equal(atomic_load(&nodes[1].told), 1);
}

static void what_is_for_one_process_stays(void **state)
{
	struct sio_target local = sio_all(nodes[0].root), one = local;

	(void)state;
	local.is_local = true;
	one.only = (struct sio_id){ .slot = 4000, .generation = 1 };
	assert_int_equal(sio_emit(local, "near", sio_json("[1]")), 0);
	assert_int_equal(sio_emit(one, "one", sio_json("[]")), 0);
	assert_int_equal(sio_emit(sio_all(nodes[0].root), "bad", sio_json("[")), -EINVAL);
	assert_int_equal(sio_emit(sio_all(nodes[0].root), "connect", sio_json("[]")), -EINVAL);
	assert_int_equal(atomic_load(&nodes[0].told), 0);
	assert_int_equal(sio_emit(sio_in(nodes[0].root, "r"), "far", sio_json("[2]")), 0);
	expect(0, "42[\"near\",1]" NEXT "42[\"far\",2]");
	expect(1, "42[\"far\",2]");
	assert_int_equal(atomic_load(&nodes[0].told), 1);
	assert_int_equal(atomic_load(&nodes[1].told), 0);
}

static void rooms_to_leave_out_and_flags_go_along(void **state)
{
	static const char *const rooms[] = { "q", "r" }, *const except[] = { "r" };
	struct sio_target to = { .space = nodes[0].root, .rooms = rooms, .room_count = 2 }, less = to;

	(void)state;
	less.except_rooms = except;
	less.except_room_count = 1;
	assert_int_equal(sio_emit(less, "nobody", sio_json("[]")), 0);
	to.except = (struct sio_id){ .slot = 4000, .generation = 1 };
	assert_int_equal(sio_emit(to, "both", sio_json("[]")), 0);
	expect(0, "42[\"both\"]");
	expect(1, "42[\"both\"]");
	assert_int_equal(atomic_load(&nodes[0].told), 2);
}

/* Once, however many children there are here: over there they may be others. */
static void a_parent_is_told_of_once(void **state)
{
	(void)state;
	assert_int_equal(served_ask(nodes[0].fd, "POST", nodes[0].target, "40/team-2,", NULL), 200);
	struct buf body;
	assert_int_equal(served_ask(nodes[0].fd, "GET", nodes[0].target, "", &body), 200);
	buf_finish(&body);
	assert_int_equal(sio_emit(sio_all(nodes[0].teams), "all", sio_json("[]")), 0);
	expect(1, "42/team-1,[\"all\"]");
	assert_int_equal(atomic_load(&nodes[0].told), 1);
}

static void watched_and_passed_on_in_order(void **state)
{
	(void)state;
	assert_int_equal(served_ask(nodes[0].fd, "POST", nodes[0].target, "42[\"lead\"]", NULL), 200);
	for (size_t i = 0; i < 2; i++)
		expect(i, "42[\"first\"]" NEXT "42[\"second\"]");
}

/* With recovery other threads' emits have one order, under a lock: which is free when the function runs. */
static void from_another_thread_with_recovery(void **state)
{
	struct buf body;

	(void)state;
	assert_int_equal(sio_emit(sio_all(nodes[0].root), "numbered", sio_json("[]")), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(served_ask(nodes[i].fd, "GET", nodes[i].target, "", &body), 200);
		assert_true(body.bytes > 14);
		assert_memory_equal(body.data, "42[\"numbered\",", 14);
		buf_finish(&body);
	}
	assert_int_equal(atomic_load(&nodes[0].told), 1);
}

int main(void)
{
	static bool recovers = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_room_is_one_in_both, start, finish),
		cmocka_unit_test_setup_teardown(what_is_for_one_process_stays, start, finish),
		cmocka_unit_test_setup_teardown(rooms_to_leave_out_and_flags_go_along, start, finish),
		cmocka_unit_test_setup_teardown(a_parent_is_told_of_once, start, finish),
		cmocka_unit_test_setup_teardown(watched_and_passed_on_in_order, start, finish),
		cmocka_unit_test_prestate_setup_teardown(
			from_another_thread_with_recovery, start, finish, &recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
