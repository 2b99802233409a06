/*
 * socketio/recover.c -- a client comes back with a private id: it is looked for, brought to its new loop, and sent what it has missed.
 *
 *      CONNECT {pid, offset} --> the loop that the pid names --> where it is now: ask() --> the client's loop: settle() --> it joins
 *
 * An identity that moves takes along what its old loop knows that it has missed, and how far that loop was with each emitter. The new
 * loop waits until it is as far with each, and adds what it has had beyond that; from then on the socket gets what is emitted. So
 * nothing is left out and nothing comes twice, though no two loops have the same order. What is put off on a loop (later.c) has its number
 * already: so both wait until nothing is.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/json.h"
#include "engineio/queue.h"
#include "socketio/recovery_int.h"

enum { CONNECT_BYTES = 256 }; /* of a queue: what tells a client that it is back */

enum stage {
	ASKED, /* on its way to where the identity is */
	FOUND, /* on its way to the client, with it */
	NOT_FOUND,
	RETURNED, /* the client has gone meanwhile */
};

/* What is sent again: of one loop, a share; on its way to another, a token. */
struct missed {
	struct sio_offset offset;
	struct blob_share *unit;
	struct blob *token;
};

struct recovering {
	struct net_message message;
	struct net_task task;
	struct net_delay step; /* until it looks again */
	struct sio_space *space;
	struct sio_loop *at; /* where it is */
	struct sio_id socket; /* who asks, and waits to join */
	enum stage stage;
	uint32_t steps, hops, giver; /* giver: the loop that `r` was on */
	uint64_t number; /* of all that ever asked: which of two came behind the other */
	size_t wants_bytes; /* so much was missed at the last look */
	bool asks_anew; /* it was not where it was said to be: ask the loop that the pid names again */
	bool has_offset;
	uint8_t offset_bytes;
	char pid[SIO_PID_CHARS], offset[SIO_OFFSET_CHARS_MAX];
	struct sio_recoverable *r; /* FOUND, RETURNED: owned */
	uint64_t place; /* the giver's, when it gave it away */
	uint32_t aways; /* how often the giver had looked for who was to be sent away, then */
	struct missed *missed; /* owned */
	uint32_t missed_count, missed_cap;
	uint64_t seen[]; /* by the giver, then */
};

static void work(struct net_task *task);

static void drop_missed(struct recovering *p)
{
	for (uint32_t i = 0; i < p->missed_count; i++) {
		if (p->missed[i].unit != NULL)
			blob_unref(p->missed[i].unit);
		if (p->missed[i].token != NULL)
			blob_drop(p->missed[i].token);
	}
	free(p->missed);
	p->missed = NULL;
	p->missed_count = p->missed_cap = 0;
}

static void end(struct recovering *p)
{
	if (p->r != NULL)
		sio_recoverable_destroy(p->r);
	drop_missed(p);
	free(p);
}

static void go_on_at(struct recovering *p, struct sio_loop *at)
{
	p->at = at;
	net_task_init(&p->task, work);
	net_delay_init(&p->step);
	net_defer(at->loop, &p->task);
}

static void arrive(struct net_loop *loop, struct net_message *message)
{
	struct recovering *p = list_entry(message, struct recovering, message);

	go_on_at(p, &p->space->server->loops[net_loop_index(loop)]);
}

static void discard(struct net_message *message)
{
	end(list_entry(message, struct recovering, message));
}

/* One for each socket that waits, of which a client has few: a loop that is far behind takes it too. */
static void go_to(struct recovering *p, uint32_t loop, enum stage stage)
{
	struct sio_server *server = p->space->server;

	p->stage = stage;
	if (p->at == &server->loops[loop]) {
		go_on_at(p, p->at);
		return;
	}
	p->message = (struct net_message){ .run = arrive, .discard = discard, .bytes = sizeof(*p) };
	net_post_reserved(net_pool_loop(server->pool, loop), &p->message);
}

/* It looks again soon. False: it has waited long enough. */
static bool wait_more(struct recovering *p)
{
	if (++p->steps > SIO_RECOVER_STEPS_MAX)
		return false;
	net_delay_start(&p->step, &p->at->recoverings, p->at->loop);
	return true;
}

