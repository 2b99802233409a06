/*
 * socketio/word.c -- where an identity is, if not on the loop that its pid names: that one keeps a word of it (sio_recoverable.elsewhere).
 *
 *      loop 0, which the pid names: "on loop 2" <--posted-- loop 2: it is here, or goes on to loop 1, or is no more
 */
#include <stdlib.h>

#include "socketio/recovery_int.h"

/* What the identity's own loop is told. */
struct moved {
	struct net_message message;
	struct sio_space *space;
	uint32_t elsewhere; /* loop + 1; 0: it is no more */
	char pid[SIO_PID_CHARS];
};

static void moved_run(struct net_loop *loop, struct net_message *message)
{
	struct moved *m = list_entry(message, struct moved, message);
	const struct sio_backlog *b = m->space->loops[net_loop_index(loop)].backlog;
	struct sio_recoverable *r =
		b == NULL ? NULL : sio_recoverable_find(b, str_of(m->pid, sizeof(m->pid)));

	if (r != NULL && r->elsewhere != 0 && m->elsewhere != 0)
		r->elsewhere = m->elsewhere;
	else if (r != NULL && r->elsewhere != 0)
		sio_recoverable_destroy(r);
	free(m);
}

static void moved_discard(struct net_message *message)
{
	free(list_entry(message, struct moved, message));
}

/* What says on its own loop that it is elsewhere. */
static void forget_word(const struct sio_backlog *b, const struct sio_recoverable *r)
{
	struct sio_recoverable *word =
		b == NULL ? NULL : sio_recoverable_find(b, str_of(r->pid, SIO_PID_CHARS));

	if (word != NULL && word->elsewhere != 0)
		sio_recoverable_destroy(word);
}

void sio_word_tell(
	struct sio_space *space, const struct sio_recoverable *r, uint32_t here, uint32_t elsewhere)
{
	uint32_t own;

	if (!sio_pid_loop(space->server, str_of(r->pid, SIO_PID_CHARS), &own))
		return;
	if (own == here) {
		if (elsewhere == 0)
			forget_word(space->loops[here].backlog, r);
		return;
	}
	struct moved *m = malloc(sizeof(*m));
	if (m == NULL)
		return;
	*m = (struct moved){
		.message = { .run = moved_run, .discard = moved_discard, .bytes = sizeof(*m) },
		.space = space,
		.elsewhere = elsewhere,
	};
	memcpy(m->pid, r->pid, sizeof(m->pid));
	net_post_reserved(net_pool_loop(space->server->pool, own), &m->message);
}

void sio_recoverable_end(struct sio_recoverable *r)
{
	const struct sio_backlog *b = r->backlog;

	if (b != NULL && r->elsewhere == 0)
		sio_word_tell(b->space, r, net_loop_index(b->at->loop), 0);
	sio_recoverable_destroy(r);
}

bool sio_word_leave(struct sio_backlog *b, const struct sio_recoverable *r, uint32_t to)
{
	uint32_t own, here = net_loop_index(b->at->loop);

	if (!sio_pid_loop(b->at->server, str_of(r->pid, SIO_PID_CHARS), &own) || own != here) {
		sio_word_tell(b->space, r, here, to + 1);
		return true;
	}
	struct sio_recoverable *word = calloc(1, sizeof(*word));
	if (word == NULL)
		return false;
	memcpy(word->pid, r->pid, sizeof(word->pid));
	net_delay_init(&word->delay);
	word->elsewhere = to + 1;
	if (!sio_recoverable_enter(word, b)) {
		free(word);
		return false;
	}
	return true;
}
