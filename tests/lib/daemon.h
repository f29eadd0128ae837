/*
 * A daemon of this build tree, under the eyes of a test.
 */
#ifndef TESTS_LIB_DAEMON_H
#define TESTS_LIB_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/address.h"
#include "proto/name.h"

#define SHM_PATH_SIZE (sizeof SHM_DIRECTORY + 1 + FILE_NAME_SIZE)

struct daemon {
	char instance[48];
	char address[ADDRESS_SIZE];
	char log[128];      /* file with all that it wrote to stderr */
	pid_t pid;          /* 0: it does not run */
	const char *option; /* one more for its command line, or NULL */
};

/* Choose an instance and an address that nobody else has; start nothing. */
void daemon_init(struct daemon *ret_daemon);

/* Start it and wait until it listens. */
void daemon_start(struct daemon *daemon);

/* The same in one, for most tests. */
void daemon_new(struct daemon *ret_daemon);

/* SIGTERM, and give up unless it exits with 0 and reported no bug. */
void daemon_stop(struct daemon *daemon);

/* SIGKILL. */
void daemon_kill(struct daemon *daemon);

/* It runs, and a new connection gets an answer. */
void daemon_check(const struct daemon *daemon);

/* The path of its socket. */
const char *daemon_socket(const struct daemon *daemon);

/* Start a daemon that will not run: what it wrote to stderr, exit code. */
int daemon_refusal(const struct daemon *daemon, char *ret_text, size_t size);

/* Descriptors and threads, and KiB of a line of /proc/<pid>/status. */
unsigned int daemon_n_descriptors(const struct daemon *daemon);
unsigned int daemon_n_threads(const struct daemon *daemon);
unsigned long daemon_memory(const struct daemon *daemon, const char *line);

/* Files of its instance in /dev/shm with @part in their name. */
unsigned int daemon_n_files(const struct daemon *daemon, const char *part);

/* The path of the public file of @model's average @profile. */
void daemon_file(const struct daemon *daemon, const char *model,
		 const char *profile, char ret_path[SHM_PATH_SIZE]);

#endif
