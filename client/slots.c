/*
 * The shared memory that a publisher writes its snapshots into.
 *
 * A slot stays at its address from attach to detach, whatever files the
 * daemon makes for it: callers keep pointers into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/internal.h"
#include "proto/map.h"

#ifndef MADV_POPULATE_WRITE /* since Linux 5.14 and glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

bool
is_plain_file_name(const char *file)
{
	return file[0] != '\0' && !strchr(file, '/') &&
	       strcmp(file, ".") != 0 && strcmp(file, "..") != 0 &&
	       strlen(file) < FILE_NAME_SIZE;
}

/*
 * See to it that no page of @file has to be mapped later, in a publish.  Where
 * the memory cannot be had this fails, and nothing ends with SIGBUS.
 */
static bool
populate(char *file, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (madvise(file, size, MADV_POPULATE_WRITE) == 0)
		return true;
	if (errno != EINVAL)
		return false;
	/* An older kernel; the daemon has made the pages. */
	for (uint64_t at = 0; at < size; at += page)
		(void)*(volatile char *)(file + at);
	return true;
}

static int
map_file(char **ret_file, int fd, uint64_t size)
{
	void *file;
	int r = map_shared(fd, size, PROT_READ | PROT_WRITE, 0, &file);

	if (r == 0 && !populate(file, size)) {
		r = -errno;
		map_remove(file, size);
	}
	if (r == 0)
		*ret_file = file;
	return r;
}

/* Map @slot whole, with every page there already. */
static int
map(char **ret_file, const Emad__Slot *slot)
{
	char name[FILE_NAME_SIZE + 1];
	struct stat status;
	owned_fd fd = -1;
	int r;

	if (!is_plain_file_name(slot->file) || slot->size == 0)
		return fail(EMAD_CHANGED, "\"%.100s\" cannot be a slot",
			    slot->file);
	(void)snprintf(name, sizeof name, "/%s", slot->file);
	fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return fail(EMAD_SYSTEM,
			    "cannot open the slot " SHM_DIRECTORY "%s: %s",
			    name, strerror(errno));
	if (fstat(fd, &status) < 0 || (uint64_t)status.st_size != slot->size)
		return fail(EMAD_CHANGED,
			    "the slot " SHM_DIRECTORY "%s has not the %" PRIu64
			    " bytes that the daemon said",
			    name, slot->size);
	r = map_file(ret_file, fd, slot->size);
	if (r < 0)
		return fail(EMAD_SYSTEM,
			    "cannot map the slot " SHM_DIRECTORY "%s: %s", name,
			    strerror(-r));
	return EMAD_OK;
}

static void
unmap(char **files, size_t n, uint64_t size)
{
	for (size_t i = 0; i < n; i++)
		if (files[i])
			(void)munmap(files[i], size);
}

/* All of them or none.  They must have one size and one header. */
static int
map_all(char **ret_files, const Emad__AttachReply *reply, uint64_t header_size)
{
	uint64_t size = reply->slots[0]->size;
	int status = EMAD_OK;

	for (size_t i = 0; i < reply->n_slots && status == EMAD_OK; i++) {
		ret_files[i] = NULL;
		if (reply->slots[i]->size != size)
			status = fail(EMAD_CHANGED, "slots differ in size");
		else
			status = map(&ret_files[i], reply->slots[i]);
		if (status == EMAD_OK && i > 0 &&
		    memcmp(ret_files[0], ret_files[i], header_size) != 0)
			status = fail(EMAD_CHANGED, "slots differ");
		if (status != EMAD_OK)
			unmap(ret_files, i + 1, size);
	}
	return status;
}

static int
parse(struct safetensors **ret_header, const char *file, uint64_t size)
{
	enum status status;
	struct why why;

	status = safetensors_parse_file(ret_header, file, size, &why);
	return status == STATUS_OK
		       ? EMAD_OK
		       : fail(EMAD_CHANGED, "a slot has no valid header: %s",
			      why.text);
}

static int
compare_tensors(const void *a, const void *b)
{
	return strcmp((*(const struct tensor *const *)a)->name,
		      (*(const struct tensor *const *)b)->name);
}

/* By where they begin and end. */
static int
compare_places(const void *a, const void *b)
{
	const struct place *first = a;
	const struct place *second = b;

	if (first->offset != second->offset)
		return first->offset < second->offset ? -1 : 1;
	if (first->size != second->size)
		return first->size < second->size ? -1 : 1;
	return 0;
}

