/* app/write.c -- see app/write.h. */
#include "app/write.h"

#include <time.h>

int64_t write_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void write_user(struct json *j, const struct store_user *u)
{
	json_lit(j, "{\"id\":");
	json_signed(j, u->id);
	json_lit(j, ",\"name\":");
	json_string(j, u->name);
	json_lit(j, ",\"guest\":");
	json_bool(j, u->guest);
	json_lit(j, "}");
}

void write_room(struct json *j, const struct store_room *r, uint64_t head, uint32_t nonce)
{
	json_lit(j, "{\"id\":");
	json_signed(j, r->id);
	json_lit(j, ",\"name\":");
	json_string(j, r->name);
	json_lit(j, ",\"head\":");
	json_number(j, head);
	json_lit(j, ",\"nonce\":");
	json_number(j, nonce);
	json_lit(j, ",\"first\":");
	json_number(j, r->first_seq);
	json_lit(j, "}");
}

void write_entry(struct json *j, const struct store_entry *e)
{
	json_lit(j, "{\"room\":");
	json_signed(j, e->room);
	json_lit(j, ",\"seq\":");
	json_number(j, e->seq);
	json_lit(j, ",\"nonce\":");
	json_number(j, e->nonce);
	json_lit(j, ",\"kind\":\"message\",\"at\":");
	json_signed(j, e->at_ms);
	json_lit(j, ",\"author\":{\"id\":");
	json_signed(j, e->author);
	json_lit(j, ",\"name\":");
	json_string(j, e->name);
	json_lit(j, "},\"text\":");
	json_string(j, e->text);
	if (e->cid.bytes > 0) {
		json_lit(j, ",\"cid\":");
		json_string(j, e->cid);
	}
	json_lit(j, "}");
}

void write_plain_entry(struct json *j, const struct store_entry *e)
{
	json_lit(j, "{\"seq\":");
	json_number(j, e->seq);
	json_lit(j, ",\"at\":");
	json_signed(j, e->at_ms);
	json_lit(j, ",\"name\":");
	json_string(j, e->name);
	json_lit(j, ",\"text\":");
	json_string(j, e->text);
	json_lit(j, "}");
}

void write_page(struct json *j, const struct store_page *page, bool with_reset)
{
	json_lit(j, "\"room\":");
	json_signed(j, page->room);
	if (with_reset) {
		json_lit(j, ",\"reset\":");
		json_bool(j, page->reset);
	}
	json_lit(j, ",\"entries\":[");
	for (size_t i = 0; i < page->count; i++) {
		if (i > 0)
			json_lit(j, ",");
		write_entry(j, &page->entries[i]);
	}
	json_lit(j, "],\"as_of\":");
	json_number(j, page->as_of);
	json_lit(j, ",\"more\":");
	json_bool(j, page->more);
}
