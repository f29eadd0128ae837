/*
 * The second half of the kernels' one text: from a tile to its passes.  Not
 * included but by kernel_body.h, which says what a pass is.
 */

/* Each kind is a function of its own, with the passes that are worth it. */
INLINE bool
run_kind(enum kind kind, bool stream, const struct pass *pass)
{
	if (pass->n_parts == 0)
		return run_pass(kind, KERNEL_COPY, 0, false, pass);
	if (pass->operation == KERNEL_INIT)
		return run_pass(kind, KERNEL_INIT, 1, false, pass);
	if (pass->operation == KERNEL_COPY)
		return stream ? run_pass(kind, KERNEL_COPY, 1, true, pass)
			      : run_pass(kind, KERNEL_COPY, 1, false, pass);
	switch (pass->n_parts) {
	case 1:
		return stream ? run_pass(kind, KERNEL_LERP, 1, true, pass)
			      : run_pass(kind, KERNEL_LERP, 1, false, pass);
	case 2:
		return stream ? run_pass(kind, KERNEL_LERP, 2, true, pass)
			      : run_pass(kind, KERNEL_LERP, 2, false, pass);
	default:
		return stream ? run_pass(kind, KERNEL_LERP, 4, true, pass)
			      : run_pass(kind, KERNEL_LERP, 4, false, pass);
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

	if (!STREAMS || pass->n_parts == 0 ||
	    first % kind_average_size(kind) != 0)
		return false;
	for (unsigned int i = 1; i < pass->n_parts; i++)
		if (((uintptr_t)pass->parts[i].next - first) % LINE_SIZE != 0)
			return false;
	return true;
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

	return runs[kind](stream && can_stream(kind, pass), pass);
}

/* Bytes are copied as floats: loads and stores change no bit of them. */
static void
copy_bytes(char *next, const char *from, size_t size, bool stream)
{
	size_t rest = size % sizeof(float);
	struct pass pass = {
		.operation = KERNEL_COPY,
		.snapshot = from,
		.n = size / sizeof(float),
		.n_parts = 1,
		.parts = { { .next = next } },
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
			   target->operation == KERNEL_KEEP ? target->current
							    : tile->snapshot,
			   size, tile->stream);
	}
}

/* LERPs gather in groups of 4, then 2, then 1. */
static bool
run_lerps(enum kind kind, bool stream, struct pass *pass)
{
	struct pass part = *pass;
	bool finite = true;

	for (unsigned int done = 0; done < pass->n_parts;) {
		unsigned int left = pass->n_parts - done;

		part.n_parts = left >= 4 ? 4 : left >= 2 ? 2 : 1;
		memcpy(part.parts, pass->parts + done,
		       part.n_parts * sizeof *part.parts);
		finite &= run_any(kind, stream, &part);
		done += part.n_parts;
	}
	pass->n_parts = 0;
	return finite;
}

static bool
run_target(enum kind kind, const struct kernel_target *target, bool stream,
	   struct pass pass)
{
	if (target->operation == KERNEL_KEEP) {
		copy_bytes(target->next, target->current,
			   pass.n * kind_average_size(kind), stream);
		return true;
	}
	pass.operation = target->operation;
	pass.n_parts = 1;
	part_init(&pass.parts[0], kind, target);
	return run_any(kind, stream, &pass);
}

static bool
run_floats(enum kind kind, const struct kernel_tile *tile)
{
	struct pass pass = {
		.operation = KERNEL_LERP,
		.snapshot = tile->snapshot,
		.n = tile->n_elements * (kind == KIND_C64 ? 2 : 1),
	};
	bool finite = true, seen = false;

	for (size_t i = 0; i < tile->n_targets; i++) {
		const struct kernel_target *target = &tile->targets[i];

		seen |= target->operation != KERNEL_KEEP;
		if (target->operation != KERNEL_LERP) {
			finite &= run_target(kind, target, tile->stream, pass);
			continue;
		}
		part_init(&pass.parts[pass.n_parts++], kind, target);
		if (pass.n_parts == GROUP_MAX)
			finite &= run_lerps(kind, tile->stream, &pass);
	}
	finite &= run_lerps(kind, tile->stream, &pass);
	if (tile->check && !seen)
		finite = run_any(kind, false, &pass);
	return finite || !tile->check;
}

TARGET static bool
run(const struct kernel_tile *tile)
{
	enum kind kind = kind_of(tile->dtype);
	bool finite = true;

	if (kind == KIND_BYTES)
		run_bytes(tile);
	else
		finite = run_floats(kind, tile);
	if (tile->stream)
		stream_end();
	return finite;
}

const struct kernel KERNEL = { .name = NAME, .run = run };
