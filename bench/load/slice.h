/*
 * load/slice.h -- one measured piece of load on connections that stay: run, drain, verdict.
 *
 * A slice starts operations until its time or count is up, then waits for all that are in flight, so whatever
 * the server did between the slice's begin and its end belongs to the operations counted. It is valid only if
 * every operation came out whole and exactly once and nothing was closed.
 *
 * A mode (what an operation is) is a const table: slice_broadcast.c, slice_echo.c, slice_post.c, slice_rooms.c. Used by: main.c.
 */
#ifndef LOAD_SLICE_H
#define LOAD_SLICE_H

#include "client.h"
#include "hist.h"

enum {
	LOAD_SLOTS_MAX = 64, /* broadcasts in flight: a bit each in load_conn.got */
	LOAD_POSTS_MAX = 4096, /* in flight */
	LOAD_POSTS_PER_CONN_MAX = 64, /* likewise: the server allows no more */
	LOAD_SETTLE_NS = 2000000, /* a second copy right behind the last message is still this slice's */
};

/* What is asked for; 0 where a mode has no use for it. */
struct load_slice_spec {
	const struct load_slice_mode *mode;
	double seconds; /* 0: until `count` is reached */
	uint64_t count; /* operations; 0: until `seconds` have passed */
	double per_second; /* rate: broadcasts started a second, on average */
	uint32_t in_flight; /* broadcast, rooms: W; echo: connections that take part; post: of all */
	uint32_t rooms, each; /* join: how many rooms there are, and how many of them each connection is in */
};

struct load_slot {
	bool parity; /* a connection's bit differs from it until this broadcast has reached it */
	uint32_t emitter; /* the connection that emitted it, the first of its group */
	uint32_t received;
	uint64_t at_ns;
	size_t message_bytes;
	char message[LOAD_MESSAGE_BYTES_MAX];
};

/* A post under way. */
struct load_post {
	uint32_t number;
	uint64_t at_ns; /* when it was sent; 0: it is answered */
	uint64_t seq; /* as its entry said; 0: not pushed to its sender yet */
};

/* What `join` has made, see slice_rooms.c. */
struct load_rooms {
	uint32_t rooms, each; /* 0: none yet */
	uint64_t next; /* messages said so far: where the next goes */
};

/* Lives as long as the connections: sequence numbers and the slots' bits go on from slice to slice. */
struct load_slice {
	struct load_client *client;
	size_t text_bytes;
	uint32_t seq; /* the next operation's number */
	struct load_slot slots[LOAD_SLOTS_MAX];
	uint64_t busy; /* one bit a slot */
	uint64_t
		returned; /* broadcast: one bit an emitter whose message has come back and is not yet followed */
	uint64_t random; /* rate: the generator's state, from a fixed seed */
	struct load_post posts[LOAD_POSTS_MAX];
	uint64_t run; /* post: names this process in every cid */
	double due_ns; /* rate: when the next broadcast is due */
	struct load_rooms rooms;

	/* This slice's own. */
	struct load_slice_spec spec;
	bool running; /* may start operations */
	uint64_t started, done, deliveries;
	uint64_t pushed; /* post: entries, to all connections */
	uint64_t began_at_ns, last_at_ns;
	struct load_hist latency;
};

struct load_slice_mode {
	const char *name;
	const char *why_not_valid; /* of a slice in which nothing was delivered; NULL: that is fine */
	int poll_timeout_ms; /* 0: busy-polls */
	void (*begin)(struct load_slice *s);
	void (*message)(
		struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes);
	void (*tick)(struct load_slice *s, uint64_t now_ns); /* once per iteration; may be NULL */
};

extern const struct load_slice_mode load_mode_broadcast, load_mode_rate, load_mode_echo, load_mode_post,
	load_mode_join, load_mode_rooms, load_mode_hold;

/* `text_bytes` is LOAD_TEXT_BYTES_MIN..MAX. */
void load_slice_init(struct load_slice *s, struct load_client *client, size_t text_bytes);

/*
 * Runs one slice and prints its line of JSON on stdout. Returns whether it was valid. The spec has been
 * checked: a known mode that the protocol has, in_flight 1..LOAD_SLOTS_MAX (broadcast), 1..conns (echo) or
 * 1..LOAD_POSTS_MAX (post).
 */
__attribute__((warn_unused_result)) bool load_slice_run(
	struct load_slice *s, const struct load_slice_spec *spec);

/*
 * For modes. May another operation be started? Then the mode counts it in `started`, and once it has come out
 * in `done`.
 */
bool load_slice_may_start(const struct load_slice *s);

/* For modes: writes the text of operation `seq`, text_bytes of it: "SSSSSSSSSS TT " and letters that depend on seq. */
void load_slice_text(const struct load_slice *s, char *out, uint32_t seq, unsigned tag);

/* For modes: the slot that a broadcast's text names as its tag. NULL: none. */
struct load_slot *load_slice_slot(struct load_slice *s, const uint8_t *message, size_t message_bytes);

/* For modes: one message has come whole; `sent_at_ns` begins its latency. */
void load_slice_delivered(struct load_slice *s, uint64_t sent_at_ns);

#endif
