/* base/inbox.c -- see base/inbox.h. */
#include "base/inbox.h"

#include <errno.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"

void inbox_init(struct inbox *in)
{
	pile_init(&in->pile);
	int rc = sem_init(&in->wake, 0, 0);
	assert(rc == 0);
}

void inbox_finish(struct inbox *in)
{
	assert(pile_empty(&in->pile));
	sem_destroy(&in->wake);
}

void inbox_push(struct inbox *in, struct pile_node *node)
{
	if (pile_push(&in->pile, node)) {
		/* It fails only where it has been posted two billion times. */
		int rc = sem_post(&in->wake);
		assert(rc == 0);
	}
}

/* False: the time is over. A wake that comes from what was taken already costs a look. */
static bool wait_until(struct inbox *in, uint64_t until_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(until_ns % CLOCK_NS_PER_S),
	};
	int rc;

	do
		rc = until_ns == INBOX_FOR_EVER ? sem_wait(&in->wake)
						: sem_clockwait(&in->wake, CLOCK_MONOTONIC, &at);
	while (rc != 0 && errno == EINTR);
	return rc == 0;
}

struct pile_node *inbox_take(struct inbox *in, uint64_t until_ns)
{
	uint32_t count;
	struct pile_node *first = pile_take(&in->pile, &count);

	while (first == NULL && until_ns != 0 && wait_until(in, until_ns))
		first = pile_take(&in->pile, &count);
	return first;
}
