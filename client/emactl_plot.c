#include "client/emactl_plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/util.h"

#define LABEL_LEFT   12 /* "0.9999999 +" */
#define LABEL_RIGHT  10
#define WIDTH_LEAST  20 /* of the curve, in characters */
#define HEIGHT_LEAST 8
#define HEIGHT_MOST  20
#define PER_DECADE   4 /* lines */

/* Dots in a braille character, and in an ASCII one. */
#define BRAILLE_ACROSS 2
#define BRAILLE_DOWN   4

/* Dots of the curve: a byte each, row by row from the top. */
struct canvas {
	size_t across;
	size_t down;
	unsigned char *dots;
};

static unsigned int
curve_width(const struct plot *plot)
{
	unsigned int labels = LABEL_LEFT + LABEL_RIGHT;

	return plot->width > labels + WIDTH_LEAST ? plot->width - labels
						  : WIDTH_LEAST;
}

size_t
plot_columns(const struct plot *plot)
{
	return (size_t)curve_width(plot) * (plot->is_utf8 ? BRAILLE_ACROSS : 1);
}

/* Powers of ten that the axis shows: enough for the largest finite window. */
static unsigned int
count_decades(const double *windows, size_t n)
{
	double largest = 1;

	for (size_t i = 0; i < n; i++)
		if (isfinite(windows[i]) && windows[i] > largest)
			largest = windows[i];
	/* A window of 9999.99 is one of 10000 to the eye. */
	return (unsigned int)fmax(ceil(log10(largest) - 1e-3), 1);
}

static size_t
row_of(const struct canvas *canvas, double window, unsigned int decades)
{
	double share = log10(window) / decades;

	share = share < 1 ? share : 1;
	return canvas->down - 1 -
	       (size_t)lround(share * (double)(canvas->down - 1));
}

/* A dot for each column, and the dots between it and the one before. */
static void
draw(struct canvas *canvas, const double *windows, unsigned int decades)
{
	size_t before = row_of(canvas, windows[0], decades);

	for (size_t x = 0; x < canvas->across; x++) {
		size_t row = row_of(canvas, windows[x], decades);
		size_t from = row < before ? row : before;
		size_t to = row < before ? before : row;

		for (size_t y = from; y <= to; y++)
			canvas->dots[y * canvas->across + x] = 1;
		before = row;
	}
}

static void
print_braille(const struct canvas *canvas, size_t line, size_t column)
{
	static const unsigned char bits[BRAILLE_DOWN][BRAILLE_ACROSS] = {
		{ 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 }
	};
	unsigned int pattern = 0;

	for (size_t y = 0; y < BRAILLE_DOWN; y++)
		for (size_t x = 0; x < BRAILLE_ACROSS; x++)
			if (canvas->dots[(line * BRAILLE_DOWN + y) *
						 canvas->across +
					 column * BRAILLE_ACROSS + x])
				pattern |= bits[y][x];
	/* U+2800 + pattern, in UTF-8. */
	(void)printf("\xE2%c%c", (int)(0xA0 | pattern >> 6),
		     (int)(0x80 | (pattern & 0x3F)));
}

static void
print_line(const struct plot *plot, const struct canvas *canvas, size_t line)
{
	for (size_t column = 0; column < curve_width(plot); column++)
		if (plot->is_utf8)
			print_braille(canvas, line, column);
		else
			(void)putchar(
				canvas->dots[line * canvas->across + column]
					? '*'
					: ' ');
}

/* "0.999" for 3: the decay whose window is 10^3. */
static void
print_decay_label(unsigned int decade)
{
	char text[LABEL_LEFT];

	(void)snprintf(text, sizeof text, "%.*f", (int)decade,
		       1 - pow(10, -(double)decade));
	(void)printf("%*s ", LABEL_LEFT - 3, text);
}

static void
print_bottom(const struct plot *plot)
{
	static const char dash[] = "\xE2\x94\x80"; /* box drawings */
	char from[32];
	char to[32];
	int width = (int)curve_width(plot);
	int gap;
	const char *middle = plot->is_log ? "step (logarithmic)" : "step";

	(void)printf("%*s%s", LABEL_LEFT - 2, "",
		     plot->is_utf8 ? "\xE2\x94\x94" : "+");
	for (int i = 0; i < width; i++)
		(void)fputs(plot->is_utf8 ? dash : "-", stdout);
	(void)snprintf(from, sizeof from, "%" PRId64, plot->from);
	(void)snprintf(to, sizeof to, "%" PRId64, plot->to);
	gap = width - (int)(strlen(from) + strlen(to) + strlen(middle));
	gap = gap > 2 ? gap : 2;
	(void)printf("\n%*s%s%*s%s%*s%s\n", LABEL_LEFT - 1, "", from, gap / 2,
		     "", middle, gap - gap / 2, "", to);
}

static void
print_curve(const struct plot *plot, const struct canvas *canvas,
	    unsigned int decades, size_t height)
{
	size_t shown = decades + 1;

	(void)printf("%*s%*s\n", LABEL_LEFT - 3, "decay",
		     (int)curve_width(plot) + LABEL_RIGHT + 2,
		     "window (updates)");
	for (size_t line = 0; line < height; line++) {
		/* The decade that belongs into this line, if one does. */
		double value = (double)decades * (double)(height - 1 - line) /
			       (double)(height - 1);
		size_t decade = (size_t)lround(value);
		double size = (double)decades / (double)(height - 1);
		bool is_tick = decade < shown &&
			       fabs(value - (double)decade) <= size / 2;

		if (is_tick) {
			print_decay_label((unsigned int)decade);
			shown = decade;
		} else
			(void)printf("%*s", LABEL_LEFT - 2, "");
		(void)fputs(!plot->is_utf8 ? "|"
			    : is_tick      ? "\xE2\x94\xA4"
					   : "\xE2\x94\x82",
			    stdout);
		print_line(plot, canvas, line);
		if (is_tick)
			(void)printf(" %.0f", pow(10, (double)decade));
		(void)putchar('\n');
	}
}

void
plot_print(const struct plot *plot, const double *windows)
{
	size_t columns = plot_columns(plot);
	unsigned int decades = count_decades(windows, columns);
	size_t height = (size_t)decades * PER_DECADE + 1;
	struct canvas canvas = { .across = columns };

	height = height < HEIGHT_LEAST  ? HEIGHT_LEAST
		 : height > HEIGHT_MOST ? HEIGHT_MOST
					: height;
	canvas.down = height * (plot->is_utf8 ? BRAILLE_DOWN : 1);
	canvas.dots = xcalloc(canvas.across, canvas.down);
	draw(&canvas, windows, decades);
	print_curve(plot, &canvas, decades, height);
	print_bottom(plot);
	free(canvas.dots);
}
