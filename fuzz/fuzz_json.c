/* fuzz/fuzz_json.c -- any bytes as JSON: the two scanners agree, and what is valid can be walked and decoded. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void walk(struct json_value value, int depth)
{
	struct json_walk w = json_walk_begin(value);
	struct json_value item;
	struct str key;

	while (json_walk_next(&w, &key, &item)) {
		if (item.type == JSON_STRING) {
			char *text = malloc(item.text.bytes);
			assert(text != NULL);
			size_t n = json_decode_string(text, item);
			assert(n <= item.text.bytes && utf8_valid((uint8_t *)text, n));
			free(text);
		} else if ((item.type == JSON_ARRAY || item.type == JSON_OBJECT) && depth < 8) {
			walk(item, depth + 1);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = str_of((const char *)data, bytes);
	struct json_value value, items[3];
	size_t count;

	if (!utf8_valid(data, bytes))
		return 0;
	bool valid = json_scan(text, &value);
	bool array = json_scan_array(text, items, 3, &count);
	assert(array == (valid && value.type == JSON_ARRAY));
	if (valid && (value.type == JSON_ARRAY || value.type == JSON_OBJECT))
		walk(value, 0);
	return 0;
}
