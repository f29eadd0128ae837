/*
 * emactl publish: one snapshot from a safetensors file.
 *
 * The file is read into the daemon's slot directly, so that a file which
 * somebody cuts short meanwhile is an error of read() and nothing worse.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/emactl_connection.h"
#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "client/emactl_profile.h"
#include "client/emactl_progress.h"
#include "proto/json.h"
#include "proto/safetensors.h"

#define CHUNK_SIZE         (UINT64_C(8) << 20)
#define PUBLISH_TIMEOUT_MS 60000

/* An open file and its header. */
struct source {
	const char *path;
	int fd;
	struct safetensors *header;
	struct emad_tensor *tensors; /* as in the file, without data */
};

static void
source_deinit(struct source *source)
{
	if (source->fd >= 0)
		(void)close(source->fd);
	safetensors_free(source->header);
	free(source->tensors);
}
#define owned_source __attribute__((cleanup(source_deinit))) struct source

/* Read @size bytes at @offset; 0, or an errno (ENODATA: the file ends). */
static int
read_at(int fd, void *data, uint64_t size, uint64_t offset)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)data + done, size - done,
				  (off_t)(offset + done));

		if (n == 0)
			return ENODATA;
		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0)
			done += (uint64_t)n;
	}
	return 0;
}

/*
 * The bytes that the parser looks at: the size field, and the header if it
 * can be one.  What is wrong with them is for the parser to say.
 */
static int
read_header(int fd, uint64_t file_size, char **ret_bytes)
{
	unsigned char field[SAFETENSORS_SIZE_FIELD] = { 0 };
	uint64_t size = file_size < sizeof field ? file_size : sizeof field;
	owned_memory char *bytes = NULL;
	uint64_t header_size = 0;
	int error = read_at(fd, field, size, 0);

	if (error)
		return error;
	for (size_t i = sizeof field; i-- > 0;)
		header_size = header_size << 8 | field[i];
	if (file_size > sizeof field && header_size <= SAFETENSORS_HEADER_MAX &&
	    header_size <= file_size - sizeof field)
		size += header_size;
	bytes = xmalloc(size);
	error = read_at(fd, bytes, size, 0);
	if (!error)
		*ret_bytes = take_pointer(&bytes);
	return error;
}

static void
fill_tensors(struct source *source)
{
	const struct safetensors *header = source->header;

	source->tensors = xcalloc(header->n_tensors, sizeof *source->tensors);
	for (size_t i = 0; i < header->n_tensors; i++) {
		const struct tensor *tensor = &header->tensors[i];

		source->tensors[i] = (struct emad_tensor) {
			.name = tensor->name,
			.dtype = dtype_name(tensor->dtype),
			.n_dims = tensor->n_dims,
			.shape = tensor->shape,
		};
	}
}

static enum exit_code
source_open(const struct emactl *ctl, struct source *source)
{
	owned_memory char *bytes = NULL;
	struct stat status;
	struct why why;
	int error;

	source->fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (source->fd < 0 || fstat(source->fd, &status) != 0)
		return output_failure(ctl, errno, "open %s", source->path);
	if (!S_ISREG(status.st_mode))
		return output_error(ctl, EMAD_BAD_SPEC,
				    "%s is not a regular file", source->path);
	error = read_header(source->fd, (uint64_t)status.st_size, &bytes);
	if (error)
		return output_failure(ctl, error, "read %s", source->path);
	if (safetensors_parse_file(&source->header, bytes,
				   (uint64_t)status.st_size, &why) != STATUS_OK)
		return output_error(ctl, EMAD_BAD_SPEC,
				    "%s is not a safetensors file: %s",
				    source->path, why.text);
	fill_tensors(source);
	return EXIT_DONE;
}

/*
 * Without a word about profiles a model that exists keeps its own; a new one
 * gets the default.
 */
static enum exit_code
choose_profiles(const struct emactl *ctl, struct emad *emad, const char *model,
		struct profile_list *ret_list)
{
	owned_memory char *text = NULL;
	owned_json *answer = NULL;

	if (!profile_list_is_given(ctl) &&
	    emad_describe_json(emad, model, &text) == EMAD_OK) {
		answer = json_loads(text, 0, NULL);
		if (profile_list_from_json(ret_list,
					   json_object_get(answer, "profiles")))
			return EXIT_DONE;
	}
	return profile_list_from_options(ret_list, ctl) ? EXIT_DONE
							: EXIT_USAGE;
}

