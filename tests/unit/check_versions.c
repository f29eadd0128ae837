#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/io/guard.h"
#include "daemon/service/versions.h"
#include "tests/unit/unit.h"

static const char table[] =
	"{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}";

static char instance[32];
static _Atomic uint64_t next_file;
static struct versions versions;

/* Like the loop: say what is missing, have it made, take it. */
static void
supply(void)
{
	struct version_maker maker = {
		.instance = instance,
		.mode = 0600,
		.next_file = &next_file,
	};
	struct version_supply wanted = versions_want(&versions);

	ck_assert_int_eq(version_supply_make(&wanted, &maker), 0);
	versions_take(&versions, &wanted);
}

static void
setup(void)
{
	struct version_model net = { .name = "net", .owner = geteuid() };
	struct schedule schedule = schedule_default(SCHEDULE_CONSTANT);
	struct version_header header;
	struct safetensors *spec;
	struct safetensors *slot;
	struct safetensors *average;
	struct profile profile;
	char file[FILE_NAME_SIZE];
	const struct version_name names = {
		.instance = instance,
		.model = "net",
		.file = file,
	};
	struct why why;

	(void)signal(SIGIO, SIG_IGN);
	ck_assert_int_eq(guard_install(), 0);
	(void)snprintf(instance, sizeof instance, "versions-%d", (int)getpid());
	ck_assert_int_eq(safetensors_parse(&spec, table, strlen(table), &why),
			 0);
	ck_assert_int_eq(version_slot_layout(&slot, spec, &why), 0);
	ck_assert_int_eq(version_average_layout(&average, spec, &why), 0);
	profile_init(&profile, "ema", &schedule);
	ck_assert_int_eq(version_header_init(&header, &net, &profile, slot,
					     average, &why),
			 0);
	ck_assert(name_public_file(file, instance, "net", "ema"));
	versions_init(&versions, &profile, &header, &names, average->data_size);
	safetensors_free(spec);
	safetensors_free(slot);
	safetensors_free(average);
	supply();
}

static void
count_file(const char *name, void *arg)
{
	(void)name;
	(*(unsigned int *)arg)++;
}

static unsigned int
count_files(void)
{
	char prefix[FILE_NAME_SIZE];
	unsigned int n = 0;

	name_public_prefix(prefix, instance);
	ck_assert_int_eq(shm_each(prefix, count_file, &n), 0);
	name_hidden_prefix(prefix, instance);
	ck_assert_int_eq(shm_each(prefix, count_file, &n), 0);
	return n;
}

static void
teardown(void)
{
	versions_deinit(&versions, true);
	ck_assert_uint_eq(count_files(), 0);
}

static int
try_publish(int64_t step)
{
	struct version_state state = { .step = step, .updates = 1 };

	if (!versions_claim(&versions)) {
		supply();
		ck_assert(versions_claim(&versions));
	}
	ck_assert_int_eq(versions_begin(&versions), 0);
	memset(versions_next_data(&versions), (int)step, 16);
	return versions_publish(&versions, &state);
}

