/*
 * base/blob.h -- immutable bytes, shared by many queues on many threads.
 *
 *      thread A                          thread B
 *      queue queue queue                 queue queue
 *        \     |    /                      \    /
 *       share (plain count)              share (plain count)
 *              \                          /
 *               blob (one atomic count: the number of shares) + the bytes
 *
 * A broadcast costs one atomic operation a thread; a thread's own receivers are counted without atomics. The share of
 * the thread that made the blob lies in the blob itself, so a message to one receiver is one allocation.
 *
 * Blobs are in the process's account (base/account.h), but for those that somebody keeps who has a bound of his own.
 *
 * Threads: a share belongs to the thread that made it. A blob pointer may cross by blob_export() and blob_import().
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>

enum { BLOB_BYTES_MAX = 1 << 30 };

struct blob;

/* One thread's share. data and bytes may be read; refs is changed by the functions below only. */
struct blob_share {
	const uint8_t *data;
	uint32_t bytes;
	uint32_t refs;
	struct blob *blob;
};

/*
 * A new blob of `bytes` (<= BLOB_BYTES_MAX) uninitialised bytes, with a share of one reference, given to the caller.
 * Fill *ret_data before anybody else sees the share. NULL: no memory.
 */
__attribute__((warn_unused_result)) struct blob_share *blob_create(size_t bytes, uint8_t **ret_data);

/* A number of its maker's that all shares see; 0 until it is set, which is before anybody else sees the blob. */
void blob_set_tag(struct blob_share *share, uint32_t tag);
uint32_t blob_tag(const struct blob_share *share);

static inline struct blob_share *blob_ref(struct blob_share *share)
{
	share->refs++;
	return share;
}

/*
 * The caller's bound holds for its bytes: they are out of the account until all who said so have said blob_unkeep(), with a
 * reference in hand. One atomic operation.
 */
void blob_keep(struct blob_share *share);
void blob_unkeep(struct blob_share *share);

void blob_share_drop(struct blob_share *share); /* the last reference has gone */

/* Give a reference back; the last one frees. */
static inline void blob_unref(struct blob_share *share)
{
	if (--share->refs == 0)
		blob_share_drop(share);
}

/* A token for one other thread, which must import or drop it. One atomic operation. */
struct blob *blob_export(struct blob_share *share);
/* This thread's share of a token, with one reference. NULL: no memory; the token is then dropped. */
__attribute__((warn_unused_result)) struct blob_share *blob_import(struct blob *token);
void blob_drop(struct blob *token);

#endif
