/* Who joins while its client lags is told so, before it is told that all has been read. */
#include <errno.h>

#include <sio/stats.h>

#include "served.h"

enum {
	MESSAGES = 18, /* two more than one poll's answer takes */
	MESSAGE_BYTES = 500,
	QUEUE_BYTES = 64 << 20,
	SOFT_BYTES = 10000, /* fewer than they have; two of them are less than a quarter */
};

static struct served s;
static struct sio_space *root, *other, *left;
static char heard[3][256]; /* of each namespace, what its handlers were called for */
static atomic_uint calls;

static bool behind; /* who is sent away is so behind something that was put off */

static void nothing(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
}

static void on_own(const struct sio_event *e)
{
	const struct sio_space *space = sio_space_of(e->socket);
	char *text = heard[space == root ? 0 : space == other ? 1 : 2];
	size_t bytes = strlen(text);

	assert(bytes + e->name.bytes + 2 < sizeof(heard[0]));
	memcpy(text + bytes, e->name.s, e->name.bytes);
	memcpy(text + bytes + e->name.bytes, " ", 2);
	if (space == left && e->name.s[0] == 'c') {
		if (behind)
			assert(sio_with(root, sio_id(e->socket), nothing, NULL) == 0);
		sio_disconnect(e->socket, false);
	}
	atomic_fetch_add(&calls, 1);
}

static void create(void)
{
	static const char *const own[] = { "connection", "disconnect", "lagging", "drained" };
	struct sio_space **spaces[] = { &root, &other, &left };
	static const char *const names[] = { "/", "/other", "/left" };

	memset(heard, 0, sizeof(heard));
	atomic_store(&calls, 0);
	served_create(
		&s, &(struct sio_options){
			    .threads = 1, .queue_bytes_soft = SOFT_BYTES, .queue_bytes_max = QUEUE_BYTES });
	for (size_t i = 0; i < 3; i++) {
		*spaces[i] = sio_of(s.io, names[i]);
		for (size_t j = 0; j < sizeof(own) / sizeof(own[0]); j++)
			assert_int_equal(sio_on(*spaces[i], own[j], on_own, NULL), 0);
	}
}

static void start(void)
{
	create();
	served_run(&s);
}

/* A client in the namespace, of which more is waiting than may. */
static int join_and_lag(char target[100])
{
	int fd = client_connect(&s.h);
	char text[MESSAGE_BYTES + 1];

	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target, "40", NULL), 200);
	assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
	memset(text, '1', MESSAGE_BYTES);
	memcpy(text, "[\"", 2);
	memcpy(text + MESSAGE_BYTES - 2, "\"]", 3);
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(sio_emit(sio_all(root), "m", sio_json(text)), 0);
	WAIT_FOR(atomic_load(&calls) == 2);
	assert_string_equal(heard[0], "connection lagging ");
	return fd;
}

/* What the figures say of it. */
static void expect_figures(uint64_t lagged, uint64_t lagging, bool waits)
{
	struct sio_stats stats;
	char text[1 << 16], line[64];

	sio_stats(s.io, &stats);
	assert_int_equal(stats.sessions_lagged, lagged);
	assert_int_equal(stats.sessions_lagging, lagging);
	assert_int_equal(stats.queued_bytes > MESSAGES * MESSAGE_BYTES, waits);
	assert_int_equal(stats.queued_bytes > 0, waits);
	assert_true(sio_stats_text(s.io, text, sizeof(text)) < sizeof(text));
	snprintf(line, sizeof(line), "\n# TYPE sio_sessions_lagging gauge\nsio_sessions_lagging %u\n",
		(unsigned)lagging);
	assert_non_null(strstr(text, line));
	snprintf(line, sizeof(line), "\nsio_queued_bytes %llu\n", (unsigned long long)stats.queued_bytes);
	assert_non_null(strstr(text, line));
}

static void fetch(int fd, const char *target)
{
	assert_int_equal(served_ask(fd, "GET", target, "", NULL), 200);
}

static void who_joins_late_is_told(void **state)
{
	char target[100];

	(void)state;
	start();
	expect_figures(0, 0, false);
	int fd = join_and_lag(target);
	expect_figures(1, 1, true);
	fetch(fd, target); /* all but two: so it is listened to, and lags still */
	assert_int_equal(atomic_load(&calls), 2);
	assert_int_equal(served_ask(fd, "POST", target, "40/other,", NULL), 200);
	WAIT_FOR(atomic_load(&calls) == 4);
	assert_string_equal(heard[1], "connection lagging ");
	fetch(fd, target);
	WAIT_FOR(atomic_load(&calls) == 6);
	assert_string_equal(heard[0], "connection lagging drained ");
	assert_string_equal(heard[1], "connection lagging drained ");
	expect_figures(1, 0, false);
	/* Who joins now is told nothing. */
	assert_int_equal(served_ask(fd, "POST", target,
				 "41/other,\x1e"
				 "40/other,",
				 NULL),
		200);
	fetch(fd, target);
	WAIT_FOR(atomic_load(&calls) == 8);
	assert_string_equal(heard[1], "connection lagging drained connection disconnect ");
	close(fd);
	served_finish(&s);
}

