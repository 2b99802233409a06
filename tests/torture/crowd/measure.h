/*
 * crowd/measure.h -- latencies of those who say little, and one who says all it can.
 */
#ifndef CROWD_MEASURE_H
#define CROWD_MEASURE_H

#include "client.h"

struct latencies {
	uint32_t count, missed; /* missed: the answer to the one before had not come when it was due */
	uint32_t p50_us, p99_us, max_us;
};

/* Every client asks for an echo every so often, for so long. */
void crowd_echo(struct crowd *, uint32_t every_ms, uint32_t for_ms, struct latencies *ret);
/*
 * The first client asks for echoes without a pause, for so long, and reads what comes; with a window, so many of them are
 * unanswered at most, give or take a burst. Returns how many were answered.
 */
uint32_t crowd_flood(struct crowd *, uint32_t for_ms, uint32_t window);

#endif
