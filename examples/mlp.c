#include "examples/mlp.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_HIDDEN_1 256
#define N_HIDDEN_2 128
#define N_WIDEST   256

const struct mlp_tensor mlp_tensors[MLP_N_TENSORS] = {
	{ "fc1.weight",
	  2,
	  { N_HIDDEN_1, MLP_N_INPUTS },
	  N_HIDDEN_1 *MLP_N_INPUTS },
	{ "fc1.bias", 1, { N_HIDDEN_1 }, N_HIDDEN_1 },
	{ "fc2.weight", 2, { N_HIDDEN_2, N_HIDDEN_1 }, N_HIDDEN_2 *N_HIDDEN_1 },
	{ "fc2.bias", 1, { N_HIDDEN_2 }, N_HIDDEN_2 },
	{ "fc3.weight",
	  2,
	  { MLP_N_OUTPUTS, N_HIDDEN_2 },
	  MLP_N_OUTPUTS *N_HIDDEN_2 },
	{ "fc3.bias", 1, { MLP_N_OUTPUTS }, MLP_N_OUTPUTS },
};

/* One value of every image. */
struct row {
	float at[MLP_BATCH];
};

struct mlp {
	float *parameters[MLP_N_TENSORS];
	struct row inputs[MLP_N_LAYERS][N_WIDEST];
	struct row outputs[MLP_N_OUTPUTS];
	/* The loss's slope at a layer's outputs and inputs, by turns. */
	struct row slopes[2][N_WIDEST];
};

static size_t
layer_n_inputs(size_t layer)
{
	return mlp_tensors[2 * layer].shape[1];
}

static size_t
layer_n_outputs(size_t layer)
{
	return mlp_tensors[2 * layer].shape[0];
}

static void *
allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL) {
		fputs("mlp: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

struct mlp *
mlp_new(struct rng *rng)
{
	struct mlp *mlp = allocate(sizeof *mlp);

	for (size_t t = 0; t < MLP_N_TENSORS; t++) {
		size_t n = mlp_tensors[t].n_elements;
		/* He's initialisation: variance 2 / inputs; biases are 0. */
		float range =
			t % 2 == 0 ? sqrtf(6.0f / (float)layer_n_inputs(t / 2))
				   : 0.0f;

		mlp->parameters[t] = allocate(n * sizeof(float));
		for (size_t i = 0; i < n; i++)
			mlp->parameters[t][i] =
				range * (2.0f * rng_uniform(rng) - 1.0f);
	}
	return mlp;
}

void
mlp_free(struct mlp *mlp)
{
	if (mlp == NULL)
		return;
	for (size_t t = 0; t < MLP_N_TENSORS; t++)
		free(mlp->parameters[t]);
	free(mlp);
}

const float *const *
mlp_parameters(const struct mlp *mlp)
{
	return (const float *const *)mlp->parameters;
}

static void
forward(const float *const *parameters, size_t layer, const struct row *inputs,
	struct row *ret_outputs)
{
	size_t n_inputs = layer_n_inputs(layer);
	const float *weight = parameters[2 * layer];
	const float *bias = parameters[2 * layer + 1];

	for (size_t o = 0; o < layer_n_outputs(layer); o++) {
		struct row sum;

		for (size_t b = 0; b < MLP_BATCH; b++)
			sum.at[b] = bias[o];
		for (size_t i = 0; i < n_inputs; i++)
			for (size_t b = 0; b < MLP_BATCH; b++)
				sum.at[b] += weight[o * n_inputs + i] *
					     inputs[i].at[b];
		ret_outputs[o] = sum;
	}
}

static void
relu(struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t b = 0; b < MLP_BATCH; b++)
			if (rows[i].at[b] < 0.0f)
				rows[i].at[b] = 0.0f;
}

/* Softmax in place; then the loss's slope.  Returns the mean loss. */
static float
softmax_loss(struct row *rows, const uint8_t *labels)
{
	float loss = 0.0f;

	for (size_t b = 0; b < MLP_BATCH; b++) {
		float most = rows[0].at[b];
		float sum = 0.0f;

		for (size_t o = 1; o < MLP_N_OUTPUTS; o++)
			most = fmaxf(most, rows[o].at[b]);
		for (size_t o = 0; o < MLP_N_OUTPUTS; o++) {
			rows[o].at[b] = expf(rows[o].at[b] - most);
			sum += rows[o].at[b];
		}
		for (size_t o = 0; o < MLP_N_OUTPUTS; o++)
			rows[o].at[b] /= sum;
		loss -= logf(fmaxf(rows[labels[b]].at[b], 1e-30f));
		rows[labels[b]].at[b] -= 1.0f;
	}
	return loss / MLP_BATCH;
}

/*
 * Given the loss's slope at the outputs, find it at the inputs and take one
 * step down in the parameters.
 */
static void
backward(struct mlp *mlp, size_t layer, const struct row *slopes,
	 struct row *ret_slopes, float rate)
{
	size_t n_inputs = layer_n_inputs(layer);
	const struct row *inputs = mlp->inputs[layer];
	float *weight = mlp->parameters[2 * layer];
	float *bias = mlp->parameters[2 * layer + 1];

	rate /= MLP_BATCH;
	memset(ret_slopes, 0, n_inputs * sizeof *ret_slopes);
	for (size_t o = 0; o < layer_n_outputs(layer); o++) {
		for (size_t i = 0; i < n_inputs; i++) {
			float *w = &weight[o * n_inputs + i];
			float sum = 0.0f;

			for (size_t b = 0; b < MLP_BATCH; b++) {
				ret_slopes[i].at[b] += *w * slopes[o].at[b];
				sum += slopes[o].at[b] * inputs[i].at[b];
			}
			*w -= rate * sum;
		}
		for (size_t b = 0; b < MLP_BATCH; b++)
			bias[o] -= rate * slopes[o].at[b];
	}
}

/* A value that ReLU silenced has no say in the loss. */
static void
silence(struct row *slopes, const struct row *inputs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t b = 0; b < MLP_BATCH; b++)
			if (inputs[i].at[b] == 0.0f)
				slopes[i].at[b] = 0.0f;
}

