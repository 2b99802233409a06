/*
 * crowd/main.c -- many Socket.IO clients over WebSocket, told by lines on stdin what to do.
 *
 *	crowd PORT
 *
 *	connect N BYTES      open N more, with SO_RCVBUF of BYTES (0: the kernel's choice); each joins the namespace /
 *	wait WHAT N MS       until N are `ready`, or N are `gone`, or each ready one has had N `events` or `acks`
 *	say TEXT             each ready one sends the packet TEXT, in which % is its number
 *	deaf, hear           stop reading, read again
 *	echo EVERY_MS FOR_MS each asks for an echo so often: latencies
 *	flood FOR_MS N       the first asks for echoes without a pause, N of them unanswered at most (0: no limit)
 *	cut                  reset all connections, forget all clients
 *	state                nothing
 *
 * Each is answered by a line of JSON: the crowd as it is then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "measure.h"

enum {
	LINE_BYTES_MAX = 8192,
	DIFFERENT_MAX = 8, /* hashes, close codes that are named */
	IDLE_MS = 1000, /* between looks at stdin if nothing happens */
};

struct tally {
	uint64_t value[DIFFERENT_MAX];
	uint32_t times[DIFFERENT_MAX], count;
};

static struct crowd crowd;

static void tally_add(struct tally *t, uint64_t value)
{
	uint32_t i = 0;

	while (i < t->count && t->value[i] != value)
		i++;
	if (i == DIFFERENT_MAX)
		return;
	t->count += i == t->count;
	t->value[i] = value;
	t->times[i]++;
}

static void print_tally(const char *name, const struct tally *t, const char *format)
{
	printf(",\"%s\":{", name);
	for (uint32_t i = 0; i < t->count; i++) {
		printf("%s", i > 0 ? "," : "");
		printf(format, (unsigned long long)t->value[i]);
		printf(":%u", t->times[i]);
	}
	printf("}");
}

/* The least and the most that a ready client has had. */
static void span(bool acks, uint32_t *least, uint32_t *most)
{
	*least = UINT32_MAX;
	*most = 0;
	for (uint32_t i = 0; i < crowd.count; i++) {
		const struct client *c = &crowd.clients[i];
		uint32_t had = acks ? c->acks : c->events;

		if (c->state != CLIENT_READY)
			continue;
		*least = had < *least ? had : *least;
		*most = had > *most ? had : *most;
	}
	if (crowd.ready == 0)
		*least = 0;
}

static void print_state(bool ok, const char *more)
{
	struct tally hashes = { .count = 0 }, codes = { .count = 0 };
	uint32_t least, most, resets = 0;

	for (uint32_t i = 0; i < crowd.count; i++) {
		const struct client *c = &crowd.clients[i];

		if (c->state == CLIENT_READY)
			tally_add(&hashes, c->hash);
		else if (c->state == CLIENT_GONE)
			tally_add(&codes, c->close_code);
		resets += c->reset;
	}
	printf("{\"ok\":%s,\"ready\":%u,\"gone\":%u,\"resets\":%u", ok ? "true" : "false", crowd.ready,
		crowd.gone, resets);
	span(false, &least, &most);
	printf(",\"events\":[%u,%u]", least, most);
	span(true, &least, &most);
	printf(",\"acks\":[%u,%u]", least, most);
	print_tally("hashes", &hashes, "\"%016llx\"");
	print_tally("codes", &codes, "\"%llu\"");
	printf("%s}\n", more);
}

static bool reached(const char *what, uint32_t n)
{
	uint32_t least, most;

	if (strcmp(what, "ready") == 0)
		return crowd.ready >= n;
	if (strcmp(what, "gone") == 0)
		return crowd.gone >= n;
	span(strcmp(what, "acks") == 0, &least, &most);
	return least >= n;
}

static bool wait_for(const char *what, uint32_t n, uint32_t ms)
{
	uint64_t end_ns = crowd_now_ns() + ms * 1000000ull;
	bool done = false;

	while (!(done = reached(what, n)) && crowd_now_ns() < end_ns)
		crowd_turn(&crowd, 10);
	return done;
}

