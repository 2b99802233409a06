/*
 * http/asset.h -- static files held in memory: which answer a request for one gets.
 *
 * Pure: no I/O, no malloc. Uses: base. Used by: http/server.c (the client library), app/ (the web application).
 *
 * An asset is a constant with up to three encodings made at build time; this picks one (RFC 9110, 12.5.3), or says
 * that the client has it already (13.1.2). Ranges are ignored, which the RFC allows: the whole is sent.
 */
#ifndef HTTP_ASSET_H
#define HTTP_ASSET_H

#include "http/response.h"

enum {
	HTTP_ETAG_BYTES_MAX = 80, /* with quotes and the encoding's suffix; an asset's own at most 8 less */
	HTTP_ASSET_OWN_HEADERS_MAX = 16, /* an asset's */
	HTTP_ASSET_HEADERS_MAX = HTTP_ASSET_OWN_HEADERS_MAX + 3,
};

struct http_asset_body {
	const uint8_t *data;
	size_t bytes;
};

/* A constant of the program; every answer is a loan from it. */
struct http_asset {
	const char *path; /* where it is served; for the caller's look-up */
	const char *content_type;
	const char *etag; /* a strong one with its quotes: "\"5d41402a\"" */
	const char *cache_control;
	struct http_asset_body identity;
	struct http_asset_body gzip, br; /* .data NULL: not offered */
	const struct http_header *headers; /* further ones, with a 200 and a 304: a policy, say. Valid */
	size_t header_count; /* at most HTTP_ASSET_OWN_HEADERS_MAX */
};

/*
 * What to send. `response` refers to `headers` and `etag` of this same struct: it is not to be copied, and lives as
 * long as the request head and the asset do.
 */
struct http_asset_answer {
	struct http_response response; /* status 200, 304 or 405; the date is left to the caller */
	const uint8_t *body; /* response.content_length bytes with a 200 to GET, or else NULL */
	struct http_header headers[HTTP_ASSET_HEADERS_MAX];
	char etag[HTTP_ETAG_BYTES_MAX];
};

/*
 * Answer a request for this asset.
 *
 * GET and HEAD: 200 with the encoding of the highest q-value, on a tie br before gzip before identity; identity where
 * nothing else is acceptable. `Vary: Accept-Encoding` where there is a choice. Every encoding has its own ETag;
 * If-None-Match (a list, weakly compared, or `*`) that names the one picked: 304. Any other method: 405 with Allow.
 * keep_alive and minor are the request's.
 */
void http_asset_answer(
	const struct http_asset *asset, const struct http_head *head, struct http_asset_answer *ret_answer);

#endif
