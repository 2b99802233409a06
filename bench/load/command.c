/* load/command.c -- see load/command.h. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

static const struct load_slice_mode *const modes[] = {
	&load_mode_broadcast,
	&load_mode_rate,
	&load_mode_echo,
	&load_mode_post,
	&load_mode_join,
	&load_mode_rooms,
	&load_mode_hold,
};

static const struct load_slice_mode *mode_find(const char *word, size_t n)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strlen(modes[i]->name) == n && memcmp(modes[i]->name, word, n) == 0)
			return modes[i];
	return NULL;
}

static const char *argument_parse(const char *word, size_t n, struct load_slice_spec *spec)
{
	const char *equals = memchr(word, '=', n);
	char *end;

	if (!equals)
		return "an argument is name=value";
	size_t name = (size_t)(equals - word);
	double value = strtod(equals + 1, &end);

	if (end != word + n || !(value > 0 && value < 1e9))
		return "a value is a number above 0";
	if (name == 7 && memcmp(word, "seconds", name) == 0)
		spec->seconds = value;
	else if (name == 5 && memcmp(word, "count", name) == 0)
		spec->count = (uint64_t)value;
	else if (name == 10 && memcmp(word, "per_second", name) == 0)
		spec->per_second = value;
	else if ((name == 1 && memcmp(word, "w", name) == 0) ||
		 (name == 5 && memcmp(word, "conns", name) == 0))
		spec->in_flight = (uint32_t)value;
	else if (name == 5 && memcmp(word, "rooms", name) == 0)
		spec->rooms = (uint32_t)value;
	else if (name == 4 && memcmp(word, "each", name) == 0)
		spec->each = (uint32_t)value;
	else
		return "arguments are seconds, count, per_second, w, conns, rooms, each";
	return NULL;
}

static bool said(const struct load_slice_mode *mode, const struct load_protocol *protocol)
{
	if (mode == &load_mode_post)
		return protocol->post != NULL;
	if (mode == &load_mode_echo)
		return protocol->echo_request != NULL;
	if (mode == &load_mode_join || mode == &load_mode_rooms)
		return protocol->say != NULL;
	return mode == &load_mode_hold || (protocol->broadcast != NULL && protocol->say == NULL);
}

static const char *check_post(const struct load_slice_spec *spec, uint32_t conns)
{
	if (spec->in_flight == 0 || spec->in_flight > LOAD_POSTS_MAX)
		return "w is 1 to 4096";
	return (spec->in_flight - 1) / conns < LOAD_POSTS_PER_CONN_MAX
		       ? NULL
		       : "more than 64 in flight per connection";
}

static const char *check_join(const struct load_slice_spec *spec, uint32_t conns)
{
	if (spec->rooms == 0 || spec->each == 0 || spec->rooms % spec->each != 0)
		return "rooms and each are needed, rooms a multiple of each";
	return conns % (spec->rooms / spec->each) == 0 ? NULL : "connections are a multiple of rooms / each";
}

static const char *check(const struct load_slice_spec *spec, const struct load_client_options *options)
{
	if (!said(spec->mode, options->protocol))
		return "the protocol has no such message";
	if (spec->mode == &load_mode_join)
		return check_join(spec, options->conns);
	if (spec->seconds <= 0 && spec->count == 0)
		return "seconds or count is needed";
	if (spec->mode == &load_mode_hold && spec->seconds <= 0)
		return "hold needs seconds";
	if (spec->mode == &load_mode_rate && spec->per_second <= 0)
		return "rate needs per_second";
	if ((spec->mode == &load_mode_broadcast || spec->mode == &load_mode_rooms) &&
		(spec->in_flight == 0 || spec->in_flight > LOAD_SLOTS_MAX))
		return "w is 1 to 64";
	if (spec->mode == &load_mode_echo && spec->in_flight == 0)
		return "conns is at least 1";
	if (spec->mode == &load_mode_post)
		return check_post(spec, options->conns);
	if (spec->mode != &load_mode_rooms && spec->in_flight > options->conns)
		return "more in flight than connections";
	return NULL;
}

const char *load_command_parse(
	const char *line, const struct load_client_options *options, struct load_slice_spec *ret_spec)
{
	struct load_slice_spec spec = { 0 };
	const char *at = line + strspn(line, " ");
	size_t n = strcspn(at, " ");

	spec.mode = mode_find(at, n);
	if (!spec.mode)
		return "commands are broadcast, rate, echo, post, join, rooms, hold, quit";
	if (spec.mode != &load_mode_echo)
		spec.in_flight = 1;
	if (spec.mode == &load_mode_echo)
		spec.in_flight = options->conns;
	for (;;) {
		at += n;
		at += strspn(at, " ");
		n = strcspn(at, " ");
		if (n == 0)
			break;
		const char *wrong = argument_parse(at, n, &spec);

		if (wrong)
			return wrong;
	}
	const char *wrong = check(&spec, options);

	if (!wrong)
		*ret_spec = spec;
	return wrong;
}
