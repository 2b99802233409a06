/* fuzz/server/outside.c -- what the application does by a thread that is none of the server's: see fuzz/server/scene.h. */
#include <stdlib.h>

#include "base/account.h"
#include "server/scene.h"
#include "sio/stats.h"

static const char *const rooms[SCENE_ROOMS] = { "r0", "r1", "r2", "r3" };

/* All would hear it, the witness too: not too often, for it has a narrow line at times. */
static bool may_be_loud(void)
{
	uint64_t now = kernel_now_ns();

	if (now - scene->loud_ns > KERNEL_S) {
		scene->loud_ns = now;
		scene->loud = 0;
	}
	return scene->loud++ < SCENE_LOUD_PER_S_MAX;
}

static struct sio_target narrowed(struct sio_target to, uint8_t how)
{
	static const char *const second[] = { "r2", "r3" };

	to.room = rooms[how % SCENE_ROOMS];
	if (how & 4) {
		to.rooms = second;
		to.room_count = 2;
	}
	if (how & 8) {
		to.except_rooms = second + 1;
		to.except_room_count = 1;
	}
	to.is_volatile = how & 16;
	return to;
}

/* A target without the witness: a room, or all in /two, or all but it. */
static struct sio_target others(uint8_t how)
{
	struct sio_target to = sio_all(scene->spaces[how >> 7]);

	if ((how & 0x58) == 0x58)
		return sio_all(scene->parent);
	if (how >> 5 & 1)
		return narrowed(to, how);
	to.except = scene->witness_id;
	/* While it joins, it is not known by its new id. */
	return how >> 7 || !witness_is_content() ? sio_all(scene->spaces[1]) : to;
}

static struct sio_args binary_args(void)
{
	static const uint8_t data[] = { 1, 2, 3, 0, 255 };
	static const struct sio_bytes attachment = { data, sizeof(data) };
	struct sio_args args = sio_json("[\"news\",{\"_placeholder\":true,\"num\":0}]");

	args.attachments = &attachment;
	args.attachment_count = 1;
	return args;
}

static void emit(struct sio_target to, uint8_t how)
{
	static const char words[] =
		"[\"news\",\"all of it is longer than what is said most of the time, and so it takes "
		"its time on a narrow line, where it may have to wait, and others behind it; "
		"some are lagging then, and are told so, and others are not.\"]";
	(void)sio_emit(
		to, "news", how & 64 ? binary_args() : sio_json(how & 8 ? words : "[\"news\",1,null]"));
}

static void on_fetched(const struct sio_fetched *found)
{
	if (found->status != 0 && found->count != 0)
		kernel_fail("somebody was found, and it failed");
	scene->tally.replied++;
}

static void on_replies(const struct sio_replies *r)
{
	if (r->count > r->asked)
		kernel_fail("more have answered than were asked");
	scene->tally.replied++;
}

static void on_with(struct sio_socket *socket, void *ctx)
{
	(void)ctx;
	if (socket != NULL)
		(void)sio_join(socket, "r3");
	scene->tally.replied++;
}

/* It is called at last if it was taken. */
static void begun(int rc)
{
	scene->tally.asked += rc == 0;
}

static void on_figure(void *ctx, const struct sio_figure *f)
{
	(void)ctx;
	if (f->name == NULL || f->help == NULL)
		kernel_fail("a figure without a name");
}

static void look_at_figures(void)
{
	char text[1000];

	sio_stats_each(scene->io, on_figure, NULL);
	(void)sio_stats_text(scene->io, text, sizeof(text));
}

/* One of the last sockets, or peers; it may have gone. */
static struct sio_id known(const struct sio_id ids[SCENE_IDS_MAX], uint8_t how)
{
	return ids[how % SCENE_IDS_MAX];
}

static void tell_peers(uint8_t how)
{
	struct sio_endpoint *endpoint = how & 64 ? scene->eio : scene->ws;
	struct sio_bytes message = { "to peers", 8 };

	if (how & 32)
		(void)sio_endpoint_send_all(endpoint, how & 16, message);
	else if (how & 8)
		(void)sio_endpoint_close(endpoint, known(scene->peers, how), how & 16 ? 1001 : 0);
	else
		(void)sio_endpoint_send(endpoint, known(scene->peers, how), how & 16, message);
}

static void send_away(uint8_t how)
{
	uint8_t way = how >> 1 & 3;

	if (scene->is_crowded && way < 2)
		way += 2;
	switch (way) {
	case 0:
		witness_pardon();
		(void)!sio_disconnect_all(sio_all(scene->spaces[0]), how & 1);
		break;
	case 1:
		witness_pardon();
		(void)!sio_connection_close_all(sio_all(scene->spaces[0]));
		break;
	case 2:
		(void)!sio_disconnect_all(others(how), how & 1);
		break;
	default:
		(void)!sio_connection_close_all(others(how));
	}
}

static void look_around(uint8_t how)
{
	struct sio_space *space = scene->spaces[how >> 7];
	struct sio_target all = how & 32 ? narrowed(sio_all(space), how) : sio_all(space);

	switch (how & 3) {
	case 0:
		begun(sio_each(all, app_walked, NULL));
		break;
	case 1:
		begun(sio_fetch(all, on_fetched, NULL));
		break;
	case 2:
		all.uncompressed = how & 64;
		if (may_be_loud())
			begun(sio_ask_all(all, "all", how & 64 ? binary_args() : sio_json("[7]"), 300,
				on_replies, NULL));
		break;
	default:
		begun(sio_with(space, known(scene->ids, how >> 2), on_with, NULL));
	}
}

static void answer(uint8_t how)
{
	switch (how & 3) {
	case 0:
		app_answer_ack();
		break;
	case 1:
		app_decide(how & 4);
		break;
	case 2:
		app_answer_http();
		break;
	default:
		app_ask(scene->spaces[how >> 7], known(scene->ids, how >> 2));
	}
}

/* For a moment others of the process hold more than may wait for all: those for whom most waits are closed. */
static void hold(void)
{
	const size_t bytes = scene->queued_bytes_max + ((size_t)1 << ACCOUNT_STEP_BITS);

	if (scene->is_crowded)
		return;
	witness_pardon();
	account_add(bytes);
	script_wait(KERNEL_MS);
	account_take(bytes);
}

static void rest(uint8_t how)
{
	switch (how & 3) {
	case 0:
		emit(sio_all(scene->parent), how);
		break;
	case 1:
		look_at_figures();
		break;
	case 2:
		refused_act(how);
		break;
	default:
		hold();
	}
}

void outside_act(uint8_t what, uint8_t how)
{
	struct sio_space *space = scene->spaces[how >> 7];

	switch (what % 10) {
	case 0:
		emit(narrowed(sio_all(space), how), how);
		break;
	case 1:
		if (may_be_loud())
			emit(sio_all(space), how);
		break;
	case 2:
		send_away(how);
		break;
	case 3:
		look_around(how);
		break;
	case 4:
		answer(how);
		break;
	case 5:
		(void)!sio_join_all(others(how), "r3");
		break;
	case 6:
		(void)!sio_leave_all(others(how), rooms[how % SCENE_ROOMS]);
		break;
	case 7:
		(void)sio_disconnect_id(space, known(scene->ids, how), how & 16);
		if (how & 32)
			(void)sio_connection_close_id(space, known(scene->ids, how + 1));
		break;
	case 8:
		tell_peers(how);
		break;
	default:
		rest(how);
	}
}