void sio_recover_step(struct net_delay *delay, void *loop)
{
	struct sio_loop *at = loop;

	/* Behind what handlers have put off in this iteration. */
	net_defer(at->loop, &list_entry(delay, struct recovering, step)->task);
}

static bool add_missed(struct recovering *p, struct sio_offset offset, struct blob_share *unit)
{
	if (p->missed_count == p->missed_cap) {
		uint32_t cap = p->missed_cap == 0 ? 16 : p->missed_cap * 2;
		struct missed *bigger = realloc(p->missed, cap * sizeof(*bigger));
		if (bigger == NULL)
			return false;
		p->missed = bigger;
		p->missed_cap = cap;
	}
	p->missed[p->missed_count++] = (struct missed){ .offset = offset, .unit = blob_ref(unit) };
	return true;
}

static size_t missed_bytes(const struct recovering *p)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < p->missed_count; i++)
		bytes += p->missed[i].unit->bytes + EIO_UNIT_OVERHEAD_BYTES;
	return bytes;
}

/* A client's queue never takes so much at once. */
static bool is_too_much(const struct recovering *p)
{
	return missed_bytes(p) + CONNECT_BYTES > p->space->server->queue_bytes_max;
}

/* Nor now, behind what it has to take already, such as what it has missed in another namespace. */
static bool is_too_much_now(const struct recovering *p, const struct sio_socket *s)
{
	return p->wants_bytes + eio_waiting_bytes(s->client->session) + CONNECT_BYTES >
	       p->space->server->queue_bytes_max;
}

/* False: it is not known, too much, it was sent away, or there is no memory. */
static bool find_missed(struct recovering *p, const struct sio_recoverable *r)
{
	struct sio_cut cut;

	if (!sio_recoverable_cut(r, p->has_offset, str_of(p->offset, p->offset_bytes), &cut))
		return false;
	for (uint32_t i = cut.resent; i < r->resent_count; i++) {
		if (r->resent[i].unit != NULL && !add_missed(p, r->resent[i].offset, r->resent[i].unit))
			return false;
	}
	const struct sio_backlog *b = r->backlog;
	uint64_t first = cut.place + 1 > b->first_place ? cut.place + 1 : b->first_place;
	for (uint64_t place = first; place < b->next_place; place++) {
		const struct sio_past *past = sio_backlog_at(b, place);

		if (sio_away_is_meant(past, r) ||
			(sio_past_is_for(past, r) && !add_missed(p, past->offset, past->unit)))
			return false;
	}
	return !is_too_much(p);
}

/* This loop's shares become tokens. */
static void export_missed(struct recovering *p)
{
	for (uint32_t i = 0; i < p->missed_count; i++) {
		struct missed *m = &p->missed[i];

		if (m->unit == NULL)
			continue;
		m->token = blob_export(m->unit);
		blob_unref(m->unit);
		m->unit = NULL;
	}
}

/* It goes to the client's loop, with what this one knows. False: no memory; it is no more. */
static bool give(struct recovering *p, struct sio_recoverable *r)
{
	struct sio_backlog *b = r->backlog;

	sio_recoverable_leave(r);
	if (!sio_word_leave(b, r, p->socket.loop)) {
		sio_recoverable_destroy(r);
		return false;
	}
	sio_recoverable_forget_resent(r);
	export_missed(p);
	memcpy(p->seen, b->seen, (p->space->server->loop_count + 1) * sizeof(p->seen[0]));
	p->place = b->next_place - 1;
	p->giver = net_loop_index(p->at->loop);
	p->aways = sio_away_done(p->space, p->giver);
	p->r = r;
	go_to(p, p->socket.loop, FOUND);
	return true;
}

