/*
 * socketio/server_int.h -- the insides of a server, shared by the files of socketio/.
 *
 *      sio_server --+-- sio_loop (one per loop): slots of sockets, clients, what is to be freed
 *                   `-- sio_space (a namespace) -- sio_space_loop (one per loop): rooms, and the room of all
 *
 *      eio_session <-> sio_client --> sio_socket (one per namespace it joined) --> memberships --> sio_room
 */
#ifndef SOCKETIO_SERVER_INT_H
#define SOCKETIO_SERVER_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "base/slots.h"
#include "engineio/server.h"
#include "engineio/unit.h"
#include "http/server.h"
#include "net/timer.h"
#include "sio/endpoint.h"
#include "sio/http.h"
#include "sio/sio.h"
#include "socketio/packet.h"

enum {
	SIO_FILE_BYTES_MAX = 16 << 20,
	SIO_PATH_BYTES_MAX = 255, /* of what is served at a path */
	SIO_EVENT_NAME_BYTES_MAX = 65535, /* of an event that we emit */
	SIO_AUTHS_BYTES_MAX =
		64 << 10, /* of a client's auth that middleware has not decided on; one of any size is fine */
	SIO_SOCKET_RANDOM_BYTES = 11,
	SIO_SOCKET_ID_BYTES =
		15, /* those, 1 of the loop, 3 of the slot: base64url makes the public id of them */
	SIO_ENGINE_MESSAGE_BYTES_MAX = 64 << 20, /* the most that options may say of message_bytes_max */
	SIO_PENDING_MESSAGES_MAX =
		2, /* times message_bytes_max: attachments that wait for the last of their packet */
	SIO_CONNECTS_ANEW_MAX = 1024, /* of a connection: CONNECTs to where it was waiting to be let in */
};

/* A room, on one loop. Exists while it has members there. */
struct sio_room {
	struct map_node node; /* in its namespace's map; the room of all is in none */
	struct sio_member *members;
	uint32_t count, cap;
	char name[]; /* NUL-terminated */
};

/* Packed: there is one of each for every membership, and 12 bytes instead of 16 are fewer to walk, too. */
struct sio_member {
	struct sio_socket *socket;
	uint32_t membership; /* its number among the socket's memberships */
} __attribute__((packed, aligned(4)));

struct sio_membership {
	struct sio_room *room;
	uint32_t member; /* its place in the room's members */
} __attribute__((packed, aligned(4)));

/* Questions to a client. */
struct sio_asks {
	struct list waiting; /* struct sio_ask_waiting, in the order in which they were asked */
	uint32_t count, hurried; /* in all; of those with a deadline */
};

struct sio_socket {
	/* A broadcast needs no more than this. NULL until it has joined, and once disconnected. */
	struct eio_session *session;
	struct sio_client *client;
	struct sio_space *space;
	struct list in_client; /* in client->sockets, then in at->dead_sockets */
	struct sio_membership all; /* the first membership: an idle socket needs no table */
	uint32_t visit; /* the number of the last visit to a target (target.c) that came by here */
	struct sio_membership *memberships; /* the others */
	uint64_t *acks; /* ids of the client's events that wait for our answer */
	uint32_t slot, generation;
	uint32_t membership_count; /* the first included */
	uint16_t ack_count, ack_cap;
	uint8_t membership_steps; /* how often their table has grown: it has room for table_room[this] */
	uint8_t random[SIO_SOCKET_RANDOM_BYTES];
	bool is_leaving; /* it will be sent away, or its connection closed, when what was put off before has been done */
	bool goes_for_good; /* then it is not to come back */
	bool takes_client; /* its connection will be closed then: that is asked by this socket's id */
	struct sio_socket *next_visited;
	struct sio_asks *asks; /* owned; NULL: it was never asked anything */
	struct sio_recoverable *recoverable; /* NULL: there is no recovery */
	struct sio_expiry *expiry; /* NULL: its authentication has no deadline */
	const char *reason; /* why it was disconnected; a constant */
	char *label; /* owned; NULL: none */
	void *data;
	void (*destroy_data)(void *);
};

