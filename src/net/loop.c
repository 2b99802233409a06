/* net/loop.c -- one loop: see net/loop.h. */
#include "net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/net_int.h"

static _Thread_local struct net_loop *current;

struct net_loop *net_loop_current(void)
{
	return current;
}

uint32_t net_loop_index(const struct net_loop *loop)
{
	return loop->index;
}

struct net_pool *net_loop_pool(const struct net_loop *loop)
{
	return loop->pool;
}

uint64_t net_loop_now_ns(const struct net_loop *loop)
{
	return loop->now_ns;
}

bool net_loop_stopping(const struct net_loop *loop)
{
	return loop->stopping;
}

void net_loop_hold(struct net_loop *loop)
{
	loop->holds++;
}

void net_loop_release(struct net_loop *loop)
{
	assert(loop->holds > 0);
	loop->holds--;
}

static void woken(struct net_source *source, uint32_t events)
{
	struct net_loop *loop = list_entry(source, struct net_loop, wake);
	uint64_t count;

	(void)events;
	ssize_t got =
		read(loop->wake_fd, &count, sizeof(count)); /* empty is fine: posts are looked for anyway */
	(void)got;
}

/* When stopping: first the listeners close, then whoever is still connected is cut. */
static void stop_step(struct net_timer *timer)
{
	struct net_loop *loop = list_entry(timer, struct net_loop, stop_timer);

	if (!loop->listeners_closed) {
		net_listeners_drain(loop);
		net_listeners_close(loop);
		if (net_timer_start(&loop->stop_timer, loop, NET_DRAIN_MS - NET_STOP_ACCEPT_MS))
			return;
	}
	if (loop->conn_count > 0)
		log_line(LOG_INFO, "loop %u: cutting %u connections that did not close", loop->index,
			loop->conn_count);
	net_conns_cut_all(loop);
}

void net_loop_stop(struct net_loop *loop)
{
	assert(!loop->stopping);
	loop->stopping = true;
	net_listeners_refuse_new(loop);
	if (loop->pool->options.stopping != NULL)
		loop->pool->options.stopping(loop, loop->pool->options.ctx);
	if (!net_timer_start(&loop->stop_timer, loop, NET_STOP_ACCEPT_MS))
		stop_step(&loop->stop_timer);
}

int net_loop_create(struct net_pool *pool, uint32_t index, struct net_loop **ret)
{
	struct net_loop *loop = calloc(1, sizeof(*loop));
	int error = ENOMEM;

	if (loop == NULL)
		return -error;
	loop->pool = pool;
	loop->index = index;
	loop->epoll_fd = loop->wake_fd = -1;
	list_init(&loop->delay_lists);
	loop->delays_due_ns = UINT64_MAX;
	list_init(&loop->tasks);
	list_init(&loop->tasks_next);
	list_init(&loop->conns);
	list_init(&loop->dead);
	list_init(&loop->moving);
	net_posts_init(loop);
	loop->now_ns = loop->woke_ns = clock_now_ns();
	net_delays_init(&loop->stalls, loop, NET_SEND_STALL_STEP_MS, net_conn_stalled, loop);
	net_delays_init(&loop->lingers, loop, NET_LINGER_MS, net_conn_lingered, loop);
	net_delays_init(&loop->farewells, loop, NET_TLS_FAREWELL_MS, net_conn_farewell_late, loop);
	net_delays_init(&loop->handshakes, loop, NET_TLS_HANDSHAKE_MS, net_conn_handshake_late, loop);
	net_timer_init(&loop->stop_timer, stop_step);
	loop->recv = malloc(NET_RECV_BYTES);
	if (loop->recv == NULL || !net_loop_make_room(loop))
		goto fail;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->wake.ready = woken;
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &loop->wake };
	if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
		error = errno;
		goto fail;
	}
	loop->sender = pool->sender_ops->create(&error);
	if (loop->sender == NULL && pool->options.sender == NET_SENDER_AUTO) {
		log_line(LOG_WARN, "loop %u sends by plain: %s", index, strerror(error));
		loop->sender = net_sender_plain.create(&error);
	}
	if (loop->sender == NULL)
		goto fail;
	*ret = loop;
	return 0;
fail:
	net_loop_destroy(loop);
	return -error;
}

static void run_tasks(struct net_loop *loop);

void net_loop_close(struct net_loop *loop)
{
	net_conns_cut_all(loop);
	atomic_store(&loop->ended, true);
	net_posts_discard(loop);
	list_splice(&loop->tasks, &loop->tasks_next);
	while (!list_empty(&loop->tasks))
		run_tasks(loop);
}

void net_loop_destroy(struct net_loop *loop)
{
	if (loop == NULL)
		return;
	net_loop_close(loop);
	net_listeners_close(loop);
	for (uint32_t i = 0; i < loop->dirty_count; i++)
		loop->dirty[i]->dirty = false;
	net_conns_free_dead(loop);
	if (loop->sender != NULL)
		loop->sender->ops->destroy(loop->sender);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop->dirty);
	free(loop->heap);
	free(loop->recv);
	free(loop);
}

static bool is_told_to_stop(const struct net_loop *loop)
{
	return !loop->stopping && atomic_load_explicit(&loop->pool->stop, memory_order_acquire);
}

