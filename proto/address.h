/*
 * Where the daemon listens, so that nobody has to say it.
 *
 * An address is nng's: "ipc:///run/user/1000/emad.default.sock".
 */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include <stdbool.h>

#include "proto/util.h"

#define ADDRESS_SIZE     128 /* "ipc://", a path, NUL */
#define ADDRESS_PATH_MAX 107 /* sun_path less its NUL; libuv cuts silently */

/*
 * Where a daemon of @instance started by this user listens: in
 * $RUNTIME_DIRECTORY (set by systemd), else $XDG_RUNTIME_DIR, else
 * /tmp/emad-<uid>/.  False, with a sentence: the path would be too long.
 */
bool address_of_daemon(char ret_address[ADDRESS_SIZE], const char *instance,
		       struct why *why);

/*
 * Where a client looks: $EMAD_ADDRESS, else this user's daemon if its socket
 * is there, else the system's (/run/emad/<instance>.sock) if that is there,
 * else this user's.  False, with a sentence: $EMAD_ADDRESS is not one, or this
 * user's is in a folder in /tmp that others may write to, or own.
 */
bool address_of_client(char ret_address[ADDRESS_SIZE], struct why *why);

/* The path inside an ipc:// address, or NULL with a sentence. */
const char *address_path(const char *address, struct why *why);

#endif
