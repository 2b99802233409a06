/* Units: their framing at every boundary of a length, read back by a client's eyes; and their form in a polling body. */
#include "engineio/unit.h"

#include <string.h>

#include "base/base64.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

enum { BODY_BYTES_MAX = 1 << 24 };

static const size_t lengths[] = { 0, 1, 2, 3, 123, 124, 125, 126, 127, 128, 255, 256, 1000, 65533, 65534,
	65535, 65536, 65537, 100000 };
enum { LENGTHS = sizeof(lengths) / sizeof(*lengths) };

/* Content that tells where it stands. */
static void fill(uint8_t *data, size_t bytes, size_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(i * 31 + seed * 7 + 1);
}

/* A frame at the front of data as RFC 6455 draws it, unmasked and whole; what is behind it. */
static const uint8_t *take_frame(
	const uint8_t *data, uint8_t first_byte, const uint8_t **ret_payload, size_t *ret_bytes)
{
	size_t bytes = data[1], header = 2;

	assert_int_equal(data[0], first_byte);
	assert_true(bytes < 128);
	if (bytes >= 126) {
		header = bytes == 126 ? 4 : 10;
		bytes = 0;
		for (size_t i = 2; i < header; i++)
			bytes = bytes << 8 | data[i];
		/* The shortest form, as clients insist. */
		assert_true(header == 4 ? bytes >= 126 : bytes >= 65536);
	}
	*ret_payload = data + header;
	*ret_bytes = bytes;
	return *ret_payload + bytes;
}

/* The frame at the front holds `lead` and filled bytes; what is behind it. */
static const uint8_t *expect_frame(const uint8_t *data, bool text, size_t bytes, size_t seed)
{
	static uint8_t want[200000];
	const uint8_t *payload;
	size_t got;
	const uint8_t *rest = take_frame(data, text ? 0x81 : 0x82, &payload, &got);

	want[0] = '4';
	fill(want + text, bytes, seed);
	assert_int_equal(got, bytes + text);
	assert_memory_equal(payload, want, got);
	return rest;
}

static struct blob_share *filled_unit(size_t text_bytes, const size_t *binary_bytes, uint32_t binaries)
{
	uint8_t *text = NULL, *binary[EIO_UNIT_BINARIES_MAX];
	struct blob_share *unit = eio_unit_create(text_bytes, binary_bytes, binaries, &text, binary);

	assert_non_null(unit);
	fill(text, text_bytes, 0);
	for (uint32_t i = 0; i < binaries; i++)
		fill(binary[i], binary_bytes[i], i + 1);
	return unit;
}

static void a_text_of_any_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTHS; i++) {
		struct blob_share *unit = filled_unit(lengths[i], NULL, 0);

		assert_ptr_equal(expect_frame(unit->data, true, lengths[i], 0), unit->data + unit->bytes);
		assert_int_equal(unit->refs, 1);
		blob_unref(unit);
	}
}

static void a_binary_alone_of_any_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTHS; i++) {
		uint8_t *data = NULL;
		struct blob_share *unit = eio_unit_create_frame(true, lengths[i], &data);

		assert_non_null(unit);
		fill(data, lengths[i], 5);
		assert_ptr_equal(expect_frame(unit->data, false, lengths[i], 5), unit->data + unit->bytes);
		blob_unref(unit);
	}
}

static void a_text_with_binaries_of_any_length(void **state)
{
	(void)state;
	for (uint32_t binaries = 1; binaries <= EIO_UNIT_BINARIES_MAX; binaries++) {
		for (size_t i = 0; i < LENGTHS; i++) {
			size_t sizes[EIO_UNIT_BINARIES_MAX];

			for (uint32_t b = 0; b < binaries; b++)
				sizes[b] = lengths[(i + b * 5) % LENGTHS];
			struct blob_share *unit = filled_unit(lengths[i], sizes, binaries);
			const uint8_t *at = expect_frame(unit->data, true, lengths[i], 0);

			for (uint32_t b = 0; b < binaries; b++)
				at = expect_frame(at, false, sizes[b], b + 1);
			assert_ptr_equal(at, unit->data + unit->bytes);
			blob_unref(unit);
		}
	}
}

static void what_is_too_large_is_refused(void **state)
{
	(void)state;
	uint8_t *text = NULL, *binary[EIO_UNIT_BINARIES_MAX];
	size_t two[2] = { BLOB_BYTES_MAX, 1 }, huge[2] = { 1, SIZE_MAX }, ten[EIO_UNIT_BINARIES_MAX];

	assert_null(eio_unit_create(BLOB_BYTES_MAX, NULL, 0, &text, binary));
	assert_null(eio_unit_create(BLOB_BYTES_MAX - 1, NULL, 0, &text, binary));
	assert_null(eio_unit_create(SIZE_MAX, NULL, 0, &text, binary));
	assert_null(eio_unit_create(0, two, 2, &text, binary));
	assert_null(eio_unit_create(0, huge, 2, &text, binary));
	for (int i = 0; i < EIO_UNIT_BINARIES_MAX; i++)
		ten[i] = SIZE_MAX / 10 + 2; /* their sum is small, modulo 2^64 */
	assert_null(eio_unit_create(0, ten, EIO_UNIT_BINARIES_MAX, &text, binary));
	assert_null(eio_unit_create_frame(true, BLOB_BYTES_MAX, &text));
	assert_null(eio_unit_create_frame(true, SIZE_MAX, &text));
	assert_null(text);
}

