/*
 * engineio/plain.c -- the handshake of plain WebSockets: sessions without Engine.IO's packets. See struct eio_plain.
 *
 *      request --right? of a page that may? allowed?--> 101, a session on its WebSocket from the start
 */
#include "base/assert.h"
#include "engineio/session_int.h"
#include "ws/message.h"

_Static_assert((int)EIO_PINGS_PER_S_MAX == (int)WS_PINGS_PER_S_MAX, "what is said of pings holds");

bool eio_close_code_valid(uint16_t code)
{
	return ws_close_code_valid(code);
}

enum { UPGRADE_HEADERS = 3 };

/* It wants another method, protocol or version: said in a header. */
static void refuse(struct http_exchange *x, uint16_t status, struct str text,
	const struct http_header *headers, size_t header_count)
{
	http_answer(x,
		&(struct http_response){
			.status = status,
			.content_type = STR("text/plain; charset=utf-8"),
			.cache_control = STR("no-store"),
			.headers = headers,
			.header_count = header_count,
		},
		text.s, text.bytes);
}

/* False: the request is no handshake, and is answered. */
static bool is_handshake(struct http_exchange *x, const struct http_head *head)
{
	const struct http_header get = { .name = STR("Allow"), .value = STR("GET") };
	const struct http_header upgrade[UPGRADE_HEADERS] = {
		{ .name = STR("Connection"), .value = STR("Upgrade") },
		{ .name = STR("Upgrade"), .value = STR("websocket") },
		{ .name = STR("Sec-WebSocket-Version"), .value = STR("13") },
	};

	if (!str_equal(head->method_text, STR("GET"))) {
		refuse(x, 405, STR("this is a WebSocket: GET alone"), &get, 1);
		return false;
	}
	if (head->body != HTTP_BODY_NONE) {
		refuse(x, 400, STR("a body has no place here"), NULL, 0);
		return false;
	}
	switch (ws_upgrade_check(head)) {
	case WS_VERDICT_OK:
		return true;
	case WS_VERDICT_NOT_UPGRADE:
		refuse(x, 426, STR("this is a WebSocket"), upgrade, UPGRADE_HEADERS);
		break;
	case WS_VERDICT_BAD_VERSION:
		refuse(x, 426, STR("WebSocket's version is 13"), upgrade, UPGRADE_HEADERS);
		break;
	case WS_VERDICT_BAD_KEY:
	case WS_VERDICT_BAD_METHOD:
		refuse(x, 400, STR("Sec-WebSocket-Key is wrong"), NULL, 0);
		break;
	}
	return false;
}

/*
 * Browsers say whose page it is that connects, with its user's cookies. Programs say neither; so a cookie without an origin is not
 * to be trusted either.
 */
static bool may_connect(const struct eio_plain *plain, const struct http_head *head)
{
	struct str origin = http_head_get(head, STR("origin"));

	if (plain->origin_count == 0)
		return true;
	if (origin.s == NULL)
		return http_head_get(head, STR("cookie")).s == NULL;
	for (uint32_t i = 0; i < plain->origin_count; i++) {
		if (str_equal(origin, str_c(plain->origins[i])))
			return http_head_count(head, STR("origin")) == 1;
	}
	return false;
}

const char *eio_plain_protocol(const struct eio_plain *plain, const struct http_head *head)
{
	for (uint32_t h = 0; h < head->header_count; h++) {
		struct str list = head->headers[h].value, item;

		if (!str_equal_nocase(head->headers[h].name, STR("sec-websocket-protocol")))
			continue;
		while (http_list_next(&list, &item)) {
			for (uint32_t i = 0; i < plain->protocol_count; i++) {
				if (str_equal(item, str_c(plain->protocols[i])))
					return plain->protocols[i];
			}
		}
	}
	return NULL;
}

void eio_plain_headers(
	const struct eio_plain *plain, const struct http_head *head, struct eio_headers *headers)
{
	const char *protocol = eio_plain_protocol(plain, head);

	assert(headers->count == 0);
	if (protocol != NULL)
		headers->list[headers->count++] = (struct http_header){ .name = STR("Sec-WebSocket-Protocol"),
			.value = str_c(protocol) };
}

bool eio_plain_begin(void *server, struct http_exchange *x, const struct http_head *head)
{
	(void)server;
	(void)x;
	(void)head;
	return false; /* no body is wanted */
}

void eio_plain_serve(void *ctx, struct http_exchange *x, const struct http_request *request)
{
	struct eio_server *server = ctx;
	struct eio_loop *at = &server->loops[net_loop_index(net_loop_current())];
	struct eio_admission admission = { 0 };

	if (request->head->body != HTTP_BODY_NONE)
		http_exchange_close_after(x); /* it may be meant for frames */
	if (!is_handshake(x, request->head)) {
		eio_count(&at->counts.refused);
	} else if (!may_connect(server->options.plain, request->head)) {
		eio_count(&at->counts.refused);
		refuse(x, 403, STR("not from this origin"), NULL, 0);
	} else if (eio_is_too_fast(at, x)) {
		return;
	} else if (server->options.allow != NULL && !eio_is_allowed(server, x, request, NULL, &admission)) {
		eio_count(&at->counts.refused);
		refuse(x, 403, eio_refusal(&admission), NULL, 0);
	} else {
		eio_handshake(at, x, request, true, &admission);
	}
	if (admission.destroy != NULL && admission.data != NULL)
		admission.destroy(admission.data); /* it came to nothing */
}
