/*
 * socketio/recoverable.c -- identities that outlive their connection: see socketio/recovery_int.h.
 *
 * What a client has had is known by the offset that it says. Of one that has had nothing, or says what is no offset of ours, only what
 * left our queue is known.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/random.h"
#include "socketio/recovery_int.h"

bool sio_pid_loop(const struct sio_server *server, struct str pid, uint32_t *ret_loop)
{
	uint8_t bytes[SIO_PID_BYTES + 3];
	size_t decoded;

	if (pid.bytes != SIO_PID_CHARS || !base64url_decode(bytes, pid.s, pid.bytes, &decoded) ||
		decoded != SIO_PID_BYTES || bytes[SIO_PID_BYTES - 1] >= server->loop_count)
		return false;
	*ret_loop = bytes[SIO_PID_BYTES - 1];
	return true;
}

/* `EPOCH-emitter-count`: an epoch is a server's, for clients keep offsets longer than servers live. */
size_t sio_offset_text(
	const struct sio_server *server, struct sio_offset offset, char out[SIO_OFFSET_CHARS_MAX + 1])
{
	int n = snprintf(out, SIO_OFFSET_CHARS_MAX + 1, "%s-%x-%llx", server->epoch, (unsigned)offset.emitter,
		(unsigned long long)offset.count);

	assert(n > 0 && n <= SIO_OFFSET_CHARS_MAX);
	return (size_t)n;
}

static bool read_hex(struct str *text, char end, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	for (; i < text->bytes && text->s[i] != end; i++) {
		char c = text->s[i];
		unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
				 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
							: 16;
		if (digit == 16 || value > (max - digit) / 16)
			return false;
		value = value * 16 + digit;
	}
	if (i == 0)
		return false;
	i += i < text->bytes;
	*text = str_of(text->s + i, text->bytes - i);
	*ret = value;
	return true;
}

bool sio_offset_read(const struct sio_server *server, struct str text, struct sio_offset *ret)
{
	uint64_t emitter, count;

	if (text.bytes <= SIO_EPOCH_CHARS || memcmp(text.s, server->epoch, SIO_EPOCH_CHARS) != 0 ||
		text.s[SIO_EPOCH_CHARS] != '-')
		return false;
	text = str_of(text.s + SIO_EPOCH_CHARS + 1, text.bytes - SIO_EPOCH_CHARS - 1);
	if (!read_hex(&text, '-', UINT32_MAX, &emitter) || !read_hex(&text, '\0', UINT64_MAX, &count) ||
		count == 0)
		return false;
	*ret = (struct sio_offset){ .emitter = (uint32_t)emitter, .count = count };
	return true;
}

struct sio_recoverable *sio_recoverable_find(const struct sio_backlog *b, struct str pid)
{
	struct map_node *n = map_find(&b->by_pid, pid);

	return n == NULL ? NULL : map_entry(n, struct sio_recoverable, pid_node);
}

static struct str key_of(const struct sio_recoverable *r)
{
	return str_of((const char *)r->id_key, sizeof(r->id_key));
}

static void set_key(uint32_t key[2], struct sio_id id)
{
	key[0] = id.slot;
	key[1] = id.generation;
}

static bool is_kept(const struct sio_recoverable *r)
{
	return r->elsewhere == 0 && r->socket == NULL;
}

/* By its id alone where nobody else finds it: who is LIVE is found by its socket. False: no memory. */
static bool add_id(struct sio_recoverable *r, struct sio_backlog *b)
{
	set_key(r->id_key, r->id);
	r->has_id_node = map_insert(&b->by_id, &r->id_node, key_of(r));
	return r->has_id_node;
}

/* What it holds, but for what is the application's. */
static size_t kept_bytes(const struct sio_recoverable *r)
{
	return r->rooms_bytes + r->ack_count * sizeof(r->acks[0]) + r->resent_bytes;
}

