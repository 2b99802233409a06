/*
 * app/json.h -- writing JSON piece by piece: a buffer that remembers that it failed.
 *
 * Bounded by JSON_OUT_BYTES_MAX; past it, or without memory, what is written is void, and json_failed() says so once for
 * all pieces. Caller-owned value. Threads: belongs to one at a time.
 */
#ifndef APP_JSON_H
#define APP_JSON_H

#include "base/buf.h"

enum { JSON_OUT_BYTES_MAX = 4 << 20 };

struct json {
	struct buf buf;
	bool failed;
};

void json_init(struct json *);
void json_finish(struct json *);
static inline bool json_failed(const struct json *j)
{
	return j->failed;
}
static inline struct str json_str(const struct json *j)
{
	return buf_str(&j->buf);
}

/* Room for so much more in one step; what is written past it finds its own. */
void json_reserve(struct json *, size_t bytes);
/* As it is. */
void json_raw(struct json *, struct str piece);
#define json_lit(j, literal) json_raw((j), STR(literal))
void json_number(struct json *, uint64_t);
void json_signed(struct json *, int64_t);
/* With quotes and escapes; valid UTF-8. */
void json_string(struct json *, struct str text);
void json_bool(struct json *, bool);

#endif
