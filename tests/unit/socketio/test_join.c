/*
 * Joining that takes its time: a decision counts once and for the function whose it is, whoever has gone meanwhile, and whatever
 * memory there is.
 */
#include <errno.h>

#include "lib/failing_alloc.h"
#include "served.h"
#include "sio/stats.h"

enum { TRIES = 30 };

#define NEXT "\x1e" /* between the packets of a payload */

static struct served s;
static struct sio_space *root;
static struct sio_ack tickets[2]; /* of the two functions; written by the loop before the counts */
static atomic_uint asked[2], joined, left, made, destroyed, fail_at;
static const struct sio_refusal no = { .message = "no", .data_json = { "[1]", 3 } };

static void destroy(void *data)
{
	atomic_fetch_add(&destroyed, 1);
	free(data);
}

static enum sio_verdict later(const struct sio_event *e, struct sio_refusal *refusal)
{
	size_t i = e->ctx == NULL ? 0 : 1;

	(void)refusal;
	assert(e->auth.bytes == 11 && memcmp(e->auth.s, "{\"as\":\"me\"}", 11) == 0);
	tickets[i] = e->ack;
	if (i == 0) {
		void *data = malloc(1);

		atomic_fetch_add(&made, data != NULL);
		sio_set_data(e->socket, data, destroy);
	}
	atomic_fetch_add(&asked[i], 1);
	failing_alloc_arm(atomic_load(&fail_at));
	return SIO_LATER;
}

static void on_connection(const struct sio_event *e)
{
	assert(e->auth.bytes == 11);
	atomic_fetch_add(&joined, 1);
}

static void on_disconnect(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&left, 1);
}

static void start(void)
{
	static char second[] = "second";

	for (size_t i = 0; i < 2; i++)
		atomic_store(&asked[i], 0);
	atomic_store(&joined, 0);
	atomic_store(&left, 0);
	atomic_store(&made, 0);
	atomic_store(&destroyed, 0);
	atomic_store(&fail_at, 1000000);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_use(root, later, NULL), 0);
	assert_int_equal(sio_use(root, later, second), 0);
	served_run(&s);
}

static int ask_to_join(char target[100])
{
	int fd = client_connect(&s.h);

	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target, "40{\"as\":\"me\"}", NULL), 200);
	return fd;
}

/* All that was handed to the loop before has been done: this is behind it. */
static atomic_uint caught_up;

static void on_caught_up(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
	atomic_fetch_add(&caught_up, 1);
}

static void catch_up(void)
{
	unsigned before = atomic_load(&caught_up);

	while (sio_with(root, (struct sio_id){ 0 }, on_caught_up, NULL) == -ENOMEM)
		; /* it was this call's turn to have none */
	WAIT_FOR(atomic_load(&caught_up) == before + 1);
}

static void a_decision_counts_once(void **state)
{
	char target[100];
	struct sio_stats stats;

	(void)state;
	start();
	int fd = ask_to_join(target);
	WAIT_FOR(atomic_load(&asked[0]) == 1);
	assert_int_equal(sio_decide((struct sio_ack){ .space = root }, NULL), -ENOENT);
	assert_int_equal(sio_decide(tickets[0], NULL), 0);
	assert_int_equal(sio_decide(tickets[0], NULL), 0);
	assert_int_equal(sio_decide(tickets[0], &no), 0);
	catch_up();
	assert_int_equal(atomic_load(&asked[1]), 1);
	assert_int_equal(atomic_load(&joined), 0);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.answers_late, 2);
	assert_int_equal(sio_decide(tickets[1], NULL), 0);
	assert_int_equal(sio_decide(tickets[1], &no), 0);
	catch_up();
	assert_int_equal(atomic_load(&joined), 1);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.answers_late, 3);
	assert_int_equal(stats.sockets_refused, 0);
	close(fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&made), atomic_load(&destroyed));
}

static void refused_by_the_second(void **state)
{
	char target[100];

	(void)state;
	start();
	int fd = ask_to_join(target);
	WAIT_FOR(atomic_load(&asked[0]) == 1);
	assert_int_equal(sio_decide(tickets[0], NULL), 0);
	WAIT_FOR(atomic_load(&asked[1]) == 1);
	assert_int_equal(sio_decide(tickets[1], &no), 0);
	served_expect(fd, target, "44{\"message\":\"no\",\"data\":[1]}");
	assert_int_equal(atomic_load(&destroyed), 1);
	/* It may ask again. */
	assert_int_equal(served_ask(fd, "POST", target, "40{\"as\":\"me\"}", NULL), 200);
	WAIT_FOR(atomic_load(&asked[0]) == 2);
	close(fd);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), 2);
	assert_int_equal(atomic_load(&joined) + atomic_load(&left), 0);
}

static void who_has_gone_is_not_decided_upon(void **state)
{
	char target[100];

	(void)state;
	start();
	for (unsigned i = 1; i <= 2; i++) {
		int fd = ask_to_join(target);

		WAIT_FOR(atomic_load(&asked[0]) == i);
		assert_int_equal(served_ask(fd, "POST", target, "1", NULL), 200); /* the session's end */
		WAIT_FOR(atomic_load(&destroyed) == i);
		assert_int_equal(sio_decide(tickets[0], i == 1 ? NULL : &no), 0);
		catch_up();
		close(fd);
	}
	assert_int_equal(atomic_load(&asked[1]) + atomic_load(&joined) + atomic_load(&left), 0);
	served_end(&s);
	assert_int_equal(sio_decide(tickets[0], NULL), 0); /* nobody takes it: it is freed */
	served_finish(&s);
}

