/* examples/broadcast.c -- the chat that every tutorial starts with: whoever emits `message` is heard by all. */
#include <sio/sio.h>
#include <stdio.h>
#include <stdlib.h>

static void on_connection(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES];
	sio_sid(e->socket, sid);
	printf("connect %s\n", sid);
}

static void on_disconnect(const struct sio_event *e)
{
	char sid[SIO_SID_BYTES];
	sio_sid(e->socket, sid);
	printf("disconnect %s %.*s\n", sid, (int)e->reason.bytes, e->reason.s);
}

static void on_message(const struct sio_event *e) { sio_emit(sio_all(e->ctx), "message", e->args); }
static void on_echo(const struct sio_event *e) { sio_answer(e->ack, e->args); }

int main(void)
{
	char where[64], err[256] = "cannot serve broadcast.html";
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(where, sizeof(where), "127.0.0.1:%s", getenv("PORT") ? getenv("PORT") : "3000");
	struct sio_server *io = sio_create(&(struct sio_options){ .listen = where }, err, sizeof(err));
	if (!io || sio_serve_file(io, "/chat", "broadcast.html"))
		return fprintf(stderr, "%s\n", err), 1;
	struct sio_space *all = sio_of(io, "/");
	sio_on(all, "connection", on_connection, NULL);
	sio_on(all, "disconnect", on_disconnect, NULL);
	sio_on(all, "message", on_message, all);
	sio_on(all, "echo", on_echo, NULL);
	printf("listening on http://127.0.0.1:%u/chat\n", sio_port(io));
	return sio_run(io);
}
