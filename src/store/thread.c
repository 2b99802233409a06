/* store/thread.c -- see store/thread.h. */
#include "store/thread.h"

#include <signal.h>

bool store_thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return false;
	pthread_setname_np(thread, name);
	*ret_thread = thread;
	return true;
}
