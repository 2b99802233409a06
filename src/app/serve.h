/*
 * app/serve.h -- a server from its start to its end.
 */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "app/config.h"

/* Serve until SIGTERM or SIGINT. The program's exit status; what went wrong has been said on stderr. */
__attribute__((warn_unused_result)) int serve(const struct config *);

#endif
