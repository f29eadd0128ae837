/*
 * What the stories against the real daemon share: an end to every wait,
 * processes that end with the test, a place for files, a clean house after.
 *
 * A story's test runs in a process of its own (Check forks).  The parent never
 * touches libemad, and a test that starts processes which use libemad does so
 * before it uses libemad itself: nng does not survive a fork.
 */
#ifndef TESTS_LIB_STORY_H
#define TESTS_LIB_STORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

/* Longest wait for anything: generous, since sanitizers make all slow. */
#define STORY_DEADLINE_MS 120000

/*
 * Make the folder that story_folder() names; call it first in main().  What a
 * test leaves there and in /dev/shm is removed by story_end().
 */
void story_begin(void);
void story_end(void);
const char *story_folder(void);

/* A name for an instance that nobody else on this machine has. */
void story_instance(char ret_instance[48]);

/* Print the sentence and end this process: the test has failed. */
_Noreturn void
give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* give_up() unless @condition holds. */
#define insist(condition)                                                      \
	do {                                                                   \
		if (!(condition))                                              \
			give_up("%s:%d: %s", __FILE__, __LINE__, #condition);  \
	} while (0)

/* Wait until @condition holds, give up when it takes too long. */
#define wait_until(condition)                                                  \
	for (int64_t end_ = deadline_new(); !(condition);                      \
	     deadline_wait(end_, #condition, __FILE__, __LINE__))

int64_t deadline_new(void);
void deadline_wait(int64_t deadline, const char *condition, const char *file,
		   int line);

/* @n, or fewer of it where a sanitizer makes everything slow. */
unsigned int story_scale(unsigned int n);
bool story_is_instrumented(void);

/* Pseudo-random numbers, a different sequence in every process and test. */
uint64_t random_next(void);
uint64_t random_below(uint64_t limit);

/* Let some @n spins of time pass: nobody waits for anything, it is jitter. */
void spin(uint64_t n);

/* Leave the processor to others for a moment, in a loop that watches them. */
void breathe(void);

/*
 * A process that runs @run and exits with 0; killed when this one ends.
 * child_finish() waits for that and gives up if it ended in another way.
 */
pid_t child_start(void (*run)(void *arg), void *arg);
void child_finish(pid_t pid);
void child_kill(pid_t pid);
/* Wait for it; its wait status. */
int child_wait(pid_t pid);

/* Zeroed memory that processes started from now on share with this one. */
void *shared_new(size_t size);

/* Raise the soft limit on descriptors to the hard one. */
void story_raise_descriptors(void);

/* Run a suite as TAP; the exit code is 0 even if a test failed. */
#define STORY_MAIN(make_suite)                                                 \
	int main(void)                                                         \
	{                                                                      \
		SRunner *runner;                                               \
                                                                               \
		story_begin();                                                 \
		runner = srunner_create(make_suite());                         \
		srunner_set_tap(runner, "-");                                  \
		srunner_run_all(runner, CK_SILENT);                            \
		srunner_free(runner);                                          \
		story_end();                                                   \
		return 0;                                                      \
	}

#endif
