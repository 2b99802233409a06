/*
 * fuzz/server/serve.c -- the server of a run: its options as the input chooses them, who may connect, its peers and plain requests. See
 * fuzz/server/scene.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/scene.h"
#include "sio/eio.h"
#include "sio/ws.h"

/* Connections. */

static bool allow(void *ctx, const struct sio_request *r, struct sio_admission *admission)
{
	char address[SIO_ADDRESS_BYTES];
	struct sio_str value;

	(void)ctx;
	sio_request_address(r, address);
	if (sio_request_from_loopback(r) != (strcmp(address, "127.0.0.1") == 0))
		kernel_fail("%s is this machine, or not", address);
	if (scene_has(r->query, "no=1")) {
		admission->message = "you not";
		admission->data = app_data();
		admission->destroy = app_destroy_data;
		return false;
	}
	if (admission->data == NULL && sio_request_header(r, "host", &value)) {
		admission->data = app_data();
		admission->destroy = app_destroy_data;
	}
	return true;
}

static void initial_headers(void *ctx, const struct sio_request *r, struct sio_headers *headers)
{
	(void)ctx;
	(void)r;
	if (sio_headers_add(headers, "X-Scene", "1") != 0)
		kernel_fail("a header is refused");
}

/* Peers. */

static void on_opened(struct sio_peer *peer, void *ctx)
{
	char text[SIO_ADDRESS_BYTES];

	(void)ctx;
	scene->tally.opened++;
	sio_peer_address(peer, text);
	if (sio_peer_endpoint(peer) == scene->eio) {
		sio_eio_sid(peer, text);
		if (text[0] == '\0' || sio_ws_protocol(peer) != NULL)
			kernel_fail("a peer of Engine.IO is none");
	} else if (sio_ws_protocol(peer) != NULL && strcmp(sio_ws_protocol(peer), "one") != 0) {
		kernel_fail("a subprotocol that nobody has asked for");
	}
	scene->peers[scene->peer_count++ % SCENE_IDS_MAX] = sio_peer_id(peer);
	sio_peer_set_data(peer, app_data(), app_destroy_data);
}

static bool begins(struct sio_bytes message, const char *word)
{
	return message.bytes >= strlen(word) && memcmp(message.data, word, strlen(word)) == 0;
}

static void on_message(struct sio_peer *peer, bool binary, struct sio_bytes message, void *ctx)
{
	struct sio_endpoint *endpoint = sio_peer_endpoint(peer);

	(void)ctx;
	if (sio_peer_data(peer) == NULL)
		kernel_fail("a peer has lost its data");
	if (begins(message, "closeid"))
		(void)sio_endpoint_close(endpoint, sio_peer_id(peer), 1000);
	else if (begins(message, "close"))
		(void)sio_peer_close(peer, message.bytes > 5 ? 4000 : 0);
	else if (begins(message, "all"))
		(void)sio_endpoint_send_all(endpoint, binary, message);
	else if (begins(message, "volatile"))
		(void)!sio_peer_send_volatile(peer, binary, message);
	else if (begins(message, "id"))
		(void)sio_endpoint_send(endpoint, sio_peer_id(peer), binary, message);
	else
		(void)sio_peer_send(peer, binary, message);
}

static void on_peer_lagging(struct sio_peer *peer, bool lagging, void *ctx)
{
	struct keepsake *kept = sio_peer_data(peer);

	(void)ctx;
	if (kept->lags == lagging)
		kernel_fail("a peer %s twice", lagging ? "lags" : "has drained");
	kept->lags = lagging;
}

static void on_closed(struct sio_peer *peer, const struct sio_end *end, void *ctx)
{
	(void)ctx;
	scene->tally.closed++;
	if (sio_peer_data(peer) == NULL || end->reason == NULL)
		kernel_fail("a peer goes without data or reason");
}

/* Requests. */

static void on_http(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	struct sio_header header = { "X-Body", r->body.bytes > 0 ? "some" : "none" };
	struct sio_response response = {
		.status = scene_has(r->query, "bad") ? 400 : 200, .headers = &header, .header_count = 1
	};

	(void)ctx;
	if (!scene_has(r->query, "later") || scene->exchange_count == SCENE_KEPT_MAX) {
		if (sio_reply(x, &response, r->body) != 0)
			kernel_fail("a reply is refused");
		return;
	}
	scene->exchanges[scene->exchange_count++] = x;
}

void app_answer_http(void)
{
	static const struct sio_header header = { "X-Late", "yes" };

	if (scene->exchange_count > 0)
		(void)!sio_reply(scene->exchanges[--scene->exchange_count],
			&(struct sio_response){ .status = 200, .headers = &header, .header_count = 1 },
			SIO_STR("late\n"));
}

