/* http/asset.c -- see http/asset.h. */
#include "http/asset.h"

#include "base/assert.h"
#include "http/coding.h"

/* One of an asset's encodings. */
struct variant {
	struct http_asset_body body;
	struct str coding; /* empty: identity */
	struct str etag_suffix;
};

static struct variant pick(const struct http_asset *asset, const struct http_head *head)
{
	struct http_wishes w = http_wishes_of(head);
	int br = w.br, gzip = w.gzip, best = w.identity;
	struct variant picked = { .body = asset->identity };

	if (asset->gzip.data != NULL && gzip > 0 && gzip >= best) {
		best = gzip;
		picked = (struct variant){ asset->gzip, STR("gzip"), STR("-gzip") };
	}
	if (asset->br.data != NULL && br > 0 && br >= best)
		picked = (struct variant){ asset->br, STR("br"), STR("-br") };
	return picked;
}

/* The asset's tag with the suffix inside its quotes. */
static struct str write_etag(const char *etag, struct str suffix, char *out)
{
	size_t bytes = strlen(etag);

	assert(bytes >= 2 && etag[0] == '"' && etag[bytes - 1] == '"');
	assert(bytes + suffix.bytes <= HTTP_ETAG_BYTES_MAX);
	memcpy(out, etag, bytes - 1);
	if (suffix.bytes > 0)
		memcpy(out + bytes - 1, suffix.s, suffix.bytes);
	out[bytes - 1 + suffix.bytes] = '"';
	return str_of(out, bytes + suffix.bytes);
}

/* Whether a list of entity tags (`W/"a", "b"`; a comma may stand in one) has this one, weakly compared. */
static bool tags_have(struct str list, struct str etag)
{
	if (str_equal(list, STR("*")))
		return true;
	while (list.bytes > 0) {
		bool between = list.s[0] == ',' || list.s[0] == ' ' || list.s[0] == '\t';

		if (between || str_starts(list, STR("W/\""))) {
			size_t skipped = between ? 1 : 2;

			list = str_of(list.s + skipped, list.bytes - skipped);
			continue;
		}
		const char *end = list.s[0] != '"' ? NULL : memchr(list.s + 1, '"', list.bytes - 1);
		if (end == NULL)
			return false;

		size_t n = (size_t)(end - list.s) + 1;

		if (str_equal(str_of(list.s, n), etag))
			return true;
		list = str_of(list.s + n, list.bytes - n);
	}
	return false;
}

static bool client_has(const struct http_head *head, struct str etag)
{
	for (size_t i = 0; i < head->header_count; i++) {
		if (str_equal_nocase(head->headers[i].name, STR("if-none-match")) &&
			tags_have(head->headers[i].value, etag))
			return true;
	}
	return false;
}

static void add_header(struct http_asset_answer *a, struct str name, struct str value)
{
	assert(a->response.header_count < HTTP_ASSET_HEADERS_MAX);
	a->headers[a->response.header_count++] = (struct http_header){ .name = name, .value = value };
}

void http_asset_answer(
	const struct http_asset *asset, const struct http_head *head, struct http_asset_answer *ret_answer)
{
	struct http_asset_answer *a = ret_answer;

	a->body = NULL;
	a->response = (struct http_response){
		.minor = head->minor,
		.keep_alive = head->keep_alive,
		.headers = a->headers,
	};
	if (head->method != HTTP_GET && head->method != HTTP_HEAD) {
		a->response.status = 405;
		add_header(a, STR("Allow"), STR("GET, HEAD"));
		return;
	}

	struct variant v = pick(asset, head);
	struct str etag = write_etag(asset->etag, v.etag_suffix, a->etag);

	a->response.cache_control = str_c(asset->cache_control);
	add_header(a, STR("ETag"), etag);
	if (asset->gzip.data != NULL || asset->br.data != NULL)
		add_header(a, STR("Vary"), STR("Accept-Encoding"));
	for (size_t i = 0; i < asset->header_count; i++)
		add_header(a, asset->headers[i].name, asset->headers[i].value);
	if (client_has(head, etag)) {
		a->response.status = 304;
		return;
	}
	a->response.status = 200;
	a->response.content_type = str_c(asset->content_type);
	a->response.content_length = v.body.bytes;
	if (v.coding.bytes > 0)
		add_header(a, STR("Content-Encoding"), v.coding);
	if (head->method == HTTP_GET)
		a->body = v.body.data;
}
