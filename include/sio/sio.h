/*
 * sio/sio.h -- a Socket.IO 5 server for C. Beside it, where they are wanted: sio/json.h, sio/http.h, sio/ws.h, sio/eio.h, sio/stats.h.
 * What a server is made with is in sio/options.h, which comes with this one.
 *
 *	static void on_message(const struct sio_event *e)
 *	{
 *		sio_emit(sio_all(sio_space_of(e->socket)), "message", e->args);
 *	}
 *	...
 *	struct sio_server *io = sio_create(&(struct sio_options){ .listen = "127.0.0.1:3000" }, err, sizeof(err));
 *	sio_on(sio_of(io, "/"), "message", on_message, NULL);
 *	return sio_run(io) < 0;
 *
 * Threads: a server runs on a pool of loops. Handlers for one socket always run on that socket's loop, one at a time; handlers
 * for different sockets run at the same time on different loops. sio_emit(), sio_answer(), sio_ask(), sio_decide(), sio_stop(), and what
 * is done by id or for all of a target may be called from any thread; what takes a struct sio_socket belongs into a handler of that
 * socket. Everything handed to a handler is lent for the call. But for those of sio_on_any_out() and sio_on_broadcast(), a handler never runs
 * before the call that caused it has returned.
 *
 * Texts are UTF-8. Arguments are JSON; text that is not valid JSON is never sent on. Errors are -errno.
 */
#ifndef SIO_SIO_H
#define SIO_SIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sio/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SIO_API __attribute__((visibility("default")))
/* Its result is to be looked at; where there is nothing to be done about it: (void)!f(); */
#define SIO_CHECK __attribute__((warn_unused_result))

enum {
	SIO_SID_BYTES = 21, /* text of a socket's public id, with its NUL */
	SIO_ADDRESS_BYTES = 64, /* text of a peer's address, with its NUL */
	SIO_LABEL_BYTES = 64, /* a socket's label, with its NUL */
	SIO_ATTACHMENTS_MAX = 10, /* binaries in one event, as the JavaScript parser has it */
	SIO_SPACES_MAX = 64, /* namespaces of a server that sio_of() makes */
	SIO_PARENTS_MAX = 16, /* calls of sio_of_names() */
	SIO_SOCKETS_PER_CLIENT_MAX = 64, /* namespaces that one client has joined, or wants to */
	SIO_MIDDLEWARE_MAX =
		16, /* functions of a namespace that sio_use() names; likewise sio_use_events() */
	SIO_SPACE_BYTES_MAX = 255, /* of a namespace's name */
	SIO_ROOM_BYTES_MAX = 255, /* of a room's name */
	SIO_ROOMS_PER_SOCKET_MAX = 65536,
	SIO_TARGET_ROOMS_MAX = 256, /* in `rooms` of a target; likewise in except_rooms */
	SIO_CORS_ORIGINS_MAX = 64, /* of struct sio_cors */
	SIO_COOKIE_BYTES_MAX = 900, /* name and attributes of struct sio_cookie */
	SIO_EACH_WAITING_MAX = 4096, /* calls of sio_each() and sio_fetch() that have not ended */
	SIO_ASK_ALL_WAITING_MAX = 4096, /* those of sio_ask_all() */
	SIO_REPLIES_BYTES_MAX = 64 << 20, /* of all answers to one sio_ask_all() */
	/* Per socket: events that wait for our answer (the oldest is then forgotten), and questions that wait for theirs. */
	SIO_ACKS_WAITING_MAX = 1024,
};

struct sio_server; /* opaque */
struct sio_space; /* opaque: a namespace, lives with its server */
struct sio_socket; /* opaque: valid inside a handler only */

/* Lent text, not NUL-terminated. */
struct sio_str {
	const char *s;
	size_t bytes;
};

#define SIO_VERSION "0.1.0" /* of this header */
/* Of the library that the program is linked with. */
SIO_API const char *sio_version(void);

