#include "daemon/io/huge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "daemon/list.h"

#ifndef MADV_COLLAPSE /* since Linux 6.1 and glibc 2.37 */
#define MADV_COLLAPSE 25
#endif

#define PAGES_PER_STEP 16 /* then libuv's pool gets its thread back */
#define TRIES          2  /* for a page that somebody is busy with */
#define SIZE_FILE      "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"

struct huge {
	/* The loop thread's. */
	uv_async_t wakeup;
	uv_timer_t timer;
	uv_work_t work;
	bool is_working;
	unsigned int n_handles; /* that are open */
	void (*closed)(void *arg);
	void *closed_arg;

	/* Fixed. */
	uint64_t delay_ns;

	/* Everybody's, under the lock. */
	uv_mutex_t lock;
	uv_cond_t has_paused;
	struct list waiting;       /* segments, the oldest first */
	struct huge_segment *busy; /* a page of it is being made */
	bool is_closing;
};

struct huge_segment {
	struct list entry;
	struct huge *huge;
	char *base;
	uint64_t size; /* of whole huge pages */
	uint64_t next; /* offset of the page to be tried */
	int n_tries;   /* at that page */
	uint64_t due_ns;
	_Atomic uint64_t collapsed;
};

/* 0: the kernel does not say, so it has none. */
static uint64_t
kernel_page_size(void)
{
	owned_fd fd = open(SIZE_FILE, O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		return 0;
	return strtoull(text, NULL, 10);
}

/* Under the lock, after the page at ->next was tried. */
static void
go_on(struct huge_segment *segment, int error)
{
	if (error == EAGAIN && ++segment->n_tries < TRIES)
		return;
	if (error == 0)
		atomic_fetch_add(&segment->collapsed, HUGE_PAGE_SIZE);
	segment->n_tries = 0;
	segment->next += HUGE_PAGE_SIZE;
	/* EAGAIN, EBUSY: this page.  Else: none will do, or not now. */
	if (segment->next == segment->size ||
	    (error != 0 && error != EAGAIN && error != EBUSY))
		list_remove(&segment->entry);
}

/* Under the lock, which is let go meanwhile.  False: nothing is to be done. */
static bool
make_page(struct huge *huge)
{
	struct huge_segment *segment;
	int error = 0;

	if (huge->is_closing || list_is_empty(&huge->waiting))
		return false;
	segment = list_first(&huge->waiting, struct huge_segment, entry);
	if (segment->due_ns > uv_hrtime())
		return false;
	huge->busy = segment;
	uv_mutex_unlock(&huge->lock);
	if (madvise(segment->base + segment->next, HUGE_PAGE_SIZE,
		    MADV_COLLAPSE) < 0)
		error = errno;
	uv_mutex_lock(&huge->lock);
	huge->busy = NULL;
	go_on(segment, error);
	uv_cond_broadcast(&huge->has_paused);
	return true;
}

static void
on_work(uv_work_t *work)
{
	struct huge *huge = container_of(work, struct huge, work);

	uv_mutex_lock(&huge->lock);
	for (int n = 0; n < PAGES_PER_STEP && make_page(huge); n++)
		continue;
	uv_mutex_unlock(&huge->lock);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct huge *huge = handle->data;

	if (--huge->n_handles == 0)
		huge->closed(huge->closed_arg);
}

static void
close_handles(struct huge *huge)
{
	uv_close((uv_handle_t *)&huge->wakeup, on_handle_closed);
	uv_close((uv_handle_t *)&huge->timer, on_handle_closed);
}

/* Whether something waits, and for how long still. */
static bool
next_due(struct huge *huge, uint64_t *ret_ns)
{
	uint64_t now = uv_hrtime();
	bool any;

	uv_mutex_lock(&huge->lock);
	any = !list_is_empty(&huge->waiting);
	if (any) {
		const struct huge_segment *first =
			list_first(&huge->waiting, struct huge_segment, entry);

		*ret_ns = first->due_ns > now ? first->due_ns - now : 0;
	}
	uv_mutex_unlock(&huge->lock);
	return any;
}

static void on_worked(uv_work_t *work, int unused);
static void on_timer(uv_timer_t *timer);

static void
work_or_wait(struct huge *huge)
{
	uint64_t wait_ns;

	if (huge->is_working || !next_due(huge, &wait_ns))
		return;
	if (wait_ns > 0) {
		must(uv_timer_start(&huge->timer, on_timer,
				    wait_ns / 1000000 + 1, 0) == 0);
		return;
	}
	huge->is_working = true;
	must(uv_queue_work(huge->wakeup.loop, &huge->work, on_work,
			   on_worked) == 0);
}

static void
on_timer(uv_timer_t *timer)
{
	work_or_wait(container_of(timer, struct huge, timer));
}

static void
on_wakeup(uv_async_t *wakeup)
{
	work_or_wait(container_of(wakeup, struct huge, wakeup));
}

static void
on_worked(uv_work_t *work, int unused)
{
	struct huge *huge = container_of(work, struct huge, work);

	(void)unused;
	huge->is_working = false;
	if (huge->is_closing)
		close_handles(huge);
	else
		work_or_wait(huge);
}

int
huge_new(struct huge **ret_huge, uv_loop_t *loop, uint64_t delay_ms)
{
	struct huge *huge;
	int r;

	*ret_huge = NULL;
	if (kernel_page_size() != HUGE_PAGE_SIZE)
		return 0;
	huge = xcalloc(1, sizeof *huge);
	huge->delay_ns = delay_ms * 1000000;
	list_init(&huge->waiting);
	r = uv_async_init(loop, &huge->wakeup, on_wakeup);
	if (r < 0) {
		free(huge);
		return r;
	}
	must(uv_timer_init(loop, &huge->timer) == 0);
	huge->n_handles = 2;
	huge->wakeup.data = huge;
	huge->timer.data = huge;
	must(uv_mutex_init(&huge->lock) == 0);
	must(uv_cond_init(&huge->has_paused) == 0);
	*ret_huge = huge;
	return 0;
}

struct huge_segment *
huge_add(struct huge *huge, void *base, uint64_t size)
{
	struct huge_segment *segment;

	if (!huge || size < HUGE_PAGE_SIZE)
		return NULL;
	must((uintptr_t)base % HUGE_PAGE_SIZE == 0);
	segment = xcalloc(1, sizeof *segment);
	segment->huge = huge;
	segment->base = base;
	segment->size = size - size % HUGE_PAGE_SIZE;
	segment->due_ns = uv_hrtime() + huge->delay_ns;
	list_init(&segment->entry);
	uv_mutex_lock(&huge->lock);
	if (!huge->is_closing) {
		list_append(&huge->waiting, &segment->entry);
		must(uv_async_send(&huge->wakeup) == 0);
	}
	uv_mutex_unlock(&huge->lock);
	return segment;
}

void
huge_remove(struct huge_segment *segment)
{
	struct huge *huge;

	if (!segment)
		return;
	huge = segment->huge;
	uv_mutex_lock(&huge->lock);
	list_remove(&segment->entry);
	while (huge->busy == segment)
		uv_cond_wait(&huge->has_paused, &huge->lock);
	uv_mutex_unlock(&huge->lock);
	free(segment);
}

uint64_t
huge_segment_size(const struct huge_segment *segment)
{
	return segment ? atomic_load(&segment->collapsed) : 0;
}

bool
huge_is_done(struct huge *huge)
{
	bool done;

	uv_mutex_lock(&huge->lock);
	done = !huge->busy && list_is_empty(&huge->waiting);
	uv_mutex_unlock(&huge->lock);
	return done;
}

void
huge_close(struct huge *huge, void (*closed)(void *arg), void *arg)
{
	huge->closed = closed;
	huge->closed_arg = arg;
	uv_mutex_lock(&huge->lock);
	must(!huge->is_closing);
	huge->is_closing = true;
	uv_mutex_unlock(&huge->lock);
	if (!huge->is_working)
		close_handles(huge);
}

void
huge_free(struct huge *huge)
{
	if (!huge)
		return;
	must(!huge->busy);
	uv_cond_destroy(&huge->has_paused);
	uv_mutex_destroy(&huge->lock);
	free(huge);
}
