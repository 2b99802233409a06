/* socketio/space.c -- namespaces and the handlers of their events: see sio/sio.h. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "socketio/server_int.h"

static bool name_valid(struct str name)
{
	for (size_t i = 0; i < name.bytes; i++) {
		if ((unsigned char)name.s[i] < 0x20)
			return false; /* 0x1e parts packets */
	}
	return name.bytes >= 1 && name.bytes <= SIO_SPACE_BYTES_MAX && name.s[0] == '/' &&
	       memchr(name.s, ',', name.bytes) == NULL && utf8_valid((const uint8_t *)name.s, name.bytes);
}

struct sio_space *sio_of(struct sio_server *server, const char *name)
{
	struct str text = str_c(name);

	for (uint32_t i = 0; i < server->space_count; i++) {
		if (strcmp(server->spaces[i]->name, name) == 0)
			return server->spaces[i];
	}
	if (!name_valid(text) || server->space_count == SIO_SPACES_MAX)
		return NULL;
	struct sio_space *space = calloc(1, sizeof(*space));
	if (space == NULL)
		return NULL;
	space->loops = calloc(server->loop_count, sizeof(*space->loops));
	if (space->loops == NULL) {
		free(space);
		return NULL;
	}
	space->server = server;
	space->name_bytes = text.bytes;
	memcpy(space->name, text.s, text.bytes);
	server->spaces[server->space_count++] = space;
	return space;
}

void sio_space_destroy(struct sio_space *space)
{
	struct map_node *n;

	while ((n = map_any(&space->handlers)) != NULL) {
		map_remove(&space->handlers, n);
		free(map_entry(n, struct sio_handler, node));
	}
	map_finish(&space->handlers);
	for (uint32_t i = 0; i < space->server->loop_count; i++)
		map_finish(&space->loops[i].rooms);
	free(space->loops);
	free(space);
}

const char *sio_space_name(const struct sio_space *space)
{
	return space->name;
}

int sio_on(struct sio_space *space, const char *event, sio_handler_fn *fn, void *ctx)
{
	static const char *const own[SIO_OWN_COUNT] = {
		[SIO_ON_CONNECTION] = "connection",
		[SIO_ON_DISCONNECT] = "disconnect",
		[SIO_ON_LAGGING] = "lagging",
		[SIO_ON_DRAINED] = "drained",
	};
	struct str name = str_c(event);

	for (size_t i = 0; i < SIO_OWN_COUNT; i++) {
		if (strcmp(event, own[i]) == 0) {
			space->own[i].fn = fn;
			space->own[i].ctx = ctx;
			return 0;
		}
	}
	if (sio_event_reserved(name))
		return -EINVAL;
	struct map_node *n = map_find(&space->handlers, name);
	struct sio_handler *h = n == NULL ? NULL : map_entry(n, struct sio_handler, node);
	if (h == NULL) {
		h = calloc(1, sizeof(*h) + name.bytes + 1);
		if (h == NULL)
			return -ENOMEM;
		memcpy(h->name, name.s, name.bytes);
		if (!map_insert(&space->handlers, &h->node, str_of(h->name, name.bytes))) {
			free(h);
			return -ENOMEM;
		}
	}
	h->fn = fn;
	h->ctx = ctx;
	return 0;
}

void sio_on_other(struct sio_space *space, sio_handler_fn *fn, void *ctx)
{
	space->other = (struct sio_hook){ .fn = fn, .ctx = ctx };
}

void sio_use(struct sio_space *space, sio_admit_fn *fn, void *ctx)
{
	space->admit = fn;
	space->admit_ctx = ctx;
}
