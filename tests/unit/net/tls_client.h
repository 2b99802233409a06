/*
 * tests/unit/net/tls_client.h -- a certificate made for the occasion, a harness that listens with it, and a blocking client of TLS over
 * the sockets of harness.h.
 */
#ifndef TESTS_UNIT_NET_TLS_CLIENT_H
#define TESTS_UNIT_NET_TLS_CLIENT_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "net/tls.h"
#include "side.h"

enum { TLS_FILE_BYTES = 256 };

/* Files of one certificate and its key. */
struct tls_files {
	char folder[TLS_FILE_BYTES / 2], certificate[TLS_FILE_BYTES], key[TLS_FILE_BYTES];
};

static inline X509 *tls_self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	assert_non_null(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
	assert_int_equal(X509_set_issuer_name(x, name), 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

/* `password` of the key: NULL, none. */
static inline void tls_files_make(struct tls_files *f, const char *password)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	*f = (struct tls_files){ .folder = "/tmp/palaver-tls-XXXXXX" };
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->certificate, sizeof(f->certificate), "%s/certificate.pem", f->folder);
	snprintf(f->key, sizeof(f->key), "%s/key.pem", f->folder);
	assert_non_null(key);
	X509 *x = tls_self_signed(key);
	FILE *out = fopen(f->certificate, "w");
	assert_non_null(out);
	assert_int_equal(PEM_write_X509(out, x), 1);
	fclose(out);
	out = fopen(f->key, "w");
	assert_non_null(out);
	assert_int_equal(PEM_write_PrivateKey(out, key, password == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0,
				 NULL, (void *)(uintptr_t)password),
		1);
	fclose(out);
	X509_free(x);
	EVP_PKEY_free(key);
}

static inline void tls_files_remove(const struct tls_files *f)
{
	unlink(f->certificate);
	unlink(f->key);
	rmdir(f->folder);
}

/* sides_start() with TLS; `*ret_context` is to be destroyed after harness_finish(). */
static inline void tls_sides_start(struct harness *h, struct sides *sides,
	const struct net_pool_options *options, const struct side_hooks *hooks,
	struct net_tls_context **ret_context)
{
	struct tls_files files;
	char err[256] = "";

	memset(sides, 0, sizeof(*sides));
	if (hooks != NULL)
		sides->hooks = *hooks;
	harness_create(h, options);
	tls_files_make(&files, NULL);
	assert_int_equal(
		net_tls_context_load(files.certificate, files.key, ret_context, err, sizeof(err)), 0);
	tls_files_remove(&files);
	assert_int_equal(
		net_listen_tls(h->pool, "127.0.0.1:0", *ret_context, sides_accepted, sides, err, sizeof(err)),
		0);
	harness_run(h);
}

struct tls_client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

/* A signal, such as those of a ring of io_uring that is left, has ended a call early. */
static inline bool tls_client_interrupted(const struct tls_client *c, int rc)
{
	int error = rc > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, rc);

	return (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) && errno == EINTR;
}

/* Of that version alone. */
static inline void tls_client_open(struct tls_client *c, int fd, int version)
{
	c->fd = fd;
	c->context = SSL_CTX_new(TLS_client_method());
	assert_non_null(c->context);
	assert_int_equal(SSL_CTX_set_min_proto_version(c->context, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(c->context, version), 1);
	c->ssl = SSL_new(c->context);
	assert_non_null(c->ssl);
	assert_int_equal(SSL_set_fd(c->ssl, fd), 1);
	int rc = SSL_connect(c->ssl);
	while (tls_client_interrupted(c, rc))
		rc = SSL_connect(c->ssl);
	assert_int_equal(rc, 1);
}

static inline void tls_client_send(struct tls_client *c, size_t at, size_t bytes)
{
	uint8_t data[4096];

	for (size_t n; bytes > 0; at += n, bytes -= n) {
		n = bytes < sizeof(data) ? bytes : sizeof(data);
		for (size_t i = 0; i < n; i++)
			data[i] = side_byte(at + i);
		int rc = SSL_write(c->ssl, data, (int)n);
		while (tls_client_interrupted(c, rc))
			rc = SSL_write(c->ssl, data, (int)n);
		assert_int_equal(rc, n);
	}
}

static inline void tls_client_expect(struct tls_client *c, size_t at, size_t bytes)
{
	uint8_t data[4096];

	while (bytes > 0) {
		int n = SSL_read(c->ssl, data, (int)(bytes < sizeof(data) ? bytes : sizeof(data)));

		if (tls_client_interrupted(c, n))
			continue;
		if (n <= 0)
			fail_msg("%zu bytes missing: %d", bytes, SSL_get_error(c->ssl, n));
		for (size_t i = 0; i < (size_t)n; i++)
			assert_int_equal(data[i], side_byte(at + i));
		at += (size_t)n;
		bytes -= (size_t)n;
	}
}

/* Nothing more but the word that it ends. */
static inline void tls_client_expect_end(struct tls_client *c)
{
	char byte;
	int n;

	do
		n = SSL_read(c->ssl, &byte, 1);
	while (tls_client_interrupted(c, n));
	assert_true(n <= 0);
	assert_int_equal(SSL_get_error(c->ssl, n), SSL_ERROR_ZERO_RETURN);
	assert_true(SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN);
}

/* Leaves the descriptor. */
static inline void tls_client_free(struct tls_client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->context);
}

#endif
