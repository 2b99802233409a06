/*
 * The front door: which Origins may connect, who may be a guest, and where a token is found. Header fields
 * are found by http/head.h; the peer's address is this test's.
 */
#include "app/visitor.h"

#include <stdio.h>

#include "http/head.h"
#include "lib/cmocka.h"

enum { REQUEST_BYTES = 4096 };

#define TOKEN  "abcdefghijklmnopqrst-_"
#define COOKIE "palaver_0123abcd"
#define OTHER  "ZYXWVUTSRQPONMLKJIHGFE"

/* Stand-ins for libsio's. */
static struct {
	const char *address;
	bool loopback;
} peer;

bool sio_request_header(const struct sio_request *r, const char *name, struct sio_str *ret_value)
{
	struct str value = http_head_get(r->head, str_c(name));

	if (value.s == NULL)
		return false;
	*ret_value = (struct sio_str){ value.s, value.bytes };
	return true;
}

void sio_request_address(const struct sio_request *r, char *out)
{
	(void)r;
	snprintf(out, SIO_ADDRESS_BYTES, "%s", peer.address);
}

bool sio_request_from_loopback(const struct sio_request *r)
{
	(void)r;
	return peer.loopback;
}

static struct config config;
static struct visitor visitor;

static int set_up(void **state)
{
	(void)state;
	config = (struct config){ .guests = CONFIG_GUESTS_LOCAL };
	peer.address = "127.0.0.1";
	peer.loopback = true;
	return 0;
}

static void allow_origin(const char *origin)
{
	snprintf(config.origins[config.origin_count++], CONFIG_TEXT_BYTES, "%s", origin);
}

/* Of header lines, each with its CRLF. More than a strict parser lets through, which is not what is tested here. */
static void slice(struct http_head *head, const char *lines)
{
	head->header_count = 0;
	while (*lines != '\0') {
		const char *colon = strchr(lines, ':'), *end = strstr(lines, "\r\n"), *value;

		assert_true(colon != NULL && end != NULL && colon < end);
		for (value = colon + 1; value < end && *value == ' '; value++)
			;
		const char *stop = end;
		while (stop > value && stop[-1] == ' ')
			stop--;
		head->headers[head->header_count++] =
			(struct http_header){ str_of(lines, (size_t)(colon - lines)),
				str_of(value, (size_t)(stop - value)) };
		lines = end + 2;
	}
}

static enum chat_error judge(const char *lines, bool wants_origin)
{
	static struct http_head head;
	struct chat_fault fault;

	slice(&head, lines);
	memset(&visitor, 0x55, sizeof(visitor));
	fault = visitor_judge(
		&config, COOKIE, &(struct sio_request){ .head = &head }, wants_origin, &visitor);
	if (fault.error != CHAT_OK)
		assert_int_equal(fault.error, CHAT_FORBIDDEN);
	return fault.error;
}

/* A request to a host, with an origin, or NULL for none. */
static enum chat_error judge_origin(const char *host, const char *origin)
{
	char lines[REQUEST_BYTES / 2];

	if (origin == NULL)
		snprintf(lines, sizeof(lines), "Host: %s\r\n", host);
	else
		snprintf(lines, sizeof(lines), "Host: %s\r\nOrigin: %s\r\n", host, origin);
	return judge(lines, true);
}

static void expect_origin(const char *host, const char *origin, bool let_in)
{
	enum chat_error error = judge_origin(host, origin);

	if ((error == CHAT_OK) != let_in)
		print_error("Host: %s, Origin: %s\n", host, origin == NULL ? "none" : origin);
	assert_int_equal(error, let_in ? CHAT_OK : CHAT_FORBIDDEN);
}

static void whoever_comes_without_an_origin_is_no_browser(void **state)
{
	(void)state;
	expect_origin("127.0.0.1:3000", NULL, true);
	expect_origin("chat.example", NULL, true);
	assert_int_equal(judge("Host: a\r\nOrigin:\r\n", true), CHAT_OK);
}

