/*
 * Options, server, exit code: 0 after a stop that was asked for, 1 when the
 * system said no, 2 when the command line is wrong.
 */
#include <stdio.h>

#include "daemon/options.h"
#include "daemon/server.h"

int
main(int argc, char **argv)
{
	struct options options;

	switch (options_parse(&options, argc, argv)) {
	case OPTIONS_DONE:
		return fflush(stdout) == 0 ? 0 : 1;
	case OPTIONS_WRONG:
		return 2;
	default:
		return server_run(&options) == 0 ? 0 : 1;
	}
}
