/* load/chat.c -- see load/chat.h. */
#include "chat.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define HELLO  "42/chat,0[\"hello\",{\"name\":\"load\"}]"
#define ANSWER "43/chat,"
#define ENTRY  "42/chat,[\"entry\",{\"room\":1,\"seq\":"
#define ERROR  "[{\"ok\":false,\"error\":\""
#define TEXT   ",\"text\":\""
#define CID    "\",\"cid\":\""
#define END    "\"}]"

/* What is left of a message. */
struct rest {
	const char *s;
	size_t bytes;
};

static bool skip_bytes(struct rest *r, const char *literal, size_t bytes)
{
	if (r->bytes < bytes || memcmp(r->s, literal, bytes) != 0)
		return false;
	r->s += bytes;
	r->bytes -= bytes;
	return true;
}

#define SKIP(rest, literal) skip_bytes(rest, literal, sizeof(literal) - 1)

static bool take_number(struct rest *r, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	size_t n = 0;

	for (; n < r->bytes && r->s[n] >= '0' && r->s[n] <= '9'; n++) {
		value = value * 10 + (unsigned)(r->s[n] - '0');
		if (value > max)
			return false;
	}
	r->s += n;
	r->bytes -= n;
	*ret = value;
	return n > 0;
}

enum load_step load_chat_step(
	enum load_join join, const uint8_t *message, size_t message_bytes, const char **ret_reply)
{
	struct rest r = { (const char *)message, message_bytes };

	if (message_bytes == 1 && message[0] == '2') {
		*ret_reply = "3";
		return LOAD_STEP_REPLY;
	}
	switch (join) {
	case LOAD_JOIN_OPENING:
		*ret_reply = "40/chat,";
		return SKIP(&r, "0{") ? LOAD_STEP_JOIN : LOAD_STEP_BAD;
	case LOAD_JOIN_JOINING:
		*ret_reply = HELLO;
		return SKIP(&r, "40/chat,{") ? LOAD_STEP_GREET : LOAD_STEP_BAD;
	case LOAD_JOIN_GREETING:
		return SKIP(&r, ANSWER "0[{\"ok\":true,") ? LOAD_STEP_JOINED : LOAD_STEP_BAD;
	case LOAD_JOIN_DONE:
		return message_bytes > 0 && message[0] == '4' ? LOAD_STEP_MESSAGE : LOAD_STEP_BAD;
	}
	return LOAD_STEP_BAD;
}

size_t load_chat_post(
	char *out, uint32_t id, const char cid[LOAD_CHAT_CID_BYTES], const char *text, size_t text_bytes)
{
	int n = snprintf(out, LOAD_MESSAGE_BYTES_MAX,
		"42/chat,%u[\"message.send\",{\"room\":1,\"cid\":\"%.*s\",\"text\":\"%.*s" END, id,
		LOAD_CHAT_CID_BYTES, cid, (int)text_bytes, text);

	assert(n > 0 && n < LOAD_MESSAGE_BYTES_MAX);
	return (size_t)n;
}

/* For people, in a line of JSON: letters and '_' as they are. */
static void take_error(struct rest *r, char ret_error[LOAD_CHAT_ERROR_BYTES])
{
	size_t n = 0;

	if (SKIP(r, ERROR))
		for (; n + 1 < LOAD_CHAT_ERROR_BYTES && n < r->bytes &&
			((r->s[n] >= 'a' && r->s[n] <= 'z') || r->s[n] == '_');
			n++)
			ret_error[n] = r->s[n];
	ret_error[n] = '\0';
}

static bool take_answer(struct rest *r, struct load_chat_message *m)
{
	uint64_t id;

	if (!take_number(r, UINT32_MAX, &id))
		return false;
	m->kind = LOAD_CHAT_ANSWER;
	m->id = (uint32_t)id;
	m->ok = SKIP(r, "[{\"ok\":true,\"seq\":");
	if (m->ok)
		return take_number(r, INT64_MAX, &m->seq);
	take_error(r, m->error);
	return true;
}

static bool take_entry(struct rest *r, struct load_chat_message *m)
{
	const size_t tail = sizeof(CID) - 1 + LOAD_CHAT_CID_BYTES + sizeof(END) - 1;

	if (!take_number(r, INT64_MAX, &m->seq) || r->bytes < tail)
		return false;
	struct rest cid = { r->s + r->bytes - tail, tail };
	const char *text = memmem(r->s, r->bytes - tail, TEXT, sizeof(TEXT) - 1);

	if (!text || !SKIP(&cid, CID) || memcmp(cid.s + LOAD_CHAT_CID_BYTES, END, sizeof(END) - 1) != 0)
		return false;
	m->kind = LOAD_CHAT_ENTRY;
	m->cid = cid.s;
	m->text = text + sizeof(TEXT) - 1;
	m->text_bytes = (size_t)(cid.s - (sizeof(CID) - 1) - m->text);
	return true;
}

struct load_chat_message load_chat_read(const uint8_t *message, size_t message_bytes)
{
	struct load_chat_message m = { .kind = LOAD_CHAT_BAD };
	struct rest r = { (const char *)message, message_bytes };
	bool good = SKIP(&r, ENTRY) ? take_entry(&r, &m) : SKIP(&r, ANSWER) && take_answer(&r, &m);

	if (!good)
		m.kind = LOAD_CHAT_BAD;
	return m;
}
