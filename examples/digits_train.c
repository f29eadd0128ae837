/*
 * A trainer.  What a training program needs to add in order to have its
 * parameters averaged is attach, one publish per step, and detach.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "examples/digits.h"
#include "examples/digits_reference.h"

/* High on purpose: the parameters keep jumping, the average does not. */
#define LEARNING_RATE 0.2f

struct trainer {
	struct rng rng;
	struct mlp *mlp;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_tensor tensors[MLP_N_TENSORS];
	struct reference *reference; /* with --verify */
	double seconds;              /* of the whole training */
	double publish_seconds;      /* of these, inside emad_publish() */
};

static double
now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Names, types, shapes, and where the parameters are. */
static void
describe_tensors(struct trainer *trainer)
{
	for (size_t t = 0; t < MLP_N_TENSORS; t++)
		trainer->tensors[t] = (struct emad_tensor) {
			.name = mlp_tensors[t].name,
			.dtype = "F32",
			.n_dims = mlp_tensors[t].n_dims,
			.shape = mlp_tensors[t].shape,
			.data = mlp_parameters(trainer->mlp)[t],
		};
}

static int
attach(struct trainer *trainer, const struct emad_profile *profiles,
       size_t n_profiles)
{
	struct emad_options options = {
		.profiles = profiles,
		.n_profiles = n_profiles,
	};
	int64_t last_step;

	if (emad_connect(&trainer->emad, NULL, -1) != EMAD_OK)
		return digits_failed("connect");
	if (emad_attach(&trainer->publisher, trainer->emad, DIGITS_MODEL,
			trainer->tensors, MLP_N_TENSORS, &options) != EMAD_OK)
		return digits_failed("attach");

	/* A trainer that keeps checkpoints would go on from here. */
	last_step = emad_last_step(trainer->publisher);
	if (last_step >= 0) {
		fprintf(stderr,
			"digits: an earlier training reached step %" PRId64
			"; forget it with: emactl drop " DIGITS_MODEL "\n",
			last_step);
		return 1;
	}
	return 0;
}

static int
train_step(struct trainer *trainer, const struct digits *digits, int64_t step)
{
	struct mlp_batch batch;
	double begin;

	digits_draw_batch(digits, &trainer->rng, &batch);
	(void)mlp_train(trainer->mlp, &batch, LEARNING_RATE);

	/* Copies the parameters and returns; the averaging goes on there. */
	begin = now();
	if (emad_publish(trainer->publisher, step, trainer->tensors) != EMAD_OK)
		return digits_failed("publish");
	trainer->publish_seconds += now() - begin;

	if (trainer->reference != NULL)
		reference_absorb(trainer->reference, step,
				 mlp_parameters(trainer->mlp));
	return 0;
}

static int
train(struct trainer *trainer, const struct digits *digits, int64_t n_steps)
{
	double begin = now();

	for (int64_t step = 0; step < n_steps; step++)
		if (train_step(trainer, digits, step) != 0)
			return 1;
	/* From here on all of it is in the averages. */
	if (emad_flush(trainer->publisher) != EMAD_OK)
		return digits_failed("flush");
	trainer->seconds = now() - begin;
	return 0;
}

static void
report(const struct trainer *trainer)
{
	struct emad_counts counts;

	emad_get_counts(trainer->publisher, &counts);
	printf("%" PRIu64 " snapshots published, %" PRIu64
	       " absorbed, in %.1f s of training;\n"
	       "emad_publish() took %.0f us on average, %.0f %% of a step\n",
	       counts.published, counts.absorbed, trainer->seconds,
	       1e6 * trainer->publish_seconds / (double)counts.published,
	       100.0 * trainer->publish_seconds / trainer->seconds);
}

int
digits_train(const struct digits *digits, const struct digits_options *options)
{
	struct trainer trainer = { .rng = { .state = 1 } };
	struct emad_profile profiles[2];
	int code;

	/* ema_pytorch's schedule, but at every step and with beta 0.999. */
	profiles[0] = emad_profile_default(NULL);
	profiles[0].name = "ema";
	profiles[0].beta = 0.999;
	profiles[0].update_every = 1;
	/* No weight for what was: the newest parameters. */
	profiles[1] = emad_profile_default("constant");
	profiles[1].name = "raw";
	profiles[1].beta = 0.0;

	trainer.mlp = mlp_new(&trainer.rng);
	describe_tensors(&trainer);

	code = attach(&trainer, profiles, 2);
	if (code == 0 && options->verify) {
		trainer.reference = reference_new(&profiles[0]);
		code = trainer.reference == NULL;
	}
	if (code == 0)
		code = train(&trainer, digits, options->n_steps);
	if (code == 0)
		report(&trainer);
	if (code == 0 && options->verify)
		code = reference_check(trainer.reference, trainer.emad,
				       mlp_parameters(trainer.mlp));

	if (emad_detach(trainer.publisher) != EMAD_OK && code == 0)
		code = digits_failed("detach");
	emad_close(trainer.emad);
	reference_free(trainer.reference);
	mlp_free(trainer.mlp);
	return code;
}
