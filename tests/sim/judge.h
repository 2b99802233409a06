/*
 * tests/sim/judge.h -- what must hold whenever a server has ended in the simulation, whoever its clients were. Each fails the run
 * (kernel_fail()). Used by: tests/sim/world.c, fuzz/fuzz_server.c.
 */
#ifndef TESTS_SIM_JUDGE_H
#define TESTS_SIM_JUDGE_H

#include <stdint.h>

#include "sio/stats.h"

/* When its loops have ended: as many went as came, by its figures and by the calls of "connection" and "disconnect". */
void judge_all_gone(const struct sio_stats *, uint64_t connections, uint64_t disconnections);
/* When it is destroyed: nothing is left. `allocations`: kernel_allocations() before it was made. */
void judge_nothing_left(int64_t allocations);

#endif
