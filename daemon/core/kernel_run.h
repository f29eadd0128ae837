/*
 * The third part of the kernels' one text: from a tile to its passes.  Not
 * included but by kernel_body.h, which says what a pass is.
 */

/* Fewer elements are not worth streaming. */
#define STREAM_MIN 256

static enum kind
kind_of(enum dtype dtype)
{
	switch (dtype) {
	case DTYPE_F32:
		return KIND_F32;
	case DTYPE_BF16:
		return KIND_BF16;
	case DTYPE_F16:
		return KIND_F16;
	case DTYPE_F8_E4M3:
		return KIND_F8_E4M3;
	case DTYPE_F8_E5M2:
		return KIND_F8_E5M2;
	case DTYPE_C64:
		return KIND_C64;
	case DTYPE_F64:
		return KIND_F64;
	default:
		return KIND_BYTES;
	}
}

/* Each kind is a function of its own, with the passes that are worth it. */
#define RUN_STREAMED(kind, mode, n_parts)                                      \
	(stream ? run_pass(kind, mode, n_parts, true, pass)                    \
		: run_pass(kind, mode, n_parts, false, pass))

INLINE bool
run_lerp(enum kind kind, bool stream, const struct pass *pass)
{
	switch (pass->n_parts) {
	case 1:
		return RUN_STREAMED(kind, MODE_LERP, 1);
	case 2:
		return RUN_STREAMED(kind, MODE_LERP, 2);
	default:
		return RUN_STREAMED(kind, MODE_LERP, 4);
	}
}

INLINE bool
run_kind(enum kind kind, bool stream, const struct pass *pass)
{
	switch (pass->mode) {
	case MODE_CHECK:
		return run_pass(kind, MODE_CHECK, 0, false, pass);
	case MODE_INIT:
		return run_pass(kind, MODE_INIT, 1, false, pass);
	case MODE_COPY:
		return RUN_STREAMED(kind, MODE_COPY, 1);
	case MODE_LERP:
		return run_lerp(kind, stream, pass);
	case MODE_CHAIN:
		return RUN_STREAMED(kind, MODE_CHAIN, 1);
	case MODE_COMPENSATED:
		return RUN_STREAMED(kind, MODE_COMPENSATED, 1);
	default:
		return RUN_STREAMED(kind, MODE_FLOAT64, 1);
	}
}

