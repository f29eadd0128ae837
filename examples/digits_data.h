/*
 * The UCI handwritten digits (data/README.md): 1,797 images of 8x8 pixels, in
 * the order of the file.  The first 1,285 are for training, the last 512 for
 * testing.
 */
#ifndef EXAMPLES_DIGITS_DATA_H
#define EXAMPLES_DIGITS_DATA_H

#include "examples/mlp.h"
#include "examples/rng.h"

#define DIGITS_N_IMAGES 1797
#define DIGITS_N_TEST   512 /* a multiple of MLP_BATCH */
#define DIGITS_N_TRAIN  (DIGITS_N_IMAGES - DIGITS_N_TEST)

struct digits {
	uint8_t pixels[DIGITS_N_IMAGES][MLP_N_INPUTS]; /* 0 to 16 */
	uint8_t labels[DIGITS_N_IMAGES];
};

/* Read @path.  NULL, with a message on stderr, if it is not that file. */
struct digits *digits_read(const char *path);

/*
 * Training images drawn by chance, each with a fifth of its pixels blank: no
 * batch comes twice, so the network never learns them by heart.
 */
void digits_draw_batch(const struct digits *digits, struct rng *rng,
		       struct mlp_batch *ret_batch);

/* The share of the test images that these parameters get right. */
double digits_accuracy(const struct digits *digits,
		       const float *const parameters[MLP_N_TENSORS]);

#endif
