# Unit tests of daemon/io, of the list, and of proto/map.

# The calls that tests/lib/fault.c lets fail.
fault_ldflags = $(AM_LDFLAGS) \
	-Wl,--wrap=shm_open,--wrap=open,--wrap=fcntl \
	-Wl,--wrap=fchmod,--wrap=fchown,--wrap=fstat,--wrap=lstat \
	-Wl,--wrap=posix_fallocate,--wrap=ftruncate \
	-Wl,--wrap=mmap,--wrap=madvise \
	-Wl,--wrap=renameat2,--wrap=unlink,--wrap=flock

unit_tests += tests/unit/check_shm
tests_unit_check_shm_SOURCES = tests/unit/check_shm.c \
	tests/lib/fault.c tests/lib/fault.h \
	tests/lib/small_shm.c tests/lib/small_shm.h
tests_unit_check_shm_CFLAGS = $(unit_cflags)
tests_unit_check_shm_LDFLAGS = $(fault_ldflags)
tests_unit_check_shm_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_shm_names
tests_unit_check_shm_names_SOURCES = tests/unit/check_shm_names.c \
	tests/lib/fault.c tests/lib/fault.h
tests_unit_check_shm_names_CFLAGS = $(unit_cflags)
tests_unit_check_shm_names_LDFLAGS = $(fault_ldflags)
tests_unit_check_shm_names_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_map
tests_unit_check_map_SOURCES = tests/unit/check_map.c \
	tests/lib/fault.c tests/lib/fault.h
tests_unit_check_map_CFLAGS = $(unit_cflags)
tests_unit_check_map_LDFLAGS = $(fault_ldflags)
tests_unit_check_map_LDADD = proto/libproto.la $(unit_libs)

unit_tests += tests/unit/check_huge
tests_unit_check_huge_SOURCES = tests/unit/check_huge.c \
	tests/lib/fault.c tests/lib/fault.h tests/lib/turn.h
tests_unit_check_huge_CFLAGS = $(unit_cflags)
tests_unit_check_huge_LDFLAGS = $(fault_ldflags)
tests_unit_check_huge_LDADD = daemon/libio.la $(unit_libs) $(UV_LIBS)

unit_tests += tests/unit/check_numa
tests_unit_check_numa_SOURCES = tests/unit/check_numa.c tests/lib/turn.h
tests_unit_check_numa_CFLAGS = $(unit_cflags)
tests_unit_check_numa_LDADD = daemon/libio.la $(unit_libs) $(UV_LIBS)

unit_tests += tests/unit/check_shm_lease
tests_unit_check_shm_lease_SOURCES = tests/unit/check_shm_lease.c
tests_unit_check_shm_lease_CFLAGS = $(unit_cflags)
tests_unit_check_shm_lease_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_lock
tests_unit_check_lock_SOURCES = tests/unit/check_lock.c \
	tests/lib/fault.c tests/lib/fault.h
tests_unit_check_lock_CFLAGS = $(unit_cflags)
tests_unit_check_lock_LDFLAGS = $(fault_ldflags)
tests_unit_check_lock_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_guard
tests_unit_check_guard_SOURCES = tests/unit/check_guard.c
tests_unit_check_guard_CFLAGS = $(unit_cflags)
tests_unit_check_guard_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_parts
tests_unit_check_parts_SOURCES = tests/unit/check_parts.c
tests_unit_check_parts_CFLAGS = $(unit_cflags)
tests_unit_check_parts_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_pool
tests_unit_check_pool_SOURCES = tests/unit/check_pool.c tests/lib/turn.h
tests_unit_check_pool_CFLAGS = $(unit_cflags)
tests_unit_check_pool_LDADD = daemon/libio.la $(unit_libs) $(UV_LIBS)

unit_tests += tests/unit/check_pool_workers
tests_unit_check_pool_workers_SOURCES = tests/unit/check_pool_workers.c \
	tests/lib/turn.h
tests_unit_check_pool_workers_CFLAGS = $(unit_cflags)
tests_unit_check_pool_workers_LDADD = daemon/libio.la $(unit_libs) $(UV_LIBS)

unit_tests += tests/unit/check_list
tests_unit_check_list_SOURCES = tests/unit/check_list.c
tests_unit_check_list_CFLAGS = $(unit_cflags)
tests_unit_check_list_LDADD = proto/libproto.la $(unit_libs)

unit_tests += tests/unit/check_log
tests_unit_check_log_SOURCES = tests/unit/check_log.c
tests_unit_check_log_CFLAGS = $(unit_cflags)
tests_unit_check_log_LDADD = daemon/libio.la $(unit_libs)
