/*
 * Who is sent away while its connection is broken does not come back as who it was: by its room, its id or its namespace, at any moment
 * between its end and its return. Nobody else is meant.
 */
#include <errno.h>

#include "guest.h"
#include "sio/stats.h"

enum moment {
	AWAY, /* its handlers have been called, and nothing more happens to it */
	LEAVING, /* another socket, of the same broken connection, hears of its end before */
	IN_DISCONNECTING, /* its own handlers do it */
	IN_DISCONNECT,
};

enum { LOOPS = 2 };

static struct served s;
static struct sio_space *root, *second;
static atomic_uint connected, recovered, left, destroyed, blocked, go_on;
static enum moment moment;
/* At the last "connection"; read when its client knows of it. */
static struct sio_id last_id;
static char last_sid[SIO_SID_BYTES];
static char kept[] = "kept";
static bool by_sid; /* else by its room */

static void destroy(void *data)
{
	assert(data == kept);
	atomic_fetch_add(&destroyed, 1);
}

static void on_connection(const struct sio_event *e)
{
	char room[2] = "a";

	last_id = sio_id(e->socket);
	sio_sid(e->socket, last_sid);
	if (!sio_recovered(e->socket)) {
		sio_set_data(e->socket, kept, destroy);
		assert(sio_join(e->socket, room) == 0);
	}
	atomic_fetch_add(&recovered, sio_recovered(e->socket));
	atomic_fetch_add(&connected, 1);
}

static void send_away(void)
{
	assert(sio_disconnect_all(sio_in(root, by_sid ? last_sid : "a"), false) == 0);
}

static void on_disconnecting(const struct sio_event *e)
{
	(void)e;
	if (moment == IN_DISCONNECTING)
		send_away();
}

static void on_disconnect(const struct sio_event *e)
{
	(void)e;
	if (moment == IN_DISCONNECT)
		send_away();
	atomic_fetch_add(&left, 1);
}

static void on_other_disconnect(const struct sio_event *e)
{
	(void)e;
	if (moment == LEAVING)
		send_away();
}

static void on_join(const struct sio_event *e)
{
	assert(sio_join(e->socket, e->ctx) == 0);
}

static void on_echo(const struct sio_event *e)
{
	assert(sio_answer(e->ack, sio_json("[]")) == 0);
}

/* Its loop stands still. */
static void on_block(const struct sio_event *e)
{
	(void)e;
	atomic_store(&blocked, 1);
	while (atomic_load(&go_on) == 0)
		sched_yield();
}

static void start(uint32_t loops)
{
	static const struct sio_recovery recovery = { .window_ms = 60000 };
	atomic_uint *counts[] = { &connected, &recovered, &left, &destroyed, &blocked, &go_on };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		atomic_store(counts[i], 0);
	moment = AWAY;
	served_create(&s, &(struct sio_options){ .threads = loops, .recovery = &recovery });
	root = sio_of(s.io, "/");
	second = sio_of(s.io, "/other");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "disconnecting", on_disconnecting, NULL), 0);
	assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_on(root, "echo", on_echo, NULL), 0);
	assert_int_equal(sio_on(root, "join b", on_join, "b"), 0);
	assert_int_equal(sio_on(second, "disconnect", on_other_disconnect, NULL), 0);
	assert_int_equal(sio_on(second, "block", on_block, NULL), 0);
	served_run(&s);
}

static void arrive(struct client *c, uint32_t loop)
{
	char text[4096];

	open_on(&s, c, loop);
	join(c, NULL, NULL);
	joined(c, text);
}

static void post(struct client *c, const char *text)
{
	assert_int_equal(served_ask(c->fd, "POST", c->target, text, NULL), 200);
}

static void break_off(struct client *c)
{
	unsigned before = atomic_load(&left);

	leave(c);
	WAIT_FOR(atomic_load(&left) > before);
}

/* True: as who it was. */
static bool comes_back(struct client *c, uint32_t loop)
{
	char pid[SIO_SID_BYTES], text[4096];

	memcpy(pid, c->pid, sizeof(pid));
	open_on(&s, c, loop);
	join(c, pid, NULL);
	joined(c, text);
	return strcmp(pid, c->pid) == 0;
}

static void told_gone(struct sio_socket *socket, void *ctx)
{
	assert(socket == NULL);
	atomic_store((atomic_uint *)ctx, 1);
}

