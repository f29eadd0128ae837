#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/lib/client_stage.h"
#include "tests/unit/unit.h"

/* What the kernel says of MADV_WIPEONFORK; 0: what it does. */
static int refusal;

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int
__wrap_madvise(void *at, size_t size, int advice)
{
	if (advice == MADV_WIPEONFORK && refusal != 0) {
		errno = refusal;
		return -1;
	}
	return __real_madvise(at, size, advice);
}

/*
 * The C library, and nng's handlers of fork(), learn nothing of this one.  Nor
 * would the thread sanitizer, whose own locks then stay locked in the child.
 */
static pid_t
bare_fork(void)
{
	if (strcmp(SANITIZER, "thread") == 0)
		return fork();
	return (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL,
			      NULL, 0UL);
}

/* Every answer in a child is FORKED, to steps that are skipped as well. */
static void
check_child(pid_t (*make_child)(void))
{
	int status;
	pid_t pid = make_child();

	/* Not a check in the child: another thread may be at one. */
	if (pid == 0)
		_exit(emad_publish(publisher, 7, tensors) == EMAD_FORKED &&
				      emad_publish(publisher, 10, tensors) ==
					      EMAD_FORKED &&
				      emad_publish_wait(publisher) ==
					      EMAD_FORKED
			      ? 3
			      : 1);
	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
}

/* _i: whether the kernel has such pages. */
START_TEST(a_skipped_step_in_a_child_is_refused)
{
	refusal = _i ? EINVAL : 0;
	ck_assert_int_eq(emad_connect(&emad, fake_address(fake), -1), EMAD_OK);
	profile.update_every = 10;
	attach();
	ck_assert_int_eq(emad_publish(publisher, 1, tensors), EMAD_OK);
	check_child(fork);
	check_child(bare_fork);
	ck_assert_int_eq(emad_publish(publisher, 2, tensors), EMAD_OK);
	publish_well(10);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("client_process");
	TCase *tcase = new_case_unconnected(suite, "process");

	tcase_add_loop_test(tcase, a_skipped_step_in_a_child_is_refused, 0, 2);
	return suite;
}

UNIT_MAIN(make_suite)
