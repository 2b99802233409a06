/* tests/sim/client.c -- Socket.IO of a client: see tests/sim/client.h. */
#include "sim/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/client_int.h"

const char *const client_space_names[CLIENT_SPACES] = { "/", "/two" };

void client_init(struct client *c, uint32_t index, enum client_transport transport)
{
	c->index = index;
	c->address = UINT32_C(0x0a000001) + index; /* 10.0.0.0/8: addresses that are counted */
	c->transport = transport;
}

static int encode_head(char *out, size_t room, uint32_t space, const char *type, bool has_id, uint64_t id)
{
	char number[24] = "";

	if (has_id)
		snprintf(number, sizeof(number), "%llu", (unsigned long long)id);
	return snprintf(out, room, "4%s%s%s%s", type, space == 0 ? "" : client_space_names[space],
		space == 0 ? "" : ",", number);
}

void client_say(struct client *c, uint32_t space, char type, bool has_id, uint64_t id, const char *json,
	const struct bytes *attachments, uint32_t attachment_count)
{
	struct bytes text = { 0 };
	char head[64], kind[16] = { type };

	if (attachment_count > 0)
		snprintf(kind, sizeof(kind), "%c%u-", type == '2' ? '5' : '6', attachment_count);
	encode_head(head, sizeof(head), space, kind, has_id, id);
	bytes_add_text(&text, head);
	bytes_add_text(&text, json);
	engine_send(c, false, text.data, text.count);
	for (uint32_t i = 0; i < attachment_count; i++)
		engine_send(c, true, attachments[i].data, attachments[i].count);
}

void client_join(struct client *c, uint32_t space)
{
	struct client_space *s = &c->spaces[space];
	char json[256];

	s->state = SPACE_JOINING;
	s->asked_ns = kernel_now_ns();
	s->early_count = 0;
	int n = snprintf(json, sizeof(json), "{\"c\":%u", c->index);
	if (s->pid[0] != '\0')
		n += snprintf(json + n, sizeof(json) - (size_t)n, ",\"pid\":\"%s\"", s->pid);
	if (s->pid[0] != '\0' && s->offset[0] != '\0')
		n += snprintf(json + n, sizeof(json) - (size_t)n, ",\"offset\":\"%s\"", s->offset);
	snprintf(json + n, sizeof(json) - (size_t)n, "}");
	kernel_note("client %u joins %u: %s", c->index, space, json);
	client_say(c, space, '0', false, 0, json, NULL, 0);
}

/* Any string behind the other arguments is taken for an offset, as official clients do. */
static void note_offset(struct client_space *s, const char *json)
{
	size_t bytes = strlen(json);

	if (bytes < 4 || strcmp(json + bytes - 2, "\"]") != 0)
		return;
	const char *end = json + bytes - 2, *begin = end;
	while (begin > json && begin[-1] != '"')
		begin--;
	if (s->pid[0] != '\0' && (size_t)(end - begin) < sizeof(s->offset)) {
		memcpy(s->offset, begin, (size_t)(end - begin));
		s->offset[end - begin] = '\0';
	}
}

static void tell(struct client *c, const struct heard *h)
{
	uint32_t generation = c->generation;

	world_heard(c, h);
	if (c->generation == generation && (h->type == '2' || h->type == '5') && !h->has_id)
		note_offset(&c->spaces[h->space], h->json);
}

static void copy_member(const char *json, const char *name, char *out, size_t room)
{
	const char *at = strstr(json, name);
	size_t n = 0;

	if (at == NULL) {
		out[0] = '\0';
		return;
	}
	at += strlen(name);
	while (at[n] != '"' && at[n] != '\0' && n + 1 < room)
		n++;
	memcpy(out, at, n);
	out[n] = '\0';
}

