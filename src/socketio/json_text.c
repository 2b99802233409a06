/* socketio/json_text.c -- JSON that is put together piece by piece: see sio/json.h. A comma goes before a value that stands behind another. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "sio/json.h"

enum { BEGIN_BYTES = 256, NUMBER_BYTES = 64 };

static void fail(struct sio_json_text *t)
{
	free(t->s);
	*t = (struct sio_json_text){ .failed = true };
}

/* Room for so many, behind a comma if one is due. NULL: it has failed. */
static char *extend(struct sio_json_text *t, size_t bytes, bool value)
{
	char last = t->bytes == 0 ? '[' : t->s[t->bytes - 1];
	bool comma = value && last != '[' && last != '{' && last != ':';
	size_t need = t->bytes + comma + bytes + 1;

	if (t->failed)
		return NULL;
	if (need > t->room) {
		size_t room = t->room * 2 > need ? t->room * 2 : need + BEGIN_BYTES;
		char *bigger = realloc(t->s, room);
		if (bigger == NULL) {
			fail(t);
			return NULL;
		}
		t->s = bigger;
		t->room = room;
	}
	if (comma)
		t->s[t->bytes++] = ',';
	char *at = t->s + t->bytes;
	t->bytes += bytes;
	t->s[t->bytes] = '\0';
	return at;
}

static void put(struct sio_json_text *t, const char *text, size_t bytes, bool value)
{
	char *at = extend(t, bytes, value);

	if (at != NULL && bytes > 0)
		memcpy(at, text, bytes);
}

void sio_json_open(struct sio_json_text *t, char bracket)
{
	put(t, &bracket, 1, true);
}

void sio_json_close(struct sio_json_text *t, char bracket)
{
	put(t, &bracket, 1, false);
}

void sio_json_put_string(struct sio_json_text *t, struct sio_str text)
{
	struct str plain = str_of(text.s, text.bytes);

	if (!utf8_valid((const uint8_t *)text.s, text.bytes)) {
		fail(t);
		return;
	}
	size_t bytes = json_quoted_bytes(plain);
	char *at = extend(t, bytes, true);
	if (at != NULL)
		(void)json_quote(at, plain);
}

void sio_json_put_key(struct sio_json_text *t, const char *name)
{
	sio_json_put_string(t, sio_text(name));
	put(t, ":", 1, false);
}

void sio_json_put_int(struct sio_json_text *t, int64_t number)
{
	char text[NUMBER_BYTES];
	int n = snprintf(text, sizeof(text), "%" PRId64, number);

	put(t, text, (size_t)n, true);
}

void sio_json_put_bool(struct sio_json_text *t, bool is_true)
{
	struct sio_str text = is_true ? SIO_STR("true") : SIO_STR("false");

	put(t, text.s, text.bytes, true);
}

void sio_json_put_json(struct sio_json_text *t, struct sio_str value)
{
	if (value.bytes == 0)
		fail(t);
	else
		put(t, value.s, value.bytes, true);
}

void sio_json_put_bytes(struct sio_json_text *t, uint32_t attachment)
{
	char text[NUMBER_BYTES];
	int n = snprintf(text, sizeof(text), "{\"_placeholder\":true,\"num\":%" PRIu32 "}", attachment);

	put(t, text, (size_t)n, true);
}

struct sio_str sio_json_written(const struct sio_json_text *t)
{
	return (struct sio_str){ t->s, t->bytes };
}

struct sio_args sio_json_args(const struct sio_json_text *t)
{
	return (struct sio_args){ .json = sio_json_written(t) };
}

void sio_json_free(struct sio_json_text *t)
{
	free(t->s);
	*t = (struct sio_json_text){ 0 };
}
