/*
 * A multilayer perceptron, 64-256-128-10, with ReLU and softmax, trained
 * by plain stochastic gradient descent.
 *
 * It knows nothing of emad: it stands for whatever trains your models.  Its
 * tensors have the names and shapes that torch gives to a stack of nn.Linear:
 * weight [outputs, inputs] and bias [outputs].
 */
#ifndef EXAMPLES_MLP_H
#define EXAMPLES_MLP_H

#include <stddef.h>
#include <stdint.h>

#include "examples/rng.h"

#define MLP_BATCH     8 /* images that one call handles */
#define MLP_N_INPUTS  64
#define MLP_N_OUTPUTS 10
#define MLP_N_LAYERS  3
#define MLP_N_TENSORS (2 * MLP_N_LAYERS)

/* What a tensor is called and how large it is. */
struct mlp_tensor {
	const char *name;
	size_t n_dims;
	uint64_t shape[2];
	size_t n_elements;
};

extern const struct mlp_tensor mlp_tensors[MLP_N_TENSORS];

/* One batch: pixels and activations lie feature by feature, then by image. */
struct mlp_batch {
	float pixels[MLP_N_INPUTS][MLP_BATCH]; /* 0 to 1 */
	uint8_t labels[MLP_BATCH];
};

struct mlp;

/* Random parameters.  Never NULL: ends the program if memory is short. */
struct mlp *mlp_new(struct rng *rng);
void mlp_free(struct mlp *mlp);

/* Where the parameters are, in the order of mlp_tensors. */
const float *const *mlp_parameters(const struct mlp *mlp);

/* One step of gradient descent.  Returns the mean loss of the batch. */
float mlp_train(struct mlp *mlp, const struct mlp_batch *batch, float rate);

/*
 * How many images of @batch a network with these parameters gets right.  The
 * parameters may lie anywhere, in a mapped file for instance.
 */
unsigned int mlp_count_right(const float *const parameters[MLP_N_TENSORS],
			     const struct mlp_batch *batch);

#endif
