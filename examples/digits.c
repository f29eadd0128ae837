/*
 * digits train: trains a network and publishes its parameters at every step.
 * digits watch: evaluates raw and averaged parameters while it trains.
 *
 * They are separate processes that know nothing of each other.  Start emad,
 * then both, in any order; script/demo does just that.  digits_train.c and
 * digits_watch.c are meant to be copied from.
 */
#include "examples/digits.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: digits train [--data FILE] [--steps N] [--verify]\n"
	"       digits watch [--data FILE] [--steps N] [--every N]\n"
	"\n"
	"  --data FILE  the images (default examples/data/digits.csv)\n"
	"  --steps N    length of the training (default 24000)\n"
	"  --every N    evaluate once in N steps (default 1500)\n"
	"  --verify     average in the trainer too; exit code 1 if the\n"
	"               daemon's average differs in any bit\n"
	"\n"
	"EMAD_ADDRESS says where the daemon listens.\n";

int
digits_failed(const char *attempt)
{
	fprintf(stderr, "digits: cannot %s: %s\n", attempt, emad_error());
	return 1;
}

bool
digits_find_parameters(const struct emad_view *view,
		       const float *ret_parameters[MLP_N_TENSORS])
{
	for (size_t t = 0; t < MLP_N_TENSORS; t++) {
		const struct emad_tensor *tensor =
			emad_view_find(view, mlp_tensors[t].name);

		if (tensor == NULL || strcmp(tensor->dtype, "F32") != 0 ||
		    tensor->size != mlp_tensors[t].n_elements * sizeof(float)) {
			fprintf(stderr, "digits: %s holds another network\n",
				emad_view_path(view));
			return false;
		}
		ret_parameters[t] = tensor->data;
	}
	return true;
}

static bool
parse_count(const char *text, int64_t *ret_count)
{
	char *end;

	errno = 0;
	*ret_count = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *ret_count > 0;
}

static bool
parse_options(int argc, char **argv, struct digits_options *options,
	      const char **data)
{
	static const struct option long_options[] = {
		{ "data", required_argument, NULL, 'd' },
		{ "steps", required_argument, NULL, 's' },
		{ "every", required_argument, NULL, 'e' },
		{ "verify", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	bool valid = true;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'd':
			*data = optarg;
			break;
		case 's':
			valid &= parse_count(optarg, &options->n_steps);
			break;
		case 'e':
			valid &= parse_count(optarg, &options->every);
			break;
		case 'v':
			options->verify = true;
			break;
		default:
			valid = false;
		}
	}
	return valid && optind == argc - 1;
}

int
main(int argc, char **argv)
{
	struct digits_options options = { .n_steps = 24000, .every = 1500 };
	const char *data = "examples/data/digits.csv";
	struct digits *digits;
	int code = 2;

	if (!parse_options(argc, argv, &options, &data)) {
		fputs(usage, stderr);
		return 2;
	}
	digits = digits_read(data);
	if (digits == NULL)
		return 1;

	if (strcmp(argv[optind], "train") == 0)
		code = digits_train(digits, &options);
	else if (strcmp(argv[optind], "watch") == 0)
		code = digits_watch(digits, &options);
	else
		fputs(usage, stderr);
	free(digits);
	return code;
}
