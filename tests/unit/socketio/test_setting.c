/* What is set too late, or for nobody, is refused and changes nothing; and small things that a handler reads. */
#include <errno.h>

#include "served.h"
#include "sio/eio.h"
#include "sio/http.h"
#include "sio/json.h"
#include "sio/ws.h"

static struct served s;
static struct sio_space *root;
static atomic_uint heard, late;
static atomic_bool read_all;

static void on_late(const struct sio_event *e)
{
	(void)e;
	atomic_fetch_add(&late, 1);
}

static bool late_filter(const struct sio_event *e)
{
	on_late(e);
	return false;
}

static enum sio_verdict late_middleware(const struct sio_event *e, struct sio_refusal *refusal)
{
	(void)refusal;
	on_late(e);
	return SIO_REFUSE;
}

static void late_broadcast(const struct sio_broadcast *b)
{
	(void)b;
	atomic_fetch_add(&late, 1);
}

static bool late_name(void *ctx, struct sio_str name, struct sio_str auth)
{
	(void)ctx;
	(void)name;
	(void)auth;
	atomic_fetch_add(&late, 1);
	return true;
}

static void late_path(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	(void)r;
	(void)x;
	(void)ctx;
	atomic_fetch_add(&late, 1);
}

static void on_said(const struct sio_event *e)
{
	assert(sio_emit(sio_all(root), "heard", e->args) == 0);
	atomic_fetch_add(&heard, 1);
}

static void expect_nothing_set(struct sio_space *space, int why)
{
	assert_int_equal(sio_on(space, "said", on_late, NULL), why);
	assert_int_equal(sio_use(space, late_middleware, NULL), why);
	assert_int_equal(sio_use_events(space, late_filter, NULL), why);
	if (why == -EBUSY)
		assert_null(sio_of_names(s.io, late_name, NULL));
	sio_on_other(space, on_late, NULL);
	sio_on_any(space, on_late, NULL);
	sio_on_any_out(space, on_late, NULL);
	sio_on_broadcast(space, late_broadcast, NULL);
}

static void nobody_and_nothing(void **state)
{
	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	expect_nothing_set(NULL, -EINVAL);
	assert_int_equal(sio_on(root, "", on_late, NULL), -EINVAL);
	assert_int_equal(sio_on(root, "disconnecting", NULL, NULL), 0);
	assert_int_equal(sio_use(root, NULL, NULL), -EINVAL);
	assert_int_equal(sio_use_events(root, NULL, NULL), -EINVAL);
	assert_int_equal(sio_http(s.io, "/page", 0, NULL, NULL), -EINVAL);
	assert_int_equal(sio_emit((struct sio_target){ 0 }, "x", sio_json("[]")), -EINVAL);
	assert_int_equal(sio_emit(sio_all(root), "", sio_json("[]")), -EINVAL);
	/* Of a namespace that could not be made. */
	assert_int_equal(sio_each(sio_all(NULL), NULL, NULL), -EINVAL);
	assert_int_equal(sio_fetch(sio_all(NULL), NULL, NULL), -EINVAL);
	assert_int_equal(sio_ask_all(sio_all(NULL), "x", sio_json("[]"), 0, NULL, NULL), -EINVAL);
	assert_int_equal(sio_join_all(sio_all(NULL), "room"), -EINVAL);
	assert_int_equal(sio_leave_all(sio_all(NULL), "room"), -EINVAL);
	assert_int_equal(sio_disconnect_all(sio_all(NULL), true), -EINVAL);
	assert_int_equal(sio_connection_close_all(sio_all(NULL)), -EINVAL);
	assert_int_equal(sio_ask(NULL, (struct sio_id){ 0 }, "x", sio_json("[]"), 0, NULL, NULL), -EINVAL);
	assert_int_equal(sio_with(NULL, (struct sio_id){ 0 }, NULL, NULL), -EINVAL);
	assert_int_equal(sio_disconnect_id(NULL, (struct sio_id){ 0 }, true), -EINVAL);
	served_finish(&s);
}

static void too_late(void **state)
{
	char target[100];

	(void)state;
	atomic_store(&late, 0);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "said", on_said, NULL), 0);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_true(served_open(fd, target)); /* it runs */
	expect_nothing_set(root, -EBUSY);
	assert_int_equal(sio_http(s.io, "/late", 0, late_path, NULL), -EBUSY);
	assert_int_equal(sio_serve_file(s.io, "/late", "/proc/self/exe"), -EBUSY);
	assert_null(sio_ws(s.io, "/late", NULL, NULL));
	assert_null(sio_eio(s.io, "/late/", NULL, NULL));
	assert_null(sio_of(s.io, "/late"));
	assert_int_equal(served_ask(fd, "POST", target,
				 "40"
				 "\x1e"
				 "42[\"said\",1]"
				 "\x1e"
				 "42[\"other\"]",
				 NULL),
		200);
	WAIT_FOR(atomic_load(&heard) == 1);
	assert_int_equal(served_ask(fd, "GET", "/late", "", NULL), 404);
	assert_int_equal(atomic_load(&late), 0);
	close(fd);
	served_finish(&s);
}

