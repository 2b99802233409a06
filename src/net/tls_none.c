/* net/tls_none.c -- a build without TLS: no context can be loaded, so nothing else is ever called. See net/tls.h. */
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"

int net_tls_context_load(const char *certificate_file, const char *key_file, struct net_tls_context **ret,
	char *err, size_t err_bytes)
{
	(void)certificate_file;
	(void)key_file;
	(void)ret;
	snprintf(err, err_bytes, "this build has no TLS");
	return -ENOTSUP;
}

void net_tls_context_destroy(struct net_tls_context *context)
{
	assert(context == NULL);
}

struct net_tls *net_tls_create(struct net_tls_context *context)
{
	assert(context == NULL);
	return NULL;
}

void net_tls_destroy(struct net_tls *tls)
{
	assert(tls == NULL);
}

ssize_t net_tls_recv(struct net_tls *tls, int fd, void *data, size_t bytes)
{
	(void)fd;
	(void)data;
	(void)bytes;
	assert(tls == NULL);
	return -ENOTSUP;
}

bool net_tls_unread(const struct net_tls *tls)
{
	assert(tls == NULL);
	return false;
}

bool net_tls_open(const struct net_tls *tls)
{
	assert(tls == NULL);
	return false;
}

bool net_tls_over(const struct net_tls *tls)
{
	assert(tls == NULL);
	return true;
}

ssize_t net_tls_encrypt(struct net_tls *tls, const struct iovec *iov, uint32_t iov_count,
	uint8_t record[NET_TLS_RECORD_BYTES])
{
	(void)iov;
	(void)iov_count;
	(void)record;
	assert(tls == NULL);
	return -ENOTSUP;
}

void net_tls_end(struct net_tls *tls)
{
	assert(tls == NULL);
}

size_t net_tls_waiting(const struct net_tls *tls)
{
	assert(tls == NULL);
	return 0;
}

int net_tls_send(struct net_tls *tls, int fd)
{
	(void)fd;
	assert(tls == NULL);
	return -ENOTSUP;
}
