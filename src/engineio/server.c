/* engineio/server.c -- requests: which are refused, and to whom the others go. See engineio/server.h. */
#include "engineio/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/log.h"
#include "engineio/session_int.h"
#include "http/url.h"

static const char *error_text(enum eio_error error)
{
	static const char *const texts[] = {
		[EIO_UNKNOWN_TRANSPORT] = "Transport unknown",
		[EIO_UNKNOWN_SID] = "Session ID unknown",
		[EIO_BAD_METHOD] = "Bad handshake method",
		[EIO_BAD_REQUEST] = "Bad request",
		[EIO_FORBIDDEN] = "Forbidden",
		[EIO_BAD_VERSION] = "Unsupported protocol version",
	};

	return texts[error];
}

enum {
	QUERY_BYTES_MAX = 64, /* longer values are none of ours */
	COOKIE_BYTES_MAX = 1024,
};

/* What of the query concerns us. What is there twice, too long or malformed is UNKNOWN: no version, transport or session. */
struct query {
	char room[3][QUERY_BYTES_MAX];
	struct str eio, transport, sid;
};

#define UNKNOWN STR("?")

static struct str query_value(const struct http_head *head, struct str name, char room[QUERY_BYTES_MAX])
{
	struct str value;

	switch (http_query_get(head->query, name, room, QUERY_BYTES_MAX, &value)) {
	case HTTP_QUERY_NONE:
		return STR("");
	case HTTP_QUERY_ONE:
		return value;
	case HTTP_QUERY_BAD:
		break;
	}
	return UNKNOWN;
}

static void read_query(const struct http_head *head, struct query *q)
{
	q->eio = query_value(head, STR("EIO"), q->room[0]);
	q->transport = query_value(head, STR("transport"), q->room[1]);
	q->sid = query_value(head, STR("sid"), q->room[2]);
}

static void refuse_saying(struct eio_loop *at, struct http_exchange *x, const struct http_head *head,
	enum eio_error error, struct str message)
{
	/* Of printable characters, of which two are escaped by one more each. */
	char quoted[2 * EIO_MESSAGE_CHARS_MAX + 2], body[sizeof(quoted) + 64];
	uint16_t status = error == EIO_FORBIDDEN ? 403 : 400;

	eio_count(&at->counts.refused);
	if (head->upgrade) {
		http_exchange_close_after(x);
		http_answer_text(x, status, true, message);
		return;
	}
	assert(json_quoted_bytes(message) <= sizeof(quoted));
	int n = snprintf(body, sizeof(body), "{\"code\":%d,\"message\":%.*s}", (int)error,
		(int)json_quote(quoted, message), quoted);
	assert(n > 0 && (size_t)n < sizeof(body));
	http_answer(x, &(struct http_response){ .status = status, .content_type = STR("application/json") },
		body, (size_t)n);
}

void eio_refuse(
	struct eio_loop *at, struct http_exchange *x, const struct http_head *head, enum eio_error error)
{
	refuse_saying(at, x, head, error, str_c(error_text(error)));
}

struct str eio_refusal(const struct eio_admission *a)
{
	struct str message = a->message == NULL ? STR("") : str_c(a->message);

	for (size_t i = 0; i < message.bytes; i++) {
		if (message.s[i] < ' ' || message.s[i] > '~')
			message.bytes = 0;
	}
	if (message.bytes == 0)
		return str_c(error_text(EIO_FORBIDDEN));
	return str_of(
		message.s, message.bytes > EIO_MESSAGE_CHARS_MAX ? EIO_MESSAGE_CHARS_MAX : message.bytes);
}

bool eio_is_allowed(struct eio_server *server, struct http_exchange *x, const struct http_request *request,
	const struct eio_session *s, struct eio_admission *a)
{
	bool allowed = server->options.allow(
		server->ctx, s == NULL ? NULL : s->ctx, request, http_exchange_conn(x), a);

	if (s != NULL)
		*a = (struct eio_admission){ .message = a->message };
	return allowed;
}

