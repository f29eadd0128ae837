#include "client/thread.h"

#include <signal.h>
#include <string.h>

#include "client/internal.h"

int
thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *),
	     void *arg)
{
	sigset_t all, before;
	int error;

	(void)sigfillset(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	error = pthread_create(ret_thread, NULL, run, arg);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (error != 0)
		return fail(EMAD_SYSTEM, "cannot start a thread: %s",
			    strerror(error));
	/* For those who look at the process; nothing depends on it. */
	(void)pthread_setname_np(*ret_thread, name);
	return EMAD_OK;
}
