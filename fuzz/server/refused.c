/*
 * fuzz/server/refused.c -- what an application must not do: each is refused with a word, and harms nothing. See fuzz/server/scene.h.
 */
#include <errno.h>
#include <string.h>

#include "server/scene.h"
#include "sio/eio.h"
#include "sio/ws.h"

static const char too_long[] =
	"/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
	"8901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
	"6789012345678901234567890123456789012345678901234567890123456789012345678901234567890123"
	"45678901234567890123456789/";

static const struct sio_cookie cookie = { .name = "a b" };

void refused_options(uint8_t which, const struct sio_options *good)
{
	static const struct sio_cors cors = { .credentials = true };
	static const struct sio_options wrong[] = {
		{ .listen = "3000" },
		{ .listen = "127.0.0.1:65536" },
		{ .listen = "[]:3000x" },
		{ .path = "no/slash" },
		{ .path = too_long },
		{ .threads = 1000 },
		{ .without_socketio = true, .cookie = &cookie },
		{ .tls_key_file = "a key alone" },
		{ .message_bytes_max = UINT32_MAX },
		{ .rates = { .messages = { 0, 5 } } },
		{ .rates = { .address_sessions = { UINT32_MAX, 5 } } },
		{ .queue_bytes_soft = 2000, .queue_bytes_max = 1000 },
		{ .queued_bytes_max = 1 },
		{ .cors = &cors },
		{ .cookie = &cookie },
	};
	struct sio_options o = wrong[which % (sizeof(wrong) / sizeof(wrong[0]))];
	char err[256] = "";

	o.sender = SIO_SENDER_PLAIN;
	o.log = good->log;
	if (sio_create(&o, err, sizeof(err)) != NULL || err[0] == '\0')
		kernel_fail("wrong options %u are taken, or refused without a word", which);
}

static void nobody_asks(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	(void)r;
	(void)x;
	(void)ctx;
	kernel_fail("a path that was refused is served");
}

/* Before the server runs. */
void refused_services(const struct sio_ws_options *good_ws, const struct sio_eio_options *good_eio)
{
	static const char *const bad[] = { "not a token/" };
	struct sio_server *io = scene->io;
	struct sio_ws_options ws = *good_ws;
	struct sio_eio_options eio = *good_eio;
	struct sio_asset asset = { .path = "/asset",
		.content_type = "a\nb",
		.etag = "\"1\"",
		.cache_control = "",
		.identity = { "", 0 } };

	if (sio_of(io, "none") != NULL || sio_of(io, "/a,b") != NULL || sio_of(io, "/\x1f") != NULL)
		kernel_fail("a namespace's name is taken that is none");
	if (sio_on(scene->spaces[0], "newListener", NULL, NULL) != -EINVAL)
		kernel_fail("a reserved name is taken");
	if (sio_ws(io, "none", &ws, NULL) != NULL || sio_ws(io, "/ws", &ws, NULL) != NULL ||
		sio_eio(io, "/none", &eio, NULL) != NULL)
		kernel_fail("a path is taken that is none, or taken already");
	ws.protocols = bad;
	ws.protocol_count = 1;
	eio.cookie = &cookie;
	if (sio_ws(io, "/other", &ws, NULL) != NULL || sio_eio(io, "/other/", &eio, NULL) != NULL)
		kernel_fail("wrong options of an endpoint are taken");
	ws = *good_ws;
	ws.origins = bad;
	ws.origin_count = 1;
	eio = *good_eio;
	eio.queue_bytes_soft = 2000;
	eio.queue_bytes_max = 1000;
	if (sio_ws(io, "/other", &ws, NULL) != NULL || sio_eio(io, "/other/", &eio, NULL) != NULL)
		kernel_fail("wrong options of an endpoint are taken");
	if (sio_http(io, "none", 0, nobody_asks, NULL) != -EINVAL ||
		sio_http(io, "/http", 0, nobody_asks, NULL) != -EEXIST ||
		sio_http(io, "/none", UINT32_MAX, nobody_asks, NULL) != -EINVAL ||
		sio_http(io, "/none", 0, NULL, NULL) != -EINVAL || sio_serve_asset(io, &asset) != -EINVAL)
		kernel_fail("a path is taken that is none, or taken already");
}

