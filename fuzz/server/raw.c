/* fuzz/server/raw.c -- connections, and the ids that are seen on them: see fuzz/server/raw.h. */
#include "server/raw.h"

#include <string.h>

#define SWITCHED UINT64_C(0x312e312031303120) /* "1.1 101 " */

static struct raw raws[SCENE_RAWS], newcomer;
static char ids[RAW_ID_KINDS][RAW_IDS_MAX][RAW_ID_BYTES];
static uint32_t counts[RAW_ID_KINDS];
static uint32_t connects;

struct raw *raw_at(uint8_t index)
{
	return &raws[index % SCENE_RAWS];
}

void raws_begin(void)
{
	memset(raws, 0, sizeof(raws));
	memset(ids, 0, sizeof(ids));
	memset(counts, 0, sizeof(counts));
	connects = 0;
}

const char *raw_id(enum raw_id kind, uint8_t i)
{
	uint32_t count = counts[kind];

	if (count == 0)
		return "";
	return ids[kind][i < count ? i : count - 1];
}

static void keep(enum raw_id kind, const char *text)
{
	if (counts[kind] < RAW_IDS_MAX)
		counts[kind]++;
	memcpy(ids[kind][counts[kind] - 1], text, RAW_ID_BYTES);
}

static bool is_id_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-' || c == '.';
}

/* "sid":"..." and "pid":"..."; a session's id is followed by "upgrades". */
static void between_quotes(struct raw *r)
{
	bool named = strcmp(r->before[0], ":") == 0 && r->is_text;

	r->text[r->text_bytes] = '\0';
	if (named && strcmp(r->before[1], "sid") == 0) {
		keep(RAW_SID, r->text);
		memcpy(r->sid, r->text, RAW_ID_BYTES);
	} else if (named && strcmp(r->before[1], "pid") == 0) {
		keep(RAW_PID, r->text);
	} else if (strcmp(r->text, "upgrades") == 0) {
		keep(RAW_SESSION, r->sid);
		memcpy(r->session, r->sid, RAW_ID_BYTES);
	}
	memcpy(r->before[1], r->before[0], RAW_ID_BYTES);
	memcpy(r->before[0], r->text, RAW_ID_BYTES);
	r->text_bytes = 0;
	r->is_text = true;
}

static void look(struct raw *r, uint8_t c)
{
	uint8_t last = (uint8_t)r->window;

	r->window = r->window << 8 | c;
	if (r->window == SWITCHED)
		r->is_ws = true;
	if (c == '"') {
		between_quotes(r);
		return;
	}
	/* A last argument that is a text may be a place to go on from. */
	if (c == ']' && last == '"' && strlen(r->before[0]) > 6)
		keep(RAW_OFFSET, r->before[0]);
	r->is_text = r->is_text && is_id_char(c);
	if (r->text_bytes + 1 < RAW_ID_BYTES)
		r->text[r->text_bytes++] = (char)c;
	else
		r->is_text = false;
}

static void connected(void *ctx)
{
	(void)ctx;
}

static void received(void *ctx, const uint8_t *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		look(ctx, data[i]);
}

static void ended(void *ctx, int error)
{
	struct raw *r = ctx;

	if (error != 0)
		r->open = false;
}

static const struct tcp_ops ops = { .connected = connected, .data = received, .ended = ended };

static void connect_anew(struct raw *r)
{
	*r = (struct raw){ .open = true };
	r->tcp = tcp_connect(scene->from_loopback ? UINT32_C(0x7f000001) : UINT32_C(0x0a000101), &ops, r);
}

void raw_connect(struct raw *r)
{
	if (connects == SCENE_CONNECTS_MAX)
		return;
	connects++;
	if (r->open)
		tcp_close(r->tcp);
	connect_anew(r);
}

void raw_send(struct raw *r, const void *data, size_t bytes)
{
	if (!r->open)
		raw_connect(r);
	if (!r->open)
		return;
	tcp_send(r->tcp, data, bytes);
	r->last.count = 0;
	bytes_add(&r->last, data, bytes);
}

void raw_repeat(struct raw *r, uint32_t times)
{
	for (size_t sent = 0; r->open && times > 0 && sent + r->last.count < RAW_REPEATED_BYTES_MAX;
		times--) {
		tcp_send(r->tcp, r->last.data, r->last.count);
		sent += r->last.count;
	}
}

struct raw *raw_newcomer(void)
{
	struct bytes out = { 0 };

	connect_anew(&newcomer);
	template_request(&out, 0, &(struct filling){ .raw = &newcomer });
	raw_send(&newcomer, out.data, out.count);
	return &newcomer;
}

void raw_stall(struct raw *r)
{
	r->stalled = !r->stalled;
	if (r->open)
		tcp_stall(r->tcp, r->stalled);
}

void raw_close(struct raw *r, bool resets)
{
	if (r->open && resets)
		tcp_reset(r->tcp);
	else if (r->open)
		tcp_close(r->tcp);
	r->open = false;
}

void raw_vanish(struct raw *r)
{
	if (r->open)
		tcp_vanish(r->tcp);
	r->open = false;
}

void raws_close(bool resets)
{
	for (uint8_t i = 0; i < SCENE_RAWS; i++)
		raw_close(raw_at(i), resets);
}