/* As one that has been sent all of `missed`, behind its offset. False: no memory. */
static bool enter(struct recovering *p, struct sio_recoverable *r, struct sio_backlog *b, uint64_t place)
{
	struct sio_recoverable *word = sio_recoverable_find(b, str_of(r->pid, SIO_PID_CHARS));
	struct sio_resent *resent = calloc(p->missed_count + 1u, sizeof(*resent));

	if (resent == NULL)
		return false;
	if (word != NULL)
		sio_recoverable_destroy(word);
	(void)(p->has_offset &&
		sio_offset_read(b->at->server, str_of(p->offset, p->offset_bytes), &resent[0].offset));
	for (uint32_t i = 0; i < p->missed_count; i++) {
		resent[i + 1] = (struct sio_resent){ .offset = p->missed[i].offset,
			.unit = blob_ref(p->missed[i].unit) };
		blob_keep(p->missed[i].unit); /* SIO_RESENT_BYTES_MAX holds for it */
	}
	sio_recoverable_forget_resent(r);
	r->resent = resent;
	r->resent_count = p->missed_count + 1;
	r->resent_bytes = missed_bytes(p) + r->resent_count * sizeof(*resent);
	r->joined = r->last_place = r->closed = place;
	r->last_answer = r->lost_answer = r->refused = 0;
	r->last = (struct sio_offset){ 0 };
	r->sent = (struct sio_cut){ .resent = 0, .place = place };
	r->resent_is_lost = r->resent_is_refused = false;
	r->has_come_back = true;
	return sio_recoverable_enter(r, b);
}

/* The socket that has asked, and still waits; or NULL. */
static struct sio_socket *asker(const struct recovering *p)
{
	return sio_joining_recovers(p->at, p->space, p->socket);
}

/* It is not recovered. */
static void fail(struct recovering *p)
{
	uint32_t to = p->socket.loop;

	if (net_loop_index(p->at->loop) != to) {
		go_to(p, to, NOT_FOUND);
		return;
	}
	if (asker(p) != NULL) {
		sio_count(&p->at->counts.not_recovered, 1);
		sio_joining_recovered(p->at, p->space, p->socket);
	}
	end(p);
}

/* The identity that has come is no more, and its own loop is to know. */
static void lose(struct recovering *p)
{
	sio_word_tell(p->space, p->r, net_loop_index(p->at->loop), 0);
	sio_recoverable_destroy(p->r);
	p->r = NULL;
	fail(p);
}

/* All is here that it has missed: it joins. */
static void come_back(struct recovering *p, struct sio_recoverable *r, struct sio_backlog *b)
{
	struct sio_socket *s = asker(p);
	struct sio_loop *at = p->at;

	assert(s != NULL && r->backlog == NULL);
	r->socket = s;
	r->id = sio_id(s);
	r->taken_by = p->number;
	p->r = r;
	if (!enter(p, r, b, b->next_place - 1)) {
		lose(p);
		return;
	}
	p->r = NULL;
	s->recoverable = r;
	net_delay_start(&r->delay, &at->resents, at->loop);
	sio_count(&at->counts.recovered, 1);
	sio_joining_recovered(at, p->space, p->socket);
	end(p);
	sio_resent_make_room(at); /* now that it is in its queue */
}

/* Nothing that has its number waits to be seen by its own loop. */
static bool is_clean(const struct sio_loop *at)
{
	return at->later.first == NULL;
}

static void take(struct recovering *p, struct sio_recoverable *r)
{
	struct sio_backlog *b = r->backlog;
	const struct sio_socket *s = p->socket.loop == net_loop_index(p->at->loop) ? asker(p) : NULL;

	if (s != NULL && is_too_much_now(p, s)) { /* as at the last look */
		if (!wait_more(p))
			fail(p);
		return;
	}
	if (sio_recoverable_is_over(r) || !find_missed(p, r)) {
		sio_recoverable_end(r);
		drop_missed(p);
		fail(p);
	} else if (p->socket.loop != net_loop_index(p->at->loop)) {
		if (!give(p, r)) {
			drop_missed(p); /* they are this loop's */
			fail(p);
		}
	} else if (s == NULL) {
		end(p); /* it is still kept */
	} else {
		p->wants_bytes = missed_bytes(p);
		if (!is_too_much_now(p, s)) {
			sio_recoverable_leave(r);
			come_back(p, r, b);
			return;
		}
		drop_missed(p);
		if (!wait_more(p))
			fail(p);
	}
}

/* Its old connection is not known to be dead: it is now. */
static void evict(struct sio_recoverable *r)
{
	if (r->socket->session != NULL) /* else its handlers are called first */
		sio_client_close(r->socket->client, "transport close");
}