/* Map the public file as a reader does. */
static const char *
map_public(uint64_t *ret_size)
{
	char path[FILE_NAME_SIZE + 16];
	struct stat status;
	const char *file;
	owned_fd fd = -1;

	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", versions.file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &status), 0);
	*ret_size = (uint64_t)status.st_size;
	file = mmap(NULL, *ret_size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(file, MAP_FAILED);
	return file;
}

static int64_t
step_of(const char *file, uint64_t size)
{
	struct version_state state;
	struct why why;

	ck_assert_msg(version_read_state(&state, file, size, &why) == 0, "%s",
		      why.text);
	return state.step;
}

static void
unmap(const char *file, uint64_t size)
{
	ck_assert_int_eq(munmap((void *)(uintptr_t)file, size), 0);
}

START_TEST(each_version_becomes_the_public_file)
{
	for (int64_t step = 0; step < 5; step++) {
		const char *file;
		uint64_t size;

		ck_assert_int_eq(try_publish(step), 0);
		file = map_public(&size);
		ck_assert_int_eq(step_of(file, size), step);
		ck_assert_int_eq(file[size - 1], (char)step);
		unmap(file, size);
	}
	ck_assert_uint_eq(count_files(), 2);
}
END_TEST

START_TEST(a_reader_keeps_its_version_for_good)
{
	uint64_t size;

	/* Readers in another process: ours would not stop our own lease. */
	for (int64_t step = 0; step < 3; step++) {
		int go[2];
		int done[2];
		char byte;
		pid_t reader;
		int status;

		ck_assert_int_eq(try_publish(3 * step), 0);
		ck_assert_int_eq(pipe(go), 0);
		ck_assert_int_eq(pipe(done), 0);
		reader = fork();
		ck_assert_int_ge(reader, 0);
		if (reader == 0) {
			const char *file = map_public(&size);

			ck_assert_int_eq(write(done[1], "m", 1), 1);
			ck_assert_int_eq(read(go[0], &byte, 1), 1);
			_exit(step_of(file, size) == 3 * step ? 0 : 1);
		}
		ck_assert_int_eq(read(done[0], &byte, 1), 1);
		ck_assert_int_eq(try_publish(3 * step + 1), 0);
		ck_assert_int_eq(try_publish(3 * step + 2), 0);
		ck_assert_int_eq(write(go[1], "g", 1), 1);
		ck_assert_int_eq(waitpid(reader, &status, 0), reader);
		ck_assert_int_eq(status, 0);
		for (int i = 0; i < 2; i++) {
			close(go[i]);
			close(done[i]);
		}
	}
}
END_TEST

START_TEST(a_strangers_file_is_not_overwritten)
{
	char path[FILE_NAME_SIZE + 16];
	struct stat status;
	owned_fd fd = -1;

	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", versions.file);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(try_publish(1), -EEXIST);
	ck_assert_int_eq(versions.state.step, STEP_NONE);
	ck_assert_int_eq(fstat(fd, &status), 0);
	ck_assert_int_eq(status.st_size, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(try_publish(1), 0);
}
END_TEST

START_TEST(a_removed_public_file_comes_back_with_the_next_version)
{
	char path[FILE_NAME_SIZE + 16];
	const char *file;
	uint64_t size;

	ck_assert_int_eq(try_publish(1), 0);
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", versions.file);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(try_publish(2), 0);
	ck_assert_int_eq(try_publish(3), 0);
	file = map_public(&size);
	ck_assert_int_eq(step_of(file, size), 3);
	unmap(file, size);
}
END_TEST

START_TEST(a_truncated_next_file_is_replaced)
{
	ck_assert_int_eq(try_publish(1), 0);
	ck_assert_int_eq(ftruncate(versions.next.shm.fd, 0), 0);
	ck_assert_int_eq(try_publish(2), 0);
	ck_assert_int_eq(versions.state.step, 2);
}
END_TEST

START_TEST(a_file_in_the_making_never_looks_whole)
{
	struct version_state state;
	struct why why;

	for (int64_t step = 0; step < 3; step++)
		ck_assert_int_eq(try_publish(step), 0);
	ck_assert(versions_claim(&versions));
	ck_assert_int_eq(versions_begin(&versions), 0);
	ck_assert_int_ne(version_read_state(&state, versions.next.shm.base,
					    versions.size, &why),
			 STATUS_OK);
	versions_abandon(&versions);
	ck_assert_int_eq(try_publish(3), 0);
}
END_TEST

/* Two tensors, of which one has many pieces. */
static struct plan *
make_plan(void)
{
	static const uint64_t n_large = 3 * PLAN_CHUNK_SIZE / 4, n_small = 7;
	struct tensor tensors[] = {
		{ .name = "a",
		  .dtype = DTYPE_F32,
		  .n_dims = 1,
		  .shape = &n_large },
		{ .name = "b",
		  .dtype = DTYPE_F32,
		  .n_dims = 1,
		  .shape = &n_small },
	};
	struct safetensors spec = { .n_tensors = 2, .tensors = tensors };
	struct safetensors *slot, *average;
	struct plan *plan = NULL;
	struct why why;

	for (size_t i = 0; i < 2; i++)
		ck_assert(tensor_measure(DTYPE_F32, 1, tensors[i].shape,
					 &tensors[i].n_elements,
					 &tensors[i].size));
	ck_assert_int_eq(version_slot_layout(&slot, &spec, &why), 0);
	ck_assert_int_eq(version_average_layout(&average, &spec, &why), 0);
	ck_assert_int_eq(
		plan_new(&plan, slot, average, &versions.profile, 1, &why), 0);
	return plan;
}

START_TEST(drift_is_the_sum_of_a_tensors_pieces)
{
	struct plan *plan = make_plan();
	const struct average_sums sums[] = {
		{ 1.0, 10.0 }, { 2.0, 20.0 }, { 4.0, 40.0 }, { 8.0, 80.0 }
	};

	ck_assert_uint_eq(plan->n_pieces, 4);
	ck_assert_ptr_null(versions.drift);
	/* Of the last update alone. */
	for (int i = 0; i < 2; i++)
		versions_set_drift(&versions, plan, sums);
	ck_assert(versions.drift[0].distance == 7.0);
	ck_assert(versions.drift[0].norm == 70.0);
	ck_assert(versions.drift[1].distance == 8.0);
	ck_assert(versions.drift[1].norm == 80.0);
	ck_assert(versions.drift_total.distance == 15.0);
	ck_assert(versions.drift_total.norm == 150.0);
	plan_free(plan);
}
END_TEST

static Suite *
versions_suite(void)
{
	Suite *suite = suite_create("versions");
	TCase *tcase = tcase_create("versions");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_version_becomes_the_public_file);
	tcase_add_test(tcase, a_reader_keeps_its_version_for_good);
	tcase_add_test(tcase, a_strangers_file_is_not_overwritten);
	tcase_add_test(tcase,
		       a_removed_public_file_comes_back_with_the_next_version);
	tcase_add_test(tcase, a_truncated_next_file_is_replaced);
	tcase_add_test(tcase, a_file_in_the_making_never_looks_whole);
	tcase_add_test(tcase, drift_is_the_sum_of_a_tensors_pieces);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(versions_suite)
