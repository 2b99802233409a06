/* The vectors' own test: what they read, that they notice a wrong codec, and that a guard page guards. */
#include "lib/cmocka.h"
#include "lib/vector.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char page[] = "lib/echo.md";

struct echo {
	struct vector_out *out;
	uint64_t skip, seen;
	const uint8_t *kept;
};

static void *echo_begin(const struct vector_case *c, struct vector_out *out)
{
	struct echo *e = malloc(sizeof(*e));
	const char *name = vector_option(c, "name", NULL);

	assert_non_null(e);
	*e = (struct echo){ .out = out, .skip = vector_option_u64(c, "skip", 0) };
	if (name)
		vector_line(out, "%s", name);
	return e;
}

static void echo_feed(void *codec, uint8_t *data, size_t bytes)
{
	struct echo *e = codec;

	assert_true(bytes > 0);
	for (size_t i = 0; i < bytes; i++)
		if (e->seen++ >= e->skip)
			vector_line(e->out, "%s", vector_quote(data + i, 1));
}

static void test_language(void **state)
{
	(void)state;
	const struct vector_codec echo = { echo_begin, echo_feed, free };

	assert_int_equal(vector_run(page, &echo), 0);
}

/* A codec that shows where its input was cut: right while fed whole. */
static void pieces_feed(void *codec, uint8_t *data, size_t bytes)
{
	struct echo *e = codec;

	echo_feed(codec, data, bytes);
	if (e->seen == 1)
		vector_line(e->out, "one alone");
}

/* A codec that keeps what was only lent. */
static void keeping_feed(void *codec, uint8_t *data, size_t bytes)
{
	struct echo *e = codec;

	if (e->kept && *e->kept == 0xdb)
		vector_line(e->out, "stale");
	e->kept = data;
	echo_feed(codec, data, bytes);
}

static void silent_feed(void *codec, uint8_t *data, size_t bytes)
{
	(void)codec;
	(void)data;
	(void)bytes;
}

/* What the differences are printed to is not for this test's reader. */
static int failed_cases(const struct vector_codec *codec)
{
	int standard_error = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), failed;

	assert_true(standard_error >= 0 && null >= 0);
	assert_true(dup2(null, STDERR_FILENO) >= 0);
	failed = vector_run(page, codec);
	assert_true(dup2(standard_error, STDERR_FILENO) >= 0);
	close(standard_error);
	close(null);
	return failed;
}

static void test_notices_wrong_codecs(void **state)
{
	(void)state;
	const struct vector_codec pieces = { echo_begin, pieces_feed, free };
	const struct vector_codec keeping = { echo_begin, keeping_feed, free };
	const struct vector_codec silent = { echo_begin, silent_feed, free };

	/* All but the case without input. */
	assert_int_equal(failed_cases(&pieces), 5);
	assert_int_equal(failed_cases(&keeping), 5);
	assert_int_equal(failed_cases(&silent), 5);
}

/* Whether reading data[at] kills the process that tries. */
static bool faults(const uint8_t *data, size_t at)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(((const volatile uint8_t *)data)[at] == 0xff);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void test_guard(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint8_t *data = guard_alloc(sizes[i]);

		memset(data, 1, sizes[i]);
		assert_true(faults(data, sizes[i]));
		if (sizes[i] > 0)
			assert_false(faults(data, sizes[i] - 1));
		guard_free(data, sizes[i]);
	}
	guard_free(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_notices_wrong_codecs),
		cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
