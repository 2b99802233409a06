/*
 * net/tls.h -- TLS 1.2 and 1.3, the server's side, of one connection: bytes of the network in, bytes of the layer above out, and back.
 *
 *      kernel --net_tls_recv()--> decrypted            net_tls_encrypt() --> waiting --net_tls_send()--> kernel
 *
 * What a handshake, an alert or a renewal of keys has to say is put with what waits, too: so whoever has called
 * net_tls_recv() looks at net_tls_waiting(). An idle connection holds no buffers.
 *
 * A build without OpenSSL has another file for it (tls_none.c), in which no context can be loaded.
 * Threads: a context is everybody's; a connection's TLS belongs to its loop's thread, and may move with it.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	NET_TLS_RECORD_BYTES =
		16 << 10, /* encrypted at once, and waiting for the kernel; the largest record there is */
	NET_TLS_WAITING_MAX =
		64 << 10, /* with what TLS itself has to say: what is more of that is not said */
	/* Read at once: it takes OpenSSL a millisecond if it is all new keys. A record may take some turns to come together. */
	NET_TLS_TURN_BYTES = 4 << 10,
	NET_TLS_VAIN_BYTES =
		64 << 10, /* in which nothing came for the layer above: no handshake is so long */
};

struct net_tls_context; /* a certificate and its key */
struct net_tls;

/*
 * Files of PEM: the certificate, followed by those that it hangs on but for the root, and its key, which has no password. 0 or
 * -errno, with a text in err: -ENOTSUP in a build without TLS.
 */
__attribute__((warn_unused_result)) int net_tls_context_load(const char *certificate_file,
	const char *key_file, struct net_tls_context **ret, char *err, size_t err_bytes);
/* After the last of its connections. NULL is fine. */
void net_tls_context_destroy(struct net_tls_context *);

/* For a connection that has been accepted. NULL: no memory. */
struct net_tls *net_tls_create(struct net_tls_context *);
/* NULL is fine. */
void net_tls_destroy(struct net_tls *);

/*
 * Decrypted bytes, at most `bytes`. 0: the peer sends no more; -EAGAIN: not now; -EBUSY: nothing yet, though there may be more
 * in the kernel: others have their turn; -EPROTO: what comes is no TLS that we take, and an alert may wait; or another -errno of the
 * connection.
 */
ssize_t net_tls_recv(struct net_tls *, int fd, void *data, size_t bytes);
/* net_tls_recv() may have more to give before the kernel tells of more. */
bool net_tls_unread(const struct net_tls *);
/* The handshake is done: there may be encrypted. Not so while a later message of its kind has come in part. */
bool net_tls_open(const struct net_tls *);
/* After -EPROTO, or net_tls_end(): nothing may be said any more but what waits. */
bool net_tls_over(const struct net_tls *);
/* From the front of it, as much as one record takes, when nothing waits. The bytes that were taken, or -EPROTO, also without memory. */
ssize_t net_tls_encrypt(
	struct net_tls *, const struct iovec *, uint32_t iov_count, uint8_t record[NET_TLS_RECORD_BYTES]);
/* Say that no more will be sent. Once; repeated: nothing. */
void net_tls_end(struct net_tls *);
/* Bytes for the kernel. */
size_t net_tls_waiting(const struct net_tls *);
/* Give it what it takes. 0: nothing waits any more; -EAGAIN; or -errno. */
int net_tls_send(struct net_tls *, int fd);

#endif
