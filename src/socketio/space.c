/*
 * socketio/space.c -- namespaces, those that come into being while the server runs, and the handlers of their events.
 *
 *      server->spaces[]     made by sio_of(), before it runs: read by all loops
 *      server->parents[]    made by sio_of_names(): asked for names that nobody has
 *        `-- children       made by the first CONNECT that asks for one; they stay as long as the server, for pointers to them do
 *
 * A lock guards the table of children and their making. It is taken when a client joins a namespace that sio_of() has not made; their
 * parents' lists only grow at the front, and are walked without it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/utf8.h"
#include "socketio/server_int.h"

const char *const sio_own_names[SIO_OWN_COUNT] = {
	[SIO_ON_CONNECTION] = "connection",
	[SIO_ON_DISCONNECTING] = "disconnecting",
	[SIO_ON_DISCONNECT] = "disconnect",
	[SIO_ON_LAGGING] = "lagging",
	[SIO_ON_DRAINED] = "drained",
	[SIO_ON_EXPIRED] = "expired",
};

static bool name_valid(struct str name)
{
	for (size_t i = 0; i < name.bytes; i++) {
		if ((unsigned char)name.s[i] < 0x20)
			return false; /* 0x1e parts packets */
	}
	return name.bytes >= 1 && name.bytes <= SIO_SPACE_BYTES_MAX && name.s[0] == '/' &&
	       memchr(name.s, ',', name.bytes) == NULL && utf8_valid((const uint8_t *)name.s, name.bytes);
}

static struct sio_space *create_space(struct sio_server *server, struct str name, struct sio_hooks *hooks)
{
	struct sio_space *space = calloc(1, sizeof(*space));

	if (space == NULL)
		return NULL;
	space->loops = calloc(server->loop_count, sizeof(*space->loops));
	space->hooks = hooks != NULL ? hooks : calloc(1, sizeof(*space->hooks));
	if (space->loops == NULL || space->hooks == NULL) {
		free(space->loops);
		if (hooks == NULL)
			free(space->hooks);
		free(space);
		return NULL;
	}
	atomic_init(&space->next_ask, 0);
	atomic_init(&space->identities, 0);
	pthread_mutex_init(&space->outside_lock, NULL);
	space->server = server;
	space->number = server->spaces_made++;
	space->name_bytes = name.bytes;
	if (name.bytes > 0)
		memcpy(space->name, name.s, name.bytes);
	return space;
}

static void destroy_hooks(struct sio_hooks *hooks)
{
	struct map_node *n;

	while ((n = map_any(&hooks->handlers)) != NULL) {
		map_remove(&hooks->handlers, n);
		free(map_entry(n, struct sio_handler, node));
	}
	map_finish(&hooks->handlers);
	free(hooks);
}

static void destroy_space(struct sio_space *space)
{
	for (uint32_t i = 0; i < space->server->loop_count; i++)
		map_finish(&space->loops[i].rooms);
	if (space->parent == NULL)
		destroy_hooks(space->hooks);
	pthread_mutex_destroy(&space->outside_lock);
	free(space->loops);
	free(space);
}

void sio_spaces_init(struct sio_server *server, uint32_t dynamic_max)
{
	pthread_mutex_init(&server->children_lock, NULL);
	server->children_max = dynamic_max;
}

void sio_spaces_finish(struct sio_server *server)
{
	struct map_node *n;

	while ((n = map_any(&server->children)) != NULL) {
		map_remove(&server->children, n);
		destroy_space(map_entry(n, struct sio_space, node));
	}
	map_finish(&server->children);
	for (uint32_t i = 0; i < server->space_count; i++)
		destroy_space(server->spaces[i]);
	for (uint32_t i = 0; i < server->parent_count; i++)
		destroy_space(server->parents[i]);
	pthread_mutex_destroy(&server->children_lock);
}

static struct sio_space *find_static(const struct sio_server *server, struct str name)
{
	for (uint32_t i = 0; i < server->space_count; i++) {
		struct sio_space *space = server->spaces[i];

		if (str_equal(name, str_of(space->name, space->name_bytes)))
			return space;
	}
	return NULL;
}

static struct sio_space *find_child(struct sio_server *server, struct str name)
{
	if (server->parent_count == 0)
		return NULL;
	pthread_mutex_lock(&server->children_lock);
	struct map_node *n = map_find(&server->children, name);
	pthread_mutex_unlock(&server->children_lock);
	return n == NULL ? NULL : map_entry(n, struct sio_space, node);
}

/* A child of that name, made unless another loop was first. NULL: no memory, or there are too many. */
static struct sio_space *create_child(struct sio_server *server, struct sio_space *parent, struct str name)
{
	struct sio_space *space = NULL;
	bool tell = false;

	pthread_mutex_lock(&server->children_lock);
	struct map_node *n = map_find(&server->children, name);
	if (n != NULL)
		space = map_entry(n, struct sio_space, node);
	else if (server->children.count < server->children_max)
		space = create_space(server, name, parent->hooks);
	else {
		tell = !server->children_told;
		server->children_told = true;
		atomic_fetch_add_explicit(&server->children_refused, 1, memory_order_relaxed);
	}
	if (n == NULL && space != NULL) {
		space->parent = parent;
		if (map_insert(&server->children, &space->node, str_of(space->name, name.bytes))) {
			space->next_child = atomic_load_explicit(&parent->children, memory_order_relaxed);
			atomic_store_explicit(&parent->children, space, memory_order_release);
		} else {
			destroy_space(space);
			space = NULL;
		}
	}
	pthread_mutex_unlock(&server->children_lock);
	if (tell)
		log_line(LOG_WARN, "there are %u namespaces that clients have asked for: others are refused",
			server->children_max);
	return space;
}

