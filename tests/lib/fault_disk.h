/*
 * tests/lib/fault_disk.h -- a model of a disk that loses power: what has been synced, and what has been written since.
 *
 *      name in the folder --now--> file: bytes as written, sectors that are not synced
 *                         --synced-> file: bytes as synced                 (a new name, or one deleted, may differ)
 *
 * Rules, those of an honest disk: a sector that was synced and not written since keeps its
 * bytes. A sector written since its file was last synced has, after the cut, its old bytes, its new ones, a part of each, or
 * noise, independently of the others and whatever the order of writing was. A file that grew has the old size, the new one or
 * one between. A truncation that is not synced has happened or not, as file systems journal it; if not, nothing that was
 * written behind its end has. A name that was made or deleted since the folder was last synced is there or not. Sectors that were waiting when
 * a sync failed are never made durable by a later sync, unless written again: so do kernels.
 *
 * Used by: fault_vfs.c. Threads: the caller's lock. Memory: all of every file, twice.
 */
#ifndef TESTS_LIB_FAULT_DISK_H
#define TESTS_LIB_FAULT_DISK_H

#include "lib/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DISK_SECTOR_BYTES = 512,
	DISK_FILES_MAX = 64, /* of a folder, deleted ones included */
	DISK_NAME_BYTES_MAX = 64,
};

struct disk_file {
	char name[DISK_NAME_BYTES_MAX];
	bool named, named_durably; /* the name leads to it now; it did so at the folder's last sync */
	uint8_t *now, *durable; /* of `capacity` bytes, zeroes behind their sizes */
	size_t now_bytes, durable_bytes, capacity;
	bool truncated; /* since it was synced, to that size at the least */
	size_t truncated_bytes;
	uint8_t *states; /* enum in fault_disk.c, for each sector */
	uint32_t *dirty; /* sectors that are not clean, by first write */
	size_t dirty_count;
};

struct disk {
	struct disk_file files[DISK_FILES_MAX];
	size_t count;
	bool powersafe; /* a torn sector is old or new in each byte: what was not written in it stays. Else it may be noise */
};

/* What a cut did, added up. */
struct disk_cut {
	uint64_t files; /* with such as were not synced */
	uint64_t dirty, old, kept, torn; /* sectors */
	uint64_t names; /* those made or deleted that were not synced */
};

void disk_finish(struct disk *d);
/* The file of that name, if the disk knows it. */
struct disk_file *disk_find(struct disk *d, const char *name);
/* A new name. content: what a file that was there before has, all of it synced; NULL: it is made now. */
struct disk_file *disk_add(struct disk *d, const char *name, const void *content, size_t bytes);
void disk_write(struct disk_file *f, const void *data, size_t bytes, size_t at);
void disk_truncate(struct disk_file *f, size_t bytes);
void disk_sync(struct disk_file *f);
void disk_sync_failed(struct disk_file *f);
void disk_delete(struct disk *d, const char *name);
/* All names, as they are now. */
void disk_sync_names(struct disk *d);
/* The power is cut: write what is left to a folder, and add to *ret_cut. The disk itself stays as it was. */
void disk_cut(struct disk *d, const char *folder, struct rng *r, struct disk_cut *ret_cut);

#endif
