/*
 * engineio/session_int.h -- the insides of a session and its server, shared by the files of engineio/.
 */
#ifndef ENGINEIO_SESSION_INT_H
#define ENGINEIO_SESSION_INT_H

#include <stdatomic.h>

#include "base/bucket.h"
#include "base/buf.h"
#include "base/slots.h"
#include "engineio/payload.h"
#include "engineio/queue.h"
#include "engineio/server.h"
#include "http/coding.h"
#include "net/address.h"
#include "net/timer.h"
#include "ws/conn.h"

enum {
	EIO_SID_BYTES = 15, /* 11 random, 1 loop, 3 slot: base64url makes 20 characters of them */
	EIO_SID_RANDOM_BYTES = 11,
};

enum eio_state {
	EIO_STATE_OPEN,
	EIO_STATE_CLOSING, /* the layer above has let go; the queue and the close packet are still to go */
	EIO_STATE_GONE,
};

/* An answered poll of which it is not known yet whether it arrived. */
struct eio_doubt {
	struct eio_session *session;
	struct http_exchange *exchange; /* NULL: reset; the next poll shows by whom */
	uint32_t units; /* at the front of the queue, that it carries */
	bool told_close; /* it carries the close packet */
	bool by_proxy; /* several sessions use its connection by turns */
	uint64_t answered_ns; /* in the loop's time */
	uint8_t asked; /* times the kernel was asked while another poll waits */
	struct net_delay deadline; /* when the kernel is asked */
};

/* A WebSocket that wants to take a polling session over. */
struct eio_probe {
	struct eio_session *session; /* NULL: it closes */
	struct eio_loop *at;
	struct ws_conn *ws;
	struct net_delay deadline;
	bool probed; /* 2probe has come, ... */
	bool answered; /* ... and 3probe has gone, ... */
	bool upgrading; /* ... and 5 has come, while what was posted before it is not all taken; it is not read meanwhile */
	struct buf
		behind; /* what had been read with the 5: of each message struct eio_behind, then its bytes */
};

struct eio_session {
	/* What a broadcast touches comes first. */
	struct ws_conn *ws; /* the transport; NULL: polling */
	uint8_t state; /* enum eio_state */
	bool is_lagging, overflowed;
	bool held; /* its WebSocket is not read, for it does not take our answers */
	uint32_t hold_end; /* queue.taken: what waited when it was held, or its POST, has left */
	struct eio_queue queue;

	void *ctx;
	struct eio_loop *at;
	struct http_exchange *poll; /* unanswered */
	struct http_exchange *post; /* a request whose body is still coming */
	struct eio_rest *rest; /* of a body: its turn comes in a later iteration. Only while open */
	struct eio_doubt *doubt; /* the poll before */
	struct eio_probe *probe;
	struct eio_throttle *throttle; /* NULL: it may send as fast as it likes */
	struct net_peer peer;
	uint32_t slot;
	uint32_t own_burst; /* weight of units of its own past the hard limit since the queue was judged */
	struct net_task task; /* answer the probe and the poll; judge the queue */
	struct net_delay beat; /* ping due, pong due, or the end of closing */
	bool awaiting_pong; /* its deadline runs ... */
	bool counted; /* for its peer */
	bool ping_due, noop_due, close_due; /* for the next poll's answer */
	bool extended : 1; /* ... and was put off once */
	bool poll_mixed : 1; /* it came on a connection whose request before it was another session's */
	bool lost_poll : 1; /* the poll before was lost: compressing again and again would be too dear */
	bool tried : 1; /* a flush has been tried since the queue passed the soft limit */
	bool heard : 1; /* a plain WebSocket, since it was last pinged: a whole message, or it was not read for a while */
	enum http_coding poll_coding : 2; /* what the waiting poll takes */
	uint16_t close_code; /* of the WebSocket's end, once it is known */
	uint32_t
		partial_bytes; /* a plain WebSocket: what had come, at the last ping, of a message that was not whole */
	uint8_t random[EIO_SID_RANDOM_BYTES];
};

