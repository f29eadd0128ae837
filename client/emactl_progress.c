#include "client/emactl_progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/emactl_output.h"

#define NS_PER_S      INT64_C(1000000000)
#define APPEARS_AFTER NS_PER_S
#define DRAWN_EVERY   (NS_PER_S / 10)
#define BAR_MAX       40

static int64_t
now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void
progress_start(struct progress *ret_progress, const struct emactl *ctl,
	       const char *label, uint64_t total)
{
	*ret_progress = (struct progress) {
		.label = label,
		.total = total,
		.start_ns = now_ns(),
		.is_shown = !ctl->json && isatty(STDERR_FILENO),
	};
}

double
progress_seconds(const struct progress *progress)
{
	return (double)(now_ns() - progress->start_ns) / (double)NS_PER_S;
}

static void
draw(const struct progress *progress, uint64_t done)
{
	double share =
		progress->total ? (double)done / (double)progress->total : 1;
	double rate = (double)done / progress_seconds(progress);
	unsigned int columns = output_width(STDERR_FILENO);
	char bar[BAR_MAX + 1];
	char rate_text[TEXT_SIZE];
	char left_text[TEXT_SIZE];
	char line[512];
	int width = (int)columns - (int)strlen(progress->label) - 45;
	int filled;

	width = width > BAR_MAX ? BAR_MAX : width < 4 ? 4 : width;
	filled = (int)(share * width);
	memset(bar, '.', (size_t)width);
	memset(bar, '#', (size_t)filled);
	bar[width] = '\0';
	(void)output_size(rate_text, (uint64_t)rate);
	(void)output_duration(left_text,
			      rate > 0 ? (double)(progress->total - done) / rate
				       : 0);
	(void)snprintf(line, sizeof line, "%s [%s] %3d%%  %s/s  %s left",
		       progress->label, bar, (int)(share * 100), rate_text,
		       left_text);
	/* A line that wraps could not be taken back. */
	(void)fprintf(stderr, "\r\033[K%.*s", (int)columns - 1, line);
	(void)fflush(stderr);
}

void
progress_update(struct progress *progress, uint64_t done)
{
	int64_t now;

	if (!progress->is_shown)
		return;
	now = now_ns();
	if (now - progress->start_ns < APPEARS_AFTER ||
	    now - progress->drawn_ns < DRAWN_EVERY)
		return;
	progress->drawn_ns = now;
	draw(progress, done);
}

void
progress_end(struct progress *progress)
{
	if (progress->drawn_ns)
		(void)fputs("\r\033[K", stderr);
	progress->drawn_ns = 0;
}
