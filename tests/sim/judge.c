/* tests/sim/judge.c -- see tests/sim/judge.h. */
#include "sim/judge.h"

#include "sim/kernel.h"

void judge_all_gone(const struct sio_stats *s, uint64_t connections, uint64_t disconnections)
{
	if (s->connections_accepted != s->connections_closed)
		kernel_fail("%llu connections were accepted, %llu closed",
			(unsigned long long)s->connections_accepted,
			(unsigned long long)s->connections_closed);
	if (s->sockets_connected != s->sockets_disconnected || connections != disconnections)
		kernel_fail("%llu sockets connected, %llu disconnected; handlers: %llu, %llu",
			(unsigned long long)s->sockets_connected, (unsigned long long)s->sockets_disconnected,
			(unsigned long long)connections, (unsigned long long)disconnections);
}

void judge_nothing_left(int64_t allocations)
{
	if (kernel_open_count() != 0)
		kernel_fail("%u descriptors are open", kernel_open_count());
	if (kernel_allocations() != allocations)
		kernel_fail("%lld allocations are left", (long long)(kernel_allocations() - allocations));
	if (kernel_figures()->cut_unaccepted != 0)
		kernel_fail("%llu connections were reset before they were accepted",
			(unsigned long long)kernel_figures()->cut_unaccepted);
}
