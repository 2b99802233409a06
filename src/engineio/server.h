/*
 * engineio/server.h -- an Engine.IO 4 server: sessions over long-polling and WebSocket, and the upgrade between them.
 *
 *      handshake --> OPEN(polling) --probe, upgrade--> OPEN(websocket) --> CLOSING --> gone
 *                `-> OPEN(websocket) -----------------------'
 *
 * A session lives on the loop that its id names; requests that arrive on another loop move there, connection and all. The
 * outbound queue is the session's, and transports take from it. Nothing is sent within eio_send().
 *
 * Used by: socketio/. Threads: a session belongs to its loop; a server is made before the pool runs.
 */
#ifndef ENGINEIO_SERVER_H
#define ENGINEIO_SERVER_H

#include "base/blob.h"
#include "http/server.h"
#include "net/loop.h"

enum {
	EIO_SID_CHARS = 20,
	EIO_MESSAGE_CHARS_MAX = 200, /* of a refusal */
	EIO_DRAIN_MS_MAX = 4000, /* of drain_ms: what is left of NET_DRAIN_MS is for closing */
	EIO_DRAIN_LATE_MS =
		1000, /* more for who is about to fetch what waits for it by polling, or is owed an answer */
	EIO_PINGS_PER_S_MAX = 1000, /* of WebSocket's own, from a client; more: 1008 */
	EIO_DRAIN_EACH_MS = 1, /* when stopping: each session has at most this part of drain_ms */
	EIO_CLOSE_MS = 30000, /* a closed session waits so long for a poll, or for what its WebSocket takes */
	EIO_POLL_PACKETS_MAX = 16, /* in one poll's answer: python-engineio takes no more */
	EIO_POLL_BYTES_MAX = 256 << 10, /* likewise; one unit always fits */
	EIO_BEHIND_BYTES_MAX =
		256 << 10, /* read with the 5 of an upgrade that waits for a POST; one read is less */
	EIO_POST_TURN_BYTES = 2 << 10, /* of a POST's body in one iteration: as of a WebSocket */
	EIO_COMPRESS_BYTES_MAX = 64 << 10, /* longer bodies would hold up a loop */
	/* An answer that the peer's kernel has by then has arrived, whatever its connection does later. */
	EIO_SETTLE_MS = 200,
	/* The same when the client polls elsewhere already; then the old connection is cut. */
	EIO_DOUBT_MS = 2000,
	EIO_DOUBT_STEP_MS = 10, /* how often that is looked at */
	EIO_ACK_DELAY_MS = 250, /* a kernel may acknowledge so late what it has */
	EIO_THROTTLE_STEP_MS = 10, /* how exact a pause of who sends too fast is */
	EIO_DEBT_S = 600, /* the longest that a session waits for what it has sent too much */
	EIO_PARTIAL_BYTES_PER_S =
		1000, /* of a plain WebSocket's message under way, by which it is to grow from ping to ping */
	/* Sessions, in all and per address, for each connection that there may be. */
	EIO_SESSIONS_PER_CONN_MAX = 2,
	EIO_QUEUE_SOFT_BYTES = 256 << 10,
	EIO_QUEUE_SOFT_PART = 4, /* less than that where the queue's limit is low: this part of it */
	EIO_QUEUE_HARD_BYTES_MIN = 1 << 20,
	/* Before a flush shows whether a client takes them: times the hard limit of a room's units; */
	EIO_QUEUE_BURST = 8,
	/* and past it such a part of it of units that are its alone. */
	EIO_QUEUE_OWN_BURST = 32,
	/* Units that a loop queues past all such limits in an iteration: the bytes are shared, their places are not. */
	EIO_BURST_UNITS_MAX = 4 << 20,
	EIO_BUDGET_PART = 8, /* past the limit of all queues so much of it, one in that many, is made free */
};

struct eio_server;
struct eio_session;

enum eio_reason {
	EIO_TRANSPORT_CLOSE, /* the client or its network ended it */
	EIO_TRANSPORT_ERROR, /* the client broke a rule of the transport */
	EIO_PARSE_ERROR, /* it sent what is no packet */
	EIO_PING_TIMEOUT,
	EIO_FORCED_CLOSE, /* by eio_close() */
	EIO_SHUTTING_DOWN,
	EIO_OVERFLOW, /* it does not read, and its queue reached the hard limit */
};

/* What is said to a client that asks for a session. */
struct eio_admission {
	const char *message; /* of a refusal: printable ASCII, EIO_MESSAGE_CHARS_MAX; NULL: "Forbidden" */
	void *data; /* for the session: `opened` takes it over */
	void (*destroy)(void *data); /* called if nobody takes it over; may be NULL */
};

