/* socketio/packet.c -- see socketio/packet.h. */
#include "socketio/packet.h"

#include "base/assert.h"
#include "base/json.h"
#include "sio/sio.h"

bool sio_event_reserved(struct str name)
{
	static const struct str reserved[] = {
		{ "connect", 7 },
		{ "connect_error", 13 },
		{ "disconnect", 10 },
		{ "disconnecting", 13 },
		{ "newListener", 11 },
		{ "removeListener", 14 },
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (str_equal(name, reserved[i]))
			return true;
	}
	return false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Digits from *at on, at least one; false if they pass max. */
static bool take_number(const char *text, size_t bytes, size_t *at, uint64_t max, uint64_t *ret)
{
	size_t end = *at;

	while (end < bytes && is_digit(text[end]))
		end++;
	if (!str_parse_u64(str_of(text + *at, end - *at), max, ret))
		return false;
	*at = end;
	return true;
}

/* `["name",1,2]` to its name and `[1,2]`. */
static const char *split_event(char *text, size_t bytes, struct sio_packet *ret)
{
	struct json_value items[2];
	size_t count;

	if (!json_scan_array(str_of(text, bytes), items, 2, &count))
		return "an event is no JSON array";
	if (count == 0 || (items[0].type != JSON_STRING && items[0].type != JSON_NUMBER))
		return "an event has no name";
	char *name = text + (items[0].text.s - text);
	if (items[0].type == JSON_NUMBER)
		ret->name = items[0].text;
	else if (memchr(name, '\\', items[0].text.bytes) == NULL)
		ret->name = str_of(name + 1, items[0].text.bytes - 2);
	else
		ret->name = str_of(name, json_decode_string(name, items[0]));
	if (items[0].type == JSON_STRING && sio_event_reserved(ret->name))
		return "an event has a reserved name";
	if (count == 1) {
		ret->json = STR("[]");
		return NULL;
	}
	while (bytes > 0 && is_space(text[bytes - 1]))
		bytes--;
	/* Before the first argument stands a comma, or white space behind it. */
	size_t from = (size_t)(items[1].text.s - text) - 1;
	text[from] = '[';
	ret->json = str_of(text + from, bytes - from);
	return NULL;
}

static const char *take_payload(char *text, size_t bytes, struct sio_packet *ret)
{
	struct json_value value;
	size_t count;

	ret->json = str_of(text, bytes);
	switch (ret->type) {
	case SIO_CONNECT:
		if (bytes > 0 && (!json_scan(ret->json, &value) || value.type != JSON_OBJECT))
			return "a CONNECT payload is no JSON object";
		if (bytes > 0)
			ret->json = value.text;
		return NULL;
	case SIO_DISCONNECT:
		return bytes > 0 ? "a DISCONNECT has a payload" : NULL;
	case SIO_CONNECT_ERROR: /* out of place, wherever it comes */
		if (bytes > 0 && (!json_scan(ret->json, &value) ||
					 (value.type != JSON_OBJECT && value.type != JSON_STRING)))
			return "a CONNECT_ERROR payload is no JSON object or string";
		if (bytes > 0)
			ret->json = value.text;
		return NULL;
	case SIO_EVENT:
	case SIO_BINARY_EVENT:
		return split_event(text, bytes, ret);
	case SIO_ACK:
	case SIO_BINARY_ACK:
		if (bytes == 0)
			ret->json = STR("[]");
		else if (!json_scan_array(ret->json, NULL, 0, &count))
			return "an ACK is no JSON array";
		return NULL;
	}
	return "unknown packet type";
}

const char *sio_packet_decode(char *text, size_t bytes, struct sio_packet *ret)
{
	size_t at = 1;
	uint64_t number;

	if (bytes == 0 || text[0] < '0' || text[0] > '6')
		return "unknown packet type";
	*ret = (struct sio_packet){ .type = (enum sio_type)(text[0] - '0'), .space = STR("/") };
	if (ret->type == SIO_BINARY_EVENT || ret->type == SIO_BINARY_ACK) {
		if (!take_number(text, bytes, &at, SIO_ATTACHMENTS_MAX, &number) || number == 0 ||
			at == bytes || text[at] != '-')
			return "illegal attachments";
		ret->attachments = (uint32_t)number;
		at++;
	}
	if (at < bytes && text[at] == '/') {
		const char *comma = memchr(text + at, ',', bytes - at);
		size_t end = comma == NULL ? bytes : (size_t)(comma - text);

		ret->space = str_of(text + at, end - at);
		at = end + (comma != NULL);
	}
	if (at < bytes && is_digit(text[at])) {
		if (!take_number(text, bytes, &at, SIO_ACK_ID_MAX, &ret->id))
			return "an ack id is too large";
		ret->has_id = true;
	}
	const char *wrong = take_payload(text + at, bytes - at, ret);
	if (wrong == NULL && ret->attachments > 0 && !sio_placeholders_valid(ret->json, ret->attachments))
		return "illegal placeholder";
	return wrong;
}
