/*
 * socketio/everybody.c -- what is done with all sockets of a target, on each loop by a message of its own: see sio/sio.h.
 *
 *      sio_join_all() --+--> this loop: now, or with what it has put off
 *                       `--> each other loop: posted
 *
 * The messages are all made before the first goes, so it is for all loops or for none.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "socketio/recovery_int.h"

enum doing {
	JOIN,
	LEAVE,
	SEND_AWAY,
	CALL,
};

/* A call of sio_each(): its end is told when all loops have been. */
struct each {
	struct sio_server *server;
	sio_with_fn *fn;
	void *ctx;
	atomic_uint loops; /* that have not */
};

struct posted {
	struct net_message message;
	struct sio_target target; /* its names lie in the array, and the room's behind them */
	enum doing doing;
	enum sio_way way; /* SEND_AWAY */
	const char *room; /* JOIN, LEAVE */
	struct each *each; /* CALL */
	_Alignas(char *) char names[];
};

static void do_it(struct sio_socket *s, void *ctx)
{
	const struct posted *p = ctx;

	switch (p->doing) {
	case JOIN:
		if (sio_join(s, p->room) < 0)
			log_line(LOG_WARN, "a socket cannot join one more room: no memory, or its limit");
		break;
	case LEAVE:
		sio_leave(s, p->room);
		break;
	case SEND_AWAY:
		sio_send_away(s, p->way);
		break;
	case CALL:
		p->each->fn(s, p->each->ctx);
		break;
	}
}

static void end_each(struct each *each)
{
	if (each == NULL || atomic_fetch_sub_explicit(&each->loops, 1, memory_order_acq_rel) > 1)
		return;
	atomic_fetch_sub_explicit(&each->server->eaches, 1, memory_order_relaxed);
	each->fn(NULL, each->ctx);
	free(each);
}

static bool is_for_those_away(const struct posted *p)
{
	return p->doing == SEND_AWAY && sio_away_holds(p->target.space, p->way);
}

static void run(struct net_loop *loop, struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);
	struct sio_loop *at = &p->target.space->server->loops[net_loop_index(loop)];

	sio_visit_all(at, &p->target, do_it, p);
	if (is_for_those_away(p))
		sio_away_send(at, &p->target);
	end_each(p->each);
	free(p);
}

static void discard(struct net_message *message)
{
	struct posted *p = list_entry(message, struct posted, message);

	end_each(p->each);
	free(p);
}

static struct posted *copy(const struct posted *what)
{
	size_t names_bytes = sio_target_names_bytes(&what->target);
	size_t room_bytes = what->room == NULL ? 0 : strlen(what->room) + 1;
	struct posted *p = malloc(sizeof(*p) + names_bytes + room_bytes);

	if (p == NULL)
		return NULL;
	*p = *what;
	p->message = (struct net_message){
		.run = run, .discard = discard, .bytes = sizeof(*p) + names_bytes + room_bytes
	};
	p->target = sio_target_copy(&what->target, p->names);
	if (room_bytes > 0)
		p->room = memcpy(p->names + names_bytes, what->room, room_bytes);
	return p;
}

/* Not done on a loop that is too far behind: who is there has missed something. */
static int refuse(struct sio_server *server, uint32_t loop, struct posted *p)
{
	atomic_fetch_add_explicit(&server->broadcasts_refused, 1, memory_order_relaxed);
	discard(&p->message);
	net_overrun(net_pool_loop(server->pool, loop));
	return -ENOBUFS;
}

/* Once per loop, or nowhere. */
static int do_in_space(const struct posted *what)
{
	struct sio_server *server = what->target.space->server;
	struct sio_loop *here = sio_loop_here(server);
	struct posted *posts[NET_LOOPS_MAX] = { NULL };
	int rc = 0;

	for (uint32_t i = 0; i < server->loop_count; i++) {
		posts[i] = copy(what);
		if (posts[i] == NULL) {
			while (i > 0)
				free(posts[--i]);
			return -ENOMEM;
		}
	}
	for (uint32_t i = 0; i < server->loop_count && is_for_those_away(what); i++)
		sio_away_asked(what->target.space, i);
	for (uint32_t i = 0; i < server->loop_count; i++) {
		/* A function of the application's waits until this call has returned, and nobody is visited within a visit. */
		if (what->doing != CALL && sio_is_now(here, i) && !here->visiting)
			run(here->loop, &posts[i]->message);
		else if (what->doing == SEND_AWAY || what->doing == CALL) /* bounded otherwise */
			sio_hand_over_reserved(server, i, &posts[i]->message);
		else if (!sio_hand_over(server, i, &posts[i]->message))
			rc = refuse(server, i, posts[i]);
	}
	return rc;
}

/* In the target's namespace, or in all children of a parent. */
static int do_everywhere(const struct posted *what)
{
	struct sio_space *space = what->target.space;
	int rc = 0;

	if (!sio_target_valid(&what->target))
		return -EINVAL;
	if (space->names == NULL)
		return do_in_space(what);
	/* A name may be a room's own, which goes when all have left it in the first of the children. */
	struct posted *kept = copy(what);
	if (kept == NULL)
		return -ENOMEM;
	space = atomic_load_explicit(&space->children, memory_order_acquire);
	for (; space != NULL; space = space->next_child) {
		kept->target.space = space;
		int done = do_in_space(kept);
		rc = done < 0 ? done : rc;
	}
	free(kept);
	return rc;
}

int sio_join_all(struct sio_target target, const char *room)
{
	if (!sio_room_name_valid(str_c(room)))
		return -EINVAL;
	return do_everywhere(&(struct posted){ .target = target, .doing = JOIN, .room = room });
}

int sio_leave_all(struct sio_target target, const char *room)
{
	if (!sio_room_name_valid(str_c(room)))
		return -EINVAL;
	return do_everywhere(&(struct posted){ .target = target, .doing = LEAVE, .room = room });
}

int sio_disconnect_all(struct sio_target target, bool close)
{
	return do_everywhere(&(struct posted){
		.target = target, .doing = SEND_AWAY, .way = close ? SIO_AWAY_ALL : SIO_AWAY });
}

int sio_connection_close_all(struct sio_target target)
{
	return do_everywhere(&(struct posted){ .target = target, .doing = SEND_AWAY, .way = SIO_CUT });
}

int sio_each(struct sio_target target, sio_with_fn *fn, void *ctx)
{
	struct each *each = NULL;
	int rc = -ENOBUFS;

	if (!sio_target_valid(&target) || target.space->names != NULL)
		return -EINVAL;
	struct sio_server *server = target.space->server;
	if (sio_is_closed(server))
		return -ENOBUFS;
	if (atomic_fetch_add_explicit(&server->eaches, 1, memory_order_relaxed) < SIO_EACH_WAITING_MAX) {
		each = malloc(sizeof(*each));
		rc = -ENOMEM;
	}
	if (each != NULL) {
		*each = (struct each){ .server = server, .fn = fn, .ctx = ctx };
		atomic_init(&each->loops, server->loop_count);
		rc = do_everywhere(&(struct posted){ .target = target, .doing = CALL, .each = each });
	}
	if (rc == 0)
		return 0;
	atomic_fetch_sub_explicit(&server->eaches, 1, memory_order_relaxed);
	free(each);
	return rc;
}
