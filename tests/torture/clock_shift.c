/*
 * torture/clock_shift.c -- a wall clock that is wrong: preloaded into a program, it adds to what the program is told.
 *
 *      CLOCK_SHIFT names a file of one int64_t, the seconds to add; it may change at any time.
 *
 * CLOCK_MONOTONIC stays as it is. Used by pause.py.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CLOCK_SHIFT");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		abort();
	void *mapped = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		abort();
	close(fd);
	shift = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ret_now);

	if (rc == 0 && clock == CLOCK_REALTIME && shift != NULL)
		ret_now->tv_sec += *shift;
	return rc;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
	struct timespec now;
	int rc = clock_gettime(CLOCK_REALTIME, &now);

	(void)zone;
	if (rc == 0)
		*ret_now = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
	return rc;
}

time_t time(time_t *ret_now)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	if (ret_now != NULL)
		*ret_now = now.tv_sec;
	return now.tv_sec;
}