float
mlp_train(struct mlp *mlp, const struct mlp_batch *batch, float rate)
{
	float loss;

	memcpy(mlp->inputs[0], batch->pixels, sizeof batch->pixels);
	for (size_t l = 0; l < MLP_N_LAYERS; l++) {
		bool last = l == MLP_N_LAYERS - 1;
		struct row *outputs = last ? mlp->outputs : mlp->inputs[l + 1];

		forward(mlp_parameters(mlp), l, mlp->inputs[l], outputs);
		if (!last)
			relu(outputs, layer_n_outputs(l));
	}

	loss = softmax_loss(mlp->outputs, batch->labels);
	memcpy(mlp->slopes[0], mlp->outputs, sizeof mlp->outputs);
	for (size_t l = MLP_N_LAYERS; l-- > 0;) {
		size_t from = (MLP_N_LAYERS - 1 - l) % 2;
		struct row *slopes = mlp->slopes[1 - from];

		backward(mlp, l, mlp->slopes[from], slopes, rate);
		silence(slopes, mlp->inputs[l], layer_n_inputs(l));
	}
	return loss;
}

unsigned int
mlp_count_right(const float *const parameters[MLP_N_TENSORS],
		const struct mlp_batch *batch)
{
	struct row rows[2][N_WIDEST];
	struct row *outputs = rows[0];
	unsigned int right = 0;

	memcpy(rows[0], batch->pixels, sizeof batch->pixels);
	for (size_t l = 0; l < MLP_N_LAYERS; l++) {
		outputs = rows[(l + 1) % 2];
		forward(parameters, l, rows[l % 2], outputs);
		if (l < MLP_N_LAYERS - 1)
			relu(outputs, layer_n_outputs(l));
	}

	for (size_t b = 0; b < MLP_BATCH; b++) {
		size_t best = 0;

		for (size_t o = 1; o < MLP_N_OUTPUTS; o++)
			if (outputs[o].at[b] > outputs[best].at[b])
				best = o;
		right += best == batch->labels[b];
	}
	return right;
}
