/*
 * app/root.h -- the namespace `/`: the simplest client's way into the lobby. See docs/chat.md.
 */
#ifndef APP_ROOT_H
#define APP_ROOT_H

#include "app/app.h"

/* Make its handlers. -errno. */
__attribute__((warn_unused_result)) int root_listen(struct app *);

#endif
