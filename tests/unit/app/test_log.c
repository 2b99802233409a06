/*
 * The program's log: each line whole, of JSON where that is asked for, and nothing from outside forges one; nobody waits for
 * whoever reads it, and what is left out is counted.
 */
#include "app/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum { READ_BYTES = 8192, PIPE_BYTES = 65536, THREADS = 4, LINES_EACH = 1000, FLOOD = 100000, WAIT_S = 20 };

/* In place of the C library's: what the kernel may do and seldom does. */
static atomic_bool writes_hang, writes_stumble;
static atomic_int writes_hanging, stumbles;
static sem_t go_on;

ssize_t write(int fd, const void *bytes, size_t count)
{
	if (atomic_load(&writes_hang)) {
		atomic_fetch_add(&writes_hanging, 1);
		while (sem_wait(&go_on) != 0)
			assert_int_equal(errno, EINTR);
		atomic_fetch_sub(&writes_hanging, 1);
	}
	if (atomic_load(&writes_stumble)) {
		int turn = atomic_fetch_add(&stumbles, 1);
		if (turn % 3 != 0) {
			errno = turn % 3 == 1 ? EINTR : EAGAIN;
			return -1;
		}
		count = count > 100 ? 100 : count;
	}
	return syscall(SYS_write, fd, bytes, count);
}

static int kept = -1, file = -1;
static char lines[READ_BYTES];