/* The oldest go for the newest. */
static void make_room(struct sio_loop *at, size_t more_bytes)
{
	const struct sio_server *server = at->server;
	uint32_t max = server->kept_max / server->loop_count;

	while (at->kept_count > 0 &&
		(at->kept_count >= max || at->kept_bytes + more_bytes > SIO_KEPT_BYTES_MAX)) {
		struct net_delay *d = list_entry(at->keeps.delays.next, struct net_delay, node);

		sio_count(&at->counts.kept_dropped, 1);
		sio_recoverable_forget(list_entry(d, struct sio_recoverable, delay));
	}
}

bool sio_recoverable_enter(struct sio_recoverable *r, struct sio_backlog *b)
{
	assert(r->backlog == NULL);
	if (is_kept(r))
		make_room(b->at, kept_bytes(r));
	if (!map_insert(&b->by_pid, &r->pid_node, str_of(r->pid, SIO_PID_CHARS)))
		return false;
	if ((is_kept(r) && !add_id(r, b)) || (r->socket != NULL && r->has_come_back &&
						     !map_insert(&b->by_sid, &r->sid_node, str_c(r->sid)))) {
		map_remove(&b->by_pid, &r->pid_node);
		return false;
	}
	r->backlog = b;
	if (is_kept(r)) {
		b->at->kept_count++;
		b->at->kept_bytes += kept_bytes(r);
	} else {
		b->at->resent_bytes += r->resent_bytes;
	}
	return true;
}

void sio_recoverable_leave(struct sio_recoverable *r)
{
	struct sio_backlog *b = r->backlog;

	if (b == NULL)
		return;
	map_remove(&b->by_pid, &r->pid_node);
	if (r->has_id_node)
		map_remove(&b->by_id, &r->id_node);
	r->has_id_node = false;
	if (is_kept(r)) {
		b->at->kept_count--;
		b->at->kept_bytes -= kept_bytes(r);
	} else {
		b->at->resent_bytes -= r->resent_bytes;
	}
	if (r->socket != NULL && r->has_come_back)
		map_remove(&b->by_sid, &r->sid_node);
	net_delay_stop(&r->delay);
	r->backlog = NULL;
}

void sio_recoverable_forget_resent(struct sio_recoverable *r)
{
	for (uint32_t i = 0; i < r->resent_count; i++) {
		if (r->resent[i].unit == NULL)
			continue;
		blob_unkeep(r->resent[i].unit);
		blob_unref(r->resent[i].unit);
	}
	free(r->resent);
	if (r->backlog != NULL) {
		assert(r->socket != NULL);
		r->backlog->at->resent_bytes -= r->resent_bytes;
	}
	r->resent = NULL;
	r->resent_count = 0;
	r->resent_bytes = 0;
}

void sio_recoverable_destroy(struct sio_recoverable *r)
{
	sio_recoverable_leave(r);
	sio_recoverable_forget_resent(r);
	if (r->destroy_data != NULL && r->data != NULL)
		r->destroy_data(r->data);
	if (r->space != NULL)
		atomic_fetch_sub_explicit(&r->space->identities, 1, memory_order_relaxed);
	free(r->label);
	free(r->rooms);
	free(r->acks);
	free(r);
}

struct sio_recoverable *sio_recoverable_create(struct sio_socket *s)
{
	struct sio_backlog *b = sio_backlog_of(s->client->at, s->space);
	struct sio_recoverable *r = b == NULL ? NULL : calloc(1, sizeof(*r));
	uint8_t bytes[SIO_PID_BYTES];

	if (r == NULL)
		return NULL;
	random_bytes(bytes, sizeof(bytes));
	bytes[SIO_PID_BYTES - 1] = (uint8_t)net_loop_index(s->client->at->loop);
	r->pid[base64url_encode(r->pid, bytes, sizeof(bytes))] = '\0';
	sio_sid(s, r->sid);
	r->space = s->space;
	r->id = sio_id(s);
	r->socket = s;
	r->joined = b->next_place - 1;
	net_delay_init(&r->delay);
	if (!sio_recoverable_enter(r, b)) {
		free(r);
		return NULL;
	}
	atomic_fetch_add_explicit(&s->space->identities, 1, memory_order_relaxed);
	s->recoverable = r;
	return r;
}

