/*
 * socketio/recovery_int.h -- what outlives a connection that breaks, shared by backlog.c, recoverable.c, kept_answer.c, away.c, recover.c, word.c and
 * recovery.c.
 *
 *      namespace --> backlog (one per loop): what was emitted, in the order of this loop
 *                       `-- recoverables: who is there, or was a moment ago, by its private id (pid)
 *
 * Every event that may be sent again ends in its offset, which names its emitter and that one's count; from one emitter all loops see
 * events in the same order, from several each in its own. So a client's offset is a place in the order of the loop that it was on, and
 * how far a loop is with each emitter (`seen`) tells another what it has had.
 *
 * Threads: a backlog belongs to its loop, and so does a recoverable, until it is handed to another.
 */
#ifndef SOCKETIO_RECOVERY_INT_H
#define SOCKETIO_RECOVERY_INT_H

#include "socketio/server_int.h"

enum {
	SIO_PID_BYTES =
		15, /* 14 random, 1 of the loop that knows where it is: base64url makes the text of them */
	SIO_PID_CHARS = 20,
	SIO_OFFSET_CHARS_MAX = 40,
	SIO_EPOCH_CHARS = 8,
	SIO_EMITTER_SELF =
		512, /* added to the emitter's number: for one socket, which other loops do not see */
	SIO_SENT_LOOKUPS_MAX = 64, /* for what of a closed session's queue is of a backlog */
	SIO_KEPT_BYTES_MAX = 16 << 20, /* of a loop's identities whose clients are away; */
	SIO_RESENT_BYTES_MAX = 16 << 20, /* and of what was sent again to those who are back */
	SIO_BACKLOGS_MAX = 8, /* all backlogs of a loop have so many times backlog_bytes_max */
	SIO_ANSWERS_PART = 4, /* of one's bytes, answers have this part */
	SIO_PLACES_MAX = 1 << 18, /* of one that are kept, or were and were answers */
	SIO_RECOVER_STEP_MS = 10, /* between two looks at whether a recovery can go on, ... */
	SIO_RECOVER_STEPS_MAX = 300, /* ... of which there are so many */
	SIO_RECOVER_HOPS_MAX = 8, /* from loop to loop, after one that moves */
};

/* An event by its emitter: a loop, or, as loop_count, all other threads. count 0: none. */
struct sio_offset {
	uint64_t emitter; /* as wide as the other: its bytes are a key */
	uint64_t count;
};

/* Something that was emitted; or that a target was sent away. */
struct sio_past {
	struct map_node offset_node; /* by_offset, unless its count is 0 */
	struct map_node unit_node; /* by_unit */
	struct list node; /* in the loop's, in the order in which they came */
	struct list answer_node; /* in `answers`, or in none */
	struct sio_backlog *backlog;
	uint64_t place; /* in this loop's order, from 1; without gaps */
	struct sio_offset offset; /* count 0: an answer, or no event at all */
	uint64_t at_ns;
	struct blob_share *unit; /* NULL: the target was sent away */
	size_t bytes;
	struct sio_target target; /* its names lie in the array */
	_Alignas(char *) char names[];
};

struct sio_backlog {
	struct list node; /* in the loop's */
	struct sio_space *space;
	struct sio_loop *at;
	struct sio_past *
		*ring; /* what is kept, by its place; NULL in it: an answer that was let go for newer ones */
	uint64_t ring_cap; /* a power of two */
	uint64_t first_place, next_place; /* of what is kept; of what comes */
	size_t bytes, answers_bytes; /* in all; of answers */
	struct list answers; /* the oldest first */
	struct net_delay sweep; /* running while something is kept */
	struct map by_pid, by_id, by_sid; /* recoverables */
	struct map by_offset, by_unit; /* what is kept */
	uint64_t *seen,
		*lost; /* of each emitter: the last count that came; the last of what is not kept any more */
	uint64_t counts[];
};

/* One who came back has been sent these before all that comes: maybe in another order than this loop's. */
struct sio_resent {
	struct sio_offset offset;
	struct blob_share *unit; /* NULL: it had this already */
};

/* From where on something is to be sent again: resent[resent..], then what lies behind `place`. */
struct sio_cut {
	uint32_t resent;
	uint64_t place;
};

