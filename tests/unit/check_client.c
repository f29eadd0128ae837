#include "client/emad.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/lib/fake_daemon.h"
#include "tests/unit/unit.h"

#define N_ELEMENTS 1000

static const uint64_t shape[] = { N_ELEMENTS };
static const uint64_t matrix_shape[] = { 2, 3 };

static float weight[N_ELEMENTS];
static uint16_t half[6];
static int64_t scalar;

static const struct emad_tensor tensors[] = {
	{ .name = "half",
	  .dtype = "BF16",
	  .n_dims = 2,
	  .shape = matrix_shape,
	  .data = half },
	{ .name = "weight",
	  .dtype = "F32",
	  .n_dims = 1,
	  .shape = shape,
	  .data = weight },
	{ .name = "a scalar", .dtype = "I64", .data = &scalar },
};
static const size_t n_tensors = sizeof tensors / sizeof tensors[0];

static struct fake *fake;
static struct emad *emad;
static struct emad_publisher *publisher;
static struct emad_profile profile;
static struct emad_options options;
static struct fake_record record;
static struct emad_counts counts;

static const struct fake_orders hold = { .must_hold = true };
static const struct fake_orders nothing_special;

static void
setup(void)
{
	fake = fake_new();
	fake_start(fake);
	profile = emad_profile_default("constant");
	options = (struct emad_options) {
		.profiles = &profile,
		.n_profiles = 1,
	};
	ck_assert_int_eq(emad_connect(&emad, fake_address(fake), -1), EMAD_OK);
}

static void
teardown(void)
{
	emad_close(emad);
	fake_free(fake);
}

static void
attach(void)
{
	int status = emad_attach(&publisher, emad, "net", tensors, n_tensors,
				 &options);

	ck_assert_msg(status == EMAD_OK, "%s", emad_error());
}

static int
publish(int64_t step)
{
	weight[0] = (float)step;
	return emad_publish(publisher, step, tensors);
}

static void
publish_well(int64_t step)
{
	int status = publish(step);

	ck_assert_msg(status == EMAD_OK, "step %d: %s", (int)step,
		      emad_error());
}

/* ---- connections ---- */

START_TEST(nobody_there_is_said_at_once)
{
	struct emad *other = NULL;

	fake_stop(fake);
	ck_assert_int_eq(emad_connect(&other, fake_address(fake), -1),
			 EMAD_UNREACHABLE);
	ck_assert_ptr_null(other);
	ck_assert_ptr_nonnull(strstr(emad_error(), fake_address(fake)));
	ck_assert_ptr_nonnull(strstr(emad_error(), "start it with: emad"));
}
END_TEST

START_TEST(a_daemon_that_says_nothing_is_unreachable)
{
	struct fake_orders mute = { .is_mute = true };
	struct emad *other = NULL;

	fake_order(fake, &mute);
	ck_assert_int_eq(emad_connect(&other, fake_address(fake), 50),
			 EMAD_UNREACHABLE);
	ck_assert_ptr_null(other);
}
END_TEST

START_TEST(a_connection_is_usable_after_a_timeout)
{
	struct fake_orders mute = { .is_mute = true };
	char *text;

	options.timeout_ms = 50;
	fake_order(fake, &mute);
	ck_assert_int_eq(emad_attach(&publisher, emad, "net", tensors,
				     n_tensors, &options),
			 EMAD_TIMEOUT);
	fake_order(fake, &nothing_special);
	ck_assert_int_eq(emad_status_json(emad, &text), EMAD_OK);
	free(text);
}
END_TEST

START_TEST(bad_addresses_are_refused)
{
	struct emad *other;

	ck_assert_int_eq(emad_connect(&other, "tcp://host", 0), EMAD_USAGE);
	ck_assert_int_eq(emad_connect(&other, "ipc://relative", 0), EMAD_USAGE);
	ck_assert_int_eq(emad_connect(NULL, NULL, 0), EMAD_USAGE);
}
END_TEST

