/* A deadline for authentication: renewed, taken back, or over; whatever memory there is. */
#include <errno.h>

#include "base/clock.h"
#include "lib/failing_alloc.h"
#include "served.h"
#include "sio/stats.h"

enum { AFTER_MS = 60, GRACE_MS = 60, TRIES = 6 };

#define NEXT "\x1e" /* between the packets of a payload */

static struct served s;
static struct sio_space *root;
static atomic_uint expired, gone, renewals, fail_at;
static atomic_int set;
static char reason[64]; /* written by the loop before `gone` */

static void on_connection(const struct sio_event *e)
{
	failing_alloc_arm(atomic_load(&fail_at));
	int rc = sio_set_expiry(e->socket, AFTER_MS, GRACE_MS);
	(void)!failing_alloc_disarm();
	atomic_store(&set, rc);
}

static void on_expired(const struct sio_event *e)
{
	assert(e->name.bytes == 7);
	atomic_fetch_add(&expired, 1);
	sio_emit(sio_self(e->socket), "renew", sio_json("[]"));
	if (atomic_load(&renewals) > 0) {
		atomic_fetch_sub(&renewals, 1);
		assert(sio_set_expiry(e->socket, AFTER_MS, GRACE_MS) == 0);
	}
}

/* The client has a new proof, or needs none any more. */
static void on_proof(const struct sio_event *e)
{
	assert(sio_set_expiry(e->socket, e->ctx == NULL ? 60000 : 0, 0) == 0);
	(void)sio_answer(e->ack, sio_json("[]"));
}

static void on_disconnect(const struct sio_event *e)
{
	assert(e->reason.bytes < sizeof(reason));
	memcpy(reason, e->reason.s, e->reason.bytes);
	reason[e->reason.bytes] = '\0';
	assert(sio_set_expiry(e->socket, 1, 1) == 0); /* it has gone: no effect */
	atomic_fetch_add(&gone, 1);
}

static enum sio_verdict admit(const struct sio_event *e, struct sio_refusal *refusal)
{
	(void)refusal;
	assert(sio_set_expiry(e->socket, 1, 1) == -EINVAL);
	return SIO_ADMIT;
}

static void nothing(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
}

/* Its deadline is over before what was put off has been done. */
static void send_away_late(struct sio_socket *socket, void *ctx)
{
	uint64_t end_ns = clock_now_ns() + 5 * CLOCK_NS_PER_MS;

	(void)ctx;
	assert(socket != NULL && sio_set_expiry(socket, 1, GRACE_MS) == 0);
	assert(sio_with(root, sio_id(socket), nothing, NULL) == 0);
	sio_disconnect(socket, false);
	while (clock_now_ns() < end_ns)
		;
}

static void on_kick(const struct sio_event *e)
{
	assert(sio_with(root, sio_id(e->socket), send_away_late, NULL) == 0);
}

static void start(void)
{
	static char no_more[] = "no more";

	atomic_store(&expired, 0);
	atomic_store(&gone, 0);
	atomic_store(&renewals, 0);
	atomic_store(&fail_at, 1000000);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	assert_non_null(sio_of(s.io, "/a\"b\\c"));
	assert_int_equal(sio_on(root, "connection", on_connection, NULL), 0);
	assert_int_equal(sio_on(root, "expired", on_expired, NULL), 0);
	assert_int_equal(sio_on(root, "disconnect", on_disconnect, NULL), 0);
	assert_int_equal(sio_on(root, "proof", on_proof, NULL), 0);
	assert_int_equal(sio_on(root, "kick", on_kick, NULL), 0);
	assert_int_equal(sio_on(root, "no proof", on_proof, no_more), 0);
	assert_int_equal(sio_use(root, admit, NULL), 0);
	served_run(&s);
}

static int come(char target[100])
{
	int fd = client_connect(&s.h);

	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
	assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
	return fd;
}