/* Which of the arguments are binary, and which of the attachments they are. */
static void on_bytes(const struct sio_event *e)
{
	struct sio_bytes got;

	assert(e->args.attachment_count == 2);
	assert(sio_arg_bytes(e, 1, &got) && got.bytes == 1 && memcmp(got.data, "\2", 1) == 0);
	assert(sio_arg_bytes(e, 3, &got) && got.bytes == 3 && memcmp(got.data, "\1\2\3", 3) == 0);
	for (size_t i = 0; i < 8; i++)
		assert(i == 1 || i == 3 || !sio_arg_bytes(e, i, &got));
	struct sio_str object, within;
	struct sio_args none = e->args;
	assert(sio_arg(e, 7, &object) && sio_json_member(object, "image", &within));
	assert(sio_args_bytes(&e->args, within, &got) && got.bytes == 1);
	assert(!sio_args_bytes(&e->args, object, &got) && !sio_args_bytes(&e->args, SIO_STR(""), &got));
	assert(!sio_args_bytes(&e->args, SIO_STR("\xff"), &got));
	none.attachment_count = 0; /* as if a client had only said so */
	assert(!sio_args_bytes(&none, within, &got));
	atomic_store(&read_all, true);
}

/* Who is no handler any more leaves it to that of all others. */
static void one_that_is_taken_back(void **state)
{
	char target[100];

	(void)state;
	atomic_store(&late, 0);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "said", on_said, NULL), 0);
	assert_int_equal(sio_on(root, "said", NULL, NULL), 0);
	sio_on_other(root, on_late, NULL);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target,
				 "40"
				 "\x1e"
				 "42[\"said\",1]",
				 NULL),
		200);
	WAIT_FOR(atomic_load(&late) == 1);
	close(fd);
	served_finish(&s);
}

static void add_headers(void *ctx, const struct sio_request *r, struct sio_headers *headers)
{
	char value[201];

	(void)ctx;
	(void)r;
	memset(value, 'h', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (unsigned i = 0; i < SIO_HTTP_HEADERS_MAX; i++)
		assert(sio_headers_add(headers, "X-More", value) == 0);
}

/* As long as a head may be, beside the application's headers: it is not agreed on, and the handshake goes on. */
static void a_long_subprotocol(void **state)
{
	static const char head[] =
		"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n"
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ";
	enum { HEAD_MAX = 16384 };
	static char request[HEAD_MAX + 1];
	size_t lengths[] = { 1, 64, 65, HEAD_MAX - sizeof(head) - 3 };

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1, .initial_headers = add_headers });
	served_run(&s);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char answer[8192];
		size_t at = sizeof(head) - 1, bytes = 0;
		int fd = client_connect(&s.h);

		memcpy(request, head, at);
		memset(request + at, 'p', lengths[i]);
		memcpy(request + at + lengths[i], "\r\n\r\n", 5);
		client_send_text(fd, request);
		do {
			WAIT_FOR(client_readable(fd));
			ssize_t n = recv(fd, answer + bytes, sizeof(answer) - bytes - 1, 0);
			assert_true(n > 0);
			bytes += (size_t)n;
			answer[bytes] = '\0';
		} while (strstr(answer, "0{\"sid\"") == NULL && bytes < sizeof(answer) - 1 &&
			 memmem(answer, bytes, "0{\"sid\"", 7) == NULL);
		assert_memory_equal(answer, "HTTP/1.1 101", 12);
		assert_int_equal(strstr(answer, "Sec-WebSocket-Protocol: p") != NULL, lengths[i] <= 64);
		close(fd);
	}
	served_finish(&s);
}

static void arguments_that_are_binary(void **state)
{
	char target[100];

	(void)state;
	atomic_store(&read_all, false);
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "bytes", on_bytes, NULL), 0);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_true(served_open(fd, target));
	assert_int_equal(
		served_ask(fd, "POST", target,
			"40"
			"\x1e"
			"452-[\"bytes\",\"text\",{\"num\":1,\"_placehol\\u0064er\":true},{\"num\":0},"
			"{\"_placeholder\":true,\"num\":0},{\"_placeholder\":false,\"num\":0},[0],7,"
			"{\"image\":{\"_placeholder\":true,\"num\":1}}]"
			"\x1e"
			"bAQID"
			"\x1e"
			"bAg==",
			NULL),
		200);
	WAIT_FOR(atomic_load(&read_all));
	close(fd);
	served_finish(&s);
}

