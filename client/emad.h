/*
 * libemad: publish parameters to emad, and read the averages it keeps.
 *
 * Threads: a struct emad, and all that was made from it, belongs to one thread
 * at a time; different ones are independent.  emad_wants() may be called from
 * any thread.  emad_error() is each thread's own.
 *
 * Forks: after fork() the child must not use what the parent made, except to
 * free nothing and exit; calls there return EMAD_FORKED.  The parent is not
 * disturbed by children that exit.
 *
 * Every function that can fail returns EMAD_OK (0) or another enum
 * emad_status, and leaves a sentence about it in emad_error().
 */
#ifndef EMAD_H
#define EMAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EMAD_API __attribute__((visibility("default")))

enum emad_status {
	EMAD_OK = 0,              /* done */
	EMAD_BAD_REQUEST = 1,     /* the message is malformed */
	EMAD_UNSUPPORTED = 2,     /* this daemon does not know that request */
	EMAD_TOO_LARGE = 3,       /* message or model is above a limit */
	EMAD_UNKNOWN_MODEL = 4,   /* no such model */
	EMAD_UNKNOWN_PROFILE = 5, /* the model has no such profile */
	EMAD_UNKNOWN_SESSION = 6, /* no such session: attach again */
	EMAD_BUSY = 7,            /* another publisher is attached */
	EMAD_SPEC_DIFFERS = 8,    /* exists with other tensors or profiles */
	EMAD_BAD_NAME = 9,        /* a name is not [A-Za-z0-9._-]{1,100} */
	EMAD_BAD_SPEC = 10,       /* tensor table or profile is not valid */
	EMAD_BAD_SLOT = 11,       /* not this session's, in use or damaged */
	EMAD_NO_SPACE = 12,       /* shared memory is full */
	EMAD_NOT_FINITE = 13,     /* the snapshot holds a NaN or infinity */
	EMAD_STEP_BACKWARDS = 14, /* not after the last step absorbed */
	EMAD_REPLACED = 15,       /* a newer snapshot took its place */
	EMAD_NO_SLOT = 16,        /* every slot is in use (mode drop) */
	EMAD_TIMEOUT = 17,        /* the deadline passed */
	EMAD_STOPPING = 18,       /* the daemon is stopping */
	EMAD_DENIED = 19,         /* not allowed for this user */
	EMAD_NO_VERSION = 20,     /* nothing has been averaged yet */
	EMAD_TAKEN_OVER = 21,     /* another publisher took the model over */
	EMAD_NAME_TAKEN = 22,     /* somebody else's file has the name */
	EMAD_LIMIT = 23,          /* a limit of the daemon is reached */
	EMAD_INTERNAL = 24,       /* the daemon failed: see its log */
	EMAD_UNREACHABLE = 64,    /* no daemon answers at the address */
	EMAD_FORKED = 65,         /* called in a forked child */
	EMAD_USAGE = 66,          /* the call's arguments are wrong */
	EMAD_SYSTEM = 67,         /* a system call failed in this process */
	EMAD_CHANGED = 68         /* the file is not what it should be */
};

/* A connection to a daemon.  Cheap to keep, one per thread that needs it. */
struct emad;
/* A model that this process publishes. */
struct emad_publisher;
/* One version of one average, mapped into memory. */
struct emad_view;

/* The sentence about this thread's last failure; "" if there was none. */
EMAD_API const char *emad_error(void);

/* "EMAD_NO_SPACE" */
EMAD_API const char *emad_status_name(int status);

/* "0.1.0" */
EMAD_API const char *emad_version(void);

/*
 * Connect to the daemon at @address ("ipc:///path"; NULL: EMAD_ADDRESS from
 * the environment, else where this user's daemon listens, else the system's).
 * UNREACHABLE at once where nobody listens (DENIED: the socket is not for this
 * user), else waits up to @timeout_ms (-1: 5 seconds) for the answer.
 */
EMAD_API int
emad_connect(struct emad **ret_emad, const char *address, int timeout_ms);

/* Detaches what is attached.  NULL is fine. */
EMAD_API void emad_close(struct emad *emad);

/* The address in use. */
EMAD_API const char *emad_address(const struct emad *emad);

/* ---- Publishing ------------------------------------------------------- */

/* A tensor of a model.  @data may be NULL where only the shape matters. */
struct emad_tensor {
	const char *name;  /* UTF-8 */
	const char *dtype; /* as in safetensors: "F32", "BF16", "I64", ... */
	size_t n_dims;     /* 0: a scalar */
	const uint64_t *shape; /* outermost first */
	const void *data;      /* contiguous, row-major, little-endian */
	uint64_t size; /* bytes; filled in by the library where it returns
			  tensors, ignored where it takes them */
};

/* Schedules, as ema_pytorch's EMA class names them; see libemad(3). */
struct emad_profile {
	const char *name;    /* NULL: "ema" */
	const char *variant; /* NULL: "ema_pytorch"; or "ema_pytorch_0.7",
				"constant" */
	double beta;
	int64_t update_after_step;
	int64_t update_every;
	double inv_gamma;
	double power;
	double min_value;
	/* NULL-terminated lists of names, or NULL. */
	const char *const *param_or_buffer_names_no_ema;
	const char *const *ignore_names;
	const char *const *ignore_startswith_names;
	/* What the average is kept in: NULL: "float32"; or
	 * "float32_compensated", "float64". */
	const char *accumulator;
};

/* Every field as the variant's own defaults (NULL: "ema_pytorch"). */
EMAD_API struct emad_profile emad_profile_default(const char *variant);

enum emad_mode {
	EMAD_MODE_BLOCK = 0,  /* lossless: waits while no slot is free */
	EMAD_MODE_LATEST = 1, /* a publish not yet begun may be replaced */
	EMAD_MODE_DROP = 2    /* EMAD_NO_SLOT at once when none is free */
};

