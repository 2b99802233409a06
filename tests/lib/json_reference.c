/* tests/lib/json_reference.c -- see tests/lib/json_reference.h. One function a rule of RFC 8259. */
#include "lib/json_reference.h"

#include "base/json.h"

struct text {
	const char *at, *end;
	int depth_left;
};

static bool value(struct text *t);

static bool any_of(struct text *t, const char *set)
{
	if (t->at == t->end || *t->at == '\0' || !strchr(set, *t->at))
		return false;
	t->at++;
	return true;
}

static bool word(struct text *t, const char *w)
{
	for (; *w; w++)
		if (t->at == t->end || *t->at++ != *w)
			return false;
	return true;
}

/* ws = *( %x20 / %x09 / %x0A / %x0D ) */
static void ws(struct text *t)
{
	while (any_of(t, " \t\n\r"))
		;
}

static bool digits(struct text *t)
{
	bool some = false;

	while (any_of(t, "0123456789"))
		some = true;
	return some;
}

/* number = [ minus ] int [ frac ] [ exp ] */
static bool unlimited_number(struct text *t)
{
	any_of(t, "-");
	if (!any_of(t, "0") && !digits(t))
		return false;
	if (any_of(t, ".") && !digits(t))
		return false;
	if (any_of(t, "eE")) {
		any_of(t, "+-");
		return digits(t);
	}
	return true;
}

static bool number(struct text *t)
{
	const char *begin = t->at;

	return unlimited_number(t) && t->at - begin <= JSON_NUMBER_BYTES_MAX;
}

/* string = quotation-mark *char quotation-mark */
static bool string(struct text *t)
{
	if (!any_of(t, "\""))
		return false;
	while (t->at < t->end) {
		if (any_of(t, "\""))
			return true;
		if (any_of(t, "\\")) {
			if (any_of(t, "u")) {
				for (int i = 0; i < 4; i++)
					if (!any_of(t, "0123456789abcdefABCDEF"))
						return false;
			} else if (!any_of(t, "\"\\/bfnrt")) {
				return false;
			}
		} else if ((unsigned char)*t->at++ < 0x20) {
			return false;
		}
	}
	return false;
}

/* member = string name-separator value */
static bool member(struct text *t)
{
	ws(t);
	if (!string(t))
		return false;
	ws(t);
	return any_of(t, ":") && value(t);
}

/* Both containers: begin [ item *( value-separator item ) ] end */
static bool container(struct text *t, bool (*item)(struct text *), const char *end)
{
	if (t->depth_left == 0)
		return false;
	t->depth_left--;
	ws(t);
	if (!any_of(t, end)) {
		do {
			if (!item(t))
				return false;
		} while (any_of(t, ","));
		if (!any_of(t, end))
			return false;
	}
	t->depth_left++;
	return true;
}

/* value with the space around it; item of an array */
static bool value(struct text *t)
{
	bool ok;

	ws(t);
	if (t->at == t->end)
		return false;
	if (*t->at == '"') {
		ok = string(t);
	} else if (*t->at == 't') {
		ok = word(t, "true");
	} else if (*t->at == 'f') {
		ok = word(t, "false");
	} else if (*t->at == 'n') {
		ok = word(t, "null");
	} else if (any_of(t, "[")) {
		ok = container(t, value, "]");
	} else if (any_of(t, "{")) {
		ok = container(t, member, "}");
	} else {
		ok = number(t);
	}
	if (ok)
		ws(t);
	return ok;
}

bool json_reference(struct str text, int depth_max)
{
	struct text t = { text.s, text.s + text.bytes, depth_max };

	return text.bytes > 0 && value(&t) && t.at == t.end;
}