static enum exit_code
attach(const struct emactl *ctl, struct emad *emad, const char *model,
       const struct source *source, struct emad_publisher **ret_publisher)
{
	struct profile_list list;
	struct emad_options options = {
		.takeover = options_has(ctl, OPTION_TAKEOVER),
		.accept_non_finite = options_has(ctl, OPTION_ACCEPT_NON_FINITE),
		.n_slots = 1,
		.timeout_ms = PUBLISH_TIMEOUT_MS,
	};
	struct emad_profile *profiles;
	enum exit_code code;
	int status;

	if (!options_timeout(ctl, &options.timeout_ms))
		return EXIT_USAGE;
	/* 0 is the library's word for its default. */
	if (options.timeout_ms == 0)
		options.timeout_ms = 1;
	code = choose_profiles(ctl, emad, model, &list);
	if (code)
		return code;
	profiles = profile_list_to_public(&list);
	options.profiles = profiles;
	options.n_profiles = list.n;
	status = emad_attach(ret_publisher, emad, model, source->tensors,
			     source->header->n_tensors, &options);
	profile_public_free(profiles, list.n);
	profile_list_deinit(&list);
	return status ? output_refusal(ctl, status) : EXIT_DONE;
}

/* Returns 0 or an errno. */
static int
read_tensor(const struct source *source, size_t index, void *data,
	    struct progress *progress)
{
	const struct tensor *tensor = &source->header->tensors[index];
	uint64_t begin = source->header->header_size + tensor->begin;
	uint64_t done = 0;

	while (done < tensor->size) {
		uint64_t left = tensor->size - done;
		uint64_t size = left < CHUNK_SIZE ? left : CHUNK_SIZE;
		int error = read_at(source->fd, (char *)data + done, size,
				    begin + done);

		if (error)
			return error;
		done += size;
		progress_update(progress, tensor->begin + done);
	}
	return 0;
}

static int
read_tensors(const struct emactl *ctl, const struct source *source,
	     const char *model, void *const *data)
{
	struct progress progress;
	int error = 0;

	progress_start(&progress, ctl, model, source->header->data_size);
	for (size_t i = 0; !error && i < source->header->n_tensors; i++)
		error = read_tensor(source, i, data[i], &progress);
	progress_end(&progress);
	return error;
}

static enum exit_code
publish(const struct emactl *ctl, const struct source *source,
	struct emad_publisher *publisher, const char *model, int64_t step)
{
	owned_memory void **data =
		xcalloc(source->header->n_tensors, sizeof *data);
	int status;
	int error;

	if (!emad_wants(publisher, step))
		return EXIT_DONE;
	status = emad_begin(publisher, data);
	if (status)
		return output_refusal(ctl, status);
	error = read_tensors(ctl, source, model, data);
	if (error)
		return output_failure(ctl, error, "read %s", source->path);
	status = emad_commit(publisher, step);
	if (!status)
		status = emad_flush(publisher);
	return status ? output_refusal(ctl, status) : EXIT_DONE;
}

static void
print_published(const struct emactl *ctl, const struct source *source,
		const char *model, int64_t step, bool is_absorbed)
{
	char size[TEXT_SIZE];

	if (ctl->json)
		output_json(json_pack(
			"{s:s, s:I, s:b, s:I, s:I}", "model", model, "step",
			(json_int_t)step, "absorbed", is_absorbed, "tensors",
			(json_int_t)source->header->n_tensors, "size",
			(json_int_t)source->header->data_size));
	else if (is_absorbed)
		(void)printf("%s: absorbed step %" PRId64
			     ", %zu tensor%s, %s\n",
			     model, step, source->header->n_tensors,
			     source->header->n_tensors == 1 ? "" : "s",
			     output_size(size, source->header->data_size));
	else
		(void)printf("%s: no schedule wants step %" PRId64
			     ": nothing was published\n",
			     model, step);
}

static enum exit_code
attach_and_publish(const struct emactl *ctl, const struct source *source,
		   const char *model, int64_t step)
{
	owned_emad *emad = NULL;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	enum exit_code code = connection_open(ctl, &emad);
	int status;

	if (code)
		return code;
	code = attach(ctl, emad, model, source, &publisher);
	if (code)
		return code;
	code = publish(ctl, source, publisher, model, step);
	emad_get_counts(publisher, &counts);
	status = emad_detach(publisher);
	if (!code && status)
		code = output_refusal(ctl, status);
	if (!code)
		print_published(ctl, source, model, step, counts.absorbed > 0);
	return code;
}

enum exit_code
run_publish(const struct emactl *ctl)
{
	owned_source source = { .path = ctl->operands[1], .fd = -1 };
	owned_memory char *model = NULL;
	struct profile_list list;
	const char *profile;
	int64_t step = STEP_NONE;
	enum exit_code code;

	if (!connection_parse_name(ctl, ctl->operands[0], &model, &profile) ||
	    !options_integer(ctl, OPTION_STEP, 0, STEP_MAX, &step))
		return EXIT_USAGE;
	if (profile)
		return output_usage_error(ctl, "publish takes MODEL, without "
					       "/PROFILE: all its profiles "
					       "absorb the snapshot");
	if (step == STEP_NONE)
		return output_usage_error(ctl, "publish needs --step STEP");
	/* Wrong options are said before anything is opened. */
	if (!profile_list_from_options(&list, ctl))
		return EXIT_USAGE;
	profile_list_deinit(&list);
	code = source_open(ctl, &source);
	return code ? code : attach_and_publish(ctl, &source, model, step);
}
