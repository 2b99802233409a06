/* store/folder.c -- see store/folder.h. */
#include "store/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

static bool sync_parent(const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t bytes = slash == NULL ? 0 : (size_t)(slash - path);

	if (slash == NULL)
		memcpy(parent, ".", 2);
	else if (bytes == 0)
		memcpy(parent, "/", 2);
	else {
		memcpy(parent, path, bytes);
		parent[bytes] = '\0';
	}
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno ==
		       EACCES; /* a folder that may be passed but not read: it was made, no more can be done */
	bool ok = fsync(fd) == 0;
	close(fd);
	return ok;
}

/* One that is there stays as it is. */
static bool make_one(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return sync_parent(path);
	return errno == EEXIST;
}

static bool make_all(const char *path)
{
	char part[STORE_FOLDER_PATH_BYTES_MAX];
	size_t bytes = strlen(path);

	if (bytes == 0 || bytes >= sizeof(part)) {
		errno = bytes == 0 ? ENOENT : ENAMETOOLONG;
		return false;
	}
	while (bytes > 1 && path[bytes - 1] == '/')
		bytes--;
	for (size_t i = 1; i <= bytes; i++) {
		if (i < bytes && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (!make_one(part))
			return false;
	}
	return true;
}

static void say(char *err, size_t err_bytes, const char *path, const char *what)
{
	snprintf(err, err_bytes, "the data folder %s %s: %s", path, what, strerror(errno));
}

static void say_held(const struct store_folder *f, char *err, size_t err_bytes)
{
	char digits[24];
	uint64_t pid;
	ssize_t got = pread(f->lock_fd, digits, sizeof(digits), 0);

	while (got > 0 && digits[got - 1] == '\n')
		got--;
	if (got > 0 && str_parse_u64(str_of(digits, (size_t)got), INT32_MAX, &pid))
		snprintf(err, err_bytes,
			"the data folder %s is in use by process %llu: stop that one first, or choose "
			"another folder",
			f->path, (unsigned long long)pid);
	else
		snprintf(err, err_bytes,
			"the data folder %s is in use by another process: stop that one first, or choose "
			"another folder",
			f->path);
}

static bool take_lock(struct store_folder *f, char *err, size_t err_bytes)
{
	char digits[24];

	f->lock_fd = openat(f->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->lock_fd < 0) {
		say(err, err_bytes, f->path, "cannot be written to");
		return false;
	}
	if (flock(f->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			say_held(f, err, err_bytes);
		else
			say(err, err_bytes, f->path, "cannot be locked");
		return false;
	}
	int bytes = snprintf(digits, sizeof(digits), "%ld\n", (long)getpid());
	/* It is for people: a full disk leaves it empty, and the lock holds all the same. */
	if (ftruncate(f->lock_fd, 0) == 0) {
		ssize_t wrote = pwrite(f->lock_fd, digits, (size_t)bytes, 0);
		(void)wrote;
	}
	return true;
}

bool store_folder_open(struct store_folder *f, const char *path, char *err, size_t err_bytes)
{
	char absolute[PATH_MAX];

	f->fd = f->lock_fd = -1;
	if (!make_all(path)) {
		say(err, err_bytes, path, "cannot be made");
		return false;
	}
	if (realpath(path, absolute) == NULL) {
		say(err, err_bytes, path, "cannot be entered");
		return false;
	}
	size_t bytes = strlen(absolute);
	if (bytes >= sizeof(f->path)) {
		errno = ENAMETOOLONG;
		say(err, err_bytes, path, "cannot be used");
		return false;
	}
	memcpy(f->path, absolute, bytes + 1);
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0) {
		say(err, err_bytes, f->path, "cannot be read");
		return false;
	}
	if (!take_lock(f, err, err_bytes)) {
		store_folder_close(f);
		return false;
	}
	return true;
}

bool store_folder_touch(const struct store_folder *f, const char *name, char *err, size_t err_bytes)
{
	int fd = openat(f->fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		snprintf(err, err_bytes, "%s/%s cannot be opened for writing: %s", f->path, name,
			strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

bool store_folder_sync(const struct store_folder *f)
{
	return fsync(f->fd) == 0;
}

void store_folder_close(struct store_folder *f)
{
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = f->lock_fd = -1;
}