/* It was said to be here: it is on its way, maybe back. Look again, from the beginning. */
static bool ask_anew(struct recovering *p)
{
	uint32_t own;

	if (!p->asks_anew) {
		p->asks_anew = p->hops > 0 && wait_more(p);
		return p->asks_anew;
	}
	p->asks_anew = false;
	p->hops = 0;
	if (!sio_pid_loop(p->space->server, str_of(p->pid, SIO_PID_CHARS), &own))
		return false;
	go_to(p, own, ASKED);
	return true;
}

/* Is it here? */
static void ask(struct recovering *p)
{
	const struct sio_backlog *b = sio_here(p->space, p->at)->backlog;
	struct sio_recoverable *r = b == NULL ? NULL : sio_recoverable_find(b, str_of(p->pid, SIO_PID_CHARS));
	uint32_t here = net_loop_index(p->at->loop);
	bool moves = p->socket.loop != here, waits = true;

	if (!moves && asker(p) == NULL) {
		end(p);
		return;
	}
	p->asks_anew &= r == NULL;
	if (r == NULL) {
		waits = ask_anew(p);
	} else if (r->elsewhere == here + 1) {
		waits = wait_more(p); /* it is on its way here */
	} else if (r->elsewhere != 0) {
		waits = ++p->hops <= SIO_RECOVER_HOPS_MAX;
		if (waits)
			go_to(p, r->elsewhere - 1, ASKED);
	} else if (r->taken_by > p->number) {
		waits = false; /* who asked behind this one has had it: this one's client is there no more */
	} else if (r->socket != NULL || (moves && !is_clean(p->at)) ||
		   sio_away_was_asked(p->space, here, sio_away_done(p->space, here))) {
		if (r->socket != NULL)
			evict(r);
		waits = wait_more(p);
	} else {
		take(p, r);
	}
	if (!waits)
		fail(p);
}

/* Of what the giver had not had, something came here and is not kept any more. */
static bool has_lost(const struct recovering *p, const struct sio_backlog *b)
{
	for (uint32_t i = 0; i <= p->space->server->loop_count; i++) {
		if (b->lost[i] > p->seen[i])
			return true;
	}
	return false;
}

static bool has_caught_up(const struct recovering *p, const struct sio_backlog *b)
{
	for (uint32_t i = 0; i <= p->space->server->loop_count; i++) {
		if (b->seen[i] < p->seen[i])
			return false;
	}
	return is_clean(p->at);
}

/* Tokens become this loop's shares. False: no memory. */
static bool import_missed(struct recovering *p)
{
	for (uint32_t i = 0; i < p->missed_count; i++) {
		struct missed *m = &p->missed[i];

		if (m->token == NULL)
			continue;
		m->unit = blob_import(m->token);
		m->token = NULL;
		if (m->unit == NULL)
			return false;
	}
	return true;
}

static bool is_own(const struct recovering *p, const struct sio_past *past)
{
	return past != NULL && past->offset.count > 0 && past->offset.emitter < SIO_EMITTER_SELF &&
	       past->offset.count > p->seen[past->offset.emitter];
}

/* What this loop has had, and the giver had not. Mostly nothing: so from the newest on, until all of it is found. */
static bool add_own(struct recovering *p, const struct sio_backlog *b)
{
	uint64_t wanted = 0, from = b->next_place;

	for (uint32_t i = 0; i <= p->space->server->loop_count; i++)
		wanted += b->seen[i] > p->seen[i] ? b->seen[i] - p->seen[i] : 0;
	while (wanted > 0 && from > b->first_place)
		wanted -= is_own(p, sio_backlog_at(b, --from));
	for (; from < b->next_place; from++) {
		const struct sio_past *past = sio_backlog_at(b, from);

		if (is_own(p, past) && sio_past_is_for(past, p->r) &&
			!add_missed(p, past->offset, past->unit))
			return false;
	}
	return true;
}

