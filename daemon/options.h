/*
 * The command line of emad.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <sched.h>
#include <sys/types.h>

#include "daemon/log.h"
#include "proto/address.h"
#include "proto/name.h"

struct options {
	char instance[NAME_SIZE_MAX + 1];
	char address[ADDRESS_SIZE]; /* "ipc:///..." */
	bool own_address;           /* not given: the default for this user */
	mode_t mode;                /* of socket and files */
	unsigned int n_workers;     /* 0: one per CPU */
	bool has_cpus;
	cpu_set_t cpus;
	int nice;
	bool huge_pages;
	enum log_level log_level;
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE,  /* --help, --version: it is printed */
	OPTIONS_WRONG, /* the sentence is printed to stderr */
};

enum options_result
options_parse(struct options *ret_options, int argc, char **argv);

#endif
