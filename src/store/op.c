/* store/op.c -- see store/op.h. */
#include "store/op.h"

#include <stdlib.h>

#include "base/assert.h"

/* name, text and cid behind each other, in one allocation. */
static bool copy_texts(struct store_op *op, const struct store_send *send)
{
	struct str from[] = { send->name, send->text, send->cid };
	struct str *to[] = { &op->name, &op->text, &op->cid };
	size_t bytes = 0;

	for (size_t i = 0; i < 3; i++)
		bytes += from[i].bytes;
	if (bytes == 0)
		return true;
	char *p = op->bytes = malloc(bytes);
	if (p == NULL)
		return false;
	op->bytes_count = (uint32_t)bytes;
	for (size_t i = 0; i < 3; i++) {
		if (from[i].bytes != 0)
			memcpy(p, from[i].s, from[i].bytes);
		*to[i] = str_of(p, from[i].bytes);
		p += from[i].bytes;
	}
	return true;
}

struct store_op *store_op_create(
	const struct store_verb *verb, const struct store_send *send, uint64_t late_at_ns)
{
	struct store_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	op->verb = verb;
	op->late_at_ns = late_at_ns;
	op->name = op->text = op->cid = STR("");
	atomic_init(&op->state, STORE_OP_WAITING);
	atomic_init(&op->holders, 2);
	if (send != NULL) {
		assert(send->name.bytes <= STORE_NAME_BYTES_MAX && send->text.bytes <= STORE_BODY_BYTES_MAX);
		assert(send->cid.bytes <= STORE_CID_BYTES_MAX);
		op->room = send->room;
		op->user = send->author;
		if (!copy_texts(op, send)) {
			free(op);
			return NULL;
		}
	}
	return op;
}

void store_op_forget_texts(struct store_op *op)
{
	free(op->bytes);
	op->bytes = NULL;
}

void store_op_drop(struct store_op *op)
{
	uint32_t before = atomic_fetch_sub_explicit(&op->holders, 1, memory_order_acq_rel);

	assert(before == 1 || before == 2);
	if (before == 1) {
		free(op->bytes);
		free(op);
	}
}

bool store_op_move(struct store_op *op, enum store_op_state from, enum store_op_state to)
{
	uint32_t state = from;

	assert(from < to);
	bool moved = atomic_compare_exchange_strong_explicit(
		&op->state, &state, to, memory_order_acq_rel, memory_order_acquire);
	assert(moved || state > (uint32_t)from);
	return moved;
}