static void add_cookie(const struct eio_session *s, const struct eio_cookie *cookie, struct eio_headers *h)
{
	char text[COOKIE_BYTES_MAX], sid[EIO_SID_CHARS];

	eio_session_sid(s, sid);
	int n = snprintf(
		text, sizeof(text), "%s=%.*s; %s", cookie->name, EIO_SID_CHARS, sid, cookie->attributes);
	if (n < 0 || (size_t)n >= sizeof(text) ||
		eio_headers_add(h, STR("Set-Cookie"), str_of(text, (size_t)n)) < 0)
		log_line(LOG_WARN, "the session's cookie cannot be said: it is left out");
}

/* What the answer to a handshake has besides: in the loop's scratch. */
static void initial_headers(
	struct eio_session *s, struct http_exchange *x, const struct http_request *request, bool websocket)
{
	const struct eio_options *o = &s->at->server->options;
	struct eio_headers *ret = &s->at->headers;

	ret->count = 0;
	ret->bytes = 0;
	if (o->plain != NULL)
		eio_plain_headers(o->plain, request->head, ret);
	if (o->cookie != NULL && !websocket)
		add_cookie(s, o->cookie, ret);
	if (o->initial_headers != NULL)
		o->initial_headers(s->at->server->ctx, request, http_exchange_conn(x), ret);
	if (o->plain == NULL && websocket)
		eio_ws_headers(request->head, ret);
}

/* Its address has begun too many lately: it is answered. */
static void refuse_for_now(struct eio_loop *at, struct http_exchange *x, uint32_t retry_s)
{
	char text[12];
	int n = snprintf(text, sizeof(text), "%u", retry_s);
	struct http_header after = { .name = STR("Retry-After"), .value = str_of(text, (size_t)n) };

	eio_count(&at->counts.sessions_refused);
	http_answer(x,
		&(struct http_response){ .status = 429,
			.content_type = STR("text/plain; charset=utf-8"),
			.headers = &after,
			.header_count = 1 },
		"too many connections from this address", 38);
}

bool eio_is_too_fast(struct eio_loop *at, struct http_exchange *x)
{
	struct net_peer peer = net_conn_peer(http_exchange_conn(x));
	uint32_t retry_s;

	if (eio_may_come(at, &peer, &retry_s))
		return false;
	refuse_for_now(at, x, retry_s);
	return true;
}

void eio_handshake(struct eio_loop *at, struct http_exchange *x, const struct http_request *request,
	bool websocket, struct eio_admission *admission)
{
	const struct http_head *head = request->head;
	const struct eio_headers *headers = &at->headers;
	char text[EIO_OPEN_PACKET_BYTES_MAX];
	struct eio_session *s =
		net_loop_stopping(at->loop) ? NULL : eio_session_create(at, http_exchange_conn(x));
	if (s == NULL) {
		eio_count(&at->counts.sessions_refused);
		http_exchange_close_after(x);
		http_answer_text(x, 503, true, STR(""));
		return;
	}
	initial_headers(s, x, request, websocket);
	if (websocket && !eio_ws_attach(s, x, head, headers)) {
		eio_count(&at->counts.sessions_refused);
		eio_session_free(s);
		http_answer_text(x, 503, true, STR(""));
		return;
	}
	bool opened =
		eio_session_open(s, head, websocket ? ws_conn_net(s->ws) : http_exchange_conn(x), admission);
	if (!opened)
		eio_count(&at->counts.sessions_refused);
	if (websocket) {
		if (!opened)
			ws_conn_close(s->ws, WS_CLOSE_TRY_LATER);
		return;
	}
	if (!opened) {
		eio_session_free(s);
		http_answer_text(x, 503, true, STR(""));
		return;
	}
	size_t bytes = eio_open_packet(s, text, sizeof(text));
	http_answer(x,
		&(struct http_response){
			.status = 200,
			.content_type = STR("text/plain; charset=UTF-8"),
			.cache_control = STR("no-store"),
			.headers = headers->list,
			.header_count = headers->count,
		},
		text, bytes);
}

