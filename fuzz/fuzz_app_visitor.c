/*
 * fuzz/fuzz_app_visitor.c -- any bytes as the header fields by which a visitor is judged: cookies, token, Origin and Host.
 *
 *	options | Cookie \n Authorization \n Origin \n Host
 *
 * The token is the one that a plain reading of the fields finds, whatever other cookies stand around it; who is let in is
 * let in by a rule of app/visitor.h; and the case of the Host changes nothing.
 */
#include "app/visitor.h"

#include <stdio.h>

#include "fuzz.h"

enum {
	FIELDS = 4,
	LOOPBACK = 1, /* bits of the options; the guests' are the two from 2 on */
	WANTS_ORIGIN = 8,
	FORWARDED = 16,
	BY_IPV6 = 32,
};

#define COOKIE  "palaver_0123abcd"
#define ALLOWED "https://chat.example"

/* Stands in for libsio's: a request is its fields. */
struct fields {
	struct str cookie, authorization, origin, host;
	uint8_t options;
};

bool sio_request_header(const struct sio_request *r, const char *name, struct sio_str *ret_value)
{
	const struct fields *f = r->head;
	struct str value = str_equal(str_c(name), STR("cookie"))          ? f->cookie
			   : str_equal(str_c(name), STR("authorization")) ? f->authorization
			   : str_equal(str_c(name), STR("origin"))        ? f->origin
			   : str_equal(str_c(name), STR("host"))          ? f->host
			   : str_equal(str_c(name), STR("x-forwarded-for")) && (f->options & FORWARDED) != 0
				   ? STR("192.0.2.1")
				   : (struct str){ .s = NULL };

	*ret_value = (struct sio_str){ value.s, value.bytes };
	return value.s != NULL;
}

void sio_request_address(const struct sio_request *r, char *out)
{
	const struct fields *f = r->head;

	snprintf(out, SIO_ADDRESS_BYTES, "%s", (f->options & BY_IPV6) != 0 ? "2001:db8::1" : "192.0.2.7");
}

bool sio_request_from_loopback(const struct sio_request *r)
{
	const struct fields *f = r->head;

	return (f->options & LOOPBACK) != 0;
}

static enum chat_error judge(const struct fields *f, struct visitor *ret_visitor)
{
	struct config config = { .guests = (enum config_guests)((f->options >> 1 & 3) % 3),
		.origin_count = 1 };

	snprintf(config.origins[0], sizeof(config.origins[0]), "%s", ALLOWED);
	return visitor_judge(&config, COOKIE, &(struct sio_request){ .head = f },
		(f->options & WANTS_ORIGIN) != 0, ret_visitor)
		.error;
}

/* A cookie of that name with a token; the last such one counts. */
static bool find_cookie(struct str text, struct str *ret_token)
{
	bool found = false;
	size_t end;

	for (size_t at = 0; at < text.bytes; at = end + 1) {
		while (at < text.bytes && text.s[at] == ' ')
			at++;
		for (end = at; end < text.bytes && text.s[end] != ';';)
			end++;
		struct str pair = str_of(text.s + at, end - at), name = STR(COOKIE "=");
		if (!str_starts(pair, name))
			continue;
		struct str value = str_of(pair.s + name.bytes, pair.bytes - name.bytes);
		if (!chat_token_valid(value))
			continue;
		*ret_token = value;
		found = true;
	}
	return found;
}

static bool find_bearer(struct str text, struct str *ret_token)
{
	if (text.bytes < 7 || !str_equal_nocase(str_of(text.s, 7), STR("bearer ")))
		return false;
	*ret_token = str_of(text.s + 7, text.bytes - 7);
	return chat_token_valid(*ret_token);
}

/* More than is let in: what begins as a name of this machine does. */
static bool may_be_loopback(struct str host)
{
	static const struct str names[] = { STR_INIT("localhost"), STR_INIT("[::1]"), STR_INIT("127.") };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (host.bytes >= names[i].bytes &&
			str_equal_nocase(str_of(host.s, names[i].bytes), names[i]))
			return true;
	}
	return false;
}

