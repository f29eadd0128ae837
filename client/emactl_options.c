#include "client/emactl_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/emactl_output.h"
#include "proto/util.h"

const struct option_entry option_table[N_OPTIONS] = {
#define X(id, name, letter, value, commands, what)                             \
	[OPTION_##id] = { name, value, what, commands, letter },
	OPTIONS(X)
#undef X
};

/* What getopt returns for a long option: out of reach of any letter. */
#define LONG_BASE 1000

#define WORD_MAX 32

static size_t
smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Edits that turn one word into the other (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
	size_t a_size = strlen(a);
	size_t b_size = strlen(b);
	size_t row[WORD_MAX + 1];

	if (a_size > WORD_MAX || b_size > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= b_size; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t above = row[j];
			size_t differs = a[i - 1] != b[j - 1];

			row[j] = smallest(row[j] + 1, row[j - 1] + 1,
					  diagonal + differs);
			diagonal = above;
		}
	}
	return row[b_size];
}

const char *
options_nearest(const char *word, const char *const *words, size_t n)
{
	/* A third of the letters may be wrong, and any prefix is near. */
	size_t best = strlen(word) / 3 + 2;
	const char *nearest = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t away = distance(word, words[i]);

		if (word[0] && !strncmp(words[i], word, strlen(word)))
			away = 0;
		if (away < best) {
			best = away;
			nearest = words[i];
		}
	}
	return nearest;
}

static bool
refuse_unknown(const struct emactl *ctl, const char *argument)
{
	const char *names[N_OPTIONS];
	const char *nearest;

	if (optopt > 0 && optopt < LONG_BASE) {
		output_usage_error(ctl, "unknown option -%c", optopt);
		return false;
	}
	if (optopt >= LONG_BASE) {
		output_usage_error(ctl, "--%s takes no value",
				   option_table[optopt - LONG_BASE].name);
		return false;
	}
	for (size_t i = 0; i < N_OPTIONS; i++)
		names[i] = option_table[i].name;
	nearest = options_nearest(argument + strspn(argument, "-"), names,
				  N_OPTIONS);
	if (nearest)
		output_usage_error(ctl,
				   "unknown or ambiguous option %s: did you "
				   "mean --%s?",
				   argument, nearest);
	else
		output_usage_error(ctl, "unknown option %s", argument);
	return false;
}

static bool
refuse_without_value(const struct emactl *ctl)
{
	if (optopt >= LONG_BASE)
		output_usage_error(ctl, "--%s needs a value",
				   option_table[optopt - LONG_BASE].name);
	else
		output_usage_error(ctl, "-%c needs a value", optopt);
	return false;
}

/* getopt's two tables from ours; operands come in order, errors are ours. */
static void
fill_getopt_tables(struct option ret_long[N_OPTIONS + 1],
		   char ret_short[2 * N_OPTIONS + 3])
{
	char *letter = ret_short;

	*letter++ = '-';
	*letter++ = ':';
	for (int i = 0; i < N_OPTIONS; i++) {
		const struct option_entry *entry = &option_table[i];

		ret_long[i] = (struct option) {
			.name = entry->name,
			.has_arg =
				entry->value ? required_argument : no_argument,
			.val = LONG_BASE + i,
		};
		if (entry->letter) {
			*letter++ = entry->letter;
			if (entry->value)
				*letter++ = ':';
		}
	}
	*letter = '\0';
	ret_long[N_OPTIONS] = (struct option) { 0 };
}

static unsigned int
find_by_letter(int letter)
{
	unsigned int id = 0;

	while (id < N_OPTIONS && option_table[id].letter != letter)
		id++;
	/* getopt knows no other letters than the table's. */
	must(id < N_OPTIONS);
	return id;
}

static void
take_option(struct emactl *ctl, unsigned int id, const char *value)
{
	ctl->given[ctl->n_given++] = (struct given) { id, value };
	if (id == OPTION_ADDRESS)
		ctl->address = value;
	if (id == OPTION_JSON)
		ctl->json = true;
}

/* Errors too are JSON, also those in front of --json. */
static bool
wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

