/*
 * net/tls.c -- TLS by OpenSSL. See net/tls.h.
 *
 * OpenSSL reads and writes through a BIO of ours: it reads from the descriptor, with MSG_DONTWAIT, and writes to memory, which is sent
 * with MSG_NOSIGNAL. It is asked to read ahead, so a record costs one system call and not two.
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/buf.h"

struct net_tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
};

struct net_tls {
	SSL *ssl;
	struct buf out; /* encrypted */
	size_t out_sent; /* of its front */
	int fd; /* while net_tls_recv() runs */
	int error; /* of the last recv() */
	bool emptied; /* it took all that the kernel had */
	size_t turn_bytes; /* that it may still read in this call */
	size_t vain_bytes; /* read since there was last anything for the layer above */
	bool broken, ended;
};

/* What TLS 1.2 may use: forward secrecy and AEAD. TLS 1.3 has nothing else. */
static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static int bio_read(BIO *bio, char *data, size_t bytes, size_t *ret_bytes)
{
	struct net_tls *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (t->turn_bytes == 0) {
		BIO_set_retry_read(bio);
		*ret_bytes = 0;
		return 0;
	}
	bytes = bytes < t->turn_bytes ? bytes : t->turn_bytes;
	do
		n = recv(t->fd, data, bytes, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	t->error = n < 0 ? errno : 0;
	if (n < (ssize_t)bytes)
		t->emptied = true;
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	*ret_bytes = n > 0 ? (size_t)n : 0;
	t->turn_bytes -= *ret_bytes;
	t->vain_bytes += *ret_bytes;
	return n > 0;
}

static int bio_write(BIO *bio, const char *data, size_t bytes, size_t *ret_bytes)
{
	struct net_tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*ret_bytes = buf_append(&t->out, data, bytes) ? bytes : 0;
	return *ret_bytes > 0;
}

static long bio_ctrl(BIO *bio, int what, long number, void *data)
{
	(void)number;
	(void)data;
	if (what == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return what == BIO_CTRL_FLUSH;
}

/* HTTP/1.1 is all we speak: who offers other protocols alone is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_bytes,
	const unsigned char *offered, unsigned offered_bytes, void *ctx)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen = NULL;

	(void)ssl;
	(void)ctx;
	if (SSL_select_next_proto(&chosen, ret_bytes, ours, sizeof(ours) - 1, offered, offered_bytes) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static BIO_METHOD *create_bio(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");

	if (m != NULL && (!BIO_meth_set_read_ex(m, bio_read) || !BIO_meth_set_write_ex(m, bio_write) ||
				 !BIO_meth_set_ctrl(m, bio_ctrl))) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

static bool set_rules(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* clients keep their tickets */
	SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ssl, ciphers) == 1 && SSL_CTX_set_num_tickets(ssl, 1) == 1;
}

/* Asked for when the key has one: nobody is there to type it. */
static int no_password(char *text, int bytes, int writing, void *ctx)
{
	(void)text;
	(void)bytes;
	(void)writing;
	(void)ctx;
	return -1;
}

/* "FILE: why", by what OpenSSL noted first; -EINVAL. */
static int file_error(const char *file, char *err, size_t err_bytes)
{
	unsigned long code = ERR_get_error();
	const char *reason =
		ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	snprintf(err, err_bytes, "%s: %s", file, reason == NULL ? "it could not be read" : reason);
	ERR_clear_error();
	return -EINVAL;
}

static int load_files(
	SSL_CTX *ssl, const char *certificate_file, const char *key_file, char *err, size_t err_bytes)
{
	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(ssl, no_password);
	if (SSL_CTX_use_certificate_chain_file(ssl, certificate_file) != 1)
		return file_error(certificate_file, err, err_bytes);
	if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ssl) != 1)
		return file_error(key_file, err, err_bytes);
	return 0;
}