static void begin_to(int fd, enum config_log format, enum sio_log_level level)
{
	static struct config config;

	config = (struct config){ .log_format = format, .log_level = level };
	kept = dup(STDERR_FILENO);
	assert_true(fd >= 0 && kept >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	log_begin(&config);
}

static void begin(enum config_log format, enum sio_log_level level)
{
	file = memfd_create("log", MFD_CLOEXEC);
	begin_to(file, format, level);
}

/* What was written since begin(). */
static struct str end(void)
{
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	ssize_t bytes = pread(file, lines, sizeof(lines) - 1, 0);
	assert_true(bytes >= 0);
	lines[bytes] = '\0';
	close(file);
	close(kept);
	return str_of(lines, (size_t)bytes);
}

/* It is one line of JSON. */
static struct json_value line_of(struct str text)
{
	struct json_value object;

	assert_true(text.bytes > 2 && text.bytes <= LOG_EVENT_BYTES_MAX);
	assert_int_equal(text.s[text.bytes - 1], '\n');
	assert_ptr_equal(memchr(text.s, '\n', text.bytes), text.s + text.bytes - 1);
	assert_true(json_scan(text, &object));
	assert_int_equal(object.type, JSON_OBJECT);
	return object;
}

static void expect_field(struct json_value object, const char *name, const char *value)
{
	struct json_value item;
	char out[READ_BYTES];

	assert_true(json_member(object, str_c(name), &item));
	assert_int_equal(item.type, JSON_STRING);
	assert_true(str_equal(str_of(out, json_decode_string(out, item)), str_c(value)));
}

static void an_event_is_an_object(void **state)
{
	(void)state;
	struct json_value item;

	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_event(LOG_WARN, "connected", "address", "10.0.0.1", "user", "7", NULL);
	struct json_value object = line_of(end());
	expect_field(object, "event", "connected");
	expect_field(object, "level", "warn");
	expect_field(object, "address", "10.0.0.1");
	expect_field(object, "user", "7");
	assert_true(json_member(object, STR("time"), &item));
	assert_int_equal(item.text.bytes, strlen("\"2026-11-24T20:36:15.123Z\""));
}

/* Line ends, ESC and quotes in what others say: neither a second line nor a command to a terminal. */
static void nothing_forges_a_line(void **state)
{
	(void)state;
	static const char evil[] = "Ann\r\n{\"event\":\"forged\"}\x1b[2J\x07\"\\\t\x01"
				   "\x7f \xc2\x9b"
				   "2J \xc2\x85 \xc2\xa0 \xc3\x9b";

	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_event(LOG_INFO, "said", "name", evil, NULL);
	struct str text = end();
	expect_field(line_of(text), "name", evil);
	begin(CONFIG_LOG_TEXT, SIO_LOG_INFO);
	log_event(LOG_INFO, "said", "name", evil, NULL);
	text = end();
	assert_ptr_equal(memchr(text.s, '\n', text.bytes), text.s + text.bytes - 1);
	for (size_t i = 0; i + 1 < text.bytes; i++) {
		assert_true((unsigned char)text.s[i] >= ' ' && text.s[i] != 0x7f);
		/* Nor those behind ASCII; what follows them is text. */
		assert_false(text.s[i] == '\xc2' && (unsigned char)text.s[i + 1] < 0xa0);
	}
	assert_non_null(strstr(text.s, "\xc2\xa0 \xc3\x9b"));
}

static void less_than_is_asked_for_is_left_out(void **state)
{
	(void)state;
	begin(CONFIG_LOG_JSON, SIO_LOG_WARN);
	log_event(LOG_DEBUG, "a", NULL);
	log_event(LOG_INFO, "b", NULL);
	assert_int_equal(end().bytes, 0);
	begin(CONFIG_LOG_JSON, SIO_LOG_WARN);
	log_event(LOG_WARN, "c", NULL);
	expect_field(line_of(end()), "event", "c");
	begin(CONFIG_LOG_JSON, SIO_LOG_OFF);
	log_event(LOG_ERROR, "d", NULL);
	assert_int_equal(end().bytes, 0);
	/* To no terminal: JSON by itself. */
	begin(CONFIG_LOG_AUTO, SIO_LOG_DEBUG);
	log_event(LOG_DEBUG, "e", NULL);
	expect_field(line_of(end()), "level", "debug");
}

/* Whatever lengths fields have, a line ends, and as JSON; what has no room is left out as a whole. */
static void every_line_has_its_end(void **state)
{
	(void)state;
	char value[600];

	for (size_t bytes = 0; bytes < sizeof(value) - 1; bytes++) {
		struct json_value item;

		memset(value, bytes % 3 == 0 ? 'x' : '"', bytes);
		value[bytes] = '\0';
		begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
		log_event(LOG_INFO, "long", "a", value, "b", value, "c", value, "d", value, "e", value, NULL);
		struct json_value object = line_of(end());
		assert_true(json_member(object, STR("a"), &item));
		begin(CONFIG_LOG_TEXT, SIO_LOG_INFO);
		log_event(LOG_INFO, "long", "a", value, "b", value, "c", value, "d", value, "e", value, NULL);
		struct str text = end();
		assert_int_equal(text.s[text.bytes - 1], '\n');
	}
}

static void no_character_is_cut(void **state)
{
	(void)state;
	char value[1024];

	for (size_t front = 0; front < 8; front++) {
		struct json_value item;

		memset(value, 'x', front);
		for (size_t i = front; i + 4 < sizeof(value); i += 4)
			memcpy(value + i, "\xF0\x9F\x98\x80", 5);
		begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
		log_event(LOG_INFO, "long", "a", value, NULL);
		assert_true(json_member(line_of(end()), STR("a"), &item));
		/* Without its quotes. */
		assert_int_equal((item.text.bytes - 2 - front) % 4, 0);
		assert_true(item.text.bytes > 400);
	}
}

static void lines_of_the_library_are_notes(void **state)
{
	(void)state;
	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_from_sio(NULL, SIO_LOG_ERROR, "something");
	struct json_value object = line_of(end());
	expect_field(object, "level", "error");
	expect_field(object, "text", "something");
	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_line(LOG_INFO, "of %s", "base");
	expect_field(line_of(end()), "text", "of base");
}

/* What has been read of a log with numbered lines by several threads. */
struct reading {
	int fd;
	size_t bytes;
	char text[READ_BYTES];
	long next[THREADS], lines, left_out;
	atomic_long told; /* lines, and those of which it was told that they were left out */
	bool gaps; /* may be */
	uint64_t total; /* of bytes */
};

static long number_of(struct json_value object, const char *name)
{
	struct json_value item;
	char out[READ_BYTES];

	assert_true(json_member(object, str_c(name), &item));
	assert_int_equal(item.type, JSON_STRING);
	out[json_decode_string(out, item)] = '\0';
	return strtol(out, NULL, 10);
}

static void read_line(struct reading *r, struct str line)
{
	struct json_value object = line_of(line), item;

	assert_true(json_member(object, STR("event"), &item));
	if (str_equal(item.text, STR("\"lines_left_out\""))) {
		expect_field(object, "level", "warn");
		r->left_out += number_of(object, "count");
		assert_true(number_of(object, "count") > 0);
		atomic_fetch_add(&r->told, number_of(object, "count"));
		return;
	}
	long thread = number_of(object, "thread"), n = number_of(object, "n");
	assert_in_range(thread, 0, THREADS - 1);
	assert_true(r->gaps ? n >= r->next[thread] : n == r->next[thread]);
	r->next[thread] = n + 1;
	r->lines++;
	atomic_fetch_add(&r->told, 1);
}

/* Until its end. */
static void *read_all(void *ctx)
{
	struct reading *r = ctx;
	ssize_t got;

	while ((got = read(r->fd, r->text + r->bytes, sizeof(r->text) - r->bytes)) > 0) {
		char *end, *start = r->text;

		r->bytes += (size_t)got;
		r->total += (uint64_t)got;
		while ((end = memchr(start, '\n', r->bytes - (size_t)(start - r->text))) != NULL) {
			read_line(r, str_of(start, (size_t)(end + 1 - start)));
			start = end + 1;
		}
		r->bytes -= (size_t)(start - r->text);
		memmove(r->text, start, r->bytes);
	}
	assert_int_equal(got, 0);
	return NULL;
}

static void wait_until_told(struct reading *r, long count)
{
	uint64_t start = clock_now_ns();

	while (atomic_load(&r->told) < count) {
		assert_true(clock_now_ns() - start < WAIT_S * CLOCK_NS_PER_S);
		sched_yield();
	}
}

static void say(long thread, long n)
{
	char thread_text[24], n_text[24];

	snprintf(thread_text, sizeof(thread_text), "%ld", thread);
	snprintf(n_text, sizeof(n_text), "%ld", n);
	log_event(LOG_INFO, "said", "thread", thread_text, "n", n_text, NULL);
}

/* From here on stderr is a pipe, of JSON. Returns where it is read. */
static int begin_pipe(int flags)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
	begin_to(ends[1], CONFIG_LOG_JSON, SIO_LOG_INFO);
	close(ends[1]);
	log_start();
	return ends[0];
}