/* Of a literal; and as the initializer of something static: static const struct sio_str no = SIO_STR_INIT("no"); */
#define SIO_STR_INIT(literal)                                                                                \
	{                                                                                                    \
		"" literal, sizeof(literal) - 1                                                              \
	}
#ifdef __cplusplus
#define SIO_STR(literal) (sio_str{ "" literal, sizeof(literal) - 1 })
#else
#define SIO_STR(literal) ((struct sio_str){ "" literal, sizeof(literal) - 1 })
#endif
/* Of text with a NUL behind it, which is lent. */
static inline struct sio_str sio_text(const char *text)
{
	struct sio_str lent = { text, strlen(text) };
	return lent;
}

struct sio_bytes {
	const void *data;
	size_t bytes;
};

/*
 * The arguments of an event or an answer: a JSON array, in which {"_placeholder":true,"num":i} stands for attachments[i].
 * What a handler receives can be passed on as it is.
 */
struct sio_args {
	struct sio_str json;
	const struct sio_bytes *attachments;
	uint32_t attachment_count;
};

/* Arguments from a C string: sio_json("[\"hello\",42]"). */
static inline struct sio_args sio_json(const char *json_array)
{
	struct sio_args args = { { json_array, strlen(json_array) }, NULL, 0 };
	return args;
}

/* A socket's name. Safe to store, to hand to a thread, and to use late: one that has gone is never somebody else. */
struct sio_id {
	uint32_t loop, slot, generation; /* generation 0: nobody */
};

/* The right to answer one event, once, now or later, from any thread. */
struct sio_ack {
	struct sio_id socket;
	struct sio_space *space;
	uint64_t id; /* the client's: its first is 0 */
	bool wanted; /* the client waits for an answer */
};

/* One received event. All of it is lent for the call. */
struct sio_event {
	struct sio_socket *socket;
	struct sio_str name;
	struct sio_args args; /* without the name */
	struct sio_ack ack; /* a copy may be kept */
	struct sio_str auth; /* "connection", middleware: the client's auth, a JSON object. Otherwise empty */
	struct sio_str reason; /* "disconnecting", "disconnect": Node's text for it. Otherwise empty */
	void *ctx; /* as given to sio_on(), sio_use() and the others */
};

typedef void sio_handler_fn(const struct sio_event *);

/* A request of HTTP. All of it is lent for the call. */
struct sio_request {
	struct sio_str method; /* "GET", of a HEAD too */
	struct sio_str path; /* decoded */
	struct sio_str query; /* as it came, without '?' */
	struct sio_str body; /* empty where there is none, or none is read */
	bool secure; /* it came by TLS to this server; what a proxy before it took is not known */
	const void *head; /* for the functions below */
	const void *peer;
};
/* The value of a header field: the first of that name, whatever its case. False: there is none. O(headers). */
SIO_API SIO_CHECK bool sio_request_header(
	const struct sio_request *, const char *name, struct sio_str *ret_value);
/* A parameter of its query, decoded, with a NUL behind it. False: none, twice, bad, or it does not fit. */
SIO_API SIO_CHECK bool sio_request_param(
	const struct sio_request *, const char *name, char *out, size_t out_bytes);
/* The peer's address, without the port: `out` has SIO_ADDRESS_BYTES. */
SIO_API void sio_request_address(const struct sio_request *, char *out);
/* The peer's address is 127.0.0.0/8 or ::1. With a proxy on this machine everybody's is. */
SIO_API bool sio_request_from_loopback(const struct sio_request *);

/*
 * Name and value are copied. 0; -EINVAL: they make no header, or one that says how the answer is framed; -ENOSPC: 16 of them, 4 KiB.
 */
SIO_API SIO_CHECK int sio_headers_add(struct sio_headers *, const char *name, const char *value);

/*
 * Make a server and its listeners, so that clients may connect from now on (they are served by sio_run()). Threads and sender
 * that are 0 can be set by the environment, SIO_THREADS and SIO_SENDER ("plain", "uring"). The log is one for
 * the process. NULL on failure, with a text for people in err (which may be NULL if err_bytes is 0).
 */