START_TEST(statuses_have_their_public_names)
{
	ck_assert_str_eq(emad_status_name(EMAD_NO_SPACE), "EMAD_NO_SPACE");
	ck_assert_str_eq(emad_status_name(EMAD_OK), "EMAD_OK");
	ck_assert_str_eq(emad_status_name(99), "EMAD_STATUS_99");
	ck_assert_str_eq(emad_error(), "");
}
END_TEST

static void
try_everything(void)
{
	struct emad *other;
	char *text;
	void *data[3];

	if (publish(1) != EMAD_FORKED ||
	    emad_begin(publisher, data) != EMAD_FORKED ||
	    emad_commit(publisher, 1) != EMAD_FORKED ||
	    emad_flush(publisher) != EMAD_FORKED ||
	    emad_detach(publisher) != EMAD_FORKED ||
	    emad_stop(emad) != EMAD_FORKED ||
	    emad_list_json(emad, &text) != EMAD_FORKED ||
	    emad_connect(&other, fake_address(fake), 0) != EMAD_FORKED)
		_exit(1);
	emad_close(emad);
}

START_TEST(forked_children_may_exit_and_do_nothing_else)
{
	attach();
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		int status;

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			try_everything();
			if (i == 0)
				_exit(3);
			exit(3);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), 3);
		publish_well(i);
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

/* ---- attach ---- */

START_TEST(differences_of_a_spec_are_listed)
{
	struct fake_orders differs = { .attach = STATUS_SPEC_DIFFERS };

	fake_order(fake, &differs);
	ck_assert_int_eq(emad_attach(&publisher, emad, "net", tensors,
				     n_tensors, &options),
			 EMAD_SPEC_DIFFERS);
	ck_assert_ptr_nonnull(strstr(emad_error(), "shape [3], not [2]"));
	ck_assert_ptr_nonnull(strstr(emad_error(), "bias"));
}
END_TEST

START_TEST(a_busy_model_names_the_process)
{
	struct fake_orders busy = { .attach = STATUS_BUSY, .busy_pid = 12345 };

	fake_order(fake, &busy);
	ck_assert_int_eq(emad_attach(&publisher, emad, "net", tensors,
				     n_tensors, &options),
			 EMAD_BUSY);
	ck_assert_ptr_nonnull(strstr(emad_error(), "12345"));
}
END_TEST

static int
attach_one(const char *name, const char *dtype, size_t n_dims,
	   const uint64_t *dims)
{
	struct emad_tensor tensor = {
		.name = name, .dtype = dtype, .n_dims = n_dims, .shape = dims
	};

	return emad_attach(&publisher, emad, "net", &tensor, 1, &options);
}

START_TEST(bad_specs_are_refused_before_anything_is_sent)
{
	const uint64_t huge[] = { UINT64_MAX, 2 };
	const struct emad_tensor twice[] = { tensors[0], tensors[0] };

	ck_assert_int_eq(attach_one("x", "F33", 1, shape), EMAD_BAD_SPEC);
	ck_assert_int_eq(attach_one("x", "F32", 2, huge), EMAD_BAD_SPEC);
	ck_assert_int_eq(attach_one("\xff", "F32", 1, shape), EMAD_BAD_SPEC);
	ck_assert_int_eq(attach_one("__metadata__", "F32", 1, shape),
			 EMAD_BAD_SPEC);
	ck_assert_int_eq(attach_one(NULL, "F32", 1, shape), EMAD_USAGE);
	ck_assert_int_eq(attach_one("x", NULL, 1, shape), EMAD_USAGE);
	ck_assert_int_eq(attach_one("x", "F32", 1, NULL), EMAD_USAGE);
	ck_assert_int_eq(
		emad_attach(&publisher, emad, "net", twice, 2, &options),
		EMAD_BAD_SPEC);
	ck_assert_int_eq(emad_attach(&publisher, emad, "a/b", tensors,
				     n_tensors, &options),
			 EMAD_BAD_NAME);
	profile.beta = 2;
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_BAD_SPEC);
	profile = emad_profile_default("no such variant");
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_BAD_SPEC);
	options = (struct emad_options) { .n_slots = 17 };
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_USAGE);
	options = (struct emad_options) { .mode = (enum emad_mode)3 };
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_USAGE);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 0);
}
END_TEST

