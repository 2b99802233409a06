/* What makes no sense is refused, and somebody is told why: by sio_create() itself, by the log where there is a server already. */
#include <stdio.h>
#include <string.h>

#include "lib/cmocka.h"
#include "sio/eio.h"
#include "sio/sio.h"
#include "sio/ws.h"

enum { TEXT_BYTES = 600 };

static char logged[TEXT_BYTES];

static void on_log(void *ctx, enum sio_log_level level, const char *text)
{
	(void)ctx;
	if (level == SIO_LOG_ERROR)
		snprintf(logged, sizeof(logged), "%s", text);
}

static struct sio_server *create(struct sio_options o, char err[TEXT_BYTES])
{
	err[0] = '\0';
	o.listen = "127.0.0.1:0";
	o.log = on_log;
	return sio_create(&o, err, TEXT_BYTES);
}

static void expect_refused(const struct sio_options *o, const char *why)
{
	char err[TEXT_BYTES];

	assert_null(create(*o, err));
	if (strstr(err, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err, why);
}

static void a_server(void **state)
{
	static const struct sio_recovery recovery;
	static const struct sio_cors cors = { .credentials = true }; /* of whom? */
	static const char *const pages[] = { "https://a.example", "https://b.example/" }; /* none says that */
	static const struct sio_cors never = { .origins = pages, .origin_count = 2 };
	static const struct sio_cookie nameless = { .name = "" }, two = { .name = "a;b" };
	static const struct {
		struct sio_options o;
		const char *why;
	} cases[] = {
		{ { .path = "/a" }, "path" },
		{ { .path = "" }, "path" },
		{ { .message_bytes_max = (64 << 20) + 1 }, "message_bytes_max" },
		{ { .queue_bytes_soft = 1001, .queue_bytes_max = 1000 }, "queue_bytes_soft" },
		{ { .queue_bytes_soft = 2 << 20 }, "queue_bytes_soft" },
		{ { .queue_bytes_max = 1000, .queued_bytes_max = 1999 }, "queued_bytes_max" },
		{ { .rates.messages = { .burst = 5 } }, "a rate" },
		{ { .rates.address_messages = { .burst = 5 } }, "a rate" },
		{ { .rates.address_sessions = { .per_s = 1000001 } }, "a rate" },
		{ { .rates.address_sessions = { .per_s = 1, .burst = 1000001 } }, "a rate" },
		{ { .tls_certificate_file = "a" }, "without each other" },
		{ { .tls_key_file = "a" }, "without each other" },
		{ { .tls_certificate_file = "/nowhere/a", .tls_key_file = "/nowhere/b" },
			"/nowhere/a: No such" },
		{ { .cors = &cors }, "cors" },
		{ { .cors = &never }, "cors" },
		{ { .cookie = &nameless }, "cookie" },
		{ { .cookie = &two }, "cookie" },
		{ { .without_socketio = true, .path = "/x/" }, "without_socketio" },
		{ { .without_socketio = true, .recovery = &recovery }, "without_socketio" },
		{ { .without_socketio = true, .cors = &cors }, "without_socketio" },
		{ { .without_socketio = true, .rates.messages.per_s = 1 }, "without_socketio" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_refused(&cases[i].o, cases[i].why);
}

static void what_is_in_order(void **state)
{
	static const struct sio_cookie cookie;
	static const struct sio_options each[] = {
		{ .queue_bytes_max = 1000 }, /* the other is a part of it */
		{ .queue_bytes_soft = 1000, .queue_bytes_max = 1000 },
		{ .queue_bytes_max = 1000, .queued_bytes_max = 2000 },
		{ .rates.messages = { .per_s = 1000000, .burst = 1000000 } },
		{ .rates.messages = { .per_s = 1 } },
		{ .message_bytes_max = 64 << 20 },
		{ .cookie = &cookie },
		{ .without_socketio = true, .threads = 2 },
	};
	char err[TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct sio_server *io = create(each[i], err);

		assert_string_equal(err, "");
		assert_non_null(io);
		sio_destroy(io);
	}
}

#define EXPECT_LOGGED(made, why)                                                                             \
	do {                                                                                                 \
		logged[0] = '\0';                                                                            \
		assert_null(made);                                                                           \
		if (strstr(logged, (why)) == NULL)                                                           \
			fail_msg("\"%s\" does not say \"%s\"", logged, (why));                               \
	} while (0)

static void an_endpoint(void **state)
{
	static const char *const origins[] = { "https://a.example/" }, *const protocols[] = { "two words" };
	static const struct sio_cors cors = { .credentials = true };
	char err[TEXT_BYTES];
	struct sio_server *io = create((struct sio_options){ .path = "/socket.io/" }, err);

	(void)state;
	assert_non_null(io);
	EXPECT_LOGGED(sio_ws(io, "live", NULL, NULL), "live: ");
	EXPECT_LOGGED(sio_ws(io, "/live?", NULL, NULL), "no path");
	EXPECT_LOGGED(sio_ws(io, "/x", &(struct sio_ws_options){ .queue_bytes_soft = 3 << 20 }, NULL),
		"/x: queue_bytes_soft");
	EXPECT_LOGGED(
		sio_ws(io, "/x", &(struct sio_ws_options){ .rates.messages.burst = 1 }, NULL), "/x: a rate");
	EXPECT_LOGGED(
		sio_ws(io, "/x", &(struct sio_ws_options){ .origins = origins, .origin_count = 1 }, NULL),
		"origin");
	EXPECT_LOGGED(sio_ws(io, "/x",
			      &(struct sio_ws_options){ .protocols = protocols, .protocol_count = 1 }, NULL),
		"protocol");
	EXPECT_LOGGED(sio_eio(io, "/x", NULL, NULL), "slash");
	EXPECT_LOGGED(sio_eio(io, "/x/", &(struct sio_eio_options){ .message_bytes_max = 1 << 30 }, NULL),
		"message_bytes_max");
	EXPECT_LOGGED(sio_eio(io, "/x/", &(struct sio_eio_options){ .cors = &cors }, NULL), "cors");
	EXPECT_LOGGED(sio_eio(io, "/socket.io/", NULL, NULL), "/socket.io/: it is served already");
	assert_non_null(sio_ws(io, "/x", NULL, NULL));
	EXPECT_LOGGED(sio_ws(io, "/x", NULL, NULL), "/x: it is served already");
	sio_destroy(io);
}

static bool any_name(void *ctx, struct sio_str name, struct sio_str auth)
{
	(void)ctx;
	(void)name;
	(void)auth;
	return true;
}

static void a_namespace(void **state)
{
	char err[TEXT_BYTES], name[20];
	struct sio_server *io = create((struct sio_options){ 0 }, err);
	struct sio_space *parent;
	unsigned parents = 0;

	(void)state;
	assert_non_null(io);
	EXPECT_LOGGED(sio_of(io, "a"), "a is no name");
	EXPECT_LOGGED(sio_of(io, "/a,b"), "/a,b is no name");
	for (int i = 0; i < SIO_SPACES_MAX; i++) {
		snprintf(name, sizeof(name), "/%d", i);
		assert_non_null(sio_of(io, name));
	}
	EXPECT_LOGGED(sio_of(io, "/more"), "as many namespaces");
	logged[0] = '\0';
	while ((parent = sio_of_names(io, any_name, NULL)) != NULL)
		parents++;
	assert_true(parents > 0);
	assert_non_null(strstr(logged, "as many parents"));
	sio_destroy(io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server),
		cmocka_unit_test(what_is_in_order),
		cmocka_unit_test(an_endpoint),
		cmocka_unit_test(a_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
