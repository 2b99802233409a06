/*
 * app/send.h -- saying something, as both namespaces do it. Used by: app/send.c, app/root.c.
 */
#ifndef APP_SEND_H
#define APP_SEND_H

#include "app/request.h"

enum { SEND_UNIT_BYTES = 4096 }; /* of text: so much more counts as one more message, for the rates */

/*
 * Check, count against the limits, and store; `fn` is called with the request, unless that is answered at once. cid empty:
 * none.
 */
void send_message(struct request *, int64_t room, struct str cid, struct str text, store_sent_fn *fn);

#endif
