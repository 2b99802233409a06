/*
 * http/coding.h -- content codings: which a client takes, and making them while we run.
 *
 * Uses: base, zlib. Used by: http/asset.c (codings made at build time), engineio/answer.c. Pure but for memory.
 */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include "base/buf.h"
#include "http/head.h"

enum { HTTP_COMPRESS_BYTES_MIN = 1024 }; /* shorter bodies are not worth it */

/* What Accept-Encoding says of each, in thousandths; 0: not to be used. `*` and silence are resolved (RFC 9110, 12.5.3). */
struct http_wishes {
	int br, gzip, deflate, identity;
};
struct http_wishes http_wishes_of(const struct http_head *head);

enum http_coding {
	HTTP_CODING_IDENTITY,
	HTTP_CODING_GZIP,
	HTTP_CODING_DEFLATE,
	HTTP_CODINGS, /* how many */
};

/* The coding to make for this client: gzip before deflate, and before identity, where it likes them as much. */
enum http_coding http_coding_best(const struct http_head *head);
/* As Content-Encoding says it. Not for identity. */
struct str http_coding_name(enum http_coding coding);

/* Replace the body by its coded form. False, and nothing has changed: no memory, or it would not be shorter. O(body). */
__attribute__((warn_unused_result)) bool http_compress(enum http_coding coding, struct buf *body);

#endif
