/*
 * sio/json.h -- reading and writing of JSON: what clients send as auth and arguments, and texts that go to them.
 *
 * What a handler is lent (auth, arguments) is valid JSON. A value is a slice of it without blanks around it, so its first byte tells
 * its type: `{`, `[`, `"`, `t`, `f`, `n`, else a number. All of it is O(the text), and may be called from any thread; a struct
 * sio_json_text belongs to one thread at a time.
 */
#ifndef SIO_JSON_H
#define SIO_JSON_H

#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The member of that name: the last one, however it is escaped. False: there is none, or `object` is no JSON object. */
SIO_API SIO_CHECK bool sio_json_member(struct sio_str object, const char *name, struct sio_str *ret_value);
/* The i-th item, from 0. False: there are fewer, or `array` is no JSON array. */
SIO_API SIO_CHECK bool sio_json_item(struct sio_str array, size_t i, struct sio_str *ret_value);
/*
 * A string, decoded to UTF-8 with a NUL behind it. False if it is none, contains a NUL, or does not fit into out_bytes with its NUL.
 */
SIO_API SIO_CHECK bool sio_json_string(struct sio_str value, char *out, size_t out_bytes);
/* A whole number from 0 to max, written without sign, fraction and exponent. */
SIO_API SIO_CHECK bool sio_json_number(struct sio_str value, uint64_t max, uint64_t *ret);
/* Room that suffices for sio_json_quote(), of a text of so many bytes. */
#define SIO_JSON_QUOTED_BYTES(bytes) (6 * (size_t)(bytes) + 3)
/*
 * Write UTF-8 text as a JSON string with its quotes, and a NUL behind it. Returns its bytes without that; where they do not fit, or the
 * text is no UTF-8, 0, and `out` is empty.
 */
SIO_API SIO_CHECK size_t sio_json_quote(char *out, size_t out_bytes, struct sio_str text);

/*
 * JSON that is put together piece by piece: its commas, quotes and escapes are seen to. Zeroed it is ready, and sio_json_free() frees it.
 * When a piece is no UTF-8, or there is no memory, it has failed: it is empty, and stays so. sio_emit() and the like say -EINVAL then, and
 * where brackets and names do not match. Read only.
 */
struct sio_json_text {
	char *s; /* with a NUL behind it; NULL: nothing has been put, or it has failed */
	size_t bytes, room;
	bool failed;
};
/* bracket: '[' or '{'. */
SIO_API void sio_json_open(struct sio_json_text *, char bracket);
/* bracket: ']' or '}'. */
SIO_API void sio_json_close(struct sio_json_text *, char bracket);
/* The name of an object's next member. */
SIO_API void sio_json_put_key(struct sio_json_text *, const char *name);
/* A value of the array, or of the member that was named: text. */
SIO_API void sio_json_put_string(struct sio_json_text *, struct sio_str text);
/* A whole number. */
SIO_API void sio_json_put_int(struct sio_json_text *, int64_t number);
/* true, or false. */
SIO_API void sio_json_put_bool(struct sio_json_text *, bool is_true);
/* One that is JSON already, such as what sio_arg() gave; "null". */
SIO_API void sio_json_put_json(struct sio_json_text *, struct sio_str value);
/* An attachment, by its number from 0. */
SIO_API void sio_json_put_bytes(struct sio_json_text *, uint32_t attachment);
/* What there is; lent until the next piece. */
SIO_API struct sio_str sio_json_written(const struct sio_json_text *);
/* The same as arguments, without attachments. */
SIO_API struct sio_args sio_json_args(const struct sio_json_text *);
/* Then it is as at first. */
SIO_API void sio_json_free(struct sio_json_text *);

#ifdef __cplusplus
}
#endif

#endif
