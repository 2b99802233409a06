/*
 * store/folder.h -- the folder that a database lives in: made if need be, and of one process at a time.
 *
 * The lock is flock() on FOLDER/lock, which holds the process's number for people; it ends with the process, however that
 * ends. Used by: the backends that keep files, and tools that must know that no server runs. Threads: one.
 */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

enum { STORE_FOLDER_PATH_BYTES_MAX = 3072 }; /* with room for a file's name below PATH_MAX */

struct store_folder {
	char path[STORE_FOLDER_PATH_BYTES_MAX]; /* absolute, without links */
	int fd, lock_fd;
};

/* False, with a text for people in err: it cannot be made, entered or written, or another process has it. */
__attribute__((warn_unused_result)) bool store_folder_open(
	struct store_folder *, const char *path, char *err, size_t err_bytes);
/* Make a file in it with mode 0600, unless it is there. False, with the text: it cannot be written. */
__attribute__((warn_unused_result)) bool store_folder_touch(
	const struct store_folder *, const char *name, char *err, size_t err_bytes);
/* What was created in it is there after a loss of power. False: the disk says no. */
__attribute__((warn_unused_result)) bool store_folder_sync(const struct store_folder *);
void store_folder_close(struct store_folder *);

#endif
