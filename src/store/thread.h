/*
 * store/thread.h -- a thread of the store's: named, and deaf to signals, which are its process's.
 */
#ifndef STORE_THREAD_H
#define STORE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* False: there is none to be had. `name` has at most 15 characters. */
__attribute__((warn_unused_result)) bool store_thread_start(
	pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg);

#endif
