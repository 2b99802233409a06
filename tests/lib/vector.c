/* tests/lib/vector.c -- see tests/lib/vector.h. */
#include "lib/vector.h"

#include "base/assert.h"
#include "lib/vector_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	QUOTES = 4,
	SPREAD_SPLITS = 64,
	STALE = 0xdb, /* what a piece is overwritten with once it has been fed: it was only lent */
};

struct vector_out {
	struct buf text;
};

/* How an input is cut: in two at `at`, or into single bytes. */
struct cut {
	bool bytewise;
	size_t at;
};

void vector_line(struct vector_out *out, const char *format, ...)
{
	va_list args;
	char *line = NULL;

	va_start(args, format);
	int bytes = vasprintf(&line, format, args);
	va_end(args);
	assert(bytes >= 0);
	bool ok = buf_append(&out->text, line, (size_t)bytes) && buf_append(&out->text, "\n", 1);
	assert(ok);
	free(line);
}

const char *vector_quote(const void *data, size_t bytes)
{
	static char *quotes[QUOTES];
	static unsigned turn;
	static const char hex[] = "0123456789abcdef", known[] = "\r\n\t\\\"", names[] = "rnt\\\"";
	const uint8_t *p = data;
	char *begin = realloc(quotes[turn % QUOTES], 4 * bytes + 3), *out = begin;

	assert(begin);
	quotes[turn++ % QUOTES] = begin;
	*out++ = '"';
	for (size_t i = 0; i < bytes; i++) {
		const char *special = p[i] ? strchr(known, p[i]) : NULL;

		if (special) {
			*out++ = '\\';
			*out++ = names[special - known];
		} else if (p[i] < 0x20 || p[i] > 0x7e) {
			*out++ = '\\';
			*out++ = 'x';
			*out++ = hex[p[i] >> 4];
			*out++ = hex[p[i] & 0xf];
		} else {
			*out++ = (char)p[i];
		}
	}
	*out++ = '"';
	*out = '\0';
	return begin;
}

const char *vector_option(const struct vector_case *c, const char *name, const char *otherwise)
{
	for (size_t i = 0; i < c->option_count; i++) {
		if (strcmp(c->options[i].name, name) != 0)
			continue;
		c->options[i].used = true;
		return c->options[i].value;
	}
	return otherwise;
}

uint64_t vector_option_u64(const struct vector_case *c, const char *name, uint64_t otherwise)
{
	const char *text = vector_option(c, name, NULL);
	uint64_t value = otherwise;

	if (text && !str_parse_u64(str_c(text), UINT64_MAX, &value)) {
		fprintf(stderr, "%s:%zu: option %s is no number\n", c->page, c->line, name);
		abort();
	}
	return value;
}

/* Feed the whole input in the pieces of a cut; `memory` has room for it and ends at a guard page. */
static void feed_cut(const struct vector_case *c, const struct vector_codec *codec, struct cut cut,
	uint8_t *memory, struct vector_out *out)
{
	void *state = codec->begin(c, out);

	for (size_t at = 0; at < c->in.bytes;) {
		size_t until = cut.bytewise ? at + 1 : at < cut.at ? cut.at : c->in.bytes;
		size_t bytes = until - at;
		uint8_t *piece = memory + c->in.bytes - bytes;

		memcpy(piece, c->in.data + at, bytes);
		codec->feed(state, piece, bytes);
		memset(piece, STALE, bytes);
		at = until;
	}
	codec->end(state);
}

static bool passes(
	const struct vector_case *c, const struct vector_codec *codec, struct cut cut, uint8_t *memory)
{
	struct vector_out out;

	buf_init(&out.text, VECTOR_BYTES_MAX);
	feed_cut(c, codec, cut, memory, &out);
	bool same = str_equal(buf_str(&out.text), buf_str(&c->out));

	if (!same) {
		fprintf(stderr, "%s:%zu: %s: ", c->page, c->line, c->name);
		if (cut.bytewise)
			fprintf(stderr, "byte by byte");
		else if (cut.at == 0)
			fprintf(stderr, "whole");
		else
			fprintf(stderr, "split behind byte %zu", cut.at);
		fprintf(stderr, "\n--- expected\n%.*s--- got\n%.*s---\n", (int)c->out.bytes,
			(const char *)c->out.data, (int)out.text.bytes, (const char *)out.text.data);
	}
	buf_finish(&out.text);
	return same;
}

static bool knows_all_options(const struct vector_case *c)
{
	for (size_t i = 0; i < c->option_count; i++) {
		if (c->options[i].used)
			continue;
		fprintf(stderr, "%s:%zu: nobody asked for the option %s\n", c->page, c->line,
			c->options[i].name);
		return false;
	}
	return true;
}

/* All cuts of a case, up to the first that fails. */
static bool run_case(const struct vector_case *c, const struct vector_codec *codec)
{
	size_t bytes = c->in.bytes, splits = bytes;
	uint8_t *memory = guard_alloc(bytes);
	bool ok = passes(c, codec, (struct cut){ .at = 0 }, memory);

	if (bytes > VECTOR_SPLITS_BYTES_MAX)
		splits = SPREAD_SPLITS;
	for (size_t i = 1; ok && i < splits; i++)
		ok = passes(c, codec, (struct cut){ .at = (size_t)((uint64_t)i * bytes / splits) }, memory);
	ok = ok && passes(c, codec, (struct cut){ .bytewise = true }, memory);
	guard_free(memory, bytes);
	return ok && knows_all_options(c);
}

int vector_run(const char *page, const struct vector_codec *codec)
{
	struct vector_page p;
	int failed = 0;

	vector_page_init(&p, page);
	assert(p.case_count > 0);
	for (size_t i = 0; i < p.case_count; i++)
		failed += !run_case(&p.cases[i], codec);
	vector_page_finish(&p);
	return failed;
}
