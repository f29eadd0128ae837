#include "tests/lib/story.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/name.h"

static char folder[64];
static pid_t story_pid; /* of main(), for names */

static int64_t
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
story_begin(void)
{
	const char *parent = getenv("TMPDIR");

	/* A socket's path is short: a long TMPDIR would not fit. */
	if (!parent || strlen(parent) > 40)
		parent = "/tmp";
	(void)snprintf(folder, sizeof folder, "%s/emad-test-XXXXXX", parent);
	story_pid = getpid();
	if (!mkdtemp(folder))
		give_up("cannot make %s: %s", folder, strerror(errno));
}

static int
remove_entry(const char *path, const struct stat *status, int type,
	     struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	(void)remove(path);
	return 0;
}

void
story_end(void)
{
	char hidden[48];
	const char *visible = hidden + 1;
	char path[sizeof SHM_DIRECTORY + 1 + FILE_NAME_SIZE];
	DIR *directory = opendir(SHM_DIRECTORY);
	struct dirent *entry;

	(void)snprintf(hidden, sizeof hidden, ".emad.t%dn", (int)story_pid);
	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, visible, strlen(visible)) != 0 &&
		    strncmp(entry->d_name, hidden, strlen(hidden)) != 0)
			continue;
		(void)snprintf(path, sizeof path, "%s/%s", SHM_DIRECTORY,
			       entry->d_name);
		(void)remove(path);
	}
	if (directory)
		(void)closedir(directory);
	(void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
story_folder(void)
{
	return folder;
}

void
story_instance(char ret_instance[48])
{
	static unsigned int n;

	(void)snprintf(ret_instance, 48, "t%dn%d-%u", (int)story_pid,
		       (int)getpid(), n++);
}

void
give_up(const char *format, ...)
{
	va_list arguments;

	(void)fflush(stdout);
	(void)fprintf(stderr, "# process %d: ", (int)getpid());
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	_exit(1);
}

int64_t
deadline_new(void)
{
	return clock_ms() + STORY_DEADLINE_MS;
}

void
deadline_wait(int64_t deadline, const char *condition, const char *file,
	      int line)
{
	if (clock_ms() > deadline)
		give_up("%s:%d: waited too long until %s", file, line,
			condition);
	breathe();
}

void
breathe(void)
{
	(void)poll(NULL, 0, 1);
}

bool
story_is_instrumented(void)
{
	return strcmp(SANITIZER, "no") != 0 || getenv("EMAD_TEST_WRAPPER");
}

unsigned int
story_scale(unsigned int n)
{
	return story_is_instrumented() ? (n + 9) / 10 : n;
}

uint64_t
random_next(void)
{
	static uint64_t state;
	static pid_t owner;
	uint64_t x;

	if (owner != getpid()) {
		owner = getpid();
		state ^= (uint64_t)owner * 0x9E3779B97F4A7C15 +
			 (uint64_t)clock_ms();
	}
	state += 0x9E3779B97F4A7C15;
	x = state;
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
	return x ^ (x >> 31);
}

uint64_t
random_below(uint64_t limit)
{
	return random_next() % limit;
}

void
spin(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		__asm__ volatile("" ::: "memory");
}

pid_t
child_start(void (*run)(void *arg), void *arg)
{
	pid_t parent = getpid();
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		give_up("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		run(arg);
	_exit(0);
}

int
child_wait(pid_t pid)
{
	int status = 0;

	wait_until(waitpid(pid, &status, WNOHANG) == pid) continue;
	return status;
}

void
child_finish(pid_t pid)
{
	int status = child_wait(pid);

	if (WIFSIGNALED(status))
		give_up("a child process was killed by signal %d",
			WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		give_up("a child process exited with %d", WEXITSTATUS(status));
}

void
child_kill(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)child_wait(pid);
}

void *
shared_new(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		give_up("mmap: %s", strerror(errno));
	return memory;
}

void
story_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