int net_tls_context_load(const char *certificate_file, const char *key_file, struct net_tls_context **ret,
	char *err, size_t err_bytes)
{
	struct net_tls_context *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	snprintf(err, err_bytes, "OpenSSL could not be set up");
	if (c == NULL)
		return rc;
	c->ssl = SSL_CTX_new(TLS_server_method());
	c->bio = create_bio();
	if (c->ssl != NULL && c->bio != NULL && set_rules(c->ssl))
		rc = load_files(c->ssl, certificate_file, key_file, err, err_bytes);
	if (rc < 0) {
		net_tls_context_destroy(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void net_tls_context_destroy(struct net_tls_context *c)
{
	if (c == NULL)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	free(c);
}

struct net_tls *net_tls_create(struct net_tls_context *c)
{
	struct net_tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->fd = -1;
	buf_init(&t->out, NET_TLS_WAITING_MAX);
	t->ssl = SSL_new(c->ssl);
	BIO *bio = BIO_new(c->bio);
	if (t->ssl == NULL || bio == NULL) {
		ERR_clear_error();
		BIO_free(bio);
		net_tls_destroy(t);
		return NULL;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_accept_state(t->ssl);
	return t;
}

void net_tls_destroy(struct net_tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	buf_finish(&t->out);
	free(t);
}

/* What a call came to that gave nothing. */
static int failed(struct net_tls *t, int rc)
{
	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		if (t->vain_bytes > NET_TLS_VAIN_BYTES)
			break;
		return t->emptied ? -EAGAIN : -EBUSY;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		if (t->error != 0)
			return -t->error;
		break;
	default:
		break;
	}
	t->broken = true;
	return -EPROTO;
}

ssize_t net_tls_recv(struct net_tls *t, int fd, void *data, size_t bytes)
{
	size_t got = 0;

	if (t->broken)
		return -EPROTO;
	ERR_clear_error();
	t->fd = fd;
	t->error = 0;
	t->emptied = false;
	t->turn_bytes = NET_TLS_TURN_BYTES;
	int rc = SSL_read_ex(t->ssl, data, bytes, &got);
	t->fd = -1;
	if (rc != 1)
		return failed(t, rc);
	t->vain_bytes = 0;
	return (ssize_t)got;
}

bool net_tls_unread(const struct net_tls *t)
{
	return !t->emptied || SSL_has_pending(t->ssl);
}

bool net_tls_open(const struct net_tls *t)
{
	return SSL_is_init_finished(t->ssl);
}

bool net_tls_over(const struct net_tls *t)
{
	return t->broken || t->ended;
}

ssize_t net_tls_encrypt(
	struct net_tls *t, const struct iovec *iov, uint32_t iov_count, uint8_t record[NET_TLS_RECORD_BYTES])
{
	size_t bytes = 0, written = 0;

	assert(t->out.bytes == 0 && net_tls_open(t) && !net_tls_over(t));
	for (uint32_t i = 0; i < iov_count && bytes < NET_TLS_RECORD_BYTES; i++) {
		size_t room = NET_TLS_RECORD_BYTES - bytes;
		size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;

		memcpy(record + bytes, iov[i].iov_base, part);
		bytes += part;
	}
	ERR_clear_error();
	int rc = SSL_write_ex(t->ssl, record, bytes, &written);
	if (rc == 1) {
		assert(written == bytes);
		return (ssize_t)bytes;
	}
	t->broken = true; /* there was no memory, or what the peer sent before has broken it */
	return -EPROTO;
}

void net_tls_end(struct net_tls *t)
{
	if (t->ended || t->broken || !net_tls_open(t))
		return;
	t->ended = true;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl); /* its words are put with what waits; the peer's are not waited for */
}

size_t net_tls_waiting(const struct net_tls *t)
{
	return t->out.bytes - t->out_sent;
}

int net_tls_send(struct net_tls *t, int fd)
{
	while (t->out_sent < t->out.bytes) {
		ssize_t n = send(fd, t->out.data + t->out_sent, t->out.bytes - t->out_sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		t->out_sent += (size_t)n;
	}
	t->out_sent = 0;
	buf_finish(&t->out);
	return 0;
}
