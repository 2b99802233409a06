/*
 * tests/lib/json_reference.h -- RFC 8259's grammar, rule by rule and recursive: what base/json.h is held against.
 */
#ifndef TESTS_LIB_JSON_REFERENCE_H
#define TESTS_LIB_JSON_REFERENCE_H

#include "base/str.h"

/* Whether text is one JSON value, with containers at most depth_max deep. */
bool json_reference(struct str text, int depth_max);

#endif
