/*
 * app/visitor.h -- the front door: what a request's headers say of who sends it, and who is let in.
 *
 * Used by: app/serve.c (connections), app/api.c. Pure.
 */
#ifndef APP_VISITOR_H
#define APP_VISITOR_H

#include "app/config.h"
#include "chat/error.h"
#include "chat/token.h"
#include "sio/sio.h"

enum { VISITOR_COOKIE_BYTES = 17 }; /* of the cookie's name, with its NUL */

struct visitor {
	uint64_t address; /* stands for the peer's address in app/limits.h */
	bool guests; /* may be a guest */
	bool has_token; /* of a cookie or an Authorization field */
	bool by_cookie; /* it was a cookie */
	char token[CHAT_TOKEN_CHARS];
	char text[SIO_ADDRESS_BYTES]; /* the address, for the log */
};

/*
 * The name of the cookie that holds a guest's token, of the database's epoch: a browser sends a host's cookies to all its
 * ports, so a name that several servers had would leave it the guest of the last alone.
 */
void visitor_cookie_name(struct str epoch, char ret_name[VISITOR_COOKIE_BYTES]);

/*
 * CHAT_OK, or CHAT_FORBIDDEN: the Origin is neither the Host's own, nor loopback where the Host is, nor allowed by the
 * configuration; or there is none, although a browser's cookie came where a browser would have sent one (`wants_origin`:
 * WebSocket handshakes, POST). `cookie` is its name.
 */
struct chat_fault visitor_judge(const struct config *, const char *cookie, const struct sio_request *,
	bool wants_origin, struct visitor *ret_visitor);

static inline struct str visitor_token(const struct visitor *v)
{
	return str_of(v->token, sizeof(v->token));
}

#endif