struct eio_counts {
	atomic_uint_fast64_t opened, closed, upgraded, not_upgraded, refused, sessions_refused;
	atomic_uint_fast64_t parse_errors, transport_errors, ping_timeouts, overflows;
	atomic_uint_fast64_t messages_in;
	atomic_uint_fast64_t throttled, too_fast;
	atomic_uint_fast64_t lagged,
		drained; /* times that one began to lag, and ended: it caught up, or went */
	atomic_uint_fast64_t shed; /* of overflows: for the budget */
	atomic_uint_fast64_t closings_cut, polls_cut;
};

/* The pool stops: whose turn it is to be closed. */
struct eio_drain {
	/* The sessions there were, in the order in which they go; those put off come first, in the order of their turns. */
	struct eio_drain_turn {
		uint32_t slot, number;
	} * turns;
	uint32_t count, done, late; /* whose turn has been; who was put off then */
	uint64_t began_ns, span_ns; /* the end of the last turn, after the beginning */
	struct net_timer step;
	void (*drained)(struct net_loop *, void *ctx);
};

enum { EIO_ANSWER_UNITS = 8 }; /* an answer of more is not looked for again */

/* The answer to a poll that was made last in this iteration, for others that are to get the same, and take the same codings. */
struct eio_answer_kept {
	struct http_shared *body; /* NULL: none */
	enum http_coding coding;
	bool was_lost;
	uint32_t units;
	struct blob_share *of[EIO_ANSWER_UNITS]; /* the whole of a queue */
	struct net_task forget;
};

struct eio_loop {
	struct eio_server *server;
	struct net_loop *loop;
	struct slots sessions;
	struct net_delays pings, pongs, closings, cuts, upgrades;
	struct net_delays throttles;
	struct net_delays settlings,
		doubts; /* of polls in doubt: nobody, or another poll, waits for the verdict */
	struct eio_rings rings;
	struct eio_drain drain;
	struct eio_headers headers; /* scratch: of the handshake being answered */
	struct eio_answer_kept answers[HTTP_CODINGS]; /* by what the polls take */
	uint64_t burst_ns; /* the iteration, by its time, ... */
	uint32_t burst_units; /* ... and what has been queued in it past hard limits */
	struct eio_counts counts;
};

struct eio_server {
	struct eio_options options;
	const struct eio_events *events;
	void *ctx;
	uint32_t loop_count;
	struct eio_loop *loops;
	struct net_addresses *addresses; /* sessions of each */
	uint32_t sessions_max;
	struct eio_cors_origin
		*origins; /* options.cors made ready: as many as it has, and one of anybody else */
	atomic_uint sessions; /* in all */
	struct bucket_rate messages, address_messages, address_sessions;
	struct buckets *buckets; /* of addresses; NULL: they have no rates */
	bool limit_loopback;
	struct eio_budget *budget; /* NULL: queues have no limit together */
};

