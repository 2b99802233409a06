/*
 * tests/lib/vector_int.h -- a page of vectors, read: between vector_page.c and vector.c.
 *
 *      page -> cases -> in, out, options
 */
#ifndef TESTS_LIB_VECTOR_INT_H
#define TESTS_LIB_VECTOR_INT_H

#include "base/buf.h"

enum {
	VECTOR_CASES_MAX = 1024, /* of a page */
	VECTOR_OPTIONS_MAX = 8, /* of a case */
	VECTOR_BYTES_MAX = 64 << 20, /* of a page, an input or an output */
	VECTOR_GROUP_DEPTH_MAX = 8,
};

struct vector_option {
	char *name, *value;
	bool used; /* somebody asked for it: one that nobody knows is a typing error */
};

struct vector_case {
	const char *page;
	char *name;
	size_t line; /* of its heading */
	struct buf in, out;
	bool has_in, has_out;
	struct vector_option *options; /* VECTOR_OPTIONS_MAX of them */
	size_t option_count;
};

struct vector_page {
	char *path;
	struct vector_case *cases;
	size_t case_count;
};

/* Read a page, or say what is wrong with it and abort. */
void vector_page_init(struct vector_page *p, const char *page);
void vector_page_finish(struct vector_page *p);

#endif
