/*
 * Threads of the library's own, which a program that uses it does not see: they
 * take no signals, so that its handlers run on its own threads.
 */
#ifndef CLIENT_THREAD_H
#define CLIENT_THREAD_H

#include <pthread.h>

/*
 * Run @run(@arg) on a new thread named @name (15 characters at most); whoever
 * starts it joins it.  SYSTEM.
 */
int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *),
		 void *arg);

#endif