SIO_API SIO_CHECK struct sio_server *sio_create(const struct sio_options *, char *err, size_t err_bytes);
/* Serve until sio_stop(), SIGTERM or SIGINT, on this thread and those it starts. 0 or -errno. Once per server. */
SIO_API SIO_CHECK int sio_run(struct sio_server *);
/* Close all clients in order and end sio_run(), within 5 s. Any thread, also a signal handler. */
SIO_API void sio_stop(struct sio_server *);
/*
 * Free it, after sio_run() has returned or instead of it. NULL is fine. No other thread may use the server, its namespaces, tickets or
 * endpoints from then on: wait for those that may still call sio_decide(), sio_answer() or sio_reply() first.
 */
SIO_API void sio_destroy(struct sio_server *);
/* The port it listens on. */
SIO_API uint16_t sio_port(const struct sio_server *);

/*
 * The namespace of that name, made if it is new: "/" or "/custom". New ones before sio_run(). NULL: there is none and it
 * cannot be made: a bad name, SIO_SPACES_MAX, no memory (the log says which), or the server runs. Lives as long as the server.
 */
SIO_API struct sio_space *sio_of(struct sio_server *, const char *name);
/*
 * May there be a namespace of that name? `auth` is of the client that asks for it. Any loop's thread, and on several at once.
 */
typedef bool sio_names_fn(void *ctx, struct sio_str name, struct sio_str auth);
/*
 * Namespaces that are made when a client asks for one: for a name that sio_of() has not made, `fn` of each parent is asked, the
 * first one's first. What is set for the parent that is returned holds for all its children; what is emitted to it goes to each of
 * them. Once made, a child stays as long as the server, and is found by sio_of(): so who may join it is the business of middleware. It
 * is made before middleware is asked, and dynamic_spaces_max holds for all clients: where names are many, `fn` is to look at `auth`, too.
 * Before sio_run(). NULL: SIO_PARENTS_MAX, or no memory; the log says which.
 */
SIO_API struct sio_space *sio_of_names(struct sio_server *, sio_names_fn *fn, void *ctx);
/* Its name; "" of a parent. Lives as long as the server. */
SIO_API const char *sio_space_name(const struct sio_space *);
typedef void sio_space_fn(struct sio_space *, void *ctx);
/*
 * Call `fn` with each of a parent's namespaces that there are now, the newest first; of a namespace that is none, not at all. They live as
 * long as the server. Any thread. O(children).
 */
SIO_API void sio_each_child(const struct sio_space *parent, sio_space_fn *fn, void *ctx);

/*
 * Call the handler for each event of that name. "connection", "disconnecting" (it is still in its rooms: sio_room_at()),
 * "disconnect", "lagging" (past queue_bytes_soft although we tried to send), "drained" (empty again) and "expired"
 * (sio_set_expiry()) are the server's own. A socket whose client lags already when it joins hears
 * "lagging" right after "connection", so that none hears "drained" before it. The last one set for a name stands. Before
 * sio_run(). 0; -EINVAL for a name that is empty, or that the protocol reserves, and no namespace; -EBUSY: the server
 * runs; -ENOMEM. `event` is copied. A handler that is NULL: none. Clients cannot call those of the server's own: what they emit by such a
 * name goes to sio_on_other(), or ends them where the protocol reserves it.
 */
SIO_API int sio_on(struct sio_space *, const char *event, sio_handler_fn *, void *ctx);
/* Call the handler for each event that has none of its own. Before sio_run(). */
SIO_API void sio_on_other(struct sio_space *, sio_handler_fn *, void *ctx);
/* Call the handler for each event that comes, before its own; as Node's onAny(). The last one set stands. Before sio_run(). */
SIO_API void sio_on_any(struct sio_space *, sio_handler_fn *, void *ctx);
/*
 * Call the handler for each event that is sent to a socket, broadcasts included, and sio_ask()'s; as Node's onAnyOutgoing(). On the
 * receiver's loop, before it is queued, and so within the sio_emit() or sio_ask() of that loop. What it emits to a namespace with such
 * a handler goes behind; what it does else goes before. A question asked within sio_each() is not shown. It makes every broadcast dearer, so it is for finding faults.
 * The last one set stands. Before sio_run().
 */
