/* Endpoints: peers of plain WebSockets and of Engine.IO alone, by their handlers and from other threads; whatever memory there is. */
#include <errno.h>

#include "served.h"
#include "sio/eio.h"
#include "sio/stats.h"
#include "sio/ws.h"

enum { LOOPS = 2, PEERS = 6, TRIES = 12, FRAME_BYTES_MAX = 120 };

static struct served s;
static struct sio_endpoint *live;
static struct sio_space *space; /* to put something off by */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards ids and last: loops write them */
static atomic_uint opened, closed, destroyed, within, fail_at;
static struct sio_id ids[PEERS]; /* of those that came, in no order; each is written before `opened` */
static struct sio_end last; /* written before `closed` */
static char kept[] = "kept";

static void destroy(void *data)
{
	assert(data == kept);
	atomic_fetch_add(&destroyed, 1);
}

static bool allow(void *ctx, const struct sio_request *r, struct sio_admission *a)
{
	struct sio_str value;

	assert(ctx == kept);
	if (sio_request_header(r, "X-Not", &value)) {
		a->message = "not you";
		return false;
	}
	a->data = kept;
	a->destroy = destroy;
	failing_alloc_arm(atomic_load(&fail_at));
	return true;
}

static void on_opened(struct sio_peer *p, void *ctx)
{
	(void)!failing_alloc_disarm();
	assert(ctx == kept && sio_peer_data(p) == kept && sio_peer_endpoint(p) == live);
	pthread_mutex_lock(&lock);
	ids[atomic_load(&opened) % PEERS] = sio_peer_id(p);
	atomic_fetch_add(&opened, 1);
	pthread_mutex_unlock(&lock);
}

static void on_nothing(struct sio_socket *socket, void *ctx)
{
	(void)socket;
	(void)ctx;
}

static int say_to(struct sio_peer *p, const char *text, bool is_volatile)
{
	struct sio_bytes m = { text, strlen(text) };

	return is_volatile ? sio_peer_send_volatile(p, false, m) : sio_peer_send(p, false, m);
}

/* Behind something that was put off. */
static void speak_in_order(struct sio_peer *p)
{
	struct sio_id nobody = { .loop = sio_peer_id(p).loop, .slot = 100000, .generation = 1 };

	assert(sio_with(space, nobody, on_nothing, NULL) == 0);
	assert(say_to(p, "first", false) == 0);
	assert(say_to(p, "second", true) == 0);
	assert(say_to(p, "third", false) == 0);
}

static void on_message(struct sio_peer *p, bool binary, struct sio_bytes m, void *ctx)
{
	static const char protocol_text[] = "protocol";
	struct sio_bytes none = { 0 };

	(void)ctx;
	if (m.bytes == 5 && memcmp(m.data, "close", 5) == 0) {
		atomic_store(&within, 1);
		assert(sio_peer_close(p, 999) == -EINVAL && sio_peer_close(p, 1006) == -EINVAL);
		assert(sio_peer_send(p, false, m) == 0); /* goes before the end */
		assert(sio_peer_close(p, 4000) == 0 && sio_peer_close(p, 4001) == 0);
		assert(sio_peer_send(p, false, m) == -EPIPE);
		assert(sio_peer_data(p) == kept);
		atomic_store(&within, 0);
		return;
	}
	if (m.bytes == 3 && memcmp(m.data, "bad", 3) == 0) {
		assert(sio_peer_send(p, false, (struct sio_bytes){ "\xc0\xaf", 2 }) == -EINVAL);
		assert(sio_peer_send(p, true, (struct sio_bytes){ "", SIO_PEER_MESSAGE_BYTES_MAX + 1u }) ==
			-EMSGSIZE);
		assert(sio_peer_send(p, true, none) == 0);
		return;
	}
	if (m.bytes == 5 && memcmp(m.data, "order", 5) == 0) {
		speak_in_order(p);
		return;
	}
	if (m.bytes == sizeof(protocol_text) - 1 && memcmp(m.data, protocol_text, m.bytes) == 0) {
		const char *protocol = sio_ws_protocol(p);
		assert(protocol != NULL);
		m = (struct sio_bytes){ protocol, strlen(protocol) };
	}
	assert(sio_peer_send_volatile(p, binary, m) == 0);
}