static void end_pipe(void)
{
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	close(kept);
}

static void nobody_waits_for_the_reader(void **state)
{
	(void)state;
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		struct reading r = { .fd = begin_pipe(flags), .gaps = true };
		pthread_t thread;

		for (long n = 0; n < FLOOD; n++)
			say(0, n);
		/* The reader comes. */
		assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
		wait_until_told(&r, FLOOD);
		log_end();
		end_pipe();
		pthread_join(thread, NULL);
		close(r.fd);
		assert_true(r.left_out > 0);
		assert_int_equal(r.lines + r.left_out, FLOOD);
		assert_in_range(r.total, LOG_WAITING_BYTES_MAX / 2, LOG_WAITING_BYTES_MAX + 3 * PIPE_BYTES);
		assert_int_equal(r.bytes, 0);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void its_end_waits_so_long_and_no_longer(void **state)
{
	(void)state;
	for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		int fd = begin_pipe(flags);

		for (long n = 0; n < 2 * PIPE_BYTES / 64; n++)
			say(0, n);
		uint64_t start = clock_now_ns(), worked = cpu_ns();
		log_end();
		/* It slept meanwhile. */
		assert_true(cpu_ns() - worked < LOG_END_MS * CLOCK_NS_PER_MS / 2);
		assert_true(clock_now_ns() - start < 10 * LOG_END_MS * CLOCK_NS_PER_MS);
		say(0, 0); /* it would block */
		log_end();
		end_pipe();
		close(fd);
	}
}

