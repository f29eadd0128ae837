#include "proto/map.h"

#include <errno.h>
#include <sys/mman.h>

/* Reserve more than is needed; the rest is given back by the caller. */
static int
reserve(uint64_t size, char **ret_room)
{
	void *room = mmap(NULL, size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		return -errno;
	*ret_room = room;
	return 0;
}

static int
map_at(void *place, int fd, uint64_t size, int protection, int flags,
       void **ret_base)
{
	void *base = mmap(place, size, protection, MAP_SHARED | flags, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	*ret_base = base;
	return 0;
}

int
map_shared(int fd, uint64_t size, int protection, int flags, void **ret_base)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t used = u64_round_up(size, page);
	uint64_t before;
	char *room = NULL;
	int r;

	if (size < HUGE_PAGE_SIZE)
		return map_at(NULL, fd, size, protection, flags, ret_base);
	r = reserve(used + HUGE_PAGE_SIZE, &room);
	if (r < 0)
		return r;
	before = -(uintptr_t)room % HUGE_PAGE_SIZE;
	r = map_at(room + before, fd, size, protection, MAP_FIXED | flags,
		   ret_base);
	if (r < 0) {
		map_remove(room, used + HUGE_PAGE_SIZE);
		return r;
	}
	map_remove(room, before);
	map_remove(room + before + used, HUGE_PAGE_SIZE - before);
	return 0;
}

void
map_remove(void *base, uint64_t size)
{
	if (size > 0)
		must(munmap(base, size) == 0);
}
