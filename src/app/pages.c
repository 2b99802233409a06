/* app/pages.c -- see app/pages.h. */
#include "app/pages.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/str.h"

static const struct str no_page = STR_INIT(
	"<!doctype html><html lang=en><meta charset=utf-8><title>palaver</title>"
	"<p>This palaver was built without its web application. Any Socket.IO client can speak here.");

/* No script, style or picture but our own, nothing in frames, and text that becomes script only where two libraries say so. */
const struct sio_header web_page_headers[WEB_PAGE_HEADERS] = {
	{ "Content-Security-Policy",
		"default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; "
		"frame-ancestors 'none'; img-src 'self' blob: data:; require-trusted-types-for 'script'; "
		"trusted-types svelte-trusted-html palaver" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
};

static void reply(struct sio_exchange x, const struct sio_response *response, struct str body)
{
	int rc = sio_reply(x, response, sio_of_str(body));

	/* The client may have gone, or memory. */
	assert(rc != -EINVAL);
}

static bool is_get(const struct sio_request *q, struct sio_exchange x)
{
	static const struct sio_header allow = { "Allow", "GET, HEAD" };

	if (str_equal(str_of_sio(q->method), STR("GET")) || str_equal(str_of_sio(q->method), STR("HEAD")))
		return true;
	reply(x, &(struct sio_response){ .status = 405, .headers = &allow, .header_count = 1 },
		STR("method not allowed\n"));
	return false;
}

/* 200 while this process serves; 503 once its disk has failed and only a new start helps. A full disk is no fault of its own. */
static void on_health(const struct sio_request *q, struct sio_exchange x, void *ctx)
{
	const struct app *app = ctx;
	struct store_stats stats;

	if (!is_get(q, x))
		return;
	app->store->ops->stats(app->store, &stats);
	if (stats.read_only)
		reply(x, &(struct sio_response){ .status = 503 },
			STR("read-only: the disk failed; start again when it is mended\n"));
	else
		reply(x, &(struct sio_response){ .status = 200 }, STR("ok\n"));
}

static void on_root(const struct sio_request *q, struct sio_exchange x, void *ctx)
{
	static const struct sio_header location = { "Location", "/chat" };

	(void)ctx;
	if (is_get(q, x))
		reply(x, &(struct sio_response){ .status = 302, .headers = &location, .header_count = 1 },
			STR("the chat is at /chat\n"));
}

static void on_no_page(const struct sio_request *q, struct sio_exchange x, void *ctx)
{
	(void)ctx;
	if (is_get(q, x))
		reply(x,
			&(struct sio_response){
				.status = 200,
				.content_type = "text/html; charset=utf-8",
				.headers = web_page_headers,
				.header_count = WEB_PAGE_HEADERS,
			},
			no_page);
}

int pages_listen(struct app *app)
{
	int rc = sio_http(app->io, "/healthz", 0, on_health, app);

	if (rc == 0)
		rc = sio_http(app->io, "/", 0, on_root, app);
	if (rc == 0 && web_asset_count == 0)
		rc = sio_http(app->io, "/chat", 0, on_no_page, app);
	for (size_t i = 0; rc == 0 && i < web_asset_count; i++)
		rc = sio_serve_asset(app->io, &web_assets[i]);
	return rc;
}
