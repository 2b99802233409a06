/* app/json.c -- see app/json.h. */
#include "app/json.h"

#include "base/json.h"

void json_init(struct json *j)
{
	buf_init(&j->buf, JSON_OUT_BYTES_MAX);
	j->failed = false;
}

void json_finish(struct json *j)
{
	buf_finish(&j->buf);
}

void json_reserve(struct json *j, size_t bytes)
{
	if (!j->failed && !buf_reserve(&j->buf, bytes))
		j->failed = true;
}

void json_raw(struct json *j, struct str piece)
{
	if (!j->failed && !buf_append_str(&j->buf, piece))
		j->failed = true;
}

void json_number(struct json *j, uint64_t value)
{
	if (!j->failed && !buf_append_u64(&j->buf, value))
		j->failed = true;
}

void json_signed(struct json *j, int64_t value)
{
	if (value < 0)
		json_lit(j, "-");
	json_number(j, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_string(struct json *j, struct str text)
{
	size_t bytes = json_quoted_bytes(text);

	if (j->failed || !buf_reserve(&j->buf, bytes)) {
		j->failed = true;
		return;
	}
	j->buf.bytes += json_quote((char *)j->buf.data + j->buf.bytes, text);
}

void json_bool(struct json *j, bool value)
{
	json_raw(j, value ? STR("true") : STR("false"));
}
