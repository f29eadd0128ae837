/*
 * Huge pages for shared memory that is there already.
 *
 * What is added is collapsed into huge pages in the background, by a thread of
 * libuv's pool that blocks meanwhile: at most one at a time, a bounded step at
 * a time.  It is the page cache that changes: all who have the file mapped
 * profit, and none notices but by a page fault.  What the kernel refuses stays
 * as it is, in ordinary pages.
 *
 * Nothing is begun with in its first moments.  A version that is left to its
 * readers lives for an update or two, and is not worth the work.
 */
#ifndef DAEMON_IO_HUGE_H
#define DAEMON_IO_HUGE_H

#include <uv.h>

#include "proto/map.h"

#define HUGE_DELAY_MS 2000

struct huge;
struct huge_segment;

/*
 * @delay_ms: the age from which on a segment is worked at.  *ret_huge is NULL,
 * and that is no error, where huge pages have another size.
 */
int huge_new(struct huge **ret_huge, uv_loop_t *loop, uint64_t delay_ms);

/*
 * Any thread.  NULL, which is a segment too: there is nothing to do, for @huge
 * is NULL or the memory is smaller than a huge page.  @base is a multiple of
 * HUGE_PAGE_SIZE.
 */
struct huge_segment *huge_add(struct huge *huge, void *base, uint64_t size);

/*
 * Before the memory is unmapped; any thread.  May have to wait for one huge
 * page to be made: a millisecond or few.
 */
void huge_remove(struct huge_segment *segment);

/* Bytes that were found or put into huge pages so far.  Any thread. */
uint64_t huge_segment_size(const struct huge_segment *segment);

/* Whether there is nothing left to try.  Any thread. */
bool huge_is_done(struct huge *huge);

/*
 * Work at nothing more, whatever is added.  The caller runs the loop until
 * @closed is called; when all segments are removed too, huge_free().
 */
void huge_close(struct huge *huge, void (*closed)(void *arg), void *arg);
void huge_free(struct huge *huge);

#endif
