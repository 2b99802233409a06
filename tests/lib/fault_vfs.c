/* tests/lib/fault_vfs.c -- see tests/lib/fault_vfs.h. */
#include "lib/fault_vfs.h"

#include "base/assert.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

/* What SQLite allocates for an open file: ours, and behind it the default VFS'. */
struct fault_handle {
	sqlite3_file base;
	struct disk_file *file; /* NULL: one without a name */
	enum fault_file meaning;
	bool syncs_names; /* with its next sync */
	int error; /* errno of its last write that failed */
};

static struct {
	pthread_mutex_t lock; /* guards all of this, and makes an operation and its model one */
	pthread_cond_t released;
	sqlite3_vfs vfs, *real;
	struct disk disk;
	struct fault fault;
	uint64_t counted, failed; /* since it was armed */
	unsigned hang_ops, hang_files, hanging;
	unsigned slow_ops, slow_files, slow_ms;
	uint64_t cut_at; /* changes of cut_files until the cut; 0: never */
	unsigned cut_files;
	bool cut, cut_in_database;
	char database[DISK_NAME_BYTES_MAX]; /* the name of the last */
} g = { .lock = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER };

enum verdict { GO_ON, FAILS, CUT_HERE };

static int code_of(enum fault_op op)
{
	switch (op) {
	case FAULT_OPEN:
		return SQLITE_CANTOPEN;
	case FAULT_READ:
		return SQLITE_IOERR_READ;
	case FAULT_WRITE:
		return SQLITE_IOERR_WRITE;
	case FAULT_TRUNCATE:
		return SQLITE_IOERR_TRUNCATE;
	case FAULT_SYNC:
		return SQLITE_IOERR_FSYNC;
	case FAULT_DELETE:
		return SQLITE_IOERR_DELETE;
	case FAULT_CHANGES:
	case FAULT_OPS:
		break;
	}
	assert(false && "one operation");
	return SQLITE_IOERR;
}

/* With the lock, which others have meanwhile. */
static void wait_slow(void)
{
	int ms = (int)g.slow_ms;

	pthread_mutex_unlock(&g.lock);
	poll(NULL, 0, ms);
	pthread_mutex_lock(&g.lock);
}

/* With the lock: wait, count, and say what becomes of an operation. Unless GO_ON, *ret_code is its result. */
static enum verdict judge(enum fault_op op, enum fault_file file, int *ret_code)
{
	if ((g.hang_ops & op) && (g.hang_files & file)) {
		g.hanging++;
		while ((g.hang_ops & op) && (g.hang_files & file))
			pthread_cond_wait(&g.released, &g.lock);
		g.hanging--;
	}
	if ((g.slow_ops & op) && (g.slow_files & file))
		wait_slow();
	*ret_code = code_of(op);
	if (g.cut)
		return FAILS;
	if ((op & FAULT_CHANGES) && (file & g.cut_files) && g.cut_at > 0 && --g.cut_at == 0) {
		g.cut = true;
		g.cut_in_database = file == FAULT_DATABASE;
		return CUT_HERE;
	}
	if (!(g.fault.ops & op) || !(g.fault.files & file))
		return GO_ON;
	g.counted++;
	if (g.counted != g.fault.nth && (!g.fault.on || g.counted < g.fault.nth))
		return GO_ON;
	g.failed++;
	if (g.fault.code)
		*ret_code = g.fault.code;
	return FAILS;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
	return (sqlite3_file *)((struct fault_handle *)f + 1);
}

static int on_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int on_read(sqlite3_file *f, void *data, int bytes, sqlite3_int64 at)
{
	struct fault_handle *h = (struct fault_handle *)f;
	enum verdict verdict;
	int rc;

	pthread_mutex_lock(&g.lock);
	verdict = judge(FAULT_READ, h->meaning, &rc);
	pthread_mutex_unlock(&g.lock);
	return verdict == GO_ON ? real_of(f)->pMethods->xRead(real_of(f), data, bytes, at) : rc;
}

static int on_write(sqlite3_file *f, const void *data, int bytes, sqlite3_int64 at)
{
	struct fault_handle *h = (struct fault_handle *)f;
	enum verdict verdict;
	int rc;

	pthread_mutex_lock(&g.lock);
	verdict = judge(FAULT_WRITE, h->meaning, &rc);
	if (verdict == GO_ON)
		rc = real_of(f)->pMethods->xWrite(real_of(f), data, bytes, at);
	else
		h->error = g.fault.error ? g.fault.error : EIO;
	if (h->file && (verdict == CUT_HERE || rc == SQLITE_OK))
		disk_write(h->file, data, (size_t)bytes, (size_t)at);
	pthread_mutex_unlock(&g.lock);
	return rc;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 bytes)
{
	struct fault_handle *h = (struct fault_handle *)f;
	enum verdict verdict;
	int rc;

	pthread_mutex_lock(&g.lock);
	verdict = judge(FAULT_TRUNCATE, h->meaning, &rc);
	if (verdict == GO_ON)
		rc = real_of(f)->pMethods->xTruncate(real_of(f), bytes);
	if (h->file && (verdict == CUT_HERE || rc == SQLITE_OK))
		disk_truncate(h->file, (size_t)bytes);
	pthread_mutex_unlock(&g.lock);
	return rc;
}

