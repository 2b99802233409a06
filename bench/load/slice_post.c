/*
 * load/slice_post.c -- durable posts to the chat's lobby: W in flight, spread evenly over all connections (closed loop).
 *
 *	request i, of connection i % N: sent --its entry pushed--> told --answered--> the next post
 *
 * A post has come out when it is answered and its entry has been pushed to all N; its latency ends with the answer. Each
 * connection must be pushed every entry once, in order (a seq is the last one's plus one), and all of them ours. On its
 * sender's connection an entry comes before the answer, whole, and both say the same seq: so the answers' numbers are
 * distinct and without a gap too.
 */
#include "chat.h"
#include "slice.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A cid is these three behind each other. */
enum { CID_RUN_BYTES = 17, CID_REQUEST_DIGITS = 5, CID_NUMBER_DIGITS = 10 };

static_assert(CID_RUN_BYTES + CID_REQUEST_DIGITS + CID_NUMBER_DIGITS == LOAD_CHAT_CID_BYTES, "a cid's parts");

static void write_cid(const struct load_slice *s, uint32_t request, char ret_cid[LOAD_CHAT_CID_BYTES + 1])
{
	int n = snprintf(ret_cid, LOAD_CHAT_CID_BYTES + 1, "b%016" PRIx64 "%05u%010u", s->run, request,
		s->posts[request].number);

	assert(n == LOAD_CHAT_CID_BYTES);
}

static uint32_t request_of(const char *cid)
{
	uint32_t request = 0;

	for (size_t i = CID_RUN_BYTES; i < CID_RUN_BYTES + CID_REQUEST_DIGITS; i++)
		request = request * 10 + (uint32_t)(uint8_t)(cid[i] - '0') % 10;
	return request;
}

static void post(struct load_slice *s, uint32_t request, uint64_t at_ns)
{
	char cid[LOAD_CHAT_CID_BYTES + 1], text[LOAD_TEXT_BYTES_MAX], message[LOAD_MESSAGE_BYTES_MAX];
	struct load_client *c = s->client;
	struct load_post *p = &s->posts[request];

	*p = (struct load_post){ .number = s->seq++, .at_ns = at_ns };
	write_cid(s, request, cid);
	load_slice_text(s, text, p->number, request);
	size_t n = c->options.protocol->post(message, request, cid, text, s->text_bytes);
	s->started++;
	load_client_send(c, &c->conns[request % c->options.conns], message, n);
}

static void post_begin(struct load_slice *s)
{
	assert(s->spec.in_flight >= 1 && s->spec.in_flight <= LOAD_POSTS_MAX);
	if (s->run == 0)
		s->run = load_now_ns() << 16 | ((uint64_t)getpid() & 0xffff); /* no two processes have one */
	for (uint32_t i = 0; i < s->spec.in_flight && load_slice_may_start(s); i++)
		post(s, i, load_now_ns());
}

static void count_done(struct load_slice *s)
{
	uint64_t everywhere = s->pushed / s->client->options.conns;

	s->done = s->deliveries < everywhere ? s->deliveries : everywhere;
	s->last_at_ns = s->client->now_ns;
}

/* What its sender hears of it. */
static const char *take_own_entry(struct load_slice *s, uint32_t request, const struct load_chat_message *m)
{
	char cid[LOAD_CHAT_CID_BYTES + 1], text[LOAD_TEXT_BYTES_MAX];
	struct load_post *p = &s->posts[request];

	write_cid(s, request, cid);
	if (request >= s->spec.in_flight || memcmp(m->cid, cid, LOAD_CHAT_CID_BYTES) != 0)
		return "an entry that nobody posted";
	if (p->at_ns == 0 || p->seq != 0)
		return "an entry that was pushed or answered before";
	load_slice_text(s, text, p->number, request);
	if (m->text_bytes != s->text_bytes || memcmp(m->text, text, s->text_bytes) != 0)
		return "an entry with another text";
	p->seq = m->seq;
	return NULL;
}

static const char *take_entry(struct load_slice *s, struct load_conn *conn, const struct load_chat_message *m)
{
	char run[CID_RUN_BYTES + 1];
	uint32_t request = request_of(m->cid);

	if (conn->seq != 0 && m->seq != conn->seq + 1)
		return "an entry that is not the next one";
	conn->seq = m->seq;
	s->pushed++;
	snprintf(run, sizeof(run), "b%016" PRIx64, s->run);
	if (memcmp(m->cid, run, CID_RUN_BYTES) != 0 || request >= LOAD_POSTS_MAX)
		return "an entry that nobody posted";
	return request % s->client->options.conns == conn->index ? take_own_entry(s, request, m) : NULL;
}

static const char *take_answer(
	struct load_slice *s, const struct load_conn *conn, const struct load_chat_message *m)
{
	if (m->id >= s->spec.in_flight || m->id % s->client->options.conns != conn->index)
		return "an answer to nothing";
	struct load_post *p = &s->posts[m->id];

	if (p->at_ns == 0)
		return "an answer to nothing";
	if (!m->ok)
		return m->error[0] != '\0' ? m->error : "refused";
	if (p->seq == 0)
		return "an answer before its entry";
	if (p->seq != m->seq)
		return "an answer with another number than its entry";
	load_slice_delivered(s, p->at_ns);
	p->at_ns = 0;
	if (load_slice_may_start(s))
		post(s, m->id, s->client->now_ns);
	return NULL;
}

static void post_message(
	struct load_slice *s, struct load_conn *conn, const uint8_t *message, size_t message_bytes)
{
	struct load_chat_message m = load_chat_read(message, message_bytes);
	const char *wrong = "a message that does not belong here";

	if (m.kind == LOAD_CHAT_ENTRY)
		wrong = take_entry(s, conn, &m);
	else if (m.kind == LOAD_CHAT_ANSWER)
		wrong = take_answer(s, conn, &m);
	if (wrong)
		load_client_fail(s->client, "connection %u: %s", conn->index, wrong);
	count_done(s);
}

const struct load_slice_mode load_mode_post = {
	.name = "post",
	.why_not_valid = "nothing was posted",
	.begin = post_begin,
	.message = post_message,
};
