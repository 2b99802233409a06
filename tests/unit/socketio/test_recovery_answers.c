/*
 * What is kept for those who may come back has bounds that are each one's own: answers do not push out events, nor does one namespace
 * another for ever; and what a client's session did not take any more is not taken for sent.
 */
#include <errno.h>

#include "guest.h"
#include "socketio/recovery_int.h"

enum {
	BACKLOG_BYTES = 64 << 10,
	ANSWER_BYTES = 900,
	ANSWERS = 300,
	SPACES = 24,
	QUEUE_BYTES = 20000,
};

static struct served s;
static struct sio_space *root, *other, *spaces[SPACES];
static atomic_uint connected, left;
static char large[ANSWER_BYTES + 5];

static void on_connection(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&connected, 1);
}

static void on_disconnect(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&left, 1);
}

static void on_ask(const struct sio_event *e)
{
	assert(sio_answer(e->ack, sio_json(large)) == 0);
}

static void on_say(const struct sio_event *e)
{
	assert(sio_emit(sio_all(e->ctx), "said", e->args) == 0);
}

static void on_reply(const struct sio_reply *r)
{
	assert(r->status == -ECONNRESET);
}

/* More than its queue takes, and then something in another namespace. */
static void on_overflow(const struct sio_event *e)
{
	for (unsigned i = 0; i < 30 * QUEUE_BYTES / ANSWER_BYTES; i++)
		assert(sio_ask(root, sio_id(e->socket), "?", sio_json(large), 0, on_reply, NULL) == 0);
	assert(sio_emit(sio_all(other), "said", sio_json("[\"refused\"]")) == 0);
}

static void start(uint32_t queue_bytes_max)
{
	const struct sio_recovery recovery = { .window_ms = 60000, .backlog_bytes_max = BACKLOG_BYTES };
	char name[16];

	memset(large, 'x', sizeof(large));
	memcpy(large, "[\"", 2);
	memcpy(large + ANSWER_BYTES + 2, "\"]", 3);
	atomic_store(&connected, 0);
	atomic_store(&left, 0);
	served_create(&s, &(struct sio_options){
				  .threads = 1, .recovery = &recovery, .queue_bytes_max = queue_bytes_max });
	root = sio_of(s.io, "/");
	other = sio_of(s.io, "/other");
	for (size_t i = 0; i < SPACES; i++) {
		snprintf(name, sizeof(name), "/space-%zu", i);
		spaces[i] = sio_of(s.io, name);
		assert_int_equal(sio_on(spaces[i], "disconnect", on_disconnect, NULL), 0);
	}
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_on(other, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_on(root, "ask", on_ask, NULL), 0);
	assert_int_equal(sio_on(root, "say", on_say, root), 0);
	assert_int_equal(sio_on(root, "overflow", on_overflow, NULL), 0);
	served_run(&s);
}

static void arrive(struct client *c)
{
	char text[4096];

	open_on(&s, c, 0);
	join(c, NULL, NULL);
	joined(c, text);
}

static void post(struct client *c, const char *text)
{
	assert_int_equal(served_ask(c->fd, "POST", c->target, text, NULL), 200);
}

static void go(struct client *c)
{
	unsigned before = atomic_load(&left);

	post(c, "1");
	close(c->fd);
	WAIT_FOR(atomic_load(&left) > before);
}

/* True: as who it was; what comes up to its CONNECT is in `text`. */
static bool comes_back(struct client *c, const char *offset, char text[4096])
{
	char pid[SIO_SID_BYTES];

	memcpy(pid, c->pid, sizeof(pid));
	open_on(&s, c, 0);
	join(c, pid, offset);
	joined(c, text);
	return strcmp(pid, c->pid) == 0;
}

/* Asks, and takes the answers, as long as they come. */
static void ask_much(struct client *c)
{
	struct buf body;

	for (unsigned i = 0; i < ANSWERS; i++) {
		post(c, "4211[\"ask\"]");
		assert_int_equal(served_ask(c->fd, "GET", c->target, "", &body), 200);
		assert_true(body.bytes > ANSWER_BYTES);
		buf_finish(&body);
	}
}

/* Two that have both heard one event. */
static void begin(struct client *guest, struct client *busy)
{
	char text[4096];

	start(0);
	arrive(guest);
	arrive(busy);
	post(busy, "42[\"say\",1]");
	poll_until(guest, text, "[\"said\",1");
	heard(guest, text);
	poll_until(busy, text, "[\"said\",1");
}

static void end(struct client *guest, struct client *busy)
{
	go(guest);
	go(busy);
	served_finish(&s);
}

