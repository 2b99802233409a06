/* tests/lib/vector_page.c -- see tests/lib/vector_int.h: the reader of pages. Any mistake in a page aborts. */
#include "lib/vector_int.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* Where in a page we are: for messages. */
struct place {
	const char *path;
	size_t line;
};

struct reader {
	struct vector_page *page;
	struct place at;
	struct place block_at;
	struct buf block; /* the text of the block that is open */
	char *kind; /* NULL: no block is open */
};

__attribute__((noreturn)) static void fail(const struct place *at, const char *what)
{
	fprintf(stderr, "%s:%zu: %s\n", at->path, at->line, what);
	abort();
}

static void append(const struct place *at, struct buf *b, const void *data, size_t bytes)
{
	if (!buf_append(b, data, bytes))
		fail(at, "too long");
}

static char *copy(const struct place *at, const char *s, size_t bytes)
{
	char *text = malloc(bytes + 1);

	if (!text)
		fail(at, "no memory");
	memcpy(text, s, bytes);
	text[bytes] = '\0';
	return text;
}

/* Two hex digits at p, which is NUL-terminated text. */
static uint8_t hex_byte(const struct place *at, const char *p)
{
	char pair[3] = { 0 };

	for (int i = 0; i < 2; i++) {
		if (!isxdigit((unsigned char)p[i]))
			fail(at, "two hex digits are wanted here");
		pair[i] = p[i];
	}
	return (uint8_t)strtoul(pair, NULL, 16);
}

/* At the character behind a backslash. */
static const char *take_escape(const struct place *at, const char *p, struct buf *in)
{
	static const char names[] = "rnt0\\\"", bytes[] = "\r\n\t\0\\\"";
	const char *known = *p ? strchr(names, *p) : NULL;

	if (*p == 'x') {
		uint8_t byte = hex_byte(at, p + 1);

		append(at, in, &byte, 1);
		return p + 3;
	}
	if (!known)
		fail(at, "unknown escape");
	append(at, in, &bytes[known - names], 1);
	return p + 1;
}

/* Behind the opening quote. */
static const char *take_string(const struct place *at, const char *p, struct buf *in)
{
	while (*p != '"') {
		if (*p == '\0' || *p == '\n')
			fail(at, "the string does not end on its line");
		if (*p == '\\') {
			p = take_escape(at, p + 1, in);
		} else {
			append(at, in, p, 1);
			p++;
		}
	}
	return p + 1;
}

/* Behind a group's ')', which began at in->data[begin]: the '*' and its number, if they are there. */
static const char *take_repeat(const struct place *at, const char *p, struct buf *in, size_t begin)
{
	char *end;
	size_t bytes = in->bytes - begin;

	if (*p != '*')
		return p;
	unsigned long times = strtoul(p + 1, &end, 10);

	if (end == p + 1 || times == 0)
		fail(at, "a count is wanted behind the '*'");
	for (; times > 1; times--) {
		if (!buf_reserve(in, bytes))
			fail(at, "too long");
		append(at, in, in->data + begin, bytes);
	}
	return end;
}

/* The text of an `in` block, NUL-terminated. */
static void parse_input(struct place *at, const char *p, struct buf *in)
{
	size_t begins[VECTOR_GROUP_DEPTH_MAX], depth = 0;

	while (*p) {
		if (*p == '\n') {
			at->line++;
			p++;
		} else if (*p == ' ' || *p == '\t') {
			p++;
		} else if (*p == '#') {
			p += strcspn(p, "\n");
		} else if (*p == '"') {
			p = take_string(at, p + 1, in);
		} else if (*p == '(') {
			if (depth == VECTOR_GROUP_DEPTH_MAX)
				fail(at, "groups are nested too deep");
			begins[depth++] = in->bytes;
			p++;
		} else if (*p == ')') {
			if (depth == 0)
				fail(at, "')' without '('");
			p = take_repeat(at, p + 1, in, begins[--depth]);
		} else {
			uint8_t byte = hex_byte(at, p);

			append(at, in, &byte, 1);
			p += 2;
		}
	}
	if (depth > 0)
		fail(at, "'(' without ')'");
}

/* The text of an `options` block: one name=value a line. */
static void parse_options(struct place *at, const char *p, struct vector_case *c)
{
	for (; *p; at->line++) {
		size_t bytes = strcspn(p, "\n");
		const char *equals = memchr(p, '=', bytes);

		if (!equals || equals == p)
			fail(at, "name=value is wanted here");
		if (c->option_count == VECTOR_OPTIONS_MAX)
			fail(at, "too many options");
		c->options[c->option_count++] = (struct vector_option){
			.name = copy(at, p, (size_t)(equals - p)),
			.value = copy(at, equals + 1, (size_t)(p + bytes - equals) - 1),
		};
		p += bytes + (p[bytes] == '\n');
	}
}

