/*
 * Names of instances, models and profiles, and the names of the files in
 * shared memory that are made of them.
 *
 * A file's name is stated without the directory: "emad.default.net.ema.
 * safetensors".  Hidden files (next versions, what is kept beside averages,
 * slots, the lock) begin with a dot and belong to the daemon alone.
 */
#ifndef PROTO_NAME_H
#define PROTO_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define SHM_DIRECTORY    "/dev/shm"
#define NAME_SIZE_MAX    100 /* of a model's, a profile's or an instance's */
#define FILE_NAME_SIZE   256 /* NAME_MAX and the NUL */
#define DEFAULT_INSTANCE "default"

/* [A-Za-z0-9._-]{1,100}, and not "." or "..". */
bool name_is_valid(const char *name);

/* An instance's name has no dot: so no instance's files match another's. */
bool name_is_valid_instance(const char *name);

/* Write "emad.<instance>.<model>.<profile>.safetensors"; false: too long. */
bool name_public_file(char ret_file[FILE_NAME_SIZE], const char *instance,
		      const char *model, const char *profile);

/*
 * ".emad.<instance>.rest-<model>.<profile>", for which there is room with two
 * more characters where there is for the public name.
 */
void name_rest_file(char ret_file[FILE_NAME_SIZE], const char *instance,
		    const char *model, const char *profile);

/* What begins with this outlives the daemon: ".emad.<instance>.rest-". */
void name_rest_prefix(char ret_prefix[FILE_NAME_SIZE], const char *instance);

/* "emad.<instance>." and ".emad.<instance>." */
void name_public_prefix(char ret_prefix[FILE_NAME_SIZE], const char *instance);
void name_hidden_prefix(char ret_prefix[FILE_NAME_SIZE], const char *instance);

#endif
