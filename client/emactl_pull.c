/*
 * emactl pull: the path of the newest average, or a copy of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/emactl_connection.h"
#include "client/emactl_copy.h"
#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "proto/json.h"
#include "proto/safetensors.h"
#include "proto/schedule.h"

static inline void
close_owned_view(struct emad_view **view)
{
	emad_view_close(*view);
}
#define owned_view __attribute__((cleanup(close_owned_view))) struct emad_view

/* The profile's name as the file states it; a new reference, maybe null. */
static json_t *
read_profile_name(const struct emad_view *view)
{
	owned_safetensors *header = NULL;
	owned_json *profile = NULL;
	const char *text;
	struct why why;
	uint64_t size;
	const void *file = emad_view_file(view, &size);

	if (safetensors_parse_file(&header, file, size, &why) != STATUS_OK)
		return json_null();
	text = safetensors_metadata(header, "emad.profile");
	profile = text ? json_loads(text, 0, NULL) : NULL;
	return json_incref(json_is_object(profile) &&
					   json_object_get(profile, "name")
				   ? json_object_get(profile, "name")
				   : json_null());
}

static void
print_view(const struct emactl *ctl, const struct emad_view *view,
	   const char *model, const char *path)
{
	char size_text[TEXT_SIZE];
	uint64_t size;

	(void)emad_view_file(view, &size);
	if (ctl->json)
		output_json(json_pack(
			"{s:s, s:o, s:I, s:I, s:f, s:s, s:I}", "model", model,
			"profile", read_profile_name(view), "step",
			(json_int_t)emad_view_step(view), "updates",
			(json_int_t)emad_view_updates(view), "decay",
			emad_view_decay(view), "path", path, "size",
			(json_int_t)size));
	else if (path == emad_view_path(view))
		(void)puts(path);
	else
		(void)printf("%s: step %" PRId64 ", %s\n", path,
			     emad_view_step(view),
			     output_size(size_text, size));
}

static enum exit_code
refuse_pull(const struct emactl *ctl, int status, const char *name,
	    int64_t at_step, int timeout_ms)
{
	bool is_late = status == EMAD_TIMEOUT || status == EMAD_NO_VERSION;

	/* The library cannot know that this user has a better way. */
	if (is_late && timeout_ms == 0 && at_step >= 0)
		return output_error(ctl, status,
				    "%s has no version of step %" PRId64
				    " or later yet: wait for it with "
				    "--timeout SECONDS",
				    name, at_step);
	return output_refusal(ctl, status);
}

enum exit_code
run_pull(const struct emactl *ctl)
{
	owned_memory char *model = NULL;
	owned_emad *emad = NULL;
	owned_view *view = NULL;
	const char *name = ctl->operands[0];
	const char *output = options_value(ctl, OPTION_OUTPUT);
	const char *profile;
	int64_t at_step = EMAD_NEWEST;
	int timeout_ms = 0;
	enum exit_code code;
	uint64_t size;
	const void *file;
	int status;

	if (!connection_parse_name(ctl, name, &model, &profile) ||
	    !options_integer(ctl, OPTION_AT_STEP, 0, STEP_MAX, &at_step) ||
	    !options_timeout(ctl, &timeout_ms))
		return EXIT_USAGE;
	code = connection_open(ctl, &emad);
	if (code)
		return code;
	status = emad_pull(&view, emad, model, profile, at_step, timeout_ms);
	if (status)
		return refuse_pull(ctl, status, name, at_step, timeout_ms);
	if (!output)
		output = emad_view_path(view);
	else {
		file = emad_view_file(view, &size);
		code = copy_to_file(ctl, name, file, size, output);
	}
	if (!code)
		print_view(ctl, view, model, output);
	return code;
}