SIO_API void sio_on_any_out(struct sio_space *, sio_handler_fn *, void *ctx);
/* False: the event is dropped. If an answer is wanted (ack.wanted), it is to give one, now or later. */
typedef bool sio_filter_fn(const struct sio_event *);
/*
 * Ask the function of each event that comes, behind sio_on_any() and before the event's own handler; as Node's socket.use().
 * Several are asked in their order. Before sio_run(). 0; -ENOSPC: SIO_MIDDLEWARE_MAX; -EBUSY: the server runs; -EINVAL.
 */
SIO_API SIO_CHECK int sio_use_events(struct sio_space *, sio_filter_fn *, void *ctx);

/* What a client that may not join a namespace is told: its `connect_error` has the message, and data if there is any. */
struct sio_refusal {
	/* UTF-8. Of a function's, lent until its next call on that loop: no array of its own. NULL: "Forbidden" */
	const char *message;
	struct sio_str
		data_json; /* one JSON value, lent likewise; empty: none. What is no JSON is left out, and logged */
};
enum sio_verdict {
	SIO_REFUSE,
	SIO_ADMIT, /* the next function is asked; after the last one it joins */
	SIO_LATER, /* sio_decide() will tell, by the event's `ack` */
};
/*
 * May this client join? Asked on its loop before "connection", with the socket and the client's auth. The socket may be given
 * data and a label, but has not joined: it cannot be emitted to, joins no room (-EINVAL), and to disconnect it does nothing; sio_with() finds
 * it, and sio_decide() may be called there. Who is refused has its data destroyed, and "disconnect" is not called for it. It may ask again until connect_timeout_ms is
 * over, which counts while it waits for SIO_LATER too.
 */
typedef enum sio_verdict sio_middleware_fn(const struct sio_event *, struct sio_refusal *);
/* Several are asked in their order. Before sio_run(). 0; -ENOSPC: SIO_MIDDLEWARE_MAX; -EBUSY: the server runs; -EINVAL. */
SIO_API SIO_CHECK int sio_use(struct sio_space *, sio_middleware_fn *, void *ctx);
/*
 * What a function that said SIO_LATER has found out, once, from any thread: `ticket` is its event's `ack`. Refusal NULL: let in.
 * It is copied. 0, and no more than that is known: if the client has gone nothing happens (answers_late). -ENOENT: no ticket;
 * -ENOMEM.
 */
SIO_API SIO_CHECK int sio_decide(struct sio_ack ticket, const struct sio_refusal *);

/* The request with which a socket's connection began, as long as it is kept (options.keep_handshake). */
struct sio_handshake {
	uint64_t at_ms; /* when: Unix time */
	bool secure; /* as that of sio_request */
	struct sio_str query; /* as it came, without '?' */
};
/* False: it is not kept any more. All is lent for the call of the handler. */
SIO_API SIO_CHECK bool sio_handshake(const struct sio_socket *, struct sio_handshake *ret);
/* A header of it, as sio_request_header(). */
SIO_API SIO_CHECK bool sio_handshake_header(
	const struct sio_socket *, const char *name, struct sio_str *ret_value);
/* A parameter of its query, decoded, with a NUL behind it. False: none, twice, bad, or it does not fit. */
SIO_API SIO_CHECK bool sio_handshake_param(
	const struct sio_socket *, const char *name, char *out, size_t out_bytes);

/*
 * Serve a file at a path, as it is now: "/chat", "broadcast.html". A relative file is looked for beside the program, then in
 * the current folder. The type is told by its ending. At most 16 MiB. Before sio_run(). 0, or -errno as sio_http() of
 * sio/http.h, and those of reading it.
 */
SIO_API SIO_CHECK int sio_serve_file(struct sio_server *, const char *path, const char *file);

