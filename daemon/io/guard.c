#include "daemon/io/guard.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <ucontext.h>

#include "proto/util.h"

/* Where this thread goes on after a SIGBUS, or NULL: it is in no guard. */
static _Thread_local sigjmp_buf *volatile escape;

/* A page that is not there, and not what kill() or a scrubber sends. */
static bool
is_fault(const siginfo_t *info)
{
	return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

static void
on_bus_error(int number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	if (escape && is_fault(info)) {
		/* Here, not in the jump, which would cost each guard a call. */
		(void)pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask,
				      NULL);
		siglongjmp(*escape, 1);
	}
	/*
	 * Returning runs the faulting instruction again, so that what kills
	 * the process (and what its core shows) is the fault itself.
	 */
	(void)signal(number, SIG_DFL);
	if (!is_fault(info))
		(void)raise(number);
}

int
guard_install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_bus_error,
		.sa_flags = SA_SIGINFO,
	};

	(void)sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

int
guard_run(void (*touch)(void *arg), void *arg)
{
	sigjmp_buf here;

	must(escape == NULL);
	/* Without the signal mask, which the handler restores. */
	if (sigsetjmp(here, 0) != 0) {
		escape = NULL;
		return -EFAULT;
	}
	escape = &here;
	atomic_signal_fence(memory_order_seq_cst);
	touch(arg);
	atomic_signal_fence(memory_order_seq_cst);
	escape = NULL;
	return 0;
}