static void the_hosts_own_origin_is_let_in(void **state)
{
	(void)state;
	expect_origin("chat.example", "https://chat.example", true);
	expect_origin("chat.example", "http://chat.example", true);
	expect_origin("chat.example:8443", "https://chat.example:8443", true);
	expect_origin("Chat.Example", "https://chat.example", true);
	expect_origin("192.168.1.7:3000", "http://192.168.1.7:3000", true);
	expect_origin("[2001:db8::1]:3000", "http://[2001:db8::1]:3000", true);
}

static void foreign_origins_are_refused(void **state)
{
	(void)state;
	static const char *const foreign[] = { "null", "https://evil.tld", "https://chat.example.evil.tld",
		"https://evilchat.example", "https://chat.exampl", "https://chat.example:444",
		"http://chat.example:80.evil.tld", "https://chat.example@evil.tld",
		"https://evil.tld#chat.example", "https://chat.example/", "https://chat.example/x",
		"chat.example", "//chat.example", "https://", "https:chat.example", "ftp://chat.example",
		"file://", "ws://chat.example", "https://sub.chat.example",
		"https://chat.example https://evil.tld", "https://evil.tld, https://chat.example",
		"https://chat.example.", "http://localhost", "http://127.0.0.1" };

	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		expect_origin("chat.example", foreign[i], false);
	/* The same host, with another port: another origin. */
	expect_origin("chat.example:8443", "https://chat.example", false);
	expect_origin("192.168.1.7:3000", "http://192.168.1.7:3001", false);
}

static void configured_origins_are_let_in(void **state)
{
	(void)state;
	static const char *const foreign[] = { "https://ok.tld.evil", "https://xok.tld", "http://ok.tld",
		"https://ok.tld:444", "https://ok.tld/", "https://sub.ok.tld", "https://ok.tl", "null",
		"https://ok.tld:8443.evil", "https://other.tld:84433" };

	allow_origin("https://ok.tld");
	allow_origin("https://other.tld:8443");
	allow_origin("app://palaver");
	expect_origin("chat.example", "https://ok.tld", true);
	expect_origin("chat.example", "https://OK.tld", true);
	expect_origin("chat.example", "https://other.tld:8443", true);
	expect_origin("chat.example", "app://palaver", true);
	expect_origin("chat.example", "https://chat.example", true);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		expect_origin("chat.example", foreign[i], false);
}

static const char *const loopback_hosts[] = { "localhost", "LOCALHOST", "LocalHost:3000", "localhost:80",
	"127.0.0.1", "127.0.0.1:3000", "127.1.2.3", "127.255.255.254", "[::1]", "[::1]:3000" };

/* Names that look like this machine's, or are its by another way of writing that no browser sends. */
static const char *const no_loopback_hosts[] = { "", "example.org", "127.1", "127.0.1", "127.0.0.1.evil.tld",
	"127.0.0.1.", "127.0.0.1.1", "127..0.1", "127.0.0.", "1270.0.0.1", "127.0.0.1a", "127.0.0.x",
	"0.0.0.0", "128.0.0.1", "10.127.0.1", "localhost.evil.tld", "evil.localhost.tld", "localhost.",
	"xlocalhost", "localhostx", "[::2]", "[::1", "::1", "[::1]evil.tld", "[::1].evil.tld:80",
	"[::ffff:10.0.0.1]", "2130706433", "0x7f.0.0.1", "localhost:3000.evil.tld", "localhost:@evil.tld",
	"127.0.0.1:a", "localhost:-1", "[::1]:80x", "[::1]80", "127.0.0.999" };

#define COUNT_OF(table) (sizeof(table) / sizeof(*(table)))

static void all_of_loopback_is_one_origin(void **state)
{
	(void)state;
	for (size_t h = 0; h < COUNT_OF(loopback_hosts); h++) {
		for (size_t o = 0; o < COUNT_OF(loopback_hosts); o++) {
			char origin[64];

			snprintf(origin, sizeof(origin), "http://%s", loopback_hosts[o]);
			expect_origin(loopback_hosts[h], origin, true);
		}
	}
}

