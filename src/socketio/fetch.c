/*
 * socketio/fetch.c -- who is in a target: see sio_fetch(). By sio_each(): each loop fills a part of its own, and the last makes one
 * list of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "socketio/server_int.h"

struct part {
	struct sio_found *found;
	size_t count, cap;
};

struct fetch {
	sio_fetched_fn *fn;
	void *ctx;
	atomic_bool no_memory; /* for some of them */
	uint32_t loop_count;
	struct part parts[]; /* of each loop */
};

static bool has_room(struct part *p)
{
	if (p->count < p->cap)
		return true;
	size_t cap = p->cap == 0 ? 16 : p->cap * 2;
	struct sio_found *bigger = realloc(p->found, cap * sizeof(*bigger));
	if (bigger == NULL)
		return false;
	p->found = bigger;
	p->cap = cap;
	return true;
}

/* All in one list, or NULL. */
static struct sio_found *join(const struct fetch *f, size_t *ret_count)
{
	size_t count = 0, at = 0;

	for (uint32_t i = 0; i < f->loop_count; i++)
		count += f->parts[i].count;
	struct sio_found *all = calloc(count == 0 ? 1 : count, sizeof(*all));
	for (uint32_t i = 0; i < f->loop_count && all != NULL; i++) {
		if (f->parts[i].count > 0)
			memcpy(all + at, f->parts[i].found, f->parts[i].count * sizeof(*all));
		at += f->parts[i].count;
	}
	*ret_count = all == NULL ? 0 : count;
	return all;
}

static void end(struct fetch *f)
{
	struct sio_fetched fetched = { .ctx = f->ctx };
	struct sio_found *all = atomic_load(&f->no_memory) ? NULL : join(f, &fetched.count);

	fetched.status = all == NULL ? -ENOMEM : 0;
	fetched.sockets = all;
	f->fn(&fetched);
	free(all);
	for (uint32_t i = 0; i < f->loop_count; i++)
		free(f->parts[i].found);
	free(f);
}

static void found(struct sio_socket *s, void *ctx)
{
	struct fetch *f = ctx;

	if (s == NULL) {
		end(f);
		return;
	}
	struct part *p = &f->parts[net_loop_index(s->client->at->loop)];
	if (!has_room(p)) {
		atomic_store(&f->no_memory, true);
		return;
	}
	struct sio_found *each = &p->found[p->count++];
	each->id = sio_id(s);
	sio_sid(s, each->sid);
	sio_address(s, each->address);
	struct sio_str label = sio_label(s);
	memcpy(each->label, label.s, label.bytes);
	each->label[label.bytes] = '\0';
}

int sio_fetch(struct sio_target target, sio_fetched_fn *fn, void *ctx)
{
	if (!sio_target_valid(&target))
		return -EINVAL;
	uint32_t loops = target.space->server->loop_count;
	struct fetch *f = calloc(1, sizeof(*f) + loops * sizeof(f->parts[0]));
	if (f == NULL)
		return -ENOMEM;
	f->fn = fn;
	f->ctx = ctx;
	f->loop_count = loops;
	atomic_init(&f->no_memory, false);
	int rc = sio_each(target, found, f);
	if (rc < 0)
		free(f);
	return rc;
}
