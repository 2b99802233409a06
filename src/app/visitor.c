/* app/visitor.c -- see app/visitor.h. */
#include "app/visitor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/siphash.h"

static const char cookie_prefix[] = "palaver_";

enum { COOKIE_EPOCH_CHARS = VISITOR_COOKIE_BYTES - sizeof(cookie_prefix) };

void visitor_cookie_name(struct str epoch, char ret_name[VISITOR_COOKIE_BYTES])
{
	assert(epoch.bytes >= COOKIE_EPOCH_CHARS);
	int n = snprintf(
		ret_name, VISITOR_COOKIE_BYTES, "%s%.*s", cookie_prefix, COOKIE_EPOCH_CHARS, epoch.s);
	assert(n == VISITOR_COOKIE_BYTES - 1);
}

static struct str header(const struct sio_request *r, const char *name)
{
	struct sio_str value;

	return sio_request_header(r, name, &value) ? str_of(value.s, value.bytes) : STR("");
}

/* "localhost:3000" or "[::1]:3000" without the port; empty where it is neither. */
static struct str host_alone(struct str host)
{
	bool six = host.bytes > 0 && host.s[0] == '[';
	const char *end = host.bytes == 0 ? NULL : memchr(host.s, six ? ']' : ':', host.bytes);
	size_t bytes = end == NULL ? host.bytes : (size_t)(end - host.s) + six;

	if (six && end == NULL)
		return STR("");
	for (size_t i = bytes + 1; i < host.bytes; i++) {
		if (host.s[i] < '0' || host.s[i] > '9')
			return STR("");
	}
	return bytes < host.bytes && host.s[bytes] != ':' ? STR("") : str_of(host.s, bytes);
}

/* 127.x.y.z, written as four numbers and no more: 127.0.0.1.evil.tld is none. */
static bool is_loopback_ipv4(struct str s)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr four;

	if (!str_starts(s, STR("127.")) || s.bytes >= sizeof(text))
		return false;
	memcpy(text, s.s, s.bytes);
	text[s.bytes] = '\0';
	return inet_pton(AF_INET, text, &four) == 1;
}

static bool is_loopback_host(struct str host)
{
	struct str alone = host_alone(host);

	return str_equal_nocase(alone, STR("localhost")) || str_equal(alone, STR("[::1]")) ||
	       is_loopback_ipv4(alone);
}

/* What stands behind "http://" or "https://"; empty if it is neither. */
static struct str origin_host(struct str origin)
{
	static const struct str schemes[] = { STR_INIT("http://"), STR_INIT("https://") };

	for (size_t i = 0; i < 2; i++) {
		if (str_starts(origin, schemes[i]))
			return str_of(origin.s + schemes[i].bytes, origin.bytes - schemes[i].bytes);
	}
	return STR("");
}

static bool origin_fits(const struct config *c, struct str origin, struct str host)
{
	struct str of = origin_host(origin);

	for (size_t i = 0; i < c->origin_count; i++) {
		if (str_equal_nocase(origin, str_c(c->origins[i])))
			return true;
	}
	if (of.bytes == 0)
		return false;
	return str_equal_nocase(of, host) || (is_loopback_host(of) && is_loopback_host(host));
}

static bool forwarded(const struct sio_request *r)
{
	static const char *const names[] = { "forwarded", "via", "x-forwarded-for", "x-forwarded-host",
		"x-forwarded-proto", "x-forwarded-port", "x-forwarded-server", "x-forwarded-scheme",
		"x-forwarded-ssl", "x-original-forwarded-for", "x-real-ip", "x-client-ip",
		"x-cluster-client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip" };
	struct sio_str value;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (sio_request_header(r, names[i], &value))
			return true;
	}
	return false;
}

static bool guests_let_in(
	const struct config *c, const struct sio_request *r, struct str origin, struct str host)
{
	switch (c->guests) {
	case CONFIG_GUESTS_ON:
		return true;
	case CONFIG_GUESTS_OFF:
		return false;
	case CONFIG_GUESTS_LOCAL:
		break;
	}
	return sio_request_from_loopback(r) && is_loopback_host(host) && !forwarded(r) &&
	       (origin.bytes == 0 || is_loopback_host(origin_host(origin)));
}

static void keep_token(struct visitor *v, struct str token, bool cookie)
{
	if (!chat_token_valid(token))
		return;
	memcpy(v->token, token.s, sizeof(v->token));
	v->has_token = true;
	v->by_cookie = cookie;
}

/* "a=1; palaver_01234567=TOKEN; b=2" */
static void read_cookies(struct visitor *v, struct str name, struct str cookies)
{
	const char *at = cookies.s, *end = cookies.s + cookies.bytes;

	while (at < end) {
		while (at < end && (*at == ' ' || *at == ';'))
			at++;
		const char *stop = at == end ? NULL : memchr(at, ';', (size_t)(end - at));
		if (stop == NULL)
			stop = end;
		struct str pair = str_of(at, (size_t)(stop - at));
		if (str_starts(pair, name) && pair.bytes > name.bytes && pair.s[name.bytes] == '=')
			keep_token(v, str_of(pair.s + name.bytes + 1, pair.bytes - name.bytes - 1), true);
		at = stop;
	}
}

/* Who has one address of version 6 has as a rule 2^64 of them. */
static uint64_t address_key(const char *text)
{
	static const struct siphash_key key = { 3, 5 };
	struct in6_addr six;

	if (inet_pton(AF_INET6, text, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six))
		return siphash(key, &six, sizeof(six) / 2);
	return siphash(key, text, strlen(text));
}

struct chat_fault visitor_judge(const struct config *c, const char *cookie, const struct sio_request *r,
	bool wants_origin, struct visitor *ret_visitor)
{
	struct visitor v = { .guests = false };
	struct str origin = header(r, "origin"), host = header(r, "host");
	struct str cookies = header(r, "cookie"), authorization = header(r, "authorization");
	static const struct str bearer = STR_INIT("Bearer ");

	sio_request_address(r, v.text);
	v.address = address_key(v.text);
	if (origin.bytes > 0 && !origin_fits(c, origin, host))
		return (struct chat_fault){ CHAT_FORBIDDEN, NULL };
	read_cookies(&v, str_c(cookie), cookies);
	if (v.has_token && origin.bytes == 0 && wants_origin)
		return (struct chat_fault){ CHAT_FORBIDDEN, NULL };
	if (authorization.bytes > bearer.bytes &&
		str_equal_nocase(str_of(authorization.s, bearer.bytes), bearer))
		keep_token(&v, str_of(authorization.s + bearer.bytes, authorization.bytes - bearer.bytes),
			false);
	v.guests = guests_let_in(c, r, origin, host);
	*ret_visitor = v;
	return CHAT_FINE;
}