enum {
	LARGE_BYTES = 100000,
	LARGE_COUNT = 200, /* more than both kernels take */
	SETTLE_MS = 50,
};

enum { NOTHING, STANDS, GOES_ON };

static atomic_int loop_does;

static void on_stand(const struct sio_event *e)
{
	(void)e;
	atomic_store(&loop_does, STANDS);
	while (atomic_load(&loop_does) != GOES_ON)
		poll(NULL, 0, 1);
}

static void on_tell(const struct sio_event *e)
{
	struct sio_target to = sio_all(root);

	(void)e;
	to.is_volatile = true;
	int rc = sio_emit(to, "v", sio_json("[]"));
	assert(rc == 0);
}

static int join_other(char target[100])
{
	int fd = client_connect(&s.h);
	unsigned before = atomic_load(&calls);

	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target, "40/other,", NULL), 200);
	WAIT_FOR(atomic_load(&calls) == before + 1);
	return fd;
}

static void post(int fd, const char *target, const char *body)
{
	char text[300];

	snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", target,
		strlen(body), body);
	client_send_text(fd, text);
}

static void on_fill(const struct sio_event *e)
{
	static char text[LARGE_BYTES + 1];

	(void)e;
	memset(text, '1', LARGE_BYTES);
	memcpy(text, "[\"", 2);
	memcpy(text + LARGE_BYTES - 2, "\"]", 3);
	for (int i = 0; i < LARGE_COUNT; i++) {
		int rc = sio_emit(sio_all(root), "m", sio_json(text));
		assert(rc == 0);
	}
}

/* On a WebSocket. */
static int join_on_websocket(void)
{
	static const uint8_t joins[] = { 0x81, 0x82, 0, 0, 0, 0, '4', '0' };
	int fd = client_connect(&s.h);
	unsigned before = atomic_load(&calls);

	client_send_text(fd,
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	client_send(fd, joins, sizeof(joins));
	WAIT_FOR(atomic_load(&calls) == before + 1);
	return fd;
}

/* Till nothing more comes. */
static void drain(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static char bytes[LARGE_BYTES];

	while (poll(&p, 1, SETTLE_MS) == 1)
		assert_true(client_recv(fd, bytes, sizeof(bytes)) > 0);
}

/* The kernel could take it, as it does when it has just become writable: but what it missed is not even in the kernel. */
static void who_lags_gets_no_volatile_event(void **state)
{
	char standing_target[100], telling_target[100];
	struct sio_stats stats;

	(void)state;
	create();
	assert_int_equal(sio_on(other, "stand", on_stand, NULL), 0);
	assert_int_equal(sio_on(other, "tell", on_tell, NULL), 0);
	atomic_store(&loop_does, NOTHING);
	assert_int_equal(sio_on(other, "fill", on_fill, NULL), 0);
	served_run(&s);
	int standing = join_other(standing_target), telling = join_other(telling_target);
	int fd = join_on_websocket();
	assert_int_equal(served_ask(telling, "POST", telling_target, "42/other,[\"fill\"]", NULL), 200);
	WAIT_FOR(atomic_load(&calls) == 4);
	assert_string_equal(heard[0], "connection lagging ");
	post(standing, standing_target, "42/other,[\"stand\"]");
	WAIT_FOR(atomic_load(&loop_does) == STANDS);
	drain(fd);
	post(telling, telling_target, "42/other,[\"tell\"]"); /* is read behind that */
	atomic_store(&loop_does, GOES_ON);
	WAIT_FOR(client_readable(telling));
	sio_stats(s.io, &stats);
	assert_int_equal(stats.skipped_volatile, 1);
	close(telling);
	close(standing);
	close(fd);
	served_finish(&s);
}

/* It has gone when the handler of "connection" is over. */
static void who_is_sent_away_is_not(void **state)
{
	char target[100];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		behind = i == 1;
		start();
		int fd = join_and_lag(target);
		fetch(fd, target);
		assert_int_equal(served_ask(fd, "POST", target, "40/left,", NULL), 200);
		fetch(fd, target);
		WAIT_FOR(atomic_load(&calls) == 5);
		assert_string_equal(heard[0], "connection lagging drained ");
		assert_string_equal(heard[2], "connection disconnect ");
		close(fd);
		served_finish(&s);
	}
}

static uint64_t lagging(void)
{
	struct sio_stats stats;

	sio_stats(s.io, &stats);
	return stats.sessions_lagging;
}

static void who_goes_lags_no_more(void **state)
{
	char target[100];

	(void)state;
	start();
	int fd = join_and_lag(target);
	assert_int_equal(sio_disconnect_all(sio_all(root), true), 0);
	while (served_ask(fd, "GET", target, "", NULL) == 200) /* its client hears of the end */
		continue;
	WAIT_FOR(lagging() == 0);
	expect_figures(1, 0, false);
	close(fd);
	served_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_joins_late_is_told),
		cmocka_unit_test(who_is_sent_away_is_not),
		cmocka_unit_test(who_goes_lags_no_more),
		cmocka_unit_test(who_lags_gets_no_volatile_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