static void joined(struct client *c, const struct heard *h)
{
	struct client_space *s = &c->spaces[h->space];
	char before[64];

	if (s->state != SPACE_JOINING)
		kernel_fail("client %u: joined %s twice", c->index, client_space_names[h->space]);
	memcpy(before, s->pid, sizeof(before));
	s->state = SPACE_IN;
	copy_member(h->json, "\"sid\":\"", s->sid, sizeof(s->sid));
	copy_member(h->json, "\"pid\":\"", s->pid, sizeof(s->pid));
	bool recovers = before[0] != '\0' && strcmp(before, s->pid) == 0;
	if (!recovers && s->has_left)
		s->early_count = 0;
	if (!recovers && s->early_count > 0)
		kernel_fail("client %u: heard events of %s before it had joined", c->index,
			client_space_names[h->space]);
	if (!recovers)
		s->offset[0] = '\0';
	world_joined(c, h->space, recovers);
	uint32_t generation = c->generation;
	for (uint32_t i = 0; i < s->early_count && c->generation == generation; i++) {
		const char *json = (const char *)s->early[i].data.data;

		tell(c, &(struct heard){ .type = '2', .space = h->space, .json = json });
	}
	s->early_count = 0;
}

/* Before its CONNECT is answered; attachments are not kept, and are not looked at then. */
static void keep_early(struct client_space *s, const struct heard *h)
{
	struct packet *p = &s->early[s->early_count++];

	if (s->early_count == sizeof(s->early) / sizeof(s->early[0]))
		kernel_fail("too many events before a CONNECT is answered");
	p->data.count = 0;
	bytes_add(&p->data, h->json, strlen(h->json) + 1);
}

static void whole_packet(struct client *c, const struct heard *h)
{
	struct client_space *s = &c->spaces[h->space];

	switch (h->type) {
	case '0':
		joined(c, h);
		break;
	case '1':
		s->state = SPACE_OUT;
		s->pid[0] = s->offset[0] = '\0';
		tell(c, h);
		break;
	case '2':
	case '5':
		if (s->state == SPACE_JOINING)
			keep_early(s, h);
		else if (s->state == SPACE_IN)
			tell(c, h);
		else
			kernel_note("client %u: %s in a namespace that it has left", c->index, h->json);
		break;
	case '3':
	case '6':
		tell(c, h);
		break;
	default:
		kernel_fail("client %u: a packet of type %c: %s", c->index, h->type, h->json);
	}
}

/* `<type>[<n>-][/<nsp>,][<id>][json]` */
static void parse(const char *text, struct heard *h, uint32_t *ret_attachments)
{
	const char *at = text + 1;

	*h = (struct heard){ .type = text[0] };
	*ret_attachments = 0;
	if (h->type == '5' || h->type == '6') {
		*ret_attachments = (uint32_t)strtoul(at, NULL, 10);
		at = strchr(at, '-');
		if (at == NULL || *ret_attachments == 0 || *ret_attachments > CLIENT_ATTACHMENTS_MAX)
			kernel_fail("a packet: %s", text);
		at++;
	}
	if (*at == '/') {
		size_t n = strcspn(at, ",");

		if (n != 4 || memcmp(at, client_space_names[1], 4) != 0)
			kernel_fail("a packet of no namespace of ours: %s", text);
		h->space = 1;
		at += at[n] == ',' ? n + 1 : n;
	}
	if (*at >= '0' && *at <= '9') {
		char *end;

		h->has_id = true;
		h->id = strtoull(at, &end, 10);
		at = end;
	}
	h->json = at;
}

void client_message(struct client *c, bool binary, const uint8_t *data, size_t bytes)
{
	struct heard h;
	uint32_t wanted;

	if (binary) {
		if (c->attachments_wanted == 0)
			kernel_fail("client %u: an attachment of nothing", c->index);
		struct bytes *a = &c->attachments[c->attachment_count++];
		a->count = 0;
		bytes_add(a, data, bytes);
		if (c->attachment_count < c->attachments_wanted)
			return;
		c->attachments_wanted = 0;
		parse((const char *)c->partial.data, &h, &wanted);
		h.attachments = c->attachments;
		h.attachment_count = wanted;
		whole_packet(c, &h);
		return;
	}
	if (c->attachments_wanted != 0)
		kernel_fail("client %u: %.*s where an attachment is due", c->index, (int)bytes, data);
	if (bytes == 0)
		kernel_fail("client %u: an empty message", c->index);
	parse((const char *)data, &h, &wanted);
	if (wanted == 0) {
		whole_packet(c, &h);
		return;
	}
	c->attachments_wanted = wanted;
	c->attachment_count = 0;
	c->partial.count = 0;
	bytes_add(&c->partial, data, bytes + 1);
}

bool client_is_quiet(const struct client *c)
{
	return c->state == CLIENT_OPEN && !c->probing;
}
