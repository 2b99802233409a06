/*
 * app/sequencer.h -- the one thread through which everything that was committed leaves this process, in order.
 *
 *      store's writer -- entries, answers of sends --.
 *      store's readers -- answers of reads ----------+--> inbox --> sequencer --> sio_emit(), sio_answer(), sio_with()
 *                                                                     rooms: what has been sent of each
 *
 * What comes from one thread leaves in its order. So an entry's answer follows the entry; whoever is subscribed with `head`
 * hears head + 1 next; and an answer that speaks of entries (a page) leaves only when those have been sent: what comes after
 * it is newer.
 *
 * Used by: app/. Threads: made before others run; push from any.
 */
#ifndef APP_SEQUENCER_H
#define APP_SEQUENCER_H

#include "app/app.h"
#include "base/pile.h"

enum {
	/* Entries and answers that have not left yet; past it sends and reads are `busy`. */
	SEQUENCER_BACKLOG_MAX = 32768,
	SEQUENCER_BACKLOG_BYTES_MAX = 64 << 20, /* likewise, their bytes */
};

struct sequencer;

/* Something to be done in its turn. It lives in its object; `run` is called once, on the sequencer's thread, and owns it. */
struct sequencer_item {
	struct pile_node node;
	void (*run)(struct sequencer *, struct sequencer_item *);
	size_t bytes; /* that it holds, to be counted */
	/* Not before the entries of `room` up to this one have left; 0: now. */
	int64_t room;
	uint64_t after;
};

/* Start it. NULL, with a text, on failure. */
__attribute__((warn_unused_result)) struct sequencer *sequencer_create(
	struct app *, char *err, size_t err_bytes);
/* How far rooms are at the start, before anything is pushed. False: no memory. */
__attribute__((warn_unused_result)) bool sequencer_set_head(
	struct sequencer *, int64_t room, uint64_t seq, uint32_t nonce);
/* When nobody pushes any more: does what is left, and ends. NULL is fine. */
void sequencer_destroy(struct sequencer *);

void sequencer_push(struct sequencer *, struct sequencer_item *);
/* For struct store_options: an entry was committed. Copies it. */
void sequencer_committed(void *app, const struct store_entry *);
bool sequencer_behind(const struct sequencer *);

/*
 * On its thread: what has been sent of a room; (0, 0) of one that has none. False: later entries were missed, for want of memory,
 * and will not be sent.
 */
bool sequencer_head(const struct sequencer *, int64_t room, uint64_t *ret_seq, uint32_t *ret_nonce);

#endif