/* It has come to the client's loop. */
static void settle(struct recovering *p)
{
	struct sio_backlog *b = sio_backlog_of(p->at, p->space);
	bool caught_up = b != NULL && has_caught_up(p, b);
	const struct sio_socket *s = asker(p);

	if (s == NULL) {
		export_missed(p);
		go_to(p, p->giver, RETURNED);
		return;
	}
	if (sio_away_was_asked(p->space, p->giver, p->aways)) {
		lose(p);
		return;
	}
	if (b != NULL && !caught_up && wait_more(p))
		return;
	if (!caught_up || has_lost(p, b) || !import_missed(p)) {
		lose(p);
		return;
	}
	uint32_t given = p->missed_count;
	if (!add_own(p, b) || is_too_much(p)) {
		lose(p);
		return;
	}
	p->wants_bytes = missed_bytes(p);
	if (!is_too_much_now(p, s)) {
		come_back(p, p->r, b);
	} else {
		while (p->missed_count > given) /* what comes meanwhile will be found with them */
			blob_unref(p->missed[--p->missed_count].unit);
		if (!wait_more(p))
			lose(p);
	}
}

/* As if it had come back when it was given away, and gone at once. */
static void take_back(struct recovering *p)
{
	struct sio_recoverable *r = p->r;
	struct sio_backlog *b = sio_here(p->space, p->at)->backlog;

	bool sent_away = sio_away_done(p->space, p->giver) != p->aways;
	p->r = NULL;
	if (sent_away || !import_missed(p) || !enter(p, r, b, p->place)) {
		sio_word_tell(p->space, r, p->giver, 0);
		sio_recoverable_destroy(r);
	} else {
		sio_word_tell(p->space, r, p->giver, p->giver + 1);
		sio_recoverable_wait(r);
	}
	end(p);
}

static void work(struct net_task *task)
{
	struct recovering *p = list_entry(task, struct recovering, task);

	switch (p->stage) {
	case ASKED:
		ask(p);
		break;
	case FOUND:
		settle(p);
		break;
	case NOT_FOUND:
		fail(p);
		break;
	case RETURNED:
		take_back(p);
		break;
	}
}

void sio_recoverings_end(struct sio_loop *at)
{
	while (!list_empty(&at->recoverings.delays))
		end(list_entry(list_take_first(&at->recoverings.delays), struct recovering, step.node));
}

/* A string of a client's auth, decoded. False: there is none. What does not fit is empty. */
static bool read_string(struct str auth, struct str name, char *out, size_t max, uint8_t *ret_bytes)
{
	struct json_value object, value;
	char room[4 * SIO_OFFSET_CHARS_MAX];

	if (!json_scan(auth, &object) || !json_member(object, name, &value) || value.type != JSON_STRING)
		return false;
	*ret_bytes = 0;
	if (value.text.bytes > sizeof(room))
		return true;
	size_t bytes = json_decode_string(room, value);
	if (bytes > max)
		return true;
	memcpy(out, room, bytes);
	*ret_bytes = (uint8_t)bytes;
	return true;
}

enum sio_recover sio_recover_begin(struct sio_socket *s, struct str auth)
{
	struct sio_server *server = s->space->server;
	char pid[SIO_PID_CHARS];
	uint8_t pid_bytes;
	uint32_t loop;

	if (!server->recovers || !read_string(auth, STR("pid"), pid, sizeof(pid), &pid_bytes))
		return SIO_RECOVER_NOT;
	if (!sio_pid_loop(server, str_of(pid, pid_bytes), &loop)) {
		sio_count(&s->client->at->counts.not_recovered, 1); /* of a server that is no more */
		return SIO_RECOVER_NOT;
	}
	size_t bytes = sizeof(struct recovering) + (server->loop_count + 1) * sizeof(uint64_t);
	struct recovering *p = calloc(1, bytes);
	if (p == NULL)
		return SIO_RECOVER_NO_MEMORY;
	p->space = s->space;
	p->at = s->client->at;
	p->socket = sio_id(s);
	p->number = atomic_fetch_add_explicit(&server->askings, 1, memory_order_relaxed) + 1;
	memcpy(p->pid, pid, sizeof(pid));
	p->has_offset = read_string(auth, STR("offset"), p->offset, sizeof(p->offset), &p->offset_bytes);
	go_to(p, loop, ASKED);
	return SIO_RECOVER_LATER;
}
