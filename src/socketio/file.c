/* socketio/file.c -- files served at a path, and the client library: see sio/sio.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/siphash.h"
#include "socketio/client/assets.h"
#include "socketio/server_int.h"

static const char *type_of(const char *file)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".json", "application/json" },
		{ ".txt", "text/plain; charset=utf-8" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".ico", "image/x-icon" },
		{ ".wasm", "application/wasm" },
	};
	const char *dot = strrchr(file, '.');

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(dot, types[i].ending) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* A relative file beside the program, or in the current folder. -errno. */
static int open_file(const char *file)
{
	char path[PATH_MAX];
	ssize_t bytes = file[0] == '/' ? -1 : readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (bytes > 0) {
		path[bytes] = '\0';
		char *slash = strrchr(path, '/');
		size_t left = sizeof(path) - (size_t)(slash + 1 - path);
		if ((size_t)snprintf(slash + 1, left, "%s", file) < left) {
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0)
				return fd;
		}
	}
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* All of it. 0 or -errno. */
static int read_file(const char *file, uint8_t **ret_data, size_t *ret_bytes)
{
	struct stat stat;
	size_t have = 0;
	int fd = open_file(file), rc = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) != 0)
		rc = -errno;
	else if (!S_ISREG(stat.st_mode))
		rc = -EINVAL;
	else if (stat.st_size > SIO_FILE_BYTES_MAX)
		rc = -EFBIG;
	size_t bytes = rc == 0 ? (size_t)stat.st_size : 0;
	uint8_t *data = rc == 0 ? malloc(bytes + 1) : NULL;
	if (rc == 0 && data == NULL)
		rc = -ENOMEM;
	while (rc == 0 && have < bytes) {
		ssize_t got = read(fd, data + have, bytes - have);
		if (got < 0 && errno != EINTR)
			rc = -errno;
		else if (got == 0)
			bytes = have; /* it was cut meanwhile */
		else if (got > 0)
			have += (size_t)got;
	}
	close(fd);
	if (rc < 0) {
		free(data);
		return rc;
	}
	*ret_data = data;
	*ret_bytes = bytes;
	return 0;
}

int sio_serve_file(struct sio_server *server, const char *path, const char *file)
{
	struct http_route route = { .serve = sio_path_serve_asset };
	struct sio_path *f;
	uint8_t *data;
	size_t bytes;

	int rc = read_file(file, &data, &bytes);
	if (rc < 0)
		return rc;
	rc = sio_path_add(server, path, &route, &f);
	if (rc < 0) {
		free(data);
		return rc;
	}
	f->file = data;
	snprintf(f->etag, sizeof(f->etag), "\"%016llx\"",
		(unsigned long long)siphash((struct siphash_key){ 1, 2 }, data, bytes));
	f->asset = (struct http_asset){
		.path = f->path,
		.content_type = type_of(file),
		.etag = f->etag,
		.cache_control = "no-cache",
		.identity = { .data = data, .bytes = bytes },
	};
	return 0;
}

/* `<path>socket.io.js` and its like. */
static void serve_client(void *ctx, struct http_exchange *x, const struct http_request *request)
{
	const struct sio_server *server = ctx;
	size_t skip = strlen(server->path);
	struct str name = str_of(request->path.s + skip, request->path.bytes - skip);

	for (size_t i = 0; i < sio_client_asset_count; i++) {
		if (str_equal(name, str_c(sio_client_assets[i].path))) {
			http_answer_asset(x, request, &sio_client_assets[i]);
			return;
		}
	}
	http_answer_text(x, 404, false,
		sio_client_asset_count == 0 ? STR("this build has no client library") : STR("not found"));
}

int sio_serve_client(struct sio_server *server)
{
	static const char stem[] = "socket.io.";
	size_t bytes = strlen(server->path) + sizeof(stem);

	server->client_path = malloc(bytes);
	if (server->client_path == NULL)
		return -ENOMEM;
	snprintf(server->client_path, bytes, "%s%s", server->path, stem);
	return http_server_route(server->http, &(struct http_route){
						       .path = server->client_path,
						       .prefix = true,
						       .loop_of = http_route_any_loop,
						       .begin = http_route_begin,
						       .serve = serve_client,
						       .ctx = server,
					       });
}
