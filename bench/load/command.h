/*
 * load/command.h -- one line that asks for a slice: "broadcast w=8 seconds=1", "echo conns=100 count=1000",
 * "rate per_second=60 seconds=1", "post w=64 seconds=1", "join rooms=1000 each=10", "rooms w=8 seconds=1", "hold seconds=2". Pure, no I/O. Used by: main.c.
 */
#ifndef LOAD_COMMAND_H
#define LOAD_COMMAND_H

#include "slice.h"

/* Returns NULL and sets *ret_spec, or says what is wrong (static). `options` are the client's. */
__attribute__((warn_unused_result)) const char *load_command_parse(
	const char *line, const struct load_client_options *options, struct load_slice_spec *ret_spec);

#endif