bool
options_parse(struct emactl *ret_ctl, int argc, char **argv)
{
	struct option long_options[N_OPTIONS + 1];
	char letters[2 * N_OPTIONS + 3];
	struct emactl *ctl = ret_ctl;
	int found;

	*ctl = (struct emactl) {
		.json = wants_json(argc, argv),
		.operands = xcalloc((size_t)argc, sizeof *ctl->operands),
		.given = xcalloc((size_t)argc, sizeof *ctl->given),
	};
	fill_getopt_tables(long_options, letters);
	while ((found = getopt_long(argc, argv, letters, long_options, NULL)) !=
	       -1) {
		if (found == 1)
			ctl->operands[ctl->n_operands++] = optarg;
		else if (found == '?')
			return refuse_unknown(ctl, argv[optind - 1]);
		else if (found == ':')
			return refuse_without_value(ctl);
		else if (found >= LONG_BASE)
			take_option(ctl, (unsigned int)(found - LONG_BASE),
				    optarg);
		else
			take_option(ctl, find_by_letter(found), optarg);
	}
	while (optind < argc)
		ctl->operands[ctl->n_operands++] = argv[optind++];
	return true;
}

void
options_deinit(struct emactl *ctl)
{
	free(ctl->operands);
	free(ctl->given);
}

bool
options_check(const struct emactl *ctl, enum command_id command,
	      const char *command_name)
{
	for (size_t i = 0; i < ctl->n_given; i++) {
		const struct option_entry *entry =
			&option_table[ctl->given[i].id];

		if (!(entry->commands & (1u << command))) {
			output_usage_error(ctl, "%s does not take --%s",
					   command_name, entry->name);
			return false;
		}
	}
	return true;
}

static const struct given *
find_given(const struct emactl *ctl, enum option_id id)
{
	for (size_t i = ctl->n_given; i-- > 0;)
		if (ctl->given[i].id == id)
			return &ctl->given[i];
	return NULL;
}

bool
options_has(const struct emactl *ctl, enum option_id id)
{
	return find_given(ctl, id) != NULL;
}

const char *
options_value(const struct emactl *ctl, enum option_id id)
{
	const struct given *given = find_given(ctl, id);

	return given ? given->value : NULL;
}

bool
options_parse_integer(const struct emactl *ctl, const struct given *given,
		      int64_t least, int64_t most, int64_t *ret_number)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(given->value, &end, 10);
	if (errno || end == given->value || *end || number < least ||
	    number > most) {
		output_usage_error(ctl,
				   "--%s: \"%s\" is not a whole number from "
				   "%lld to %lld",
				   option_table[given->id].name, given->value,
				   (long long)least, (long long)most);
		return false;
	}
	*ret_number = number;
	return true;
}

bool
options_parse_real(const struct emactl *ctl, const struct given *given,
		   double *ret_number)
{
	char *end;
	double number = strtod(given->value, &end);

	if (end == given->value || *end || !isfinite(number)) {
		output_usage_error(ctl, "--%s: \"%s\" is not a number",
				   option_table[given->id].name, given->value);
		return false;
	}
	*ret_number = number;
	return true;
}

bool
options_integer(const struct emactl *ctl, enum option_id id, int64_t least,
		int64_t most, int64_t *ret_number)
{
	const struct given *given = find_given(ctl, id);

	return !given ||
	       options_parse_integer(ctl, given, least, most, ret_number);
}

bool
options_timeout(const struct emactl *ctl, int *ret_timeout_ms)
{
	const struct given *given = find_given(ctl, OPTION_TIMEOUT);
	double seconds;

	if (!given)
		return true;
	if (!strcmp(given->value, "inf")) {
		*ret_timeout_ms = -1;
		return true;
	}
	if (!options_parse_real(ctl, given, &seconds))
		return false;
	if (seconds < 0 || seconds > INT_MAX / 1000) {
		output_usage_error(ctl,
				   "--timeout: \"%s\" is not from 0 to %d "
				   "seconds, nor \"inf\"",
				   given->value, INT_MAX / 1000);
		return false;
	}
	*ret_timeout_ms = (int)ceil(seconds * 1000);
	return true;
}
