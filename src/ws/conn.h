/*
 * ws/conn.h -- one WebSocket on one connection, server side: RFC 6455 between net/ and the layer above.
 *
 *      OPEN --ws_conn_close(), or the peer's close while the owner has something to say
 *        |        `--> CLOSING (queue, then close frame) --> ended
 *        `--peer's close, a fault of its--> told `closed`; close frame, FIN, and the peer's end: on its own
 *
 * Of a fault the close frame says in a few words which it is: ws_error_text().
 *
 * Output is pulled from the owner as ready-made frames. Frames of the transport itself (pong, ping, close) go between two of
 * the owner's frames, from a reserve of their own, and may overtake them.
 *
 * Used by: engineio/. Threads: the connection's loop.
 */
#ifndef WS_CONN_H
#define WS_CONN_H

#include "http/server.h"
#include "ws/frame.h"
#include "ws/handshake.h"

enum {
	WS_RESERVE_BYTES_MAX = 1024, /* of control frames waiting, the handshake's answer included */
	WS_HEADERS_BYTES_MAX = 16 << 10, /* of further headers of the handshake's answer */
	WS_PINGS_PER_S_MAX = 1000, /* from the peer; more: 1008 */
};

struct ws_conn;

/* Const; there is no optional slot. */
struct ws_conn_ops {
	/* A whole message; text is valid UTF-8. Lent and writable. */
	void (*message)(void *ctx, bool binary, uint8_t *data, size_t bytes);
	/* The peer has answered a ping, or says that it is there. */
	void (*pong)(void *ctx);
	/* Whole frames that are next to go, from the first unsent byte. */
	void (*gather)(void *ctx, struct net_gather *);
	/* There is something to gather. */
	bool (*waits)(void *ctx);
	/* Part of the frame (or of the unit of frames) at the front has gone: gather's first piece is its rest. */
	bool (*mid_frame)(void *ctx);
	void (*sent)(void *ctx, size_t bytes);
	/*
	 * It is over: code is what the peer gave (1005 for none), what we sent it, or 1006 when the connection broke. fault: the
	 * peer broke a rule or a limit. The last call; the ws_conn is gone. After ws_conn_close() it comes when the close
	 * frame has been sent.
	 */
	void (*closed)(void *ctx, uint16_t code, bool fault);
};

/* Does this request ask for a WebSocket, and rightly? */
enum ws_verdict ws_upgrade_check(const struct http_head *);

/*
 * Take the exchange's connection over and answer 101, with `headers` besides (lent, http_header_valid(), in all less than
 * WS_HEADERS_BYTES_MAX with their separators). The request was found WS_VERDICT_OK. NULL: no memory; the exchange is still there,
 * to be answered.
 */
__attribute__((warn_unused_result)) struct ws_conn *ws_conn_accept(struct http_exchange *,
	const struct http_head *, const struct http_header *headers, size_t header_count,
	uint32_t message_bytes_max, uint32_t fragments_max, const struct ws_conn_ops *, void *ctx);

struct net_conn *ws_conn_net(const struct ws_conn *);

/* Another owner from now on. */
void ws_conn_set_ops(struct ws_conn *, const struct ws_conn_ops *, void *ctx);
/* Of a message whose end has not come: what is held. 0: there is none. */
size_t ws_conn_partial_bytes(const struct ws_conn *);
/* There is something to gather. */
void ws_conn_want_send(struct ws_conn *);
/* A small frame that may overtake. False: the reserve (WS_RESERVE_BYTES_MAX) is full, it is closing, or no memory. */
bool ws_conn_send_urgent(struct ws_conn *, const void *frame, size_t bytes);
/* Send what the owner still gives, then a close frame, and end. */
void ws_conn_close(struct ws_conn *, uint16_t code);
/* Cut the connection; no callback. */
void ws_conn_cut(struct ws_conn *);

#endif