/* The disk is the model's: nothing is gained by syncing the files beneath. */
static int on_sync(sqlite3_file *f, int flags)
{
	struct fault_handle *h = (struct fault_handle *)f;
	enum verdict verdict;
	int rc;

	(void)flags;
	pthread_mutex_lock(&g.lock);
	verdict = judge(FAULT_SYNC, h->meaning, &rc);
	if (h->file && verdict == GO_ON) {
		disk_sync(h->file);
		if (h->syncs_names)
			disk_sync_names(&g.disk);
		h->syncs_names = false;
	} else if (h->file && !g.cut) {
		disk_sync_failed(h->file);
	}
	pthread_mutex_unlock(&g.lock);
	return verdict == GO_ON ? SQLITE_OK : rc;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *ret_bytes)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), ret_bytes);
}

static int on_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int on_check_lock(sqlite3_file *f, int *ret_locked)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret_locked);
}

static int on_control(sqlite3_file *f, int op, void *arg)
{
	struct fault_handle *h = (struct fault_handle *)f;

	if (op == SQLITE_FCNTL_LAST_ERRNO && h->error != 0) {
		memcpy(arg, &h->error, sizeof(h->error));
		return SQLITE_OK;
	}
	/* Neither may change the file behind the model's back, nor claim what this disk does not promise. */
	if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE ||
		op == SQLITE_FCNTL_POWERSAFE_OVERWRITE)
		return SQLITE_NOTFOUND;
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
	(void)f;
	return DISK_SECTOR_BYTES;
}

static int on_characteristics(sqlite3_file *f)
{
	(void)f;
	pthread_mutex_lock(&g.lock);
	int is = g.disk.powersafe ? SQLITE_IOCAP_POWERSAFE_OVERWRITE : 0;
	pthread_mutex_unlock(&g.lock);
	return is;
}

static int on_shm_map(sqlite3_file *f, int page, int bytes, int extend, void volatile **ret)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, bytes, extend, ret);
}

static int on_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int on_shm_unmap(sqlite3_file *f, int delete)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), delete);
}

/* Version 2: without memory-mapped reads, so that each read is seen. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_unlock,
	.xCheckReservedLock = on_check_lock,
	.xFileControl = on_control,
	.xSectorSize = on_sector_size,
	.xDeviceCharacteristics = on_characteristics,
	.xShmMap = on_shm_map,
	.xShmLock = on_shm_lock,
	.xShmBarrier = on_shm_barrier,
	.xShmUnmap = on_shm_unmap,
};

static enum fault_file meaning_of(int flags)
{
	if (flags & SQLITE_OPEN_MAIN_DB)
		return FAULT_DATABASE;
	return flags & SQLITE_OPEN_WAL ? FAULT_WAL : FAULT_JOURNAL;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The model of a file that has just been opened; with the lock. */
static struct disk_file *model_of(sqlite3_file *real, const char *name)
{
	struct disk_file *file = disk_find(&g.disk, name);
	sqlite3_int64 bytes = 0;
	void *content;
	int rc;

	if (file)
		return file;
	rc = real->pMethods->xFileSize(real, &bytes);
	assert(rc == SQLITE_OK);
	if (bytes == 0)
		return disk_add(&g.disk, name, NULL, 0);
	content = sqlite3_malloc64((sqlite3_uint64)bytes);
	assert(content != NULL);
	rc = real->pMethods->xRead(real, content, (int)bytes, 0);
	assert(rc == SQLITE_OK);
	file = disk_add(&g.disk, name, content, (size_t)bytes);
	sqlite3_free(content);
	return file;
}

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
	struct fault_handle *h = (struct fault_handle *)f;
	int rc;

	(void)vfs;
	*h = (struct fault_handle){ .meaning = meaning_of(flags) };
	pthread_mutex_lock(&g.lock);
	if (judge(FAULT_OPEN, h->meaning, &rc) == GO_ON) {
		memset(real_of(f), 0, (size_t)g.real->szOsFile);
		rc = g.real->xOpen(g.real, path, real_of(f), flags, ret_flags);
		if (rc == SQLITE_OK) {
			h->base.pMethods = &methods;
			h->syncs_names = h->meaning != FAULT_DATABASE && (flags & SQLITE_OPEN_CREATE);
			if (path && !(flags & SQLITE_OPEN_DELETEONCLOSE))
				h->file = model_of(real_of(f), name_of(path));
			if (h->file && h->meaning == FAULT_DATABASE)
				memcpy(g.database, h->file->name, sizeof(g.database));
		}
	}
	pthread_mutex_unlock(&g.lock);
	return rc;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	enum verdict verdict;
	int rc;

	(void)vfs;
	pthread_mutex_lock(&g.lock);
	verdict = judge(FAULT_DELETE, strstr(name_of(path), "-wal") ? FAULT_WAL : FAULT_JOURNAL, &rc);
	if (verdict == GO_ON)
		rc = g.real->xDelete(g.real, path, 0); /* synced in the model */
	if (verdict == CUT_HERE || rc == SQLITE_OK)
		disk_delete(&g.disk, name_of(path));
	if (verdict == GO_ON && rc == SQLITE_OK && sync)
		disk_sync_names(&g.disk);
	pthread_mutex_unlock(&g.lock);
	return rc;
}

