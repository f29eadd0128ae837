/*
 * A curve in the terminal: braille dots where the locale is UTF-8, else
 * asterisks.
 *
 * The curve is the effective window on a logarithmic axis, so that one line
 * reads as the decay (left labels) and as the window (right labels).
 */
#ifndef CLIENT_EMACTL_PLOT_H
#define CLIENT_EMACTL_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plot {
	unsigned int width; /* characters, labels and all */
	bool is_utf8;
	bool is_log; /* the axis of steps */
	int64_t from;
	int64_t to;
};

/* How many windows plot_print() takes: one for each column of dots. */
size_t plot_columns(const struct plot *plot);

/* @windows: at least 1, may be infinite.  To standard output. */
void plot_print(const struct plot *plot, const double *windows);

#endif