/* Find each of the caller's tensors in the slot. */
static int
place_tensors(struct emad_publisher *publisher,
	      const struct safetensors *header,
	      const struct emad_tensor *tensors)
{
	size_t n = header->n_tensors;
	owned_memory const struct tensor **sorted = xcalloc(n, sizeof *sorted);

	if (n != publisher->n_tensors)
		return fail(EMAD_CHANGED, "a slot holds %zu tensors, not %zu",
			    n, publisher->n_tensors);
	for (size_t i = 0; i < n; i++)
		sorted[i] = &header->tensors[i];
	qsort(sorted, n, sizeof *sorted, compare_tensors);
	for (size_t i = 0; i < n; i++) {
		struct tensor named = { .name = tensors[i].name };
		const struct tensor *key = &named;
		const struct tensor **found;
		uint64_t n_elements, size;
		enum dtype dtype;

		found = bsearch(&key, sorted, n, sizeof *sorted,
				compare_tensors);
		if (!found ||
		    !dtype_parse(&dtype, tensors[i].dtype,
				 strlen(tensors[i].dtype)) ||
		    !tensor_measure(dtype, tensors[i].n_dims, tensors[i].shape,
				    &n_elements, &size) ||
		    size != (*found)->size)
			return fail(EMAD_CHANGED,
				    "a slot holds no such tensor as %.200s",
				    tensors[i].name);
		publisher->places[i] = (struct place) {
			.offset = header->header_size + (*found)->begin,
			.size = size,
			.index = i,
		};
	}
	qsort(publisher->places, n, sizeof *publisher->places, compare_places);
	return EMAD_OK;
}

/* How many slots there are is agreed on in advance. */
static int
check_count(const struct emad_publisher *publisher,
	    const Emad__AttachReply *reply)
{
	if (reply->n_slots == publisher->attach.n_slots)
		return EMAD_OK;
	return fail(EMAD_CHANGED, "the daemon made %zu slots, not %u",
		    reply->n_slots, publisher->attach.n_slots);
}

int
slots_map(struct emad_publisher *publisher, const Emad__AttachReply *reply,
	  const struct emad_tensor *tensors)
{
	owned_safetensors *header = NULL;
	char *files[WIRE_SLOTS_MAX];
	uint64_t size;
	int status;

	status = check_count(publisher, reply);
	if (status == EMAD_OK)
		status = map_all(files, reply, 0);
	if (status != EMAD_OK)
		return status;
	size = reply->slots[0]->size;
	status = parse(&header, files[0], size);
	if (status == EMAD_OK)
		status = place_tensors(publisher, header, tensors);
	for (size_t i = 1; i < reply->n_slots && status == EMAD_OK; i++)
		if (memcmp(files[0], files[i], header->header_size) != 0)
			status = fail(EMAD_CHANGED, "slots differ");
	if (status != EMAD_OK) {
		unmap(files, reply->n_slots, size);
		return status;
	}
	publisher->n_slots = reply->n_slots;
	publisher->slot_size = size;
	publisher->data_start = header->header_size;
	for (size_t i = 0; i < reply->n_slots; i++)
		publisher->slots[i].file = files[i];
	return EMAD_OK;
}

/* Whether tensors lie in @b where they lie in @a. */
static int
compare_layouts(const char *a, const char *b, uint64_t size,
		uint64_t data_start)
{
	owned_safetensors *old = NULL;
	owned_safetensors *new = NULL;
	int status;

	if (memcmp(a, b, data_start) == 0)
		return EMAD_OK;
	/* Another daemon may say other things about the same tensors. */
	status = parse(&old, a, size);
	if (status == EMAD_OK)
		status = parse(&new, b, size);
	if (status != EMAD_OK)
		return status;
	if (old->n_tensors != new->n_tensors ||
	    old->header_size != new->header_size)
		return fail(EMAD_CHANGED, "slots are laid out differently");
	for (size_t i = 0; i < old->n_tensors; i++)
		if (strcmp(old->tensors[i].name, new->tensors[i].name) != 0 ||
		    old->tensors[i].begin != new->tensors[i].begin ||
		    old->tensors[i].size != new->tensors[i].size)
			return fail(EMAD_CHANGED,
				    "tensor %.200s lies "
				    "elsewhere in the slots",
				    old->tensors[i].name);
	return EMAD_OK;
}

int
slots_remap(struct emad_publisher *publisher, const Emad__AttachReply *reply)
{
	uint64_t size = publisher->slot_size;
	uint64_t start = publisher->data_start;
	char *files[WIRE_SLOTS_MAX];
	int status;

	status = check_count(publisher, reply);
	if (status == EMAD_OK && reply->slots[0]->size != size)
		status = fail(EMAD_CHANGED, "slots have another size");
	if (status == EMAD_OK)
		status = map_all(files, reply, start);
	if (status != EMAD_OK)
		return status;
	status = compare_layouts(publisher->slots[0].file, files[0], size,
				 start);
	if (status != EMAD_OK) {
		unmap(files, reply->n_slots, size);
		return status;
	}
	for (size_t i = 0; i < reply->n_slots; i++) {
		char *old = publisher->slots[i].file;

		copy_stream(copy_way(0), files[i] + start, old + start,
			    size - start);
		copy_finish();
		/* One mapping replaces the other; no pointer goes astray. */
		must(mremap(files[i], size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
			    old) == (void *)old);
	}
	return EMAD_OK;
}

void
slots_unmap(struct emad_publisher *publisher)
{
	for (size_t i = 0; i < publisher->n_slots; i++)
		(void)munmap(publisher->slots[i].file, publisher->slot_size);
	publisher->n_slots = 0;
}
