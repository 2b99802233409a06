/* The opening handshake: verdicts on requests, and the accept value. */
#include "ws/handshake.h"

#include <string.h>

#include "lib/cmocka.h"

/* The request of RFC 6455, 1.2. */
static struct ws_handshake good(void)
{
	return (struct ws_handshake){
		.method = STR("GET"),
		.http_minor = 1,
		.upgrade = STR("websocket"),
		.connection = STR("Upgrade"),
		.key = STR("dGhlIHNhbXBsZSBub25jZQ=="),
		.version = STR("13"),
	};
}

static void test_good(void **state)
{
	struct ws_handshake h = good();

	(void)state;
	assert_int_equal(ws_handshake_check(&h), WS_VERDICT_OK);
}

static void expect_connection(const char *text, enum ws_verdict verdict)
{
	struct ws_handshake h = good();

	h.connection = str_c(text);
	assert_int_equal(ws_handshake_check(&h), verdict);
}

static void test_connection_is_a_list(void **state)
{
	(void)state;
	expect_connection("upgrade", WS_VERDICT_OK);
	expect_connection("UPGRADE", WS_VERDICT_OK);
	expect_connection("keep-alive, Upgrade", WS_VERDICT_OK); /* Firefox */
	expect_connection("Upgrade,keep-alive", WS_VERDICT_OK);
	expect_connection("a,\t upgrade \t,b", WS_VERDICT_OK);
	expect_connection(",,upgrade,", WS_VERDICT_OK);
	expect_connection("", WS_VERDICT_NOT_UPGRADE);
	expect_connection(",", WS_VERDICT_NOT_UPGRADE);
	expect_connection(" , \t", WS_VERDICT_NOT_UPGRADE);
	expect_connection("keep-alive", WS_VERDICT_NOT_UPGRADE);
	expect_connection("upgrades", WS_VERDICT_NOT_UPGRADE);
	expect_connection("up grade", WS_VERDICT_NOT_UPGRADE);
	expect_connection("keep-alive Upgrade", WS_VERDICT_NOT_UPGRADE);
}

static void expect_upgrade(const char *text, enum ws_verdict verdict)
{
	struct ws_handshake h = good();

	h.upgrade = str_c(text);
	assert_int_equal(ws_handshake_check(&h), verdict);
}

static void test_upgrade(void **state)
{
	(void)state;
	expect_upgrade("WebSocket", WS_VERDICT_OK);
	expect_upgrade("h2c, websocket", WS_VERDICT_OK);
	expect_upgrade("", WS_VERDICT_NOT_UPGRADE);
	expect_upgrade("h2c", WS_VERDICT_NOT_UPGRADE);
	expect_upgrade("websockets", WS_VERDICT_NOT_UPGRADE);
}

static void test_http_1_0_knows_no_upgrade(void **state)
{
	struct ws_handshake h = good();

	(void)state;
	h.http_minor = 0;
	assert_int_equal(ws_handshake_check(&h), WS_VERDICT_NOT_UPGRADE);
}

static void test_absent_headers(void **state)
{
	struct ws_handshake h = { .method = STR("GET"), .http_minor = 1 };

	(void)state;
	assert_int_equal(ws_handshake_check(&h), WS_VERDICT_NOT_UPGRADE);
	h.upgrade = STR("websocket");
	assert_int_equal(ws_handshake_check(&h), WS_VERDICT_NOT_UPGRADE);
	h.connection = STR("upgrade");
	assert_int_equal(ws_handshake_check(&h), WS_VERDICT_BAD_VERSION);
	h.version = STR("13");
	assert_int_equal(ws_handshake_check(&h), WS_VERDICT_BAD_KEY);
}

static void expect_method(const char *text, enum ws_verdict verdict)
{
	struct ws_handshake h = good();

	h.method = str_c(text);
	assert_int_equal(ws_handshake_check(&h), verdict);
}

static void test_method(void **state)
{
	(void)state;
	expect_method("POST", WS_VERDICT_BAD_METHOD);
	expect_method("HEAD", WS_VERDICT_BAD_METHOD);
	expect_method("get", WS_VERDICT_BAD_METHOD); /* methods are case-sensitive (RFC 9110, 9.1) */
	expect_method("", WS_VERDICT_BAD_METHOD);
}