static void refused_sends(struct sio_space *space, struct sio_id id, uint8_t how)
{
	static const struct sio_bytes attachment = { "a", 1 };
	struct sio_args bad = sio_json(how & 64 ? "[1" : "[{\"_placeholder\":true,\"num\":1}]");
	struct sio_args many = sio_json("[]");
	struct sio_target all = sio_all(space);
	struct sio_id nobody = { 0 };

	bad.attachments = how & 64 ? NULL : &attachment;
	bad.attachment_count = how & 64 ? 0 : 1;
	many.attachment_count = UINT32_MAX;
	if (sio_emit(all, "news", bad) != -EINVAL ||
		sio_emit(sio_all(scene->parent), "news", bad) != -EINVAL ||
		sio_emit(all, "news", many) != -EINVAL)
		kernel_fail("arguments are taken that are none");
	if (sio_emit(all, "connect", sio_json("[]")) != -EINVAL)
		kernel_fail("an event's name is taken that is reserved");
	if (sio_ask(space, id, "disconnect", sio_json("[]"), 1, NULL, NULL) != -EINVAL ||
		sio_ask(space, nobody, "a", sio_json("[]"), 1, NULL, NULL) != -ENOENT)
		kernel_fail("a question is taken that is none");
	all.room_count = UINT32_MAX;
	if (sio_emit(all, "news", sio_json("[]")) != -EINVAL || sio_join_all(all, "r0") != -EINVAL ||
		sio_ask_all(all, "a", sio_json("[]"), 1, NULL, NULL) != -EINVAL)
		kernel_fail("a target is taken that is none");
	if (sio_each(sio_all(scene->parent), app_walked, NULL) != -EINVAL)
		kernel_fail("all children are walked");
}

static void refused_answers(struct sio_id id)
{
	static const struct sio_header framed = { "Content-Length", "1" };
	struct sio_exchange nobody = { .server = scene->io };
	struct sio_response ok = { .status = 200 }, bad = { .status = 99 };
	struct sio_response misled = { .status = 200, .headers = &framed, .header_count = 1 };
	struct sio_ack none = { 0 };

	if (sio_reply(nobody, &ok, SIO_STR("")) != -ENOENT ||
		sio_reply(nobody, &bad, SIO_STR("")) != -EINVAL ||
		sio_reply(nobody, &misled, SIO_STR("")) != -EINVAL)
		kernel_fail("an answer is taken that is none");
	if (sio_answer(none, sio_json("[]")) != -ENOENT || sio_decide(none, NULL) != -ENOENT)
		kernel_fail("nobody is answered");
	if (sio_endpoint_close(scene->ws, id, 1005) != -EINVAL ||
		sio_endpoint_close(scene->ws, (struct sio_id){ 0 }, 1000) != -ENOENT)
		kernel_fail("nobody is closed, or with a code that is none");
	if (sio_endpoint_send_all(scene->ws, false, (struct sio_bytes){ "\xff", 1 }) != -EINVAL ||
		sio_endpoint_send_all(scene->ws, true, (struct sio_bytes){ too_long, SIZE_MAX }) != -EMSGSIZE)
		kernel_fail("a message is taken that is none");
}

void refused_act(uint8_t how)
{
	struct sio_space *space = scene->spaces[how >> 7];

	if (sio_join_all(sio_all(space), "") != -EINVAL || sio_leave_all(sio_all(space), "") != -EINVAL)
		kernel_fail("a room is taken that is none");
	if (how & 32)
		refused_sends(space, scene->ids[how >> 2 & (SCENE_IDS_MAX - 1)], how);
	else
		refused_answers(scene->peers[how >> 2 & (SCENE_IDS_MAX - 1)]);
}
