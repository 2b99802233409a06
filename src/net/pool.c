/* net/pool.c -- the loops of a process and their threads. See net/loop.h. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/log.h"
#include "net/net_int.h"

/* Descriptors kept for files and pipes of the application when the limit decides how many connections there may be. */
enum { DESCRIPTORS_KEPT = 64, DESCRIPTORS_PER_LOOP = 8 };

static uint32_t usable_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	int n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > NET_LOOPS_MAX ? NET_LOOPS_MAX : (uint32_t)n;
}

/* The descriptors we may have, with the soft limit raised to the hard one. */
static uint32_t descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur;
}

static const struct net_sender_ops *choose_sender(enum net_sender_kind kind, int *ret_errno)
{
	const struct net_sender_ops *chosen = NULL;

	*ret_errno = ENOSYS;
	for (size_t i = 0; net_senders[i] != NULL && chosen == NULL; i++) {
		const struct net_sender_ops *ops = net_senders[i];

		if ((kind == NET_SENDER_PLAIN) != (ops == &net_sender_plain) && kind != NET_SENDER_AUTO)
			continue;
		struct net_sender *trial = ops->create(ret_errno);
		if (trial == NULL) {
			log_line(LOG_INFO, "sends by %s are not to be had here: %s", ops->name,
				strerror(*ret_errno));
			continue;
		}
		ops->destroy(trial);
		chosen = ops;
	}
	return chosen;
}

static struct net_pool *fail(struct net_pool *pool, char *err, size_t err_bytes, const char *what, int error)
{
	snprintf(err, err_bytes, "%s: %s", what, strerror(error));
	net_pool_destroy(pool);
	return NULL;
}

struct net_pool *net_pool_create(const struct net_pool_options *options, char *err, size_t err_bytes)
{
	struct net_pool *pool = calloc(1, sizeof(*pool));
	int error = ENOMEM;

	if (pool == NULL)
		return fail(NULL, err, err_bytes, "the loops", ENOMEM);
	pool->options = *options;
	pool->loop_count = options->loops == 0 ? usable_cores() : options->loops;
	if (pool->loop_count > NET_LOOPS_MAX) {
		pool->loop_count = 0;
		return fail(pool, err, err_bytes, "too many loops", EINVAL);
	}
	uint32_t limit = descriptors();
	pool->conns_max = options->conns_max;
	uint32_t kept = DESCRIPTORS_KEPT + DESCRIPTORS_PER_LOOP * pool->loop_count;
	if (pool->conns_max == 0)
		pool->conns_max = limit > 2 * kept ? limit - kept : limit / 2;
	atomic_init(&pool->conns, 0);
	atomic_init(&pool->stop, false);
	if (options->conns_per_address_max == 0)
		pool->options.conns_per_address_max = NET_CONNS_PER_ADDRESS_MAX;
	pool->addresses = net_addresses_create(pool->options.conns_per_address_max, options->limit_loopback);
	pool->reserve = net_reserve_create(pool->loop_count);
	if (pool->addresses == NULL || pool->reserve == NULL)
		return fail(pool, err, err_bytes, "the loops", ENOMEM);
	pool->sender_ops = choose_sender(options->sender, &error);
	if (pool->sender_ops == NULL)
		return fail(pool, err, err_bytes, "the batch sender", error);
	for (uint32_t i = 0; i < pool->loop_count; i++) {
		int rc = net_loop_create(pool, i, &pool->loops[i]);
		if (rc < 0)
			return fail(pool, err, err_bytes, "a loop", -rc);
	}
	log_line(LOG_INFO, "%u %s, sends by %s, at most %u connections", pool->loop_count,
		pool->loop_count == 1 ? "loop" : "loops", pool->sender_ops->name, pool->conns_max);
	return pool;
}

static void *thread_main(void *arg)
{
	net_loop_run(arg);
	return NULL;
}

int net_pool_run(struct net_pool *pool)
{
	uint32_t started = 1;
	int rc = 0;

	for (uint32_t i = 0; i < pool->loop_count; i++) /* each may post to each as soon as it runs */
		net_loop_begin(pool->loops[i]);
	for (; started < pool->loop_count; started++) {
		struct net_loop *loop = pool->loops[started];

		rc = pthread_create(&loop->thread, NULL, thread_main, loop);
		if (rc != 0) {
			net_pool_stop(pool);
			break;
		}
	}
	for (uint32_t i = started; i < pool->loop_count; i++)
		net_loop_give_up(pool->loops[i]);
	net_loop_run(pool->loops[0]);
	for (uint32_t i = 1; i < started; i++)
		pthread_join(pool->loops[i]->thread, NULL);
	return -rc;
}

void net_pool_stop(struct net_pool *pool)
{
	atomic_store(&pool->stop, true);
	for (uint32_t i = 0; i < pool->loop_count; i++)
		net_wake(pool->loops[i]);
}

void net_pool_close(struct net_pool *pool)
{
	for (uint32_t i = 0; pool != NULL && i < pool->loop_count; i++) {
		if (pool->loops[i] != NULL)
			net_loop_close(pool->loops[i]);
	}
}

void net_pool_destroy(struct net_pool *pool)
{
	if (pool == NULL)
		return;
	for (uint32_t i = 0; i < pool->loop_count; i++)
		net_loop_destroy(pool->loops[i]);
	net_addresses_destroy(pool->addresses);
	net_reserve_destroy(pool->reserve);
	free(pool);
}

uint32_t net_pool_loops(const struct net_pool *pool)
{
	return pool->loop_count;
}

struct net_loop *net_pool_loop(struct net_pool *pool, uint32_t index)
{
	assert(index < pool->loop_count);
	return pool->loops[index];
}

enum net_sender_kind net_pool_sender(const struct net_pool *pool)
{
	return pool->sender_ops == &net_sender_plain ? NET_SENDER_PLAIN : NET_SENDER_URING;
}

uint32_t net_pool_conns_max(const struct net_pool *pool)
{
	return pool->conns_max;
}

uint32_t net_pool_conns_per_address_max(const struct net_pool *pool)
{
	return pool->options.conns_per_address_max;
}

bool net_pool_limits_loopback(const struct net_pool *pool)
{
	return pool->options.limit_loopback;
}

void net_pool_counters(const struct net_pool *pool, struct net_counters *ret)
{
	*ret = (struct net_counters){ 0 };
	for (uint32_t i = 0; i < pool->loop_count; i++) {
		const struct net_counts *c = &pool->loops[i]->counts;

		ret->accepted += atomic_load_explicit(&c->accepted, memory_order_relaxed);
		ret->closed += atomic_load_explicit(&c->closed, memory_order_relaxed);
		ret->refused_limit += atomic_load_explicit(&c->refused_limit, memory_order_relaxed);
		ret->refused_address += atomic_load_explicit(&c->refused_address, memory_order_relaxed);
		ret->refused_descriptors +=
			atomic_load_explicit(&c->refused_descriptors, memory_order_relaxed);
		ret->moved += atomic_load_explicit(&c->moved, memory_order_relaxed);
		ret->bytes_in += atomic_load_explicit(&c->bytes_in, memory_order_relaxed);
		ret->bytes_out += atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
		ret->flushes += atomic_load_explicit(&c->flushes, memory_order_relaxed);
		ret->posts_refused += atomic_load_explicit(&c->posts_refused, memory_order_relaxed);
		ret->stalls += atomic_load_explicit(&c->stalls, memory_order_relaxed);
		ret->tls_failed += atomic_load_explicit(&c->tls_failed, memory_order_relaxed);
		ret->cut += atomic_load_explicit(&c->cut, memory_order_relaxed);
	}
}