static void on_page(const struct sio_request *r, struct sio_exchange x, void *ctx)
{
	char text[8];

	(void)ctx;
	assert(sio_request_param(r, "a", text, sizeof(text)) && strcmp(text, "b c") == 0);
	assert(sio_request_param(r, "empty", text, sizeof(text)) && text[0] == '\0');
	assert(sio_request_param(r, "fits", text, sizeof(text)) && strcmp(text, "1234567") == 0);
	assert(!sio_request_param(r, "fits", text, 7) && !sio_request_param(r, "fits", text, 0));
	assert(!sio_request_param(r, "twice", text, sizeof(text)));
	assert(!sio_request_param(r, "bad", text, sizeof(text)));
	assert(!sio_request_param(r, "none", text, sizeof(text)));
	assert(sio_reply(x, &(struct sio_response){ .status = 204 }, SIO_STR("")) == 0);
}

static void parameters_of_a_request(void **state)
{
	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1, .without_socketio = true });
	assert_int_equal(sio_http(s.io, "/page", 0, on_page, NULL), 0);
	served_run(&s);
	int fd = client_connect(&s.h);
	assert_int_equal(
		served_ask(fd, "GET", "/page?a=b%20c&empty=&fits=1234567&twice=1&twice=1&bad=%zz", "", NULL),
		204);
	close(fd);
	served_finish(&s);
}

static void count_child(struct sio_space *space, void *ctx)
{
	unsigned *count = ctx;

	assert_string_equal(sio_space_name(space), *count == 0 ? "/b" : "/a");
	++*count;
}

static void the_children_there_are(void **state)
{
	char target[100];
	unsigned count = 0;

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	root = sio_of(s.io, "/");
	struct sio_space *parent = sio_of_names(s.io, late_name, NULL);
	served_run(&s);
	sio_each_child(parent, count_child, &count);
	assert_int_equal(count, 0);
	int fd = client_connect(&s.h);
	assert_true(served_open(fd, target));
	assert_int_equal(served_ask(fd, "POST", target,
				 "40/a,"
				 "\x1e"
				 "40/b,",
				 NULL),
		200);
	served_expect(fd, target, "");
	close(fd);
	WAIT_FOR(sio_of(s.io, "/b") != NULL);
	sio_each_child(parent, count_child, &count);
	assert_int_equal(count, 2);
	sio_each_child(root, count_child, &count);
	assert_int_equal(count, 2);
	served_finish(&s);
}

/* Whatever comes first is there alone. */
static void paths_that_are_served_already(void **state)
{
	static const struct sio_ws_options ws = { 0 };

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 1 });
	assert_null(sio_ws(s.io, "/socket.io/", &ws, NULL));
	assert_null(sio_eio(s.io, "/socket.io/", NULL, NULL));
	assert_int_equal(sio_http(s.io, "/socket.io/", 0, late_path, NULL), -EEXIST);
	assert_int_equal(sio_serve_file(s.io, "/socket.io/", "/proc/self/exe"), -EEXIST);
	assert_non_null(sio_eio(s.io, "/e/", NULL, NULL));
	assert_null(sio_ws(s.io, "/e/", &ws, NULL));
	assert_non_null(sio_ws(s.io, "/w/", &ws, NULL));
	assert_null(sio_eio(s.io, "/w/", NULL, NULL));
	assert_int_equal(sio_http(s.io, "/w/", 0, late_path, NULL), -EEXIST);
	assert_int_equal(sio_http(s.io, "/w/else", 0, late_path, NULL), 0);
	served_finish(&s);
}

static void which_version_it_is(void **state)
{
	(void)state;
	assert_string_equal(SIO_VERSION, MESON_VERSION);
	assert_string_equal(sio_version(), SIO_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_and_nothing),
		cmocka_unit_test(too_late),
		cmocka_unit_test(one_that_is_taken_back),
		cmocka_unit_test(a_long_subprotocol),
		cmocka_unit_test(arguments_that_are_binary),
		cmocka_unit_test(the_children_there_are),
		cmocka_unit_test(paths_that_are_served_already),
		cmocka_unit_test(which_version_it_is),
		cmocka_unit_test(parameters_of_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
