/*
 * The stage of the client library's unit tests: a fake daemon, a connection to
 * it, and a model of three tensors.  One per test process.
 */
#ifndef TESTS_LIB_CLIENT_STAGE_H
#define TESTS_LIB_CLIENT_STAGE_H

#include <check.h>

#include "client/emad.h"
#include "tests/lib/fake_daemon.h"

#define N_ELEMENTS 1000
#define N_TENSORS  3

extern float weight[N_ELEMENTS];
extern uint16_t half[6];
extern int64_t scalar;
extern const uint64_t shape[1];
extern const struct emad_tensor tensors[N_TENSORS];

extern struct fake *fake;
extern struct emad *emad;
extern struct emad_publisher *publisher;
/* One profile, "constant", that absorbs every step; change before attach(). */
extern struct emad_profile profile;
extern struct emad_options options;
/* For what a test looks up. */
extern struct fake_record record;
extern struct emad_counts counts;

extern const struct fake_orders hold;
extern const struct fake_orders nothing_special;

void attach(void);

/* Publish with weight[0] = step; the second insists on EMAD_OK. */
int publish(int64_t step);
void publish_well(int64_t step);

/* A test case on this stage; the second before it has a connection. */
TCase *new_case(Suite *suite, const char *name);
TCase *new_case_unconnected(Suite *suite, const char *name);

#endif
