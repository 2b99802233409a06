/* Requests: what is answered by socket and by HTTP, what an error looks like on either way, and what is counted. */
#include "app/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum {
	ANSWER_BYTES = 1024,
	ROOM_BYTES = 100,
};

#define TOKEN "abcdefghijklmnopqrst-_"

static struct {
	unsigned answers, replies;
	int results[2]; /* of the first and the second call */
	char text[ANSWER_BYTES]; /* the last one */
	struct sio_ack ack;
	struct sio_id exchange;
	uint16_t status;
	char content_type[64], cookie[256], retry_after[32];
	int refs; /* of the peer */
	unsigned commands, reads; /* that the peer had under way when it was answered */
} said;

static struct app app;
static struct peer peer;
static struct caller caller;
static const struct command *const no_command = NULL;

/* Stand-ins for libsio's, and for the peer's life. */
int sio_answer(struct sio_ack ack, struct sio_args args)
{
	int result = said.results[said.answers > 0];

	said.answers++;
	said.commands = atomic_load(&caller.commands);
	said.reads = atomic_load(&caller.reads);
	said.ack = ack;
	assert_in_range(args.json.bytes, 2, ANSWER_BYTES - 1);
	assert_int_equal(args.attachment_count, 0);
	snprintf(said.text, sizeof(said.text), "%.*s", (int)args.json.bytes, args.json.s);
	return result;
}

int sio_reply(struct sio_exchange x, const struct sio_response *response, struct sio_str body)
{
	int result = said.results[said.replies > 0];

	said.replies++;
	said.exchange = x.id;
	said.status = response->status;
	said.cookie[0] = said.retry_after[0] = '\0';
	snprintf(said.content_type, sizeof(said.content_type), "%s", response->content_type);
	for (size_t i = 0; i < response->header_count; i++) {
		const struct sio_header *h = &response->headers[i];
		bool cookie = strcmp(h->name, "Set-Cookie") == 0;

		assert_true(cookie || strcmp(h->name, "Retry-After") == 0);
		snprintf(cookie ? said.cookie : said.retry_after,
			cookie ? sizeof(said.cookie) : sizeof(said.retry_after), "%s", h->value);
	}
	assert_in_range(body.bytes, 2, ANSWER_BYTES - 1);
	snprintf(said.text, sizeof(said.text), "%.*s", (int)body.bytes, body.s);
	return result;
}

static bool behind;

bool sequencer_behind(const struct sequencer *s)
{
	(void)s;
	return behind;
}

static struct sequencer_item *pushed;

void sequencer_push(struct sequencer *s, struct sequencer_item *item)
{
	(void)s;
	assert_null(pushed);
	pushed = item;
}

void peer_ref(struct peer *p)
{
	assert_ptr_equal(p, &peer);
	said.refs++;
}

void peer_unref(struct peer *p)
{
	if (p == NULL)
		return;
	assert_ptr_equal(p, &peer);
	said.refs--;
}

static int set_up(void **state)
{
	(void)state;
	memset(&said, 0, sizeof(said));
	memset(&peer, 0, sizeof(peer));
	memset(&caller, 0, sizeof(caller));
	peer.caller = &caller;
	peer.limit_key = 77;
	caller.visitor.guests = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(said.refs, 0);
	assert_int_equal(atomic_load(&caller.commands), 0);
	assert_int_equal(atomic_load(&caller.reads), 0);
	assert_int_equal(atomic_load(&caller.command_bytes), 0);
	assert_int_equal(atomic_load(&app.reads), 0);
	assert_int_equal(atomic_load(&app.command_bytes), 0);
	return 0;
}

static struct request *by_socket(void)
{
	struct request *r = request_create(&app, &peer, no_command, ROOM_BYTES);

	assert_non_null(r);
	r->ack = (struct sio_ack){ .id = 5, .wanted = true };
	return r;
}

static struct request *by_http(void)
{
	struct request *r = request_create(&app, NULL, no_command, ROOM_BYTES);

	assert_non_null(r);
	r->exchange.id = (struct sio_id){ 1, 2, 3 };
	return r;
}

