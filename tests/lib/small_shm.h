/*
 * A /dev/shm of one's own, as small as a test wants it.
 */
#ifndef TESTS_LIB_SMALL_SHM_H
#define TESTS_LIB_SMALL_SHM_H

/*
 * Mount a tmpfs of @size ("1m") on /dev/shm for this process and its children
 * alone: in a private mount namespace, and without root in a user namespace,
 * where everybody is root.  Return: 0, or a negative errno.
 */
int small_shm_mount(const char *size);

#endif
