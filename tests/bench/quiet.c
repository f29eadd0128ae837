#include "tests/bench/quiet.h"

#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/lib/story.h"

/* /proc/stat counts in ticks of 10 ms, so that some noise is in it. */
#define OTHERS_SECONDS 0.02
#define OTHERS_SHARE   0.02

#define LOOK_MS       50
#define AWAIT_SECONDS 2.0 /* before a round */

#define WATCHED_MAX 256

static double patience = 60.0; /* in all */
static pid_t watched[WATCHED_MAX];
static size_t n_watched;

void
quiet_watch(pid_t pid)
{
	if (pid == 0) {
		n_watched = 0;
		return;
	}
	insist(n_watched < WATCHED_MAX);
	watched[n_watched++] = pid;
}

void
quiet_set_patience(double seconds)
{
	patience = seconds;
}

/*
 * What processes used, and other machines stole.  Interrupts are nobody's: most
 * are this program's own messages.
 */
static double
read_busy(void)
{
	unsigned long long user, nice, system, idle, iowait, irq, softirq;
	unsigned long long steal;
	FILE *file = fopen("/proc/stat", "re");
	int n = 0;

	if (file) {
		n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
			   &user, &nice, &system, &idle, &iowait, &irq,
			   &softirq, &steal);
		(void)fclose(file);
	}
	if (n != 8)
		return 0.0;
	return (double)(user + nice + system + steal) /
	       (double)sysconf(_SC_CLK_TCK);
}

/* All threads of @pid, in nanoseconds: many processes add no noise. */
static double
read_process(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &used) != 0)
		return 0.0;
	return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static double
read_own(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static struct quiet
look(void)
{
	struct quiet now = {
		.when = bench_now(),
		.others = read_busy() - read_own(),
	};

	for (size_t i = 0; i < n_watched; i++)
		now.others -= read_process(watched[i]);
	return now;
}

struct quiet
quiet_await(void)
{
	static double spent;
	double begin = bench_now();
	struct quiet before, now = look();

	do {
		before = now;
		(void)poll(NULL, 0, LOOK_MS);
		now = look();
	} while (now.others - before.others > OTHERS_SECONDS &&
		 now.when - begin < AWAIT_SECONDS && spent < patience);
	spent += now.when - begin;
	return now;
}

bool
quiet_since(const struct quiet *before)
{
	struct quiet now = look();

	return now.others - before->others <
	       OTHERS_SECONDS + OTHERS_SHARE * (now.when - before->when);
}
