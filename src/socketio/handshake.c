/*
 * socketio/handshake.c -- the request with which a connection began, as middleware and the connection handler see it.
 *
 * Its head is lent while it is served, and CONNECT comes later: so the query and the headers are copied, once, in as many bytes as
 * they have. They go when the first socket has joined, unless the application wants them for ever.
 *
 *      kept: query | Name: value CR LF Name: value        the headers as they came, where the parser has found them to be right
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "http/url.h"
#include "socketio/server_int.h"

struct sio_kept {
	uint64_t at_ms;
	bool secure;
	size_t query_bytes, headers_bytes;
	char text[];
};

static uint64_t unix_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* All header lines, from the first name to the end of the last value. */
static struct str header_lines(const struct http_head *head)
{
	if (head->header_count == 0)
		return STR("");
	const struct http_header *first = &head->headers[0], *last = first + head->header_count - 1;
	return str_of(first->name.s, (size_t)(last->value.s + last->value.bytes - first->name.s));
}

bool sio_handshake_keep(struct sio_client *c, const struct http_head *head, bool secure)
{
	struct str headers = header_lines(head), query = head->query;
	struct sio_kept *k = malloc(sizeof(*k) + query.bytes + headers.bytes);

	if (k == NULL)
		return false;
	k->at_ms = unix_ms();
	k->secure = secure;
	k->query_bytes = query.bytes;
	k->headers_bytes = headers.bytes;
	if (query.bytes > 0)
		memcpy(k->text, query.s, query.bytes);
	if (headers.bytes > 0)
		memcpy(k->text + query.bytes, headers.s, headers.bytes);
	c->handshake = k;
	return true;
}

void sio_handshake_used(struct sio_client *c)
{
	if (c->at->server->keep_handshake)
		return;
	free(c->handshake);
	c->handshake = NULL;
}

bool sio_handshake(const struct sio_socket *s, struct sio_handshake *ret)
{
	const struct sio_kept *k = s->client->handshake;

	if (k == NULL)
		return false;
	*ret = (struct sio_handshake){
		.at_ms = k->at_ms, .secure = k->secure, .query = { k->text, k->query_bytes }
	};
	return true;
}

/* Take the next line off the front, cut into name and value. False: there is none. */
static bool next_header(struct str *rest, struct str *ret_name, struct str *ret_value)
{
	if (rest->bytes == 0)
		return false;
	const char *end = memchr(rest->s, '\r', rest->bytes);
	size_t bytes = end == NULL ? rest->bytes : (size_t)(end - rest->s);
	size_t used = end == NULL ? bytes : bytes + 2;
	const char *colon = memchr(rest->s, ':', bytes);

	assert(colon != NULL && used <= rest->bytes);
	size_t name_bytes = (size_t)(colon - rest->s);
	*ret_name = str_of(rest->s, name_bytes);
	*ret_value = http_trim(str_of(colon + 1, bytes - name_bytes - 1));
	*rest = str_of(rest->s + used, rest->bytes - used);
	return true;
}

bool sio_handshake_header(const struct sio_socket *s, const char *name, struct sio_str *ret_value)
{
	const struct sio_kept *k = s->client->handshake;
	struct str each, value, wanted = str_c(name);

	if (k == NULL)
		return false;
	struct str rest = str_of(k->text + k->query_bytes, k->headers_bytes);
	while (next_header(&rest, &each, &value)) {
		if (!str_equal_nocase(each, wanted))
			continue;
		*ret_value = (struct sio_str){ value.s, value.bytes };
		return true;
	}
	return false;
}

bool sio_handshake_param(const struct sio_socket *s, const char *name, char *out, size_t out_bytes)
{
	const struct sio_kept *k = s->client->handshake;
	struct str value;

	if (k == NULL || out_bytes == 0 ||
		http_query_get(str_of(k->text, k->query_bytes), str_c(name), out, out_bytes - 1, &value) !=
			HTTP_QUERY_ONE)
		return false;
	out[value.bytes] = '\0';
	return true;
}