static void serve_upgrade(struct eio_loop *at, struct http_exchange *x, const struct http_request *request,
	struct eio_session *s, struct eio_admission *admission)
{
	const struct http_head *head = request->head;

	if (ws_upgrade_check(head) != WS_VERDICT_OK || head->body != HTTP_BODY_NONE) {
		eio_refuse(at, x, head, EIO_BAD_REQUEST);
		return;
	}
	if (s == NULL)
		eio_handshake(at, x, request, true, admission);
	else if (s->ws != NULL || s->probe != NULL || s->state != EIO_STATE_OPEN ||
		 !at->server->options.upgrades)
		eio_ws_turn_away(at, x, head);
	else
		eio_ws_probe(s, x, head);
}

/* Answers as scripts, for browsers of before CORS. */
static bool asks_jsonp(const struct http_head *head)
{
	char room[QUERY_BYTES_MAX];

	return query_value(head, STR("j"), room).bytes > 0;
}

enum { REQUEST_OK = -1 };

/* What is wrong with a request (enum eio_error), in the order in which Node's server looks; the session it names. */
static int judge(struct eio_loop *at, const struct http_head *head, struct eio_session **ret_session)
{
	struct query q;

	*ret_session = NULL;
	read_query(head, &q);
	bool websocket = str_equal(q.transport, STR("websocket"));
	bool polling = str_equal(q.transport, STR("polling"));
	bool version = str_equal(q.eio, STR("4"));
	if (!websocket && !polling)
		return EIO_UNKNOWN_TRANSPORT;
	if (polling && head->upgrade)
		return EIO_BAD_REQUEST;
	if (q.sid.bytes > 0) {
		struct eio_session *s = eio_session_find(at, q.sid);
		if (s == NULL)
			return EIO_UNKNOWN_SID;
		if ((websocket && !head->upgrade) || (polling && s->ws != NULL) || !version)
			return EIO_BAD_REQUEST;
		if (polling && head->method != HTTP_GET && head->method != HTTP_POST)
			return EIO_BAD_METHOD;
		*ret_session = s;
		return REQUEST_OK;
	}
	if (head->method != HTTP_GET)
		return EIO_BAD_METHOD;
	if (websocket ? !head->upgrade : asks_jsonp(head))
		return EIO_BAD_REQUEST;
	return version ? REQUEST_OK : EIO_BAD_VERSION;
}

/* Of a request without a session: its version may be wrong. */
static bool is_handshake(int wrong)
{
	return wrong == REQUEST_OK || wrong == EIO_BAD_VERSION;
}

/* The layer above has a say in handshakes, before their version is looked at, and in upgrades. */
static bool is_to_be_asked(
	const struct eio_server *server, const struct http_head *head, const struct eio_session *s, int wrong)
{
	if (server->options.allow == NULL)
		return false;
	if (s != NULL)
		return head->upgrade && s->state == EIO_STATE_OPEN;
	return is_handshake(wrong);
}

static void serve(void *ctx, struct http_exchange *x, const struct http_request *request)
{
	struct eio_server *server = ctx;
	struct eio_loop *at = &server->loops[net_loop_index(net_loop_current())];
	const struct http_head *head = request->head;
	struct eio_admission admission = { 0 };
	struct eio_session *s;

	if (server->origins != NULL && eio_cors_serve(server, x, head))
		return;
	int wrong = judge(at, head, &s);
	if (s == NULL && is_handshake(wrong) && eio_is_too_fast(at, x))
		return;
	if (is_to_be_asked(server, head, s, wrong) && !eio_is_allowed(server, x, request, s, &admission))
		refuse_saying(at, x, head, EIO_FORBIDDEN, eio_refusal(&admission));
	else if (wrong != REQUEST_OK)
		eio_refuse(at, x, head, (enum eio_error)wrong);
	else if (head->upgrade)
		serve_upgrade(at, x, request, s, &admission);
	else if (s != NULL)
		eio_poll_serve(s, x, request);
	else
		eio_handshake(at, x, request, false, &admission);
	if (admission.destroy != NULL && admission.data != NULL)
		admission.destroy(admission.data); /* it came to nothing */
}