/* What was said is this error, as docs/chat.md has it. retry_ms empty: it is not said. */
static void expect_error(bool in_array, const char *code, const char *message, const char *retry_ms)
{
	struct json_value object, item;
	char quoted[256];
	size_t count = 1;

	if (in_array)
		assert_true(json_scan_array(str_c(said.text), &object, 1, &count));
	else
		assert_true(json_scan(str_c(said.text), &object));
	assert_int_equal(count, 1);
	assert_true(json_member(object, STR("ok"), &item));
	assert_int_equal(item.type, JSON_FALSE);
	assert_true(json_member(object, STR("error"), &item));
	snprintf(quoted, sizeof(quoted), "\"%s\"", code);
	assert_true(str_equal(item.text, str_c(quoted)));
	assert_true(json_member(object, STR("message"), &item));
	assert_int_equal(item.type, JSON_STRING);
	if (message != NULL) {
		snprintf(quoted, sizeof(quoted), "\"%s\"", message);
		assert_true(str_equal(item.text, str_c(quoted)));
	}
	assert_int_equal(json_member(object, STR("retry_ms"), &item), retry_ms[0] != '\0');
	if (retry_ms[0] != '\0')
		assert_true(str_equal(item.text, str_c(retry_ms)));
}

static void every_error_has_its_status(void **state)
{
	(void)state;
	static const uint16_t statuses[CHAT_ERROR_COUNT] = {
		[CHAT_OK] = 200,
		[CHAT_INVALID] = 400,
		[CHAT_UNAUTHENTICATED] = 401,
		[CHAT_GUESTS_REFUSED] = 403,
		[CHAT_FORBIDDEN] = 403,
		[CHAT_NOT_FOUND] = 404,
		[CHAT_UNKNOWN_COMMAND] = 404,
		[CHAT_CONFLICT] = 409,
		[CHAT_TOO_LARGE] = 413,
		[CHAT_UNSUPPORTED] = 415,
		[CHAT_RATE_LIMITED] = 429,
		[CHAT_BUSY] = 503,
		[CHAT_UNAVAILABLE] = 503,
		[CHAT_UNKNOWN] = 504,
	};

	for (int i = 0; i < CHAT_ERROR_COUNT; i++)
		assert_int_equal(request_http_status((enum chat_error)i), statuses[i]);
}

static void every_error_is_told_on_both_ways(void **state)
{
	(void)state;
	for (int i = CHAT_OK + 1; i < CHAT_ERROR_COUNT; i++) {
		enum chat_error error = (enum chat_error)i;

		request_fail(by_socket(), (struct chat_fault){ error, NULL });
		expect_error(true, chat_error_code(error), chat_error_message(error), "");
		request_fail(by_http(), (struct chat_fault){ error, "it \\\"is so\\\"" });
		assert_int_equal(said.status, request_http_status(error));
		assert_string_equal(said.content_type, "application/json");
		assert_string_equal(said.retry_after, "");
	}
	request_fail(by_socket(), (struct chat_fault){ CHAT_INVALID, "room is missing" });
	expect_error(true, "invalid", "room is missing", "");
	assert_int_equal(said.ack.id, 5);
}

static void what_the_store_says_is_told(void **state)
{
	(void)state;
	request_fail_store(by_socket(), STORE_CONFLICT);
	expect_error(true, "conflict", NULL, "");
	request_fail_store(by_http(), STORE_UNKNOWN);
	expect_error(false, "unknown", NULL, "");
	assert_int_equal(said.status, 504);
	request_fail_store(by_http(), STORE_NOT_FOUND);
	expect_error(false, "not_found", NULL, "");
}

static void when_to_come_again_is_told(void **state)
{
	(void)state;
	request_fail_later(by_socket(), 100);
	expect_error(true, "rate_limited", NULL, "100");
	/* In seconds for HTTP, and never too early. */
	static const struct {
		uint64_t ms;
		const char *retry_ms, *retry_after;
	} waits[] = { { 1, "1", "1" }, { 999, "999", "1" }, { 1000, "1000", "1" }, { 1001, "1001", "2" },
		{ 59500, "59500", "60" } };
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		request_fail_later(by_http(), waits[i].ms);
		assert_int_equal(said.status, 429);
		expect_error(false, "rate_limited", NULL, waits[i].retry_ms);
		assert_string_equal(said.retry_after, waits[i].retry_after);
	}
}

static void what_was_written_is_the_answer(void **state)
{
	(void)state;
	struct request *r = by_socket();

	json_lit(&r->answer, "{\"ok\":true,\"seq\":1}");
	request_done(r);
	assert_string_equal(said.text, "[{\"ok\":true,\"seq\":1}]");
	assert_int_equal(said.answers, 1);
	r = by_http();
	json_lit(&r->answer, "{\"ok\":true}");
	request_done(r);
	assert_string_equal(said.text, "{\"ok\":true}");
	assert_int_equal(said.status, 200);
	assert_string_equal(said.content_type, "application/json");
	assert_string_equal(said.cookie, "");
	assert_int_equal(said.exchange.generation, 3);
	assert_int_equal(said.replies, 1);
}

