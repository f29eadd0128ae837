/*
 * Versions with something kept beside them, for the tests of daemon/service's
 * rest: an average of N_RESTS floats, without a daemon around it.
 */
#ifndef TESTS_LIB_REST_STAGE_H
#define TESTS_LIB_REST_STAGE_H

#include "daemon/service/versions.h"

/* A thousand floats; three integers are six floats long. */
#define N_RESTS 1006

extern char rest_stage_instance[32];
extern struct versions versions;
/* Another daemon's, which comes after a crash. */
extern struct rest later;

/* Once per test, and once for each of the versions that it uses. */
void rest_stage_setup(void);
void rest_stage_init(enum accumulator accumulator);

/* All of it goes; nothing may be left. */
void rest_stage_deinit(void);

/* Files of the instance, hidden ones too. */
unsigned int rest_stage_count_files(void);

struct version_maker rest_stage_maker(void);
void rest_stage_supply(void);

/* As the loop does it: with a claimed file, which is being written. */
void rest_stage_claim(void);
void rest_stage_publish(int64_t step);

/* What a version of @step says, and holds. */
struct version_state rest_stage_state_of(int64_t step);
void rest_stage_fill_data(char *average, char *rest, int64_t step);
bool rest_stage_is_rest_of(const char *rest, int64_t step);

/* What another daemon finds beside the version of @step, into later. */
bool rest_stage_is_found(int64_t step);

/* Close what an adoption opened, but leave its files. */
void rest_stage_forget(struct rest *rest);

#endif