/*
 * Whom to send to. A plain value: build, narrow, pass on; nothing to free, and names are needed for the call alone. Who is in several of its rooms gets it once. A room whose
 * name is the public id of a socket (sio_sid()) is that socket, as on Node: so names that clients choose want a prefix. Who is away and may
 * be recovered hears what is emitted, and is not met by sio_each(), sio_fetch() and what is done to all, but by sio_disconnect_all().
 */
struct sio_target {
	struct sio_space *space;
	const char *room; /* NULL, and no other rooms: everyone in the namespace */
	const char *const *rooms; /* further ones */
	uint32_t room_count; /* at most SIO_TARGET_ROOMS_MAX */
	uint32_t except_room_count; /* likewise */
	const char *const *except_rooms; /* nobody who is in one of these */
	struct sio_id only; /* generation != 0: this one socket, whatever rooms are named */
	struct sio_id except; /* generation != 0: all but this one */
	bool is_volatile; /* skip those who cannot take it now */
	bool uncompressed; /* nothing is gained by compressing it: a polling response of only such events is not */
	bool is_local; /* only those of this process: sio_on_broadcast()'s function is not told */
};
/* Everyone in the namespace. */
SIO_API struct sio_target sio_all(struct sio_space *);
/* Everyone in the room, of the socket's namespace, but the socket itself. Room NULL: all others in the namespace. */
SIO_API struct sio_target sio_to(const struct sio_socket *, const char *room);
/* Everyone in that room of a namespace. */
static inline struct sio_target sio_in(struct sio_space *space, const char *room)
{
	struct sio_target target = sio_all(space);
	target.room = room;
	return target;
}
/* This socket alone. */
SIO_API struct sio_target sio_self(const struct sio_socket *);

/*
 * Queue an event to each target, encoded once and shared; it goes out when this loop's iteration ends. Each receiver gets
 * what is emitted from one loop, or one other thread, in the order in which it was emitted; of several, in no common order, even under
 * a lock: where events are numbered, let one thread emit them. Only what a function emits that was put off (sio_with() on its own loop)
 * is ahead of what the handler has emitted behind that call, for receivers on that loop, and behind it for those on others. Cost:
 * O(targets), no copy per target. Any thread.
 * 0; -EINVAL: arguments that are no JSON array, wrong placeholders, an empty, reserved or overlong name, too many rooms (wrong JSON is logged, too, once a second at most); -ENOMEM. Nothing is then
 * queued anywhere. -ENOBUFS: a loop is so far behind that it takes no more; its clients will be closed, the others got it.
 */
SIO_API int sio_emit(struct sio_target, const char *event, struct sio_args args);

/* What has been emitted, for other processes. All of it is lent for the call. */
struct sio_broadcast {
	/* Whom to: the namespace (it may be a parent), rooms and flags. is_local is set, and `except`, which says nothing elsewhere, is nobody. */
	struct sio_target target;
	const char *event;
	struct sio_args args;
	void *ctx; /* as given to sio_on_broadcast() */
};
typedef void sio_broadcast_fn(const struct sio_broadcast *);
/*
 * Call the function for each event that was emitted in the namespace, but not to one socket alone (`only`) or as is_local: so that the
 * application hands it to other processes, by a bus of its own, and each of them emits it as is_local, to those it has. It replaces
 * the broadcasts of Node's adapters. Of sio_emit() alone: sio_ask_all(), sio_fetch() and what is done to all of a target stay
 * in their process. The function runs on the thread that emits, on several at once, within sio_emit(), before it is queued here; in
 * order with what else that thread emits. It must not wait. What it emits is to be is_local, else it is told of that, too. The last one set
 * stands. Before sio_run().
 */
SIO_API void sio_on_broadcast(struct sio_space *, sio_broadcast_fn *, void *ctx);

/*
 * Answer an event, once. On the socket's own loop: 0, or -ENOENT if no answer was wanted, it was given already, or
 * the socket has gone. From elsewhere it is handed over, and 0 means no more than that: a loop that is far behind takes it
 * too. -EINVAL, -ENOMEM as sio_emit().
 */
