/*
 * fuzz/fuzz_sio_packet.c -- any text as a Socket.IO packet.
 *
 * What is accepted is valid JSON that may be sent on, its slices lie in the text, its numbers are within their limits, and
 * written down again it is the same packet.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "sio/sio.h"
#include "socketio/packet.h"

static bool is_event(const struct sio_packet *p)
{
	return p->type == SIO_EVENT || p->type == SIO_BINARY_EVENT;
}

static bool is_ack(const struct sio_packet *p)
{
	return p->type == SIO_ACK || p->type == SIO_BINARY_ACK;
}

/* Object by object, what sio_placeholders_valid() says of all in one pass. JSON_DEPTH_MAX levels at most. */
static bool placeholders_right(struct json_value value, uint32_t attachments)
{
	struct json_walk w = json_walk_begin(value);
	struct json_value item;
	uint64_t num;
	bool right = true;

	if (json_member(value, STR("_placeholder"), &item) && item.type == JSON_TRUE)
		right = json_member(value, STR("num"), &item) && json_u64(item, attachments - 1, &num);
	while (json_walk_next(&w, NULL, &item))
		right &= placeholders_right(item, attachments);
	return right;
}

/* `text` is what it was decoded from. */
static void check_packet(const struct sio_packet *p, const char *text, size_t bytes)
{
	bool binary = p->type == SIO_BINARY_EVENT || p->type == SIO_BINARY_ACK;
	struct json_value value;
	size_t count;

	assert(binary ? p->attachments > 0 && p->attachments <= SIO_ATTACHMENTS_MAX : p->attachments == 0);
	assert(p->space.bytes > 0 && p->space.s[0] == '/' && memchr(p->space.s, ',', p->space.bytes) == NULL);
	assert(fuzz_within(p->space, text, bytes) || str_equal(p->space, STR("/")));
	assert(p->has_id ? p->id <= SIO_ACK_ID_MAX : p->id == 0);
	assert(fuzz_within(p->json, text, bytes) || str_equal(p->json, STR("[]")));
	assert(utf8_valid((const uint8_t *)p->json.s, p->json.bytes));
	if (is_event(p) || is_ack(p))
		assert(json_scan_array(p->json, NULL, 0, &count));
	else if (p->json.bytes > 0)
		assert((p->type == SIO_CONNECT || p->type == SIO_CONNECT_ERROR) &&
			json_scan(p->json, &value) &&
			(value.type == JSON_OBJECT ||
				(value.type == JSON_STRING && p->type == SIO_CONNECT_ERROR)));
	if (is_event(p)) {
		assert(fuzz_within(p->name, text, bytes) && !sio_event_reserved(p->name));
		assert(utf8_valid((const uint8_t *)p->name.s, p->name.bytes));
	}
	if (binary)
		assert(sio_placeholders_valid(p->json, p->attachments));
	for (uint32_t n = 1; n <= 2 && p->json.bytes > 0; n++)
		assert(json_scan(p->json, &value) &&
			sio_placeholders_valid(p->json, n) == placeholders_right(value, n));
}

/* An event's payload: its name put back before its arguments. */
static void put_event(struct buf *b, const struct sio_packet *p)
{
	char *quoted = fuzz_room(json_quoted_bytes(p->name));
	struct json_value items[1];
	size_t count;

	assert(json_scan_array(p->json, items, 1, &count));
	assert(buf_append_str(b, STR("[")) && buf_append(b, quoted, json_quote(quoted, p->name)));
	assert(buf_append_str(b, count == 0 ? STR("") : STR(",")));
	assert(buf_append(b, p->json.s + 1, p->json.bytes - 1));
	free(quoted);
}

static void check_written_again(const struct sio_packet *p)
{
	struct sio_packet again;
	struct buf b;
	char line[64];
	int n = snprintf(line, sizeof(line), "%d", (int)p->type);

	buf_init(&b, 1 << 24);
	assert(buf_append(&b, line, (size_t)n));
	n = snprintf(line, sizeof(line), "%" PRIu32 "-", p->attachments);
	assert(p->attachments == 0 || buf_append(&b, line, (size_t)n));
	assert(buf_append_str(&b, p->space) && buf_append_str(&b, STR(",")));
	assert(!p->has_id || buf_append_u64(&b, p->id));
	if (is_event(p))
		put_event(&b, p);
	else
		assert(buf_append_str(&b, p->json));
	assert(sio_packet_decode((char *)b.data, b.bytes, &again) == NULL);
	assert(again.type == p->type && again.attachments == p->attachments);
	assert(str_equal(again.space, p->space) && again.has_id == p->has_id && again.id == p->id);
	assert(str_equal(again.name, p->name));
	/* White space between '[' and an argument stays; what there was behind '[]' does not. */
	assert(str_equal(again.json, p->json) || str_equal(again.json, STR("[]")));
	buf_finish(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct sio_packet p;

	if (!utf8_valid(data, bytes))
		return 0;
	char *text = fuzz_copy(data, bytes);
	const char *wrong = sio_packet_decode(text, bytes, &p);

	if (wrong == NULL) {
		check_packet(&p, text, bytes);
		check_written_again(&p);
	} else {
		assert(wrong[0] != '\0');
	}
	free(text);
	return 0;
}
