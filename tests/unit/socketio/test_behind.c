/* A loop that is so far behind that it takes no more: answers and replies are given all the same, for somebody waits; and it sends away whom it is to. */
#include <errno.h>
#include <semaphore.h>

#include "served.h"
#include "sio/http.h"

enum { QUESTION_BYTES = 1 << 20, QUESTIONS_MAX = 200000 };

static struct served s;
static struct sio_space *root;
static struct sio_ack asked;
static struct sio_exchange waiting;
static sem_t go_on;
static atomic_uint connected, events, requests, held, refused, ended;

static void on_connection(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&connected, 1);
}

/* Answered by the test's thread. */
static void on_ask(const struct sio_event *e)
{
	assert(e->ack.wanted);
	asked = e->ack;
	atomic_fetch_add(&events, 1);
}

static void on_request(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	(void)r;
	(void)ctx;
	waiting = x;
	atomic_fetch_add(&requests, 1);
}

/* Holds its loop up. */
static void hold(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
	atomic_fetch_add(&held, 1);
	while (sem_wait(&go_on) != 0)
		assert(errno == EINTR);
}

static void on_nothing(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
}

static void on_reply(const struct sio_reply *r)
{
	assert(r->status == -ECONNRESET);
}

/* Questions to nobody, shorter and shorter, and then the shortest of all, until that loop takes no more. */
static void fill(uint32_t loop)
{
	struct sio_id nobody = { .loop = loop, .slot = 100000, .generation = 1 };
	char *text = malloc(QUESTION_BYTES);
	int rc = 0;

	assert(text != NULL);
	for (size_t bytes = QUESTION_BYTES; bytes > 64; bytes /= 2) {
		struct sio_args args = { .json = { text, bytes } };

		memset(text, '1', bytes);
		memcpy(text, "[\"", 2);
		memcpy(text + bytes - 2, "\"]", 2);
		for (rc = 0; rc == 0;)
			rc = sio_ask(root, nobody, "q", args, 0, on_reply, NULL);
		assert(rc == -ENOBUFS);
	}
	for (unsigned n = 0; (rc = sio_with(root, nobody, on_nothing, NULL)) == 0; n++)
		assert(n < QUESTIONS_MAX);
	assert(rc == -ENOBUFS);
	free(text);
	atomic_fetch_add(&refused, 1);
}

static void on_replies(const struct sio_replies *r)
{
	assert(r->status == -ENOBUFS && r->asked == 0 && r->count == 0);
	atomic_fetch_add(&ended, 1);
}

/* Within the handler: it has put off so much that no more can be, and answers. */
static void on_fill(const struct sio_event *e)
{
	assert(sio_with(root, sio_id(e->socket), on_nothing, NULL) == 0);
	fill(0);
	assert(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL) == 0);
	assert(atomic_load(&ended) == 0);
	assert(sio_answer(e->ack, sio_json("[\"from its own\"]")) == 0);
}

static void start(void)
{
	atomic_uint *const counts[] = { &connected, &events, &requests, &held, &refused, &ended };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		atomic_store(counts[i], 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "ask", on_ask, NULL), 0);
	assert_int_equal(sio_on(root, "fill", on_fill, NULL), 0);
	assert_int_equal(sio_http(s.io, "/held", 0, on_request, NULL), 0);
	served_run(&s);
}

static void finish(void)
{
	served_finish(&s);
	assert_int_equal(sem_destroy(&go_on), 0);
}

/* A client in the namespace, which has read all that waited for it. */
static int join(char target[100])
{
	int fd = client_connect(&s.h);

	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
	assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
	assert_int_equal(atomic_load(&connected), 1);
	return fd;
}

static void from_another_thread(void **state)
{
	char target[100];

	(void)state;
	start();
	int fd = join(target), held_fd = client_connect(&s.h);
	assert_int_equal(served_ask(fd, "POST", target, "427[\"ask\"]", NULL), 200);
	client_send_text(held_fd, "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
	WAIT_FOR(atomic_load(&events) == 1 && atomic_load(&requests) == 1);
	assert_int_equal(sio_with(root, asked.socket, hold, NULL), 0);
	WAIT_FOR(atomic_load(&held) == 1);
	fill(0);
	assert_int_equal(sio_answer(asked, sio_json("[\"in spite of all\"]")), 0);
	assert_int_equal(sio_reply(waiting, &(struct sio_response){ .status = 200 },
				 (struct sio_str){ "in spite of all", 15 }),
		0);
	/* What has many bytes is not: nobody is asked, and that is told. */
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_replies, NULL), 0);
	assert_int_equal(sio_disconnect_all(sio_all(root), false), 0);
	assert_int_equal(atomic_load(&ended), 0);
	assert_int_equal(sem_post(&go_on), 0);
	web_expect(held_fd, 200, "in spite of all");
	served_expect(fd, target,
		"437[\"in spite of all\"]\x1e"
		"41");
	assert_int_equal(atomic_load(&ended), 1);
	close(held_fd);
	close(fd);
	finish();
}

static void from_its_own_loop(void **state)
{
	char target[100];

	(void)state;
	start();
	int fd = join(target);
	assert_int_equal(served_ask(fd, "POST", target, "423[\"fill\"]", NULL), 200);
	served_expect(fd, target, "433[\"from its own\"]");
	assert_int_equal(atomic_load(&refused), 1);
	assert_int_equal(atomic_load(&ended), 1);
	close(fd);
	finish();
}

/* What it never came to is freed, on the thread that destroys it. */
static void at_the_end(void **state)
{
	char target[100];

	(void)state;
	start();
	int fd = join(target);
	assert_int_equal(served_ask(fd, "POST", target, "427[\"ask\"]", NULL), 200);
	close(fd);
	served_end(&s);
	fill(0);
	assert_int_equal(sio_answer(asked, sio_json("[]")), 0);
	assert_int_equal(sio_reply((struct sio_exchange){ s.io, asked.socket },
				 &(struct sio_response){ .status = 200 }, (struct sio_str){ "a", 1 }),
		0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_another_thread),
		cmocka_unit_test(from_its_own_loop),
		cmocka_unit_test(at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
