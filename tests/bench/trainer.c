#include "tests/bench/trainer.h"

#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/memory.h"
#include "tests/lib/story.h"

void
trainer_init(struct trainer *ret_trainer)
{
	*ret_trainer = (struct trainer) { .model = TRAINER_MODEL };
}

void
trainer_add(struct trainer *trainer, uint64_t n_elements)
{
	size_t i = trainer->n_tensors++;

	insist(i < TRAINER_TENSORS_MAX);
	(void)snprintf(trainer->names[i], sizeof trainer->names[i], "t%03zu",
		       i);
	trainer->n_elements[i] = n_elements;
	trainer->size += n_elements * sizeof(float);
	trainer->tensors[i] = (struct emad_tensor) {
		.name = trainer->names[i],
		.dtype = "F32",
		.n_dims = 1,
		.shape = &trainer->n_elements[i],
	};
}

static void
add_convolution(struct trainer *trainer, uint64_t n_out, uint64_t n_in,
		uint64_t width)
{
	trainer_add(trainer, n_out * n_in * width * width);
	trainer_add(trainer, n_out); /* of the normalisation behind it */
	trainer_add(trainer, n_out);
}

void
trainer_add_resnet50(struct trainer *trainer)
{
	static const unsigned int n_blocks[] = { 3, 4, 6, 3 };
	uint64_t n_in = 64;

	add_convolution(trainer, 64, 3, 7);
	for (unsigned int stage = 0; stage < 4; stage++) {
		uint64_t n = UINT64_C(64) << stage;

		for (unsigned int i = 0; i < n_blocks[stage]; i++) {
			add_convolution(trainer, n, n_in, 1);
			add_convolution(trainer, n, n, 3);
			add_convolution(trainer, 4 * n, n, 1);
			if (i == 0)
				add_convolution(trainer, 4 * n, n_in, 1);
			n_in = 4 * n;
		}
	}
	trainer_add(trainer, 1000 * 2048);
	trainer_add(trainer, 1000);
}

void
trainer_add_gpt2(struct trainer *trainer)
{
	static const uint64_t layer[] = {
		768, 768, 768 * 2304, 2304, 768 * 768,  768,
		768, 768, 768 * 3072, 3072, 3072 * 768, 768,
	};

	trainer_add(trainer, 50257 * 768);
	trainer_add(trainer, 1024 * 768);
	for (unsigned int i = 0; i < 12; i++)
		for (size_t k = 0; k < sizeof layer / sizeof *layer; k++)
			trainer_add(trainer, layer[k]);
	trainer_add(trainer, 768);
	trainer_add(trainer, 768);
}

void
trainer_allocate(struct trainer *trainer)
{
	char *at = memory_new(trainer->size, sizeof(float));

	trainer->values = at;
	for (size_t i = 0; i < trainer->n_tensors; i++) {
		trainer->tensors[i].data = at;
		at += trainer->n_elements[i] * sizeof(float);
	}
}

void
trainer_attach(struct trainer *trainer, const struct daemon *daemon,
	       unsigned int n_slots)
{
	struct emad_profile profile = emad_profile_default("constant");
	struct emad_options options = {
		.profiles = &profile,
		.n_profiles = 1,
		.n_slots = n_slots,
		.timeout_ms = -1,
	};

	profile.beta = 0.999;
	if (emad_connect(&trainer->emad, daemon->address, -1) != EMAD_OK ||
	    emad_attach(&trainer->publisher, trainer->emad, trainer->model,
			trainer->tensors, trainer->n_tensors,
			&options) != EMAD_OK)
		give_up("%s", emad_error());
	trainer->step = emad_last_step(trainer->publisher) + 1;
}

void
trainer_flush(struct trainer *trainer)
{
	if (emad_flush(trainer->publisher) != EMAD_OK)
		give_up("%s", emad_error());
}

double
trainer_update(struct trainer *trainer, unsigned int n_repeats)
{
	double begin, seconds = 0.0;
	void *data[1];

	for (unsigned int i = 0; i < n_repeats; i++) {
		if (emad_begin(trainer->publisher, data) != EMAD_OK)
			give_up("%s", emad_error());
		begin = bench_now();
		if (emad_commit(trainer->publisher, trainer->step++) != EMAD_OK)
			give_up("%s", emad_error());
		trainer_flush(trainer);
		seconds += bench_now() - begin;
	}
	return seconds / n_repeats;
}

void
trainer_end(struct trainer *trainer)
{
	if (emad_detach(trainer->publisher) != EMAD_OK ||
	    emad_drop(trainer->emad, trainer->model, NULL) != EMAD_OK)
		give_up("%s", emad_error());
	emad_close(trainer->emad);
	if (trainer->values)
		memory_free(trainer->values, trainer->size);
}