/* A binary packet whose attachments are coming. */
struct sio_pending {
	struct net_delay delay; /* until the next attachment must have come */
	struct sio_client *client;
	uint32_t need, have;
	bool late; /* its socket had just left when it began: it is for nobody */
	size_t bytes; /* that are kept */
	struct sio_bytes attachments[SIO_ATTACHMENTS_MAX]; /* owned, all but a last one that is lent */
	size_t text_bytes;
	char text[]; /* the packet's */
};

/* One Engine.IO session. */
struct sio_client {
	struct eio_session *session; /* NULL once it has closed */
	struct sio_loop *at;
	struct list sockets;
	uint16_t socket_count, anew; /* how often it asked anew before it was let in */
	bool is_lagging; /* as its sockets have been told */
	bool goes_for_good; /* as a socket's */
	bool leaves; /* one of its sockets takes it */
	struct sio_joining *joining; /* sockets whose middleware takes its time */
	struct sio_kept *handshake; /* NULL: it is not kept any more */
	union {
		struct {
			struct net_delay connecting; /* until it has joined its first namespace */
			struct sio_pending *pending;
		};
		struct { /* once its session has ended */
			struct list dead; /* in at->dead_clients */
			struct net_peer peer; /* the session's */
		};
	};
	void *data; /* of `allow` */
	void (*destroy_data)(void *);
};

struct sio_handler {
	struct map_node node;
	sio_handler_fn *fn;
	void *ctx;
	char name[];
};

/* The server's own events. */
enum sio_own {
	SIO_ON_CONNECTION,
	SIO_ON_DISCONNECTING,
	SIO_ON_DISCONNECT,
	SIO_ON_LAGGING,
	SIO_ON_DRAINED,
	SIO_ON_EXPIRED,
	SIO_OWN_COUNT,
};
extern const char *const sio_own_names[SIO_OWN_COUNT];

/* How a socket is sent away. */
enum sio_way {
	SIO_AWAY, /* from its namespace */
	SIO_AWAY_ALL, /* from all its namespaces: each is told, then the connection is closed, as Node's disconnect(true) */
	SIO_CUT, /* the connection is closed without a word of theirs */
};

/* A function of the application's, and its ctx. */
struct sio_hook {
	sio_handler_fn *fn;
	void *ctx;
};

/* Of a namespace; each is written by its loop alone. */
struct sio_space_counts {
	atomic_uint_fast64_t connected, disconnected, refused, events_in, deliveries;
};

struct sio_space_loop {
	struct sio_room *all;
	struct map rooms;
	struct sio_backlog *backlog; /* for recovery; NULL: nothing was emitted yet */
	atomic_uint aways_asked; /* of recovery: how often some were to be sent away, by any thread; */
	uint32_t aways_done; /* and how often this loop has looked for them */
	uint64_t numbered, numbered_self; /* events of this emitter, to any and to one socket */
	struct sio_space_counts counts;
};

struct sio_filter {
	sio_filter_fn *fn;
	void *ctx;
};

struct sio_middleware {
	sio_middleware_fn *fn;
	void *ctx;
};

/* What the application has set for a namespace; its children share their parent's. Unchanged while the server runs. */
struct sio_hooks {
	struct map handlers;
	struct sio_hook own[SIO_OWN_COUNT], other;
	struct sio_hook any, any_out; /* beside those: of all that comes, and of all that goes to a socket */
	sio_broadcast_fn *broadcast; /* of what is for other processes, too */
	void *broadcast_ctx;
	struct sio_filter filters[SIO_MIDDLEWARE_MAX]; /* of what comes */
	struct sio_middleware middleware[SIO_MIDDLEWARE_MAX]; /* of who joins */
	uint32_t filter_count, middleware_count;
};