static void nobody_renews(void **state)
{
	char target[100];
	struct sio_stats stats;

	(void)state;
	start();
	int fd = come(target);
	served_expect(fd, target, "42[\"renew\"]" NEXT "41");
	WAIT_FOR(atomic_load(&gone) == 1);
	assert_string_equal(reason, "authentication expired");
	assert_int_equal(atomic_load(&expired), 1);
	sio_stats(s.io, &stats);
	assert_int_equal(stats.sockets_expired, 1);
	/* Its connection stands: it may join again. */
	assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
	close(fd);
	served_finish(&s);
}

static void renewed_at_once_and_later(void **state)
{
	char target[100];

	(void)state;
	start();
	atomic_store(&renewals, 2);
	int fd = come(target);
	served_expect(fd, target, "42[\"renew\"]" NEXT "42[\"renew\"]" NEXT "42[\"renew\"]");
	assert_int_equal(served_ask(fd, "POST", target, "421[\"proof\"]", NULL), 200);
	served_expect(fd, target, "431[]");
	assert_int_equal(served_ask(fd, "POST", target, "422[\"no proof\"]", NULL), 200);
	served_expect(fd, target, "432[]");
	assert_int_equal(atomic_load(&expired), 3);
	assert_int_equal(atomic_load(&gone), 0);
	close(fd);
	served_finish(&s);
	assert_string_equal(reason, "server shutting down");
}

static void who_is_sent_away_does_not_expire(void **state)
{
	char target[100];

	(void)state;
	start();
	int fd = come(target);
	assert_int_equal(served_ask(fd, "POST", target, "42[\"kick\"]", NULL), 200);
	served_expect(fd, target, "41");
	WAIT_FOR(atomic_load(&gone) == 1);
	assert_string_equal(reason, "server namespace disconnect");
	assert_int_equal(atomic_load(&expired), 0);
	close(fd);
	served_finish(&s);
}

static void without_memory(void **state)
{
	char target[100];

	(void)state;
	start();
	for (unsigned n = 1; n < TRIES; n++) {
		atomic_store(&fail_at, n);
		int fd = come(target);
		int rc = atomic_load(&set);

		assert_true(rc == 0 || rc == -ENOMEM);
		assert_true(n > 1 || rc == -ENOMEM);
		close(fd);
	}
	served_finish(&s);
	assert_int_equal(atomic_load(&set), 0);
}

/* Each line is a figure, or says what it is, once for all of a name; a namespace's name is quoted. */
static void figures_as_text(void **state)
{
	char target[100], small[32];
	unsigned figures = 0, names = 0;

	(void)state;
	start();
	int fd = come(target);
	size_t bytes = sio_stats_text(s.io, NULL, 0);
	char *text = malloc(bytes + 100);
	assert_non_null(text);
	size_t again = sio_stats_text(s.io, text, bytes + 100);
	assert_int_equal(strlen(text), again);
	assert_non_null(
		strstr(text, "\n# TYPE sio_sessions_opened_total counter\nsio_sessions_opened_total 1\n"));
	assert_non_null(strstr(text, "\n# TYPE sio_sessions gauge\nsio_sessions 1\n"));
	assert_non_null(strstr(
		text, "\nsio_space_sockets{space=\"/\"} 1\nsio_space_sockets{space=\"/a\\\"b\\\\c\"} 0\n"));
	for (char *line = text, *end; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		if (end == NULL)
			break;
		figures += line[0] != '#';
		names += strncmp(line, "# TYPE ", 7) == 0;
	}
	assert_true(figures > 30 && names < figures);
	assert_int_equal(sio_stats_text(s.io, small, sizeof(small)) > sizeof(small), true);
	assert_int_equal(strlen(small), sizeof(small) - 1);
	free(text);
	close(fd);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_renews),
		cmocka_unit_test(renewed_at_once_and_later),
		cmocka_unit_test(who_is_sent_away_does_not_expire),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(figures_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
