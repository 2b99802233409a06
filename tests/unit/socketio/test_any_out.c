/*
 * sio_on_any_out(): what it emits comes behind what it is shown, on every loop; and a name that is a room's own may go meanwhile.
 */
#include "guest.h"

enum { LOOPS = 3 };

static struct served s;
static struct sio_space *root;
static struct sio_socket *speaker; /* of the loop that emits */

static void on_any_out(const struct sio_event *e)
{
	if (e->name.bytes == 5 && memcmp(e->name.s, "first", 5) == 0 && e->socket == speaker)
		assert(sio_emit(sio_all(root), "second", sio_json("[]")) == 0);
	if (e->name.bytes == 4 && memcmp(e->name.s, "room", 4) == 0 && e->socket == speaker)
		sio_leave(e->socket, "the only one");
}

static void on_speak(const struct sio_event *e)
{
	speaker = e->socket;
	assert(sio_emit(sio_all(root), "first", sio_json("[]")) == 0);
}

/* Its room is gone when its name is still needed: for those who may come back, and for its members. */
static void on_room(const struct sio_event *e)
{
	speaker = e->socket;
	assert(sio_join(e->socket, "the only one") == 0);
	assert(sio_emit(sio_in(root, sio_room_at(e->socket, 0)), "room", sio_json("[]")) == 0);
	assert(!sio_is_in(e->socket, "the only one"));
	assert(sio_emit(sio_self(e->socket), "done", sio_json("[]")) == 0);
}

static void start(void)
{
	static const struct sio_recovery recovery;

	served_create(&s, &(struct sio_options){ .threads = LOOPS, .recovery = &recovery });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "speak", on_speak, NULL), 0);
	assert_int_equal(sio_on(root, "room", on_room, NULL), 0);
	sio_on_any_out(root, on_any_out, NULL);
	served_run(&s);
}

static void arrive(struct client *c, uint32_t loop)
{
	char text[4096];

	open_on(&s, c, loop);
	join(c, NULL, NULL);
	joined(c, text);
}

static void what_it_emits_comes_behind(void **state)
{
	struct client all[LOOPS];
	char text[4096];

	(void)state;
	start();
	for (uint32_t i = 0; i < LOOPS; i++)
		arrive(&all[i], i);
	for (uint32_t by = 0; by < LOOPS; by++) {
		assert_int_equal(served_ask(all[by].fd, "POST", all[by].target, "42[\"speak\"]", NULL), 200);
		for (uint32_t i = 0; i < LOOPS; i++) {
			poll_until(&all[i], text, "[\"second\"");
			const char *first = strstr(text, "[\"first\"");
			assert_true(first != NULL && first < strstr(text, "[\"second\""));
		}
	}
	for (uint32_t i = 0; i < LOOPS; i++)
		close(all[i].fd);
	served_finish(&s);
}

static void the_last_one_leaves_meanwhile(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	start();
	arrive(&guest, 1);
	assert_int_equal(served_ask(guest.fd, "POST", guest.target, "42[\"room\"]", NULL), 200);
	poll_until(&guest, text, "[\"done\"");
	assert_int_equal(count_of(text, "[\"room\""), 0); /* it was shown, and left before it was sent */
	close(guest.fd);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_emits_comes_behind),
		cmocka_unit_test(the_last_one_leaves_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