/* A loop has done what it was asked for before. */
static void catch_up_with(uint32_t loop)
{
	struct sio_id nobody = { .loop = loop, .slot = 100000, .generation = 1 };
	atomic_uint done = 0;

	assert_int_equal(sio_with(root, nobody, told_gone, &done), 0);
	WAIT_FOR(atomic_load(&done) == 1);
}

static void catch_up(void)
{
	for (uint32_t i = 0; i < s.io->loop_count; i++)
		catch_up_with(i);
}

static void whatever_names_it(void **state)
{
	struct client c;

	(void)state;
	start(LOOPS);
	for (uint32_t loop = 0; loop < LOOPS; loop++) {
		const char *rooms[] = { "b", "a" };
		struct sio_target of_rooms = sio_all(root), of_id = sio_all(root);

		of_rooms.rooms = rooms;
		of_rooms.room_count = 2;
		arrive(&c, 0);
		of_id.only = last_id;
		/* The last two are made anew for each. */
		const struct sio_target targets[] = { sio_all(root), sio_in(root, "a"), of_rooms,
			sio_in(root, last_sid), of_id };
		for (size_t i = 0; i <= sizeof(targets) / sizeof(targets[0]); i++) {
			unsigned destroyed_before;

			if (i > 0)
				arrive(&c, 0);
			of_id.only = last_id;
			destroyed_before = atomic_load(&destroyed);
			break_off(&c);
			if (i == sizeof(targets) / sizeof(targets[0]))
				assert_int_equal(sio_disconnect_id(root, last_id, false), 0);
			else
				assert_int_equal(sio_disconnect_all(i == 4 ? of_id : targets[i], true), 0);
			catch_up();
			assert_false(comes_back(&c, loop));
			WAIT_FOR(atomic_load(&destroyed) == destroyed_before + 1);
			post(&c, "41");
			close(c.fd);
			WAIT_FOR(atomic_load(&destroyed) == destroyed_before + 2);
		}
	}
	assert_int_equal(atomic_load(&recovered), 0);
	served_finish(&s);
}

static void who_is_not_meant_comes_back(void **state)
{
	struct client c;
	struct sio_stats stats;

	(void)state;
	start(LOOPS);
	arrive(&c, 0);
	for (uint32_t loop = 0; loop < LOOPS; loop++) {
		const char *except[] = { "a" };
		struct sio_target others = sio_all(root), not_it = sio_all(root);

		others.except_rooms = except;
		others.except_room_count = 1;
		not_it.except = last_id;
		break_off(&c);
		assert_int_equal(sio_disconnect_all(sio_in(root, "b"), false), 0);
		assert_int_equal(sio_disconnect_all(sio_all(second), false), 0);
		assert_int_equal(sio_disconnect_all(others, false), 0);
		assert_int_equal(sio_disconnect_all(not_it, false), 0);
		/* Who is cut off is to come back. */
		assert_int_equal(sio_connection_close_all(sio_all(root)), 0);
		assert_int_equal(sio_connection_close_id(root, last_id), 0);
		catch_up();
		assert_true(comes_back(&c, loop));
	}
	assert_int_equal(atomic_load(&destroyed), 0);
	/* And once it is back, it is who was there before. */
	assert_int_equal(sio_disconnect_all(sio_in(root, "a"), false), 0);
	WAIT_FOR(atomic_load(&left) == LOOPS + 1);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.sockets_recovered, LOOPS);
	close(c.fd);
	served_finish(&s);
}

/* Each loop counts for itself: the first to come to one has the place that the first of another has. */
static void who_has_the_same_place_elsewhere_is_not_meant(void **state)
{
	struct client c[LOOPS];
	struct sio_id ids[LOOPS];

	(void)state;
	start(LOOPS);
	for (uint32_t loop = 0; loop < LOOPS; loop++) {
		arrive(&c[loop], loop);
		ids[loop] = last_id;
	}
	/* Sessions that came to the other loop by chance have no sockets. */
	assert_int_equal(ids[0].slot, ids[1].slot);
	assert_int_equal(ids[0].generation, ids[1].generation);
	break_off(&c[0]);
	break_off(&c[1]);
	struct sio_target only = sio_all(root);
	only.only = ids[0];
	assert_int_equal(sio_disconnect_all(only, false), 0);
	WAIT_FOR(atomic_load(&destroyed) > 0);
	assert_true(comes_back(&c[1], 1));
	assert_false(comes_back(&c[0], 0));
	assert_int_equal(atomic_load(&destroyed), 1);
	close(c[0].fd);
	close(c[1].fd);
	served_finish(&s);
}

