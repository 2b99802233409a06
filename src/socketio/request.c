/* socketio/request.c -- a request of HTTP as the application sees it: see sio/sio.h. */
#include "http/url.h"
#include "net/address.h"
#include "socketio/server_int.h"

static struct sio_str lend(struct str text)
{
	return (struct sio_str){ text.s, text.bytes };
}

struct sio_request sio_request_of(const struct http_request *r, const struct net_conn *peer)
{
	return (struct sio_request){
		.method = lend(r->head->method == HTTP_HEAD ? STR("GET") : r->head->method_text),
		.path = lend(r->path),
		.query = lend(r->head->query),
		.body = { (const char *)r->body, r->body_bytes },
		.secure = net_conn_encrypted(peer),
		.head = r->head,
		.peer = peer,
	};
}

bool sio_request_header(const struct sio_request *r, const char *name, struct sio_str *ret_value)
{
	struct str value = http_head_get(r->head, str_c(name));

	if (value.s == NULL)
		return false;
	*ret_value = lend(value);
	return true;
}

bool sio_request_param(const struct sio_request *r, const char *name, char *out, size_t out_bytes)
{
	struct str value;

	if (out_bytes == 0 || http_query_get(str_of(r->query.s, r->query.bytes), str_c(name), out,
				      out_bytes - 1, &value) != HTTP_QUERY_ONE)
		return false;
	out[value.bytes] = '\0';
	return true;
}

void sio_request_address(const struct sio_request *r, char *out)
{
	struct net_peer peer = net_conn_peer(r->peer);

	_Static_assert((int)SIO_ADDRESS_BYTES >= (int)NET_ADDRESS_BYTES, "a peer's text fits");
	net_peer_text(&peer, out);
}

bool sio_request_from_loopback(const struct sio_request *r)
{
	struct net_peer peer = net_conn_peer(r->peer);

	return net_peer_is_loopback(&peer);
}

bool sio_allow(void *server_ctx, void *client, const struct http_request *request,
	const struct net_conn *peer, struct eio_admission *ret)
{
	struct sio_server *server = server_ctx;
	const struct sio_client *c = client;
	struct sio_request r = sio_request_of(request, peer);
	struct sio_admission said = { .data = c == NULL ? NULL : c->data };
	bool allowed = server->allow(server->allow_ctx, &r, &said);

	*ret = (struct eio_admission){ .message = said.message, .data = said.data, .destroy = said.destroy };
	return allowed;
}