static void who_asks_for_no_answer_has_none(void **state)
{
	(void)state;
	struct request *r = by_socket();

	r->ack.wanted = false;
	json_lit(&r->answer, "{}");
	request_done(r);
	r = by_socket();
	r->ack.wanted = false;
	request_fail(r, (struct chat_fault){ CHAT_BUSY, NULL });
	request_refuse((struct sio_ack){ .wanted = false }, (struct chat_fault){ CHAT_BUSY, NULL }, 0);
	assert_int_equal(said.answers, 0);
}

static void somebody_without_a_request_can_be_refused(void **state)
{
	(void)state;
	request_refuse(
		(struct sio_ack){ .id = 9, .wanted = true }, (struct chat_fault){ CHAT_BUSY, NULL }, 250);
	expect_error(true, "busy", chat_error_message(CHAT_BUSY), "250");
	assert_int_equal(said.ack.id, 9);
}

/* Which a script cannot read, and no other site's form can make a browser send. */
static void the_token_may_go_into_a_cookie(void **state)
{
	(void)state;
	static const char *const wanted[] = { "palaver_0123abcd=" TOKEN ";", "HttpOnly",
		"SameSite=", "Path=/", "Max-Age=" };
	struct request *r = by_http();

	snprintf(app.cookie, sizeof(app.cookie), "palaver_0123abcd");
	r->set_cookie = true;
	memcpy(r->token, TOKEN, sizeof(r->token));
	json_lit(&r->answer, "{\"ok\":true}");
	request_done(r);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		assert_non_null(strstr(said.cookie, wanted[i]));
	assert_null(strstr(said.cookie, "SameSite=None"));
	assert_null(strstr(said.cookie, "Domain"));
	assert_null(strstr(said.text, TOKEN));
	/* Not with an error. */
	r = by_http();
	r->set_cookie = true;
	memcpy(r->token, TOKEN, sizeof(r->token));
	request_fail(r, (struct chat_fault){ CHAT_UNAVAILABLE, NULL });
	assert_string_equal(said.cookie, "");
	assert_null(strstr(said.text, TOKEN));
}

static void what_is_answered_counts_no_longer(void **state)
{
	(void)state;
	struct request *one = by_socket(), *two = by_socket();

	assert_true(request_count_read(one));
	assert_true(request_count_read(two));
	request_fail(one, (struct chat_fault){ CHAT_NOT_FOUND, NULL });
	assert_int_equal(said.commands, 1);
	assert_int_equal(said.reads, 1);
	json_lit(&two->answer, "{\"ok\":true}");
	request_done(two);
	assert_int_equal(said.commands, 0);
	assert_int_equal(said.reads, 0);
}

/* However many connections ask, and however far behind the sequencer is. */
static void reads_are_bounded_in_all(void **state)
{
	(void)state;
	static struct request *reads[APP_READS_IN_ALL_MAX];

	for (size_t i = 0; i < APP_READS_IN_ALL_MAX; i++) {
		reads[i] = by_http();
		assert_true(request_count_read(reads[i]));
	}
	assert_false(request_count_read(by_http()));
	expect_error(false, "busy", NULL, "");
	assert_int_equal(atomic_load(&app.reads), APP_READS_IN_ALL_MAX);
	for (size_t i = 0; i < APP_READS_IN_ALL_MAX; i++)
		request_free(reads[i]);
	assert_int_equal(atomic_load(&app.reads), 0);
	behind = true;
	assert_false(request_count_read(by_socket()));
	expect_error(true, "busy", NULL, "");
	behind = false;
	assert_int_equal(atomic_load(&app.reads), 0);
}

/* What all have asked for has a bound in bytes, by whatever way it came. */
static void arguments_are_bounded_in_all(void **state)
{
	(void)state;
	enum { LARGE = 1 << 20, COUNT = APP_COMMAND_BYTES_IN_ALL_MAX / LARGE };
	struct request *all[COUNT];
	size_t count = 0;

	while (count < COUNT &&
		(all[count] = request_create(&app, count % 2 ? &peer : NULL, no_command, LARGE)) != NULL)
		count++;
	assert_int_equal(count, COUNT - 1); /* for the requests themselves take room too */
	request_free(all[--count]);
	struct request *r = request_create(&app, NULL, no_command, LARGE);
	assert_non_null(r);
	request_free(r);
	while (count > 0)
		request_free(all[--count]);
}

static void what_is_pushed_is_answered_in_its_turn(void **state)
{
	(void)state;
	struct request *r = by_socket();

	json_lit(&r->answer, "{\"ok\":true}");
	request_push(r, NULL, 3, 9);
	assert_ptr_equal(pushed, &r->item);
	assert_int_equal(pushed->room, 3);
	assert_int_equal(pushed->after, 9);
	assert_true(pushed->bytes >= sizeof(*r) + ROOM_BYTES + r->answer.buf.bytes);
	assert_int_equal(said.answers, 0);
	pushed->run(NULL, pushed);
	pushed = NULL;
	assert_int_equal(said.answers, 1);
	assert_string_equal(said.text, "[{\"ok\":true}]");
}