static void what_looks_like_loopback_is_foreign(void **state)
{
	(void)state;
	for (size_t o = 0; o < COUNT_OF(no_loopback_hosts); o++) {
		char origin[64];

		snprintf(origin, sizeof(origin), "http://%s", no_loopback_hosts[o]);
		expect_origin("127.0.0.1:3000", origin, false);
	}
	for (size_t h = 0; h < COUNT_OF(no_loopback_hosts); h++)
		expect_origin(no_loopback_hosts[h], "http://localhost:3000", false);
}

static bool guest(const char *lines)
{
	assert_int_equal(judge(lines, false), CHAT_OK);
	return visitor.guests;
}

static void guests_come_from_this_machine(void **state)
{
	(void)state;
	char lines[256];

	for (size_t h = 0; h < COUNT_OF(loopback_hosts); h++) {
		snprintf(lines, sizeof(lines), "Host: %s\r\n", loopback_hosts[h]);
		assert_true(guest(lines));
	}
	for (size_t h = 0; h < COUNT_OF(no_loopback_hosts); h++) {
		snprintf(lines, sizeof(lines), "Host: %s\r\n", no_loopback_hosts[h]);
		if (guest(lines))
			print_error("%s", lines);
		assert_false(guest(lines));
	}
	assert_true(guest("Host: localhost\r\nOrigin: http://localhost:5173\r\n"));
	/* A page of somebody else's whose name was bound anew to 127.0.0.1: host and origin agree, and it is no guest. */
	assert_false(guest("Host: evil.tld\r\nOrigin: http://evil.tld\r\n"));
	/* Let in by the configuration, and yet no page of this machine. */
	allow_origin("https://ok.tld");
	assert_false(guest("Host: localhost\r\nOrigin: https://ok.tld\r\n"));
	peer.loopback = false;
	assert_false(guest("Host: localhost\r\n"));
}

static void what_was_forwarded_is_not_from_here(void **state)
{
	(void)state;
	static const char *const fields[] = { "X-Forwarded-For: 127.0.0.1", "X-FORWARDED-FOR: 10.0.0.1",
		"X-Forwarded-For:", "Forwarded: for=127.0.0.1", "X-Real-IP: 10.0.0.1",
		"X-Forwarded-Host: localhost", "X-Forwarded-Proto: https", "Via: 1.1 proxy" };

	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		char lines[256];

		snprintf(lines, sizeof(lines), "Host: localhost\r\n%s\r\n", fields[i]);
		if (guest(lines))
			print_error("%s", lines);
		assert_false(guest(lines));
		config.guests = CONFIG_GUESTS_ON;
		assert_true(guest(lines));
		config.guests = CONFIG_GUESTS_LOCAL;
	}
}

static void guests_may_be_on_or_off_for_all(void **state)
{
	(void)state;
	config.guests = CONFIG_GUESTS_OFF;
	assert_false(guest("Host: localhost\r\n"));
	config.guests = CONFIG_GUESTS_ON;
	peer.loopback = false;
	peer.address = "203.0.113.5";
	assert_true(guest("Host: chat.example\r\n"));
	assert_true(guest("Host: chat.example\r\nOrigin: https://chat.example\r\n"));
	/* Guests, but not from pages of others. */
	assert_int_equal(judge("Host: chat.example\r\nOrigin: https://evil.tld\r\n", false), CHAT_FORBIDDEN);
}

/* `token` NULL: none is found. */
static void expect_token(const char *lines, const char *token, bool by_cookie)
{
	assert_int_equal(judge(lines, false), CHAT_OK);
	if (visitor.has_token != (token != NULL))
		print_error("%s", lines);
	assert_int_equal(visitor.has_token, token != NULL);
	if (token == NULL)
		return;
	assert_true(str_equal(visitor_token(&visitor), str_c(token)));
	assert_int_equal(visitor.by_cookie, by_cookie);
}