SIO_API int sio_answer(struct sio_ack, struct sio_args args);

/* What became of a question. */
struct sio_reply {
	struct sio_socket *socket; /* NULL if it has gone */
	int status; /* 0; -ETIMEDOUT: no answer came in time; -ECONNRESET: the socket has gone; else as sio_ask() */
	struct sio_args args; /* the client's, if status is 0 */
	void *ctx;
};
typedef void sio_reply_fn(const struct sio_reply *);

/*
 * Emit an event to one socket and have its answer. The handler runs exactly once, on the socket's loop, unless an error is
 * returned (as sio_emit(); -ENOENT: it has gone, -EAGAIN: SIO_ACKS_WAITING_MAX, -ENOBUFS: its loop is too far behind).
 * timeout_ms 0: wait as long as the socket lives. Any thread; from another than the socket's loop it is handed over, and
 * what is wrong is told by the handler's status. When a server is destroyed, questions under way end on the thread that does it.
 */
SIO_API int sio_ask(struct sio_space *, struct sio_id, const char *event, struct sio_args args,
	uint32_t timeout_ms, sio_reply_fn *, void *ctx);

/* What one socket has answered. */
struct sio_given {
	struct sio_id socket;
	struct sio_args args;
};
/* What became of a question to many. All of it is lent for the call. */
struct sio_replies {
	/*
	 * 0: all who were asked have answered. -ETIMEDOUT: not all have, in time; -ECONNRESET: some have gone, or had
	 * SIO_ACKS_WAITING_MAX questions, all others have answered; -ENOBUFS: answers are missing, for want of memory or past
	 * SIO_REPLIES_BYTES_MAX, or a loop was so far behind that it could ask nobody (broadcasts_refused).
	 */
	int status;
	uint32_t asked; /* sockets */
	uint32_t count; /* of answers, in no order */
	const struct sio_given *answers;
	void *ctx;
};
typedef void sio_replies_fn(const struct sio_replies *);
/*
 * Emit an event to each socket of a target and have all their answers: `fn` is called once, when all have answered or gone, or time
 * is over; by the loop that is last. timeout_ms 0: wait as long as they live. Any thread, as sio_emit(), but in a namespace that is no
 * parent; is_volatile is not looked at. A call without a deadline has its place among SIO_ASK_ALL_WAITING_MAX until all have answered or
 * gone. 0; -EINVAL, -ENOMEM as sio_emit(); -ENOBUFS: SIO_ASK_ALL_WAITING_MAX, or as sio_each().
 */
SIO_API SIO_CHECK int sio_ask_all(struct sio_target, const char *event, struct sio_args args,
	uint32_t timeout_ms, sio_replies_fn *, void *ctx);

/* 0; -EINVAL: a name that is empty, too long or no UTF-8; -ENOSPC: SIO_ROOMS_PER_SOCKET_MAX; -ENOMEM. Joining twice is fine. */
SIO_API int sio_join(struct sio_socket *, const char *room);
/* Harmless if it is not in it. */
SIO_API void sio_leave(struct sio_socket *, const char *room);

/*
 * A deadline for the socket's authentication. After after_ms "expired" is called; the application may ask the client for a new proof
 * then, and set another deadline. If none is set within grace_ms, the socket is sent away from its namespace as by sio_disconnect(),
 * with the reason "authentication expired" (sockets_expired). after_ms 0: no deadline, from now on. 0; -EINVAL: it has not joined yet;
 * -ENOMEM, and what was set before holds.
 */
SIO_API SIO_CHECK int sio_set_expiry(struct sio_socket *, uint32_t after_ms, uint32_t grace_ms);
/*
 * The i-th of the rooms that it has joined, from 0; in "disconnecting" too. NULL: there are no more. Joining and leaving changes their
 * order. The text is there until the last of this loop's sockets has left the room: copy what is used behind that.
 */