/*
 * A socket's identity.
 *
 *      LIVE --its connection breaks--> ENDING --"disconnect" has been called--> KEPT --back--> LIVE, maybe on another loop
 *                                                                                 `--window over--> gone
 */
struct sio_recoverable {
	struct sio_space *space; /* NULL: it only says where it is */
	struct map_node pid_node; /* by_pid */
	struct map_node id_node; /* by_id: ENDING, KEPT */
	struct map_node sid_node; /* by_sid: LIVE, when it has come back */
	struct sio_backlog *backlog; /* where it is */
	struct sio_socket *socket; /* LIVE; ENDING, and its session is NULL. NULL: KEPT */
	uint32_t elsewhere; /* loop + 1: it is there, and this only says so. 0: it is here */
	char pid[SIO_PID_CHARS + 1], sid[SIO_SID_BYTES];
	bool has_come_back, has_id_node;
	bool ends; /* its socket has closed, and will not be back */
	bool has_expiry; /* its authentication has a deadline: times of clock_now_ns() */
	bool resent_is_lost; /* not kept any more, although it may not have had it */
	bool sent_is_lost; /* `sent` is not known */
	bool resent_is_refused; /* some of it was not queued: its session ends */
	uint16_t ack_count; /* of `acks` */
	uint32_t resent_count, room_count;
	struct sio_id id; /* the socket's */
	uint32_t id_key[2];
	uint64_t joined; /* all behind this place is for it */
	uint64_t taken_by; /* who has brought it back last, by the number of its asking; 0: nobody */
	uint64_t last_answer; /* the place of the last answer to it; 0: there was none */
	uint64_t lost_answer; /* the place of the last one that was let go for newer ones; 0: none was */
	uint64_t refused; /* the first place that its session did not take, for it ends; 0: there is none */
	uint64_t last_place; /* the last event that was queued for it, ... */
	struct sio_offset last; /* ... by its offset */
	uint64_t expiry_ns, expiry_end_ns; /* when it is to be told; when it is closed */
	struct sio_resent *resent;
	size_t resent_bytes;
	/* KEPT, and ENDING from when it closed: */
	struct sio_cut sent; /* behind what is known to have left us */
	uint64_t closed; /* the last place before that */
	const char **rooms; /* sorted, the names behind them; owned */
	size_t rooms_bytes;
	uint64_t *acks; /* ids of its events that wait for our answer; owned */
	char *label;
	void *data;
	void (*destroy_data)(void *);
	struct net_delay delay; /* KEPT: its end; LIVE: that of `resent` */
};

/* recovery.c */
/* The next number of an emitter: `here`, or NULL for all other threads (under the namespace's outside_lock). self: to one socket alone. */
struct sio_offset sio_number(struct sio_space *, const struct sio_loop *here, bool self);
/* The last was not used: they are dense. */
void sio_number_back(struct sio_space *, const struct sio_loop *here, bool self);

/* backlog.c */
/* This loop's backlog of a namespace, made if there is none. NULL: no memory. */
struct sio_backlog *sio_backlog_of(struct sio_loop *, struct sio_space *);
void sio_backlog_destroy(struct sio_backlog *);
void sio_backlog_sweep(struct net_delay *, void *loop);
/* Add something; unit NULL, and no offset: the target was sent away. Its place. Without memory, or where the namespace has nobody, it is as if it had been dropped at once. */
uint64_t sio_backlog_add(
	struct sio_backlog *, const struct sio_target *, struct sio_offset, struct blob_share *unit);
/* Something is missing: nobody who was there can be sent all. */
void sio_backlog_break(struct sio_backlog *);
/* This one is of it, going by the rooms in which it was when it left. */
bool sio_target_was_for(const struct sio_target *, const struct sio_recoverable *);
/* It is kept, and was for this one. */
bool sio_past_is_for(const struct sio_past *, const struct sio_recoverable *);
/* The place of an event; 0: it is not there, or not any more. */
uint64_t sio_backlog_find(const struct sio_backlog *, struct sio_offset);
uint64_t sio_backlog_find_unit(const struct sio_backlog *, const struct blob_share *unit);
/* What is kept at a place: from first_place on, before next_place. NULL: an answer that is not kept any more. */
const struct sio_past *sio_backlog_at(const struct sio_backlog *, uint64_t place);

