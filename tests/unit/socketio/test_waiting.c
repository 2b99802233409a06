/*
 * Who leaves questions unanswered, or answers with too much, takes no more memory than the limits say; and the figures tell of it.
 */
#include <errno.h>

#include "served.h"
#include "sio/stats.h"

enum {
	CLIENTS = 3,
	STOPS = 8, /* who is told first is left to chance */
	HALF_BYTES = SIO_REPLIES_BYTES_MAX / 2, /* two such answers are just enough */
};

static struct served s;
static struct sio_space *root;
static struct {
	int fd;
	char target[100];
} clients[CLIENTS];
static struct sio_ack acks[SIO_ACKS_WAITING_MAX + 2];
static atomic_uint asked, joined, ended, late;
static struct sio_id first; /* to join; read when the others have joined, too */

static void on_connection(const struct sio_event *e)
{
	if (atomic_load(&joined) == 0)
		first = sio_id(e->socket);
	atomic_fetch_add(&joined, 1);
}

static void on_reply(const struct sio_reply *r)
{
	assert(r->status == -ECONNRESET);
	atomic_fetch_add(&ended, 1);
}

/* As many as may wait, and then it is refused: as a question to one, and to all. */
static void on_replies(const struct sio_replies *r)
{
	assert(r->status == -ECONNRESET && r->count == 0);
	atomic_fetch_add(&late, 1);
}

static void on_question_me(const struct sio_event *e)
{
	struct sio_id me = sio_id(e->socket);
	struct sio_target only_me = sio_all(root);

	for (unsigned i = 0; i < SIO_ACKS_WAITING_MAX; i++)
		assert(sio_ask(root, me, "q", sio_json("[]"), 0, on_reply, NULL) == 0);
	assert(sio_ask(root, me, "q", sio_json("[]"), 0, on_reply, NULL) == -EAGAIN);
	only_me.only = me;
	assert(sio_ask_all(only_me, "q", sio_json("[]"), 0, on_replies, NULL) == 0);
}

/* Answered when all have come. */
static void on_event(const struct sio_event *e)
{
	unsigned n = atomic_load(&asked);

	assert(n < sizeof(acks) / sizeof(acks[0]));
	acks[n] = e->ack;
	atomic_fetch_add(&asked, 1);
}

static void start(void)
{
	atomic_store(&joined, 0);
	atomic_store(&asked, 0);
	atomic_store(&ended, 0);
	atomic_store(&late, 0);
	served_create(&s, &(struct sio_options){ .threads = 2, .message_bytes_max = SIO_REPLIES_BYTES_MAX });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "question me", on_question_me, NULL), 0);
	assert_int_equal(sio_on(root, "event", on_event, NULL), 0);
	served_run(&s);
	for (size_t i = 0; i < CLIENTS; i++) {
		clients[i].fd = client_connect(&s.h);
		assert_true(served_open(clients[i].fd, clients[i].target));
		assert_int_equal(served_ask(clients[i].fd, "POST", clients[i].target, "40", NULL), 200);
		assert_int_equal(served_ask(clients[i].fd, "GET", clients[i].target, "", NULL), 200);
	}
	assert_int_equal(atomic_load(&joined), CLIENTS);
}

static void finish(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		close(clients[i].fd);
	served_finish(&s);
}

static struct sio_stats stats_now(void)
{
	struct sio_stats stats;

	sio_stats(s.io, &stats);
	return stats;
}

static void say(size_t client, const char *packet)
{
	assert_int_equal(served_ask(clients[client].fd, "POST", clients[client].target, packet, NULL), 200);
}

static void questions_that_nobody_answers(void **state)
{
	(void)state;
	start();
	say(0, "42[\"question me\"]");
	WAIT_FOR(atomic_load(&late) == 1);
	assert_int_equal(stats_now().questions_refused, 2);
	assert_int_equal(atomic_load(&ended), 0);
	finish();
	assert_int_equal(atomic_load(&ended), SIO_ACKS_WAITING_MAX);
}