/* To each ready client, a % being its number. */
static void say(const char *text)
{
	const char *percent = strchr(text, '%');
	char own[SEND_BYTES_MAX];

	for (uint32_t i = 0; i < crowd.count; i++) {
		int n = percent == NULL ? snprintf(own, sizeof(own), "%s", text)
					: snprintf(own, sizeof(own), "%.*s%u%s", (int)(percent - text), text,
						  i, percent + 1);

		if (crowd.clients[i].state == CLIENT_READY && n > 0 && (size_t)n < sizeof(own))
			client_say(&crowd.clients[i], own, (size_t)n);
	}
}

static void listen_all(bool on)
{
	for (uint32_t i = 0; i < crowd.count; i++)
		client_listen(&crowd, &crowd.clients[i], on);
}

/* The next number of the line. */
static uint32_t number(char **line)
{
	return (uint32_t)strtoul(*line, line, 10);
}

static void obey(char *line)
{
	char *args = strchr(line, ' '), more[256] = "";
	struct latencies l;
	bool ok = true;

	if (args == NULL)
		args = line + strlen(line);
	else
		*args++ = '\0';
	if (strcmp(line, "connect") == 0) {
		crowd.wanted += number(&args);
		crowd.receive_bytes = number(&args);
		ok = crowd.wanted <= CLIENTS_MAX;
	} else if (strcmp(line, "wait") == 0) {
		char *what = args;
		args = strchr(args, ' ');
		*args++ = '\0';
		uint32_t n = number(&args);
		ok = wait_for(what, n, number(&args));
	} else if (strcmp(line, "say") == 0) {
		say(args);
	} else if (strcmp(line, "deaf") == 0 || strcmp(line, "hear") == 0) {
		listen_all(line[0] == 'h');
	} else if (strcmp(line, "echo") == 0) {
		uint32_t every_ms = number(&args);
		crowd_echo(&crowd, every_ms, number(&args), &l);
		snprintf(more, sizeof(more),
			",\"count\":%u,\"missed\":%u,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u", l.count,
			l.missed, l.p50_us, l.p99_us, l.max_us);
	} else if (strcmp(line, "flood") == 0) {
		uint32_t for_ms = number(&args);
		snprintf(more, sizeof(more), ",\"count\":%u", crowd_flood(&crowd, for_ms, number(&args)));
	} else if (strcmp(line, "cut") == 0) {
		crowd_cut(&crowd);
	} else {
		ok = strcmp(line, "state") == 0;
	}
	print_state(ok, more);
}

/* What stdin has. False: it has ended. */
static bool read_commands(void)
{
	static char line[LINE_BYTES_MAX];
	static size_t bytes;
	ssize_t n = read(STDIN_FILENO, line + bytes, sizeof(line) - 1 - bytes);

	if (n <= 0)
		return false;
	bytes += (size_t)n;
	for (char *end; (end = memchr(line, '\n', bytes)) != NULL;) {
		size_t used = (size_t)(end - line) + 1;

		*end = '\0';
		obey(line);
		memmove(line, line + used, bytes - used);
		bytes -= used;
	}
	return bytes < sizeof(line) - 1;
}

int main(int argc, char **argv)
{
	/* Two levels, so that a command is seen while clients are served. */
	struct epoll_event event = { .events = EPOLLIN }, got[2];
	int outer = epoll_create1(EPOLL_CLOEXEC);

	setvbuf(stdout, NULL, _IOLBF, 0);
	crowd.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (argc != 2 || outer < 0 || crowd.epoll_fd < 0)
		return 1;
	crowd.port = (uint16_t)strtoul(argv[1], NULL, 10);
	event.data.fd = STDIN_FILENO;
	if (epoll_ctl(outer, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
		return 1;
	event.data.fd = crowd.epoll_fd;
	if (epoll_ctl(outer, EPOLL_CTL_ADD, crowd.epoll_fd, &event) != 0)
		return 1;
	for (;;) {
		int n = epoll_wait(outer, got, 2, IDLE_MS);

		for (int i = 0; i < n; i++) {
			if (got[i].data.fd == STDIN_FILENO && !read_commands())
				return 0;
		}
		crowd_turn(&crowd, 0);
	}
}