static bool has_work(const struct net_loop *loop)
{
	return is_told_to_stop(loop) || !list_empty(&loop->tasks) || !list_empty(&loop->tasks_next) ||
	       loop->dirty_count > 0 || !list_empty(&loop->moving) || loop->taken != NULL ||
	       !pile_empty(&loop->posted);
}

/* Wait for events; then set the loop's clock, which leaves out what time we were stalled. */
static int wait_for_events(struct net_loop *loop, struct epoll_event *events)
{
	uint64_t wait_ns = has_work(loop) ? 0 : net_timers_next_ns(loop);
	uint64_t before_ns = clock_now_ns(), stall_ns = 0;

	/* The deadline was computed against a clock as old as the iteration. */
	uint64_t behind_ns = before_ns - loop->stalled_ns - loop->now_ns;
	wait_ns = wait_ns == UINT64_MAX || wait_ns == 0 ? wait_ns
		  : wait_ns > behind_ns                 ? wait_ns - behind_ns
							: 0;
	uint64_t wait_ms = (wait_ns + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
	int n = epoll_wait(loop->epoll_fd, events, NET_EVENTS_MAX,
		wait_ns == UINT64_MAX ? -1
		: wait_ms > 60000     ? 60000
				      : (int)wait_ms);
	/* A signal, for one that ends a stop, hides what has come meanwhile: it must be read before timers run. */
	if (n < 0)
		n = epoll_wait(loop->epoll_fd, events, NET_EVENTS_MAX, 0);
	uint64_t now_ns = clock_now_ns();

	if (before_ns - loop->woke_ns > NET_STALL_NS)
		stall_ns += before_ns - loop->woke_ns;
	if (wait_ns != UINT64_MAX && now_ns - before_ns > wait_ns + NET_STALL_NS)
		stall_ns += now_ns - before_ns - wait_ns;
	if (stall_ns > 0) {
		net_count(&loop->counts.stalls, 1);
		log_line(LOG_WARN, "loop %u stood still for %llu ms", loop->index,
			(unsigned long long)(stall_ns / CLOCK_NS_PER_MS));
	}
	loop->stalled_ns += stall_ns;
	loop->woke_ns = now_ns;
	loop->now_ns = now_ns - loop->stalled_ns;
	return n;
}

static void run_tasks(struct net_loop *loop)
{
	struct list now;

	list_init(&now);
	list_splice(&now, &loop->tasks);
	while (!list_empty(&now)) {
		struct net_task *task = list_entry(list_take_first(&now), struct net_task, node);

		task->run(task);
	}
}

static void iterate(struct net_loop *loop)
{
	struct epoll_event events[NET_EVENTS_MAX];
	int n = wait_for_events(loop, events);

	list_splice(&loop->tasks, &loop->tasks_next);
	for (int i = 0; i < n; i++) {
		struct net_source *source = events[i].data.ptr;
		source->ready(source, events[i].events);
	}
	if (is_told_to_stop(loop) && net_posts_caught_up(loop))
		net_loop_stop(loop);
	net_posts_run(loop);
	net_timers_run(loop);
	run_tasks(loop);
	net_flush(loop);
	net_moves_run(loop);
	net_conns_free_dead(loop);
}

bool net_loop_expect(struct net_loop *loop)
{
	unsigned count = atomic_load_explicit(&loop->arriving, memory_order_relaxed);

	do {
		if (count == NET_LOOP_LEFT)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&loop->arriving, &count, count + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool net_loop_leave(struct net_loop *loop)
{
	unsigned none = 0;

	return atomic_compare_exchange_strong_explicit(
		&loop->arriving, &none, NET_LOOP_LEFT, memory_order_relaxed, memory_order_relaxed);
}

void net_loop_arrived(struct net_loop *loop)
{
	atomic_fetch_sub_explicit(&loop->arriving, 1, memory_order_relaxed);
}

void net_loop_begin(struct net_loop *loop)
{
	atomic_store_explicit(&loop->arriving, 0, memory_order_relaxed);
}

void net_loop_give_up(struct net_loop *loop)
{
	atomic_store_explicit(&loop->arriving, NET_LOOP_LEFT, memory_order_relaxed);
}

void net_loop_run(struct net_loop *loop)
{
	assert(atomic_load(&loop->arriving) != NET_LOOP_LEFT);
	current = loop;
	loop->woke_ns = clock_now_ns();
	while (!loop->stopping || !loop->listeners_closed || loop->holds > 0 || loop->conn_count > 0 ||
		has_work(loop) || !net_loop_leave(loop))
		iterate(loop);
	net_timer_stop(&loop->stop_timer, loop);
	current = NULL;
}

void net_task_init(struct net_task *task, void (*run)(struct net_task *))
{
	list_init(&task->node);
	task->run = run;
}

void net_defer(struct net_loop *loop, struct net_task *task)
{
	if (list_empty(&task->node))
		list_push_back(&loop->tasks, &task->node);
}

void net_defer_next(struct net_loop *loop, struct net_task *task)
{
	if (list_empty(&task->node))
		list_push_back(&loop->tasks_next, &task->node);
}

void net_task_cancel(struct net_task *task)
{
	list_remove(&task->node);
}
