/*
 * base/clock.h -- monotonic time, in nanoseconds from an arbitrary start. Never for display.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_S  UINT64_C(1000000000)

uint64_t clock_now_ns(void);

#endif