/* As Node's: the network or we have ended the connection, and nobody has meant the socket. */
static bool may_come_back(const char *reason)
{
	static const char *const reasons[] = { "transport close", "transport error", "ping timeout",
		"forced close", "forced server close", "queue overflow" };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strcmp(reason, reasons[i]) == 0)
			return true;
	}
	return false;
}

/*
 * What is left in its session's queue is not known to have left. *ret_lost: it is not known what that is, for `resent` was let go that
 * had it.
 */
static struct sio_cut find_sent(
	const struct sio_recoverable *r, const struct eio_session *session, bool *ret_lost)
{
	const struct sio_backlog *b = r->backlog;
	const struct blob_share *unit;
	uint32_t lookups = 0;

	*ret_lost = r->resent_is_refused;
	for (uint32_t i = 0; (unit = eio_unsent(session, i)) != NULL; i++) {
		if ((blob_tag(unit) & ~(uint32_t)EIO_UNIT_UNCOMPRESSED) != sio_past_tag(r->space))
			continue;
		if (++lookups > SIO_SENT_LOOKUPS_MAX)
			return (struct sio_cut){ .resent = 0,
				.place = r->joined }; /* rather twice than never */
		for (uint32_t at = 0; at < r->resent_count; at++) {
			if (r->resent[at].unit == unit)
				return (struct sio_cut){ .resent = at, .place = r->joined };
		}
		uint64_t place = sio_backlog_find_unit(b, unit);
		if (place > r->joined)
			return (struct sio_cut){ .resent = r->resent_count, .place = place - 1 };
		*ret_lost |= place == 0; /* not kept any more, and it has not left */
	}
	return (struct sio_cut){ .resent = r->resent_count,
		.place = (r->refused > 0 ? r->refused : b->next_place) - 1 };
}

