/*
 * Handshakes of TLS that do not end: the first of a connection, and those that are begun in its midst. All are cut in time; and none puts off
 * the end of a peer that reads nothing.
 */
#include <openssl/kdf.h>

#include "net/net_int.h"
#include "tls_client.h"

enum {
	FRAGMENT_BYTES = 512,
	NAME_BYTES = 250, /* of the server: so that a ClientHello takes two records */
	REST_MS = 2000, /* how much later than its time a deadline may come here */
	RENEW_MS = 4000, /* less than NET_SEND_STALL_STEP_MS */
	PIECES_MS = 50, /* between two pieces of a message, so that each is read by itself */
	HASH_BYTES = 32,
	TAG_BYTES = 16,
};

static struct harness h;
static struct sides sides;
static struct net_tls_context *context;

static void do_send(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, 1000);
}

static void do_move(struct net_loop *loop, void *ctx)
{
	net_conn_move(((struct side *)ctx)->conn, 1 - net_loop_index(loop));
}

/* The client's ClientHello for new keys, without its last record. */
static void send_a_part(struct tls_client *c)
{
	char name[NAME_BYTES + 1];
	BIO *memory = BIO_new(BIO_s_mem());
	unsigned char *data;

	for (size_t i = 0; i < NAME_BYTES; i++)
		name[i] = i % 50 == 49 ? '.' : 'a';
	name[NAME_BYTES] = '\0';
	assert_int_equal(SSL_set_tlsext_host_name(c->ssl, name), 1);
	assert_int_equal(SSL_set_cipher_list(c->ssl, "ALL:COMPLEMENTOFALL:@SECLEVEL=0"), 1);
	assert_int_equal(SSL_set_max_send_fragment(c->ssl, FRAGMENT_BYTES), 1);
	SSL_set0_wbio(c->ssl, memory);
	assert_int_equal(SSL_renegotiate(c->ssl), 1);
	(void)SSL_do_handshake(c->ssl);
	long bytes = BIO_get_mem_data(memory, (char **)&data);
	long first = 5 + (data[3] << 8) + data[4];
	assert_true(first > FRAGMENT_BYTES && first < bytes);
	client_send(c->fd, data, (size_t)first);
}

static void handshakes_that_do_not_end(void **state)
{
	struct net_counters counters;
	struct tls_client c, d;
	struct timeval soon = { .tv_usec = 100000 };

	(void)state;
	tls_sides_start(&h, &sides, &(struct net_pool_options){ .loops = 2 }, NULL, &context);
	int silent = client_connect(&h);
	struct side *never = sides_wait(&sides, 0);
	tls_client_open(&c, client_connect(&h), TLS1_2_VERSION);
	struct side *again = sides_wait(&sides, 1);
	tls_client_open(&d, client_connect(&h), TLS1_2_VERSION);
	struct side *stays = sides_wait(&sides, 2);
	/* They must not wait for the server's answer. */
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	assert_int_equal(setsockopt(d.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	uint64_t began_ns = clock_now_ns();
	send_a_part(&c);
	send_a_part(&d);
	poll(NULL, 0, 50);
	harness_call(&h, atomic_load(&again->loop), do_move, again); /* its deadline goes with it */
	WAIT_FOR(atomic_load(&again->moves) == 1);
	harness_call(&h, atomic_load(&again->loop), do_send, again); /* it cannot go meanwhile */
	WAIT_FOR(atomic_load(&never->closes) == 1 && atomic_load(&again->closes) == 1 &&
		 atomic_load(&stays->closes) == 1);
	uint64_t took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
	assert_in_range(
		took_ms, NET_TLS_HANDSHAKE_MS - 200, NET_TLS_HANDSHAKE_MS + harness_slower() * REST_MS);
	assert_int_equal(atomic_load(&never->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&again->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&stays->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&again->sent), 0);
	net_pool_counters(h.pool, &counters);
	assert_int_equal(counters.tls_failed, 3);
	close(silent);
	close(c.fd);
	close(d.fd);
	tls_client_free(&c);
	tls_client_free(&d);
	harness_finish(&h);
	net_tls_context_destroy(context);
}

/* What a client of TLS 1.3 encrypts by after its handshake, with TLS_AES_128_GCM_SHA256 (RFC 8446, 7.3). */
struct keys {
	uint8_t secret[HASH_BYTES], key[16], iv[12];
	uint64_t records;
};

static struct keys keys;

/* HKDF-Expand-Label(), without a context. */
static void expand(const uint8_t secret[HASH_BYTES], const char *label, uint8_t *out, size_t bytes)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *derivation = EVP_KDF_CTX_new(kdf);
	uint8_t info[64], old[HASH_BYTES];
	char digest[] = "SHA256";
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	int n = snprintf((char *)info + 2, sizeof(info) - 2, "%ctls13 %s", (char)(6 + strlen(label)), label);

	memcpy(old, secret, sizeof(old));
	info[0] = 0;
	info[1] = (uint8_t)bytes;
	info[2 + n] = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string("digest", digest, 0),
		OSSL_PARAM_construct_int("mode", &mode),
		OSSL_PARAM_construct_octet_string("key", old, sizeof(old)),
		OSSL_PARAM_construct_octet_string("info", info, (size_t)n + 3),
		OSSL_PARAM_construct_end(),
	};
	assert_int_equal(EVP_KDF_derive(derivation, out, bytes, params), 1);
	EVP_KDF_CTX_free(derivation);
	EVP_KDF_free(kdf);
}