static void each_allocation_fails(void **state)
{
	char target[100];

	(void)state;
	start();
	for (unsigned n = 1; n < TRIES; n++) {
		atomic_store(&fail_at, n);
		int fd = client_connect(&s.h);
		unsigned before = atomic_load(&asked[0]), second = atomic_load(&asked[1]);

		if (served_open(fd, target))
			(void)served_ask(fd, "POST", target, "40{\"as\":\"me\"}", NULL);
		if (atomic_load(&asked[0]) > before)
			(void)!sio_decide(tickets[0], NULL);
		catch_up();
		if (atomic_load(&asked[1]) > second)
			(void)!sio_decide(tickets[1], n % 2 == 0 ? &no : NULL);
		catch_up();
		(void)!failing_alloc_disarm();
		close(fd);
	}
	atomic_store(&fail_at, 1000000);
	served_finish(&s);
	assert_true(atomic_load(&joined) > 0);
	assert_int_equal(atomic_load(&made), atomic_load(&destroyed));
	assert_int_equal(atomic_load(&joined), atomic_load(&left));
}

static enum sio_verdict undecided(const struct sio_event *e, struct sio_refusal *refusal)
{
	(void)e;
	(void)refusal;
	atomic_fetch_add(&asked[0], 1);
	return SIO_LATER;
}

/* What is kept of those who wait is bounded: one auth of any size, or several small ones. */
static void auths_are_bounded(void **state)
{
	enum { LARGE = 40 << 10 };
	char target[100], name[] = "/a";

	(void)state;
	atomic_store(&asked[0], 0);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	for (name[1] = 'a'; name[1] < 'd'; name[1]++)
		assert_int_equal(sio_use(sio_of(s.io, name), undecided, NULL), 0);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_true(served_open(fd, target));
	for (name[1] = 'a'; name[1] < 'd'; name[1]++) {
		size_t large = name[1] == 'c' ? 1 : name[1] == 'b' ? LARGE : 2 * LARGE;
		char *body = malloc(large + 200), request[200];

		assert_non_null(body);
		int n = snprintf(body, 100, "40%s,{\"a\":\"", name);
		memset(body + n, 'x', large);
		memcpy(body + n + large, "\"}", 3);
		snprintf(request, sizeof(request),
			"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", target, strlen(body));
		client_send_text(fd, request);
		client_send_text(fd, body);
		struct web_answer a;
		web_read(fd, &a, false);
		assert_int_equal(a.status, 200);
		buf_finish(&a.body);
		free(body);
	}
	/* The first is larger than the bound, so neither of the others fits beside it. */
	served_expect(fd, target,
		"44/b,{\"message\":\"Too much auth\"}" NEXT "44/c,{\"message\":\"Too much auth\"}");
	assert_int_equal(atomic_load(&asked[0]), 1);
	close(fd);
	served_finish(&s);
}

/* Of the client that asks for a namespace by its name: who it is in the others. */
static struct sio_id older;

static void on_older(const struct sio_event *e)
{
	older = sio_id(e->socket);
	atomic_fetch_add(&joined, 1);
}

static bool send_older_away(void *ctx, struct sio_str name, struct sio_str auth)
{
	assert(ctx == NULL && name.bytes == 5 && auth.bytes > 0);
	assert(sio_disconnect_id(root, older, true) == 0);
	atomic_fetch_add(&asked[0], 1);
	return true;
}

/* Within its own joining, be it as somebody new or as who it was. */
static void closed_by_who_is_asked_for_its_name(void **state)
{
	static const struct sio_recovery recovery;
	static const char *const connects[] = { "40/room,", "40/room,{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\"}" };
	char target[100];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		atomic_store(&asked[0], 0);
		atomic_store(&joined, 0);
		atomic_store(&left, 0);
		served_create(&s, &(struct sio_options){ .threads = 1, .recovery = &recovery });
		root = sio_of(s.io, "/");
		struct sio_space *names = sio_of_names(s.io, send_older_away, NULL);
		assert_non_null(names);
		assert_int_equal(sio_on(root, "connection", on_older, NULL), 0);
		assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
		assert_int_equal(sio_on(names, "connection", on_older, NULL), 0);
		served_run(&s);
		int fd = client_connect(&s.h);
		assert_true(served_open(fd, target));
		assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
		assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
		assert_int_equal(served_ask(fd, "POST", target, connects[i], NULL), 200);
		served_expect(fd, target, "41" NEXT "1");
		WAIT_FOR(atomic_load(&left) == 1);
		catch_up();
		assert_int_equal(atomic_load(&asked[0]), 1);
		assert_int_equal(atomic_load(&joined), 1);
		close(fd);
		served_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decision_counts_once),
		cmocka_unit_test(refused_by_the_second),
		cmocka_unit_test(who_has_gone_is_not_decided_upon),
		cmocka_unit_test(each_allocation_fails),
		cmocka_unit_test(auths_are_bounded),
		cmocka_unit_test(closed_by_who_is_asked_for_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
