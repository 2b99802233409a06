/* tests/sim/kernel_int.h -- the insides of the simulated kernel, shared by its files. */
#ifndef TESTS_SIM_KERNEL_INT_H
#define TESTS_SIM_KERNEL_INT_H

#include <sys/epoll.h>

#include "sim/kernel.h"

enum {
	KERNEL_FD_FIRST = 500000, /* no descriptor of the real kernel is that high */
	KERNEL_FDS_MAX = 1024,
	KERNEL_THREADS_MAX = 16,
};

enum file_kind { FILE_FREE, FILE_EPOLL, FILE_EVENT, FILE_SOCKET, FILE_CONN, FILE_NULL };

struct file {
	enum file_kind kind;
	/* How it is watched. */
	int epoll; /* descriptor; 0: by none */
	uint32_t events;
	epoll_data_t data;
	bool edge; /* something has happened since it was last reported, ... */
	uint64_t edge_order; /* ... and first then */
	/* FILE_EVENT */
	uint64_t count;
	/* FILE_SOCKET */
	bool bound, listens, filtered;
	struct tcp *waiting[64]; /* to be accepted */
	uint32_t waiting_count;
	/* FILE_CONN */
	struct tcp *tcp;
};

/* One direction of a connection: positions in its bytes, each at most the one before it. */
struct pipe {
	uint8_t *data; /* from `base` */
	size_t cap;
	uint64_t base, end, sent, arrived, read, acked;
	uint64_t last_arrival_ns;
	bool fin, fin_sent, fin_arrived, fin_acked;
};

struct tcp {
	const struct tcp_ops *ops;
	void *ctx;
	uint32_t address;
	uint16_t port;
	uint32_t tries;
	struct pipe up, down; /* to the server, and from it */
	int fd; /* the server's; 0: not accepted, or closed */
	bool accepted, server_closed, server_shut, server_reset;
	int server_error; /* to be told once */
	bool no_space; /* the server waits for writable */
	bool client_closed, client_reset, stalled, vanished, established, delivering;
};

/* calls.c */
struct file *kernel_file(int fd);
/* Who has something to report to this epoll. */
bool kernel_epoll_ready(int fd);
/* Something has happened to it. */
void kernel_edge(struct file *);
/* Which of the listeners gets a new connection. NULL: there is none. */
struct file *kernel_listener(void);
void kernel_calls_begin(void);

/* memory.c: what kernel_alloc() and kernel_grow() have given goes. */
void kernel_memory_end(void);

/* tcp.c */
void kernel_tcp_begin(void);
/* For calls.c. */
uint32_t tcp_server_poll(const struct tcp *);
long tcp_server_recv(struct tcp *, void *out, size_t bytes);
/* -errno. */
long tcp_server_send(struct tcp *, const void *data, size_t bytes);
void tcp_server_shut(struct tcp *);
void tcp_server_close(struct tcp *);
/* SIOCOUTQ. */
int tcp_server_unacked(const struct tcp *);
/* TCP_INFO. */
int tcp_server_state(const struct tcp *);
/* It was to be accepted, and its listener closes. */
void tcp_server_cut(struct tcp *);

/* sched.c */
/* The calling thread waits until its epoll has something, or so long; UINT64_MAX: for ever. */
void kernel_wait(int epoll, uint64_t timeout_ns);
struct kernel_figures *kernel_figures_mine(void);

#endif