/* A block's text is complete. `at` is its first line; blocks outside of cases and of other kinds are prose. */
static void parse_block(struct place at, const char *kind, const char *text, struct vector_case *c)
{
	bool *has = strcmp(kind, "in") == 0 ? &c->has_in : strcmp(kind, "out") == 0 ? &c->has_out : NULL;

	if (has && *has)
		fail(&at, "the case has that block already");
	if (has)
		*has = true;
	if (strcmp(kind, "in") == 0)
		parse_input(&at, text, &c->in);
	else if (strcmp(kind, "out") == 0)
		append(&at, &c->out, text, strlen(text));
	else if (strcmp(kind, "options") == 0)
		parse_options(&at, text, c);
}

static void add_case(struct vector_page *p, const struct place *at, const char *name)
{
	struct vector_case *c = &p->cases[p->case_count];

	if (p->case_count == VECTOR_CASES_MAX)
		fail(at, "too many cases");
	p->case_count++;
	*c = (struct vector_case){
		.page = p->path,
		.name = copy(at, name, strlen(name)),
		.line = at->line,
		.options = calloc(VECTOR_OPTIONS_MAX, sizeof(*c->options)),
	};
	if (!c->options)
		fail(at, "no memory");
	buf_init(&c->in, VECTOR_BYTES_MAX);
	buf_init(&c->out, VECTOR_BYTES_MAX);
}

static void case_finish(struct vector_case *c)
{
	for (size_t i = 0; i < c->option_count; i++) {
		free(c->options[i].name);
		free(c->options[i].value);
	}
	free(c->options);
	free(c->name);
	buf_finish(&c->in);
	buf_finish(&c->out);
}

/* A heading with no block is prose: it is dropped when the next one comes. */
static void drop_if_prose(struct vector_page *p)
{
	struct vector_case *c = p->case_count > 0 ? &p->cases[p->case_count - 1] : NULL;

	if (!c || (c->has_in && c->has_out))
		return;
	struct place at = { p->path, c->line };

	if (c->has_in || c->has_out || c->option_count > 0)
		fail(&at, "a case needs both an `in` and an `out` block");
	case_finish(c);
	p->case_count--;
}

static void take_line(struct reader *r, const char *line)
{
	struct vector_page *p = r->page;

	if (r->kind && strcmp(line, "```") != 0) {
		append(&r->at, &r->block, line, strlen(line));
		append(&r->at, &r->block, "\n", 1);
	} else if (r->kind) {
		append(&r->at, &r->block, "", 1);
		if (p->case_count > 0)
			parse_block(r->block_at, r->kind, (const char *)r->block.data,
				&p->cases[p->case_count - 1]);
		buf_finish(&r->block);
		free(r->kind);
		r->kind = NULL;
	} else if (strncmp(line, "```", 3) == 0) {
		r->kind = copy(&r->at, line + 3, strlen(line + 3));
		r->block_at = (struct place){ r->at.path, r->at.line + 1 };
	} else if (strncmp(line, "## ", 3) == 0) {
		drop_if_prose(p);
		add_case(p, &r->at, line + 3);
	}
}

static char *page_path(const char *page)
{
	const char *folder = getenv("VECTORS_DIR");
	char *path = NULL;

	if (asprintf(&path, "%s/%s", folder ? folder : VECTORS_DIR, page) < 0)
		abort();
	return path;
}

void vector_page_init(struct vector_page *p, const char *page)
{
	*p = (struct vector_page){
		.path = page_path(page),
		.cases = calloc(VECTOR_CASES_MAX, sizeof(*p->cases)),
	};
	struct reader r = { .page = p, .at = { p->path, 0 } };
	FILE *file = fopen(p->path, "r");
	char *line = NULL;
	size_t line_cap = 0;

	buf_init(&r.block, VECTOR_BYTES_MAX);
	if (!file || !p->cases)
		fail(&r.at, "cannot be read");
	while (getline(&line, &line_cap, file) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		r.at.line++;
		take_line(&r, line);
	}
	if (r.kind)
		fail(&r.block_at, "the block does not end");
	drop_if_prose(p);
	free(line);
	fclose(file);
}

void vector_page_finish(struct vector_page *p)
{
	for (size_t i = 0; i < p->case_count; i++)
		case_finish(&p->cases[i]);
	free(p->cases);
	free(p->path);
}
