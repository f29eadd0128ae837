/*
 * The whole daemon: builds its parts in one visible order, runs them, and
 * takes them down in the reverse.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/options.h"

/*
 * Serve until SIGTERM, SIGINT or a stop request.  Return: 0, or a negative
 * errno that has been logged.
 */
int server_run(const struct options *options);

#endif
