#include "tests/lib/rest_stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/io/guard.h"
#include "tests/unit/unit.h"

static const char table[] =
	"{\"i\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]},"
	"\"w\":{\"dtype\":\"F32\",\"shape\":[1000],"
	"\"data_offsets\":[24,4024]}}";

char rest_stage_instance[32];
static _Atomic uint64_t next_file;
struct versions versions;
struct rest later;

struct version_maker
rest_stage_maker(void)
{
	return (struct version_maker) {
		.instance = rest_stage_instance,
		.mode = 0600,
		.next_file = &next_file,
	};
}

void
rest_stage_supply(void)
{
	struct version_supply wanted = versions_want(&versions);
	struct version_maker with = rest_stage_maker();

	ck_assert_int_eq(version_supply_make(&wanted, &with), 0);
	ck_assert_uint_eq(version_supply_missing(&wanted), 0);
	versions_take(&versions, &wanted);
}

void
rest_stage_init(enum accumulator accumulator)
{
	struct version_model net = { .name = "net", .owner = geteuid() };
	struct schedule schedule = schedule_default(SCHEDULE_CONSTANT);
	struct version_header header;
	struct safetensors *spec, *slot, *average;
	struct profile profile;
	char file[FILE_NAME_SIZE];
	const struct version_name names = {
		.instance = rest_stage_instance,
		.model = "net",
		.file = file,
	};
	struct why why;

	ck_assert_int_eq(safetensors_parse(&spec, table, strlen(table), &why),
			 0);
	ck_assert_int_eq(version_slot_layout(&slot, spec, &why), 0);
	ck_assert_int_eq(version_average_layout(&average, spec, &why), 0);
	profile_init(&profile, "ema", &schedule);
	profile.accumulator = accumulator;
	ck_assert_int_eq(version_header_init(&header, &net, &profile, slot,
					     average, &why),
			 0);
	ck_assert(name_public_file(file, rest_stage_instance, "net", "ema"));
	versions_init(&versions, &profile, &header, &names, average->data_size);
	safetensors_free(spec);
	safetensors_free(slot);
	safetensors_free(average);
	rest_init(&later, accumulator, rest_stage_instance, "net", "ema",
		  N_RESTS * 4);
}

void
rest_stage_setup(void)
{
	(void)signal(SIGIO, SIG_IGN);
	ck_assert_int_eq(guard_install(), 0);
	(void)snprintf(rest_stage_instance, sizeof rest_stage_instance,
		       "rest-%d", (int)getpid());
}

static void
count_file(const char *name, void *arg)
{
	(void)name;
	(*(unsigned int *)arg)++;
}

unsigned int
rest_stage_count_files(void)
{
	char prefix[FILE_NAME_SIZE];
	unsigned int n = 0;

	name_public_prefix(prefix, rest_stage_instance);
	ck_assert_int_eq(shm_each(prefix, count_file, &n), 0);
	name_hidden_prefix(prefix, rest_stage_instance);
	ck_assert_int_eq(shm_each(prefix, count_file, &n), 0);
	return n;
}

void
rest_stage_deinit(void)
{
	rest_deinit(&later, true);
	versions_deinit(&versions, true);
	ck_assert_uint_eq(rest_stage_count_files(), 0);
}

/* Data of step @step, or whether that is what is there. */
void
rest_stage_fill_data(char *average, char *rest, int64_t step)
{
	for (size_t i = 0; i < N_RESTS; i++) {
		float x = (float)(step * 1000 + (int64_t)i);
		double y = (double)x + 0x1p-30;
		int16_t k = (int16_t)(step * 1000 + (int64_t)i);

		memcpy(average + i * sizeof x, &x, sizeof x);
		if (versions.rest.accumulator == ACCUMULATOR_FLOAT64)
			memcpy(rest + i * sizeof y, &y, sizeof y);
		else
			memcpy(rest + i * sizeof k, &k, sizeof k);
	}
}

bool
rest_stage_is_rest_of(const char *rest, int64_t step)
{
	owned_memory char *average = xcalloc(N_RESTS, sizeof(float));
	owned_memory char *expected = xcalloc(N_RESTS, sizeof(double));

	rest_stage_fill_data(average, expected, step);
	return memcmp(rest, expected, versions.rest.data_size) == 0;
}

struct version_state
rest_stage_state_of(int64_t step)
{
	return (struct version_state) {
		.step = step,
		.updates = (uint64_t)step + 1,
	};
}

void
rest_stage_claim(void)
{
	if (!versions_claim(&versions)) {
		rest_stage_supply();
		ck_assert(versions_claim(&versions));
	}
	ck_assert_int_eq(versions_begin(&versions), 0);
}

void
rest_stage_publish(int64_t step)
{
	struct version_state state = rest_stage_state_of(step);

	rest_stage_claim();
	rest_stage_fill_data(versions_next_data(&versions),
			     rest_next_data(&versions.rest), step);
	ck_assert_int_eq(versions_publish(&versions, &state), 0);
}

/* What another daemon finds beside the version of @step. */
bool
rest_stage_is_found(int64_t step)
{
	struct version_state state = rest_stage_state_of(step);
	bool found;

	rest_deinit(&later, false);
	rest_init(&later, versions.rest.accumulator, rest_stage_instance, "net",
		  "ema", N_RESTS * 4);
	found = rest_adopt(&later, &state);
	if (found)
		ck_assert(
			rest_stage_is_rest_of(rest_current_data(&later), step));
	return found;
}

/* Close what an adoption opened, but leave its files. */
void
rest_stage_forget(struct rest *rest)
{
	for (size_t i = 0; i < 2; i++) {
		shm_close(&rest->files[i].shm);
		rest->files[i] = (struct rest_file) { .shm = SHM_NONE };
	}
}