static uint32_t loop_of(void *ctx, const struct http_head *head)
{
	struct query q;
	uint32_t loop;

	read_query(head, &q);
	return eio_sid_loop(ctx, q.sid, &loop) ? loop : HTTP_ANY_LOOP;
}

/* A body is let come only where it will be read. */
static bool begin(void *ctx, struct http_exchange *x, const struct http_head *head)
{
	struct eio_server *server = ctx;
	struct eio_loop *at = &server->loops[net_loop_index(net_loop_current())];
	struct eio_session *s;

	if (judge(at, head, &s) != REQUEST_OK || s == NULL || head->upgrade || head->method != HTTP_POST)
		return false; /* serve says what is wrong with it */
	return eio_post_begin(s, x, head);
}

static uint32_t sessions_for(uint32_t conns)
{
	return conns > UINT32_MAX / EIO_SESSIONS_PER_CONN_MAX ? UINT32_MAX
							      : conns * EIO_SESSIONS_PER_CONN_MAX;
}

int eio_server_create(struct http_server *http, struct net_pool *pool, const struct eio_options *options,
	const struct eio_events *events, void *ctx, struct eio_server **ret)
{
	struct eio_server *server = calloc(1, sizeof(*server));
	int rc = -ENOMEM;

	if (server == NULL)
		return rc;
	server->options = *options;
	server->events = events;
	server->ctx = ctx;
	server->loop_count = net_pool_loops(pool);
	server->limit_loopback = net_pool_limits_loopback(pool);
	server->loops = calloc(server->loop_count, sizeof(*server->loops));
	server->sessions_max = sessions_for(net_pool_conns_max(pool));
	server->addresses = net_addresses_create(
		sessions_for(net_pool_conns_per_address_max(pool)), net_pool_limits_loopback(pool));
	atomic_init(&server->sessions, 0);
	struct http_route route = {
		.path = options->path,
		.prefix = true,
		.alone = true,
		.body_bytes_max = options->message_bytes_max,
		.head = options->cors == NULL ? NULL : eio_cors_head,
		.loop_of = loop_of,
		.begin = begin,
		.serve = serve,
		.ctx = server,
	};
	struct http_route plain_route = {
		.path = options->path,
		.alone = true,
		.body_bytes_max =
			options->message_bytes_max, /* none is taken: what is wrong is told before */
		.loop_of = http_route_any_loop,
		.begin = eio_plain_begin,
		.serve = eio_plain_serve,
		.ctx = server,
	};
	if (server->loops != NULL && server->addresses != NULL && eio_cors_create(server) &&
		eio_throttles_create(server) && eio_budget_create(server))
		rc = http_server_route(http, options->plain == NULL ? &route : &plain_route);
	if (rc < 0) {
		eio_budget_end(server);
		eio_cors_destroy(server);
		buckets_destroy(server->buckets);
		net_addresses_destroy(server->addresses);
		free(server->loops);
		free(server);
		return rc;
	}
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct eio_loop *at = &server->loops[i];

		at->server = server;
		at->loop = net_pool_loop(pool, i);
		net_delays_init(&at->pings, at->loop, options->ping_interval_ms, eio_ping_due, at);
		net_delays_init(&at->pongs, at->loop, options->ping_timeout_ms, eio_pong_late, at);
		net_delays_init(&at->throttles, at->loop, EIO_THROTTLE_STEP_MS, eio_throttle_step, at);
		for (size_t coding = 0; coding < HTTP_CODINGS; coding++)
			net_task_init(&at->answers[coding].forget, eio_answer_forget);
		net_delays_init(&at->cuts, at->loop, NET_LINGER_MS, eio_closing_over, at);
		net_delays_init(&at->closings, at->loop, EIO_CLOSE_MS, eio_closing_over, at);
		net_delays_init(&at->settlings, at->loop, EIO_SETTLE_MS, eio_doubt_over, at);
		net_delays_init(&at->doubts, at->loop, EIO_DOUBT_STEP_MS, eio_doubt_over, at);
		net_timer_init(&at->drain.step, eio_drain_step);
		net_delays_init(&at->upgrades, at->loop, options->upgrade_timeout_ms, eio_probe_late, at);
	}
	eio_budget_begin(server);
	*ret = server;
	return 0;
}

