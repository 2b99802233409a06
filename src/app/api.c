/* app/api.c -- see app/api.h. */
#include "app/api.h"

#include <errno.h>

#include "app/command.h"
#include "base/assert.h"
#include "base/utf8.h"

static const char prefix[] = "/api/v1/";

static void refuse(struct sio_exchange x, uint16_t status, struct chat_fault fault, const char *allow)
{
	struct sio_header header = { "Allow", allow };
	struct sio_response response = { .status = status, .content_type = "application/json" };
	struct json j;

	if (allow != NULL) {
		response.headers = &header;
		response.header_count = 1;
	}
	json_init(&j);
	request_write_fault(&j, fault, 0);
	int rc = sio_reply(x, &response, sio_of_str(json_failed(&j) ? STR("") : json_str(&j)));
	assert(rc != -EINVAL);
	json_finish(&j);
}

static bool is_json(const struct sio_request *q)
{
	struct sio_str type;

	if (!sio_request_header(q, "content-type", &type))
		return false;
	size_t bytes = 0;
	while (bytes < type.bytes && type.s[bytes] != ';' && type.s[bytes] != ' ')
		bytes++;
	return str_equal_nocase(str_of(type.s, bytes), STR("application/json"));
}

static void on_token(void *ctx, enum store_status status, const struct store_user *user)
{
	struct request *r = ctx;

	if (status == STORE_NOT_FOUND) {
		request_fail(r, (struct chat_fault){ CHAT_UNAUTHENTICATED, "this token is not known" });
		return;
	}
	if (status != STORE_OK) {
		request_fail_store(r, status);
		return;
	}
	user_from_store(&r->user, user);
	r->limit_key = (uint64_t)user->id;
	r->command->run(r);
}

static void authenticate(struct request *r)
{
	uint8_t hash[STORE_TOKEN_HASH_BYTES];

	if (!r->visitor.guests) {
		request_fail(r, (struct chat_fault){ CHAT_GUESTS_REFUSED, NULL });
		return;
	}
	if (!r->visitor.has_token) {
		request_fail(r, (struct chat_fault){ CHAT_UNAUTHENTICATED, NULL });
		return;
	}
	if (!command_allowed(r, LIMIT_TOKEN, r->visitor.address, 1))
		return;
	chat_token_hash(visitor_token(&r->visitor), hash);
	enum store_status status = r->app->store->ops->find_token(r->app->store, hash, on_token, r);
	if (status != STORE_OK)
		request_fail_store(r, status);
}

static struct chat_fault check(const struct app *app, const struct sio_request *q,
	struct visitor *ret_visitor, const struct command **ret_command)
{
	struct str path = str_of_sio(q->path);
	size_t skip = sizeof(prefix) - 1;
	struct chat_fault fault = visitor_judge(app->config, app->cookie, q, true, ret_visitor);

	if (fault.error != CHAT_OK)
		return fault;
	*ret_command = command_find(str_of(path.s + skip, path.bytes - skip));
	if (*ret_command == NULL)
		return (struct chat_fault){ CHAT_UNKNOWN_COMMAND, NULL };
	if (((*ret_command)->flags & COMMAND_SOCKET) != 0)
		return (struct chat_fault){ CHAT_UNKNOWN_COMMAND, "this command is for sockets only" };
	if (!is_json(q))
		return (struct chat_fault){ CHAT_UNSUPPORTED, NULL };
	if (!utf8_valid((const uint8_t *)q->body.s, q->body.bytes))
		return (struct chat_fault){ CHAT_INVALID, "the body is not valid UTF-8" };
	return CHAT_FINE;
}

static void on_request(const struct sio_request *q, struct sio_exchange x, void *ctx)
{
	struct app *app = ctx;
	struct visitor visitor;
	const struct command *c;

	if (!str_equal(str_of_sio(q->method), STR("POST"))) {
		refuse(x, 405, (struct chat_fault){ CHAT_INVALID, "commands are asked by POST" }, "POST");
		return;
	}
	struct chat_fault fault = check(app, q, &visitor, &c);
	if (fault.error != CHAT_OK) {
		refuse(x, request_http_status(fault.error), fault, NULL);
		return;
	}
	struct request *r = request_create(app, NULL, c, q->body.bytes * 2);
	if (r == NULL) {
		refuse(x, 503, (struct chat_fault){ CHAT_BUSY, NULL }, NULL);
		return;
	}
	r->exchange = x;
	r->visitor = visitor;
	r->limit_key = visitor.address;
	fault = command_read(r, str_of_sio(q->body));
	if (fault.error != CHAT_OK)
		request_fail(r, fault);
	else if ((c->flags & COMMAND_OPEN) != 0)
		c->run(r);
	else if ((c->flags & COMMAND_READ) == 0 || request_count_read(r))
		authenticate(r);
}

int api_listen(struct app *app)
{
	return sio_http(app->io, prefix, APP_ARGUMENTS_BYTES_MAX, on_request, app);
}
