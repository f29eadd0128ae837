#include "tests/lib/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/raw.h"
#include "tests/lib/story.h"

#define ARGUMENTS_MAX 32
#define LOG_SHOWN     10000 /* bytes, when something went wrong */

static const char *
daemon_program(void)
{
	const char *program = getenv("EMAD_DAEMON");

	return program ? program : EMAD_PROGRAM;
}

void
daemon_init(struct daemon *ret_daemon)
{
	static unsigned int n;
	struct daemon daemon = { .pid = 0 };

	story_instance(daemon.instance);
	(void)snprintf(daemon.address, sizeof daemon.address,
		       "ipc://%s/%d-%u.sock", story_folder(), (int)getpid(), n);
	(void)snprintf(daemon.log, sizeof daemon.log, "%s/%d-%u.log",
		       story_folder(), (int)getpid(), n++);
	*ret_daemon = daemon;
}

const char *
daemon_socket(const struct daemon *daemon)
{
	return daemon->address + strlen("ipc://");
}

static void
add_option(const char *variable, const char *option)
{
	const char *given = getenv(variable);
	char options[1024];

	(void)snprintf(options, sizeof options, "%s:%s", given ? given : "",
		       option);
	(void)setenv(variable, options, 1);
}

/*
 * A quarantine would look like a leak to a test that compares memory before
 * and after.  What is suppressed says why.
 */
static void
add_sanitizer_options(void)
{
	add_option("ASAN_OPTIONS", "quarantine_size_mb=1");
	add_option("TSAN_OPTIONS",
		   "suppressions=" TESTS_FOLDER "/lib/tsan.supp");
}

/* EMAD_TEST_WRAPPER="valgrind -q ..." runs the daemon under that. */
static _Noreturn void
run_daemon(const struct daemon *daemon, int out)
{
	char *arguments[ARGUMENTS_MAX] = { NULL };
	const char *given = getenv("EMAD_TEST_WRAPPER");
	char *wrapper = given ? strdup(given) : NULL;
	int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	size_t n = 0;

	for (char *word = wrapper ? strtok(wrapper, " ") : NULL;
	     word && n < ARGUMENTS_MAX - 9; word = strtok(NULL, " "))
		arguments[n++] = word;
	arguments[n++] = strdup(daemon_program());
	arguments[n++] = strdup("--instance");
	arguments[n++] = strdup(daemon->instance);
	arguments[n++] = strdup("--address");
	arguments[n++] = strdup(daemon->address);
	arguments[n++] = strdup("--workers");
	arguments[n++] = strdup("2");
	if (daemon->option)
		arguments[n++] = strdup(daemon->option);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(log, STDERR_FILENO);
	(void)close_range(3, ~0U, 0);
	add_sanitizer_options();
	(void)execvp(arguments[0], arguments);
	(void)dprintf(STDERR_FILENO, "cannot run %s: %s\n", arguments[0],
		      strerror(errno));
	_exit(127);
}

/* The end of it. */
static void
print_log(const struct daemon *daemon)
{
	char line[1024];
	FILE *log = fopen(daemon->log, "re");

	if (!log)
		return;
	if (fseek(log, -LOG_SHOWN, SEEK_END) != 0)
		rewind(log);
	while (fgets(line, sizeof line, log))
		(void)fprintf(stderr, "# emad: %s", line);
	(void)fclose(log);
}

/* The line on stdout; the pipe stays open, should it ever print more. */
static void
await_listening(const struct daemon *daemon, int in)
{
	char text[512] = "";
	size_t n = 0;
	struct pollfd wait = { .fd = in, .events = POLLIN };

	while (!strchr(text, '\n')) {
		ssize_t r = -1;

		if (poll(&wait, 1, STORY_DEADLINE_MS) == 1)
			r = read(in, text + n, sizeof text - 1 - n);
		if (r <= 0) {
			print_log(daemon);
			give_up("the daemon did not start; it said \"%s\"",
				text);
		}
		n += (size_t)r;
		text[n] = '\0';
	}
	if (!strstr(text, "listening at ") || !strstr(text, daemon->address))
		give_up("the daemon said \"%s\"", text);
}

