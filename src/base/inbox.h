/*
 * base/inbox.h -- a thread's inbox: others push, it takes all that has come, and sleeps while there is nothing.
 *
 * base/pile.h with a wait. Only the push that finds the inbox empty wakes anybody. Threads: push from any; the rest belongs
 * to the one thread that takes.
 */
#ifndef BASE_INBOX_H
#define BASE_INBOX_H

#include <semaphore.h>

#include "base/pile.h"

#define INBOX_FOR_EVER UINT64_MAX

struct inbox {
	struct pile pile;
	sem_t wake;
};

void inbox_init(struct inbox *);
void inbox_finish(struct inbox *);
void inbox_push(struct inbox *, struct pile_node *);
/*
 * All that has been pushed, oldest first, those of one thread in its order. Waits while there is nothing, at most
 * until the monotonic time `until_ns` (base/clock.h; 0: not at all; INBOX_FOR_EVER): then NULL.
 */
struct pile_node *inbox_take(struct inbox *, uint64_t until_ns);

#endif