/* word.c */
/*
 * The loop that its pid names is told that it goes from loop `here` to `elsewhere` - 1; 0: that it is no more. Without memory it is not:
 * then it is asked for in vain, or keeps a name for nothing until the server ends.
 */
void sio_word_tell(struct sio_space *, const struct sio_recoverable *, uint32_t here, uint32_t elsewhere);
/* It leaves this loop for another, which is told likewise. False: no memory. */
bool sio_word_leave(struct sio_backlog *, const struct sio_recoverable *, uint32_t to);

/* kept_answer.c */
/* An answer is not kept any more: whose it is may have missed it. */
void sio_recoverable_answer_lost(const struct sio_past *);

/* away.c */
/* It holds for those who are away, too: who is cut off comes back. */
static inline bool sio_away_holds(const struct sio_space *space, enum sio_way way)
{
	return way != SIO_CUT && space->server->recovers;
}

/* This loop is about to hear of one of the next two. */
void sio_away_asked(struct sio_space *, uint32_t loop);
/* Who is of the target and away does not come back as who it was. Calls nobody back. */
void sio_away_send(struct sio_loop *, const struct sio_target *);
/* The same by its socket's id. False: it is not away. */
bool sio_away_send_id(struct sio_loop *, struct sio_space *, struct sio_id);
/* What was kept with them is destroyed. */
void sio_away_bury(struct sio_loop *);
/* KEPT, and not any more: destroyed when all callbacks of this iteration have returned. */
void sio_recoverable_forget(struct sio_recoverable *);
/* It says that this one was sent away, since it closed. */
bool sio_away_is_meant(const struct sio_past *, const struct sio_recoverable *);
/* How often this loop has looked for who was to be sent away; on it, or by who knows that it stands still. */
uint32_t sio_away_done(const struct sio_space *, uint32_t loop);
/* Since it had done so as often, somebody was to be sent away there: whoever has left it meanwhile may be meant. */
bool sio_away_was_asked(const struct sio_space *, uint32_t loop, uint32_t done);

/* recover.c */
void sio_recover_step(struct net_delay *, void *loop);
/* Those that wait when the server ends. */
void sio_recoverings_end(struct sio_loop *);

/* recoverable.c */
struct sio_recoverable *sio_recoverable_find(const struct sio_backlog *, struct str pid);
/* ENDING or KEPT, by its socket's id. NULL: there is none. */
struct sio_recoverable *sio_recoverable_by_id(const struct sio_backlog *, struct sio_id);
/* Out of all tables, and freed. */
void sio_recoverable_destroy(struct sio_recoverable *);
void sio_recoverable_forget_resent(struct sio_recoverable *);
/* When its connection closed. */
bool sio_recoverable_was_in(const struct sio_recoverable *, const char *room);
/* The oldest of what was sent again goes where it is more than may be held. */
void sio_resent_make_room(struct sio_loop *);
/* Its authentication has ended while it was away. */
bool sio_recoverable_is_over(const struct sio_recoverable *);
/* As clients are told it. */
size_t sio_offset_text(const struct sio_server *, struct sio_offset, char out[SIO_OFFSET_CHARS_MAX + 1]);
/* False: it is none of this server's. */
bool sio_offset_read(const struct sio_server *, struct str text, struct sio_offset *ret);
/* Into this backlog's tables, by its pid and, where it is KEPT, its id. False: no memory. */
bool sio_recoverable_enter(struct sio_recoverable *, struct sio_backlog *);
void sio_recoverable_leave(struct sio_recoverable *);
/* KEPT from now on, for the window. */
void sio_recoverable_wait(struct sio_recoverable *);
/* Where to go on for who says this offset (not has_offset: none). False: what it has missed is not known. */
bool sio_recoverable_cut(
	const struct sio_recoverable *, bool has_offset, struct str offset, struct sio_cut *ret);
void sio_kept_over(struct net_delay *, void *loop);
void sio_resent_over(struct net_delay *, void *loop);
/* The loop that knows where one of that pid is. False: no pid of ours. */
bool sio_pid_loop(const struct sio_server *, struct str pid, uint32_t *ret_loop);

#endif