void sio_recoverable_closed(struct sio_socket *s, const char *reason)
{
	struct sio_recoverable *r = s->recoverable;
	uint32_t left_ms, grace_ms;
	bool told;

	/* Who is to be sent away, when what was put off has been done, goes for good. */
	r->ends = !may_come_back(reason) || net_loop_stopping(s->client->at->loop) || s->goes_for_good ||
		  s->client->goes_for_good || !add_id(r, r->backlog);
	if (r->ends)
		return;
	net_delay_stop(&r->delay); /* `sent` may point into `resent` from now on */
	r->sent = find_sent(r, s->session, &r->sent_is_lost);
	r->closed = r->backlog->next_place - 1;
	r->has_expiry = sio_expiry_left(s, &left_ms, &grace_ms, &told);
	if (r->has_expiry) {
		r->expiry_ns = clock_now_ns() + left_ms * CLOCK_NS_PER_MS;
		r->expiry_end_ns = r->expiry_ns + (told ? 0 : grace_ms * CLOCK_NS_PER_MS);
		if (told)
			r->expiry_ns = 0;
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool sio_recoverable_was_in(const struct sio_recoverable *r, const char *room)
{
	return r->room_count > 0 &&
	       bsearch(&room, r->rooms, r->room_count, sizeof(r->rooms[0]), by_name) != NULL;
}

void sio_recoverable_leaves(struct sio_socket *s)
{
	struct sio_recoverable *r = s->recoverable;
	const char *room;
	size_t bytes = 0;
	uint32_t count = 0;

	for (; (room = sio_room_at(s, count)) != NULL; count++)
		bytes += sizeof(char *) + strlen(room) + 1;
	if (count == 0 || r->ends)
		return;
	r->rooms = malloc(bytes);
	if (r->rooms == NULL) {
		r->ends = true;
		return;
	}
	r->room_count = count;
	r->rooms_bytes = bytes;
	char *at = (char *)(r->rooms + count);
	for (uint32_t i = 0; i < count; i++) {
		room = sio_room_at(s, i);
		size_t name_bytes = strlen(room) + 1;

		r->rooms[i] = memcpy(at, room, name_bytes);
		at += name_bytes;
	}
	qsort(r->rooms, count, sizeof(r->rooms[0]), by_name);
}

void sio_recoverable_gone(struct sio_socket *s)
{
	struct sio_recoverable *r = s->recoverable;
	struct sio_backlog *b = r->backlog;
	size_t bytes = r->rooms_bytes + s->ack_count * sizeof(s->acks[0]) + r->resent_bytes;

	s->recoverable = NULL;
	if (r->ends || bytes > SIO_KEPT_BYTES_MAX) {
		sio_count(&b->at->counts.kept_dropped, !r->ends);
		sio_recoverable_end(r);
		return;
	}
	sio_recoverable_leave(r);
	r->socket = NULL;
	r->data = s->data;
	r->destroy_data = s->destroy_data;
	s->data = NULL;
	s->destroy_data = NULL;
	r->label = s->label;
	s->label = NULL;
	r->acks = s->acks;
	r->ack_count = s->ack_count;
	s->acks = NULL;
	s->ack_count = s->ack_cap = 0;
	if (sio_recoverable_enter(r, b))
		sio_recoverable_wait(r);
	else
		sio_recoverable_destroy(r);
}

void sio_recoverable_wait(struct sio_recoverable *r)
{
	net_delay_start(&r->delay, &r->backlog->at->keeps, r->backlog->at->loop);
}

void sio_kept_over(struct net_delay *delay, void *loop)
{
	struct sio_recoverable *r = list_entry(delay, struct sio_recoverable, delay);

	(void)loop;
	sio_recoverable_end(r);
}

void sio_resent_over(struct net_delay *delay, void *loop)
{
	struct sio_recoverable *r = list_entry(delay, struct sio_recoverable, delay);

	(void)loop;
	/* Its last event still tells that all of them have come. */
	for (uint32_t i = 0; i < r->resent_count && r->last.count == 0; i++) {
		struct sio_offset offset = r->resent[r->resent_count - 1 - i].offset;

		if (offset.count > 0) {
			r->last = offset;
			r->last_place = r->joined;
		}
	}
	r->resent_is_lost = r->resent_count > 1;
	sio_recoverable_forget_resent(r);
}

void sio_resent_make_room(struct sio_loop *at)
{
	while (at->resent_bytes > SIO_RESENT_BYTES_MAX && !list_empty(&at->resents.delays)) {
		struct net_delay *d = list_entry(at->resents.delays.next, struct net_delay, node);

		net_delay_stop(d);
		sio_count(&at->counts.resent_dropped, 1);
		sio_resent_over(d, at);
	}
}

bool sio_recoverable_cut(
	const struct sio_recoverable *r, bool has_offset, struct str text, struct sio_cut *ret)
{
	const struct sio_backlog *b = r->backlog;
	struct sio_cut cut = { .resent = 0, .place = r->joined };
	struct sio_offset offset = { 0 };
	bool known = !has_offset && !r->resent_is_lost; /* it has had nothing since it joined */

	if (has_offset && !sio_offset_read(b->at->server, text, &offset)) {
		cut = r->sent;
		known = !r->sent_is_lost;
	}
	/* Answers have none, and no more has who came back without one: what it says is none of those. */
	bool is_ours = offset.count > 0;
	for (uint32_t i = 0; i < r->resent_count && !known && is_ours; i++) {
		known = r->resent[i].offset.count == offset.count &&
			r->resent[i].offset.emitter == offset.emitter;
		cut.resent = i + 1;
	}
	if (!known && is_ours) {
		cut = (struct sio_cut){ .resent = r->resent_count, .place = sio_backlog_find(b, offset) };
		/* What it says to have had is not of after it closed. */
		known = cut.place > 0 && cut.place <= r->closed;
		if (known && cut.place <= r->joined) { /* of another life: it has had nothing in this one */
			cut = (struct sio_cut){ .resent = 0, .place = r->joined };
			known = !r->resent_is_lost;
		}
	}
	if (!known && is_ours && r->last.count == offset.count && r->last.emitter == offset.emitter) {
		cut = (struct sio_cut){ .resent = r->resent_count, .place = r->last_place };
		known = true;
	}
	if (!known && r->last_place <= r->joined && !r->has_come_back) { /* likewise */
		cut = (struct sio_cut){ .resent = 0, .place = r->joined };
		known = true;
	}
	/* What is no more there was not for it, or it cannot be known. */
	bool whole = r->lost_answer <= cut.place &&
		     (cut.place + 1 >= b->first_place ||
			     (r->last_place <= cut.place && r->last_answer <= cut.place &&
				     r->closed + 1 >= b->first_place));
	if (known && whole)
		*ret = cut;
	return known && whole;
}

struct sio_recoverable *sio_recoverable_by_id(const struct sio_backlog *b, struct sio_id id)
{
	uint32_t key[2];

	set_key(key, id);
	struct map_node *n = map_find(&b->by_id, str_of((const char *)key, sizeof(key)));
	return n == NULL ? NULL : map_entry(n, struct sio_recoverable, id_node);
}

static uint32_t ms_until(uint64_t then_ns, uint64_t now_ns)
{
	uint64_t ms = then_ns > now_ns ? (then_ns - now_ns) / CLOCK_NS_PER_MS : 0;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

bool sio_recoverable_is_over(const struct sio_recoverable *r)
{
	return r->has_expiry && ms_until(r->expiry_end_ns, clock_now_ns()) == 0;
}

/*
 * What is left of its deadline; one that is over, or was told before, is told (again) at once. Its end stays where it was, however often
 * its client goes and comes.
 */
static bool restore_expiry(struct sio_socket *s, struct sio_recoverable *r)
{
	uint64_t now_ns = clock_now_ns();
	uint32_t after_ms = ms_until(r->expiry_ns, now_ns), end_ms = ms_until(r->expiry_end_ns, now_ns);

	if (after_ms == 0)
		after_ms = 1;
	r->has_expiry = false;
	return sio_set_expiry(s, after_ms, end_ms > after_ms ? end_ms - after_ms : 0) == 0;
}

/* Its data and label, unless middleware has just given it others: data of before goes when it has joined. */
static void take_own(struct sio_socket *s, struct sio_recoverable *r)
{
	if (s->data == NULL) {
		s->data = r->data;
		s->destroy_data = r->destroy_data;
		r->data = NULL;
	}
	if (s->label == NULL) {
		s->label = r->label;
		r->label = NULL;
	}
	free(r->label);
	r->label = NULL;
}

/* Rooms, data, label and deadline; then what it has missed. False: no memory. */
bool sio_recoverable_restore(struct sio_socket *s)
{
	struct sio_recoverable *r = s->recoverable;

	for (uint32_t i = 0; i < r->room_count; i++) {
		if (sio_room_enter(s, str_c(r->rooms[i])) < 0)
			return false;
	}
	free(r->rooms);
	r->rooms = NULL;
	r->room_count = 0;
	r->rooms_bytes = 0;
	take_own(s, r);
	free(r->acks); /* their tickets name the socket that has gone */
	r->acks = NULL;
	r->ack_count = 0;
	if (r->has_expiry && !restore_expiry(s, r))
		return false;
	for (uint32_t i = 0; i < r->resent_count; i++) {
		if (r->resent[i].unit != NULL)
			r->resent_is_refused |= !sio_deliver(s, r->resent[i].unit, 0);
	}
	return true;
}

void sio_recoverable_joined(struct sio_socket *s)
{
	struct sio_recoverable *r = s->recoverable;
	void *old = r->data;

	r->data = NULL;
	if (old != NULL && r->destroy_data != NULL)
		r->destroy_data(old);
}

const char *sio_recoverable_pid(const struct sio_recoverable *r)
{
	return r->pid;
}

const char *sio_recoverable_sid(const struct sio_recoverable *r)
{
	return r->sid;
}

struct sio_socket *sio_recoverable_called(
	const struct sio_loop *at, const struct sio_space *space, const char *sid)
{
	const struct sio_backlog *b = sio_here(space, at)->backlog;
	struct map_node *n = b == NULL ? NULL : map_find(&b->by_sid, str_c(sid));
	struct sio_socket *s = n == NULL ? NULL : map_entry(n, struct sio_recoverable, sid_node)->socket;

	return s == NULL || s->session == NULL ? NULL : s;
}

void *sio_data_before(const struct sio_socket *s)
{
	return s->recoverable == NULL ? NULL : s->recoverable->data;
}

bool sio_recovered(const struct sio_socket *s)
{
	return s->recoverable != NULL && s->recoverable->has_come_back;
}
