/* store/gate.c -- see store/gate.h. */
#include "store/gate.h"

#include <time.h>

#include "base/assert.h"
#include "base/clock.h"

void store_gate_init(struct store_gate *g)
{
	pthread_condattr_t monotonic;

	atomic_init(&g->closed, false);
	atomic_init(&g->inside, 0);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->opened, NULL);
	pthread_cond_init(&g->left, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void store_gate_finish(struct store_gate *g)
{
	assert(atomic_load(&g->inside) == 0);
	pthread_cond_destroy(&g->left);
	pthread_cond_destroy(&g->opened);
	pthread_mutex_destroy(&g->lock);
}

static void wait_opened(struct store_gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (atomic_load(&g->closed))
		pthread_cond_wait(&g->opened, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Sequentially consistent, all of it: either the one inside is seen, or it sees that the gate is closed. */
void store_gate_enter(struct store_gate *g)
{
	atomic_fetch_add(&g->inside, 1);
	while (atomic_load(&g->closed)) {
		store_gate_leave(g);
		wait_opened(g);
		atomic_fetch_add(&g->inside, 1);
	}
}

void store_gate_leave(struct store_gate *g)
{
	uint32_t before = atomic_fetch_sub(&g->inside, 1);

	assert(before != 0);
	if (before == 1 && atomic_load(&g->closed)) {
		pthread_mutex_lock(&g->lock);
		pthread_cond_signal(&g->left);
		pthread_mutex_unlock(&g->lock);
	}
}

void store_gate_close(struct store_gate *g)
{
	assert(!atomic_load(&g->closed));
	atomic_store(&g->closed, true);
}

void store_gate_open(struct store_gate *g)
{
	assert(atomic_load(&g->closed));
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->closed, false);
	pthread_cond_broadcast(&g->opened);
	pthread_mutex_unlock(&g->lock);
}

bool store_gate_wait_empty(struct store_gate *g, uint64_t until_ns)
{
	struct timespec at = {
		.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
		.tv_nsec = (long)(until_ns % CLOCK_NS_PER_S),
	};
	int rc = 0;

	assert(atomic_load(&g->closed));
	if (atomic_load(&g->inside) == 0 || until_ns == 0)
		return atomic_load(&g->inside) == 0;
	pthread_mutex_lock(&g->lock);
	while (atomic_load(&g->inside) != 0 && rc == 0)
		rc = pthread_cond_timedwait(&g->left, &g->lock, &at);
	pthread_mutex_unlock(&g->lock);
	return atomic_load(&g->inside) == 0;
}