#define DEFINE_RUN(kind)                                                       \
	TARGET static __attribute__((noinline)) bool run_##kind(               \
		bool stream, const struct pass *pass)                          \
	{                                                                      \
		return run_kind(KIND_##kind, stream, pass);                    \
	}
DEFINE_RUN(F32)
DEFINE_RUN(BF16)
DEFINE_RUN(F16)
DEFINE_RUN(F8_E4M3)
DEFINE_RUN(F8_E5M2)
DEFINE_RUN(C64)
DEFINE_RUN(F64)

/* Streaming wants whole, aligned lines of every target. */
static bool
can_stream(enum kind kind, const struct pass *pass)
{
	uintptr_t first = (uintptr_t)pass->parts[0].next;
	size_t size = kind_average_size(kind);
	size_t rest_size = mode_rest_size(pass->mode);
	size_t head = (LINE_SIZE - first % LINE_SIZE) % LINE_SIZE / size;

	if (!STREAMS || pass->n < STREAM_MIN || first % size != 0)
		return false;
	for (unsigned int i = 1; i < pass->n_parts; i++)
		if (((uintptr_t)pass->parts[i].next - first) % LINE_SIZE != 0)
			return false;
	/* A line of these is half a line of the cache, or two. */
	return rest_size == 0 ||
	       ((uintptr_t)pass->parts[0].next_rest + head * rest_size) %
			       (LINE * rest_size) ==
		       0;
}

static bool
run_any(enum kind kind, bool stream, const struct pass *pass)
{
	static bool (*const runs[])(bool, const struct pass *) = {
		[KIND_F32] = run_F32,         [KIND_BF16] = run_BF16,
		[KIND_F16] = run_F16,         [KIND_F8_E4M3] = run_F8_E4M3,
		[KIND_F8_E5M2] = run_F8_E5M2, [KIND_C64] = run_C64,
		[KIND_F64] = run_F64,
	};

	stream = stream && pass->n_parts > 0 && can_stream(kind, pass);
	return runs[kind](stream, pass);
}

/* Bytes are copied as floats: loads and stores change no bit of them. */
static void
copy_bytes(char *next, const char *from, size_t size, bool stream)
{
	size_t rest = size % sizeof(float);
	double unused[2];
	struct pass pass = {
		.mode = MODE_COPY,
		.snapshots = &from,
		.n_snapshots = 1,
		.n = size / sizeof(float),
		.n_parts = 1,
		.parts = { { .next = next, .distance = &unused[0] } },
		.norm = &unused[1],
	};

	if (size == 0)
		return;
	if (!stream || !can_stream(KIND_F32, &pass)) {
		memcpy(next, from, size);
		return;
	}
	(void)run_F32(true, &pass);
	memcpy(next + size - rest, from + size - rest, rest);
}

/* Types that are not averaged: the newest value, or the one kept. */
static void
run_bytes(const struct kernel_tile *tile)
{
	size_t size = tile->n_elements * dtype_bits(tile->dtype) / 8;

	for (size_t i = 0; i < tile->n_targets; i++) {
		const struct kernel_target *target = &tile->targets[i];

		copy_bytes(target->next,
			   target->operation == KERNEL_KEEP
				   ? target->current
				   : tile->snapshots[tile->n_snapshots - 1],
			   size, tile->stream);
	}
}

/* A tile as floats: what the passes of its targets have in common. */
struct run {
	enum kind kind;
	const struct kernel_tile *tile;
	struct pass lerps; /* targets that wait for others to share a pass */
	double norm;
	double unused;
	bool finite;
};

static void
add_part(struct run *run, struct pass *pass, const struct kernel_target *target)
{
	pass->parts[pass->n_parts++] = (struct part) {
		.current = target->current,
		.next = target->next,
		.rest = target->rest,
		.next_rest = target->next_rest,
		.distance = target->distance ? target->distance : &run->unused,
	};
}

/* LERPs gather in groups of powers of two. */
static void
run_lerps(struct run *run)
{
	struct pass *lerps = &run->lerps;
	struct pass group = *lerps;

	for (unsigned int done = 0; done < lerps->n_parts;) {
		unsigned int left = lerps->n_parts - done;

		for (group.n_parts = GROUP_MAX; group.n_parts > left;)
			group.n_parts /= 2;
		memcpy(group.parts, lerps->parts + done,
		       group.n_parts * sizeof *group.parts);
		memcpy(group.factors, lerps->factors + done,
		       group.n_parts * sizeof *group.factors);
		run->finite &= run_any(run->kind, run->tile->stream, &group);
		done += group.n_parts;
	}
	lerps->n_parts = 0;
}

/* Several snapshots, or something kept beside the average. */
static void
run_chain(struct run *run, const struct kernel_target *target)
{
	struct pass pass = run->lerps;
	bool is_lerp = target->operation == KERNEL_LERP;

	pass.mode = target->accumulator == ACCUMULATOR_COMPENSATED
			    ? MODE_COMPENSATED
		    : target->accumulator == ACCUMULATOR_FLOAT64 ? MODE_FLOAT64
								 : MODE_CHAIN;
	if (run->kind == KIND_F64)
		pass.mode = MODE_CHAIN;
	pass.fresh = !is_lerp;
	pass.n_parts = 0;
	add_part(run, &pass, target);
	for (size_t j = 0; is_lerp && j < pass.n_snapshots; j++)
		pass.factors[j] = factor_of(run->kind, target->weights[j]);
	run->finite &= run_any(run->kind, run->tile->stream, &pass);
}

static void
run_keep(const struct run *run, const struct kernel_target *target)
{
	size_t n = run->lerps.n;
	bool stream = run->tile->stream;

	if (target->distance)
		*target->distance = 0.0;
	copy_bytes(target->next, target->current,
		   n * kind_average_size(run->kind), stream);
	if (run->kind != KIND_F64)
		copy_bytes(target->next_rest, target->rest,
			   accumulator_rest_size(target->accumulator, n * 4),
			   stream);
}

/* A copy of the last snapshot, as it is or through a lerp. */
static void
run_copy(struct run *run, const struct kernel_target *target)
{
	struct pass pass = run->lerps;

	pass.mode = target->operation == KERNEL_INIT ? MODE_INIT : MODE_COPY;
	pass.snapshots += pass.n_snapshots - 1;
	pass.n_snapshots = 1;
	pass.n_parts = 0;
	add_part(run, &pass, target);
	if (pass.mode == MODE_INIT)
		pass.factors[0] = factor_of(run->kind, target->weights[0]);
	run->finite &= run_any(run->kind, run->tile->stream, &pass);
}

static void
run_target(struct run *run, const struct kernel_target *target)
{
	struct pass *lerps = &run->lerps;
	bool is_plain = target->accumulator == ACCUMULATOR_FLOAT32 ||
			run->kind == KIND_F64;

	if (target->operation == KERNEL_KEEP) {
		run_keep(run, target);
	} else if (!is_plain) {
		run_chain(run, target);
	} else if (target->operation != KERNEL_LERP) {
		run_copy(run, target);
	} else if (lerps->n_snapshots > 1) {
		run_chain(run, target);
	} else {
		lerps->factors[lerps->n_parts] =
			factor_of(run->kind, target->weights[0]);
		add_part(run, lerps, target);
		if (lerps->n_parts == GROUP_MAX)
			run_lerps(run);
	}
}

/* Snapshots that no target has read. */
static void
run_checks(struct run *run, size_t n_unread)
{
	struct pass pass = run->lerps;
	double norm;

	pass.mode = MODE_CHECK;
	pass.n_snapshots = 1;
	pass.norm = &norm;
	for (size_t j = 0; j < n_unread; j++, pass.snapshots++)
		run->finite &= run_any(run->kind, false, &pass);
}

static bool
run_floats(enum kind kind, const struct kernel_tile *tile)
{
	struct run run = {
		.kind = kind,
		.tile = tile,
		.finite = true,
		.lerps = {
			.mode = MODE_LERP,
			.n = tile->n_elements * (kind == KIND_C64 ? 2 : 1),
			.n_snapshots = tile->n_snapshots,
			.snapshots = (const char *const *)tile->snapshots,
		},
	};
	bool all_read = false, last_read = false;

	run.lerps.norm = tile->norm ? tile->norm : &run.norm;
	for (size_t i = 0; i < tile->n_targets; i++) {
		const struct kernel_target *target = &tile->targets[i];

		all_read |= target->operation == KERNEL_LERP;
		last_read |= target->operation != KERNEL_KEEP;
		run_target(&run, target);
	}
	run_lerps(&run);
	if (tile->check && !all_read)
		run_checks(&run, tile->n_snapshots - (last_read ? 1 : 0));
	return run.finite || !tile->check;
}

TARGET static bool
run(const struct kernel_tile *tile)
{
	enum kind kind = kind_of(tile->dtype);

	if (tile->norm)
		*tile->norm = 0.0;
	if (kind != KIND_BYTES)
		return run_floats(kind, tile);
	for (size_t i = 0; i < tile->n_targets; i++)
		if (tile->targets[i].distance)
			*tile->targets[i].distance = 0.0;
	run_bytes(tile);
	return true;
}

TARGET static void
finish(void)
{
	stream_end();
}

const struct kernel KERNEL = { .name = NAME, .run = run, .finish = finish };