START_TEST(a_table_above_the_limit_is_refused)
{
	size_t n = 200000;
	struct emad_tensor *many = xcalloc(n, sizeof *many);
	char(*names)[128] = xcalloc(n, sizeof *names);

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof names[i], "%0100zu", i);
		many[i] = (struct emad_tensor) { .name = names[i],
						 .dtype = "F32" };
	}
	ck_assert_int_eq(
		emad_attach(&publisher, emad, "net", many, n, &options),
		EMAD_TOO_LARGE);
	free(names);
	free(many);
}
END_TEST

START_TEST(a_slot_is_looked_for_in_shared_memory_only)
{
	static const char *const lies[] = { "", "..", "../../etc/passwd",
					    "/etc/passwd", "no such file" };

	for (size_t i = 0; i < array_size(lies); i++) {
		struct fake_orders lie = { .slot_file = lies[i] };
		int status;

		fake_order(fake, &lie);
		status = emad_attach(&publisher, emad, "net", tensors,
				     n_tensors, &options);
		ck_assert(status == EMAD_CHANGED || status == EMAD_SYSTEM);
	}
	/* Each time the session was given back. */
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_detaches, array_size(lies));
}
END_TEST

START_TEST(a_model_may_have_no_tensors)
{
	ck_assert_int_eq(
		emad_attach(&publisher, emad, "net", NULL, 0, &options),
		EMAD_OK);
	ck_assert_int_eq(emad_publish(publisher, 0, NULL), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

/* ---- publish ---- */

START_TEST(each_tensor_is_copied_to_its_place)
{
	attach();
	for (size_t i = 0; i < N_ELEMENTS; i++)
		weight[i] = (float)i;
	half[5] = 4711;
	scalar = -5;
	ck_assert_int_eq(emad_publish(publisher, 0, tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "weight"), weight,
			 sizeof weight);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "half"), half, sizeof half);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "a scalar"), &scalar,
			 sizeof scalar);
}
END_TEST

START_TEST(bare_pointers_publish_the_same)
{
	const void *data[] = { half, weight, &scalar };

	attach();
	weight[7] = 7;
	ck_assert_int_eq(emad_publish_data(publisher, 0, data), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "weight"), weight,
			 sizeof weight);
	data[1] = NULL;
	ck_assert_int_eq(emad_publish_data(publisher, 1, data), EMAD_USAGE);
	ck_assert_int_eq(emad_publish_data(publisher, 1, NULL), EMAD_USAGE);
}
END_TEST

START_TEST(a_large_snapshot_is_streamed_and_whole)
{
	static const uint64_t large[] = { 7000001 };
	struct emad_tensor tensor = {
		.name = "large", .dtype = "F32", .n_dims = 1, .shape = large
	};
	char *data = xmalloc(large[0] * 4 + 1);

	for (size_t i = 0; i <= large[0] * 4; i++)
		data[i] = (char)(i * 31 >> 3);
	tensor.data = data + 1;
	ck_assert_int_eq(
		emad_attach(&publisher, emad, "net", &tensor, 1, &options),
		EMAD_OK);
	ck_assert_int_eq(emad_publish(publisher, 0, &tensor), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert(memcmp(fake_slot_tensor(fake, 0, "large"), data + 1,
			 large[0] * 4) == 0);
	free(data);
}
END_TEST

START_TEST(a_step_that_nobody_wants_is_not_sent)
{
	profile.update_every = 10;
	attach();
	ck_assert(emad_wants(publisher, 0));
	ck_assert(!emad_wants(publisher, 7));
	ck_assert(!emad_wants(publisher, -1));
	for (int64_t step = 0; step < 30; step++)
		publish_well(step);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 3);
	ck_assert_uint_eq(counts.absorbed, 3);
	ck_assert_uint_eq(counts.skipped, 27);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 3);
	/* Each slot has a connection of its own: the order may differ. */
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(record.publishes[i].step,
				 10 * (int64_t)record.publishes[i].sequence -
					 10);
}
END_TEST

