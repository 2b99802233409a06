/*
 * app/pages.h -- what a browser is served besides the API: the application at `/chat`, the way to it, and `/healthz`.
 */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include "app/app.h"
#include "sio/http.h"

/* The web application as it was built (tools/embed.py). Paths as they are served. Empty where it was not built. */
extern const struct sio_asset web_assets[];
extern const size_t web_asset_count;

enum { WEB_PAGE_HEADERS = 3 };
/* What a page of it is sent with: the policy above all. */
extern const struct sio_header web_page_headers[WEB_PAGE_HEADERS];

/* Add their paths. -errno. */
__attribute__((warn_unused_result)) int pages_listen(struct app *);

#endif