void
daemon_start(struct daemon *daemon)
{
	int ends[2];
	pid_t pid; /* *daemon may be memory that the child shares */

	insist(daemon->pid == 0);
	if (pipe2(ends, O_CLOEXEC) != 0)
		give_up("pipe2: %s", strerror(errno));
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		give_up("fork: %s", strerror(errno));
	if (pid == 0)
		run_daemon(daemon, ends[1]);
	daemon->pid = pid;
	(void)close(ends[1]);
	await_listening(daemon, ends[0]);
	(void)close(ends[0]);
}

void
daemon_new(struct daemon *ret_daemon)
{
	daemon_init(ret_daemon);
	daemon_start(ret_daemon);
}

void
daemon_stop(struct daemon *daemon)
{
	int status;

	insist(daemon->pid > 0 && kill(daemon->pid, SIGTERM) == 0);
	status = child_wait(daemon->pid);
	daemon->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	print_log(daemon);
	give_up("the daemon ended with wait status 0x%x", (unsigned)status);
}

void
daemon_kill(struct daemon *daemon)
{
	int status;

	insist(daemon->pid > 0 && kill(daemon->pid, SIGKILL) == 0);
	status = child_wait(daemon->pid);
	daemon->pid = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	print_log(daemon);
	give_up("the daemon had ended before, with 0x%x", (unsigned)status);
}

void
daemon_check(const struct daemon *daemon)
{
	int status;

	if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
		print_log(daemon);
		give_up("the daemon died: wait status 0x%x", (unsigned)status);
	}
	raw_status_once(daemon_socket(daemon));
}

int
daemon_refusal(const struct daemon *daemon, char *ret_text, size_t size)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int log;
	ssize_t n;
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	insist(pid >= 0);
	if (pid == 0)
		run_daemon(daemon, null);
	status = child_wait(pid);
	(void)close(null);

	log = open(daemon->log, O_RDONLY | O_CLOEXEC);
	n = read(log, ret_text, size - 1);
	ret_text[n > 0 ? n : 0] = '\0';
	(void)close(log);
	insist(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static unsigned int
count_entries(const char *path, const char *prefix, const char *part)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	if (!directory)
		give_up("cannot list %s: %s", path, strerror(errno));
	while ((entry = readdir(directory)))
		n += strstr(entry->d_name, prefix) != NULL &&
		     strstr(entry->d_name, part) != NULL &&
		     strcmp(entry->d_name, ".") != 0 &&
		     strcmp(entry->d_name, "..") != 0;
	(void)closedir(directory);
	return n;
}

unsigned int
daemon_n_descriptors(const struct daemon *daemon)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/fd", (int)daemon->pid);
	return count_entries(path, "", "");
}

unsigned int
daemon_n_threads(const struct daemon *daemon)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)daemon->pid);
	return count_entries(path, "", "");
}

unsigned long
daemon_memory(const struct daemon *daemon, const char *line)
{
	char path[64];
	char text[256];
	unsigned long size = 0;
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)daemon->pid);
	file = fopen(path, "re");
	insist(file);
	while (fgets(text, sizeof text, file)) {
		if (strncmp(text, line, strlen(line)) == 0)
			size = strtoul(text + strlen(line) + 1, NULL, 10);
	}
	(void)fclose(file);
	return size;
}

unsigned int
daemon_n_files(const struct daemon *daemon, const char *part)
{
	char prefix[64];

	(void)snprintf(prefix, sizeof prefix, "emad.%s.", daemon->instance);
	return count_entries(SHM_DIRECTORY, prefix, part);
}

void
daemon_file(const struct daemon *daemon, const char *model, const char *profile,
	    char ret_path[SHM_PATH_SIZE])
{
	char name[FILE_NAME_SIZE];

	insist(name_public_file(name, daemon->instance, model, profile));
	(void)snprintf(ret_path, SHM_PATH_SIZE, "%s/%s", SHM_DIRECTORY, name);
}
