/*
 * bench/rooms.c -- the server of bench/scale.py: rooms by number.
 *
 *	"join", FIRST, COUNT    into the rooms FIRST .. FIRST + COUNT - 1; acknowledged
 *	"say", ROOM, TEXT       everybody in the room hears "message", TEXT, the sender included
 *	"message", TEXT         everybody
 */
#include <sio/sio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM_BYTES = 16 };

static bool number(const struct sio_event *e, size_t i, unsigned long *ret)
{
	struct sio_str json;

	if (!sio_arg(e, i, &json))
		return false;
	*ret = strtoul(json.s, NULL, 10); /* an argument is followed by ',' or ']' */
	return true;
}

static void on_join(const struct sio_event *e)
{
	unsigned long first, count;
	char room[ROOM_BYTES];

	if (!number(e, 0, &first) || !number(e, 1, &count))
		return;
	for (unsigned long i = first; i < first + count; i++) {
		snprintf(room, sizeof(room), "%lu", i);
		if (sio_join(e->socket, room) != 0)
			return; /* not answered: the generator notices */
	}
	sio_answer(e->ack, sio_json("[]"));
}

static void on_say(const struct sio_event *e)
{
	struct sio_target to = sio_all(sio_space_of(e->socket));
	unsigned long number_of_room;
	struct sio_str text;
	char room[ROOM_BYTES];

	if (!number(e, 0, &number_of_room) || !sio_arg(e, 1, &text))
		return;
	snprintf(room, sizeof(room), "%lu", number_of_room);
	to.room = room;
	char *json = malloc(text.bytes + 2);
	if (json == NULL)
		return;
	json[0] = '[';
	memcpy(json + 1, text.s, text.bytes);
	json[text.bytes + 1] = ']';
	sio_emit(to, "message", (struct sio_args){ .json = { json, text.bytes + 2 } });
	free(json);
}

static void on_message(const struct sio_event *e)
{
	sio_emit(sio_all(sio_space_of(e->socket)), "message", e->args);
}

int main(void)
{
	const char *port = getenv("PORT");
	char where[64], err[256] = "";

	snprintf(where, sizeof(where), "127.0.0.1:%s", port ? port : "3000");
	struct sio_server *io = sio_create(&(struct sio_options){ .listen = where }, err, sizeof(err));
	if (io == NULL) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	struct sio_space *all = sio_of(io, "/");
	if (all == NULL || sio_on(all, "join", on_join, NULL) != 0 || sio_on(all, "say", on_say, NULL) != 0 ||
		sio_on(all, "message", on_message, NULL) != 0)
		return 1;
	int rc = sio_run(io);
	sio_destroy(io);
	return rc < 0;
}