static void on_closed(struct sio_peer *p, const struct sio_end *end, void *ctx)
{
	assert(ctx == kept && atomic_load(&within) == 0);
	assert(sio_peer_send(p, false, (struct sio_bytes){ "x", 1 }) == -EPIPE && sio_peer_data(p) == kept);
	pthread_mutex_lock(&lock);
	last = *end;
	atomic_fetch_add(&closed, 1);
	pthread_mutex_unlock(&lock);
}

static const struct sio_endpoint_events events = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
};
static const char *const protocols[] = { "chat.v1", "chat.v2" };

static struct sio_ws_options options(void)
{
	return (struct sio_ws_options){
		.events = events,
		.protocols = protocols,
		.protocol_count = 2,
		.allow = allow,
	};
}

static void create(void)
{
	atomic_store(&opened, 0);
	atomic_store(&closed, 0);
	atomic_store(&destroyed, 0);
	atomic_store(&fail_at, 1000000);
	served_create(&s, &(struct sio_options){ .threads = LOOPS, .without_socketio = true });
	space = sio_of(s.io, "/");
}

static void start(void)
{
	struct sio_ws_options o = options();

	create();
	live = sio_ws(s.io, "/live", &o, kept);
	assert_non_null(live);
	served_run(&s);
}

/* The status of a handshake. */
static int shake(int fd, const char *more)
{
	char text[512];
	struct web_answer a;
	char first;
	int n = snprintf(text, sizeof(text),
		"GET /live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
		more);

	assert_true(n > 0 && (size_t)n < sizeof(text));
	client_send_text(fd, text);
	WAIT_FOR(client_readable(fd));
	(void)!failing_alloc_disarm();
	if (recv(fd, &first, 1, MSG_PEEK) <= 0)
		return 0;
	web_read(fd, &a, false);
	buf_finish(&a.body);
	if (a.status == 101)
		assert_non_null(strstr(a.head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	if (strstr(more, "Protocol") != NULL)
		assert_non_null(strstr(a.head, "\r\nSec-WebSocket-Protocol: chat.v2\r\n"));
	else
		assert_null(strstr(a.head, "Sec-WebSocket-Protocol"));
	return a.status;
}

static void say(int fd, const char *text)
{
	size_t bytes = strlen(text);
	char frame[6 + FRAME_BYTES_MAX] = { (char)0x81, (char)(0x80 | bytes) };

	assert_true(bytes <= FRAME_BYTES_MAX);
	memcpy(frame + 6, text, bytes); /* a mask of zeroes */
	client_send(fd, frame, 6 + bytes);
}

static void hear(int fd, uint8_t head, const void *payload, size_t bytes)
{
	uint8_t frame[2 + FRAME_BYTES_MAX];

	client_receive(fd, frame, 2);
	assert_int_equal(frame[0], head);
	assert_int_equal(frame[1], bytes);
	client_receive(fd, frame + 2, bytes);
	assert_memory_equal(frame + 2, payload, bytes);
}

static void hear_text(int fd, const char *text)
{
	hear(fd, 0x81, text, strlen(text));
}

static void hear_close(int fd, uint16_t code)
{
	uint8_t payload[2] = { (uint8_t)(code >> 8), (uint8_t)code };

	hear(fd, 0x88, payload, 2);
}

static void messages_and_ends(void **state)
{
	(void)state;
	start();
	int fd = client_connect(&s.h), other = client_connect(&s.h);
	assert_int_equal(shake(other, "X-Not: 1\r\n"), 403);
	assert_int_equal(shake(other, "Sec-WebSocket-Protocol: none, chat.v2 ,chat.v1\r\n"), 101);
	say(other, "protocol");
	hear_text(other, "chat.v2");
	assert_int_equal(shake(fd, ""), 101);
	say(fd, "hello");
	hear_text(fd, "hello");
	say(fd, "bad");
	hear(fd, 0x82, "", 0);
	say(fd, "order");
	hear_text(fd, "first");
	hear_text(fd, "second");
	hear_text(fd, "third");
	say(fd, "close");
	hear_text(fd, "close");
	hear_close(fd, 4000);
	WAIT_FOR(atomic_load(&closed) == 1 && atomic_load(&destroyed) == 1);
	assert_string_equal(last.reason, "forced close");
	assert_int_equal(last.code, 4000);
	WAIT_FOR(sio_endpoint_count(live) == 1);
	client_send(other, "\x88\x82\0\0\0\0\x0b\xb9", 8); /* 3001 */
	hear_close(other, 3001);
	WAIT_FOR(atomic_load(&closed) == 2);
	assert_string_equal(last.reason, "transport close");
	assert_int_equal(last.code, 3001);
	close(fd);
	close(other);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), 2);
}

