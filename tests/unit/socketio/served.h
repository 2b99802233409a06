/*
 * tests/unit/socketio/served.h -- a server of libsio on a thread of its own, and raw clients that poll.
 *
 * Handlers run on the loops and say what they think by assert(). cmocka's own assertions belong to the test's thread.
 */
#ifndef TESTS_UNIT_SOCKETIO_SERVED_H
#define TESTS_UNIT_SOCKETIO_SERVED_H

#include <stdatomic.h>

#include "lib/failing_alloc.h"
#include "socketio/server_int.h"
#include "unit/http/web.h"

struct served {
	struct sio_server *io;
	struct harness h; /* for its clients: the server's pool */
	pthread_t thread;
	bool running;
};

static inline void served_create(struct served *s, const struct sio_options *options)
{
	struct sio_options o = *options;
	char err[256];

	o.listen = "127.0.0.1:0";
	o.log_least = SIO_LOG_OFF;
	*s = (struct served){ .io = sio_create(&o, err, sizeof(err)) };
	assert_non_null(s->io);
	s->h.pool = s->io->pool;
}

static inline void *served_main(void *io)
{
	int rc = sio_run(io);

	assert(rc == 0);
	return NULL;
}

static inline void served_run(struct served *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, served_main, s->io), 0);
	s->running = true;
}

/* Stop it, and wait until its loops have ended. */
static inline void served_end(struct served *s)
{
	sio_stop(s->io);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	s->running = false;
}

static inline void served_finish(struct served *s)
{
	if (s->running)
		served_end(s);
	sio_destroy(s->io);
}

/* Ask, and read what comes: its status and body, or 0 if the connection ended instead. */
static inline int served_ask(
	int fd, const char *method, const char *target, const char *body, struct buf *ret_body)
{
	char text[2048];
	struct web_answer a;
	char first;
	int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
		method, target, strlen(body), body);

	assert_true(n > 0 && (size_t)n < sizeof(text));
	client_send_text(fd, text);
	WAIT_FOR(client_readable(fd));
	(void)!failing_alloc_disarm(); /* reading it allocates */
	if (recv(fd, &first, 1, MSG_PEEK) <= 0)
		return 0;
	web_read(fd, &a, false);
	if (ret_body != NULL)
		*ret_body = a.body;
	else
		buf_finish(&a.body);
	return a.status;
}

/* Poll until as much has come as is wanted, be it in one payload or in several. */
static inline void served_expect(int fd, const char *target, const char *want)
{
	struct buf all;

	buf_init(&all, WEB_LARGE_BYTES);
	while (all.bytes < strlen(want)) {
		struct buf body;

		assert_int_equal(served_ask(fd, "GET", target, "", &body), 200);
		assert_true((all.bytes == 0 || buf_append(&all, "\x1e", 1)) &&
			    buf_append(&all, body.data, body.bytes));
		buf_finish(&body);
	}
	assert_int_equal(all.bytes, strlen(want));
	assert_memory_equal(all.data, want, all.bytes);
	buf_finish(&all);
}

/* A session by polling: false if it was refused. */
static inline bool served_open(int fd, char target[100])
{
	static const char base[] = "/socket.io/?EIO=4&transport=polling";
	struct buf body = { 0 };

	if (served_ask(fd, "GET", base, "", &body) != 200) {
		buf_finish(&body);
		return false;
	}
	snprintf(target, 100, "%s&sid=%.*s", base, EIO_SID_CHARS,
		(const char *)body.data + sizeof("0{\"sid\":\"") - 1);
	buf_finish(&body);
	return true;
}

#endif
