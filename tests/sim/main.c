/*
 * tests/sim/main.c -- the whole server in a simulated world, a seed a run.
 *
 *	sim_server SEED                     one run: the same each time, and the same trace at its end
 *	sim_server --seeds N [--from S]     N runs, each in a process of its own; SEEDS in the environment is N, too
 *
 * Of many runs each thing that they are there for must have happened: a server that refuses every upgrade breaks no other promise.
 *
 * SIM_VERBOSE in the environment: say all that happens.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/world.h"

enum {
	SEEDS = 150,
	FAILED_MAX = 5,
	MANY = 200, /* of which each figure is more than nothing: the rarest is that in every eleventh run */
};

ssize_t __real_getrandom(void *, size_t, unsigned);

static int run_one(uint64_t seed)
{
	struct figures f;

	world_run(seed, &f);
	printf("# seed %" PRIu64 ": %" PRIu64 " emissions, %" PRIu64 " heard, trace %016" PRIx64 "\n", seed,
		f.emitted, f.deliveries, kernel_trace());
	fflush(stdout);
	_exit(0); /* without looking for leaks: the simulation keeps what it has */
}

/* In a process of its own. False: it failed. */
static bool run_apart(uint64_t seed, struct figures *sum)
{
	struct figures f = { 0 };
	int ends[2], status;

	fflush(stdout);
	if (pipe(ends) != 0)
		return false;
	pid_t child = fork();
	if (child == 0) {
		world_run(seed, &f);
		_exit(write(ends[1], &f, sizeof(f)) == (ssize_t)sizeof(f) ? 0 : 1);
	}
	close(ends[1]);
	bool whole = read(ends[0], &f, sizeof(f)) == (ssize_t)sizeof(f);
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return false;
	if (WIFSIGNALED(status))
		printf("# seed %" PRIu64 ": ended by signal %d\n", seed, WTERMSIG(status));
	if (status != 0 || !whole)
		return false;
	for (size_t i = 0; i < sizeof(f) / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)&f)[i];
	return true;
}

static void show(const struct figures *f)
{
	printf("# %" PRIu64 " emissions, %" PRIu64 " heard, %" PRIu64 " answers, %" PRIu64
	       " sessions, %" PRIu64 " upgrades, %" PRIu64 " recoveries, %" PRIu64 " losses, %" PRIu64
	       " polls aborted\n",
		f->emitted, f->deliveries, f->acks, f->opened, f->upgraded, f->recovered, f->lost, f->aborts);
	printf("# %" PRIu64 " connections moved, %" PRIu64 " queues too long, %" PRIu64
	       " times lagging, %" PRIu64 " stops under load\n",
		f->moved, f->overflows, f->lagging, f->stops_under_load);
	printf("# %" PRIu64 " events forgotten, %" PRIu64 " s of virtual time\n", f->forgotten,
		f->virtual_ms / 1000);
}

/* False: a thing has not happened in any of them. */
static bool all_happened(const struct figures *f)
{
	const struct {
		const char *what;
		uint64_t times;
	} things[] = {
		{ "emission", f->emitted },
		{ "event heard", f->deliveries },
		{ "answer", f->acks },
		{ "session", f->opened },
		{ "upgrade", f->upgraded },
		{ "recovery", f->recovered },
		{ "loss", f->lost },
		{ "poll aborted", f->aborts },
		{ "connection moved", f->moved },
		{ "queue too long", f->overflows },
		{ "client lagging", f->lagging },
		{ "stop under load", f->stops_under_load },
		{ "event forgotten", f->forgotten },
	};
	bool all = true;

	for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
		if (things[i].times > 0)
			continue;
		printf("# in all those runs no %s\n", things[i].what);
		all = false;
	}
	return all;
}

static int run_many(uint64_t count, uint64_t from)
{
	struct figures sum = { 0 };
	uint64_t failed = 0, first = 0, ran = 0;

	printf("# seeds from %" PRIu64 "\n", from);
	for (; ran < count && failed < FAILED_MAX; ran++) {
		if (run_apart(from + ran, &sum))
			continue;
		first = failed == 0 ? ran + 1 : first;
		failed++;
		printf("# seed %" PRIu64 " failed: sim_server %" PRIu64 " repeats it\n", from + ran,
			from + ran);
	}
	show(&sum);
	if (failed > 0)
		printf("# the first that failed was number %" PRIu64 "\n", first);
	bool ok = failed == 0 && (ran < MANY || all_happened(&sum));
	printf("1..1\n%sok 1 - %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " failed\n", ok ? "" : "not ",
		ran, from, failed);
	return ok ? 0 : 1;
}

/* What it is not it must not be taken for: no run at all finds no fault. */
static uint64_t number(const char *name, const char *text, uint64_t min)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || n < min) {
		fprintf(stderr, "sim_server: %s is %s\n", name, text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	const char *seeds = getenv("SEEDS"), *from_text = getenv("SEED");
	uint64_t count = seeds == NULL ? SEEDS : number("SEEDS", seeds, 1), from = 0;

	if (argc == 2 && argv[1][0] != '-')
		return run_one(number("the seed", argv[1], 0));
	if (__real_getrandom(&from, 4, 0) != 4)
		return 2;
	if (from_text != NULL)
		from = number("SEED", from_text, 0);
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0)
			count = number(argv[i], argv[i + 1], 1);
		else if (i + 1 < argc && strcmp(argv[i], "--from") == 0)
			from = number(argv[i], argv[i + 1], 0);
		else
			return 2;
	}
	return run_many(count, from);
}