static void from_another_thread(void **state)
{
	static const struct sio_bytes all = { "to all", 6 }, one = { "to one", 6 }, bad = { "\xff", 1 };
	int fds[PEERS];
	unsigned heard = 0;

	(void)state;
	start();
	for (unsigned i = 0; i < PEERS; i++) {
		fds[i] = client_connect(&s.h);
		assert_int_equal(shake(fds[i], ""), 101);
		WAIT_FOR(atomic_load(&opened) == i + 1);
	}
	assert_int_equal(sio_endpoint_count(live), PEERS);
	assert_int_equal(sio_endpoint_send_all(live, false, bad), -EINVAL);
	assert_int_equal(sio_endpoint_send_all(live, false, all), 0);
	assert_int_equal(sio_endpoint_send(live, (struct sio_id){ 0 }, false, one), -ENOENT);
	assert_int_equal(sio_endpoint_send(live, (struct sio_id){ LOOPS, 0, 1 }, false, one), -ENOENT);
	for (unsigned i = 0; i < PEERS; i++)
		hear_text(fds[i], "to all");
	/* One after the other, each by its name: it alone hears it, and is then closed. */
	for (unsigned i = 0; i < PEERS; i++) {
		assert_int_equal(sio_endpoint_close(live, ids[i], 5), -EINVAL);
		assert_int_equal(sio_endpoint_send(live, ids[i], false, one), 0);
		assert_int_equal(sio_endpoint_close(live, ids[i], i == 0 ? 0 : 1000), 0);
		WAIT_FOR(atomic_load(&closed) == i + 1);
		assert_int_equal(sio_endpoint_send(live, ids[i], false, one), 0); /* it has gone: no effect */
	}
	for (unsigned i = 0; i < PEERS; i++) {
		uint8_t frame[4];

		hear_text(fds[i], "to one");
		client_receive(fds[i], frame, 2);
		assert_int_equal(frame[0], 0x88);
		heard += frame[1] == 2;
		close(fds[i]);
	}
	assert_int_equal(heard, PEERS - 1);
	served_finish(&s);
	assert_int_equal(atomic_load(&destroyed), PEERS);
}

static void stopping_tells_all(void **state)
{
	int fds[PEERS];

	(void)state;
	start();
	for (unsigned i = 0; i < PEERS; i++) {
		fds[i] = client_connect(&s.h);
		assert_int_equal(shake(fds[i], ""), 101);
	}
	sio_stop(s.io);
	for (unsigned i = 0; i < PEERS; i++) {
		hear_close(fds[i], 1012);
		close(fds[i]);
	}
	served_finish(&s);
	assert_int_equal(atomic_load(&closed), PEERS);
	assert_string_equal(last.reason, "server shutting down");
	assert_int_equal(last.code, 1012);
}

static void without_memory(void **state)
{
	unsigned refused = 0, let_in = 0;

	(void)state;
	start();
	for (unsigned n = 1; n < TRIES; n++) {
		int fd = client_connect(&s.h);

		atomic_store(&fail_at, n);
		int status = shake(fd, "");
		assert_true(status == 0 || status == 101 || status == 503);
		refused += status != 101;
		let_in += status == 101;
		atomic_store(&fail_at, 1000000);
		close(fd);
	}
	assert_true(refused > 0 && let_in > 0);
	served_finish(&s);
	assert_int_equal(atomic_load(&closed), atomic_load(&opened));
}

/* What could not be made has left nothing behind: it is made anew, and served. */
static void made_anew(void **state)
{
	struct sio_ws_options o = options();
	unsigned n = 0;
	bool failed;

	(void)state;
	do {
		create();
		failing_alloc_arm(++n);
		live = sio_ws(s.io, "/live", &o, kept);
		failed = failing_alloc_disarm();
		assert_int_equal(live == NULL, failed);
		if (live == NULL)
			live = sio_ws(s.io, "/live", &o, kept);
		assert_non_null(live);
		served_run(&s);
		int fd = client_connect(&s.h);
		assert_int_equal(shake(fd, ""), 101);
		close(fd);
		served_finish(&s);
	} while (failed);
	assert_true(n > 5);
}

