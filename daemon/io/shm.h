/*
 * Segments of POSIX shared memory: files in /dev/shm.
 *
 * Names are files' names without the directory (proto/name.h).  All memory is
 * reserved and touched when a segment is made, so that a full /dev/shm is an
 * error here and never a SIGBUS later.  Failures are not logged: what they mean
 * to a client is for the caller to say.
 *
 * Any thread, one at a time per segment.
 */
#ifndef DAEMON_IO_SHM_H
#define DAEMON_IO_SHM_H

#include <sys/types.h>

#include "proto/name.h"
#include "proto/util.h"

struct huge;
struct huge_segment;
struct numa_placement;

struct shm {
	char name[FILE_NAME_SIZE];
	int fd;        /* -1: none */
	void *base;    /* mapped read-write, shared; NULL: none */
	uint64_t size; /* bytes, exactly the file's */
	dev_t device;
	ino_t inode;
	struct huge_segment *huge; /* its way into huge pages; NULL: none */
};

#define SHM_NONE ((struct shm) { .fd = -1 })

/*
 * Create segment @name of @size > 0 bytes, zeroed, with @mode whatever the
 * umask says, and map it.  -EEXIST: the name is taken (by whatever it may be);
 * -ENOSPC: /dev/shm is too full; -EFBIG: above what a file can be.
 * @ret_shm is written on success only; nothing is left behind on failure.
 */
int
shm_create(struct shm *ret_shm, const char *name, uint64_t size, mode_t mode);

/* The same; its memory lies where @placement (daemon/io/numa.h) says. */
int shm_create_placed(struct shm *ret_shm, const char *name, uint64_t size,
		      mode_t mode, const struct numa_placement *placement);

/*
 * Open and map what has @name now.  -ENOENT; -EPERM: not a regular file with
 * one link that this user owns, or its size is 0.
 */
int shm_adopt(struct shm *ret_shm, const char *name);

/* Unmap and close.  The name, if any, stays.  *shm is SHM_NONE afterwards. */
void shm_close(struct shm *shm);

/*
 * Have @shm put into huge pages in the background (daemon/io/huge.h), once.
 * Nothing happens if @huge is NULL.
 */
void shm_collapse(struct shm *shm, struct huge *huge);

/* Bytes that are in huge pages by that. */
uint64_t shm_huge_size(const struct shm *shm);

/* Unlink @shm's name if that still is this very file; 0 also if it is not. */
int shm_unlink_name(struct shm *shm);

/*
 * Make the file another user's.  Without the privilege for that: of mode
 * @shared, and of group @gid if this user may give it to that group, else of
 * the group that it has.
 */
int shm_give_to(const struct shm *shm, uid_t uid, gid_t gid, mode_t shared);

/*
 * Take a write lease: granted only while no other process has the file open or
 * mapped.  While it is held, another's open() waits; it also has SIGIO sent to
 * this process, which must be ignored.  -EAGAIN: it has readers; -EINVAL or
 * other: no leases here.
 */
int shm_lease(const struct shm *shm);
void shm_unlease(const struct shm *shm);

/*
 * Give the hidden segment the public name @name, which must be free:
 * -EEXIST when it is not.
 */
int shm_reveal(struct shm *hidden, const char *name);

/*
 * Exchange the names of @next (hidden) and @current (public) atomically; the
 * names in the two structs change with them.  -ESTALE: a name is not the file
 * that it should be (somebody renamed or removed it); nothing was exchanged.
 */
int shm_swap(struct shm *next, struct shm *current);

/* Whether the name @shm carries still is this file, with the size it had. */
bool shm_is_intact(const struct shm *shm);

/* Bytes of all segments that are mapped now.  Any thread. */
uint64_t shm_held(void);

/* Bytes free to this user and bytes in all, of /dev/shm. */
int shm_space(uint64_t *ret_free, uint64_t *ret_total);

/*
 * Call @each with every name that begins with @prefix; the names are collected
 * first, so @each may create and remove.
 */
int shm_each(const char *prefix, void (*each)(const char *name, void *arg),
	     void *arg);

/*
 * Remove @name if it is a regular file or link that this user owns (root: that
 * anybody owns), else -EPERM.  0 also if there is none.
 */
int shm_remove(const char *name);

#endif