static bool names(void *ctx, struct sio_str name, struct sio_str auth)
{
	(void)ctx;
	return name.bytes > 1 && name.s[1] == 'd' && !scene_has(auth, "\"n\"");
}

/* The server. */

/* Two bits of a byte. */
static uint32_t pick(uint8_t byte, unsigned shift, const uint32_t from[4])
{
	return from[byte >> shift & 3];
}
#define PICK(byte, shift, ...) pick(byte, shift, (const uint32_t[4]){ __VA_ARGS__ })

void serve_faults(struct input *in)
{
	uint8_t a = input_byte(in), b = input_byte(in);
	struct kernel_faults *f = kernel_faults();

	f->send_short = PICK(a, 0, 0, 20, 100, 300);
	f->interrupted = PICK(a, 2, 0, 0, 20, 50);
	f->cut_segment = PICK(a, 4, 0, 50, 300, 800);
	f->late_ack = PICK(a, 6, 0, 50, 300, 600);
	f->delay_ns_max = PICK(b, 0, 100, 1000, 5000, 20000) * KERNEL_US;
	f->step_ns_max = PICK(b, 2, 20, 100, 300, 1000) * KERNEL_US;
	f->sndbuf = PICK(b, 4, 60000, 16000, 8000, 2000);
	f->rcvbuf = PICK(b, 4, 60000, 16000, 1000, 8000);
	f->preempts = PICK(b, 6, 0, 0, 50, 300);
	/* Who polls may need another connection at any time. */
	f->accept_fails = scene->transport == CLIENT_WEBSOCKET ? PICK(b, 6, 0, 200, 0, 20) : 0;
}

static void choose_options(struct input *in, struct sio_options *o)
{
	static struct sio_recovery recovery;
	static const struct sio_cors cors = {
		.allowed_headers = "X-A", .exposed_headers = "X-B", .max_age_s = 60
	};
	static const char *const origins[] = { "http://a.test" };
	static const struct sio_cors strict = { .origins = origins, .origin_count = 1, .credentials = true };
	static const struct sio_cookie cookie = { .name = "io" };
	uint8_t a = input_byte(in), b = input_byte(in), c = input_byte(in);

	o->ping_interval_ms = PICK(a, 0, 0, 300, 1000, 5000);
	o->ping_timeout_ms = PICK(a, 2, 0, 1000, 2000, 5000);
	o->upgrade_timeout_ms = PICK(a, 4, 0, 0, 200, 1000);
	o->connect_timeout_ms = PICK(a, 6, 0, 0, 500, 3000);
	o->message_bytes_max = PICK(b, 0, 0, 300, 2000, 20000);
	o->queue_bytes_soft = PICK(b, 2, 0, 500, 1500, 10000);
	o->queue_bytes_max = PICK(b, 4, 0, 10000, 30000, 100000);
	recovery = (struct sio_recovery){ .window_ms = PICK(b, 6, 0, 1000, 3000, 0),
		.backlog_bytes_max = PICK(b, 6, 0, 0, 4000, 20000),
		.kept_max = PICK(b, 6, 0, 4, 0, 8),
		.asks_middleware = b >> 6 == 3 };
	o->recovery = scene->recovers ? &recovery : NULL;
	scene->backlog_bytes_max = !scene->recovers                  ? 0
				   : recovery.backlog_bytes_max == 0 ? 16 << 20
								     : recovery.backlog_bytes_max;
	o->drain_ms = PICK(c, 0, 0, 1, 300, 4000);
	o->cors = c & 4 ? c & 8 ? &strict : &cors : NULL;
	o->cookie = c & 8 ? &cookie : NULL;
	o->keep_handshake = c & 16;
	o->initial_headers = c & 16 ? initial_headers : NULL;
	o->allow = c & 32 ? allow : NULL;
	scene->errs = c & 64;
	o->limit_loopback = scene->from_loopback; /* else there would be room for nobody else */
	if (c & 128)
		o->rates = (struct sio_rates){
			.messages = { 50, 20 }, .address_messages = { 60, 30 }, .address_sessions = { 20, 10 }
		};
}

static void log_line(void *ctx, enum sio_log_level level, const char *text)
{
	(void)ctx;
	kernel_note("log %d: %s", (int)level, text);
}

