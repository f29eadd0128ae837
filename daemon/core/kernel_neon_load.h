/*
 * Narrow types into a line of four NEON registers.  Not included but by
 * kernel_neon.c.
 */

/* Four numbers of 16 bits in each register, not converted yet. */
struct halves {
	uint16x4_t v0, v1, v2, v3;
};

INLINE uint16x8_t
load_u16(const char *from)
{
	return vreinterpretq_u16_u8(
		vld1q_u8((const uint8_t *)(const void *)from));
}

INLINE struct halves
halves_split(uint16x8_t low, uint16x8_t high)
{
	return (struct halves) {
		vget_low_u16(low),
		vget_high_u16(low),
		vget_low_u16(high),
		vget_high_u16(high),
	};
}

INLINE struct halves
halves_load(const char *from)
{
	return halves_split(load_u16(from), load_u16(from + 16));
}

INLINE struct halves
halves_load_bytes(const char *from)
{
	uint8x16_t bytes = vld1q_u8((const uint8_t *)(const void *)from);

	return halves_split(vmovl_u8(vget_low_u8(bytes)),
			    vmovl_u8(vget_high_u8(bytes)));
}

INLINE float32x4_t
widen_bf16(uint16x4_t bits)
{
	return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(bits), 16));
}

INLINE struct line
line_load_bf16(const char *from)
{
	struct halves bits = halves_load(from);

	return (struct line)EACH(widen_bf16, bits);
}

INLINE float32x4_t
widen_f16(uint16x4_t bits)
{
	return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}

INLINE struct line
line_load_f16(const char *from)
{
	struct halves bits = halves_load(from);

	return (struct line)EACH(widen_f16, bits);
}

/* The upper half of a float16. */
INLINE float32x4_t
widen_f8_e5m2(uint16x4_t bits)
{
	return widen_f16(vshl_n_u16(bits, 8));
}

INLINE struct line
line_load_f8_e5m2(const char *from)
{
	struct halves bits = halves_load_bytes(from);

	return (struct line)EACH(widen_f8_e5m2, bits);
}

/* No infinities, one NaN of each sign; else a float16 with another bias. */
INLINE float32x4_t
widen_f8_e4m3(uint16x4_t bits)
{
	uint16x4_t sign = vand_u16(bits, vdup_n_u16(0x80));
	uint16x4_t rest = vand_u16(bits, vdup_n_u16(0x7F));
	uint16x4_t half = vorr_u16(vshl_n_u16(sign, 8), vshl_n_u16(rest, 7));
	float32x4_t x = vmulq_n_f32(widen_f16(half), 256.0F);
	uint32x4_t signs = vshlq_n_u32(vmovl_u16(sign), 24);
	uint32x4_t nans = vorrq_u32(signs, vdupq_n_u32(0x7FC00000));
	uint32x4_t is_nan = vceqq_u32(vmovl_u16(rest), vdupq_n_u32(0x7F));

	return vbslq_f32(is_nan, vreinterpretq_f32_u32(nans), x);
}

INLINE struct line
line_load_f8_e4m3(const char *from)
{
	struct halves bits = halves_load_bytes(from);

	return (struct line)EACH(widen_f8_e4m3, bits);
}
