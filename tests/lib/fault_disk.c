/* tests/lib/fault_disk.c -- see tests/lib/fault_disk.h. */
#include "lib/fault_disk.h"

#include "base/assert.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum sector_state {
	SECTOR_CLEAN = 0,
	SECTOR_DIRTY, /* the next sync makes it durable */
	SECTOR_LOST, /* a sync of it has failed: only another write and sync do */
};

/* How much of what was not synced a cut leaves; one for each file. */
enum cut_mode {
	CUT_NOTHING,
	CUT_EVERYTHING,
	CUT_COIN,
	CUT_FIRST, /* in the order of their first write, up to some */
	CUT_ALL_BUT_ONE,
	CUT_TORN, /* as CUT_COIN, and some torn */
	CUT_MODES,
};

/* As malloc(), never failed by failing_alloc.h: this is the disk, not the program. */
void *__real_malloc(size_t bytes);
void *__real_realloc(void *old, size_t bytes);

static void *grown(void *old, size_t bytes)
{
	void *p = __real_realloc(old, bytes);

	assert(p != NULL);
	return p;
}

static void file_finish(struct disk_file *f)
{
	free(f->now);
	free(f->durable);
	free(f->states);
	free(f->dirty);
	*f = (struct disk_file){ .named = false };
}

void disk_finish(struct disk *d)
{
	for (size_t i = 0; i < d->count; i++)
		file_finish(&d->files[i]);
	d->count = 0;
}

struct disk_file *disk_find(struct disk *d, const char *name)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->files[i].named && strcmp(d->files[i].name, name) == 0)
			return &d->files[i];
	return NULL;
}

/* Room for so many bytes; what is new is zero. */
static void file_reserve(struct disk_file *f, size_t bytes)
{
	size_t old = f->capacity, capacity = old == 0 ? 64 * DISK_SECTOR_BYTES : old;

	if (bytes <= old)
		return;
	while (capacity < bytes)
		capacity *= 2;
	f->now = grown(f->now, capacity);
	f->durable = grown(f->durable, capacity);
	memset(f->now + old, 0, capacity - old);
	memset(f->durable + old, 0, capacity - old);
	f->states = grown(f->states, capacity / DISK_SECTOR_BYTES);
	memset(f->states + old / DISK_SECTOR_BYTES, SECTOR_CLEAN, (capacity - old) / DISK_SECTOR_BYTES);
	f->dirty = grown(f->dirty, capacity / DISK_SECTOR_BYTES * sizeof(*f->dirty));
	f->capacity = capacity;
}

/* A slot of one that neither a name nor a sync leads to, or a new one. */
static struct disk_file *free_slot(struct disk *d)
{
	for (size_t i = 0; i < d->count; i++) {
		if (!d->files[i].named && !d->files[i].named_durably) {
			file_finish(&d->files[i]);
			return &d->files[i];
		}
	}
	assert(d->count < DISK_FILES_MAX);
	return &d->files[d->count++];
}

struct disk_file *disk_add(struct disk *d, const char *name, const void *content, size_t bytes)
{
	struct disk_file *f = free_slot(d);

	assert(disk_find(d, name) == NULL && strlen(name) < DISK_NAME_BYTES_MAX);
	*f = (struct disk_file){ .named = true, .named_durably = content != NULL };
	memcpy(f->name, name, strlen(name) + 1);
	file_reserve(f, bytes + 1);
	if (content) {
		memcpy(f->now, content, bytes);
		memcpy(f->durable, content, bytes);
		f->now_bytes = f->durable_bytes = bytes;
	}
	return f;
}

static void touch(struct disk_file *f, size_t from, size_t to)
{
	for (size_t s = from / DISK_SECTOR_BYTES; s * DISK_SECTOR_BYTES < to; s++) {
		if (f->states[s] == SECTOR_CLEAN)
			f->dirty[f->dirty_count++] = (uint32_t)s;
		f->states[s] = SECTOR_DIRTY;
	}
}

void disk_write(struct disk_file *f, const void *data, size_t bytes, size_t at)
{
	file_reserve(f, at + bytes);
	memcpy(f->now + at, data, bytes);
	touch(f, at, at + bytes);
	if (f->now_bytes < at + bytes)
		f->now_bytes = at + bytes;
}

/* Sectors behind a new end are dirty no more: they are not written, but gone. */
static void forget_behind(struct disk_file *f, size_t bytes)
{
	size_t left = 0;

	for (size_t i = 0; i < f->dirty_count; i++) {
		if ((size_t)f->dirty[i] * DISK_SECTOR_BYTES < bytes)
			f->dirty[left++] = f->dirty[i];
		else
			f->states[f->dirty[i]] = SECTOR_CLEAN;
	}
	f->dirty_count = left;
}

void disk_truncate(struct disk_file *f, size_t bytes)
{
	file_reserve(f, bytes);
	if (bytes < f->now_bytes) {
		memset(f->now + bytes, 0, f->now_bytes - bytes);
		forget_behind(f, bytes);
		f->truncated_bytes = f->truncated && f->truncated_bytes < bytes ? f->truncated_bytes : bytes;
		f->truncated = true;
	}
	f->now_bytes = bytes;
}

/* What is durable, once a truncation is. */
static size_t apply_truncation(const struct disk_file *f, uint8_t *content)
{
	if (!f->truncated || f->truncated_bytes >= f->durable_bytes)
		return f->durable_bytes;
	memset(content + f->truncated_bytes, 0, f->durable_bytes - f->truncated_bytes);
	return f->truncated_bytes;
}