static void use_secret(void)
{
	expand(keys.secret, "key", keys.key, sizeof(keys.key));
	expand(keys.secret, "iv", keys.iv, sizeof(keys.iv));
	keys.records = 0;
}

/* A line for a key log: "CLIENT_TRAFFIC_SECRET_0 RANDOM SECRET". */
static void learn_secret(const SSL *ssl, const char *line)
{
	static const char name[] = "CLIENT_TRAFFIC_SECRET_0 ";
	size_t bytes = 0;

	(void)ssl;
	if (strncmp(line, name, sizeof(name) - 1) != 0)
		return;
	assert_int_equal(OPENSSL_hexstr2buf_ex(keys.secret, sizeof(keys.secret), &bytes,
				 strchr(line + sizeof(name) - 1, ' ') + 1, '\0'),
		1);
	assert_int_equal(bytes, HASH_BYTES);
	use_secret();
}

/* A part of a message of handshakes, in a record of its own. */
static void send_piece(int fd, const uint8_t *data, size_t bytes)
{
	uint8_t record[64] = { 23, 3, 3, 0, (uint8_t)(bytes + 1 + TAG_BYTES) }, plain[32], nonce[12];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int n;

	memcpy(plain, data, bytes);
	plain[bytes] = 22;
	memcpy(nonce, keys.iv, sizeof(nonce));
	nonce[11] ^= (uint8_t)keys.records++;
	assert_int_equal(EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, keys.key, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(cipher, NULL, &n, record, 5), 1);
	assert_int_equal(EVP_EncryptUpdate(cipher, record + 5, &n, plain, (int)bytes + 1), 1);
	assert_int_equal(EVP_EncryptFinal_ex(cipher, record + 5 + n, &n), 1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, record + 5 + bytes + 1), 1);
	EVP_CIPHER_CTX_free(cipher);
	ssize_t sent = send(fd, record, 5 + bytes + 1 + TAG_BYTES, MSG_NOSIGNAL);
	assert_true(sent > 0 || errno == EPIPE || errno == ECONNRESET); /* it may be cut meanwhile */
}

/* Its keys are new (RFC 8446, 4.6.3), and it does not ask for others. */
static void renew_keys(int fd)
{
	static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };

	send_piece(fd, key_update, 4);
	poll(NULL, 0, PIECES_MS);
	send_piece(fd, key_update + 4, 1);
	expand(keys.secret, "traffic upd", keys.secret, sizeof(keys.secret));
	use_secret();
}

static void open_with_known_keys(struct tls_client *c)
{
	c->fd = client_connect(&h);
	c->context = SSL_CTX_new(TLS_client_method());
	assert_non_null(c->context);
	assert_int_equal(SSL_CTX_set_min_proto_version(c->context, TLS1_3_VERSION), 1);
	assert_int_equal(SSL_CTX_set_ciphersuites(c->context, "TLS_AES_128_GCM_SHA256"), 1);
	SSL_CTX_set_keylog_callback(c->context, learn_secret);
	c->ssl = SSL_new(c->context);
	assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
	int rc = SSL_connect(c->ssl);
	while (tls_client_interrupted(c, rc))
		rc = SSL_connect(c->ssl);
	assert_int_equal(rc, 1);
}

static void do_send_all(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, SIDE_OUT_BYTES_MAX);
}

static bool over_in_ms(struct side *s, uint64_t ms)
{
	for (uint64_t since_ns = clock_now_ns(); clock_now_ns() - since_ns < ms * CLOCK_NS_PER_MS;) {
		if (atomic_load(&s->closes) > 0)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static void new_keys_put_nothing_off(void **state)
{
	struct tls_client c;

	(void)state;
	tls_sides_start(&h, &sides, &(struct net_pool_options){ .loops = 1 }, NULL, &context);
	open_with_known_keys(&c);
	struct side *s = sides_wait(&sides, 0);
	harness_call(&h, 0, do_send_all, s);
	uint64_t began_ns = clock_now_ns(), took_ms;
	do {
		renew_keys(c.fd);
		took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
	} while (!over_in_ms(s, RENEW_MS) && took_ms < NET_SEND_STALL_MS + 2 * NET_SEND_STALL_STEP_MS);
	took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
	assert_int_equal(atomic_load(&s->closes), 1);
	assert_int_equal(atomic_load(&s->error), ETIMEDOUT);
	/* The client's kernel may have taken some after the first look. */
	assert_in_range(took_ms, NET_SEND_STALL_MS - 200,
		NET_SEND_STALL_MS + NET_SEND_STALL_STEP_MS + harness_slower() * REST_MS);
	close(c.fd);
	tls_client_free(&c);
	harness_finish(&h);
	net_tls_context_destroy(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_that_do_not_end),
		cmocka_unit_test(new_keys_put_nothing_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
