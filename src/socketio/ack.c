/*
 * socketio/ack.c -- answers, both ways.
 *
 *      client's event with an id --> socket.acks: the ids that wait --sio_answer()--> ACK
 *      sio_ask() --> event with our id, and a waiting question --ACK, deadline or the end--> its handler
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "socketio/server_int.h"

bool sio_ack_expect(struct sio_socket *s, uint64_t id)
{
	/* Who leaves so many unanswered will hardly answer the oldest any more. */
	if (s->ack_count == SIO_ACKS_WAITING_MAX) {
		sio_count(&s->client->at->counts.acks_dropped, 1);
		s->ack_count--;
		memmove(&s->acks[0], &s->acks[1], s->ack_count * sizeof(s->acks[0]));
	}
	if (s->ack_count == s->ack_cap) {
		uint16_t cap = s->ack_cap == 0 ? 4 : (uint16_t)(s->ack_cap * 2);
		uint64_t *bigger = realloc(s->acks, cap * sizeof(*bigger));
		if (bigger == NULL)
			return false;
		s->acks = bigger;
		s->ack_cap = cap;
	}
	s->acks[s->ack_count++] = id;
	return true;
}

/* Those that came first are mostly answered first. */
bool sio_take_ack(struct sio_socket *s, uint64_t id)
{
	for (uint16_t i = 0; i < s->ack_count; i++) {
		if (s->acks[i] != id)
			continue;
		s->ack_count--;
		memmove(&s->acks[i], &s->acks[i + 1], (size_t)(s->ack_count - i) * sizeof(s->acks[0]));
		if (s->ack_count == 0) { /* an idle socket holds nothing */
			free(s->acks);
			s->acks = NULL;
			s->ack_cap = 0;
		}
		return true;
	}
	return false;
}

/* On the socket's loop. */
static int deliver_answer(struct sio_loop *here, const struct sio_ack *ack, struct blob_share *unit)
{
	struct sio_socket *s = sio_socket_find(here, ack->socket);

	if (s == NULL && here->server->recovers && sio_recoverable_answer_kept(here, ack, unit))
		return 0;
	if (s == NULL || s->space != ack->space || !sio_take_ack(s, ack->id)) {
		atomic_fetch_add_explicit(&here->server->answers_late, 1, memory_order_relaxed);
		return -ENOENT;
	}
	if (s->recoverable != NULL)
		sio_recoverable_answer(s, unit);
	else
		(void)sio_deliver(s, unit, 0);
	return 0;
}

struct posted_answer {
	struct net_message message;
	struct sio_ack ack;
	struct blob *unit;
};

static void answer_run(struct net_loop *loop, struct net_message *message)
{
	struct posted_answer *p = list_entry(message, struct posted_answer, message);
	struct sio_server *server = p->ack.space->server;
	struct blob_share *unit = blob_import(p->unit);

	struct sio_loop *here = &server->loops[net_loop_index(loop)];
	struct sio_socket *s = sio_socket_find(here, p->ack.socket);

	if (unit != NULL) {
		(void)deliver_answer(here, &p->ack, unit);
		blob_unref(unit);
	} else if (s != NULL) {
		eio_fail(s->session); /* no memory: it must not miss one without a word */
	}
	free(p);
}

static void answer_discard(struct net_message *message)
{
	struct posted_answer *p = list_entry(message, struct posted_answer, message);

	blob_drop(p->unit);
	free(p);
}

