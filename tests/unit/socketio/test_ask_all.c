/*
 * What is asked of all sockets of a target is told to have ended exactly once, whatever memory there is and whoever goes; or it is
 * refused, and then never.
 */
#include <errno.h>

#include "lib/failing_alloc.h"
#include "served.h"
#include "sio/stats.h"

enum { CLIENTS = 4, LOOPS = 2, TRIES = 40 };

static struct served s;
static struct sio_space *root;
static struct {
	int fd;
	char target[100];
} clients[CLIENTS];
static atomic_uint ended, visited, joined;
static atomic_int status;
static atomic_uint count, asked;
static struct sio_id one; /* of the clients; written before the last has joined */

static void on_connection(const struct sio_event *e)
{
	char label[SIO_LABEL_BYTES + 1];

	memset(label, 'x', sizeof(label));
	assert(sio_label(e->socket).bytes == 0);
	assert(sio_set_label(e->socket, (struct sio_str){ label, SIO_LABEL_BYTES - 1 }) == 0);
	assert(sio_set_label(e->socket, (struct sio_str){ label, SIO_LABEL_BYTES }) == -EINVAL);
	assert(sio_set_label(e->socket, (struct sio_str){ "a\0b", 3 }) == -EINVAL);
	assert(sio_set_label(e->socket, SIO_STR("\xff")) == -EINVAL);
	failing_alloc_arm(1);
	assert(sio_set_label(e->socket, SIO_STR("none")) == -ENOMEM);
	assert(failing_alloc_disarm());
	assert(sio_label(e->socket).bytes == SIO_LABEL_BYTES - 1);
	assert(sio_set_label(e->socket, SIO_STR("")) == 0 && sio_label(e->socket).bytes == 0);
	assert(sio_set_label(e->socket, SIO_STR("somebody")) == 0);
	if (atomic_load(&joined) == 0)
		one = sio_id(e->socket);
	atomic_fetch_add(&joined, 1);
}

static void on_replies(const struct sio_replies *r)
{
	uint32_t expected = (uint32_t)(intptr_t)r->ctx;

	for (uint32_t i = 0; i < r->count; i++) {
		assert(r->answers[i].args.json.bytes == 6 &&
			memcmp(r->answers[i].args.json.s, "[\"me\"]", 6) == 0);
		assert(r->answers[i].socket.generation != 0);
	}
	assert(expected == 0 || r->count == expected);
	atomic_store(&status, r->status);
	atomic_store(&count, r->count);
	atomic_store(&asked, r->asked);
	atomic_fetch_add(&ended, 1);
}

static void on_fetched(const struct sio_fetched *f)
{
	assert(f->status == 0 ? f->count <= CLIENTS : f->count == 0 && f->sockets == NULL);
	for (size_t i = 0; i < f->count; i++)
		assert(strcmp(f->sockets[i].label, "somebody") == 0);
	atomic_fetch_add(&ended, 1);
}

static void on_each(struct sio_socket *socket, void *ctx)
{
	assert(ctx == &ended);
	atomic_fetch_add(socket == NULL ? &ended : &visited, 1);
}

static void start(void)
{
	atomic_store(&joined, 0);
	served_create(&s, &(struct sio_options){ .threads = LOOPS });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	served_run(&s);
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i].fd = client_connect(&s.h);
		assert_true(served_open(clients[i].fd, clients[i].target));
		assert_int_equal(served_ask(clients[i].fd, "POST", clients[i].target, "40", NULL), 200);
		assert_int_equal(served_ask(clients[i].fd, "GET", clients[i].target, "", NULL), 200);
	}
	assert_int_equal(atomic_load(&joined), CLIENTS);
	atomic_store(&ended, 0);
	atomic_store(&visited, 0);
}

static void finish(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		close(clients[i].fd);
	served_finish(&s);
}

/* By the loops, in order: what was handed to them before has been done. */
static void catch_up(void)
{
	unsigned before = atomic_load(&ended);

	while (sio_each(sio_all(root), on_each, &ended) == -ENOMEM)
		;
	WAIT_FOR(atomic_load(&ended) > before);
}

/* Their questions have ids of the namespace: the n-th question is n. */
static void answer(size_t i, unsigned n)
{
	char packet[64];

	snprintf(packet, sizeof(packet), "42%u[\"q\"]", n);
	served_expect(clients[i].fd, clients[i].target, packet);
	snprintf(packet, sizeof(packet), "43%u[\"me\"]", n);
	assert_int_equal(served_ask(clients[i].fd, "POST", clients[i].target, packet, NULL), 200);
}

static void all_answer_or_some(void **state)
{
	(void)state;
	start();
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, (void *)CLIENTS), 0);
	for (size_t i = 0; i < CLIENTS; i++) {
		assert_int_equal(atomic_load(&ended), 0);
		answer(i, 0);
	}
	WAIT_FOR(atomic_load(&ended) == 1);
	assert_int_equal(atomic_load(&status), 0);
	assert_int_equal(atomic_load(&asked), CLIENTS);
	/* One goes, the others answer. */
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL), 0);
	for (size_t i = 1; i < CLIENTS; i++)
		answer(i, 1);
	assert_int_equal(atomic_load(&ended), 1);
	assert_int_equal(served_ask(clients[0].fd, "POST", clients[0].target, "41", NULL), 200);
	WAIT_FOR(atomic_load(&ended) == 2);
	assert_int_equal(atomic_load(&status), -ECONNRESET);
	assert_int_equal(atomic_load(&count), CLIENTS - 1);
	/* Nobody answers, in time or before the end. */
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 20, on_replies, NULL), 0);
	WAIT_FOR(atomic_load(&ended) == 3);
	assert_int_equal(atomic_load(&status), -ETIMEDOUT);
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL), 0);
	catch_up();
	served_end(&s);
	assert_int_equal(atomic_load(&ended), 5);
	assert_int_equal(atomic_load(&status), -ECONNRESET);
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL), 0);
	finish();
	assert_int_equal(atomic_load(&ended), 6);
}