static void events_that_we_do_not_answer(void **state)
{
	char packet[32];

	(void)state;
	start();
	for (unsigned i = 0; i < SIO_ACKS_WAITING_MAX; i++) {
		snprintf(packet, sizeof(packet), "42%u[\"event\"]", i);
		say(0, packet);
	}
	assert_int_equal(stats_now().acks_forgotten, 0);
	say(0, "425000[\"event\"]");
	say(0, "425001[\"event\"]");
	WAIT_FOR(atomic_load(&asked) == SIO_ACKS_WAITING_MAX + 2);
	assert_int_equal(stats_now().acks_forgotten, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sio_answer(acks[i], sio_json("[]")), 0);
	served_expect(clients[0].fd, clients[0].target, "432[]");
	WAIT_FOR(stats_now().answers_late == 2);
	finish();
}

static void on_large(const struct sio_replies *r)
{
	assert(r->status == -ENOBUFS && r->count == CLIENTS - 1 && r->asked == CLIENTS);
	atomic_fetch_add(&ended, 1);
}

/* `430["xxx..."]`, so that the array has so many bytes. */
static void answer_with(size_t client, size_t bytes)
{
	static const char start_of[] = "430[\"";
	size_t all = 3 + bytes;
	char *body = malloc(all + 1), head[256];
	struct web_answer a;

	assert_non_null(body);
	memset(body, 'x', all);
	memcpy(body, start_of, sizeof(start_of) - 1);
	memcpy(body + all - 2, "\"]", 3);
	snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
		clients[client].target, all);
	client_send_text(clients[client].fd, head);
	client_send(clients[client].fd, body, all);
	web_read(clients[client].fd, &a, false);
	assert_int_equal(a.status, 200);
	buf_finish(&a.body);
	free(body);
}

static void answers_that_are_too_large(void **state)
{
	(void)state;
	start();
	assert_int_equal(sio_ask_all(sio_all(root), "q", sio_json("[]"), 0, on_large, NULL), 0);
	answer_with(0, HALF_BYTES);
	answer_with(1, HALF_BYTES);
	WAIT_FOR(stats_now().packets_in == (uint64_t)2 * CLIENTS - 1);
	assert_int_equal(stats_now().replies_dropped, 0);
	answer_with(2, 4);
	WAIT_FOR(atomic_load(&ended) == 1);
	assert_int_equal(stats_now().replies_dropped, 1);
	finish();
}

static bool is_digit(void *ctx, struct sio_str name, struct sio_str auth)
{
	(void)ctx;
	(void)auth;
	return name.bytes == 2 && name.s[1] >= '0' && name.s[1] <= '9';
}

static enum sio_verdict never(const struct sio_event *e, struct sio_refusal *refusal)
{
	(void)e;
	(void)refusal;
	atomic_fetch_add(&asked, 1);
	return SIO_LATER;
}

static void start_hasty(struct sio_options o)
{
	o.threads = 1;
	served_create(&s, &o);
	root = sio_of(s.io, "/");
	assert_non_null(sio_of_names(s.io, is_digit, NULL));
	assert_int_equal(sio_use(sio_of(s.io, "/later"), never, NULL), 0);
	served_run(&s);
	clients[0].fd = client_connect(&s.h);
	assert_true(served_open(clients[0].fd, clients[0].target));
}

/* Each begins something that goes on when the next has taken its place: not as often as its client likes. */
static void who_asks_anew_again_and_again(void **state)
{
	(void)state;
	atomic_store(&asked, 0);
	start_hasty((struct sio_options){ 0 });
	for (unsigned i = 0; i <= SIO_CONNECTS_ANEW_MAX; i++)
		say(0, "40/later,");
	assert_int_equal(stats_now().packets_bad, 0);
	assert_int_equal(atomic_load(&asked), SIO_CONNECTS_ANEW_MAX + 1);
	(void)served_ask(clients[0].fd, "POST", clients[0].target, "40/later,", NULL);
	WAIT_FOR(stats_now().packets_bad == 1);
	assert_int_equal(atomic_load(&asked), SIO_CONNECTS_ANEW_MAX + 1);
	close(clients[0].fd);
	served_finish(&s);
}