void eio_server_overrun(struct eio_server *server, struct net_loop *loop)
{
	eio_end_all(&server->loops[net_loop_index(loop)], EIO_OVERFLOW);
}

void eio_server_destroy(struct eio_server *server)
{
	if (server == NULL)
		return;
	eio_budget_end(server);
	for (uint32_t i = 0; i < server->loop_count; i++) {
		struct slots *sessions = &server->loops[i].sessions;

		/* Closed sessions that waited for a poll to be told. */
		for (uint32_t slot = 0; slot < sessions->used; slot++) {
			struct eio_session *s = slots_at(sessions, slot);
			if (s != NULL)
				eio_session_free(s);
		}
		slots_finish(sessions);
		free(server->loops[i].drain.turns);
		eio_rings_finish(&server->loops[i].rings);
		for (size_t coding = 0; coding < HTTP_CODINGS; coding++)
			eio_answer_forget(&server->loops[i].answers[coding].forget);
	}
	eio_cors_destroy(server);
	buckets_destroy(server->buckets);
	net_addresses_destroy(server->addresses);
	free(server->loops);
	free(server);
}

void eio_server_counters(const struct eio_server *server, struct eio_counters *ret)
{
	for (uint32_t i = 0; i < server->loop_count; i++) {
		const struct eio_counts *c = &server->loops[i].counts;

		ret->opened += atomic_load_explicit(&c->opened, memory_order_relaxed);
		ret->closed += atomic_load_explicit(&c->closed, memory_order_relaxed);
		ret->upgraded += atomic_load_explicit(&c->upgraded, memory_order_relaxed);
		ret->not_upgraded += atomic_load_explicit(&c->not_upgraded, memory_order_relaxed);
		ret->sessions_refused += atomic_load_explicit(&c->sessions_refused, memory_order_relaxed);
		ret->refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
		ret->parse_errors += atomic_load_explicit(&c->parse_errors, memory_order_relaxed);
		ret->transport_errors += atomic_load_explicit(&c->transport_errors, memory_order_relaxed);
		ret->ping_timeouts += atomic_load_explicit(&c->ping_timeouts, memory_order_relaxed);
		ret->overflows += atomic_load_explicit(&c->overflows, memory_order_relaxed);
		ret->lagged += atomic_load_explicit(&c->lagged, memory_order_relaxed);
		ret->drained += atomic_load_explicit(&c->drained, memory_order_relaxed);
		ret->shed += atomic_load_explicit(&c->shed, memory_order_relaxed);
		ret->throttled += atomic_load_explicit(&c->throttled, memory_order_relaxed);
		ret->too_fast += atomic_load_explicit(&c->too_fast, memory_order_relaxed);
		ret->closings_cut += atomic_load_explicit(&c->closings_cut, memory_order_relaxed);
		ret->polls_cut += atomic_load_explicit(&c->polls_cut, memory_order_relaxed);
		ret->messages_in += atomic_load_explicit(&c->messages_in, memory_order_relaxed);
	}
}