static void note_limits(const struct sio_options *o)
{
	uint32_t interval = o->ping_interval_ms == 0 ? 25000 : o->ping_interval_ms,
		 timeout = o->ping_timeout_ms == 0 ? 20000 : o->ping_timeout_ms;

	scene->ping_ms = interval + timeout;
	scene->message_bytes_max = o->message_bytes_max == 0 ? 1000000 : o->message_bytes_max;
	scene->queue_bytes_max = o->queue_bytes_max;
	if (o->queue_bytes_max == 0)
		scene->queue_bytes_max =
			scene->message_bytes_max > 1 << 19 ? 2 * scene->message_bytes_max : 1 << 20;
	scene->queued_bytes_max = 2 * scene->queue_bytes_max;
}

static void serve_requests(void)
{
	static const char page[] = "<p>all of it</p>", packed[] = "not really gzip";
	static const struct sio_header policy = { "X-Policy", "none" };
	static const struct sio_asset asset = { .path = "/asset",
		.content_type = "text/html",
		.etag = "\"1\"",
		.cache_control = "no-cache",
		.headers = &policy,
		.header_count = 1,
		.identity = { page, sizeof(page) - 1 },
		.gzip = { packed, sizeof(packed) - 1 } };

	if (sio_http(scene->io, "/http", 1000, on_http, NULL) != 0 ||
		sio_http(scene->io, "/all/", 0, on_http, NULL) != 0 ||
		sio_serve_asset(scene->io, &asset) != 0)
		kernel_fail("a path is refused");
}

static void serve_peers(const struct sio_options *o)
{
	static const char *const protocols[] = { "two", "one" };
	static const char *const origins[] = { "http://a.test" };
	struct sio_endpoint_events events = {
		.opened = on_opened, .message = on_message, .lagging = on_peer_lagging, .closed = on_closed
	};
	struct sio_ws_options ws = { .events = events,
		.message_bytes_max = o->message_bytes_max,
		.fragments_max = o->message_bytes_max == 300 ? 4 : 0,
		.ping_interval_ms = o->ping_interval_ms,
		.ping_timeout_ms = o->ping_timeout_ms,
		.rates = o->rates,
		.queue_bytes_soft = o->queue_bytes_soft,
		.queue_bytes_max = o->queue_bytes_max,
		.origins = o->cors == NULL ? NULL : origins,
		.origin_count = o->cors != NULL,
		.protocols = protocols,
		.protocol_count = 2,
		.allow = o->allow };
	struct sio_eio_options eio = { .events = events,
		.ping_interval_ms = o->ping_interval_ms,
		.ping_timeout_ms = o->ping_timeout_ms,
		.upgrade_timeout_ms = o->upgrade_timeout_ms,
		.message_bytes_max = o->message_bytes_max,
		.rates = o->rates,
		.queue_bytes_soft = o->queue_bytes_soft,
		.queue_bytes_max = o->queue_bytes_max,
		.without_upgrades = o->drain_ms == 1,
		.allow = o->allow,
		.cors = o->cors,
		.cookie = o->cookie,
		.initial_headers = o->initial_headers };

	scene->ws = sio_ws(scene->io, "/ws", &ws, NULL);
	scene->eio = sio_eio(scene->io, "/eio/", &eio, NULL);
	if (scene->ws == NULL || scene->eio == NULL)
		kernel_fail("no endpoint");
	serve_requests();
	if (scene->errs)
		refused_services(&ws, &eio);
}

void serve_create(struct input *in)
{
	struct sio_options o = {
		.listen = "127.0.0.1:3000",
		.threads = scene->loops,
		.sender = SIO_SENDER_PLAIN,
		.connections_max = scene->is_crowded ? SCENE_CONNS_CROWDED_MAX : SCENE_CONNS_MAX,
		.connections_per_address_max = SCENE_CONNS_PER_ADDRESS_MAX,
		.dynamic_spaces_max = 3,
		.log_least = SIO_LOG_INFO,
		.log = log_line,
	};
	char err[256];

	choose_options(in, &o);
	note_limits(&o);
	serve_faults(in);
	o.queued_bytes_max = scene->queued_bytes_max;
	if (scene->errs)
		refused_options(
			(uint8_t)(o.ping_interval_ms + o.queue_bytes_max + o.drain_ms + scene->loops), &o);
	scene->io = sio_create(&o, err, sizeof(err));
	if (scene->io == NULL)
		kernel_fail("sio_create(): %s", err);
	scene->spaces[0] = sio_of(scene->io, "/");
	scene->spaces[1] = sio_of(scene->io, "/two");
	scene->parent = sio_of_names(scene->io, names, NULL);
	app_set_up(scene->spaces[0]);
	app_set_up(scene->spaces[1]);
	app_set_up(scene->parent);
	app_watch(scene->spaces[1]);
	serve_peers(&o);
}
