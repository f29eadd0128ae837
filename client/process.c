/*
 * Whether this is still the process that used the library first, told without
 * a system call: from a page that the kernel empties in every child, however it
 * was made (a child of vfork(), which shares all memory, may do nothing here
 * anyway).  Where the kernel refuses such a page, process ids are compared.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/internal.h"

/* NULL: not made yet, or refused.  Never unmapped: others may be reading. */
static uint64_t *_Atomic mark;

void
process_mark(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t *none = NULL;
	uint64_t *page;

	if (atomic_load(&mark))
		return;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	if (madvise(page, size, MADV_WIPEONFORK) == 0) {
		*page = 1;
		if (atomic_compare_exchange_strong(&mark, &none, page))
			return;
	}
	(void)munmap(page, size);
}

bool
process_is_same(pid_t pid)
{
	const uint64_t *page =
		atomic_load_explicit(&mark, memory_order_acquire);

	return page ? *page != 0 : pid == getpid();
}

int
check_process(pid_t pid)
{
	return process_is_same(pid) ? EMAD_OK : fail_forked();
}