SIO_API const char *sio_room_at(const struct sio_socket *, uint32_t i);
/* It has joined that room. O(its rooms, or the room's members, whichever are fewer). */
SIO_API SIO_CHECK bool sio_is_in(const struct sio_socket *, const char *room);
/*
 * All sockets of a target join a room, or leave it, as sio_disconnect_all() sends them away. One that cannot join
 * (SIO_ROOMS_PER_SOCKET_MAX, no memory) is left out, and that is logged. Any thread. 0; -EINVAL: a name that is empty, too long
 * or no UTF-8, too many rooms; -ENOMEM: nobody does (of a parent: in some of its children). -ENOBUFS: a loop is too far behind; its clients will be closed, the others did.
 */
SIO_API SIO_CHECK int sio_join_all(struct sio_target, const char *room);
/* The same: who is not in it is left alone. */
SIO_API SIO_CHECK int sio_leave_all(struct sio_target, const char *room);

/*
 * Send it away from the namespace; `close`: and close its connection, with all its namespaces. "disconnect" is called, later. What is
 * emitted to it from now on goes to nobody, and its events cannot be answered.
 */
SIO_API void sio_disconnect(struct sio_socket *, bool close);
/*
 * The same by name, in its namespace, from any thread: 0, -ENOENT if it is known to have gone, -ENOMEM, -EINVAL. One whose connection has broken, and who might come
 * back (struct sio_recovery), does not: what is kept of that socket is destroyed.
 */
SIO_API int sio_disconnect_id(struct sio_space *, struct sio_id, bool close);
/*
 * The same for all sockets of a target, the one whose handler calls it included (sio_all(space): everybody): on each loop those
 * who are there when it comes to it, in order with what this thread emits. Any thread. 0, however far behind a loop is;
 * -EINVAL: too many rooms; -ENOMEM: nobody is sent away (of a parent: not from all of its children). Those of the target who are
 * away and might come back (struct sio_recovery) do not come back to that namespace as who they were, by the rooms they were in: what
 * is kept of them is destroyed when they ask, or when the window is over at the latest. Where there is no memory to keep this, nobody who
 * is away from that namespace comes back as who it was. O(sockets of the target).
 */
SIO_API SIO_CHECK int sio_disconnect_all(struct sio_target, bool close);
/*
 * Close its connection, with all its namespaces, without a DISCONNECT: official clients stay away from who has sent them one, and
 * come back from this by themselves, as after a fault of the network. What was emitted before is still sent; "disconnect" is
 * called.
 */
SIO_API void sio_connection_close(struct sio_socket *);
/* The same by name, from any thread: 0, -ENOENT if it is known to have gone, -ENOMEM. */
SIO_API int sio_connection_close_id(struct sio_space *, struct sio_id);
/* The same for all sockets of a target, from any thread, as sio_disconnect_all(). */
SIO_API SIO_CHECK int sio_connection_close_all(struct sio_target);

typedef void sio_with_fn(struct sio_socket *, void *ctx);
/*
 * Run `fn` on the loop of a socket, with the socket, or with NULL if it has gone: once, in order with what this thread emits
 * to that socket. Any thread; fn never runs before the call has returned, so on that loop's own thread what is emitted behind
 * the call waits with it until the iteration ends (so does sio_disconnect(); sio_join() and sio_leave() do not). 0; -ENOMEM, -ENOBUFS (its loop is too far behind), and then fn is not
 * called. When a server is destroyed, what has not run yet runs with NULL on the thread that does it.
 */
SIO_API SIO_CHECK int sio_with(struct sio_space *, struct sio_id, sio_with_fn *, void *ctx);

/*
 * Run `fn` with each socket of a target, on its loop, so at the same time on different loops; and when all loops have done so,
 * once more, with NULL. Any thread, as sio_with(). 0; -EINVAL: too many rooms, or a parent of namespaces; -ENOMEM;
 * -ENOBUFS: SIO_EACH_WAITING_MAX, or called by a handler while the server is destroyed.
 */
SIO_API SIO_CHECK int sio_each(struct sio_target, sio_with_fn *, void *ctx);