static inline void eio_count(atomic_uint_fast64_t *figure)
{
	atomic_store_explicit(
		figure, atomic_load_explicit(figure, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* server.c */
/* As the protocol numbers them. */
enum eio_error {
	EIO_UNKNOWN_TRANSPORT = 0,
	EIO_UNKNOWN_SID = 1,
	EIO_BAD_METHOD = 2,
	EIO_BAD_REQUEST = 3,
	EIO_FORBIDDEN = 4,
	EIO_BAD_VERSION = 5,
};
/* Answer with an error, which is counted. */
void eio_refuse(struct eio_loop *, struct http_exchange *, const struct http_head *, enum eio_error);
/* A handshake, before anybody is asked whether it may be: true, and it is answered, if its address has begun too many lately. */
bool eio_is_too_fast(struct eio_loop *, struct http_exchange *);
/* A session for this request, on either transport; it is answered. */
void eio_handshake(struct eio_loop *, struct http_exchange *, const struct http_request *, bool websocket,
	struct eio_admission *);
/* Ask the layer above, of a handshake (session NULL) or of a session's upgrade. */
bool eio_is_allowed(struct eio_server *, struct http_exchange *, const struct http_request *,
	const struct eio_session *, struct eio_admission *);
/* What it says of a refusal, if that can be said. */
struct str eio_refusal(const struct eio_admission *);

/* plain.c */
/* A route's: the handshake of a plain WebSocket. */
void eio_plain_serve(void *server, struct http_exchange *, const struct http_request *);
bool eio_plain_begin(void *server, struct http_exchange *, const struct http_head *);
/* What its answer has besides. */
void eio_plain_headers(const struct eio_plain *, const struct http_head *, struct eio_headers *);

/* cors.c */
/* What pages of other origins need, made ready. False: no memory. */
__attribute__((warn_unused_result)) bool eio_cors_create(struct eio_server *);
void eio_cors_destroy(struct eio_server *);
/* A route's: whatever is answered will have what the request's origin needs. */
void eio_cors_head(void *server, struct http_exchange *, const struct http_head *);
/* True: the request asks whether another may be made, and is answered. */
bool eio_cors_serve(const struct eio_server *, struct http_exchange *, const struct http_head *);

/* session.c */
/* A new session, not yet open. NULL: no memory, or a limit. */
struct eio_session *eio_session_create(struct eio_loop *, const struct net_conn *peer);
/* Tell the layer above, count the first heartbeat. False: it was turned away, and is to be freed. */
bool eio_session_open(
	struct eio_session *, const struct http_head *, const struct net_conn *peer, struct eio_admission *);
/* By the id in text, on this loop. */
struct eio_session *eio_session_find(struct eio_loop *, struct str sid);
/* The loop that an id names; false: no id of ours. */
bool eio_sid_loop(const struct eio_server *, struct str sid, uint32_t *ret_loop);
/* A packet came over either transport (not in a probe). False: the session is not open any more. */
bool eio_session_packet(struct eio_session *, const struct eio_packet *);
/* What came is no packet. */
void eio_session_bad_packet(struct eio_session *);
/* End it for this reason: tell the layer above and the client. */
void eio_session_end(struct eio_session *, enum eio_reason);
/* The same by WebSocket, with that code in its close frame. */
void eio_session_end_saying(struct eio_session *, enum eio_reason, uint16_t code);
/* The transport has gone, or has sent the last: free. */
void eio_session_free(struct eio_session *);
/* Its WebSocket is not read until it has taken enough. */
void eio_session_hold(struct eio_session *);
/* From now on it has to take what waits for it. */
void eio_session_owes(struct eio_session *);
/* More than the soft limit waits in its queue. */
bool eio_session_past(const struct eio_session *);
/* The queue has shrunk. */
void eio_session_sent(struct eio_session *);
/* It has a WebSocket, and is pinged: from now on its pong is due. */
void eio_session_ask(struct eio_session *);
/* Something shows that it is there: no pong is due. */
void eio_session_alive(struct eio_session *);
size_t eio_open_packet(const struct eio_session *, char *out, size_t out_bytes);
enum { EIO_OPEN_PACKET_BYTES_MAX = 256 };
void eio_pong_late(struct net_delay *, void *loop);
void eio_ping_due(struct net_delay *, void *loop);
void eio_closing_over(struct net_delay *, void *loop);
/* It is closing, and has too much waiting for that: what can be let go is. */
void eio_closing_hurry(struct eio_session *);

/* drain.c */
void eio_drain_step(struct net_timer *);
/* End all sessions of a loop, now. */
void eio_end_all(struct eio_loop *, enum eio_reason);

/* budget.c */
/* False: no memory. eio_budget_end() undoes it, begun or not. */
__attribute__((warn_unused_result)) bool eio_budget_create(struct eio_server *);
/* Its loops are ready to be looked at. */
void eio_budget_begin(struct eio_server *);
/* Before its loops are closed, or after. None of them runs. */
void eio_budget_end(struct eio_server *);

/* answer.c */
struct eio_answer {
	struct http_shared *body; /* a reference */
	enum http_coding coding;
	uint32_t units; /* of the front of the queue, that it carries */
};
/* What its poll is to be answered now; a close packet that is in it is not due any more. False: no memory. */
__attribute__((warn_unused_result)) bool eio_answer_make(struct eio_session *, struct eio_answer *ret);
void eio_answer_forget(struct net_task *);

/* polling.c */
void eio_poll_serve(struct eio_session *, struct http_exchange *, const struct http_request *);
/* Answer the waiting poll if there is anything for it, and nothing in doubt. */
void eio_poll_answer(struct eio_session *);
/* The waiting poll is answered with `packet`. */
void eio_poll_release(struct eio_session *, enum eio_type packet);
/* Polling is over: what the poll before carried has arrived, or goes again by another way. */
void eio_poll_settle(struct eio_session *);
/* Its client does not take the answer it is being sent, and what that holds is to go: no more of it is sent. The session goes, too. */
void eio_poll_cut(struct eio_session *);
/* Let go of all requests. */
void eio_polls_forget(struct eio_session *);
void eio_doubt_over(struct net_delay *, void *loop);

/* throttle.c */
/* What options say of rates, made ready. False: no memory. */
bool eio_throttles_create(struct eio_server *);
/* May one more session of that address begin now? Else after how long. */
bool eio_may_come(struct eio_loop *, const struct net_peer *, uint32_t *ret_retry_s);
/* False: no memory. */
bool eio_throttle_create(struct eio_session *);
void eio_throttle_destroy(struct eio_session *);
/* It has sent one more. Only with a throttle. */
void eio_throttle_message(struct eio_session *);
/* It has sent too much, and is not read just now. */
bool eio_is_throttled(const struct eio_session *);
/* It has a WebSocket now. */
void eio_throttle_upgraded(struct eio_session *);
void eio_throttle_step(struct net_delay *, void *loop);

/* post.c */
/* Its client shows itself: by a WebSocket, or a request that waits for its answer. */
bool eio_is_attended(const struct eio_session *);
/* A POST whose body is to come. False: another is under way, so this one is to be served without. */
bool eio_post_begin(struct eio_session *, struct http_exchange *, const struct http_head *);
void eio_post_serve(struct eio_session *, struct http_exchange *, const struct http_request *);
/* The rest of a body, if there is one, has its turn in the next iteration. */
void eio_post_resume(struct eio_session *);
/* Likewise, if what it has to hear allows it. */
void eio_post_unpaused(struct eio_session *);
/* Let go of what is under way. */
void eio_post_forget(struct eio_session *);

/* websocket.c */
/* What the answer to a WebSocket's handshake has besides: the subprotocol, for its client wants one if it has asked. */
void eio_ws_headers(const struct http_head *, struct eio_headers *);
/* Make the exchange this session's WebSocket. False: no memory; it is still to be answered. */
bool eio_ws_attach(
	struct eio_session *, struct http_exchange *, const struct http_head *, const struct eio_headers *);
/* Probe a polling session. */
void eio_ws_probe(struct eio_session *, struct http_exchange *, const struct http_head *);
void eio_ws_ping(struct eio_session *);
void eio_probe_late(struct net_delay *, void *loop);
void eio_probe_cancel(struct eio_session *);
/* Its client polls no more, and will hear of this end when it goes on by its probe: so that is to stay. */
bool eio_probe_tells(const struct eio_session *, enum eio_reason);
/* If nothing posted is coming or left: answer its probe if that waits, or go on by it. */
void eio_probe_go_on(struct eio_session *);
/* Accept it and close it at once: what Node does with an upgrade that cannot be. */
void eio_ws_turn_away(struct eio_loop *, struct http_exchange *, const struct http_head *);

#endif
