#include "daemon/io/map.h"

#include <errno.h>
#include <sys/mman.h>

#include "daemon/io/huge.h"

#ifndef MADV_POPULATE_WRITE /* since Linux 5.14 and glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

static int
map_at(void *place, int flags, int fd, uint64_t size, void **ret_base)
{
	void *base = mmap(place, size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | flags, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	*ret_base = base;
	return 0;
}

/* Reserve more than is needed, use what lies well, give the rest back. */
static int
map_aligned(int fd, uint64_t size, void **ret_base)
{
	uint64_t room_size = size + HUGE_PAGE_SIZE;
	char *room = mmap(NULL, room_size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t before;
	uint64_t used;
	int r;

	if (room == MAP_FAILED)
		return -errno;
	before =
		u64_round_up((uintptr_t)room, HUGE_PAGE_SIZE) - (uintptr_t)room;
	r = map_at(room + before, MAP_FIXED, fd, size, ret_base);
	if (r < 0) {
		map_remove(room, room_size);
		return r;
	}
	used = before + u64_round_up(size, page);
	map_remove(room, before);
	map_remove(room + used, u64_round_up(room_size, page) - used);
	return 0;
}

int
map_file(int fd, uint64_t size, void **ret_base)
{
	if (size < HUGE_PAGE_SIZE)
		return map_at(NULL, 0, fd, size, ret_base);
	return map_aligned(fd, size, ret_base);
}

void
map_remove(void *base, uint64_t size)
{
	if (size > 0)
		must(munmap(base, size) == 0);
}

/* For kernels that cannot be asked to. */
static void
touch_pages(void *base, uint64_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *bytes = base;

	for (uint64_t at = 0; at < size; at += page)
		bytes[at] = 0;
}

int
map_populate(void *base, uint64_t size)
{
	if (madvise(base, size, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	touch_pages(base, size);
	return 0;
}