static void expect_version(const char *text, enum ws_verdict verdict)
{
	struct ws_handshake h = good();

	h.version = str_c(text);
	assert_int_equal(ws_handshake_check(&h), verdict);
}

static void test_version(void **state)
{
	(void)state;
	expect_version("8", WS_VERDICT_BAD_VERSION);
	expect_version("14", WS_VERDICT_BAD_VERSION);
	expect_version("013", WS_VERDICT_BAD_VERSION);
	expect_version("13, 8", WS_VERDICT_BAD_VERSION);
	expect_version("", WS_VERDICT_BAD_VERSION);
}

static void expect_key(struct str key, enum ws_verdict verdict)
{
	struct ws_handshake h = good();

	h.key = key;
	assert_int_equal(ws_handshake_check(&h), verdict);
}

static void test_key(void **state)
{
	(void)state;
	expect_key(STR("AQIDBAUGBwgJCgsMDQ4PEA=="), WS_VERDICT_OK); /* RFC 6455, 4.1 */
	expect_key(STR("+/+/+/+/+/+/+/+/+/+/+w=="), WS_VERDICT_OK);
	for (int letter = 0; letter < 256; letter++) {
		static const size_t places[] = { 0, 10, WS_KEY_BYTES - 3 };
		bool base64 = letter != 0 &&
			      strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
				      letter) != NULL;

		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			char key[] = "dGhlIHNhbXBsZSBub25jZQ==";

			key[places[i]] = (char)letter;
			expect_key(str_of(key, WS_KEY_BYTES), base64 ? WS_VERDICT_OK : WS_VERDICT_BAD_KEY);
		}
	}
	expect_key(
		STR("dGhlIHNhbXBsZSBub25jZR=="), WS_VERDICT_OK); /* unused bits set: other servers take it */
	expect_key(STR(""), WS_VERDICT_BAD_KEY);
	expect_key(STR("dGhlIHNhbXBsZSBub25jZQ="), WS_VERDICT_BAD_KEY);
	expect_key(STR("dGhlIHNhbXBsZSBub25jZQ"), WS_VERDICT_BAD_KEY);
	expect_key(STR("dGhlIHNhbXBsZSBub25jZQ==="), WS_VERDICT_BAD_KEY);
	expect_key(STR("dGhlIHNhbXBsZSBub25jZQA="), WS_VERDICT_BAD_KEY); /* 17 bytes */
	expect_key(STR("dGhlIHNhbXBsZSBub25jZQAA"), WS_VERDICT_BAD_KEY); /* 18 bytes */
	expect_key(STR("dGhlIHNhbXBsZSBub25j===="), WS_VERDICT_BAD_KEY);
	expect_key(STR("SGVsbG8sIHdvcmxkIQ=="), WS_VERDICT_BAD_KEY); /* 13 bytes */
	expect_key(STR("dGhlIHNhbXBsZSBub25j ZQ=="), WS_VERDICT_BAD_KEY);
	expect_key(STR("dGhlIHNhbXBsZS!ub25jZQ=="), WS_VERDICT_BAD_KEY);
	expect_key(STR("dGhlIHNhbXBsZS-_b25jZQ=="), WS_VERDICT_BAD_KEY); /* the url-safe alphabet */
	expect_key(STR("dGhlIHNhbXBsZS\0ub25jZQ=="), WS_VERDICT_BAD_KEY);
}

static void test_accept(void **state)
{
	char out[WS_ACCEPT_BYTES];

	(void)state;
	ws_handshake_accept(out, STR("dGhlIHNhbXBsZSBub25jZQ=="));
	assert_memory_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WS_ACCEPT_BYTES); /* RFC 6455, 1.3 */
	ws_handshake_accept(out, STR("x3JJHMbDL1EzLkh9GBhXDw=="));
	assert_memory_equal(out, "HSmrc0sMlYUkAGmm5OPpG2HaGWk=", WS_ACCEPT_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_connection_is_a_list),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_http_1_0_knows_no_upgrade),
		cmocka_unit_test(test_absent_headers),
		cmocka_unit_test(test_method),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_accept),
	};

	return cmocka_run_group_tests_name("ws handshake", tests, NULL, NULL);
}