static void who_joins_nothing(void **state)
{
	(void)state;
	start_hasty((struct sio_options){ .connect_timeout_ms = 20 });
	WAIT_FOR(stats_now().sessions_not_joined == 1);
	close(clients[0].fd);
	served_finish(&s);
}

static void more_namespaces_than_may_be(void **state)
{
	(void)state;
	start_hasty((struct sio_options){ .dynamic_spaces_max = 2 });
	say(0, "40/1,"
	       "\x1e"
	       "40/2,"
	       "\x1e"
	       "40/3,"
	       "\x1e"
	       "40/4,");
	WAIT_FOR(stats_now().sockets_refused == 2);
	assert_int_equal(stats_now().spaces_refused, 2);
	close(clients[0].fd);
	served_finish(&s);
}

/* It answers each ping meanwhile. False: its session has ended. */
static bool goes_on_for(uint32_t pings)
{
	while (pings > 0) {
		struct buf body;
		int status = served_ask(clients[0].fd, "GET", clients[0].target, "", &body);

		if (status != 200)
			return false;
		pings -= body.bytes == 1 && body.data[0] == '2';
		bool closed = body.bytes == 1 && body.data[0] == '1';
		buf_finish(&body);
		if (closed || served_ask(clients[0].fd, "POST", clients[0].target, "3", NULL) != 200)
			return false;
	}
	return true;
}

/* Each in time, though all of them take longer; then one that does not come, the first or a later one. */
static void attachments_that_do_not_come(void **state)
{
	uint32_t interval_ms = 50 * harness_slower();
	unsigned come = *state == NULL ? 0 : 3;

	start_hasty(
		(struct sio_options){ .ping_interval_ms = interval_ms, .ping_timeout_ms = 8 * interval_ms });
	say(0, "40");
	assert_int_equal(served_ask(clients[0].fd, "GET", clients[0].target, "", NULL), 200);
	say(0, "454-[\"event\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1},"
	       "{\"_placeholder\":true,\"num\":2},{\"_placeholder\":true,\"num\":3}]");
	for (unsigned i = 0; i < come; i++) {
		assert_true(goes_on_for(4));
		say(0, "bAQID");
	}
	assert_int_equal(stats_now().packets_bad, 0);
	assert_false(goes_on_for(30));
	assert_int_equal(stats_now().packets_bad, 1);
	assert_int_equal(stats_now().ping_timeouts, 0);
	close(clients[0].fd);
	served_finish(&s);
}

static void on_late_reply(const struct sio_reply *r)
{
	atomic_store(&late, r->status == 0 ? 2 : 1);
}

/* One that has been asked is not sent away with the others, be it the first of them: it has a second to answer. */
static void a_stop_waits_for_the_answer_to_a_question(void **state)
{
	unsigned in_time = 0;

	(void)state;
	for (unsigned tries = 0; in_time < STOPS; tries++) {
		assert_true(tries < 5 * STOPS); /* the machine is never fast enough */
		start();
		assert_int_equal(sio_ask(root, first, "q", sio_json("[]"), 60000, on_late_reply, NULL), 0);
		served_expect(clients[0].fd, clients[0].target, "420[\"q\"]");
		uint64_t began_ns = clock_now_ns();
		sio_stop(s.io);
		WAIT_FOR(stats_now().sockets_disconnected >= CLIENTS - 1);
		(void)served_ask(clients[0].fd, "POST", clients[0].target, "430[]", NULL);
		WAIT_FOR(atomic_load(&late) > 0);
		bool soon = clock_now_ns() - began_ns < CLOCK_NS_PER_S / 2;
		assert_true(!soon || atomic_load(&late) == 2);
		in_time += soon;
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_that_nobody_answers),
		cmocka_unit_test(events_that_we_do_not_answer),
		cmocka_unit_test(answers_that_are_too_large),
		cmocka_unit_test(a_stop_waits_for_the_answer_to_a_question),
		cmocka_unit_test(who_asks_anew_again_and_again),
		cmocka_unit_test(who_joins_nothing),
		cmocka_unit_test(more_namespaces_than_may_be),
		cmocka_unit_test(attachments_that_do_not_come),
		cmocka_unit_test_prestate(attachments_that_do_not_come, &s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
