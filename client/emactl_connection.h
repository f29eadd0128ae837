/*
 * Finding the daemon, or saying that there is none.
 */
#ifndef CLIENT_EMACTL_CONNECTION_H
#define CLIENT_EMACTL_CONNECTION_H

#include <sys/types.h>

#include "client/emactl.h"
#include "client/emad.h"
#include "proto/util.h"

static inline void
close_owned_emad(struct emad **emad)
{
	emad_close(*emad);
}
#define owned_emad __attribute__((cleanup(close_owned_emad))) struct emad

/*
 * Connect to the daemon.  Says at once, in a sentence, that nobody listens
 * there; the library would wait for somebody.  EXIT_DONE or printed.
 */
enum exit_code
connection_open(const struct emactl *ctl, struct emad **ret_emad);

/*
 * Whether somebody listens at @address: 0 with the listener's pid (0: not
 * known), else the errno of connect().
 */
int connection_probe(const char *address, pid_t *ret_pid);

/*
 * Split "MODEL" or "MODEL/PROFILE" (*ret_profile: NULL without one), checked.
 * *ret_model is malloc'ed and holds both.
 */
bool connection_parse_name(const struct emactl *ctl, const char *text,
			   char **ret_model, const char **ret_profile);

#endif