START_TEST(steps_go_forward_only)
{
	attach();
	publish_well(5);
	ck_assert_int_eq(publish(5), EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(publish(4), EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(publish(-1), EMAD_USAGE);
	ck_assert_int_eq(publish((INT64_C(1) << 53) + 1), EMAD_USAGE);
	publish_well(INT64_C(1) << 53);
}
END_TEST

START_TEST(a_refusal_is_reported_once_by_a_later_call)
{
	struct fake_orders refuse = { .publish = STATUS_NOT_FINITE };

	attach();
	fake_order(fake, &refuse);
	publish_well(1);
	fake_await_publishes(fake, 1);
	ck_assert_int_eq(emad_flush(publisher), EMAD_NOT_FINITE);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 1"));
	fake_order(fake, &nothing_special);
	publish_well(2);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.refused, 1);
	ck_assert_uint_eq(counts.absorbed, 1);
}
END_TEST

START_TEST(a_refusal_nobody_asked_about_is_reported_by_detach)
{
	struct fake_orders refuse = { .publish = STATUS_NOT_FINITE };

	attach();
	fake_order(fake, &refuse);
	publish_well(1);
	ck_assert_int_eq(emad_detach(publisher), EMAD_NOT_FINITE);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_detaches, 1);
}
END_TEST

START_TEST(a_replaced_snapshot_is_counted_and_no_failure)
{
	options.mode = EMAD_MODE_LATEST;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	publish_well(3);
	fake_await_publishes(fake, 3);
	fake_release(fake, STATUS_REPLACED, 1);
	publish_well(4);
	fake_await_publishes(fake, 4);
	fake_release(fake, STATUS_OK, 3);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.replaced, 1);
	ck_assert_uint_eq(counts.absorbed, 3);
	ck_assert_uint_eq(counts.refused, 0);
}
END_TEST

START_TEST(mode_drop_never_waits)
{
	options.mode = EMAD_MODE_DROP;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	ck_assert_int_eq(publish(3), EMAD_NO_SLOT);
	ck_assert_int_eq(publish(4), EMAD_NO_SLOT);
	fake_await_publishes(fake, 2);
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	publish_well(5);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.dropped, 2);
	ck_assert_uint_eq(counts.published, 3);
}
END_TEST

START_TEST(mode_block_waits_no_longer_than_told)
{
	options.timeout_ms = 50;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	ck_assert_int_eq(publish(3), EMAD_TIMEOUT);
	ck_assert_int_eq(emad_flush(publisher), EMAD_TIMEOUT);
	fake_await_publishes(fake, 2);
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	publish_well(3);
}
END_TEST

static void *
release_later(void *unused)
{
	fake_await_publishes(fake, 2);
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
	return unused;
}

START_TEST(mode_block_goes_on_when_a_slot_is_free)
{
	pthread_t thread;

	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	ck_assert_int_eq(pthread_create(&thread, NULL, release_later, NULL), 0);
	publish_well(3);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 3);
}
END_TEST

START_TEST(a_snapshot_can_be_written_in_place)
{
	float *first;
	void *data[3];

	attach();
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_USAGE);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_USAGE);
	ck_assert_int_eq(publish(0), EMAD_USAGE);
	first = data[1];
	first[0] = 42;
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_float_eq(*(const float *)fake_slot_tensor(fake, 0, "weight"),
			   42);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_ptr_ne(data[1], first);
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(emad_commit(publisher, 1), EMAD_OK);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_ptr_eq(data[1], first);
}
END_TEST

START_TEST(a_commit_that_nobody_wants_gives_the_slot_back)
{
	void *data[3], *again[3];

	profile.update_every = 2;
	attach();
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_int_eq(emad_commit(publisher, 1), EMAD_OK);
	ck_assert_int_eq(emad_begin(publisher, again), EMAD_OK);
	ck_assert_ptr_eq(data[1], again[1]);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 0);
}
END_TEST

START_TEST(a_model_that_was_taken_over_stays_so)
{
	struct fake_orders taken = { .publish = STATUS_TAKEN_OVER };
	void *data[3];

	attach();
	fake_order(fake, &taken);
	publish_well(1);
	ck_assert_int_eq(emad_flush(publisher), EMAD_TAKEN_OVER);
	ck_assert_int_eq(publish(2), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_flush(publisher), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_detach(publisher), EMAD_TAKEN_OVER);
}
END_TEST

