/*
 * tests/sim/kernel.h -- a simulated kernel under libsio: descriptors, TCP, time and threads, all of it decided by one seed.
 *
 *      src/net/ --__wrap_socket(), __wrap_epoll_wait(), ...--> calls.c --> tcp.c <-- clients, by what is below
 *                                                   sched.c: who runs, and what time it is
 *
 * The threads are real, but one runs at a time: the baton passes in epoll_wait(), in kernel_sleep(), behind a wake-up of another loop, where
 * a thread waits for another or for a lock, and where it ends. Whoever gives it away runs what is due first: bytes that arrive, clients' timers. When nobody can run, the clock
 * jumps to the next deadline. So everything here is called by whoever has the baton, needs no lock, and is repeated by the same seed.
 */
#ifndef TESTS_SIM_KERNEL_H
#define TESTS_SIM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KERNEL_PORT = 3000,
	KERNEL_NOTES_MAX = 48, /* shown of what happened last */
};
#define KERNEL_US UINT64_C(1000)
#define KERNEL_MS UINT64_C(1000000)
#define KERNEL_S  UINT64_C(1000000000)

/* How often what happens, in a thousand. */
struct kernel_faults {
	uint32_t send_short; /* a send takes less than there is room for, or nothing */
	uint32_t interrupted; /* EINTR */
	uint32_t cut_segment; /* a segment ends anywhere */
	uint32_t late_ack; /* an acknowledgement waits for 40 ms */
	uint32_t preempts; /* another thread runs behind a write to an eventfd */
	uint32_t accept_fails; /* EMFILE, ECONNABORTED */
	uint64_t delay_ns_max; /* of a segment */
	uint64_t step_ns_max; /* what an iteration takes */
	uint32_t sndbuf, rcvbuf; /* bytes */
};

struct kernel_figures {
	uint64_t steps, segments, sends_short, sends_refused, resets, interrupts;
	uint64_t
		cut_unaccepted; /* connections that were accepted by the kernel, and reset with their listener */
};

/* Begin a run on the calling thread, which has the baton. Outside of a run, calls go to the real kernel. */
void kernel_begin(uint64_t seed);
/* End it, when its threads have been joined: the simulation's own memory goes, and with it all connections. */
void kernel_end(void);
struct kernel_faults *kernel_faults(void);
const struct kernel_figures *kernel_figures(void);
/* Descriptors that are open. */
uint32_t kernel_open_count(void);
/* Allocations of what is linked with us that have not been freed. */
int64_t kernel_allocations(void);
/* The bytes of those. */
int64_t kernel_allocated(void);
/* What has happened so far, as one number. */
uint64_t kernel_trace(void);
void kernel_trace_add(uint64_t what);
uint64_t kernel_now_ns(void);

uint64_t kernel_random(void);
/* In [0, limit); limit > 0. */
uint64_t kernel_below(uint64_t limit);
/* In so many of a thousand cases. */
bool kernel_chance(uint32_t of_thousand);

/* Memory of the simulation's own, which kernel_allocations() leaves out. */
void *kernel_alloc(size_t bytes);
void *kernel_grow(void *old, size_t bytes);

/* Call it then. There is no taking back: `arg` may be a generation. */
void kernel_after(uint64_t delay_ns, void (*run)(void *ctx, uint64_t arg), void *ctx, uint64_t arg);
/* Of a thread that pthread_create() has made: others run meanwhile. */
void kernel_sleep(uint64_t delay_ns);

/* Say what happens; shown when something fails. */
void kernel_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kernel_say_notes(void);
/* It is not as it must be: says so with the seed, the time and the last notes, and aborts. */
void kernel_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* kernel_fail() has been called: all has been said. */
bool kernel_has_failed(void);

/* A client's end of a connection. It lives until kernel_end(). */
struct tcp;
struct tcp_ops {
	void (*connected)(void *ctx);
	void (*data)(void *ctx, const uint8_t *data, size_t bytes); /* lent */
	/* Nothing more comes: 0 in order, -ECONNRESET, -ECONNREFUSED, -ETIMEDOUT. Not after tcp_close() or tcp_reset(). */
	void (*ended)(void *ctx, int error);
};
struct tcp *tcp_connect(uint32_t address, const struct tcp_ops *ops, void *ctx);
/* All of it is taken. */
void tcp_send(struct tcp *, const void *data, size_t bytes);
/* End our side. */
void tcp_end(struct tcp *);
/* As close(): in order, or by a reset if there are bytes that we have not read. */
void tcp_close(struct tcp *);
void tcp_reset(struct tcp *);
uint16_t tcp_port(const struct tcp *);
/* From now on nothing of it arrives, on either side, and nobody is told. */
void tcp_vanish(struct tcp *);
/* Read nothing, or go on reading. */
void tcp_stall(struct tcp *, bool stalls);
/* Until the other side knows what we have done by now, at most. */
uint64_t tcp_news_ns(const struct tcp *);
/* All that the server has sent is in our kernel, and has not been read. */
bool tcp_has_unread(const struct tcp *);

#endif
