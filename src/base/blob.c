/* base/blob.c -- see base/blob.h. */
#include "base/blob.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/account.h"
#include "base/assert.h"

struct blob {
	struct blob_share home; /* the maker's */
	atomic_uint shares; /* shares and tokens alive; 0 frees */
	atomic_uint keepers;
	uint32_t bytes;
	uint32_t tag;
	uint8_t data[];
};

/* What it takes, for the account. */
static size_t weight(const struct blob *b)
{
	return sizeof(*b) + b->bytes;
}

struct blob_share *blob_create(size_t bytes, uint8_t **ret_data)
{
	assert(bytes <= BLOB_BYTES_MAX);
	struct blob *b = malloc(sizeof(*b) + bytes);
	if (b == NULL)
		return NULL;
	b->home = (struct blob_share){ .data = b->data, .bytes = (uint32_t)bytes, .refs = 1, .blob = b };
	atomic_init(&b->shares, 1);
	atomic_init(&b->keepers, 0);
	b->bytes = (uint32_t)bytes;
	b->tag = 0;
	*ret_data = b->data;
	account_add(weight(b));
	return &b->home;
}

void blob_set_tag(struct blob_share *share, uint32_t tag)
{
	share->blob->tag = tag;
}

uint32_t blob_tag(const struct blob_share *share)
{
	return share->blob->tag;
}

void blob_keep(struct blob_share *share)
{
	if (atomic_fetch_add_explicit(&share->blob->keepers, 1, memory_order_relaxed) == 0)
		account_take(weight(share->blob));
}

void blob_unkeep(struct blob_share *share)
{
	unsigned before = atomic_fetch_sub_explicit(&share->blob->keepers, 1, memory_order_relaxed);

	assert(before > 0);
	if (before == 1)
		account_add(weight(share->blob));
}

void blob_drop(struct blob *token)
{
	unsigned before = atomic_fetch_sub_explicit(&token->shares, 1, memory_order_acq_rel);

	assert(before > 0);
	if (before > 1)
		return;
	account_take(weight(token));
	free(token);
}

void blob_share_drop(struct blob_share *share)
{
	struct blob *b = share->blob;

	assert(share->refs == 0);
	if (share != &b->home)
		free(share);
	blob_drop(b);
}

struct blob *blob_export(struct blob_share *share)
{
	assert(share->refs > 0);
	atomic_fetch_add_explicit(&share->blob->shares, 1, memory_order_relaxed);
	return share->blob;
}

struct blob_share *blob_import(struct blob *token)
{
	struct blob_share *share = malloc(sizeof(*share));

	if (share == NULL) {
		blob_drop(token);
		return NULL;
	}
	*share = (struct blob_share){ .data = token->data, .bytes = token->bytes, .refs = 1, .blob = token };
	return share;
}
