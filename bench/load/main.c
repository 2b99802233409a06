/*
 * load -- the benchmark's load generator: one thread, N WebSocket connections to one server.
 *
 *	load --port P [options] [COMMAND...]
 *
 * Connects, prints {"event":"connected",...}, then runs the commands (see command.h) given as arguments, or line by
 * line those from stdin, and prints a line of JSON for each. Between commands it sleeps and answers heartbeats.
 * Exit: 0 all valid, 1 something was not, 2 wrong usage.
 */
#include "command.h"
#include "slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 256 };

struct options {
	struct load_client_options client;
	uint32_t text_bytes;
};

static void usage(void)
{
	fprintf(stderr,
		"usage: load --port P [options] [COMMAND...]\n"
		"  --host A        IPv4 address of the server (127.0.0.1)\n"
		"  --source A      IPv4 address to connect from\n"
		"  --protocol P    socketio (default), raw, rooms, raw-rooms or chat\n"
		"  --n N           connections (1000)\n"
		"  --bytes B       length of a text (100)\n"
		"  --at-once K     connections being made at a time (64)\n"
		"  --stall S       seconds without progress that are a failure (30)\n"
		"commands: broadcast [w=1], rate per_second=R, echo [conns=N], post [w=1],\n"
		"  join rooms=R each=E, rooms [w=1], hold;\n"
		"  each but join with seconds=S or count=K. Without one: read from stdin, until quit.\n");
}

static bool number(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < min || value > max) {
		fprintf(stderr, "load: %s is no number from %u to %u\n", text, min, max);
		return false;
	}
	*ret = (uint32_t)value;
	return true;
}

static bool option_take(struct options *o, int option, const char *value)
{
	struct load_client_options *c = &o->client;
	struct in_addr from;
	uint32_t port;

	switch (option) {
	case 'p':
		if (!number(value, 1, 65535, &port))
			return false;
		c->to.sin_port = htons((uint16_t)port);
		return true;
	case 'h':
		return inet_pton(AF_INET, value, &c->to.sin_addr) == 1;
	case 's':
		if (inet_pton(AF_INET, value, &from) != 1)
			return false;
		c->from = from.s_addr;
		return true;
	case 'P':
		c->protocol = load_protocol_find(value);
		return c->protocol != NULL;
	case 'n':
		return number(value, 1, LOAD_CONNS_MAX, &c->conns);
	case 'b':
		return number(value, LOAD_TEXT_BYTES_MIN, LOAD_TEXT_BYTES_MAX, &o->text_bytes);
	case 'k':
		return number(value, 1, LOAD_CONNS_MAX, &c->at_once);
	case 't':
		return number(value, 1, 3600, &c->stall_seconds);
	default:
		return false;
	}
}

static bool options_parse(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "host", required_argument, NULL, 'h' },
		{ "source", required_argument, NULL, 's' },
		{ "protocol", required_argument, NULL, 'P' },
		{ "n", required_argument, NULL, 'n' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "at-once", required_argument, NULL, 'k' },
		{ "stall", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*o = (struct options){
		.client = {
			.to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			.from = htonl(INADDR_ANY),
			.protocol = load_protocol_find("socketio"),
			.conns = 1000,
			.at_once = LOAD_AT_ONCE_DEFAULT,
			.stall_seconds = LOAD_STALL_SECONDS_DEFAULT,
		},
		.text_bytes = 100,
	};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		if (!option_take(o, option, optarg))
			return false;
	return o->client.to.sin_port != 0;
}

/* Returns 0 valid, 1 not, 2 not a command. */
static int command_run(struct load_slice *s, const char *line)
{
	struct load_slice_spec spec;
	const char *wrong = load_command_parse(line, &s->client->options, &spec);

	if (wrong) {
		fprintf(stderr, "load: '%s': %s\n", line, wrong);
		return 2;
	}
	return load_slice_run(s, &spec) ? 0 : 1;
}

static int commands_from_arguments(struct load_slice *s, char **commands, int n)
{
	int status = 0;

	for (int i = 0; i < n && status == 0; i++)
		status = command_run(s, commands[i]);
	return status;
}

/* Runs the whole lines of the buffer and moves the rest to its front. Returns false on quit. */
static bool lines_run(struct load_slice *s, char *buffer, size_t *have, int *status)
{
	char *line = buffer, *end;

	while ((end = memchr(line, '\n', *have - (size_t)(line - buffer))) != NULL) {
		*end = '\0';
		if (strcmp(line, "quit") == 0)
			return false;
		int result = command_run(s, line);

		*status = result > *status ? result : *status;
		line = end + 1;
	}
	*have -= (size_t)(line - buffer);
	memmove(buffer, line, *have);
	return true;
}

static int commands_from_stdin(struct load_slice *s)
{
	struct pollfd waits[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = s->client->epoll_fd, .events = POLLIN },
	};
	char buffer[LINE_BYTES_MAX];
	size_t have = 0;
	int status = 0;

	for (;;) {
		if (poll(waits, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (waits[1].revents)
			load_client_poll(s->client, 0);
		if (!waits[0].revents)
			continue;
		ssize_t n = read(STDIN_FILENO, buffer + have, sizeof(buffer) - have);

		if (n <= 0)
			return status;
		have += (size_t)n;
		if (!lines_run(s, buffer, &have, &status) || have == sizeof(buffer))
			return status;
	}
}

/* The usual 1,024 descriptors are too few. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct options o;
	struct load_client client;
	struct load_slice *slice = malloc(sizeof(*slice));
	uint64_t began_at_ns = load_now_ns();
	int status = 1, error;

	if (!options_parse(&o, argc, argv) || !slice) {
		usage();
		free(slice);
		return 2;
	}
	raise_descriptors();
	error = load_client_init(&client, &o.client);
	if (error < 0) {
		fprintf(stderr, "load: %s\n", strerror(-error));
	} else if (!load_client_connect(&client)) {
		printf("{\"event\":\"failed\",\"why\":\"%s\"}\n", client.failure);
	} else {
		printf("{\"event\":\"connected\",\"n\":%u,\"seconds\":%.3f}\n", client.joined,
			(double)(load_now_ns() - began_at_ns) / 1e9);
		fflush(stdout);
		load_slice_init(slice, &client, o.text_bytes);
		status = optind < argc ? commands_from_arguments(slice, argv + optind, argc - optind)
				       : commands_from_stdin(slice);
	}
	load_client_finish(&client);
	free(slice);
	return status;
}
