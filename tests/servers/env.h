/* tests/servers/env.h -- what the servers of the system tests are told by environment. Used by: tests/servers/. */
#ifndef TESTS_SERVERS_ENV_H
#define TESTS_SERVERS_ENV_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "sio/sio.h"

enum { ENV_LISTEN_BYTES = 64 };

/* A number; 0 where it is not there, which is the default of libsio's options. */
static inline uint32_t env_number(const char *name)
{
	const char *text = getenv(name);

	return text == NULL ? 0 : (uint32_t)strtoul(text, NULL, 10);
}

/* "RATE:BURST"; 0 of each where it is not there. */
static inline struct sio_rate env_rate(const char *name)
{
	const char *text = getenv(name);
	char *end = NULL;
	struct sio_rate rate = { 0, 0 };

	if (text == NULL)
		return rate;
	rate.per_s = (uint32_t)strtoul(text, &end, 10);
	rate.burst = *end == ':' ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
	return rate;
}

/* TLS, where there are files for it. Of the initializer of a struct sio_options. */
#define ENV_TLS .tls_certificate_file = getenv("TLS_CERTIFICATE"), .tls_key_file = getenv("TLS_KEY")

/* Where to listen: PORT of this machine. Returns `out`, which has ENV_LISTEN_BYTES. */
static inline const char *env_listen(char *out)
{
	const char *port = getenv("PORT");

	snprintf(out, ENV_LISTEN_BYTES, "127.0.0.1:%s", port == NULL ? "3000" : port);
	return out;
}

#endif
