/*
 * sio/options.h -- what a server is made with; comes with sio/sio.h. Zero is a default everywhere, which the comment names first.
 *
 *	sio_create(&(struct sio_options){ .listen = "[::]:3000", .threads = 4 }, err, sizeof(err))
 */
#ifndef SIO_OPTIONS_H
#define SIO_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct sio_request; /* sio/sio.h: what a client asks for */
struct sio_headers; /* opaque: of one answer; valid for the call. sio_headers_add() */

/* What is to be said to a client that asks for a connection. */
struct sio_admission {
	const char
		*message; /* of the refusal: a constant, at most 200 characters of ASCII; NULL: "Forbidden" */
	void *data; /* kept with the connection if it is let in: sio_connection_data() */
	/* When the connection has gone, or is refused after all; on its loop. May be NULL. */
	void (*destroy)(void *data);
};

/* What pages of other origins may do (CORS). Texts end with sio_create(). Who may connect at all is the business of `allow`. */
struct sio_cors {
	const char *const *origins; /* "https://chat.example": exactly, and without a slash at its end */
	uint32_t origin_count; /* at most SIO_CORS_ORIGINS_MAX; 0: any origin, "*" */
	bool credentials; /* with cookies; then origins are named */
	const char *methods; /* NULL: "GET,HEAD,PUT,PATCH,POST,DELETE" */
	const char *allowed_headers; /* NULL: those that are asked for */
	const char *exposed_headers; /* NULL: none */
	uint32_t max_age_s; /* how long a browser may rely on it; 0: not said */
};

/* A cookie with the connection's id, which a handshake by polling sets: for load balancers. */
struct sio_cookie {
	const char *name; /* NULL: "io" */
	const char *attributes; /* NULL: "Path=/; HttpOnly; SameSite=Lax" */
};

/*
 * Connection state recovery: a client whose connection breaks comes back as the same socket, with its rooms and data, and is sent what it
 * has missed. As in Node's, every event that is not volatile then has one more argument, a string: its place, for the client's library.
 */
struct sio_recovery {
	uint32_t window_ms; /* 120000: how long it may be away */
	uint32_t
		backlog_bytes_max; /* 16777216: of what is kept to be sent again, on each loop in each namespace, a quarter of it answers; in all namespaces eight times that */
	/* 65536: sockets that are away, in equal parts of each loop, one at least; the first to go is forgotten for one more. */
	uint32_t kept_max;
	/*
	 * Middleware is asked of those who come back, too. Else it is not, as with Node, so a ban that is known to it alone does not
	 * hold for them; sio_disconnect_all() reaches who is away, the other functions of targets do not. It does not know yet who
	 * comes back, but that somebody wants to: then its auth has a member "pid". Data and a label that it sets hold, and those of
	 * before go: the data when "connection" has returned, which may look at it by sio_data_before(). The rooms are those of before,
	 * even if it says that it is somebody else.
	 */
	bool asks_middleware;
};

/* How often something may be. per_s 0: as often as one likes. */
struct sio_rate {
	uint32_t per_s; /* a second, at most a million */
	uint32_t burst; /* at once, after a rest; at most a million. 0: as per_s; alone it is an error */
};
/* How fast clients may be. Addresses of this machine are exempt from the latter two, unless limit_loopback says otherwise. */
struct sio_rates {
	/*
	 * Messages of one client: of Engine.IO or of a plain WebSocket, so each binary of an event is one, too; heartbeats are none. Who
	 * sends faster is read more slowly: nothing is lost, and no pong is due that waits in what is not read (sessions_throttled).
	 */
	struct sio_rate messages;
	struct sio_rate address_messages; /* of all clients of one address, likewise */
	/* Connections (handshakes) from one address: more are refused with 429 (sessions_too_fast). */
	struct sio_rate address_sessions;
};

enum sio_sender {
	SIO_SENDER_AUTO, /* io_uring where the kernel allows it, else plain */
	SIO_SENDER_PLAIN,
	SIO_SENDER_URING,
};

enum sio_log_level {
	SIO_LOG_DEFAULT, /* as SIO_LOG_INFO */
	SIO_LOG_DEBUG,
	SIO_LOG_INFO,
	SIO_LOG_WARN,
	SIO_LOG_ERROR,
	SIO_LOG_OFF,
};