struct sio_space {
	struct sio_server *server;
	struct sio_hooks *hooks; /* own, or the parent's */
	struct sio_space *parent; /* NULL: it was made by sio_of(), or is a parent */
	struct map_node node; /* of a child: in server->children */
	struct sio_space *next_child; /* of the parent's */
	sio_names_fn *names; /* of a parent: which children it may have. NULL: it is none */
	void *names_ctx;
	_Atomic(struct sio_space *) children; /* the newest; each points to the one before */
	atomic_uint identities; /* who is there or may come back (recovery): for nobody nothing is kept */
	atomic_uint_fast64_t next_ask; /* the ids of our questions: one may be asked of many sockets */
	struct sio_space_loop *loops;
	pthread_mutex_t
		outside_lock; /* guards these two, and the order in which such events go to the loops */
	uint64_t numbered, numbered_self; /* as those of a loop, of all other threads */
	uint32_t number; /* of all that the server has made: in the tag of what may be sent again */
	size_t name_bytes;
	char name[SIO_SPACE_BYTES_MAX + 1];
};

struct sio_counts {
	atomic_uint_fast64_t connected, disconnected, refused, expired, packets_in, packets_bad;
	atomic_uint_fast64_t events_out, deliveries, skipped_volatile;
	atomic_uint_fast64_t recovered, not_recovered, kept_dropped, resent_dropped;
	atomic_uint_fast64_t acks_dropped, questions_refused, replies_dropped;
	atomic_uint_fast64_t not_joined, joins_refused, pasts_dropped;
};

/* What a loop's own thread has put off to the end of the iteration's callbacks, and what it has emitted since. */
struct sio_later {
	struct pile_node *first, *last; /* messages; NULL: none, and emits go on at once */
	size_t bytes;
	struct net_task task;
};

struct sio_loop {
	struct sio_server *server;
	struct net_loop *loop;
	struct sio_later later;
	struct slots sockets;
	struct slots waiting; /* struct sio_waiting: exchanges that the application has not answered */
	struct net_delays connectings, pendings;
	struct sio_args lent; /* of the event being handled: known to be valid */
	uint32_t visit; /* the number of the visit to a target, for each to be met once */
	bool visiting; /* sockets are linked by next_visited, and handlers are called */
	struct list backlogs;
	struct list pasts; /* all that is in them, the oldest first */
	size_t backlogs_bytes; /* of those */
	struct net_delays keeps, resents, sweeps,
		recoverings; /* of recovery: identities; what came again; backlogs; who waits */
	uint32_t kept_count;
	size_t kept_bytes, resent_bytes;
	uint32_t draining; /* engines, its own and those of endpoints, whose sessions are being closed */
	struct list dead_sockets, dead_clients;
	struct list forgotten; /* identities of who was sent away while away: what is kept with them goes */
	struct net_task bury;
	struct sio_counts counts;
};

/* Something served at a path: a handler, or an asset. */
struct sio_path {
	struct sio_server *server;
	sio_http_fn *fn;
	void *ctx;
	struct http_asset asset;
	struct http_header headers[SIO_HTTP_HEADERS_MAX]; /* of the asset */
	uint8_t *file; /* the asset's bytes if they were read from a file; owned */
	char etag[HTTP_ETAG_BYTES_MAX]; /* of a file */
	char path[];
};