/* ---- a daemon that was gone ---- */

START_TEST(what_was_not_answered_is_sent_again)
{
	uint64_t id;

	attach();
	publish_well(1);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	fake_order(fake, &hold);
	publish_well(2);
	publish_well(3);
	fake_await_publishes(fake, 3);
	fake_look(fake, &record);
	id = record.publisher;
	fake_stop(fake);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 2);
	ck_assert_uint_eq(record.publisher, id);
	ck_assert_uint_eq(record.first_unanswered, 2);
	ck_assert_uint_eq(record.n_publishes, 5);
	for (unsigned int i = 3; i < 5; i++) {
		const struct fake_publish *again = &record.publishes[i];

		ck_assert_uint_ge(again->sequence, 2);
		ck_assert_int_eq(again->step, (int64_t)again->sequence);
		ck_assert_float_eq(again->value, (float)again->step);
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 3);
	ck_assert_uint_eq(counts.absorbed, 3);
	ck_assert_uint_eq(counts.reattached, 1);
}
END_TEST

START_TEST(slots_keep_their_addresses_and_contents)
{
	void *data[3];

	options.n_slots = 1;
	attach();
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	memset(data[1], 0, N_ELEMENTS * 4);
	*(float *)data[1] = 17;
	fake_stop(fake);
	fake_start(fake);
	/* The loss is noticed when this is answered, and then mended. */
	ck_assert_int_eq(emad_commit(publisher, 3), EMAD_OK);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	ck_assert_float_eq(*(float *)data[1], 17);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 2);
	ck_assert_float_eq(record.publishes[0].value, 17);
	/* The new slot lies where the old one did. */
	((float *)data[1])[9] = 99;
	ck_assert_float_eq(
		((const float *)fake_slot_tensor(fake, 0, "weight"))[9], 99);
}
END_TEST

START_TEST(attaching_again_waits_for_a_daemon_that_is_not_ready)
{
	struct fake_orders passing = { .n_passing = 3 };

	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_stop(fake);
	fake_order(fake, &passing);
	fake_start(fake);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 5);
}
END_TEST

START_TEST(a_gap_in_what_was_not_answered_takes_two_attaches)
{
	options.mode = EMAD_MODE_LATEST;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_order(fake, &(struct fake_orders) { .publish = STATUS_REPLACED });
	publish_well(2);
	fake_await_publishes(fake, 2);
	fake_order(fake, &hold);
	publish_well(3);
	fake_await_publishes(fake, 3);
	fake_stop(fake);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 5);
	ck_assert_uint_eq(record.publishes[3].sequence, 1);
	ck_assert_uint_eq(record.publishes[4].sequence, 3);
	ck_assert_uint_eq(record.n_attaches, 3);
	ck_assert_uint_eq(record.first_unanswered, 3);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 2);
	ck_assert_uint_eq(counts.replaced, 1);
}
END_TEST

START_TEST(a_daemon_that_stays_away_is_unreachable_and_may_come_later)
{
	options.timeout_ms = 100;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_stop(fake);
	ck_assert_int_eq(emad_flush(publisher), EMAD_UNREACHABLE);
	publish_well(2);
	ck_assert_int_eq(publish(3), EMAD_UNREACHABLE);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	/* Instrumented or crowded machines may need more than one attempt. */
	for (int i = 0; i < 100 && emad_flush(publisher) != EMAD_OK; i++)
		continue;
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 2);
}
END_TEST

