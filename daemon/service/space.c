#include "daemon/service/space.h"

#include <errno.h>
#include <string.h>

#include "daemon/io/shm.h"
#include "daemon/log.h"

#define MIB (1024.0 * 1024.0)

enum status
space_explain(struct why *why, int error, uint64_t needed, const char *what)
{
	uint64_t available = 0;
	uint64_t total = 0;

	if (error == -ENOSPC || error == -ENOMEM || error == -EFBIG) {
		(void)shm_space(&available, &total);
		why_set(why,
			SHM_DIRECTORY
			" is too small for %s: %.1f MiB more are "
			"needed, %.1f of %.1f MiB are free; drop a model "
			"(emactl drop) or enlarge it (mount -o "
			"remount,size=... " SHM_DIRECTORY ")",
			what, (double)needed / MIB, (double)available / MIB,
			(double)total / MIB);
		return STATUS_NO_SPACE;
	}
	if (error == -EMFILE || error == -ENFILE) {
		why_set(why,
			"the daemon has no file descriptor left for %s: "
			"raise its limit (ulimit -n)",
			what);
		return STATUS_LIMIT;
	}
	if (error == -EPERM || error == -EEXIST) {
		why_set(why,
			"the daemon cannot make %s: a file that it cannot "
			"remove has a name that it needs in " SHM_DIRECTORY
			"; its log says which: remove that",
			what);
		return STATUS_NAME_TAKEN;
	}
	(void)log_failure(error, "cannot make %s", what);
	why_set(why, "the daemon cannot make %s: %s", what, strerror(-error));
	return STATUS_INTERNAL;
}
