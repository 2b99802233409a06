/*
 * tests/lib/fault_vfs.h -- a disk for SQLite that is full, fails, hangs, is slow or loses power: a VFS over the default one.
 *
 *      SQLite --> "fault" --> [counted; fails; hangs; slow; cut] --> the default VFS: the files as the running program sees them
 *                                        `--> fault_disk.h: what of them would be there after a power cut
 *
 * One for the process, with the files of one folder at a time. Everything is counted from its reset. A sync reaches the
 * model alone, so a session costs what memory costs. Files without a name and shared memory (the wal-index) pass by: a
 * reboot does not have them.
 *
 * A new name is durable once a file that was made as log or journal has been synced for the first time, as SQLite's VFS
 * syncs the folder then; or once a deletion has been asked to be synced.
 *
 * Threads: any. reset and reboot only while no file is open.
 */
#ifndef TESTS_LIB_FAULT_VFS_H
#define TESTS_LIB_FAULT_VFS_H

#include "lib/fault_disk.h"

#define FAULT_VFS "fault" /* its name, for sqlite3_open_v2() */

enum fault_op {
	FAULT_OPEN = 1,
	FAULT_READ = 2,
	FAULT_WRITE = 4,
	FAULT_TRUNCATE = 8,
	FAULT_SYNC = 16,
	FAULT_DELETE = 32,
	FAULT_CHANGES = FAULT_WRITE | FAULT_TRUNCATE | FAULT_SYNC | FAULT_DELETE,
	FAULT_OPS = FAULT_CHANGES | FAULT_OPEN | FAULT_READ,
};

enum fault_file {
	FAULT_DATABASE = 1,
	FAULT_WAL = 2,
	FAULT_JOURNAL = 4, /* of a rollback, a statement */
	FAULT_FILES = FAULT_DATABASE | FAULT_WAL | FAULT_JOURNAL,
};

/* Register it with SQLite; again does nothing. */
void fault_vfs_register(void);
/* No fault, and a disk without files; what is in a folder is found, and taken for synced, when it is opened. */
void fault_vfs_reset(void);

/* Whether the disk promises power-safe overwrite, as SQLite's own VFS says all do. It does not until it is said. */
void fault_vfs_powersafe(bool powersafe);

struct fault {
	unsigned ops, files; /* those that count */
	uint64_t nth; /* from 1, from now */
	bool on; /* it, and all after it */
	int code; /* SQLite's; 0: the one for I/O errors of its kind */
	int error; /* errno; 0: EIO */
};

void fault_vfs_arm(const struct fault *fault);
/* All is well again. Returns how many have failed. */
uint64_t fault_vfs_disarm(void);

/* All such operations wait from now on, before anything is done. */
void fault_vfs_hang(unsigned ops, unsigned files);
unsigned fault_vfs_hanging(void); /* how many wait */
/* Each such operation takes so much longer from now on. */
void fault_vfs_slow(unsigned ops, unsigned files, unsigned ms);
/* Nothing hangs any more, and nothing is slow. */
void fault_vfs_release(void);

/* The power is cut at the n-th change of such files from now: it may have been made or not, and all fail from then on. */
void fault_vfs_cut_at(uint64_t n, unsigned files);
void fault_vfs_cut_now(void);
bool fault_vfs_is_cut(void);
/* Whether fault_vfs_cut_at() has cut at a change of the database itself. */
bool fault_vfs_cut_in_database(void);
/* The name of the database that was opened last since the program began. False: there was none. */
bool fault_vfs_database(char name[DISK_NAME_BYTES_MAX]);
/* Write what a cut leaves to an empty folder, and begin anew as reset does. */
void fault_vfs_reboot(const char *folder, struct rng *r, struct disk_cut *ret_cut);

#endif