/* What the layer above does. Const; there is no optional slot. */
struct eio_events {
	/*
	 * A client has come. Returns the session's ctx, and has then taken the admission's data over; NULL: no memory, it is
	 * turned away. Head and peer are lent.
	 */
	void *(*opened)(void *server_ctx, struct eio_session *, const struct http_head *,
		const struct net_conn *peer, const struct eio_admission *);
	/* A message; lent and writable. Text is valid UTF-8. */
	void (*message)(void *ctx, bool binary, uint8_t *data, size_t bytes);
	/* The last call. Not made after eio_close(). */
	void (*closed)(void *ctx, enum eio_reason);
	/*
	 * Past the soft limit after an attempt to flush: its WebSocket is not read, and its POSTs wait, until a quarter of
	 * that is left, or all that waited when it was held has gone.
	 */
	void (*lagging)(void *ctx, bool lagging);
	/* The pool stops, and it is this one's turn: is it owed something? Then it is put off, as eio_server_stopping() says. */
	bool (*owed)(void *ctx);
};

enum {
	EIO_HEADERS_MAX = 16, /* further ones of a handshake's answer */
	EIO_PROTOCOL_BYTES_MAX = 64, /* of a subprotocol that is agreed on */
	EIO_HEADERS_BYTES_MAX = 4 << 10, /* of them all */
};

/* Further headers of a handshake's answer: eio_headers_add(). Zeroed is none. */
struct eio_headers {
	struct http_header list[EIO_HEADERS_MAX + 1]; /* and the subprotocol */
	uint32_t count;
	size_t bytes; /* of text */
	char text[EIO_HEADERS_BYTES_MAX];
};
/* A copy of name and value. 0; -EINVAL: no header, or one that says how the answer is framed; -ENOSPC. */
int eio_headers_add(struct eio_headers *, struct str name, struct str value);

/* What pages of other origins may do. All texts are kept. */
struct eio_cors {
	const char *const *origins; /* "https://chat.example" */
	uint32_t origin_count; /* 0: any, as "*" */
	bool credentials; /* with their cookies: not for any origin */
	const char *methods; /* NULL: "GET,HEAD,PUT,PATCH,POST,DELETE" */
	const char *allowed_headers; /* NULL: those that are asked for */
	const char *exposed_headers; /* NULL: none */
	uint32_t max_age_s; /* 0: not said */
};

/* A cookie with the session's id, as Node's option: for load balancers that want one. All texts are kept. */
struct eio_cookie {
	const char *name; /* "io" */
	const char *attributes; /* "Path=/; HttpOnly; SameSite=Lax" */
};

/* Plain WebSockets, which are no Engine.IO. All texts are kept. */
struct eio_plain {
	uint32_t fragments_max; /* of one message */
	const char *const *origins; /* pages that may connect; origin_count 0: any */
	const char *const *protocols; /* that are spoken */
	uint32_t origin_count, protocol_count;
};
/* The protocol that is agreed on with who asks so; NULL: none. */
const char *eio_plain_protocol(const struct eio_plain *, const struct http_head *);

/* How often. per_s 0: as often as one likes. */
struct eio_rate {
	uint32_t per_s,
		burst; /* a second; at once after a rest, 0: as per_s. At most BUCKET_RATE_MAX, BUCKET_BURST_MAX */
};

struct eio_rates {
	struct eio_rate messages; /* of a session: faster, and it is read more slowly */
	struct eio_rate address_messages; /* of all sessions of an address, likewise */
	struct eio_rate address_sessions; /* handshakes from an address: more get 429 */
};

struct eio_options {
	const char *path; /* kept; "/socket.io/" */
	uint32_t ping_interval_ms, ping_timeout_ms, upgrade_timeout_ms;
	uint32_t message_bytes_max; /* maxPayload */
	size_t queue_bytes_soft, queue_bytes_max;
	size_t queued_bytes_max; /* of the whole process; 0: none */
	bool upgrades; /* offer WebSocket to polling clients */
	struct eio_rates rates; /* addresses of loopback are exempt, as from the pool's limits */
	uint32_t drain_ms; /* at most EIO_DRAIN_MS_MAX */
	/*
	 * May this client have a session? Asked last but for the version. Request and peer are lent. Of an upgrade it is asked
	 * too: then session_ctx is the session's (else NULL), and data and destroy of what is said are ignored. False: 403,
	 * code 4. NULL: everybody may.
	 */
	bool (*allow)(void *server_ctx, void *session_ctx, const struct http_request *,
		const struct net_conn *peer, struct eio_admission *);
	/*
	 * Kept. Not Engine.IO: plain WebSockets at just that path, whose messages are as they are (eio_unit_create_frame()) and whose
	 * heartbeats are WebSocket's. Nothing is looked at that polling, cors and cookie need. NULL: Engine.IO, below that path.
	 */
	const struct eio_plain *plain;
	const struct eio_cors *cors; /* kept; NULL: no word of it */
	const struct eio_cookie *cookie; /* kept; set by a handshake by polling. NULL: none */
	/* Further headers of a handshake's answer, on either transport. Request and peer are lent. NULL: none. */
	void (*initial_headers)(void *server_ctx, const struct http_request *, const struct net_conn *peer,
		struct eio_headers *);
};