START_TEST(a_refused_attach_after_a_restart_says_so)
{
	struct fake_orders busy = { .attach = STATUS_BUSY, .busy_pid = 1 };

	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_stop(fake);
	fake_order(fake, &busy);
	fake_start(fake);
	ck_assert_int_eq(emad_flush(publisher), EMAD_BUSY);
	ck_assert_ptr_nonnull(strstr(emad_error(), "again"));
	fake_order(fake, &nothing_special);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

/* ---- reading ---- */

START_TEST(a_version_is_mapped_with_its_tensors)
{
	const struct emad_tensor *tensor;
	struct emad_view *view;
	uint64_t size;

	attach();
	fake_make_version(fake, 12, 2.5F);
	ck_assert_msg(emad_pull(&view, emad, "net", NULL, 12, 0) == EMAD_OK,
		      "%s", emad_error());
	ck_assert_int_eq(emad_view_step(view), 12);
	ck_assert_double_eq(emad_view_decay(view), 0.5);
	ck_assert_uint_eq(emad_view_updates(view), 3);
	ck_assert_uint_eq(emad_view_n_tensors(view), n_tensors);
	ck_assert_ptr_null(emad_view_tensor(view, n_tensors));
	ck_assert_ptr_null(emad_view_find(view, "none"));
	tensor = emad_view_find(view, "half");
	ck_assert_ptr_nonnull(tensor);
	ck_assert_str_eq(tensor->dtype, "F32");
	ck_assert_uint_eq(tensor->n_dims, 2);
	ck_assert_uint_eq(tensor->shape[1], 3);
	ck_assert_uint_eq(tensor->size, 24);
	ck_assert_ptr_nonnull(emad_view_file(view, &size));
	ck_assert_uint_gt(size, N_ELEMENTS * 4);
	ck_assert_ptr_nonnull(strstr(emad_view_path(view), "/dev/shm/emad."));
	emad_view_close(view);
}
END_TEST

START_TEST(an_older_version_than_asked_for_is_never_given)
{
	struct emad_view *view = NULL;

	attach();
	fake_make_version(fake, 12, 2.5F);
	ck_assert_int_eq(emad_pull(&view, emad, "net", NULL, 13, 0),
			 EMAD_CHANGED);
	ck_assert_int_eq(emad_pull(&view, emad, "other", NULL, 1, 0),
			 EMAD_CHANGED);
	ck_assert_ptr_null(view);
}
END_TEST

START_TEST(a_pull_ends_with_the_daemons_word)
{
	struct emad_view *view;

	ck_assert_int_eq(emad_pull(&view, emad, "net", NULL, EMAD_NEWEST, 0),
			 EMAD_UNKNOWN_MODEL);
	ck_assert_int_eq(emad_pull(&view, emad, "net", NULL, EMAD_NEWEST, 20),
			 EMAD_TIMEOUT);
	ck_assert_int_eq(emad_pull(&view, emad, "net", NULL, -2, 0),
			 EMAD_USAGE);
}
END_TEST

/* ---- the daemon ---- */

static json_t *
parse(char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(value);
	free(text);
	return value;
}

START_TEST(descriptions_have_the_messages_keys)
{
	const char *name, *id, *mode;
	json_t *value;
	double step;
	char *text;

	attach();
	ck_assert_int_eq(emad_describe_json(emad, "net", &text), EMAD_OK);
	value = parse(text);
	ck_assert_int_eq(json_unpack(value,
				     "{s:{s:s}, s:[{s:F, s:{s:F}}],"
				     " s:[{s:s, s:s}]}",
				     "summary", "name", &name, "profiles",
				     "step", &step, "profile", "beta",
				     &(double) { 0 }, "publishers", "publisher",
				     &id, "mode", &mode),
			 0);
	ck_assert_str_eq(name, "net");
	ck_assert_double_eq(step, 7);
	ck_assert_str_eq(id, "fedcba9876543210");
	ck_assert_str_eq(mode, "latest");
	json_decref(value);

	ck_assert_int_eq(emad_status_json(emad, &text), EMAD_OK);
	value = parse(text);
	ck_assert_str_eq(json_string_value(json_object_get(value, "instance")),
			 "fake");
	json_decref(value);
}
END_TEST

START_TEST(a_list_has_all_pages)
{
	json_t *value, *models;
	char *text;

	ck_assert_int_eq(emad_list_json(emad, &text), EMAD_OK);
	value = parse(text);
	models = json_object_get(value, "models");
	ck_assert_uint_eq(json_array_size(models), 2);
	json_decref(value);
}
END_TEST

START_TEST(drop_and_stop_are_asked_for)
{
	ck_assert_int_eq(emad_drop(emad, "net", NULL), EMAD_OK);
	ck_assert_int_eq(emad_stop(emad), EMAD_OK);
	ck_assert_int_eq(emad_drop(emad, NULL, NULL), EMAD_USAGE);
	ck_assert_int_eq(emad_stop(NULL), EMAD_USAGE);
}
END_TEST

static TCase *
new_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	suite_add_tcase(suite, tcase);
	return tcase;
}