static void check_origin(const struct fields *f)
{
	size_t scheme = str_starts(f->origin, STR("http://"))    ? 7
			: str_starts(f->origin, STR("https://")) ? 8
								 : 0;
	struct str host = str_of(f->origin.s + scheme, f->origin.bytes - scheme);

	if (f->origin.bytes == 0 || str_equal_nocase(f->origin, STR(ALLOWED)))
		return;
	assert(scheme > 0);
	assert(str_equal_nocase(host, f->host) || (may_be_loopback(host) && may_be_loopback(f->host)));
}

static void check_let_in(const struct fields *f, const struct visitor *v)
{
	enum config_guests guests = (enum config_guests)((f->options >> 1 & 3) % 3);
	struct str token = STR("");
	bool by_cookie = find_cookie(f->cookie, &token), by_bearer = find_bearer(f->authorization, &token);

	check_origin(f);
	assert(v->has_token == (by_cookie || by_bearer) && v->by_cookie == (by_cookie && !by_bearer));
	if (!by_bearer)
		(void)find_cookie(f->cookie, &token);
	if (v->has_token)
		assert(str_equal(visitor_token(v), token));
	assert(!by_cookie || f->origin.bytes > 0 || (f->options & WANTS_ORIGIN) == 0);
	if (guests != CONFIG_GUESTS_LOCAL)
		assert(v->guests == (guests == CONFIG_GUESTS_ON));
	else if (v->guests)
		assert((f->options & LOOPBACK) != 0 && (f->options & FORWARDED) == 0 &&
			may_be_loopback(f->host));
}

static bool same(const struct visitor *a, const struct visitor *b)
{
	return a->address == b->address && a->guests == b->guests && a->has_token == b->has_token &&
	       a->by_cookie == b->by_cookie && str_equal(visitor_token(a), visitor_token(b));
}

/* Neither other cookies around it nor the case of the Host change what is judged. */
static void check_variants(const struct fields *f, enum chat_error error, const struct visitor *v)
{
	static const struct str front = STR_INIT("x=1;;  "), behind = STR_INIT("; " COOKIE "x=2; y");
	size_t bytes = front.bytes + f->cookie.bytes + behind.bytes;
	char *cookie = fuzz_room(bytes), *host = fuzz_copy(f->host.s, f->host.bytes);
	struct fields other = *f;
	struct visitor w = { .guests = false };

	memcpy(cookie, front.s, front.bytes);
	memcpy(cookie + front.bytes, f->cookie.s, f->cookie.bytes);
	memcpy(cookie + front.bytes + f->cookie.bytes, behind.s, behind.bytes);
	for (size_t i = 0; i < f->host.bytes; i++) {
		if (host[i] >= 'a' && host[i] <= 'z')
			host[i] = (char)(host[i] - 'a' + 'A');
	}
	other.cookie = str_of(cookie, bytes);
	other.host = str_of(host, f->host.bytes);
	assert(judge(&other, &w) == error && (error != CHAT_OK || same(&w, v)));
	free(host);
	free(cookie);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fields f = { .options = bytes == 0 ? 0 : data[0] };
	struct str *const fields[FIELDS] = { &f.cookie, &f.authorization, &f.origin, &f.host };
	struct visitor v, before;
	char name[VISITOR_COOKIE_BYTES];

	visitor_cookie_name(STR("0123abcdef"), name);
	assert(str_equal(str_c(name), STR(COOKIE)));
	char *text = bytes == 0 ? fuzz_room(0) : fuzz_copy(data + 1, bytes - 1);
	struct str rest = str_of(text, bytes == 0 ? 0 : bytes - 1);
	for (size_t i = 0; i < FIELDS; i++) {
		const char *end = rest.bytes == 0 ? NULL : memchr(rest.s, '\n', rest.bytes);
		size_t n = end == NULL ? rest.bytes : (size_t)(end - rest.s);

		*fields[i] = str_of(rest.s, n);
		rest = str_of(rest.s + n + (end != NULL), rest.bytes - n - (end != NULL));
	}
	memset(&v, 0x55, sizeof(v));
	before = v;
	enum chat_error error = judge(&f, &v);
	if (error == CHAT_OK) {
		check_let_in(&f, &v);
	} else {
		assert(error == CHAT_FORBIDDEN && memcmp(&v, &before, sizeof(v)) == 0);
		assert(f.origin.bytes > 0 || (f.options & WANTS_ORIGIN) != 0);
	}
	check_variants(&f, error, &v);
	free(text);
	return 0;
}
