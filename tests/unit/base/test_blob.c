/* Shared bytes: counts within a thread, tokens between threads, and what happens without memory. */
#include "base/blob.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum {
	THREADS = 4,
	ROUNDS = 2000,
	REFS = 7,
};

static struct blob_share *blob_of(const char *text)
{
	uint8_t *data = NULL;
	struct blob_share *share = blob_create(strlen(text), &data);

	assert_non_null(share);
	assert_ptr_equal(share->data, data);
	memcpy(data, text, strlen(text));
	return share;
}

static void a_new_blob_has_one_reference(void **state)
{
	(void)state;
	struct blob_share *share = blob_of("hello");

	assert_int_equal(share->refs, 1);
	assert_int_equal(share->bytes, 5);
	assert_ptr_equal(blob_ref(share), share);
	assert_ptr_equal(blob_ref(share), share);
	assert_int_equal(share->refs, 3);
	blob_unref(share);
	blob_unref(share);
	assert_int_equal(share->refs, 1);
	assert_memory_equal(share->data, "hello", 5);
	blob_unref(share);
}

static void an_empty_blob_is_one_too(void **state)
{
	(void)state;
	struct blob_share *share = blob_of("");

	assert_int_equal(share->bytes, 0);
	blob_unref(blob_ref(share));
	blob_unref(share);
}

static void an_import_is_a_share_of_the_same_bytes(void **state)
{
	(void)state;
	struct blob_share *mine = blob_of("hello");
	struct blob_share *theirs = blob_import(blob_export(mine));

	assert_non_null(theirs);
	assert_ptr_not_equal(theirs, mine);
	assert_ptr_equal(theirs->data, mine->data);
	assert_int_equal(theirs->bytes, 5);
	assert_int_equal(theirs->refs, 1);
	assert_int_equal(mine->refs, 1);
	blob_ref(theirs);
	assert_int_equal(mine->refs, 1);
	/* The maker may go first; what the others read stays. */
	blob_unref(mine);
	assert_memory_equal(theirs->data, "hello", 5);
	blob_unref(theirs);
	assert_memory_equal(theirs->data, "hello", 5);
	blob_unref(theirs);
}

static void an_import_can_be_exported_again(void **state)
{
	(void)state;
	struct blob_share *first = blob_of("hello");
	struct blob_share *second = blob_import(blob_export(first));

	assert_non_null(second);
	blob_unref(first);
	struct blob_share *third = blob_import(blob_export(second));

	assert_non_null(third);
	blob_unref(second);
	assert_memory_equal(third->data, "hello", 5);
	blob_unref(third);
}

static void a_token_keeps_the_bytes(void **state)
{
	(void)state;
	struct blob_share *share = blob_of("hello");
	struct blob *dropped = blob_export(share), *kept = blob_export(share);

	blob_drop(dropped);
	blob_unref(share);
	struct blob_share *late = blob_import(kept);

	assert_non_null(late);
	assert_memory_equal(late->data, "hello", 5);
	blob_unref(late);
}

/* The leak checker sees to it that what failed is freed all the same. */
static void without_memory(void **state)
{
	(void)state;
	uint8_t *data = (uint8_t *)1;
	unsigned n = 0;
	bool failed;

	do {
		failing_alloc_arm(++n);
		struct blob_share *share = blob_create(100, &data);
		struct blob_share *other = share == NULL ? NULL : blob_import(blob_export(share));

		failed = failing_alloc_disarm();
		assert_int_equal(share == NULL, n == 1);
		assert_int_equal(other == NULL, n <= 2);
		if (share != NULL)
			blob_unref(share);
		if (other != NULL)
			blob_unref(other);
	} while (failed);
	assert_int_equal(n, 3);

	/* The token that cannot be imported may be the last that holds the blob. */
	struct blob_share *share = blob_of("hello");
	struct blob *token = blob_export(share);

	blob_unref(share);
	failing_alloc_arm(1);
	assert_null(blob_import(token));
	assert_true(failing_alloc_disarm());
}

/* What one thread hands to another in a round. */
struct handed {
	struct blob *tokens[ROUNDS];
};

/* Take part in each blob: as many references as one likes, given back in any order. */
static void *receive(void *arg)
{
	const struct handed *h = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		struct blob_share *share = blob_import(h->tokens[i]);

		assert(share != NULL && share->bytes == sizeof(i));
		for (int n = 0; n < REFS; n++)
			blob_ref(share);
		assert(memcmp(share->data, &i, sizeof(i)) == 0);
		for (int n = 0; n < REFS; n++)
			blob_unref(share);
		assert(share->refs == 1);
		blob_unref(share);
	}
	return NULL;
}

static void threads_count_for_themselves(void **state)
{
	static struct handed handed[THREADS];
	static struct blob_share *shares[ROUNDS];
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < ROUNDS; i++) {
		uint8_t *data;

		shares[i] = blob_create(sizeof(i), &data);
		assert_non_null(shares[i]);
		memcpy(data, &i, sizeof(i));
		for (size_t t = 0; t < THREADS; t++)
			handed[t].tokens[i] = blob_export(shares[i]);
	}
	for (size_t t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, receive, &handed[t]), 0);
	/* Ours go meanwhile. */
	for (size_t i = 0; i < ROUNDS; i++) {
		assert_int_equal(shares[i]->refs, 1);
		blob_unref(shares[i]);
	}
	for (size_t t = 0; t < THREADS; t++)
		assert_int_equal(pthread_join(threads[t], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_blob_has_one_reference),
		cmocka_unit_test(an_empty_blob_is_one_too),
		cmocka_unit_test(an_import_is_a_share_of_the_same_bytes),
		cmocka_unit_test(an_import_can_be_exported_again),
		cmocka_unit_test(a_token_keeps_the_bytes),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(threads_count_for_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
