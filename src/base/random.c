/* base/random.c -- see base/random.h. */
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* For kernels and sandboxes that know no getrandom(). */
static void from_device(unsigned char *out, size_t bytes)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && bytes > 0) {
		ssize_t n = read(fd, out, bytes);

		if (n > 0) {
			out += n;
			bytes -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			break;
		}
	}
	if (fd >= 0)
		close(fd);
	if (bytes > 0)
		abort();
}

void random_bytes(void *out, size_t bytes)
{
	unsigned char *at = out;

	while (bytes > 0) {
		ssize_t n = getrandom(at, bytes, 0);

		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			from_device(at, bytes);
			return;
		}
	}
}
