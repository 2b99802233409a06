/* fuzz/server/raw.h -- connections that send whatever the input says: see fuzz/server/scene.h. */
#ifndef FUZZ_SERVER_RAW_H
#define FUZZ_SERVER_RAW_H

#include "server/scene.h"

enum {
	RAW_ID_BYTES = 48,
	RAW_REPEATED_BYTES_MAX = 40000,
	RAW_IDS_MAX = 16, /* of a kind; behind them the last is replaced */
};

enum raw_id { RAW_SESSION, RAW_SID, RAW_PID, RAW_OFFSET, RAW_ID_KINDS };

struct raw {
	struct tcp *tcp; /* NULL: none yet */
	bool open, stalled;
	struct bytes last; /* that was sent */
	bool is_ws; /* it has been switched to WebSocket */
	char session[RAW_ID_BYTES]; /* the last that it was told */
	char sid[RAW_ID_BYTES]; /* likewise, of a session or of a socket */
	/* Where the search for ids is. */
	uint64_t window; /* the last eight bytes */
	char text[RAW_ID_BYTES]; /* since the last quote; */
	uint32_t text_bytes;
	bool is_text; /* it may be an id */
	char before[2][RAW_ID_BYTES]; /* the texts before that, the last one first */
};

/* One of SCENE_RAWS. */
struct raw *raw_at(uint8_t index);
/* None is open, and no ids are known. */
void raws_begin(void);
/* Anew, if so many have been; what was there before ends in order. */
void raw_connect(struct raw *);
/* It is connected for that if it is not. */
void raw_send(struct raw *, const void *data, size_t bytes);
/* What was sent last, again: so often, or as often as RAW_REPEATED_BYTES_MAX allow. */
void raw_repeat(struct raw *, uint32_t times);
/* One that is none of SCENE_RAWS', and asks for a session. */
struct raw *raw_newcomer(void);
void raw_stall(struct raw *);
void raw_close(struct raw *, bool resets);
void raw_vanish(struct raw *);
/* All that are there end. */
void raws_close(bool resets);
/* The i-th that was seen, or the last one; "" if there is none. */
const char *raw_id(enum raw_id, uint8_t i);

/* template.c */
/* What a template is filled in with. */
struct filling {
	struct raw *raw;
	uint8_t index; /* which of the ids; 0: for a session the connection's own */
	uint8_t number;
	uint8_t headers; /* which further ones */
	const struct bytes *body;
};
/* The request: the n-th, whatever n is. */
void template_request(struct bytes *out, uint8_t n, const struct filling *);
bool template_has_body(uint8_t n);
/* Packets of Engine.IO with their types, RAW_SEPARATOR between them; binary ones as polling has them. */
void template_packets(struct bytes *out, uint8_t n, const struct filling *);
enum { RAW_SEPARATOR = 0x1e };

#endif
