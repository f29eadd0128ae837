#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/service/attach.h"
#include "daemon/service/space.h"

static void differ(struct differences *differences, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
differ(struct differences *differences, const char *format, ...)
{
	struct why line;
	va_list arguments;

	differences->n++;
	if (differences->n_listed == WIRE_DIFFERENCES)
		return;
	va_start(arguments, format);
	why_vset(&line, format, arguments);
	va_end(arguments);
	differences->listed[differences->n_listed++] = xstrdup(line.text);
}

static int
compare_names(const void *a, const void *b)
{
	const struct tensor *const *x = a;
	const struct tensor *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static const struct tensor **
sort_by_name(const struct safetensors *table)
{
	const struct tensor **sorted =
		xcalloc(table->n_tensors, sizeof *sorted);

	for (size_t i = 0; i < table->n_tensors; i++)
		sorted[i] = &table->tensors[i];
	qsort(sorted, table->n_tensors, sizeof *sorted, compare_names);
	return sorted;
}

/* "F32[64,3]" */
static void
print_type(char *ret_text, size_t size, const struct tensor *tensor)
{
	size_t at = (size_t)snprintf(ret_text, size, "%s[",
				     dtype_name(tensor->dtype));

	for (size_t i = 0; i < tensor->n_dims && at < size; i++)
		at += (size_t)snprintf(ret_text + at, size - at, "%s%" PRIu64,
				       i ? "," : "", tensor->shape[i]);
	if (at < size)
		(void)snprintf(ret_text + at, size - at, "]");
}

static void
compare_tensor(struct differences *differences, const struct tensor *old,
	       const struct tensor *new)
{
	char old_type[100];
	char new_type[100];

	if (old->dtype == new->dtype &&
	    old->n_dims ==
		    new->n_dims &&memcmp(old->shape, new->shape,
					 old->n_dims * sizeof *old->shape) == 0)
		return;
	print_type(old_type, sizeof old_type, old);
	print_type(new_type, sizeof new_type, new);
	differ(differences, "tensor \"%.200s\": the model has %s, not %s",
	       old->name, old_type, new_type);
}

static void
compare_tables(struct differences *differences, const struct safetensors *old,
	       const struct safetensors *new)
{
	owned_memory const struct tensor **a = sort_by_name(old);
	owned_memory const struct tensor **b = sort_by_name(new);
	size_t i = 0;
	size_t j = 0;

	while (i < old->n_tensors || j < new->n_tensors) {
		int order;

		if (i == old->n_tensors)
			order = 1;
		else if (j == new->n_tensors)
			order = -1;
		else
			order = strcmp(a[i]->name, b[j]->name);
		if (order == 0)
			compare_tensor(differences, a[i++], b[j++]);
		else if (order < 0)
			differ(differences,
			       "tensor \"%.200s\": the model has it, the "
			       "publisher does not",
			       a[i++]->name);
		else
			differ(differences,
			       "tensor \"%.200s\": the publisher has it, the "
			       "model does not",
			       b[j++]->name);
	}
}

static const struct profile *
find_asked(const struct attach *attach, const char *name)
{
	for (size_t i = 0; i < attach->n_profiles; i++)
		if (strcmp(attach->profiles[i].name, name) == 0)
			return &attach->profiles[i];
	return NULL;
}

static void
compare_profiles(struct attach *attach)
{
	const struct model *model = attach->model;

	for (size_t i = 0; i < model->n_profiles; i++) {
		const struct profile *old = &model->profiles[i].profile;
		const struct profile *new = find_asked(attach, old->name);
		struct why why;

		if (!new)
			differ(&attach->differences,
			       "profile \"%s\": the model has it, the "
			       "publisher does not (emactl drop %s/%s)",
			       old->name, model->name, old->name);
		else if (!profile_equal(old, new, &why))
			differ(&attach->differences, "profile \"%s\": %.300s",
			       old->name, why.text);
	}
}

static enum status
compare_with_model(struct attach *attach, const struct safetensors *slot)
{
	const struct model *model = attach->model;
	struct differences *differences = &attach->differences;

	compare_tables(differences, model->plan->slot, slot);
	compare_profiles(attach);
	if (differences->n == 0)
		return STATUS_OK;
	why_set(&attach->why,
		"model \"%s\" exists and differs in %zu place%s: %s%s; attach "
		"with the same spec, under another name, or drop it first "
		"(emactl drop %s)",
		model->name, differences->n, differences->n == 1 ? "" : "s",
		differences->listed[0], differences->n > 1 ? ", ..." : "",
		model->name);
	return STATUS_SPEC_DIFFERS;
}

/* Every name free: no file of a stranger, none of another model of ours. */
static enum status
check_file_name(char ret_file[FILE_NAME_SIZE], struct attach *attach,
		const char *profile)
{
	const char *model = attach->message->attach->model;
	char path[FILE_NAME_SIZE + sizeof SHM_DIRECTORY + 1];
	struct stat status;

	if (!name_public_file(ret_file, attach->state->instance, model,
			      profile)) {
		why_set(&attach->why,
			"the names of instance, model and profile together "
			"are longer than a file's name may be (%d)",
			FILE_NAME_SIZE - 1);
		return STATUS_BAD_NAME;
	}
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", ret_file);
	if (lstat(path, &status) == 0) {
		why_set(&attach->why,
			"the name %s is taken by another file: remove that, "
			"or choose another name",
			path);
		return STATUS_NAME_TAKEN;
	}
	return STATUS_OK;
}

/* Headers for the profiles that are new. */
static enum status
make_fresh(struct attach *attach, const struct safetensors *slot,
	   const struct safetensors *average)
{
	const struct version_model model = {
		.name = attach->message->attach->model,
		.owner =
			attach->model ? attach->model->owner : attach->peer.uid,
	};

	attach->fresh = xcalloc(attach->n_profiles, sizeof *attach->fresh);
	for (size_t i = 0; i < attach->n_profiles; i++) {
		const struct profile *asked = &attach->profiles[i];
		struct version_header header;
		struct profile profile;
		char file[FILE_NAME_SIZE];
		const struct version_name names = {
			.instance = attach->state->instance,
			.model = model.name,
			.file = file,
		};
		enum status status;

		if (attach->model &&
		    model_find_profile(attach->model, asked->name))
			continue;
		status = check_file_name(file, attach, asked->name);
		if (status != STATUS_OK)
			return status;
		status = version_header_init(&header, &model, asked, slot,
					     average, &attach->why);
		if (status != STATUS_OK)
			return status;
		profile_copy(&profile, asked);
		versions_init(&attach->fresh[attach->n_fresh++], &profile,
			      &header, &names, average->data_size);
	}
	return STATUS_OK;
}

/* The plan for all profiles, the model's own first.  Takes the layouts. */
static enum status
make_plan(struct attach *attach, struct safetensors **slot,
	  struct safetensors **average)
{
	size_t n_own = attach->model ? attach->model->n_profiles : 0;
	owned_memory struct profile *profiles =
		xcalloc(n_own + attach->n_fresh, sizeof *profiles);
	enum status status;

	for (size_t i = 0; i < n_own; i++)
		profiles[i] = attach->model->profiles[i].profile;
	for (size_t i = 0; i < attach->n_fresh; i++)
		profiles[n_own + i] = attach->fresh[i].profile;
	status = plan_new(&attach->plan, *slot, *average, profiles,
			  n_own + attach->n_fresh, &attach->why);
	if (status == STATUS_OK) {
		*slot = NULL;
		*average = NULL;
	}
	return status;
}

/* Bytes that are still to be reserved, for the sentence. */
static uint64_t
missing_memory(const struct attach *attach, size_t n_supplies,
	       uint64_t slot_size, unsigned int n_slots_left)
{
	uint64_t missing = slot_size * n_slots_left;

	for (size_t i = 0; i < n_supplies; i++)
		missing += version_supply_missing(&attach->supplies[i]);
	return missing;
}

static int
make_slot(struct attach *attach, unsigned int index,
	  const struct version_header *header, uint64_t size)
{
	char prefix[FILE_NAME_SIZE];
	char name[FILE_NAME_SIZE];
	struct shm *slot = &attach->slots[index];
	const struct numa_placement near = { 1, &attach->node };
	int r;

	name_hidden_prefix(prefix, attach->state->instance);
	(void)snprintf(name, sizeof name, "%.200sslot-%016" PRIx64 "-%u",
		       prefix, attach->slot_tag, index);
	r = shm_create_placed(slot, name, size, 0600, &near);
	if (r < 0)
		return r;
	shm_collapse(slot, attach->state->huge);
	memcpy(slot->base, header->bytes, header->size);
	if (attach->peer.uid == geteuid())
		return 0;
	return shm_give_to(slot, attach->peer.uid, attach->peer.gid,
			   attach->state->slot_mode);
}

static enum status
make_memory(struct attach *attach, const struct version_header *header,
	    uint64_t slot_data_size)
{
	size_t n_own = attach->model ? attach->model->n_profiles : 0;
	size_t n_supplies = n_own + attach->n_fresh;
	uint64_t slot_size = header->size + slot_data_size;
	struct version_maker maker = {
		.instance = attach->state->instance,
		.mode = attach->state->mode,
		.next_file = &attach->state->next_file,
		.huge = attach->state->huge,
		.placement = &attach->state->placement,
	};
	unsigned int n_slots = 0;
	int r = 0;

	attach->slot_header_size = header->size;
	attach->node =
		attach->state->n_nodes < 2
			? NUMA_NONE
			: numa_node_of_process(NUMA_ROOT, attach->peer.pid);
	attach->supplies = xcalloc(n_supplies, sizeof *attach->supplies);
	for (size_t i = 0; i < n_supplies; i++)
		attach->supplies[i] =
			versions_want(i < n_own ? &attach->model->profiles[i]
						: &attach->fresh[i - n_own]);
	for (size_t i = 0; i < n_supplies && r == 0; i++)
		r = version_supply_make(&attach->supplies[i], &maker);
	while (n_slots < attach->n_slots && r == 0) {
		r = make_slot(attach, n_slots, header, slot_size);
		n_slots += r == 0;
	}
	if (r == 0)
		return STATUS_OK;
	return space_explain(&attach->why, r,
			     missing_memory(attach, n_supplies, slot_size,
					    attach->n_slots - n_slots),
			     "the slots and averages of this model");
}

static enum status
make_all(struct attach *attach, struct safetensors **slot,
	 struct safetensors **average)
{
	struct version_header header = { 0 };
	uint64_t slot_data_size = (*slot)->data_size;
	enum status status = STATUS_OK;

	if (attach->model)
		status = compare_with_model(attach, *slot);
	if (status == STATUS_OK)
		status = make_fresh(attach, *slot, *average);
	if (status == STATUS_OK)
		status = version_header_init_slot(
			&header, attach->message->attach->model, *slot,
			&attach->why);
	if (status == STATUS_OK)
		status = make_memory(attach, &header, slot_data_size);
	/* After the memory, since a plan of more than there is is vast. */
	if (status == STATUS_OK && attach->n_fresh > 0)
		status = make_plan(attach, slot, average);
	version_header_deinit(&header);
	return status;
}

void
attach_work(struct attach *attach)
{
	const Emad__Attach *message = attach->message->attach;
	owned_safetensors *spec = NULL;
	owned_safetensors *slot = NULL;
	owned_safetensors *average = NULL;

	attach->status = safetensors_parse(&spec, message->tensors.data,
					   message->tensors.len, &attach->why);
	if (attach->status == STATUS_OK)
		attach->status = version_slot_layout(&slot, spec, &attach->why);
	if (attach->status == STATUS_OK)
		attach->status =
			version_average_layout(&average, spec, &attach->why);
	if (attach->status == STATUS_OK)
		attach->status = make_all(attach, &slot, &average);
}

void
attach_discard_work(struct attach *attach)
{
	size_t n_own = attach->model ? attach->model->n_profiles : 0;

	if (attach->supplies)
		for (size_t i = 0; i < n_own + attach->n_fresh; i++)
			version_supply_discard(&attach->supplies[i]);
	for (size_t i = 0; i < attach->n_fresh; i++)
		versions_deinit(&attach->fresh[i], true);
	for (unsigned int i = 0; i < attach->n_slots; i++) {
		if (attach->slots[i].fd >= 0)
			(void)shm_unlink_name(&attach->slots[i]);
		shm_close(&attach->slots[i]);
	}
	for (size_t i = 0; i < attach->differences.n_listed; i++)
		free(attach->differences.listed[i]);
	free(attach->supplies);
	free(attach->fresh);
	plan_free(attach->plan);
}
