#include "tests/lib/uniform.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/story.h"

/* Steps above are not integers in BF16. */
#define BF16_STEPS 128

static const struct {
	const char *name;
	const char *dtype;
	unsigned int divisor; /* of the widest tensor's number of elements */
	unsigned int width;   /* bytes of an element */
} kinds[UNIFORM_TENSORS] = {
	{ "wide", "F32", 1, 4 },      { "half", "BF16", 4, 2 },
	{ "double", "F64", 8, 8 },    { "complex", "C64", 8, 8 },
	{ "counter", "I64", 256, 8 }, { "empty", "F32", 0, 4 },
};

void
uniform_init(struct uniform *ret_uniform, uint64_t n_elements)
{
	memset(ret_uniform, 0, sizeof *ret_uniform);
	for (size_t k = 0; k < UNIFORM_TENSORS; k++) {
		unsigned int divisor = kinds[k].divisor;
		uint64_t n = divisor ? n_elements / divisor : 0;

		ret_uniform->shapes[k][0] = n;
		ret_uniform->shapes[k][1] = 1;
		ret_uniform->values[k] = calloc(n + 1, kinds[k].width);
		insist(ret_uniform->values[k]);
		ret_uniform->tensors[k] = (struct emad_tensor) {
			.name = kinds[k].name,
			.dtype = kinds[k].dtype,
			.n_dims = 2,
			.shape = ret_uniform->shapes[k],
			.data = ret_uniform->values[k],
		};
	}
}

void
uniform_deinit(struct uniform *uniform)
{
	for (size_t k = 0; k < UNIFORM_TENSORS; k++)
		free(uniform->values[k]);
}

static uint16_t
bf16(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return (uint16_t)(bits >> 16);
}

/* The published element of tensor @k, in 8 bytes at most. */
static uint64_t
make_element(size_t k, int64_t step)
{
	float single = (float)step;
	float pair[2] = { single, -single };
	double wide = (double)step;
	uint64_t element = 0;

	if (strcmp(kinds[k].dtype, "F32") == 0)
		memcpy(&element, &single, sizeof single);
	else if (strcmp(kinds[k].dtype, "F64") == 0)
		memcpy(&element, &wide, sizeof wide);
	else if (strcmp(kinds[k].dtype, "C64") == 0)
		memcpy(&element, pair, sizeof pair);
	else if (strcmp(kinds[k].dtype, "BF16") == 0)
		element = bf16((float)(step % BF16_STEPS));
	else
		element = (uint64_t)step;
	return element;
}

void
uniform_fill(struct uniform *uniform, int64_t step)
{
	for (size_t k = 0; k < UNIFORM_TENSORS; k++) {
		uint64_t element = make_element(k, step);
		char *at = uniform->values[k];

		for (uint64_t i = 0; i < uniform->shapes[k][0]; i++)
			memcpy(at + i * kinds[k].width, &element,
			       kinds[k].width);
	}
}

int
uniform_attach(const struct uniform *uniform,
	       struct emad_publisher **ret_publisher, struct emad *emad,
	       const char *model, const struct emad_options *options)
{
	struct emad_profile profiles[2];
	struct emad_options all = { .n_profiles = 2 };

	if (options)
		all = *options;
	profiles[0] = emad_profile_default("constant");
	profiles[0].name = "copy";
	profiles[0].beta = 0.0;
	profiles[1] = emad_profile_default("constant");
	profiles[1].name = "slow";
	profiles[1].beta = 0.999;
	all.profiles = profiles;
	all.n_profiles = array_size(profiles);
	return emad_attach(ret_publisher, emad, model, uniform->tensors,
			   UNIFORM_TENSORS, &all);
}

static bool
is_retired(const void *file)
{
	static const char zeros[SAFETENSORS_SIZE_FIELD];

	return memcmp(file, zeros, sizeof zeros) == 0;
}

bool
reading_open(struct reading *ret_reading, const char *path)
{
	struct reading reading;
	struct stat status;
	struct why why;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return false;
	insist(fstat(fd, &status) == 0 && status.st_size > 0);
	reading.size = (uint64_t)status.st_size;
	reading.file = mmap(NULL, reading.size, PROT_READ, MAP_SHARED, fd, 0);
	(void)close(fd);
	insist(reading.file != MAP_FAILED);
	if (is_retired(reading.file)) {
		(void)munmap(reading.file, reading.size);
		return false;
	}
	if (safetensors_parse_file(&reading.header, reading.file, reading.size,
				   &why) != STATUS_OK ||
	    version_read_state(&reading.state, reading.file, reading.size,
			       &why) != STATUS_OK)
		give_up("%s is no version: %s", path, why.text);
	*ret_reading = reading;
	return true;
}

void
reading_close(struct reading *reading)
{
	safetensors_free(reading->header);
	(void)munmap(reading->file, reading->size);
}

const void *
reading_tensor(const struct reading *reading, const char *name,
	       uint64_t *ret_size)
{
	const struct tensor *tensor = safetensors_find(reading->header, name);

	if (!tensor)
		give_up("the version has no tensor %s", name);
	*ret_size = tensor->size;
	return (const char *)reading->file + reading->header->header_size +
	       tensor->begin;
}

/* Averages of BF16 are F32; all others have the type that was published. */
static void
check_first(size_t k, const void *element, int64_t step)
{
	uint64_t want = make_element(k, step);
	size_t width = kinds[k].width;

	if (strcmp(kinds[k].dtype, "BF16") == 0) {
		want <<= 16;
		width = 4;
	}
	if (memcmp(element, &want, width) != 0)
		give_up("%s is not of step %" PRId64 ", which the header names",
			kinds[k].name, step);
}

void
uniform_check(const struct reading *reading, bool is_copy)
{
	for (size_t k = 0; k < UNIFORM_TENSORS; k++) {
		uint64_t size;
		const char *bytes =
			reading_tensor(reading, kinds[k].name, &size);
		size_t width = kinds[k].width < 4 ? 4 : kinds[k].width;

		if (size == 0)
			continue;
		if (memcmp(bytes, bytes + width, size - width) != 0)
			give_up("step %" PRId64 ": %s holds several steps",
				reading->state.step, kinds[k].name);
		if (is_copy || strcmp(kinds[k].dtype, "I64") == 0)
			check_first(k, bytes, reading->state.step);
	}
}
