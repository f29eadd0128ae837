/*
 * The second part of the kernels' one text: passes.  Not included but by
 * kernel_body.h, which says what a pass is.
 */

/*
 * Do @what for each part, with its number as a constant from the start: only
 * so are the sums of all parts kept in registers.  Of 1, 2 or 4 parts: more
 * streams at once than that fall onto each other in the first cache, which
 * has 8 ways, because all files are alike to the last 12 bits.
 */
#define EACH_PART(n_parts, what)                                               \
	do {                                                                   \
		if ((n_parts) > 0)                                             \
			what(0);                                               \
		if ((n_parts) > 1)                                             \
			what(1);                                               \
		if ((n_parts) > 2) {                                           \
			what(2);                                               \
			what(3);                                               \
		}                                                              \
	} while (0)

INLINE struct line
next_part_f32(enum kind kind, enum mode mode, const struct pass *pass,
	      unsigned int k, size_t i, struct line p)
{
	struct line e = p;

	if (mode == MODE_COPY)
		return p;
	if (mode == MODE_LERP)
		e = line_load_f32(pass->parts[k].current + i * 4);
	return lerp_f32(kind, &pass->factors[k], e, p);
}

/*
 * One snapshot, any number of targets: the line stays in registers.  All is
 * read before anything is written, because the files are alike to the last 12
 * bits of their addresses, and so a load behind a store looks as if it waited
 * for it.
 */
INLINE void
step_f32(enum kind kind, enum mode mode, unsigned int n_parts, bool stream,
	 const struct pass *pass, size_t i, size_t lane, struct sums *sums)
{
	struct line p =
		line_load(kind, pass->snapshots[0] + i * kind_size(kind));
	struct line next[GROUP_MAX] = { p, p, p, p };

#define NEXT_PART(k) next[k] = next_part_f32(kind, mode, pass, k, i, p)
	EACH_PART(n_parts, NEXT_PART);
#define PUT_PART(k) line_put(stream, pass->parts[k].next + i * 4, next[k])
	EACH_PART(n_parts, PUT_PART);
	sum_add_line(&sums->norm, p, lane);
#define SUM_PART(k)                                                            \
	sum_add_line(&sums->distances[k], line_subtract(p, next[k]), lane)
	if (mode == MODE_LERP)
		EACH_PART(n_parts, SUM_PART);
#undef NEXT_PART
#undef PUT_PART
#undef SUM_PART
}

INLINE void
step_part_f64(enum mode mode, bool stream, const struct pass *pass,
	      unsigned int k, size_t i, struct wide p, size_t lane,
	      struct sums *sums)
{
	const struct part *part = &pass->parts[k];
	struct wide next = p;

	if (mode == MODE_LERP)
		next = wide_load(part->current + i * 8);
	if (mode != MODE_COPY)
		next = lerp_f64(&pass->factors[k], next, p);
	wide_put(stream, part->next + i * 8, next);
	if (mode == MODE_LERP)
		sum_add(&sums->distances[k], wide_subtract(p, next), lane);
}

INLINE struct wide
wide_load_checked(const struct pass *pass, size_t j, size_t i,
		  struct sums *sums)
{
	struct wide p = wide_load(pass->snapshots[j] + i * 8);

	sums->wide_faults = wide_add(sums->wide_faults, wide_subtract(p, p));
	return p;
}

INLINE void
step_f64(enum mode mode, unsigned int n_parts, bool stream,
	 const struct pass *pass, size_t i, size_t lane, struct sums *sums)
{
	struct wide p = wide_load_checked(pass, 0, i, sums);

	sum_add(&sums->norm, p, lane);
#define STEP_PART(k) step_part_f64(mode, stream, pass, k, i, p, lane, sums)
	EACH_PART(n_parts, STEP_PART);
#undef STEP_PART
}

INLINE void
step_chain_f64(bool stream, const struct pass *pass, size_t i, size_t lane,
	       struct sums *sums)
{
	const struct part *part = &pass->parts[0];
	struct wide e = wide_load(part->current + i * 8);
	struct wide p = e;

	for (size_t j = 0; j < pass->n_snapshots; j++) {
		p = wide_load_checked(pass, j, i, sums);
		e = lerp_f64(&pass->factors[j], e, p);
	}
	wide_put(stream, part->next + i * 8, e);
	sum_add(&sums->norm, p, lane);
	sum_add(&sums->distances[0], wide_subtract(p, e), lane);
}

INLINE void
step(enum kind kind, enum mode mode, unsigned int n_parts, bool stream,
     const struct pass *pass, size_t i, size_t lane, struct sums *sums)
{
	if (kind == KIND_F64 && mode == MODE_CHAIN)
		step_chain_f64(stream, pass, i, lane, sums);
	else if (kind == KIND_F64)
		step_f64(mode, n_parts, stream, pass, i, lane, sums);
	else if (mode == MODE_CHAIN)
		step_chain(kind, stream, pass, i, lane, sums);
	else if (mode == MODE_COMPENSATED)
		step_compensated(kind, stream, pass, i, lane, sums);
	else if (mode == MODE_FLOAT64)
		step_float64(kind, stream, pass, i, lane, sums);
	else
		step_f32(kind, mode, n_parts, stream, pass, i, lane, sums);
}

