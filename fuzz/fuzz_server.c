/*
 * fuzz/fuzz_server.c -- the whole server, and connections that do what the input says: see fuzz/server/scene.h.
 *
 * Input: eight bytes of options (begin(), serve.c), then acts (script.c). What must hold: the witness is served throughout and loses
 * nothing; memory keeps to what limits allow; when the others have gone, nothing is left of them; the server ends within 5 s of
 * sio_stop(), whatever is under way, and leaves neither descriptors nor memory; whatever has begun has ended, once.
 */
#include <pthread.h>
#include <sched.h>

#include "fuzz.h"
#include "server/raw.h"
#include "sim/judge.h"

enum {
	STOP_MS_MAX = 5000,
	/* Until nothing is left of who has vanished: its session, for want of a pong, and behind that HTTP_IDLE_MS. */
	LEAVE_S_MAX = 160,
	FLIGHT_MS = 1000, /* what they have said last may be on its way */
	STEP_MS = 250,
	WITNESS_CONNS_MAX = 9,
	NEWCOMER_TRIES = 5, /* its address may have had too many sessions lately */
	NEWCOMER_MS = 1000,
};

struct scene *scene;

int LLVMFuzzerInitialize(int *, char ***);

/* Only the witness is left. */
static void await_rest(void)
{
	struct sio_stats s;
	uint64_t conns = 0, sessions = 0, most = scene->transport == CLIENT_WEBSOCKET ? 1 : WITNESS_CONNS_MAX;

	script_wait(FLIGHT_MS * KERNEL_MS);
	for (uint32_t i = 0; i < LEAVE_S_MAX * 1000 / STEP_MS; i++) {
		sio_stats(scene->io, &s);
		conns = s.connections_accepted - s.connections_closed;
		sessions = s.sessions_opened - s.sessions_closed;
		if (sessions == 1 && conns <= most && sio_endpoint_count(scene->ws) == 0 &&
			sio_endpoint_count(scene->eio) == 0 && witness_is_content())
			return;
		/* Who waits for the application is not looked after meanwhile. */
		while (scene->exchange_count > 0)
			app_answer_http();
		script_wait(STEP_MS * KERNEL_MS);
	}
	kernel_fail("all have gone, and there are %llu connections, %llu sessions, %u and %u peers; the "
		    "witness %s",
		(unsigned long long)conns, (unsigned long long)sessions, sio_endpoint_count(scene->ws),
		sio_endpoint_count(scene->eio), witness_is_content() ? "is there" : "is not");
}

/* Who comes now from where the others came is let in: nothing counts them any more. */
static void judge_newcomer(void)
{
	for (uint32_t i = 0; i < NEWCOMER_TRIES; i++) {
		struct raw *r = raw_newcomer();

		script_wait(NEWCOMER_MS * KERNEL_MS);
		bool is_in = r->session[0] != '\0';
		raw_close(r, true);
		if (is_in)
			return;
	}
	kernel_fail("all have gone, and a newcomer is not let in");
}

static void *outside_main(void *arg)
{
	uint64_t *ret_stop_ns = arg;

	witness_begin(scene->transport);
	while (scene->is_crowded && !witness_is_content())
		kernel_sleep(STEP_MS * KERNEL_MS);
	script_run();
	if (!scene->stops_under_load) {
		kernel_note("the others go");
		kernel_faults()->accept_fails = 0;
		raws_close(!scene->closes_at_end);
		await_rest();
		judge_newcomer();
	}
	kernel_note("sio_stop()");
	witness_dismiss();
	*ret_stop_ns = kernel_now_ns();
	sio_stop(scene->io);
	return NULL;
}

static void judge_stats(void)
{
	struct sio_stats s;
	const struct tally *t = &scene->tally;

	sio_stats(scene->io, &s);
	judge_all_gone(&s, t->connections, t->disconnections);
	/* Of sessions some may wait to be told that they are closed. */
	if (t->opened != t->closed)
		kernel_fail("%llu peers came, %llu went", (unsigned long long)t->opened,
			(unsigned long long)t->closed);
}

static void judge_end(int64_t allocations)
{
	const struct tally *t = &scene->tally;

	if (t->made != t->destroyed)
		kernel_fail("data of %llu was made, of %llu destroyed", (unsigned long long)t->made,
			(unsigned long long)t->destroyed);
	if (t->asked != t->replied)
		kernel_fail("%llu questions and walks have begun, %llu ended", (unsigned long long)t->asked,
			(unsigned long long)t->replied);
	judge_nothing_left(allocations);
}

static void begin(struct input in)
{
	static const uint64_t pauses_us[] = { 1000, 0, 10000, 100000 };
	uint8_t seed = input_byte(&in), how = input_byte(&in), transport = input_byte(&in);

	kernel_begin(seed);
	raws_begin();
	scene = kernel_alloc(sizeof(*scene));
	scene->loops = 1 + (how & 1);
	scene->recovers = how & 2;
	scene->stops_under_load = how & 4;
	scene->from_loopback = how & 8;
	scene->closes_at_end = how & 16;
	scene->pause_ns = pauses_us[how >> 6] * KERNEL_US;
	scene->transport = (enum client_transport)(transport % 3);
	scene->is_crowded = transport / 3 % 2 == 1 && scene->transport == CLIENT_WEBSOCKET;
	scene->in = in;
}

/* The threads run one at a time: on one processor they take turns in half the time. */
static void stay_on_one_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t here;

	if (cpu < 0)
		return;
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	(void)sched_setaffinity(0, sizeof(here), &here);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	stay_on_one_cpu();
	/* What is chosen once for the process, such as the key of its maps, is so in a run that is always the same. */
	return LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	pthread_t outside;
	uint64_t stop_ns = 0;

	begin((struct input){ data, data + bytes });
	int64_t allocations = kernel_allocations();
	serve_create(&scene->in);
	scene->allocated = kernel_allocated();
	if (pthread_create(&outside, NULL, outside_main, &stop_ns) != 0)
		kernel_fail("no thread");
	int rc = sio_run(scene->io);
	uint64_t took_ms = (kernel_now_ns() - stop_ns) / KERNEL_MS;
	if (rc != 0 || stop_ns == 0 || took_ms > STOP_MS_MAX)
		kernel_fail("sio_run() gives %d, %llu ms after sio_stop()", rc, (unsigned long long)took_ms);
	if (pthread_join(outside, NULL) != 0)
		kernel_fail("no join");
	judge_stats();
	sio_destroy(scene->io);
	judge_end(allocations);
	kernel_end();
	return 0;
}
