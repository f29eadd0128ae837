/*
 * The log: one line per event, whatever is in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "tests/unit/unit.h"

static int saved_stderr;
static int pipe_fds[2];

static void
setup(void)
{
	ck_assert_int_eq(pipe(pipe_fds), 0);
	saved_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(saved_stderr, 0);
	ck_assert_int_ge(dup2(pipe_fds[1], STDERR_FILENO), 0);
}

static void
teardown(void)
{
	ck_assert_int_ge(dup2(saved_stderr, STDERR_FILENO), 0);
	ck_assert_int_eq(close(saved_stderr), 0);
	ck_assert_int_eq(close(pipe_fds[0]), 0);
	ck_assert_int_eq(close(pipe_fds[1]), 0);
}

/* What was logged; something always was, for a mark is put at its end. */
static const char *
logged(void)
{
	static char text[8192];
	ssize_t n;

	ck_assert_int_eq(write(pipe_fds[1], "|", 1), 1);
	n = read(pipe_fds[0], text, sizeof text - 1);
	ck_assert_int_gt(n, 0);
	text[n - 1] = '\0';
	return text;
}

START_TEST(line_is_what_was_said)
{
	log_notice("session %d: gone", 12);
	ck_assert_str_eq(logged(), "session 12: gone\n");
}
END_TEST

START_TEST(journal_gets_priorities)
{
	log_set_priorities(true);
	log_error("a");
	log_warning("b");
	ck_assert_str_eq(logged(), "<3>a\n<4>b\n");
}
END_TEST

START_TEST(lines_above_the_level_are_not_written)
{
	log_info("not by default");
	log_set_level(LOG_LEVEL_INFO);
	log_info("now");
	log_debug("not this");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("nor this");
	ck_assert_str_eq(logged(), "now\n");
}
END_TEST

START_TEST(failure_is_explained_and_handed_on)
{
	errno = EINTR;
	ck_assert_int_eq(log_failure(-ENOSPC, "cannot make %s", "it"), -ENOSPC);
	ck_assert_int_eq(errno, EINTR);
	ck_assert_str_eq(logged(), "cannot make it: No space left on device\n");
}
END_TEST

START_TEST(text_of_others_cannot_begin_a_line)
{
	log_notice("name %s", "a\n<0>b\r\x1b[2J\x7f\xc3\xa4");
	ck_assert_str_eq(logged(), "name a?<0>b??[2J?\xc3\xa4\n");
}
END_TEST

START_TEST(endless_text_is_cut)
{
	char text[4000];
	const char *line;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_set_priorities(true);
	(void)log_failure(-EIO, "%s", text);
	line = logged();
	ck_assert_uint_lt(strlen(line), 2000);
	ck_assert_str_eq(strchr(line, ':'), ": Input/output error\n");
}
END_TEST

START_TEST(closed_output_harms_nobody)
{
	ck_assert_int_eq(close(STDERR_FILENO), 0);
	log_error("to nobody");
}
END_TEST

static Suite *
log_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *lines = tcase_create("lines");

	tcase_add_checked_fixture(lines, setup, teardown);
	tcase_add_test(lines, line_is_what_was_said);
	tcase_add_test(lines, journal_gets_priorities);
	tcase_add_test(lines, lines_above_the_level_are_not_written);
	tcase_add_test(lines, failure_is_explained_and_handed_on);
	tcase_add_test(lines, text_of_others_cannot_begin_a_line);
	tcase_add_test(lines, endless_text_is_cut);
	tcase_add_test(lines, closed_output_harms_nobody);
	suite_add_tcase(suite, lines);
	return suite;
}

UNIT_MAIN(log_suite)
