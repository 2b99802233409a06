/*
 * tests/unit/socketio/guest.h -- clients by polling that come back as who they were, on the loop that a test wants.
 */
#ifndef TESTS_UNIT_SOCKETIO_GUEST_H
#define TESTS_UNIT_SOCKETIO_GUEST_H

#include "base/base64.h"
#include "served.h"

enum { TRIES = 4096 }; /* to get a connection on a loop */

#define NEXT "\x1e" /* between the packets of a payload */

/* A client by polling, on the loop that is wanted. */
struct client {
	int fd;
	char target[100];
	char pid[SIO_SID_BYTES], offset[64];
};

static inline uint32_t loop_of(const char *target)
{
	uint8_t bytes[18];
	size_t count;

	assert_true(base64url_decode(bytes, strstr(target, "sid=") + 4, EIO_SID_CHARS, &count));
	return bytes[11];
}

static inline void open_on(struct served *s, struct client *c, uint32_t loop)
{
	for (unsigned i = 0; i < TRIES; i++) {
		c->fd = client_connect(&s->h);
		assert_true(served_open(c->fd, c->target));
		if (loop_of(c->target) == loop)
			return;
		assert_int_equal(served_ask(c->fd, "POST", c->target, "1", NULL), 200);
		close(c->fd);
	}
	fail_msg("the kernel gives loop %u nothing", loop);
}

/* The next payload, with a NUL behind it. */
static inline void fetch(struct client *c, char out[1024])
{
	struct buf body;

	assert_int_equal(served_ask(c->fd, "GET", c->target, "", &body), 200);
	assert_true(body.bytes < 1024);
	memcpy(out, body.data, body.bytes);
	out[body.bytes] = '\0';
	buf_finish(&body);
}

/* Poll until `end` has come: all of it. */
static inline void poll_until(struct client *c, char all[4096], const char *end)
{
	char text[1024];
	size_t bytes = 0;

	all[0] = '\0';
	do {
		fetch(c, text);
		bytes += (size_t)snprintf(all + bytes, 4096 - bytes, "%s%s", bytes > 0 ? NEXT : "", text);
		assert_true(bytes < 4096);
	} while (strstr(all, end) == NULL);
}

static inline void copy_string(char *out, size_t out_bytes, const char *from)
{
	size_t bytes = strcspn(from, "\"");

	assert_true(bytes < out_bytes);
	memcpy(out, from, bytes);
	out[bytes] = '\0';
}

/* Join, maybe as who it was; `all` is what came up to its CONNECT. */
static inline void join(struct client *c, const char *pid, const char *offset)
{
	char text[256] = "40";

	if (pid != NULL && offset != NULL)
		snprintf(text, sizeof(text), "40{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, offset);
	else if (pid != NULL)
		snprintf(text, sizeof(text), "40{\"pid\":\"%s\"}", pid);
	assert_int_equal(served_ask(c->fd, "POST", c->target, text, NULL), 200);
}

static inline void joined(struct client *c, char all[4096])
{
	poll_until(c, all, "\"pid\"");
	copy_string(c->pid, sizeof(c->pid), strstr(all, "\"pid\":\"") + 7);
}

static inline void leave(struct client *c)
{
	assert_int_equal(served_ask(c->fd, "POST", c->target, "1", NULL), 200);
	close(c->fd);
}

/* Its loop does something else, and answers. */
static inline void echo(struct client *c)
{
	char all[4096];

	assert_int_equal(served_ask(c->fd, "POST", c->target, "427[\"echo\"]", NULL), 200);
	poll_until(c, all, "437[]");
}

static inline void heard(struct client *c, const char *all)
{
	const char *at = strstr(all, "[\"said\",");

	assert_non_null(at);
	copy_string(c->offset, sizeof(c->offset), strstr(at, ",\"") + 2);
}

static inline unsigned count_of(const char *all, const char *what)
{
	unsigned count = 0;

	for (const char *at = all; (at = strstr(at, what)) != NULL; at++)
		count++;
	return count;
}

#endif