/* Options that make no sense, and places that are taken. */
static void refused(void **state)
{
	static const char *const slash[] = { "https://a.example/" }, *const spaced[] = { "a b" };
	struct sio_ws_options o = options(), large = options(), queues = options(), origins = options(),
			      named = options();
	struct sio_eio_options e = { .events = events },
			       cors = { .cors = &(struct sio_cors){ .credentials = true } };
	char path[16];

	(void)state;
	large.message_bytes_max = (64u << 20) + 1;
	queues.queue_bytes_max = 3 << 20;
	origins.origins = slash;
	origins.origin_count = 1;
	named.protocols = spaced;
	named.protocol_count = 1;
	served_create(&s, &(struct sio_options){ .threads = 1, .queued_bytes_max = 5 << 20 });
	assert_null(sio_ws(s.io, "live", &o, NULL));
	assert_null(sio_ws(s.io, "/live?a", &o, NULL));
	assert_null(sio_ws(s.io, "/live", &large, NULL));
	assert_null(
		sio_ws(s.io, "/live", &queues, NULL)); /* half of what may wait for all would wait for one */
	assert_null(sio_ws(s.io, "/live", &origins, NULL));
	assert_null(sio_ws(s.io, "/live", &named, NULL));
	assert_null(sio_eio(s.io, "/engine.io", &e, NULL));
	assert_null(sio_eio(s.io, "/socket.io/", &e, NULL)); /* Socket.IO is there */
	assert_null(sio_eio(s.io, "/engine.io/", &cors, NULL));
	for (unsigned i = 0; i < SIO_ENDPOINTS_MAX; i++) {
		snprintf(path, sizeof(path), "/%u/", i);
		assert_non_null(i % 2 ? sio_ws(s.io, path, &o, NULL) : sio_eio(s.io, path, &e, NULL));
		if (i < SIO_ENDPOINTS_MAX - 1)
			assert_null(i % 2 ? sio_ws(s.io, path, &o, NULL) : sio_eio(s.io, path, &e, NULL));
	}
	assert_null(sio_ws(s.io, "/live", &o, NULL));
	served_run(&s);
	served_finish(&s);
}

/* An engine of its own, with its own sids: text and binary both ways, and figures with the others'. */
static void engine_alone(void **state)
{
	static const char open_target[] = "/engine.io/?EIO=4&transport=polling";
	static const struct sio_cookie cookie;
	struct sio_eio_options o = { .events = events, .allow = allow, .cookie = &cookie };
	struct sio_stats stats;
	struct web_answer a;
	char target[100];
	struct buf body = { 0 };

	(void)state;
	atomic_store(&closed, 0);
	served_create(&s, &(struct sio_options){ .threads = 1, .without_socketio = true });
	live = sio_eio(s.io, "/engine.io/", &o, kept);
	assert_non_null(live);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_int_equal(served_ask(fd, "GET", "/socket.io/?EIO=4&transport=polling", "", NULL), 404);
	client_send_text(fd, "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
	web_read(fd, &a, false);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.head, "\r\nSet-Cookie: io="));
	assert_non_null(strstr(a.head, "; Path=/; HttpOnly; SameSite=Lax\r\n"));
	buf_finish(&a.body);
	assert_int_equal(served_ask(fd, "GET", open_target, "", &body), 200);
	snprintf(target, sizeof(target), "%s&sid=%.*s", open_target, EIO_SID_CHARS,
		(const char *)body.data + sizeof("0{\"sid\":\"") - 1);
	buf_finish(&body);
	assert_int_equal(sio_endpoint_send_all(live, false, (struct sio_bytes){ "all", 3 }), 0);
	served_expect(fd, target, "4all");
	assert_int_equal(sio_endpoint_send_all(live, true, (struct sio_bytes){ "\x01\x02", 2 }), 0);
	served_expect(fd, target, "bAQI=");
	sio_stats(s.io, &stats);
	assert_int_equal(stats.sessions_opened, 2);
	assert_int_equal(served_ask(fd, "POST", target, "1", NULL), 200);
	close(fd);
	served_end(&s);
	sio_destroy(s.io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_and_ends),
		cmocka_unit_test(from_another_thread),
		cmocka_unit_test(stopping_tells_all),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(made_anew),
		cmocka_unit_test(refused),
		cmocka_unit_test(engine_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
