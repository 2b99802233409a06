/*
 * app/caller.h -- a connection as the chat sees it: who may be at its other end, and how much it has under way.
 *
 * It is the connection's (sio_connection_data), and its peers': leaving a namespace and joining it again makes a new peer, and
 * gains nobody anything. Used by: app/serve.c, app/peer.c, app/request.c. Threads: the counts from any.
 */
#ifndef APP_CALLER_H
#define APP_CALLER_H

#include <stdatomic.h>

#include "app/visitor.h"

struct caller {
	atomic_uint refs;
	atomic_uint commands, reads; /* unanswered */
	atomic_size_t command_bytes; /* of those */
	uint64_t number; /* no other connection of this process has it */
	struct visitor visitor;
};

/* With one reference. NULL: no memory. */
__attribute__((warn_unused_result)) struct caller *caller_create(const struct visitor *);
void caller_ref(struct caller *);
/* For struct sio_admission too. */
void caller_unref(void *caller);

#endif