INLINE void
prefetch_step(enum kind kind, enum mode mode, unsigned int n_parts,
	      const struct pass *pass, size_t i)
{
	const size_t ahead = PREFETCH_DISTANCE;
	size_t rest_size = mode_rest_size(mode);

	prefetch(pass->snapshots[0] + i * kind_size(kind) + ahead);
	if (mode > MODE_CHAIN && pass->fresh)
		return;
	if (mode >= MODE_CHAIN)
		for (size_t j = 1; j < pass->n_snapshots; j++)
			prefetch(pass->snapshots[j] + i * kind_size(kind) +
				 ahead);
	if (mode >= MODE_LERP) {
#define PREFETCH_PART(k)                                                       \
	prefetch(pass->parts[k].current + i * kind_average_size(kind) + ahead)
		EACH_PART(n_parts, PREFETCH_PART);
#undef PREFETCH_PART
	}
	if (rest_size > 0)
		prefetch(pass->parts[0].rest + i * rest_size + ahead);
	if (rest_size * LINE > LINE_SIZE)
		prefetch(pass->parts[0].rest + i * rest_size + ahead +
			 LINE_SIZE);
}

/* A line by way of buffers: what is read there, and where it is written. */
struct end {
	char snapshots[KERNEL_SNAPSHOTS_MAX][LINE_SIZE];
	const char *snapshot_pointers[KERNEL_SNAPSHOTS_MAX];
	char current[GROUP_MAX][LINE_SIZE];
	char next[GROUP_MAX][LINE_SIZE];
	char rest[2 * LINE_SIZE];
	char next_rest[2 * LINE_SIZE];
};

static void
end_read(struct end *end, enum kind kind, struct pass *pass, size_t first,
	 size_t n)
{
	size_t size = kind_size(kind), average_size = kind_average_size(kind);
	size_t rest_size = mode_rest_size(pass->mode);

	/* Zeros behind the elements add nothing to any sum. */
	*end = (struct end) { 0 };
	for (size_t j = 0; j < pass->n_snapshots; j++) {
		memcpy(end->snapshots[j], pass->snapshots[j] + first * size,
		       n * size);
		end->snapshot_pointers[j] = end->snapshots[j];
	}
	pass->snapshots = end->snapshot_pointers;
	for (unsigned int k = 0; k < pass->n_parts; k++) {
		struct part *part = &pass->parts[k];

		if (pass->mode >= MODE_LERP && !pass->fresh)
			memcpy(end->current[k],
			       part->current + first * average_size,
			       n * average_size);
		part->current = end->current[k];
		part->next = end->next[k];
		if (rest_size > 0 && !pass->fresh)
			memcpy(end->rest, part->rest + first * rest_size,
			       n * rest_size);
		part->rest = end->rest;
		part->next_rest = end->next_rest;
	}
}

/* Less than a line: elements from @first on, @n of them. */
TARGET static __attribute__((noinline)) void
run_end(enum kind kind, const struct pass *pass, size_t first, size_t n,
	struct sums *sums)
{
	size_t average_size = kind_average_size(kind);
	size_t rest_size = mode_rest_size(pass->mode);
	struct pass here = *pass;
	struct end end;

	end_read(&end, kind, &here, first, n);
	step(kind, here.mode, here.n_parts, false, &here, 0, 0, sums);
	for (unsigned int k = 0; k < pass->n_parts; k++) {
		const struct part *part = &pass->parts[k];

		memcpy(part->next + first * average_size, end.next[k],
		       n * average_size);
		if (rest_size > 0)
			memcpy(part->next_rest + first * rest_size,
			       end.next_rest, n * rest_size);
	}
}

/* Elements before the first that begins a line of the cache. */
INLINE size_t
count_head(enum kind kind, const struct pass *pass)
{
	size_t past = (uintptr_t)pass->parts[0].next % LINE_SIZE;
	size_t n = (LINE_SIZE - past) % LINE_SIZE / kind_average_size(kind);

	return n < pass->n ? n : pass->n;
}

INLINE bool
end_sums(enum mode mode, unsigned int n_parts, const struct pass *pass,
	 const struct sums *sums)
{
	double norm = sum_total(&sums->norm);

	*pass->norm = norm;
#define END_PART(k)                                                            \
	*pass->parts[k].distance =                                             \
		mode >= MODE_LERP ? sum_total(&sums->distances[k]) : 0.0
	EACH_PART(n_parts, END_PART);
#undef END_PART
	return line_is_zero(sums->faults) && wide_is_zero(sums->wide_faults);
}

/*
 * True: every value was finite.  All but @pass are constants here.
 *
 * The lanes of the sums follow from the place of an element relative to the
 * lines of the cache that @next lies in, in every build alike.
 */
INLINE bool
run_pass(enum kind kind, enum mode mode, unsigned int n_parts, bool stream,
	 const struct pass *pass)
{
	const size_t width = kind_width(kind), n = pass->n;
	const size_t head = n_parts > 0 ? count_head(kind, pass) : 0;
	struct sums sums = { 0 };
	struct pass here = *pass;
	size_t i = 0;

	if (width > 1 && head > 0) {
		struct sums first = { 0 };

		run_end(kind, pass, 0, head, &first);
		sums = first;
		i = head;
	}
	for (; n - i >= width; i += width) {
		size_t lane = i < head ? i : i - head;

		prefetch_step(kind, mode, n_parts, &here, i);
		step(kind, mode, n_parts, stream, &here, i, lane, &sums);
	}
	if (i < n) {
		struct sums last = sums;

		run_end(kind, pass, i, n - i, &last);
		sums = last;
	}
	/* The squares of doubles overflow, those of floats do not. */
	return end_sums(mode, n_parts, pass, &sums) &&
	       (kind == KIND_F64 || isfinite(*pass->norm));
}