/* A socket of a target. */
struct sio_found {
	struct sio_id id;
	char sid[SIO_SID_BYTES], address[SIO_ADDRESS_BYTES];
	char label[SIO_LABEL_BYTES]; /* sio_set_label(); "" if it has none */
};
struct sio_fetched {
	int status; /* 0; -ENOMEM: and then there are none */
	const struct sio_found *sockets; /* in no order; lent for the call */
	size_t count;
	void *ctx;
};
typedef void sio_fetched_fn(const struct sio_fetched *);
/* Who is in a target: `fn` is called once, by the last loop that has looked. Any thread. As sio_each(). */
SIO_API SIO_CHECK int sio_fetch(struct sio_target, sio_fetched_fn *, void *ctx);

/*
 * It was here before its connection broke (options.recovery): in "connection" it has its rooms and data again, sio_sid() is what it was;
 * sio_id() is not. What it missed goes before all that is emitted to it now.
 */
SIO_API bool sio_recovered(const struct sio_socket *);

/*
 * In "connection" of one that is recovered, and has been given other data by middleware (recovery.asks_middleware): what it had kept. It
 * is destroyed when the handler has returned. NULL otherwise.
 */
SIO_API void *sio_data_before(const struct sio_socket *);

/* Its name, to be kept. */
SIO_API struct sio_id sio_id(const struct sio_socket *);
/* The namespace it is in. */
SIO_API struct sio_space *sio_space_of(const struct sio_socket *);
/* The public id that the client knows: `out` has SIO_SID_BYTES. */
SIO_API void sio_sid(const struct sio_socket *, char *out);
/* The peer's address, without the port: `out` has SIO_ADDRESS_BYTES. */
SIO_API void sio_address(const struct sio_socket *, char *out);
/* What `allow` left with the connection that the socket is on, or NULL. */
SIO_API void *sio_connection_data(const struct sio_socket *);
/* What the application keeps with the socket, or NULL. */
SIO_API void *sio_data(const struct sio_socket *);
/* Keep something with the socket. `destroy` (may be NULL) is called when it is replaced, and after "disconnect"; with
 * recovery, when its client has not come back in time. */
SIO_API void sio_set_data(struct sio_socket *, void *data, void (*destroy)(void *data));
/*
 * Say who it is, such as its user's name, to those who list it from elsewhere: sio_found.label. Copied; recovery keeps it; "" takes
 * it away. On its loop. 0; -EINVAL: SIO_LABEL_BYTES or more, a NUL, or no UTF-8; -ENOMEM: it is as before.
 */
SIO_API SIO_CHECK int sio_set_label(struct sio_socket *, struct sio_str);
/* What sio_set_label() was given; lent until the next. */
SIO_API struct sio_str sio_label(const struct sio_socket *);

/*
 * The i-th argument as JSON text (a slice of args.json, without blanks around it: sio/json.h); false if there are fewer. O(args).
 */
SIO_API SIO_CHECK bool sio_arg(const struct sio_event *, size_t i, struct sio_str *ret_json);
/*
 * The i-th argument if it is a string, decoded to UTF-8 with a NUL behind it. False if it is none, contains a NUL, or does
 * not fit into out_bytes with its NUL.
 */
SIO_API SIO_CHECK bool sio_arg_string(const struct sio_event *, size_t i, char *out, size_t out_bytes);
/* The i-th argument if it is binary: that attachment, lent as args.attachments are. */
SIO_API SIO_CHECK bool sio_arg_bytes(const struct sio_event *, size_t i, struct sio_bytes *ret);
/*
 * The same of any value in arguments, such as a member of an object (sio/json.h). False: it is not binary, whatever it looks like: a
 * client's own {"_placeholder":true,"num":0} is an attachment only where it has sent one.
 */
SIO_API SIO_CHECK bool sio_args_bytes(const struct sio_args *, struct sio_str value, struct sio_bytes *ret);

#ifdef __cplusplus
}
#endif

#endif
