#include "examples/digits_data.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The chance that a pixel of a training image is blank. */
#define BLANK 0.2f

/* One line: 64 pixels and the digit they show. */
static bool
read_image(FILE *file, uint8_t pixels[MLP_N_INPUTS], uint8_t *ret_label)
{
	unsigned int value;

	for (size_t i = 0; i < MLP_N_INPUTS; i++) {
		if (fscanf(file, "%u,", &value) != 1 || value > 16)
			return false;
		pixels[i] = (uint8_t)value;
	}
	if (fscanf(file, "%u\n", &value) != 1 || value >= MLP_N_OUTPUTS)
		return false;
	*ret_label = (uint8_t)value;
	return true;
}

struct digits *
digits_read(const char *path)
{
	struct digits *digits = calloc(1, sizeof *digits);
	FILE *file = fopen(path, "re");
	size_t n = 0;

	if (digits == NULL || file == NULL) {
		fprintf(stderr, "digits: cannot read %s: %s\n", path,
			strerror(errno));
	} else {
		while (n < DIGITS_N_IMAGES &&
		       read_image(file, digits->pixels[n], &digits->labels[n]))
			n++;
		if (n < DIGITS_N_IMAGES)
			fprintf(stderr, "digits: %s, line %zu: not an image\n",
				path, n + 1);
	}

	if (file != NULL)
		(void)fclose(file);
	if (n < DIGITS_N_IMAGES) {
		free(digits);
		return NULL;
	}
	return digits;
}

static void
put_image(const struct digits *digits, size_t image, size_t place,
	  struct mlp_batch *batch)
{
	for (size_t i = 0; i < MLP_N_INPUTS; i++)
		batch->pixels[i][place] =
			(float)digits->pixels[image][i] / 16.0f;
	batch->labels[place] = digits->labels[image];
}

void
digits_draw_batch(const struct digits *digits, struct rng *rng,
		  struct mlp_batch *ret_batch)
{
	for (size_t place = 0; place < MLP_BATCH; place++)
		put_image(digits, rng_below(rng, DIGITS_N_TRAIN), place,
			  ret_batch);

	/* What is left grows, so that the expected sum stays the same. */
	for (size_t i = 0; i < MLP_N_INPUTS; i++)
		for (size_t place = 0; place < MLP_BATCH; place++)
			ret_batch->pixels[i][place] *=
				rng_uniform(rng) < BLANK
					? 0.0f
					: 1.0f / (1.0f - BLANK);
}

double
digits_accuracy(const struct digits *digits,
		const float *const parameters[MLP_N_TENSORS])
{
	struct mlp_batch batch;
	unsigned int right = 0;

	for (size_t first = DIGITS_N_TRAIN; first < DIGITS_N_IMAGES;
	     first += MLP_BATCH) {
		for (size_t place = 0; place < MLP_BATCH; place++)
			put_image(digits, first + place, place, &batch);
		right += mlp_count_right(parameters, &batch);
	}
	return (double)right / DIGITS_N_TEST;
}