void disk_sync(struct disk_file *f)
{
	size_t left = 0;

	apply_truncation(f, f->durable);
	f->truncated = false;
	for (size_t i = 0; i < f->dirty_count; i++) {
		uint32_t s = f->dirty[i];
		size_t at = (size_t)s * DISK_SECTOR_BYTES;

		if (f->states[s] == SECTOR_LOST) {
			f->dirty[left++] = s;
			continue;
		}
		memcpy(f->durable + at, f->now + at, DISK_SECTOR_BYTES);
		f->states[s] = SECTOR_CLEAN;
	}
	f->dirty_count = left;
	f->durable_bytes = f->now_bytes;
}

void disk_sync_failed(struct disk_file *f)
{
	for (size_t i = 0; i < f->dirty_count; i++)
		f->states[f->dirty[i]] = SECTOR_LOST;
}

void disk_delete(struct disk *d, const char *name)
{
	struct disk_file *f = disk_find(d, name);

	if (f)
		f->named = false;
}

void disk_sync_names(struct disk *d)
{
	for (size_t i = 0; i < d->count; i++)
		d->files[i].named_durably = d->files[i].named;
}

/* Of a file that has `bytes` for certain and perhaps more. */
static size_t size_after(const struct disk_file *f, size_t bytes, enum cut_mode mode, struct rng *r)
{
	if (mode == CUT_NOTHING || bytes >= f->now_bytes)
		return bytes;
	if (mode == CUT_EVERYTHING || rng_below(r, 3) == 0)
		return f->now_bytes;
	return bytes + rng_below(r, f->now_bytes - bytes + 1);
}

static void tear(uint8_t *at, const uint8_t *new, bool powersafe, struct rng *r)
{
	if (powersafe || rng_below(r, 2) == 0) {
		memcpy(at, new, rng_below(r, DISK_SECTOR_BYTES));
		return;
	}
	for (size_t i = 0; i < DISK_SECTOR_BYTES; i += sizeof(uint64_t)) {
		uint64_t noise = rng_u64(r);

		memcpy(at + i, &noise, sizeof(noise));
	}
}

/* What sector number i of the dirty ones becomes in `left`, which has what was synced. */
static void cut_sector(struct disk_file *f, bool powersafe, uint8_t *left, size_t i, enum cut_mode mode,
	size_t some, struct rng *r, struct disk_cut *cut)
{
	size_t at = (size_t)f->dirty[i] * DISK_SECTOR_BYTES;
	bool coin = rng_below(r, 2) == 0;
	bool kept = mode == CUT_EVERYTHING || (mode == CUT_FIRST && i < some) ||
		    (mode == CUT_ALL_BUT_ONE && i != some);

	cut->dirty++;
	if (mode == CUT_TORN && rng_below(r, 4) == 0) {
		tear(left + at, f->now + at, powersafe, r);
		cut->torn++;
	} else if (kept || (coin && (mode == CUT_COIN || mode == CUT_TORN))) {
		memcpy(left + at, f->now + at, DISK_SECTOR_BYTES);
		cut->kept++;
	} else {
		cut->old++;
	}
}

/* At random; but some are torn for certain, however few are cut. */
static enum cut_mode mode_of(const struct disk_file *f, struct rng *r, struct disk_cut *cut)
{
	enum cut_mode mode = (enum cut_mode)rng_below(r, CUT_MODES);

	return f->dirty_count > 0 && cut->files++ % CUT_MODES == 0 ? CUT_TORN : mode;
}

static void file_cut(
	struct disk_file *f, bool powersafe, const char *folder, struct rng *r, struct disk_cut *cut)
{
	enum cut_mode mode = mode_of(f, r, cut);
	size_t bytes = f->durable_bytes, some = rng_below(r, f->dirty_count + 1), written = 0, end = SIZE_MAX;
	uint8_t *left = __real_malloc(f->capacity);
	char path[512];
	int fd;

	assert(left != NULL);
	memcpy(left, f->durable, f->capacity);
	if (f->truncated && (mode == CUT_NOTHING || (mode != CUT_EVERYTHING && rng_below(r, 2) == 0)))
		end = f->truncated_bytes; /* it has not happened, nor what came behind */
	else
		bytes = apply_truncation(f, left);
	if (end == SIZE_MAX)
		bytes = size_after(f, bytes, mode, r);
	for (size_t i = 0; i < f->dirty_count; i++)
		if ((size_t)f->dirty[i] * DISK_SECTOR_BYTES < end)
			cut_sector(f, powersafe, left, i, mode, some, r, cut);
	snprintf(path, sizeof(path), "%s/%s", folder, f->name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0);
	while (written < bytes) {
		ssize_t n = write(fd, left + written, bytes - written);

		assert(n > 0);
		written += (size_t)n;
	}
	close(fd);
	free(left);
}

void disk_cut(struct disk *d, const char *folder, struct rng *r, struct disk_cut *ret_cut)
{
	for (size_t i = 0; i < d->count; i++) {
		struct disk_file *f = &d->files[i];
		bool is_there = f->named;

		if (f->named != f->named_durably) {
			ret_cut->names++;
			is_there = rng_below(r, 2) == 0;
		}
		/* Deleted, and its name taken again: one of the two. */
		for (size_t j = 0; is_there && j < i; j++)
			if ((d->files[j].named || d->files[j].named_durably) &&
				strcmp(d->files[j].name, f->name) == 0)
				is_there = rng_below(r, 2) == 0;
		if (is_there)
			file_cut(f, d->powersafe, folder, r, ret_cut);
	}
}