/* There is one to an event, which the application has taken: a loop that is far behind takes it all the same. */
static int post_answer(struct sio_server *server, const struct sio_ack *ack, struct blob_share *unit)
{
	struct posted_answer *p = malloc(sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	*p = (struct posted_answer){
		.message = { .run = answer_run,
			.discard = answer_discard,
			.bytes = sizeof(*p) + unit->bytes },
		.ack = *ack,
		.unit = blob_export(unit),
	};
	sio_hand_over_reserved(server, ack->socket.loop, &p->message);
	return 0;
}

int sio_answer(struct sio_ack ack, struct sio_args args)
{
	struct blob_share *unit;

	if (!ack.wanted || ack.socket.generation == 0 || ack.socket.loop >= ack.space->server->loop_count)
		return -ENOENT;
	struct sio_server *server = ack.space->server;
	struct sio_loop *here = sio_loop_here(server);
	struct sio_message m = { .space = ack.space, .has_id = true, .id = ack.id, .args = args };
	int rc = sio_encode(&m, &unit);
	if (rc < 0)
		return rc;
	if (server->recovers)
		blob_set_tag(unit, sio_past_tag(ack.space));
	if (sio_is_now(here, ack.socket.loop))
		rc = deliver_answer(here, &ack, unit);
	else
		rc = post_answer(server, &ack, unit);
	blob_unref(unit);
	return rc;
}

/* A question that waits for its answer. */
struct sio_ask_waiting {
	struct list node; /* in its socket's asks */
	struct net_timer deadline;
	struct sio_socket *socket;
	uint64_t id;
	bool hurried; /* it has a deadline */
	sio_reply_fn *fn;
	void *ctx;
};

/* Out of the tables; then its handler. */
static void finish_ask(struct sio_ask_waiting *w, int status, const struct sio_args *args)
{
	struct sio_socket *s = w->socket;
	struct sio_reply reply = {
		.socket = s->session == NULL ? NULL : s,
		.status = status,
		.args = args == NULL ? sio_json("[]") : *args,
		.ctx = w->ctx,
	};
	sio_reply_fn *fn = w->fn;

	list_remove(&w->node);
	s->asks->count--;
	s->asks->hurried -= w->hurried;
	net_timer_stop(&w->deadline, s->client->at->loop);
	free(w);
	fn(&reply);
}

static void ask_late(struct net_timer *t)
{
	struct sio_ask_waiting *w = list_entry(t, struct sio_ask_waiting, deadline);

	finish_ask(w, w->socket->session == NULL ? -ECONNRESET : -ETIMEDOUT, NULL);
}

void sio_ask_answered(struct sio_socket *s, uint64_t id, const struct sio_args *args)
{
	if (s->asks == NULL)
		return;
	for (struct list *n = s->asks->waiting.next; n != &s->asks->waiting; n = n->next) {
		struct sio_ask_waiting *w = list_entry(n, struct sio_ask_waiting, node);

		if (w->id != id)
			continue;
		s->client->at->lent = *args;
		finish_ask(w, 0, args);
		s->client->at->lent = (struct sio_args){ 0 };
		return;
	}
	/* Not asked, or too late: Node's server ignores it too. */
}

void sio_asks_end(struct sio_socket *s)
{
	assert(s->session == NULL);
	while (s->asks != NULL && s->asks->count > 0)
		finish_ask(list_entry(list_take_first(&s->asks->waiting), struct sio_ask_waiting, node),
			-ECONNRESET, NULL);
}

/* True, and counted: it is not asked. */
static bool refuse_question(const struct sio_socket *s)
{
	if (s->asks == NULL || s->asks->count < SIO_ACKS_WAITING_MAX)
		return false;
	sio_count(&s->client->at->counts.questions_refused, 1);
	return true;
}

/* False: no memory. */
static bool have_asks(struct sio_socket *s)
{
	if (s->asks != NULL)
		return true;
	s->asks = calloc(1, sizeof(*s->asks));
	if (s->asks == NULL)
		return false;
	list_init(&s->asks->waiting);
	return true;
}

int sio_ask_encoded(struct sio_socket *s, uint64_t id, struct blob_share *unit, unsigned flags,
	uint32_t timeout_ms, sio_reply_fn *fn, void *ctx)
{
	if (refuse_question(s))
		return -EAGAIN;
	if (!have_asks(s))
		return -ENOMEM;
	struct sio_ask_waiting *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	net_timer_init(&w->deadline, ask_late);
	if (timeout_ms > 0 && !net_timer_start(&w->deadline, s->client->at->loop, timeout_ms)) {
		free(w);
		return -ENOMEM;
	}
	w->hurried = timeout_ms > 0;
	w->id = id;
	w->socket = s;
	w->fn = fn;
	w->ctx = ctx;
	list_push_back(&s->asks->waiting, &w->node);
	s->asks->count++;
	s->asks->hurried += w->hurried;
	(void)sio_deliver(s, unit, flags);
	return 0;
}

/* On the socket's loop. */
static int ask(struct sio_socket *s, struct str event, struct sio_args args, uint32_t timeout_ms,
	sio_reply_fn *fn, void *ctx)
{
	struct sio_message m = { .space = s->space, .name = event, .has_id = true, .args = args };
	struct sio_loop *at = s->client->at;
	struct blob_share *unit;

	if (refuse_question(s))
		return -EAGAIN;
	m.id = atomic_fetch_add_explicit(&s->space->next_ask, 1, memory_order_relaxed);
	int rc = sio_encode(&m, &unit);
	if (rc < 0)
		return rc;
	if (s->space->hooks->any_out.fn != NULL && !at->visiting) {
		struct sio_target self = sio_self(s);
		sio_any_out(at, &self, unit);
	}
	rc = s->session == NULL ? -ENOENT : sio_ask_encoded(s, m.id, unit, 0, timeout_ms, fn, ctx);
	if (rc == 0)
		sio_count_emitted(s->space->server, at);
	blob_unref(unit);
	return rc;
}

struct posted_ask {
	struct net_message message;
	struct sio_space *space;
	struct sio_id id;
	struct sio_args args; /* all of it lies in `bytes` */
	struct sio_bytes attachments[SIO_ATTACHMENTS_MAX];
	struct str event;
	uint32_t timeout_ms;
	sio_reply_fn *fn;
	void *ctx;
	char bytes[];
};

static void tell_gone(struct posted_ask *p, int status)
{
	struct sio_reply reply = { .status = status, .args = sio_json("[]"), .ctx = p->ctx };

	p->fn(&reply);
}

static void ask_run(struct net_loop *loop, struct net_message *message)
{
	struct posted_ask *p = list_entry(message, struct posted_ask, message);
	struct sio_loop *here = &p->space->server->loops[net_loop_index(loop)];
	struct sio_socket *s = sio_socket_find(here, p->id);
	int rc = -ENOENT;

	if (s != NULL && s->space == p->space)
		rc = ask(s, p->event, p->args, p->timeout_ms, p->fn, p->ctx);
	if (rc < 0)
		tell_gone(p, rc == -ENOENT ? -ECONNRESET : rc);
	free(p);
}

static void ask_discard(struct net_message *message)
{
	struct posted_ask *p = list_entry(message, struct posted_ask, message);

	tell_gone(p, -ECONNRESET);
	free(p);
}

static char *pack(char *at, const void *data, size_t bytes)
{
	if (bytes > 0)
		memcpy(at, data, bytes);
	return at + bytes;
}

static int post_ask(struct sio_space *space, struct sio_id id, struct str event, struct sio_args args,
	uint32_t timeout_ms, sio_reply_fn *fn, void *ctx)
{
	size_t bytes = sizeof(struct posted_ask) + event.bytes + args.json.bytes;

	for (uint32_t i = 0; i < args.attachment_count; i++)
		bytes += args.attachments[i].bytes;
	struct posted_ask *p = calloc(1, bytes);
	if (p == NULL)
		return -ENOMEM;
	p->message = (struct net_message){ .run = ask_run, .discard = ask_discard, .bytes = bytes };
	p->space = space;
	p->id = id;
	p->timeout_ms = timeout_ms;
	p->fn = fn;
	p->ctx = ctx;
	p->event = str_of(p->bytes, event.bytes);
	char *at = pack(p->bytes, event.s, event.bytes);
	p->args.json = (struct sio_str){ at, args.json.bytes };
	at = pack(at, args.json.s, args.json.bytes);
	p->args.attachments = p->attachments;
	p->args.attachment_count = args.attachment_count;
	for (uint32_t i = 0; i < args.attachment_count; i++) {
		p->attachments[i] = (struct sio_bytes){ at, args.attachments[i].bytes };
		at = pack(at, args.attachments[i].data, args.attachments[i].bytes);
	}
	if (sio_hand_over(space->server, id.loop, &p->message))
		return 0;
	free(p);
	return -ENOBUFS;
}

int sio_ask(struct sio_space *space, struct sio_id id, const char *event, struct sio_args args,
	uint32_t timeout_ms, sio_reply_fn *fn, void *ctx)
{
	struct str name = str_c(event);

	if (space == NULL || !sio_event_name_valid(name))
		return -EINVAL;
	struct sio_server *server = space->server;
	struct sio_loop *here = sio_loop_here(server);
	if (id.generation == 0 || id.loop >= server->loop_count)
		return -ENOENT;
	if (!sio_is_now(here, id.loop)) {
		if (!sio_args_valid(space, &args))
			return -EINVAL;
		return post_ask(space, id, name, args, timeout_ms, fn, ctx);
	}
	struct sio_socket *s = sio_socket_find(here, id);
	if (s == NULL || s->space != space)
		return -ENOENT;
	return ask(s, name, args, timeout_ms, fn, ctx);
}