struct sio_options {
	const char *listen; /* "127.0.0.1:3000" (the default), "[::]:3000", "127.0.0.1:0" for any free port */
	/*
	 * Speak TLS (1.2 and 1.3) there, and nothing else: a file of PEM with the certificate, then those that it hangs on, and one
	 * with its key. NULL, both: plain. A build without OpenSSL has none: an error.
	 */
	const char *tls_certificate_file, *tls_key_file;
	uint32_t threads; /* loops. 0: one */
	enum sio_sender sender;
	const char *path; /* "/socket.io/": starts and ends with a slash */
	/*
	 * Nothing is served there: for servers of sio/http.h, sio/ws.h and sio/eio.h alone. Path, rates,
	 * allow, cors, cookie, recovery and initial_headers are an error then; what else is of Socket.IO holds for nothing.
	 */
	bool without_socketio;
	uint32_t ping_interval_ms; /* 25000 */
	uint32_t ping_timeout_ms; /* 20000 */
	uint32_t upgrade_timeout_ms; /* 10000 */
	uint32_t connect_timeout_ms; /* 45000: a client that has joined no namespace by then is closed */
	uint32_t message_bytes_max; /* 1000000: of one message from a client; at most 64 MiB */
	/* Waiting for one client; past it "lagging". 262144, or a quarter of queue_bytes_max if that is less; at most queue_bytes_max */
	uint32_t queue_bytes_soft;
	/* max(1048576, 2 * message_bytes_max): past it a client that does not take what it is sent is closed */
	uint32_t queue_bytes_max;
	/*
	 * A quarter of the machine's memory: of what waits for all clients of this process, each message once. Past it those for whom
	 * most waits are closed ("queue overflow") until an eighth is free. At least twice queue_bytes_max.
	 */
	uint64_t queued_bytes_max;
	uint32_t connections_max; /* what the descriptor limit allows, which is raised to its hard value */
	uint32_t connections_per_address_max; /* 1024; loopback is exempt */
	bool limit_loopback; /* this machine's addresses, which may be those of a proxy, have limits too */
	struct sio_rates rates; /* none */
	/*
	 * Asked for each connection (Engine.IO's handshake) on either transport, on its loop, before anything is kept of it.
	 * False: it is refused with 403, code 4. Of an upgrade to WebSocket it is asked again, with `data` as it was left; what
	 * it then sets is ignored. NULL: all are let in.
	 */
	bool (*allow)(void *ctx, const struct sio_request *, struct sio_admission *);
	void *allow_ctx;
	const struct sio_cors *cors; /* NULL: pages of other origins may not */
	const struct sio_cookie *cookie; /* NULL: none */
	const struct sio_recovery *recovery; /* NULL: who comes back is another */
	/* Called for each handshake that is answered, on either transport, on its loop: the answer's further headers. NULL: none. */
	void (*initial_headers)(void *ctx, const struct sio_request *, struct sio_headers *);
	void *initial_headers_ctx;
	/*
	 * Keep the query and the headers of each connection's handshake as long as it lives (sio_handshake()). False: until its first
	 * socket has joined, when "connection" has returned.
	 */
	bool keep_handshake;
	uint32_t dynamic_spaces_max; /* 1024: children of sio_of_names() in all; further names are refused */
	/*
	 * 1000: when it is stopped, its clients are told one after the other over this time, so that not all come again at
	 * once; shorter with few of them (a millisecond each). Till its turn comes a client is served as ever, and up to a second
	 * longer while it polls for what waits, or while an event of its, or a question to it that has a deadline, is not answered yet. At most 4000;
	 * more counts as that.
	 */
	uint32_t drain_ms;
	enum sio_log_level log_least; /* SIO_LOG_INFO */
	/*
	 * NULL: lines to stderr. It is called from any thread, several at a time, and may be so within any call of libsio; it may emit. The
	 * log is one for the process, from sio_create() on that of the server made last, even when that is destroyed: log_ctx lives as
	 * long as another server runs or is made.
	 */
	void (*log)(void *ctx, enum sio_log_level, const char *text);
	void *log_ctx;
};

#endif
