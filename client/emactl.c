/*
 * emactl: the command line's way to emad.
 *
 * This file finds the command and prints help; emactl_options.c knows the
 * options, and each command has its own function.
 */
#include "client/emactl.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "client/emad.h"
#include "proto/util.h"

struct command {
	const char *name;
	const char *operands;
	size_t n_least;
	size_t n_most;
	const char *what;
	enum exit_code (*run)(const struct emactl *ctl);
};

static const struct command command_table[N_COMMANDS] = {
#define X(id, name, operands, least, most, what)                               \
	[COMMAND_##id] = { #name, operands, least, most, what, run_##name },
	COMMANDS(X)
#undef X
};

static void
print_option(const struct option_entry *entry)
{
	char text[80];

	(void)snprintf(text, sizeof text, "--%s%s%s", entry->name,
		       entry->value ? " " : "",
		       entry->value ? entry->value : "");
	if (entry->letter)
		(void)printf("  -%c, ", entry->letter);
	else
		(void)printf("      ");
	/* A long one has its line for itself. */
	if (strlen(text) > 25)
		(void)printf("%s\n%33s%s\n", text, "", entry->what);
	else
		(void)printf("%-26s %s\n", text, entry->what);
}

/* Those that every command takes, or those that only @commands take. */
static void
print_options(const char *title, unsigned int commands)
{
	bool has_title = false;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_entry *entry = &option_table[i];
		bool is_global = entry->commands == TAKEN_BY_ALL;

		if (commands == TAKEN_BY_ALL
			    ? !is_global
			    : is_global || !(entry->commands & commands))
			continue;
		if (!has_title)
			(void)printf("\n%s:\n", title);
		has_title = true;
		print_option(entry);
	}
}

static void
print_help(void)
{
	(void)puts("Usage: emactl [OPTION ...] COMMAND [ARGUMENT ...]\n\n"
		   "Ask emad, the daemon that keeps averages of model weights."
		   "\n\nCommands:");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *command = &command_table[i];

		(void)printf("  %-9s%-17s%s\n", command->name,
			     command->operands, command->what);
	}
	print_options("Options for all of them", TAKEN_BY_ALL);
	(void)puts("\nExit status:");
#define X(name, number, text) (void)printf("  %d  %s\n", number, text);
	EXIT_CODES(X)
#undef X
	(void)puts("\nA command's options: emactl COMMAND --help.  "
		   "All about them: man emactl.");
}

static void
print_command_help(const struct command *command)
{
	unsigned int bit = 1u << (unsigned int)(command - command_table);

	(void)printf("Usage: emactl %s%s%s [OPTION ...]\n\n%s\n", command->name,
		     command->operands[0] ? " " : "", command->operands,
		     command->what);
	print_options("Options", bit);
	print_options("Options for all commands", TAKEN_BY_ALL);
}

static const struct command *
find_command(const struct emactl *ctl, const char *name)
{
	const char *names[N_COMMANDS];
	const char *nearest;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(command_table[i].name, name))
			return &command_table[i];
		names[i] = command_table[i].name;
	}
	nearest = options_nearest(name, names, N_COMMANDS);
	if (nearest)
		output_usage_error(ctl, "unknown command %s: did you mean %s?",
				   name, nearest);
	else
		output_usage_error(ctl, "unknown command %s", name);
	return NULL;
}

static enum exit_code
print_version(const struct emactl *ctl)
{
	if (ctl->json)
		output_json(json_pack("{s:s}", "version", emad_version()));
	else
		(void)printf("emactl %s\n", emad_version());
	return EXIT_DONE;
}

static enum exit_code
run(struct emactl *ctl)
{
	const struct command *command;

	if (options_has(ctl, OPTION_VERSION))
		return print_version(ctl);
	if (ctl->n_operands == 0) {
		if (!options_has(ctl, OPTION_HELP))
			return output_usage_error(ctl, "no command given");
		print_help();
		return EXIT_DONE;
	}
	command = find_command(ctl, ctl->operands[0]);
	if (!command)
		return EXIT_USAGE;
	if (options_has(ctl, OPTION_HELP)) {
		print_command_help(command);
		return EXIT_DONE;
	}
	ctl->operands++;
	ctl->n_operands--;
	if (ctl->n_operands < command->n_least ||
	    ctl->n_operands > command->n_most)
		return output_usage_error(
			ctl, "%s takes %s, and %zu %s given", command->name,
			command->n_most ? command->operands : "no operand",
			ctl->n_operands, ctl->n_operands == 1 ? "was" : "were");
	if (!options_check(ctl, (enum command_id)(command - command_table),
			   command->name))
		return EXIT_USAGE;
	return command->run(ctl);
}

/*
 * Where a standard stream is closed, the next file or socket would get its
 * number, and what is printed would end there.  Fill the gap with something
 * that takes no output, so that printing fails.
 */
static void
fill_closed_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

int
main(int argc, char **argv)
{
	enum exit_code code = EXIT_USAGE;
	struct emactl parsed;

	fill_closed_streams();
	/* Characters as the user's, numbers always with a point. */
	(void)setlocale(LC_CTYPE, "");
	if (options_parse(&parsed, argc, argv)) {
		struct emactl ctl = parsed;

		code = run(&ctl);
	}
	options_deinit(&parsed);
	return (int)output_finish(code);
}