static void a_peer_knows_what_it_has_asked(void **state)
{
	(void)state;
	struct request *one = by_socket(), *two = by_socket(), *http = by_http();

	assert_int_equal(one->way, REQUEST_BY_SOCKET);
	assert_int_equal(http->way, REQUEST_BY_HTTP);
	assert_int_equal(one->limit_key, 77);
	assert_true(one->visitor.guests);
	assert_int_equal(atomic_load(&caller.commands), 2);
	assert_int_equal(atomic_load(&caller.reads), 0);
	assert_int_equal(atomic_load(&caller.command_bytes), 2 * ROOM_BYTES);
	assert_int_equal(said.refs, 2);
	assert_true(request_count_read(two));
	assert_true(request_count_read(http));
	assert_int_equal(atomic_load(&app.reads), 2);
	assert_int_equal(atomic_load(&caller.reads), 1);
	request_fail(two, (struct chat_fault){ CHAT_BUSY, NULL });
	assert_int_equal(atomic_load(&caller.reads), 0);
	assert_int_equal(atomic_load(&caller.commands), 1);
	/* Gone without an answer. */
	one->work = malloc(10);
	request_free(one);
	request_free(http);
	assert_int_equal(said.answers, 1);
	assert_int_equal(said.replies, 0);
}

/* It was done, and nobody can be told: that is `unknown`, never `busy`, which says that nothing was tried. */
static void an_answer_without_memory_is_unknown(void **state)
{
	(void)state;
	struct request *r = by_socket();

	r->answer.failed = true;
	request_done(r);
	assert_int_equal(said.answers, 1);
	expect_error(true, "unknown", NULL, "");
	r = by_http();
	r->answer.failed = true;
	request_done(r);
	assert_int_equal(said.replies, 1);
	assert_int_equal(said.status, 504);
	expect_error(false, "unknown", NULL, "");
}

static void an_answer_that_finds_no_memory_is_a_shorter_one(void **state)
{
	(void)state;
	struct request *r = by_socket();

	said.results[0] = -ENOMEM;
	json_lit(&r->answer, "{\"ok\":true}");
	request_done(r);
	assert_int_equal(said.answers, 2);
	expect_error(true, "unknown", NULL, "");
	r = by_http();
	json_lit(&r->answer, "{\"ok\":true}");
	request_done(r);
	assert_int_equal(said.replies, 2);
	expect_error(false, "unknown", NULL, "");
	assert_int_equal(said.status, 504);
}

static void whoever_has_gone_is_not_told(void **state)
{
	(void)state;
	said.results[0] = said.results[1] = -ENOENT;
	request_fail(by_socket(), (struct chat_fault){ CHAT_BUSY, NULL });
	request_fail(by_http(), (struct chat_fault){ CHAT_BUSY, NULL });
	assert_int_equal(said.answers, 1);
	assert_int_equal(said.replies, 1);
}

/* Each allocation of an answer fails in its turn: once answered, whatever is lost. */
static void an_answer_is_given_without_memory(void **state)
{
	(void)state;
	unsigned n = 0;
	bool failed;

	do {
		struct request *r = by_socket();
		unsigned before = said.answers;

		failing_alloc_arm_from(++n);
		request_fail_later(r, 5);
		failed = failing_alloc_disarm();
		assert_int_equal(said.answers, before + 1);
		expect_error(true, failed ? "unknown" : "rate_limited", NULL, failed ? "" : "5");
	} while (failed);
	assert_true(n > 1);
	failing_alloc_arm(1);
	assert_null(request_create(&app, &peer, no_command, ROOM_BYTES));
	assert_true(failing_alloc_disarm());
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		EACH(every_error_has_its_status),
		EACH(every_error_is_told_on_both_ways),
		EACH(what_the_store_says_is_told),
		EACH(when_to_come_again_is_told),
		EACH(what_was_written_is_the_answer),
		EACH(who_asks_for_no_answer_has_none),
		EACH(somebody_without_a_request_can_be_refused),
		EACH(the_token_may_go_into_a_cookie),
		EACH(what_is_answered_counts_no_longer),
		EACH(reads_are_bounded_in_all),
		EACH(arguments_are_bounded_in_all),
		EACH(what_is_pushed_is_answered_in_its_turn),
		EACH(a_peer_knows_what_it_has_asked),
		EACH(an_answer_without_memory_is_unknown),
		EACH(an_answer_that_finds_no_memory_is_a_shorter_one),
		EACH(whoever_has_gone_is_not_told),
		EACH(an_answer_is_given_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
