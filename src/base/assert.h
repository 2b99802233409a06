/*
 * base/assert.h -- assertions that stay on in release.
 *
 * They state what must hold if our own code is right. Input from outside is never asserted.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#ifdef NDEBUG
#error "assertions stay on: do not define NDEBUG"
#endif
#include <assert.h>

#endif
