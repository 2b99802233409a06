/* examples/broadcast.c -- the chat that every tutorial starts with: whoever emits `message` is heard by all. */
#include <sio/sio.h>
#include <stdio.h>
#include <stdlib.h>

static void log_who(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES];
	sio_sid(e->socket, sid);
	printf("%s %s %.*s\n", (const char *)e->ctx, sid, (int)e->reason.bytes, e->reason.s);
}

static void on_message(const struct sio_event *e)
{
	sio_emit(sio_all(sio_space_of(e->socket)), "message", e->args);
}

static void on_echo(const struct sio_event *e)
{
	sio_answer(e->ack, e->args);
}

int main(void)
{
	const char *port = getenv("PORT");
	char where[64], err[256] = "broadcast.html is not there";
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(where, sizeof(where), "127.0.0.1:%s", port ? port : "3000");
	struct sio_server *io = sio_create(&(struct sio_options){ .listen = where }, err, sizeof(err));
	if (!io || sio_serve_file(io, "/chat", "broadcast.html"))
		return fprintf(stderr, "%s\n", err), 1;
	sio_on(sio_of(io, "/"), "connection", log_who, "connect");
	sio_on(sio_of(io, "/"), "disconnect", log_who, "disconnect");
	sio_on(sio_of(io, "/"), "message", on_message, NULL);
	sio_on(sio_of(io, "/"), "echo", on_echo, NULL);
	printf("listening on http://127.0.0.1:%u/chat\n", sio_port(io));
	int rc = sio_run(io);
	sio_destroy(io);
	return rc < 0;
}
