/*
 * app/history.h -- a page of a room, as both namespaces ask for it. Used by: app/history.c, app/root.c.
 */
#ifndef APP_HISTORY_H
#define APP_HISTORY_H

#include "app/request.h"

/* How many messages a limit asks for, clamped. */
uint32_t history_messages(const struct arg_value *limit);
/* Ask the store; `fn` is called with the request, unless that is answered at once. */
void history_ask(struct request *, int64_t room, const struct arg_value *before,
	const struct arg_value *limit, store_page_fn *fn);

#endif
