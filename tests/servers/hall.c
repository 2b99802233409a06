/*
 * tests/servers/hall.c -- plain WebSockets at /: what one says, all hear. For the system tests, which find its words in
 * tests/system/README.md.
 *
 * Told by environment: PORT, QUEUE_SOFT, QUEUE_MAX, and libsio's own SIO_THREADS and SIO_SENDER.
 */
#include "env.h"

#include <sio/ws.h>

static void on_message(struct sio_peer *peer, bool binary, struct sio_bytes message, void *ctx)
{
	(void)ctx;
	(void)sio_endpoint_send_all(sio_peer_endpoint(peer), binary, message);
}

static void on_lagging(struct sio_peer *peer, bool lagging, void *ctx)
{
	(void)peer;
	(void)ctx;
	printf("%s\n", lagging ? "lagging" : "drained");
}

static void on_closed(struct sio_peer *peer, const struct sio_end *end, void *ctx)
{
	(void)peer;
	(void)ctx;
	printf("closed %s %u\n", end->reason, end->code);
}

int main(void)
{
	char where[ENV_LISTEN_BYTES], err[256] = "";
	struct sio_ws_options options = {
		.events = { .message = on_message, .lagging = on_lagging, .closed = on_closed },
		.queue_bytes_soft = env_number("QUEUE_SOFT"),
		.queue_bytes_max = env_number("QUEUE_MAX"),
	};
	struct sio_server *server = sio_create(
		&(struct sio_options){ .listen = env_listen(where), ENV_TLS, .without_socketio = true }, err,
		sizeof(err));

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!server || !sio_ws(server, "/", &options, NULL))
		return fprintf(stderr, "%s\n", err), 1;
	printf("hall: listening on %s\n", where);
	int rc = sio_run(server);
	sio_destroy(server);
	return rc < 0;
}
