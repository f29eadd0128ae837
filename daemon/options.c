#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: emad [options]\n"
	"\n"
	"Keep moving averages of model weights for training processes.\n"
	"\n"
	"  --instance NAME      the name in /dev/shm/emad.NAME.* (default)\n"
	"  --address ipc://PATH where to listen; default: in "
	"$RUNTIME_DIRECTORY,\n"
	"                       $XDG_RUNTIME_DIR, or /tmp/emad-<uid>\n"
	"  --mode MODE          permissions of socket and files, octal (0600)\n"
	"  --workers N          threads that average (one per CPU)\n"
	"  --cpus LIST          CPUs they run on, pinned, as 0-3,8\n"
	"  --nice N             their nice value (0)\n"
	"  --huge-pages WHEN    auto (the default) or never\n"
	"  --log-level LEVEL    error, warning, notice, info or debug "
	"(notice)\n"
	"  --help, --version\n"
	"\n"
	"See emad(8).\n";

enum {
	OPTION_INSTANCE = 256,
	OPTION_ADDRESS,
	OPTION_MODE,
	OPTION_WORKERS,
	OPTION_CPUS,
	OPTION_NICE,
	OPTION_HUGE_PAGES,
	OPTION_LOG_LEVEL,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "instance", required_argument, NULL, OPTION_INSTANCE },
	{ "address", required_argument, NULL, OPTION_ADDRESS },
	{ "mode", required_argument, NULL, OPTION_MODE },
	{ "workers", required_argument, NULL, OPTION_WORKERS },
	{ "cpus", required_argument, NULL, OPTION_CPUS },
	{ "nice", required_argument, NULL, OPTION_NICE },
	{ "huge-pages", required_argument, NULL, OPTION_HUGE_PAGES },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",   [LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_NOTICE] = "notice", [LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static bool
parse_long(long *ret_value, const char *text, int base, long lowest,
	   long highest)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, base);
	if (errno != 0 || end == text || *end != '\0' || value < lowest ||
	    value > highest)
		return false;
	*ret_value = value;
	return true;
}

/* "0-3,8" */
static bool
parse_cpus(cpu_set_t *ret_cpus, const char *text)
{
	owned_memory char *copy = xstrdup(text);
	char *rest = copy;
	char *item;

	CPU_ZERO(ret_cpus);
	while ((item = strsep(&rest, ",")) != NULL) {
		char *dash = strchr(item, '-');
		long first;
		long last;

		if (dash)
			*dash = '\0';
		if (!parse_long(&first, item, 10, 0, CPU_SETSIZE - 1))
			return false;
		last = first;
		if (dash &&
		    !parse_long(&last, dash + 1, 10, first, CPU_SETSIZE - 1))
			return false;
		for (long cpu = first; cpu <= last; cpu++)
			CPU_SET((size_t)cpu, ret_cpus);
	}
	return true;
}

static bool
parse_level(enum log_level *ret_level, const char *text)
{
	for (unsigned int i = 0; i < array_size(level_names); i++)
		if (level_names[i] && strcmp(level_names[i], text) == 0) {
			*ret_level = i;
			return true;
		}
	return false;
}

static bool
set_instance(struct options *options, const char *text)
{
	if (!name_is_valid_instance(text))
		return false;
	(void)snprintf(options->instance, sizeof options->instance, "%s", text);
	return true;
}

static bool
set_address(struct options *options, const char *text)
{
	struct why why;

	if (!address_path(text, &why)) {
		(void)fprintf(stderr, "emad: %s\n", why.text);
		return false;
	}
	(void)snprintf(options->address, sizeof options->address, "%s", text);
	options->own_address = false;
	return true;
}

static bool
set_option(struct options *options, int option, const char *text)
{
	long value = 0;
	bool good;

	switch (option) {
	case OPTION_INSTANCE:
		return set_instance(options, text);
	case OPTION_ADDRESS:
		return set_address(options, text);
	case OPTION_MODE:
		good = parse_long(&value, text, 8, 0, 0666) &&
		       (value & 0600) == 0600;
		options->mode = (mode_t)value;
		return good;
	case OPTION_WORKERS:
		good = parse_long(&value, text, 10, 1, CPU_SETSIZE);
		options->n_workers = (unsigned int)value;
		return good;
	case OPTION_CPUS:
		options->has_cpus = true;
		return parse_cpus(&options->cpus, text);
	case OPTION_NICE:
		good = parse_long(&value, text, 10, -20, 19);
		options->nice = (int)value;
		return good;
	case OPTION_HUGE_PAGES:
		options->huge_pages = strcmp(text, "auto") == 0;
		return options->huge_pages || strcmp(text, "never") == 0;
	default:
		return parse_level(&options->log_level, text);
	}
}

static const char *
option_name(int option)
{
	for (size_t i = 0; long_options[i].name; i++)
		if (long_options[i].val == option)
			return long_options[i].name;
	return "?";
}

static enum options_result
wrong(void)
{
	(void)fputs("emad: see emad --help\n", stderr);
	return OPTIONS_WRONG;
}

enum options_result
options_parse(struct options *ret_options, int argc, char **argv)
{
	struct options options = {
		.instance = DEFAULT_INSTANCE,
		.own_address = true,
		.mode = 0600,
		.huge_pages = true,
		.log_level = LOG_LEVEL_NOTICE,
	};
	struct why why;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		if (option == '?')
			return wrong();
		if (option == OPTION_HELP || option == OPTION_VERSION) {
			(void)fputs(option == OPTION_HELP
					    ? usage
					    : "emad " PACKAGE_VERSION "\n",
				    stdout);
			return OPTIONS_DONE;
		}
		if (!set_option(&options, option, optarg)) {
			(void)fprintf(stderr, "emad: --%s cannot be \"%s\"\n",
				      option_name(option), optarg);
			return wrong();
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "emad: what is \"%s\"?\n", argv[optind]);
		return wrong();
	}
	if (options.own_address &&
	    !address_of_daemon(options.address, options.instance, &why)) {
		(void)fprintf(stderr, "emad: %s\n", why.text);
		return OPTIONS_WRONG;
	}
	*ret_options = options;
	return OPTIONS_RUN;
}
