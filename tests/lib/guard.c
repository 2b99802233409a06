/* tests/lib/guard.c -- memory that ends at a page nobody may touch: see tests/lib/vector.h. */
#include "lib/vector.h"

#include "base/assert.h"

#include <sys/mman.h>
#include <unistd.h>

static size_t round_to_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

uint8_t *guard_alloc(size_t bytes)
{
	size_t usable = round_to_pages(bytes), guard = round_to_pages(1);
	uint8_t *pages = mmap(NULL, usable + guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert(pages != MAP_FAILED);
	if (usable > 0) {
		int failed = mprotect(pages, usable, PROT_READ | PROT_WRITE);

		assert(!failed);
	}
	return pages + usable - bytes;
}

void guard_free(uint8_t *data, size_t bytes)
{
	size_t usable = round_to_pages(bytes);
	int failed;

	if (!data)
		return;
	failed = munmap(data + bytes - usable, usable + round_to_pages(1));
	assert(!failed);
}
