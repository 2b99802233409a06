/* Handshakes of TLS that do not end: the first of a connection, and one that is begun in its midst. Both are cut in time. */
#include "net/net_int.h"
#include "tls_client.h"

enum {
	FRAGMENT_BYTES = 512,
	NAME_BYTES = 250, /* of the server: so that a ClientHello takes two records */
	REST_MS = 2000, /* how much later than its time a deadline may come here */
};

static struct harness h;
static struct sides sides;
static struct net_tls_context *context;

static void do_send(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, 1000);
}

static void do_move(struct net_loop *loop, void *ctx)
{
	net_conn_move(((struct side *)ctx)->conn, 1 - net_loop_index(loop));
}

/* The client's ClientHello for new keys, without its last record. */
static void send_a_part(struct tls_client *c)
{
	char name[NAME_BYTES + 1];
	BIO *memory = BIO_new(BIO_s_mem());
	unsigned char *data;

	for (size_t i = 0; i < NAME_BYTES; i++)
		name[i] = i % 50 == 49 ? '.' : 'a';
	name[NAME_BYTES] = '\0';
	assert_int_equal(SSL_set_tlsext_host_name(c->ssl, name), 1);
	assert_int_equal(SSL_set_cipher_list(c->ssl, "ALL:COMPLEMENTOFALL:@SECLEVEL=0"), 1);
	assert_int_equal(SSL_set_max_send_fragment(c->ssl, FRAGMENT_BYTES), 1);
	SSL_set0_wbio(c->ssl, memory);
	assert_int_equal(SSL_renegotiate(c->ssl), 1);
	(void)SSL_do_handshake(c->ssl);
	long bytes = BIO_get_mem_data(memory, (char **)&data);
	long first = 5 + (data[3] << 8) + data[4];
	assert_true(first > FRAGMENT_BYTES && first < bytes);
	client_send(c->fd, data, (size_t)first);
}

static void handshakes_that_do_not_end(void **state)
{
	struct net_counters counters;
	struct tls_client c;
	struct timeval soon = { .tv_usec = 100000 };

	(void)state;
	tls_sides_start(&h, &sides, &(struct net_pool_options){ .loops = 2 }, NULL, &context);
	int silent = client_connect(&h);
	struct side *never = sides_wait(&sides, 0);
	tls_client_open(&c, client_connect(&h), TLS1_2_VERSION);
	struct side *again = sides_wait(&sides, 1);
	/* It must not wait for the server's answer. */
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	uint64_t began_ns = clock_now_ns();
	send_a_part(&c);
	poll(NULL, 0, 50);
	harness_call(&h, atomic_load(&again->loop), do_move, again); /* its deadline goes with it */
	WAIT_FOR(atomic_load(&again->moves) == 1);
	harness_call(&h, atomic_load(&again->loop), do_send, again); /* it cannot go meanwhile */
	WAIT_FOR(atomic_load(&never->closes) == 1 && atomic_load(&again->closes) == 1);
	uint64_t took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;
	assert_in_range(
		took_ms, NET_TLS_HANDSHAKE_MS - 200, NET_TLS_HANDSHAKE_MS + harness_slower() * REST_MS);
	assert_int_equal(atomic_load(&never->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&again->error), ETIMEDOUT);
	assert_int_equal(atomic_load(&again->sent), 0);
	net_pool_counters(h.pool, &counters);
	assert_int_equal(counters.tls_failed, 2);
	close(silent);
	close(c.fd);
	tls_client_free(&c);
	harness_finish(&h);
	net_tls_context_destroy(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_that_do_not_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