/* Zero-initialise; every zero means the default. */
struct emad_options {
	const struct emad_profile *profiles; /* NULL: one, all defaults */
	size_t n_profiles;
	enum emad_mode mode;
	unsigned int n_slots;  /* 0: 2, with LATEST 3; at most 16 */
	int takeover;          /* take the model from a publisher that lives */
	int accept_non_finite; /* absorb NaN and infinity */
	int timeout_ms;        /* longest wait for the daemon, in any call;
				  0: 60 s, -1: for ever */
};

/*
 * Become the publisher of @model, a set of @n_tensors tensors (their data is
 * not read).  Creates the model, or goes on where its last publisher stopped.
 * BUSY, SPEC_DIFFERS (emad_error() names the tensors), NO_SPACE, BAD_NAME, ...
 */
EMAD_API int
emad_attach(struct emad_publisher **ret_publisher, struct emad *emad,
	    const char *model, const struct emad_tensor *tensors,
	    size_t n_tensors, const struct emad_options *options);

/* Waits for what is under way, then gives the model up.  NULL is fine. */
EMAD_API int emad_detach(struct emad_publisher *publisher);

/*
 * Whether any profile's schedule absorbs @step (the 0-based count of updates).
 * Nanoseconds: ask first, and a step that nobody wants costs nothing.
 */
EMAD_API int emad_wants(const struct emad_publisher *publisher, int64_t step);

/* The newest step that had been absorbed at attach; -1: none. */
EMAD_API int64_t emad_last_step(const struct emad_publisher *publisher);

/*
 * Publish the parameters at @step: copy @tensors[i].data for each tensor, in
 * the order given to emad_attach() (only data is read), and return once they
 * are copied: the caller may change them, the daemon averages meanwhile.
 * Waits only when no slot is free and the mode is BLOCK.  A step that no
 * schedule wants returns at once.
 *
 * The answer to an earlier publish that was refused (NOT_FINITE, ...) is
 * reported here once; this one has been published nevertheless.
 */
EMAD_API int emad_publish(struct emad_publisher *publisher, int64_t step,
			  const struct emad_tensor *tensors);

/* The same from bare pointers, one per tensor. */
EMAD_API int emad_publish_data(struct emad_publisher *publisher, int64_t step,
			       const void *const *data);

/*
 * Write into a slot yourself: ret_data[i] is where tensor i's bytes go.  The
 * memory stays valid, at the same addresses, until detach; it is the caller's
 * from begin to commit and may be read at any time.
 */
EMAD_API int emad_begin(struct emad_publisher *publisher, void **ret_data);
EMAD_API int emad_commit(struct emad_publisher *publisher, int64_t step);

/* Wait until everything published has been absorbed; report any refusal. */
EMAD_API int emad_flush(struct emad_publisher *publisher);

struct emad_counts {
	uint64_t published; /* sent */
	uint64_t absorbed;
	uint64_t skipped;  /* no schedule wanted the step; not sent */
	uint64_t replaced; /* mode LATEST */
	uint64_t dropped;  /* mode DROP */
	uint64_t refused;
	uint64_t reattached; /* the daemon was gone and came back */
};

EMAD_API void emad_get_counts(const struct emad_publisher *publisher,
			      struct emad_counts *ret_counts);

/* ---- Reading ----------------------------------------------------------- */

#define EMAD_NEWEST INT64_C(-1)

/*
 * Map the newest version of @model's average @profile (NULL: the only one).
 * With @at_step >= 0: one of that step or later.  Waits up to @timeout_ms
 * (-1: for ever, 0: not at all) until there is one, also for the model itself.
 * TIMEOUT, NO_VERSION, UNKNOWN_MODEL, UNKNOWN_PROFILE.
 *
 * The version never changes while it is mapped, whatever the daemon does.
 */
EMAD_API int
emad_pull(struct emad_view **ret_view, struct emad *emad, const char *model,
	  const char *profile, int64_t at_step, int timeout_ms);

/* Unmap.  NULL is fine. */
EMAD_API void emad_view_close(struct emad_view *view);

EMAD_API int64_t emad_view_step(const struct emad_view *view);
EMAD_API double emad_view_decay(const struct emad_view *view);
EMAD_API uint64_t emad_view_updates(const struct emad_view *view);

/* The file, "/dev/shm/emad.default.net.ema.safetensors". */
EMAD_API const char *emad_view_path(const struct emad_view *view);

/* The whole file, as mapped. */
EMAD_API const void *
emad_view_file(const struct emad_view *view, uint64_t *ret_size);

/* Tensors in the order of the file; data points into the mapping. */
EMAD_API size_t emad_view_n_tensors(const struct emad_view *view);
EMAD_API const struct emad_tensor *
emad_view_tensor(const struct emad_view *view, size_t index);

/* NULL: no tensor of that name. */
EMAD_API const struct emad_tensor *
emad_view_find(const struct emad_view *view, const char *name);

/* ---- The daemon -------------------------------------------------------- */

/*
 * Ask for a description as JSON (malloc'ed text, the caller frees it); the
 * keys are those of emad.proto's messages.
 */
EMAD_API int emad_status_json(struct emad *emad, char **ret_json);
EMAD_API int emad_list_json(struct emad *emad, char **ret_json);
EMAD_API int
emad_describe_json(struct emad *emad, const char *model, char **ret_json);

/* Forget an average (@profile NULL: the whole model) and its files. */
EMAD_API int
emad_drop(struct emad *emad, const char *model, const char *profile);

/* Ask the daemon to finish what it accepted and end. */
EMAD_API int emad_stop(struct emad *emad);

#ifdef __cplusplus
}
#endif

#endif
