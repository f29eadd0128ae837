#include "tests/lib/client_stage.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/unit.h"

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
				     N_TENSORS, &options),
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

/* Looks for leaks when it exits, and does not see the parent's threads. */
static bool is_child;
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return is_child;
}

START_TEST(forked_children_may_exit_and_do_nothing_else)
{
	attach();
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		int status;

		/* Not a check in the child: another thread may be at one. */
		if (pid == 0) {
			is_child = true;
			try_everything();
			if (i == 0)
				_exit(3);
			exit(3);
		}
		ck_assert_int_ge(pid, 0);
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
				     N_TENSORS, &options),
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
				     N_TENSORS, &options),
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
				     N_TENSORS, &options),
			 EMAD_BAD_NAME);
	profile.beta = 2;
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_BAD_SPEC);
	profile = emad_profile_default("no such variant");
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_BAD_SPEC);
	options = (struct emad_options) { .n_slots = 17 };
	ck_assert_int_eq(attach_one("x", "F32", 1, shape), EMAD_USAGE);
	options = (struct emad_options) { .n_copy_threads = 17 };
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
				     N_TENSORS, &options);
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
	ck_assert_uint_eq(emad_view_n_tensors(view), N_TENSORS);
	ck_assert_ptr_null(emad_view_tensor(view, N_TENSORS));
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
