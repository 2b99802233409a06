/*
 * app/api.h -- the commands over HTTP: `POST /api/v1/<command>`. See docs/chat.md.
 */
#ifndef APP_API_H
#define APP_API_H

#include "app/app.h"

/* Add its path. -errno. */
__attribute__((warn_unused_result)) int api_listen(struct app *);

#endif
