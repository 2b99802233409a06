/*
 * tests/unit/engineio/engine.h -- an Engine.IO server at /e/ on loops of its own, whose sessions live for ever.
 *
 * Events are called on the loops and say what they think by assert(). cmocka's own assertions belong to the test's thread.
 */
#ifndef TESTS_UNIT_ENGINEIO_ENGINE_H
#define TESTS_UNIT_ENGINEIO_ENGINE_H

#include "engineio/server.h"
#include "unit/http/web.h"

struct engine {
	struct harness h;
	struct http_server *http;
	struct eio_server *eio;
};

static inline void engine_ignores_message(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	(void)ctx;
	(void)binary;
	(void)data;
	(void)bytes;
}

static inline void engine_ignores_lagging(void *ctx, bool lagging)
{
	(void)ctx;
	(void)lagging;
}

static inline bool engine_owes_nothing(void *ctx)
{
	(void)ctx;
	return false;
}

static inline void engine_drained(struct net_loop *loop, void *engine)
{
	http_server_stopping(((struct engine *)engine)->http, loop);
}

static inline void engine_stopping(struct net_loop *loop, void *engine)
{
	eio_server_stopping(((struct engine *)engine)->eio, loop, engine_drained);
}

static inline struct eio_options engine_options(void)
{
	return (struct eio_options){
		.path = "/e/",
		.ping_interval_ms = 600000,
		.ping_timeout_ms = 600000,
		.upgrade_timeout_ms = 10000,
		.message_bytes_max = 100000,
		.queue_bytes_soft = 100000,
		.queue_bytes_max = 200000,
	};
}

/* `stopping` gets the engine; NULL: engine_stopping(). So do `opened` and what is told of the drain's end. The engine stays where it is. */
static inline void engine_create(struct engine *e, const struct eio_options *options,
	const struct eio_events *events, uint32_t loops,
	void (*stopping)(struct net_loop *loop, void *engine))
{
	harness_create(&e->h, &(struct net_pool_options){ .loops = loops,
				      .stopping = stopping == NULL ? engine_stopping : stopping,
				      .ctx = e });
	e->http = http_server_create(e->h.pool);
	assert_non_null(e->http);
	assert_int_equal(eio_server_create(e->http, e->h.pool, options, events, e, &e->eio), 0);
	assert_non_null(e->eio);
}

static inline void engine_run(struct engine *e)
{
	harness_listen(&e->h, http_server_accepted, e->http);
	harness_run(&e->h);
}

/* Wait until its loops have ended. */
static inline void engine_end(struct engine *e)
{
	net_pool_stop(e->h.pool);
	harness_join(&e->h);
}

/* In the order in which libsio does it. */
static inline void engine_destroy(struct engine *e)
{
	eio_server_destroy(e->eio);
	net_pool_close(e->h.pool);
	http_server_destroy(e->http);
	harness_finish(&e->h);
}

static inline void engine_finish(struct engine *e)
{
	engine_end(e);
	engine_destroy(e);
}

#endif