static void a_write_that_hangs_is_left(void **state)
{
	(void)state;
	int fd = begin_pipe(0);

	sem_init(&go_on, 0, 0);
	atomic_store(&writes_hang, true);
	say(0, 0);
	while (atomic_load(&writes_hanging) == 0)
		sched_yield();
	say(0, 1);
	uint64_t start = clock_now_ns();
	log_end();
	assert_true(clock_now_ns() - start >= LOG_END_MS * CLOCK_NS_PER_MS);
	assert_true(clock_now_ns() - start < 10 * LOG_END_MS * CLOCK_NS_PER_MS);
	say(0, 2);
	assert_int_equal(atomic_load(&writes_hanging), 1);
	/* It frees what it has, and writes no more. */
	atomic_store(&writes_hang, false);
	sem_post(&go_on);
	char text[READ_BYTES];
	ssize_t bytes = read(fd, text, sizeof(text));
	assert_true(bytes > 0);
	line_of(str_of(text, (size_t)bytes));
	end_pipe();
	assert_int_equal(read(fd, text, sizeof(text)), 0);
	close(fd);
}

static void *say_many(void *ctx)
{
	for (long n = 0; n < LINES_EACH; n++)
		say((long)(intptr_t)ctx, n);
	return NULL;
}

/* However the kernel takes it. */
static void what_is_read_is_whole_and_in_order(void **state)
{
	(void)state;
	for (int stumble = 0; stumble < 2; stumble++) {
		struct reading r = { .fd = begin_pipe(0) };
		pthread_t reader, threads[THREADS];

		atomic_store(&writes_stumble, stumble == 1);
		assert_int_equal(pthread_create(&reader, NULL, read_all, &r), 0);
		for (intptr_t i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, say_many, (void *)i), 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		wait_until_told(&r, THREADS * LINES_EACH);
		log_end();
		atomic_store(&writes_stumble, false);
		end_pipe();
		pthread_join(reader, NULL);
		close(r.fd);
		assert_int_equal(r.lines, THREADS * LINES_EACH);
		assert_int_equal(r.left_out, 0);
		assert_int_equal(r.bytes, 0);
	}
}

static void its_end_writes_what_waits(void **state)
{
	(void)state;
	struct reading r = { 0 };

	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	log_start();
	for (long n = 0; n < LINES_EACH; n++)
		say(0, n);
	log_end();
	say(0, LINES_EACH); /* at once again */
	end_pipe();
	r.fd = file;
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	read_all(&r);
	close(file);
	assert_int_equal(r.lines, LINES_EACH + 1);
}

static void without_memory_lines_are_counted(void **state)
{
	(void)state;
	struct reading r = { .fd = begin_pipe(0), .gaps = true };

	failing_alloc_arm_from(1);
	for (long n = 0; n < 10; n++)
		say(0, n);
	assert_true(failing_alloc_disarm());
	say(0, 10);
	log_end();
	end_pipe();
	read_all(&r);
	close(r.fd);
	assert_int_equal(r.left_out, 10);
	assert_int_equal(r.lines, 1);
	/* None for the thread: as without it. */
	begin(CONFIG_LOG_JSON, SIO_LOG_INFO);
	failing_alloc_arm(1);
	log_start();
	assert_true(failing_alloc_disarm());
	log_event(LOG_WARN, "alone", NULL);
	log_end();
	expect_field(line_of(end()), "event", "alone");
}

static void signals_go_elsewhere(void **state)
{
	(void)state;
	sigset_t terms, pending;
	int fd = begin_pipe(0), number = 0;

	sigemptyset(&terms);
	sigaddset(&terms, SIGTERM);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &terms, NULL), 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	say(0, 0);
	log_end();
	assert_int_equal(sigpending(&pending), 0);
	assert_int_equal(sigismember(&pending, SIGTERM), 1);
	assert_int_equal(sigwait(&terms, &number), 0);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &terms, NULL), 0);
	end_pipe();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_an_object),
		cmocka_unit_test(nothing_forges_a_line),
		cmocka_unit_test(less_than_is_asked_for_is_left_out),
		cmocka_unit_test(every_line_has_its_end),
		cmocka_unit_test(no_character_is_cut),
		cmocka_unit_test(lines_of_the_library_are_notes),
		cmocka_unit_test(nobody_waits_for_the_reader),
		cmocka_unit_test(its_end_waits_so_long_and_no_longer),
		cmocka_unit_test(a_write_that_hangs_is_left),
		cmocka_unit_test(what_is_read_is_whole_and_in_order),
		cmocka_unit_test(its_end_writes_what_waits),
		cmocka_unit_test(without_memory_lines_are_counted),
		cmocka_unit_test(signals_go_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