static void
add_attach(Suite *suite)
{
	TCase *tcase = new_case(suite, "attach");

	tcase_add_test(tcase, differences_of_a_spec_are_listed);
	tcase_add_test(tcase, a_busy_model_names_the_process);
	tcase_add_test(tcase, bad_specs_are_refused_before_anything_is_sent);
	tcase_add_test(tcase, a_table_above_the_limit_is_refused);
	tcase_add_test(tcase, a_slot_is_looked_for_in_shared_memory_only);
	tcase_add_test(tcase, a_model_may_have_no_tensors);
}

static void
add_publish(Suite *suite)
{
	TCase *tcase = new_case(suite, "publish");

	tcase_add_test(tcase, each_tensor_is_copied_to_its_place);
	tcase_add_test(tcase, bare_pointers_publish_the_same);
	tcase_add_test(tcase, a_large_snapshot_is_streamed_and_whole);
	tcase_add_test(tcase, a_step_that_nobody_wants_is_not_sent);
	tcase_add_test(tcase, steps_go_forward_only);
	tcase_add_test(tcase, a_refusal_is_reported_once_by_a_later_call);
	tcase_add_test(tcase,
		       a_refusal_nobody_asked_about_is_reported_by_detach);
	tcase_add_test(tcase, a_replaced_snapshot_is_counted_and_no_failure);
	tcase_add_test(tcase, mode_drop_never_waits);
	tcase_add_test(tcase, mode_block_waits_no_longer_than_told);
	tcase_add_test(tcase, mode_block_goes_on_when_a_slot_is_free);
	tcase_add_test(tcase, a_snapshot_can_be_written_in_place);
	tcase_add_test(tcase, a_commit_that_nobody_wants_gives_the_slot_back);
	tcase_add_test(tcase, a_model_that_was_taken_over_stays_so);
}

static void
add_restart(Suite *suite)
{
	TCase *tcase = new_case(suite, "restart");

	tcase_add_test(tcase, what_was_not_answered_is_sent_again);
	tcase_add_test(tcase, slots_keep_their_addresses_and_contents);
	tcase_add_test(tcase,
		       attaching_again_waits_for_a_daemon_that_is_not_ready);
	tcase_add_test(tcase,
		       a_gap_in_what_was_not_answered_takes_two_attaches);
	tcase_add_test(
		tcase,
		a_daemon_that_stays_away_is_unreachable_and_may_come_later);
	tcase_add_test(tcase, a_refused_attach_after_a_restart_says_so);
}

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("client");
	TCase *tcase = new_case(suite, "connections");

	tcase_add_test(tcase, nobody_there_is_said_at_once);
	tcase_add_test(tcase, a_daemon_that_says_nothing_is_unreachable);
	tcase_add_test(tcase, a_connection_is_usable_after_a_timeout);
	tcase_add_test(tcase, bad_addresses_are_refused);
	tcase_add_test(tcase, statuses_have_their_public_names);
	tcase_add_test(tcase, forked_children_may_exit_and_do_nothing_else);
	add_attach(suite);
	add_publish(suite);
	add_restart(suite);
	tcase = new_case(suite, "reading");
	tcase_add_test(tcase, a_version_is_mapped_with_its_tensors);
	tcase_add_test(tcase, an_older_version_than_asked_for_is_never_given);
	tcase_add_test(tcase, a_pull_ends_with_the_daemons_word);
	tcase = new_case(suite, "descriptions");
	tcase_add_test(tcase, descriptions_have_the_messages_keys);
	tcase_add_test(tcase, a_list_has_all_pages);
	tcase_add_test(tcase, drop_and_stop_are_asked_for);
	return suite;
}

UNIT_MAIN(make_suite)
