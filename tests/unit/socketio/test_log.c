/* The application's log: it may emit, from within whatever has called it; and who was refused leaves none behind. */
#include <errno.h>

#include "base/log.h"
#include "guest.h"
#include "sio/stats.h"

static struct served s;
static struct sio_space *root;
static atomic_uint logged, done;

/* As an application may that shows its log to somebody. */
static void log_and_emit(void *ctx, enum log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	(void)text;
	atomic_fetch_add(&logged, 1);
	assert(sio_emit(sio_all(root), "said", sio_json("[\"of the log\"]")) == 0);
}

/* At most one line a second tells of it, so until there was one. */
static void emit_what_is_wrong(void)
{
	unsigned before = atomic_load(&logged);

	while (atomic_load(&logged) == before) {
		assert(sio_emit(sio_all(root), "said", sio_json("[1,]")) == -EINVAL);
		sched_yield();
	}
	assert(sio_emit(sio_all(root), "said", sio_json("[\"behind it\"]")) == 0);
}

static void on_say(const struct sio_event *e)
{
	(void)e;
	emit_what_is_wrong();
	atomic_store(&done, 1);
}

static void it_may_emit(void **state)
{
	static const struct sio_recovery recovery = { .window_ms = 60000 };
	struct client c;
	char text[4096];

	(void)state;
	served_create(&s, &(struct sio_options){ .threads = 2, .recovery = &recovery });
	root = sio_of(s.io, "/");
	assert_int_equal(sio_on(root, "say", on_say, NULL), 0);
	served_run(&s);
	open_on(&s, &c, 0);
	join(&c, NULL, NULL);
	joined(&c, text);
	log_set(LOG_WARN, log_and_emit, NULL);
	assert_int_equal(served_ask(c.fd, "POST", c.target, "42[\"say\"]", NULL), 200);
	WAIT_FOR(atomic_load(&done) == 1);
	poll_until(&c, text, "behind it");
	assert_non_null(strstr(text, "of the log"));
	emit_what_is_wrong(); /* on a thread of its own */
	poll_until(&c, text, "behind it");
	assert_non_null(strstr(text, "of the log"));
	log_set(LOG_OFF, NULL, NULL);
	close(c.fd);
	served_finish(&s);
}

static void on_line(void *ctx, enum sio_log_level level, const char *text)
{
	(void)level;
	(void)text;
	atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void who_is_refused_leaves_none(void **state)
{
	atomic_uint lines = 0, lines_of_refused = 0;
	struct sio_options options = { .listen = "127.0.0.1:0", .log = on_line, .log_ctx = &lines };
	char err[256];

	(void)state;
	struct sio_server *first = sio_create(&options, err, sizeof(err));
	assert_non_null(first);
	atomic_store(&lines, 0); /* of its beginning */
	log_line(LOG_INFO, "for the first");
	assert_int_equal(atomic_load(&lines), 1);
	options.log_ctx = &lines_of_refused;
	options.log_least = SIO_LOG_DEBUG;
	options.path = "no path";
	assert_null(sio_create(&options, err, sizeof(err)));
	log_line(LOG_DEBUG, "for nobody");
	log_line(LOG_INFO, "for the first");
	assert_int_equal(atomic_load(&lines), 2);
	options.path = NULL;
	options.log = NULL;
	options.log_least = SIO_LOG_OFF;
	struct sio_server *second = sio_create(&options, err, sizeof(err));
	assert_non_null(second);
	log_line(LOG_ERROR, "for nobody");
	assert_int_equal(atomic_load(&lines), 2);
	sio_destroy(first);
	sio_destroy(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_may_emit),
		cmocka_unit_test(who_is_refused_leaves_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