struct sio_space *sio_space_find(struct sio_server *server, struct str name, struct str auth)
{
	struct sio_space *space = find_static(server, name);

	if (space == NULL)
		space = find_child(server, name);
	if (space != NULL || !name_valid(name))
		return space;
	for (uint32_t i = 0; i < server->parent_count; i++) {
		struct sio_space *parent = server->parents[i];

		if (parent->names(parent->names_ctx, (struct sio_str){ name.s, name.bytes },
			    (struct sio_str){ auth.s, auth.bytes }))
			return create_child(server, parent, name);
	}
	return NULL;
}

struct sio_space *sio_of(struct sio_server *server, const char *name)
{
	struct str text = str_c(name);
	struct sio_space *space = find_static(server, text);

	if (space == NULL)
		space = find_child(server, text);
	if (space != NULL || atomic_load(&server->running))
		return space;
	if (!name_valid(text)) {
		log_line(LOG_ERROR,
			"%.300s is no name of a namespace: a slash, and UTF-8 of up to 254 bytes without "
			"commas and control characters",
			name);
		return NULL;
	}
	if (server->space_count == SIO_SPACES_MAX) {
		log_line(LOG_ERROR, "%s: there are as many namespaces as there may be", name);
		return NULL;
	}
	space = create_space(server, text, NULL);
	if (space == NULL)
		log_line(LOG_ERROR, "%s: no memory", name);
	else
		server->spaces[server->space_count++] = space;
	return space;
}

struct sio_space *sio_of_names(struct sio_server *server, sio_names_fn *fn, void *ctx)
{
	if (atomic_load(&server->running)) {
		log_line(LOG_ERROR, "%s: the server runs", __func__);
		return NULL;
	}
	if (server->parent_count == SIO_PARENTS_MAX) {
		log_line(LOG_ERROR, "there are as many parents of namespaces as there may be");
		return NULL;
	}
	struct sio_space *space = create_space(server, STR(""), NULL);
	if (space == NULL) {
		log_line(LOG_ERROR, "no memory for a parent of namespaces");
		return NULL;
	}
	space->names = fn;
	space->names_ctx = ctx;
	server->parents[server->parent_count++] = space;
	return space;
}

void sio_each_child(const struct sio_space *parent, sio_space_fn *fn, void *ctx)
{
	struct sio_space *child =
		parent == NULL ? NULL : atomic_load_explicit(&parent->children, memory_order_acquire);

	for (; child != NULL; child = child->next_child)
		fn(child, ctx);
}

const char *sio_space_name(const struct sio_space *space)
{
	return space->name;
}

int sio_may_set(const struct sio_space *space)
{
	if (space == NULL)
		return -EINVAL;
	return atomic_load(&space->server->running) ? -EBUSY : 0;
}

bool sio_sets(const struct sio_space *space, const char *what)
{
	int rc = sio_may_set(space);

	if (rc < 0)
		log_line(LOG_ERROR, "%s() is called %s: nothing is set", what,
			rc == -EBUSY ? "when the server runs" : "for no namespace");
	return rc == 0;
}

int sio_on(struct sio_space *space, const char *event, sio_handler_fn *fn, void *ctx)
{
	struct str name = str_c(event);
	int rc = sio_may_set(space);

	if (rc < 0)
		return rc;
	struct sio_hooks *hooks = space->hooks;
	for (size_t i = 0; i < SIO_OWN_COUNT; i++) {
		if (strcmp(event, sio_own_names[i]) == 0) {
			hooks->own[i] = (struct sio_hook){ .fn = fn, .ctx = ctx };
			return 0;
		}
	}
	if (name.bytes == 0 || sio_event_reserved(name))
		return -EINVAL;
	struct map_node *n = map_find(&hooks->handlers, name);
	struct sio_handler *h = n == NULL ? NULL : map_entry(n, struct sio_handler, node);
	if (h == NULL) {
		h = calloc(1, sizeof(*h) + name.bytes + 1);
		if (h == NULL)
			return -ENOMEM;
		memcpy(h->name, name.s, name.bytes);
		if (!map_insert(&hooks->handlers, &h->node, str_of(h->name, name.bytes))) {
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
	if (sio_sets(space, __func__))
		space->hooks->other = (struct sio_hook){ .fn = fn, .ctx = ctx };
}

int sio_use(struct sio_space *space, sio_middleware_fn *fn, void *ctx)
{
	int rc = fn == NULL ? -EINVAL : sio_may_set(space);

	if (rc < 0)
		return rc;
	struct sio_hooks *hooks = space->hooks;
	if (hooks->middleware_count == SIO_MIDDLEWARE_MAX)
		return -ENOSPC;
	hooks->middleware[hooks->middleware_count++] = (struct sio_middleware){ .fn = fn, .ctx = ctx };
	return 0;
}