static void answers_do_not_push_out_events(void **state)
{
	struct client guest, busy;
	char text[4096];

	(void)state;
	_Static_assert(ANSWERS * ANSWER_BYTES > 4 * BACKLOG_BYTES, "more than is kept");
	begin(&guest, &busy);
	go(&guest);
	post(&busy, "42[\"say\",2]");
	poll_until(&busy, text, "[\"said\",2");
	ask_much(&busy);
	assert_true(comes_back(&guest, guest.offset, text));
	assert_int_equal(count_of(text, "[\"said\",2"), 1);
	end(&guest, &busy);
}

/* Of answers that it may not have had some are not kept any more: it cannot be said to have missed nothing. */
static void who_may_have_missed_an_answer_is_new(void **state)
{
	struct client guest, busy;
	char text[4096];

	(void)state;
	begin(&guest, &busy);
	post(&guest, "4211[\"ask\"]");
	go(&guest); /* and has not taken the answer */
	assert_true(comes_back(&guest, guest.offset, text));
	assert_int_equal(count_of(text, "4311["), 1);
	go(&guest);
	assert_true(comes_back(&guest, guest.offset, text));
	post(&guest, "4212[\"ask\"]");
	go(&guest);
	ask_much(&busy);
	assert_false(comes_back(&guest, guest.offset, text));
	end(&guest, &busy);
}

/* It was in its queue when it was let go, and its client says nothing of what it has had. */
static void who_has_not_been_sent_an_answer_is_new(void **state)
{
	struct client guest, busy;
	char text[4096];

	(void)state;
	start(0);
	arrive(&guest);
	arrive(&busy);
	post(&guest, "4211[\"ask\"]");
	ask_much(&busy);
	go(&guest);
	assert_false(comes_back(&guest, "none of yours", text));
	end(&guest, &busy);
}

/* Of all namespaces of a loop, the oldest goes for the newest. */
static void namespaces_have_a_bound_together(void **state)
{
	struct client guest;
	char text[4096];

	(void)state;
	_Static_assert((int)SPACES > (int)SIO_BACKLOGS_MAX, "not each can be full");
	start(0);
	open_on(&s, &guest, 0);
	for (size_t i = 0; i < SPACES; i++) {
		snprintf(text, sizeof(text), "40/space-%zu,", i);
		post(&guest, text);
		joined(&guest, text);
	}
	for (size_t i = 0; i < SPACES; i++) {
		for (unsigned n = 0; n < BACKLOG_BYTES / ANSWER_BYTES; n++)
			assert_int_equal(sio_emit(sio_all(spaces[i]), "said", sio_json(large)), 0);
	}
	close(guest.fd);
	served_end(&s);
	size_t bytes[SPACES], all = 0;
	for (size_t i = 0; i < SPACES; i++) {
		bytes[i] = spaces[i]->loops[0].backlog->bytes;
		all += bytes[i];
	}
	assert_int_equal(all, s.io->loops[0].backlogs_bytes);
	assert_true(all <= (size_t)SIO_BACKLOGS_MAX * BACKLOG_BYTES);
	assert_true(all > (size_t)(SIO_BACKLOGS_MAX - 1) * BACKLOG_BYTES);
	assert_int_equal(bytes[0], 0);
	assert_true(bytes[SPACES - 1] > BACKLOG_BYTES / 2);
	served_finish(&s);
	for (size_t i = 0; i < SPACES; i++)
		spaces[i] = NULL;
}

/* Its session was full, and has ended: the event never was in its queue. It is sent it, or is told that it is new. */
static void what_was_not_taken_was_not_sent(void **state)
{
	struct client guest;
	char text[4096], pid[SIO_SID_BYTES];

	(void)state;
	start(QUEUE_BYTES);
	arrive(&guest);
	post(&guest, "40/other,");
	joined(&guest, text);
	memcpy(pid, guest.pid, sizeof(pid));
	post(&guest, "42[\"overflow\"]");
	close(guest.fd);
	WAIT_FOR(atomic_load(&left) == 2);
	open_on(&s, &guest, 0);
	snprintf(text, sizeof(text), "40/other,{\"pid\":\"%s\",\"offset\":\"none of yours\"}", pid);
	post(&guest, text);
	joined(&guest, text);
	assert_string_equal(guest.pid, pid);
	assert_int_equal(count_of(text, "[\"said\",\"refused\""), 1);
	go(&guest);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_do_not_push_out_events),
		cmocka_unit_test(who_may_have_missed_an_answer_is_new),
		cmocka_unit_test(who_has_not_been_sent_an_answer_is_new),
		cmocka_unit_test(namespaces_have_a_bound_together),
		cmocka_unit_test(what_was_not_taken_was_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