static void without_memory(void **state)
{
	(void)state;
	uint8_t *text, *binary[EIO_UNIT_BINARIES_MAX];
	size_t sizes[2] = { 10, 20 };

	failing_alloc_arm(1);
	assert_null(eio_unit_create(5, sizes, 2, &text, binary));
	assert_true(failing_alloc_disarm());
	failing_alloc_arm(1);
	assert_null(eio_unit_create_frame(true, 5, &text));
	assert_true(failing_alloc_disarm());
}

static struct blob_share *text_unit(const char *text)
{
	uint8_t *at, *binary[EIO_UNIT_BINARIES_MAX];
	struct blob_share *unit = eio_unit_create(strlen(text), NULL, 0, &at, binary);

	assert_non_null(unit);
	memcpy(at, text, strlen(text));
	return unit;
}

static void the_polling_form(void **state)
{
	(void)state;
	size_t sizes[3] = { 0, 3, 4 };
	uint8_t *text, *binary[EIO_UNIT_BINARIES_MAX];
	struct blob_share *units[3] = { text_unit("hello"), eio_unit_create(2, sizes, 3, &text, binary),
		NULL };
	struct buf body;

	assert_non_null(units[1]);
	memcpy(text, "xy", 2);
	memcpy(binary[1], "\x01\x02\x03", 3);
	memcpy(binary[2], "\x01\x02\x03\x04", 4);
	units[2] = eio_unit_create_frame(true, 2, &binary[0]);
	assert_non_null(units[2]);
	memcpy(binary[0], "\xff\xef", 2);
	buf_init(&body, BODY_BYTES_MAX);
	for (int i = 0; i < 3; i++) {
		assert_true(eio_unit_append_polling(units[i], &body));
		assert_int_equal(units[i]->refs, 1);
	}
	assert_true(str_equal(buf_str(&body), STR("4hello\x1e"
						  "4xy\x1e"
						  "b\x1e"
						  "bAQID\x1e"
						  "bAQIDBA==\x1e"
						  "b/+8=")));
	for (int i = 0; i < 3; i++)
		blob_unref(units[i]);
	buf_finish(&body);
}

/* All lengths of a text and a binary: the body is what the packets of the protocol say. */
static void the_polling_form_of_any_length(void **state)
{
	static uint8_t data[100000];
	static char coded[200000];

	(void)state;
	for (size_t i = 0; i < LENGTHS; i++) {
		struct blob_share *unit = filled_unit(lengths[i], &lengths[i], 1);
		struct buf body, want;

		buf_init(&body, BODY_BYTES_MAX);
		buf_init(&want, BODY_BYTES_MAX);
		assert_true(buf_append(&body, "6", 1) && eio_unit_append_polling(unit, &body));
		fill(data, lengths[i], 0);
		assert_true(buf_append(&want,
				    "6\x1e"
				    "4",
				    3) &&
			    buf_append(&want, data, lengths[i]));
		fill(data, lengths[i], 1);
		assert_true(buf_append(&want,
			"\x1e"
			"b",
			2));
		assert_true(buf_append(&want, coded, base64_encode(coded, data, lengths[i])));
		assert_int_equal(body.bytes, want.bytes);
		assert_memory_equal(body.data, want.data, want.bytes);
		buf_finish(&body);
		buf_finish(&want);
		blob_unref(unit);
	}
}

static void a_body_without_room_or_memory_says_so(void **state)
{
	(void)state;
	size_t size = 100;
	struct blob_share *unit = filled_unit(100, &size, 1);
	unsigned n = 0;
	bool failed;

	for (size_t most = 0; most < 300; most++) {
		struct buf body;

		buf_init(&body, most);
		bool fits = eio_unit_append_polling(unit, &body);

		assert_int_equal(fits, most >= 101 + 1 + 1 + 136);
		assert_true(body.bytes <= most);
		buf_finish(&body);
	}
	do {
		struct buf body;

		buf_init(&body, BODY_BYTES_MAX);
		failing_alloc_arm(++n);
		bool fits = eio_unit_append_polling(unit, &body);

		failed = failing_alloc_disarm();
		assert_int_equal(fits, !failed);
		buf_finish(&body);
	} while (failed);
	assert_true(n > 1);
	blob_unref(unit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_of_any_length),
		cmocka_unit_test(a_binary_alone_of_any_length),
		cmocka_unit_test(a_text_with_binaries_of_any_length),
		cmocka_unit_test(what_is_too_large_is_refused),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(the_polling_form),
		cmocka_unit_test(the_polling_form_of_any_length),
		cmocka_unit_test(a_body_without_room_or_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