void fault_vfs_register(void)
{
	if (g.real)
		return;
	g.real = sqlite3_vfs_find(NULL);
	assert(g.real != NULL);
	g.vfs = *g.real;
	g.vfs.pNext = NULL;
	g.vfs.zName = FAULT_VFS;
	g.vfs.szOsFile = (int)sizeof(struct fault_handle) + g.real->szOsFile;
	g.vfs.xOpen = on_open;
	g.vfs.xDelete = on_delete;
	int rc = sqlite3_vfs_register(&g.vfs, 0);
	assert(rc == SQLITE_OK);
}

void fault_vfs_reset(void)
{
	pthread_mutex_lock(&g.lock);
	assert(g.hanging == 0);
	disk_finish(&g.disk);
	g.fault = (struct fault){ .nth = 0 };
	g.counted = g.failed = g.cut_at = 0;
	g.hang_ops = g.hang_files = 0;
	g.slow_ops = g.slow_files = 0;
	g.cut = g.cut_in_database = false;
	pthread_mutex_unlock(&g.lock);
}

void fault_vfs_powersafe(bool powersafe)
{
	pthread_mutex_lock(&g.lock);
	g.disk.powersafe = powersafe;
	pthread_mutex_unlock(&g.lock);
}

void fault_vfs_arm(const struct fault *fault)
{
	assert(fault->nth > 0);
	pthread_mutex_lock(&g.lock);
	g.fault = *fault;
	g.counted = g.failed = 0;
	pthread_mutex_unlock(&g.lock);
}

uint64_t fault_vfs_disarm(void)
{
	uint64_t failed;

	pthread_mutex_lock(&g.lock);
	g.fault = (struct fault){ .nth = 0 };
	failed = g.failed;
	pthread_mutex_unlock(&g.lock);
	return failed;
}

void fault_vfs_hang(unsigned ops, unsigned files)
{
	pthread_mutex_lock(&g.lock);
	g.hang_ops = ops;
	g.hang_files = files;
	pthread_mutex_unlock(&g.lock);
}

unsigned fault_vfs_hanging(void)
{
	unsigned hanging;

	pthread_mutex_lock(&g.lock);
	hanging = g.hanging;
	pthread_mutex_unlock(&g.lock);
	return hanging;
}

void fault_vfs_slow(unsigned ops, unsigned files, unsigned ms)
{
	pthread_mutex_lock(&g.lock);
	g.slow_ops = ops;
	g.slow_files = files;
	g.slow_ms = ms;
	pthread_mutex_unlock(&g.lock);
}

void fault_vfs_release(void)
{
	pthread_mutex_lock(&g.lock);
	g.hang_ops = g.hang_files = 0;
	g.slow_ops = g.slow_files = 0;
	pthread_cond_broadcast(&g.released);
	pthread_mutex_unlock(&g.lock);
}

void fault_vfs_cut_at(uint64_t n, unsigned files)
{
	pthread_mutex_lock(&g.lock);
	g.cut_at = n;
	g.cut_files = files;
	pthread_mutex_unlock(&g.lock);
}

void fault_vfs_cut_now(void)
{
	pthread_mutex_lock(&g.lock);
	g.cut = true;
	pthread_mutex_unlock(&g.lock);
}

bool fault_vfs_is_cut(void)
{
	bool cut;

	pthread_mutex_lock(&g.lock);
	cut = g.cut;
	pthread_mutex_unlock(&g.lock);
	return cut;
}

bool fault_vfs_cut_in_database(void)
{
	bool is;

	pthread_mutex_lock(&g.lock);
	is = g.cut_in_database;
	pthread_mutex_unlock(&g.lock);
	return is;
}

bool fault_vfs_database(char name[DISK_NAME_BYTES_MAX])
{
	pthread_mutex_lock(&g.lock);
	memcpy(name, g.database, sizeof(g.database));
	pthread_mutex_unlock(&g.lock);
	return name[0] != '\0';
}

void fault_vfs_reboot(const char *folder, struct rng *r, struct disk_cut *ret_cut)
{
	pthread_mutex_lock(&g.lock);
	g.cut = true;
	disk_cut(&g.disk, folder, r, ret_cut);
	pthread_mutex_unlock(&g.lock);
	fault_vfs_reset();
}