static void on_reply(const struct sio_reply *r)
{
	assert(r->status == -ECONNRESET);
	atomic_fetch_add(&ended, 1);
}

/* An event counts once, and once for each who gets it, whether it is emitted or asks; what asks nobody does not. */
static void what_is_counted(void **state)
{
	struct sio_id nobody = { .slot = 100000, .generation = 1 };
	struct sio_stats stats;
	struct sio_space_stats of_root;

	(void)state;
	start();
	assert_int_equal(sio_emit(sio_all(root), "told", sio_json("[]")), 0);
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL), 0);
	assert_int_equal(sio_ask(root, one, "q", sio_json("[]"), 0, on_reply, NULL), 0);
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("{}"), 0, on_replies, NULL), -EINVAL);
	assert_int_equal(sio_ask(root, nobody, "q", sio_json("[]"), 0, on_reply, NULL), 0);
	WAIT_FOR(atomic_load(&ended) == 1); /* nobody's */
	catch_up();
	sio_stats(s.io, &stats);
	sio_space_stats(root, &of_root);
	assert_int_equal(stats.events_out, 3);
	assert_int_equal(stats.deliveries, 2 * CLIENTS + 1);
	assert_int_equal(of_root.deliveries, 2 * CLIENTS + 1);
	finish();
}

static void what_is_refused(void **state)
{
	static const char *many[SIO_TARGET_ROOMS_MAX + 1];

	(void)state;
	start();
	struct sio_target to = sio_all(root);
	to.rooms = many;
	to.room_count = SIO_TARGET_ROOMS_MAX + 1;
	assert_int_equal(sio_ask_all(sio_all(root), "connect", sio_json("[]"), 0, on_replies, NULL), -EINVAL);
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("{}"), 0, on_replies, NULL), -EINVAL);
	assert_int_equal(sio_ask_all(to, "q", sio_json("[]"), 0, on_replies, NULL), -EINVAL);
	assert_int_equal(sio_emit(to, "q", sio_json("[]")), -EINVAL);
	assert_int_equal(sio_each(to, on_each, &ended), -EINVAL);
	assert_int_equal(sio_fetch(to, on_fetched, NULL), -EINVAL);
	assert_int_equal(sio_join_all(to, "a"), -EINVAL);
	assert_int_equal(sio_join_all(sio_all(root), ""), -EINVAL);
	assert_int_equal(sio_disconnect_all(to, true), -EINVAL);
	catch_up();
	assert_int_equal(atomic_load(&ended), 1);
	assert_int_equal(atomic_load(&s.io->eaches), 0);
	finish();
}

/* What is told to have begun ends once; what was refused has not. */
static void each_allocation_fails(void **state)
{
	(void)state;
	start();
	for (unsigned n = 1; n < TRIES; n++) {
		unsigned before = atomic_load(&ended), begun = 0;

		failing_alloc_arm(n);
		begun += sio_fetch(sio_all(root), on_fetched, NULL) == 0;
		begun += sio_each(sio_all(root), on_each, &ended) == 0;
		begun += sio_ask_all(sio_all(root), "q", sio_json("[]"), 1, on_replies, NULL) == 0;
		WAIT_FOR(atomic_load(&ended) >= before + begun);
		(void)!failing_alloc_disarm();
		catch_up();
		assert_int_equal(atomic_load(&ended), before + begun + 1);
	}
	assert_int_equal(atomic_load(&s.io->eaches), 0);
	finish();
}

/* While it is destroyed: nothing begins any more, and so nothing ends within the call. */
static void on_destroyed(struct sio_socket *socket, void *ctx)
{
	assert(socket == NULL && ctx == NULL);
	assert(sio_each(sio_all(root), on_each, &ended) == -ENOBUFS);
	assert(sio_fetch(sio_all(root), on_fetched, NULL) == -ENOBUFS);
	assert(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL) == -ENOBUFS);
	atomic_fetch_add(&visited, 1);
}

static void when_it_is_destroyed(void **state)
{
	struct sio_id nobody = { .slot = 100000, .generation = 1 };

	(void)state;
	atomic_store(&ended, 0);
	atomic_store(&visited, 0);
	served_create(&s, &(struct sio_options){ .threads = LOOPS });
	root = sio_of(s.io, "/");
	served_run(&s);
	served_end(&s);
	for (nobody.loop = 0; nobody.loop < LOOPS; nobody.loop++)
		assert_int_equal(sio_with(root, nobody, on_destroyed, NULL), 0);
	assert_int_equal(sio_each(sio_all(root), on_each, &ended), 0);
	assert_int_equal(atomic_load(&ended) + atomic_load(&visited), 0);
	served_finish(&s);
	assert_int_equal(atomic_load(&visited), LOOPS);
	assert_int_equal(atomic_load(&ended), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_answer_or_some),
		cmocka_unit_test(what_is_counted),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(each_allocation_fails),
		cmocka_unit_test(when_it_is_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