/* 0; -EEXIST, -ENOSPC: of http_server_route(); -ENOMEM. */
__attribute__((warn_unused_result)) int eio_server_create(struct http_server *, struct net_pool *,
	const struct eio_options *, const struct eio_events *, void *ctx, struct eio_server **ret);
/* After the pool's loops have ended. NULL is fine. */
void eio_server_destroy(struct eio_server *);
/*
 * On each loop, when the pool stops: close all its sessions, in random order, one after the other over options.drain_ms, or a
 * millisecond each where that is less. Those that wait are served meanwhile, and the loop stays; one that fetches by polling what
 * was queued, or is owed something, has up to EIO_DRAIN_LATE_MS more: a quarter of the time from its turn to EIO_DRAIN_MS_MAX. Then
 * `drained` is called, which may be at once.
 */
void eio_server_stopping(
	struct eio_server *, struct net_loop *, void (*drained)(struct net_loop *, void *ctx));
/* On a loop that lost posts: close all its sessions, which may have missed messages. */
void eio_server_overrun(struct eio_server *, struct net_loop *);

struct eio_counters {
	uint64_t opened, closed, upgraded;
	uint64_t not_upgraded; /* WebSockets that were to take a session over, and did not */
	uint64_t refused; /* requests answered with an error */
	uint64_t sessions_refused; /* by a limit, or without memory */
	uint64_t parse_errors, transport_errors, ping_timeouts, overflows;
	uint64_t messages_in;
	uint64_t lagged, drained; /* times that a session began to lag; that it had caught up, or went */
	uint64_t shed; /* of overflows: too much waited for all */
	uint64_t throttled; /* times that a session was not read, for it sent too much */
	uint64_t too_fast; /* handshakes refused, for their address had too many */
	uint64_t closings_cut; /* closed sessions whose client did not take all in time */
	uint64_t
		polls_cut; /* answers to polls that neither arrived nor were lost, while the client asked anew */
};
/* Its figures are added to *ret. */
void eio_server_counters(const struct eio_server *, struct eio_counters *ret);

enum eio_send_flags {
	EIO_VOLATILE = 1, /* only if it would go at once */
	EIO_SHARED = 2, /* a room's: as a rule others get it too, and its bytes cost nothing more */
};

enum eio_send {
	EIO_SEND_QUEUED,
	EIO_SEND_SKIPPED, /* volatile, and it could not take it now */
	EIO_SEND_CLOSED, /* it is closing, or has reached its limit and will */
};

/*
 * Queue a unit (engineio/unit.h) behind all others; takes a reference of its own. `flags`: of enum eio_send_flags. Past
 * the hard limit, if it does not take what it is sent (EIO_QUEUE_BURST), or without memory, the session is closed, soon.
 * Cost: O(1).
 */
enum eio_send eio_send(struct eio_session *, struct blob_share *unit, unsigned flags);
/* What waits in its queue, as its limits count it. */
size_t eio_waiting_bytes(const struct eio_session *);
/* The i-th of the units that wait in its queue, or of which it is not known that they have left; NULL: no more. In `closed`, too. */
const struct blob_share *eio_unsent(const struct eio_session *, uint32_t i);
/* End it as if it had overflowed, soon: it has missed something. `closed` is called. */
void eio_fail(struct eio_session *);
/* Send what is queued and close. `closed` is not called. */
void eio_close(struct eio_session *);
/* The same, with a code for a WebSocket: 1005 is none. */
void eio_close_saying(struct eio_session *, uint16_t code);
/* One that may be sent. */
bool eio_close_code_valid(uint16_t code);
/* Of a session that is closed, or being so: the code of its WebSocket's end, ours or the peer's. 1005: none; 1006: it broke. */
uint16_t eio_close_code(const struct eio_session *);

struct net_loop *eio_session_loop(const struct eio_session *);
/* Where it shook hands from. In `closed`, too. */
struct net_peer eio_session_peer(const struct eio_session *);
/* EIO_SID_CHARS characters, no NUL. */
void eio_session_sid(const struct eio_session *, char *out);
bool eio_session_on_websocket(const struct eio_session *);
/* It is not read now, for it sends or takes too much: what it has sent may have to wait. */
bool eio_session_waits(const struct eio_session *);
/* For people: Node's names of the reasons. */
const char *eio_reason_text(enum eio_reason);

#endif