static void a_cookie_has_the_token(void **state)
{
	(void)state;
	static const char *const with[] = { COOKIE "=" TOKEN, "a=1; " COOKIE "=" TOKEN,
		COOKIE "=" TOKEN "; b=2", "a=1; " COOKIE "=" TOKEN "; b=2", "a=1;" COOKIE "=" TOKEN ";b=2",
		"; ;" COOKIE "=" TOKEN ";", "x" COOKIE "=" OTHER "; " COOKIE "=" TOKEN,
		COOKIE "x=" OTHER "; " COOKIE "=" TOKEN, "a; =; " COOKIE "=" TOKEN,
		"palaver_fedcba98=" OTHER "; " COOKIE "=" TOKEN,
		COOKIE "=" TOKEN "; palaver_fedcba98=" OTHER };
	static const char *const without[] = { "", "palaver=" TOKEN, "palaver_=" TOKEN,
		"palaver_0123abc=" TOKEN, "palaver_0123abce=" TOKEN, COOKIE, COOKIE "=", COOKIE "=;",
		COOKIE "=x", COOKIE "=\"" TOKEN "\"", COOKIE "=" TOKEN "x", COOKIE "=abcdefghijklmnopqrst-",
		COOKIE "= " TOKEN, "x" COOKIE "=" TOKEN, "Palaver_0123abcd=" TOKEN, COOKIE "2=" TOKEN,
		"a=" COOKIE "=" TOKEN, COOKIE "==" TOKEN, COOKIE " =" TOKEN,
		COOKIE "=abcdefghijklmnopqrst-=", COOKIE "=abcdefghijklmnopqrst/+", "a b " COOKIE "=" TOKEN };
	char lines[512];

	for (size_t i = 0; i < COUNT_OF(with); i++) {
		snprintf(lines, sizeof(lines), "Host: localhost\r\nCookie: %s\r\n", with[i]);
		expect_token(lines, TOKEN, true);
	}
	for (size_t i = 0; i < COUNT_OF(without); i++) {
		snprintf(lines, sizeof(lines), "Host: localhost\r\nCookie: %s\r\n", without[i]);
		expect_token(lines, NULL, false);
	}
	expect_token("Host: localhost\r\n", NULL, false);
}

/* Of the database, and short: it goes with every request. */
static void a_cookie_has_a_name_for_each_database(void **state)
{
	(void)state;
	char name[VISITOR_COOKIE_BYTES], other[VISITOR_COOKIE_BYTES];

	visitor_cookie_name(STR("0123abcd89abcdef0123456789abcdef"), name);
	assert_string_equal(name, COOKIE);
	visitor_cookie_name(STR("0123abce89abcdef0123456789abcdef"), other);
	assert_string_not_equal(other, name);
}

static void a_long_cookie_is_no_danger(void **state)
{
	(void)state;
	char lines[REQUEST_BYTES - 64] = "Cookie: " COOKIE "=";
	size_t bytes = strlen(lines);

	memset(lines + bytes, 'A', sizeof(lines) - bytes);
	memcpy(lines + sizeof(lines) - 3, "\r\n", 3);
	expect_token(lines, NULL, false);
	memset(lines + bytes, ';', sizeof(lines) - bytes - 3);
	expect_token(lines, NULL, false);
}

static void an_authorization_has_the_token(void **state)
{
	(void)state;
	static const char *const without[] = { "", "Bearer", "Bearer ", "Bearer x", "Basic " TOKEN, TOKEN,
		"Bearer" TOKEN, "Bearer " TOKEN "x", "Bearer \"" TOKEN "\"", "Bearerx " TOKEN,
		"Token " TOKEN };
	char lines[512];

	expect_token("Authorization: Bearer " TOKEN "\r\n", TOKEN, false);
	expect_token("authorization: bearer " TOKEN "\r\n", TOKEN, false);
	for (size_t i = 0; i < COUNT_OF(without); i++) {
		snprintf(lines, sizeof(lines), "Authorization: %s\r\n", without[i]);
		expect_token(lines, NULL, false);
	}
	/* What a program says itself counts, not what a browser adds. */
	expect_token("Cookie: " COOKIE "=" OTHER "\r\nAuthorization: Bearer " TOKEN "\r\n", TOKEN, false);
}