struct sio_server {
	struct net_pool *pool;
	struct net_tls_context *tls; /* NULL: plain */
	struct http_server *http;
	struct eio_server *eio;
	uint32_t loop_count, space_count, parent_count, path_count;
	struct sio_space *spaces[SIO_SPACES_MAX];
	struct sio_space *parents[SIO_PARENTS_MAX];
	pthread_mutex_t children_lock; /* guards the table, and the making of children */
	struct map children;
	uint32_t children_max, spaces_made;
	bool children_told; /* that there are so many; under the lock */
	atomic_uint_fast64_t children_refused;
	struct sio_loop *loops;
	struct sio_endpoint *endpoints[SIO_ENDPOINTS_MAX];
	uint32_t endpoint_count, drain_ms;
	struct sio_path *paths[SIO_HTTP_PATHS_MAX];
	bool (*allow)(void *ctx, const struct sio_request *, struct sio_admission *);
	void *allow_ctx;
	void (*initial_headers)(void *ctx, const struct sio_request *, struct sio_headers *);
	void *initial_headers_ctx;
	struct sio_kept_options *engine; /* copies of what options said of CORS and cookies */
	char *path, *client_path; /* of Engine.IO; of the client library */
	bool keep_handshake;
	bool recovers,
		recovery_asks; /* connections that break may come back; middleware is asked then, too */
	uint32_t recovery_ms, kept_max;
	size_t backlog_bytes_max, queue_bytes_max;
	size_t queued_bytes_max; /* as said; 0: each engine's default */
	char epoch[12]; /* of offsets: this server's */
	size_t pending_bytes_max; /* of a client's attachments that wait for the last of their packet */
	atomic_uint_fast64_t answers_late, broadcasts_refused, events_out; /* from any thread */
	atomic_uint_fast64_t askings; /* by clients that would come back, so far */
	atomic_uint eaches,
		askings_all; /* calls under way: of sio_each() and sio_fetch(); of sio_ask_all() */
	atomic_bool running;
};

