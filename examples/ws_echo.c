/* examples/ws_echo.c -- plain WebSockets at /: each hears what it says. ORIGIN: the one whose pages may connect. */
#include <sio/ws.h>
#include <stdio.h>
#include <stdlib.h>

static void on_message(struct sio_peer *peer, bool binary, struct sio_bytes message, void *ctx)
{
	(void)ctx;
	(void)sio_peer_send(peer, binary, message);
}

static uint32_t number(const char *name)
{
	const char *text = getenv(name);

	return text == NULL ? 0 : (uint32_t)strtoul(text, NULL, 10);
}

int main(void)
{
	const char *port = getenv("PORT"), *origin = getenv("ORIGIN");
	char where[64], err[256] = "";
	struct sio_ws_options options = {
		.events.message = on_message,
		.message_bytes_max = number("MESSAGE_BYTES_MAX"),
		.fragments_max = number("FRAGMENTS_MAX"),
		.ping_interval_ms = number("PING_INTERVAL"),
		.ping_timeout_ms = number("PING_TIMEOUT"),
		.origins = &origin,
		.origin_count = origin != NULL,
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(where, sizeof(where), "127.0.0.1:%s", port ? port : "3000");
	struct sio_server *server = sio_create(
		&(struct sio_options){ .listen = where, .without_socketio = true }, err, sizeof(err));
	if (!server || !sio_ws(server, "/", &options, NULL))
		return fprintf(stderr, "%s\n", err), 1;
	printf("listening on ws://127.0.0.1:%u/\n", sio_port(server));
	int rc = sio_run(server);
	sio_destroy(server);
	return rc < 0;
}