/* A page of somebody else's can make a browser send its cookie, not leave out the origin. */
static void a_cookie_wants_an_origin(void **state)
{
	(void)state;
	static const char cookie[] = "Host: localhost\r\nCookie: " COOKIE "=" TOKEN "\r\n";
	static const char empty[] = "Host: localhost\r\nOrigin:\r\nCookie: " COOKIE "=" TOKEN "\r\n";
	static const char own[] =
		"Host: localhost\r\nOrigin: http://localhost\r\nCookie: a=1; " COOKIE "=" TOKEN "\r\n";

	assert_int_equal(judge(cookie, true), CHAT_FORBIDDEN);
	assert_int_equal(judge(empty, true), CHAT_FORBIDDEN);
	assert_int_equal(judge(own, true), CHAT_OK);
	assert_true(visitor.has_token && visitor.by_cookie);
	assert_int_equal(judge(cookie, false), CHAT_OK);
	assert_int_equal(judge("Host: localhost\r\nOrigin: null\r\nCookie: " COOKIE "=" TOKEN "\r\n", false),
		CHAT_FORBIDDEN);
	/* A cookie of others, and a program with a token of its own, need none. */
	assert_int_equal(judge("Host: localhost\r\nCookie: other=1\r\n", true), CHAT_OK);
	assert_int_equal(judge("Host: localhost\r\nAuthorization: Bearer " TOKEN "\r\n", true), CHAT_OK);
	assert_true(visitor.has_token && !visitor.by_cookie);
}

static uint64_t key_of(const char *address)
{
	peer.address = address;
	assert_int_equal(judge("Host: a\r\n", false), CHAT_OK);
	assert_string_equal(visitor.text, address);
	return visitor.address;
}

static void an_address_has_its_key(void **state)
{
	(void)state;
	uint64_t one = key_of("203.0.113.5");

	assert_true(one == key_of("203.0.113.5"));
	assert_true(one != key_of("203.0.113.6"));
	/* Of version 6 a network is one: who has an address has 2^64. */
	uint64_t six = key_of("2001:db8:1:2::5");
	assert_true(six == key_of("2001:db8:1:2:ffff::7"));
	assert_true(six != key_of("2001:db8:1:3::5"));
	assert_true(six != one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whoever_comes_without_an_origin_is_no_browser, set_up),
		cmocka_unit_test_setup(the_hosts_own_origin_is_let_in, set_up),
		cmocka_unit_test_setup(foreign_origins_are_refused, set_up),
		cmocka_unit_test_setup(configured_origins_are_let_in, set_up),
		cmocka_unit_test_setup(all_of_loopback_is_one_origin, set_up),
		cmocka_unit_test_setup(what_looks_like_loopback_is_foreign, set_up),
		cmocka_unit_test_setup(guests_come_from_this_machine, set_up),
		cmocka_unit_test_setup(what_was_forwarded_is_not_from_here, set_up),
		cmocka_unit_test_setup(guests_may_be_on_or_off_for_all, set_up),
		cmocka_unit_test_setup(a_cookie_has_the_token, set_up),
		cmocka_unit_test_setup(a_cookie_has_a_name_for_each_database, set_up),
		cmocka_unit_test_setup(a_long_cookie_is_no_danger, set_up),
		cmocka_unit_test_setup(an_authorization_has_the_token, set_up),
		cmocka_unit_test_setup(a_cookie_wants_an_origin, set_up),
		cmocka_unit_test_setup(an_address_has_its_key, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