static inline void sio_count(atomic_uint_fast64_t *figure, uint64_t more)
{
	atomic_store_explicit(
		figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

/* An option: 0 is its default. */
static inline uint32_t sio_otherwise(uint32_t given, uint32_t otherwise)
{
	return given == 0 ? otherwise : given;
}

/* What comes from it, and what becomes of it, is of interest: it has joined, and nobody has sent it away. */
static inline bool sio_is_heard(const struct sio_socket *s)
{
	return s->session != NULL && !s->is_leaving && !s->client->leaves;
}

static inline struct sio_space_loop *sio_here(const struct sio_space *space, const struct sio_loop *at)
{
	return &space->loops[net_loop_index(at->loop)];
}

/* This server's state for the loop whose thread this is; NULL on any other thread. */
struct sio_loop *sio_loop_here(const struct sio_server *);

/* server.c */
/* One more of a loop's engines has drained. */
void sio_engine_drained(struct sio_server *, struct net_loop *);
/* What was for this loop's clients has been lost: they are closed. */
void sio_overrun(struct sio_server *, struct net_loop *);

/* endpoint.c */
/* On each loop, when the pool stops; each calls sio_engine_drained(). */
void sio_endpoints_stopping(struct sio_server *, struct net_loop *);
void sio_endpoints_overrun(struct sio_server *, struct net_loop *);
/* Add their figures. */
void sio_endpoints_count(const struct sio_server *, struct eio_counters *);
/* Their engines, and then themselves. */
void sio_endpoints_close(struct sio_server *);
void sio_endpoints_finish(struct sio_server *);

/* later.c */
/* It is being destroyed: what is handed to the loops that are closed already is discarded within the call. */
bool sio_is_closed(const struct sio_server *);
/* What is for that loop's clients can be done here and now: it is this thread's, and nothing has been put off. */
static inline bool sio_is_now(const struct sio_loop *here, uint32_t loop)
{
	return here != NULL && net_loop_index(here->loop) == loop && here->later.first == NULL;
}
/*
 * Have a message run on a loop, in order with all that this thread does to its clients: posted, or, on that loop's own thread, put
 * off. False: it is too far behind, and the message is still the caller's.
 */
__attribute__((warn_unused_result)) bool sio_hand_over(
	struct sio_server *, uint32_t loop, struct net_message *);
/* The same for what is bounded otherwise, as by the event or the request that waits for it. Always taken. */
void sio_hand_over_reserved(struct sio_server *, uint32_t loop, struct net_message *);
void sio_later_run(struct net_task *);

/* request.c */
struct sio_request sio_request_of(const struct http_request *, const struct net_conn *peer);
/* The engine's question, which is the application's to answer. */
bool sio_allow(void *server, void *client, const struct http_request *, const struct net_conn *peer,
	struct eio_admission *);

/* engine.c */
/*
 * Options of CORS and cookies (NULL: none), copied to *ret_kept, which is then to be freed behind the engine. 0; -EINVAL: they
 * cannot be said in headers, or make no sense; -ENOMEM.
 */
struct sio_kept_options;
__attribute__((warn_unused_result)) int sio_engine_options(const struct sio_cors *, const struct sio_cookie *,
	struct sio_kept_options **ret_kept, struct eio_options *ret);
/* A browser could say it: it does not end with a slash. */
bool sio_origin_valid(const char *origin);
/* It begins and ends with a slash. */
bool sio_engine_path_valid(const char *path);
struct eio_rates sio_engine_rates(const struct sio_rates *);
/* Put defaults in the place of zeroes. */
void sio_engine_defaults(struct eio_options *);
/* What is wrong with them, once the defaults are there: a constant. NULL: nothing. */
const char *sio_engine_wrong(const struct eio_options *);
void sio_initial_headers(
	void *server, const struct http_request *, const struct net_conn *peer, struct eio_headers *);

/* http.c */
/* Something new at a path, or below it. 0; -EINVAL, -ENOSPC, -EEXIST or -ENOMEM, and then *ret_path is NULL. */
__attribute__((warn_unused_result)) int sio_path_add(
	struct sio_server *, const char *path, const struct http_route *, struct sio_path **ret_path);
/* Answers with a struct sio_path's asset. */
void sio_path_serve_asset(void *path, struct http_exchange *, const struct http_request *);
void sio_paths_finish(struct sio_server *);

/* space.c */
/* May handlers and the like still be set, of a namespace that may be NULL? 0; -EBUSY: it runs; -EINVAL. */
int sio_may_set(const struct sio_space *);
/* The same for what has no way to say it: false, and that is logged. `what`: the function. */
bool sio_sets(const struct sio_space *, const char *what);
void sio_spaces_init(struct sio_server *, uint32_t dynamic_max);
void sio_spaces_finish(struct sio_server *);
/* The namespace of that name, made if a parent wants it. NULL: there is none. Auth is of who asks for it. */
struct sio_space *sio_space_find(struct sio_server *, struct str name, struct str auth);

/* client.c */
extern const struct eio_events sio_client_events;
void sio_connecting_over(struct net_delay *, void *loop);
void sio_pending_over(struct net_delay *, void *loop);
/* It and all its sockets have gone. */
void sio_client_free(struct sio_client *);
/* Where it shook hands from, in words; to out, which has NET_ADDRESS_BYTES. */
void sio_client_address(const struct sio_client *, char *out);
/* Cut a client that did what it may not; its sockets hear `reason`. */
void sio_client_close(struct sio_client *, const char *reason);
/* Queue text as it is, a packet without its Engine.IO type. */
void sio_client_send_text(struct sio_client *, const struct str *parts, size_t count);
void sio_bury(struct net_task *);

/* join.c */
/* A client joins a namespace, or is refused, now or later. False: no memory. */
bool sio_socket_connect(struct sio_client *, struct sio_space *, struct str auth);
/* The socket of that id, if it waits to hear whether it is recovered; or NULL. */
struct sio_socket *sio_joining_recovers(const struct sio_loop *, const struct sio_space *, struct sio_id);
/* It is known: with its identity (s->recoverable) or without it joins. */
void sio_joining_recovered(struct sio_loop *, struct sio_space *, struct sio_id);
/* One that waits to be let into the namespace of that name is as one whose client has gone. False: none does. */
bool sio_joining_forget(struct sio_client *, struct str space);
/* How many wait; how much auth is kept of them meanwhile. */
uint32_t sio_joining_count(const struct sio_client *);
size_t sio_joining_auth_bytes(const struct sio_client *);
/* Its client goes: all that wait for middleware go too. */
void sio_joining_end(struct sio_client *);

/* handshake.c */
/* Keep what the connection began with. False: no memory. */
bool sio_handshake_keep(struct sio_client *, const struct http_head *, bool secure);
/* It has been shown to who joined first. */
void sio_handshake_used(struct sio_client *);

/* socket.c */
/* It is in no room, has no questions, and nothing names it. */
void sio_socket_free(struct sio_socket *);
/*
 * It leaves its rooms and is found no more; its handlers are called at the end of this iteration. The caller has told the
 * client, or need not. reason is a constant. Calls nobody back.
 */
void sio_socket_close(struct sio_socket *, const char *reason);
struct sio_socket *sio_socket_find(const struct sio_loop *, struct sio_id);
/* Nothing happens to one that has gone. Calls nobody back. */
void sio_send_away(struct sio_socket *, enum sio_way);
/* From its namespace; `reason` is a constant, and what "disconnect" has. */
void sio_send_away_saying(struct sio_socket *, const char *reason);
void sio_call_own(struct sio_socket *, enum sio_own, struct str auth, struct str reason);

/* expiry.c */
void sio_expiry_end(struct sio_socket *);
/* How long it is to its deadline, or, if that has been told, to its end. False: it has none. */
bool sio_expiry_left(const struct sio_socket *, uint32_t *ret_ms, uint32_t *ret_grace_ms, bool *ret_told);

/* recovery.c */
/* What options say of it; NULL: there is none. */
void sio_recovery_init(struct sio_server *, const struct sio_recovery *);
void sio_recovery_init_loop(struct sio_loop *);
/* All that is kept, when the loops have ended. */
void sio_recovery_finish(struct sio_server *);
/* This loop has missed something. */
void sio_recovery_overrun(struct sio_loop *);

/* recoverable.c */
/* A new identity for a socket that joins. NULL: no memory. */
struct sio_recoverable *sio_recoverable_create(struct sio_socket *);
const char *sio_recoverable_pid(const struct sio_recoverable *);
const char *sio_recoverable_sid(const struct sio_recoverable *);
/* The socket that came back under that public id; NULL: none here. */
struct sio_socket *sio_recoverable_called(const struct sio_loop *, const struct sio_space *, const char *sid);
/* It closes; then it leaves its rooms; then its handlers have been called. */
void sio_recoverable_closed(struct sio_socket *, const char *reason);
void sio_recoverable_leaves(struct sio_socket *);
void sio_recoverable_gone(struct sio_socket *);
/* It has joined again: what it had, and what it has missed. False: no memory. */
__attribute__((warn_unused_result)) bool sio_recoverable_restore(struct sio_socket *);
/* Its handlers have been called: what it had, and has no more, is destroyed. */
void sio_recoverable_joined(struct sio_socket *);

/* kept_answer.c */
/* An answer to its event: queued, and kept, to be sent again. */
void sio_recoverable_answer(struct sio_socket *, struct blob_share *unit);
/* What is at that place of its loop's backlog was not queued for it: its session ends. */
void sio_recoverable_refused(struct sio_recoverable *, uint64_t place);
/* As sio_recoverable_answer() where its connection has broken. False: it is not known, or does not wait for that answer. */
bool sio_recoverable_answer_kept(const struct sio_loop *, const struct sio_ack *, struct blob_share *unit);

/* recover.c */
enum sio_recover {
	SIO_RECOVER_NOT, /* it has not asked */
	SIO_RECOVER_LATER, /* sio_joining_recovered() will be called, in a later task */
	SIO_RECOVER_NO_MEMORY,
};
/* Its socket has not joined, or will not be back (word.c). */
void sio_recoverable_end(struct sio_recoverable *);
/* A client that joins may be one that was here. */
enum sio_recover sio_recover_begin(struct sio_socket *, struct str auth);

/* room.c */
int sio_room_enter(struct sio_socket *, struct str name);
bool sio_room_enter_all(struct sio_socket *);
void sio_rooms_leave_all(struct sio_socket *);
/* Of a room that may be joined. */
bool sio_room_name_valid(struct str name);
struct sio_room *sio_room_find(const struct sio_space_loop *, const char *name);

/* target.c */
/* It has a namespace, and not too many rooms are named. */
bool sio_target_valid(const struct sio_target *);
/* It is everybody, one room or one socket, and nobody watches what is sent: no need to visit. */
bool sio_target_plain(const struct sio_target *);
/* The room whose name is a socket's public id, as on Node: that socket alone. NULL: there is none here. */
struct sio_socket *sio_socket_called(const struct sio_loop *, const struct sio_space *, const char *sid);
typedef void sio_visit_fn(struct sio_socket *, void *ctx);
/* Call fn for each socket of a target on this loop, once. fn changes no rooms and calls no handler. O(all members named). */
void sio_visit(struct sio_loop *, const struct sio_target *, sio_visit_fn *, void *ctx);
/*
 * The same for a fn that may do anything: first all are found, then it is called for each that has not gone. Not within another
 * (loop->visiting).
 */
void sio_visit_all(struct sio_loop *, const struct sio_target *, sio_visit_fn *, void *ctx);
/* What a copy of a target needs beside itself, and the copy: `to` is aligned for pointers, and holds the names. */
size_t sio_target_names_bytes(const struct sio_target *);
struct sio_target sio_target_copy(const struct sio_target *, void *to);

/* any.c */
/* Show an event to those who want every one. False: a filter has dropped it, or its socket has gone. */
bool sio_any_in(struct sio_event *);
/* Show those who watch what goes out each receiver of an event's unit. Not while loop->visiting. */
void sio_any_out(struct sio_loop *, const struct sio_target *, const struct blob_share *unit);

/* emit.c */
/* The tag of a unit that may be sent again: whose it is, too. */
static inline uint32_t sio_past_tag(const struct sio_space *space)
{
	return space->number << EIO_UNIT_ABOVE_SHIFT | EIO_UNIT_PAST;
}

/* What is to be encoded: an event (name) or an answer (no name). */
struct sio_message {
	const struct sio_space *space;
	struct str name;
	bool has_id;
	uint64_t id;
	struct sio_args args;
	struct str offset; /* of an event that may be sent again; empty: none */
	bool is_valid; /* its arguments are known to be */
};
/* An event goes out, to however many: `here` is the caller's loop, or NULL. */
void sio_count_emitted(struct sio_server *, struct sio_loop *here);
/* Of an event that may be emitted. */
bool sio_event_name_valid(struct str name);
/* They are a JSON array, and their placeholders are right. */
bool sio_args_valid(const struct sio_space *, const struct sio_args *);
/* -EINVAL, -ENOMEM, or a unit with one reference. */
int sio_encode(const struct sio_message *, struct blob_share **ret_unit);
/* Queue for one socket; counts. Flags as eio_send()'s. True: it is queued. */
bool sio_deliver(struct sio_socket *, struct blob_share *unit, unsigned flags);

/* ack.c */
/* An event waits for our answer. Past SIO_ACKS_WAITING_MAX the oldest is forgotten. False: no memory, it cannot be answered. */
bool sio_ack_expect(struct sio_socket *, uint64_t id);
/* It does not wait any more. False: it did not. */
bool sio_take_ack(struct sio_socket *, uint64_t id);
/* A question that is encoded already, with that id of the namespace's; as sio_ask() on the socket's loop. */
int sio_ask_encoded(struct sio_socket *, uint64_t id, struct blob_share *unit, unsigned flags,
	uint32_t timeout_ms, sio_reply_fn *, void *ctx);
void sio_ask_answered(struct sio_socket *, uint64_t id, const struct sio_args *);
void sio_asks_end(struct sio_socket *);

/* file.c */
int sio_serve_client(struct sio_server *);

#endif