/* An event of after it was sent away, which it cannot have had, is no way around. */
static void what_others_have_heard_does_not_help(void **state)
{
	struct client c, watcher;
	char sid[SIO_SID_BYTES], pid[SIO_SID_BYTES], text[4096];

	(void)state;
	start(1);
	arrive(&watcher, 0);
	arrive(&c, 0);
	memcpy(sid, last_sid, sizeof(sid));
	break_off(&c);
	assert_int_equal(sio_disconnect_all(sio_in(root, sid), false), 0);
	assert_int_equal(sio_emit(sio_all(root), "said", sio_json("[]")), 0);
	poll_until(&watcher, text, "said");
	heard(&watcher, text);
	memcpy(pid, c.pid, sizeof(pid));
	open_on(&s, &c, 0);
	join(&c, pid, watcher.offset);
	joined(&c, text);
	assert_string_not_equal(c.pid, pid);
	assert_int_equal(atomic_load(&recovered), 0);
	close(c.fd);
	close(watcher.fd);
	served_finish(&s);
}

/* What is known of it is of when it left, and later. */
static void who_joins_the_room_later_is_not_meant(void **state)
{
	struct client c;

	(void)state;
	start(1);
	arrive(&c, 0);
	assert_int_equal(sio_disconnect_all(sio_in(root, "b"), false), 0);
	catch_up();
	post(&c, "42[\"join b\"]");
	break_off(&c);
	assert_true(comes_back(&c, 0));
	close(c.fd);
	served_finish(&s);
}

static void while_it_leaves(void **state)
{
	static const enum moment moments[] = { LEAVING, IN_DISCONNECTING, IN_DISCONNECT };
	struct client c;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(moments) / sizeof(moments[0]); i++) {
		char text[4096];

		start(1);
		by_sid = i % 2 == 1;
		moment = moments[i / 2];
		open_on(&s, &c, 0);
		post(&c, "40/other,");
		poll_until(&c, text, "40/other,{");
		join(&c, NULL, NULL);
		joined(&c, text);
		break_off(&c);
		moment = AWAY;
		assert_false(comes_back(&c, 0));
		assert_int_equal(atomic_load(&destroyed), 1);
		close(c.fd);
		served_finish(&s);
	}
}

/* It asks to come back on loop 1, which stands still from then on. */
static void ask_and_block(struct client *c, const char *pid)
{
	char packets[256], request[1024];

	snprintf(packets, sizeof(packets), "40{\"pid\":\"%s\"}" NEXT "42/other,[\"block\"]", pid);
	snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
		c->target, strlen(packets), packets);
	client_send_text(c->fd, request);
	WAIT_FOR(atomic_load(&blocked) == 1);
}

/* Its own loop has given it away, and the one it goes to has not had it yet. */
static void on_its_way(void **state)
{
	struct client c;
	char pid[SIO_SID_BYTES], text[4096];
	struct web_answer answer;

	(void)state;
	for (unsigned is_sent_away = 0; is_sent_away < 2; is_sent_away++) {
		start(LOOPS);
		arrive(&c, 0);
		memcpy(pid, c.pid, sizeof(pid));
		break_off(&c);
		open_on(&s, &c, 1);
		post(&c, "40/other,");
		poll_until(&c, text, "40/other,{");
		ask_and_block(&c, pid);
		catch_up_with(0);
		catch_up_with(0);
		if (is_sent_away)
			assert_int_equal(sio_disconnect_all(sio_in(root, "a"), false), 0);
		catch_up_with(0);
		atomic_store(&go_on, 1);
		web_read(c.fd, &answer, false);
		assert_int_equal(answer.status, 200);
		buf_finish(&answer.body);
		joined(&c, text);
		assert_int_equal(strcmp(pid, c.pid) == 0, !is_sent_away);
		assert_int_equal(atomic_load(&recovered), !is_sent_away);
		close(c.fd);
		served_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_names_it),
		cmocka_unit_test(who_is_not_meant_comes_back),
		cmocka_unit_test(who_has_the_same_place_elsewhere_is_not_meant),
		cmocka_unit_test(what_others_have_heard_does_not_help),
		cmocka_unit_test(who_joins_the_room_later_is_not_meant),
		cmocka_unit_test(while_it_leaves),
		cmocka_unit_test(on_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
