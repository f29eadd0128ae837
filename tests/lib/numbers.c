#include "tests/lib/numbers.h"

#include <math.h>
#include <string.h>

static uint64_t random_state;

uint64_t
numbers_random(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1;
	return random_state >> 11;
}

/* A format of 1 sign bit, @n_exponent bits and @n_fraction bits. */
static double
decode(uint32_t bits, unsigned int n_exponent, unsigned int n_fraction,
       bool infinities)
{
	uint32_t fraction = bits & ((1U << n_fraction) - 1);
	uint32_t top = (1U << n_exponent) - 1;
	uint32_t exponent = bits >> n_fraction & top;
	int bias = (int)(top >> 1);
	double x;

	if (infinities && exponent == top)
		x = fraction ? (double)NAN : (double)INFINITY;
	else if (!infinities && exponent == top &&
		 fraction == (1U << n_fraction) - 1)
		x = (double)NAN;
	else if (exponent == 0)
		x = ldexp(fraction, 1 - bias - (int)n_fraction);
	else
		x = ldexp(fraction + (1U << n_fraction),
			  (int)exponent - bias - (int)n_fraction);
	return bits >> (n_exponent + n_fraction) ? -x : x;
}

double
numbers_read(enum dtype dtype, const char *array, size_t i)
{
	uint16_t u16 = 0;
	double f64;
	float f32;

	switch (dtype) {
	case DTYPE_F8_E4M3:
		return decode((uint8_t)array[i], 4, 3, false);
	case DTYPE_F8_E5M2:
		return decode((uint8_t)array[i], 5, 2, true);
	case DTYPE_F16:
		memcpy(&u16, array + 2 * i, sizeof u16);
		return decode(u16, 5, 10, true);
	case DTYPE_BF16:
		memcpy(&u16, array + 2 * i, sizeof u16);
		return decode(u16, 8, 7, true);
	case DTYPE_F64:
		memcpy(&f64, array + 8 * i, sizeof f64);
		return f64;
	default:
		memcpy(&f32, array + 4 * i, sizeof f32);
		return (double)f32;
	}
}

bool
numbers_same(double a, double b)
{
	/* Which NaN comes out depends on the order of the operands. */
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b);
	return memcmp(&a, &b, sizeof a) == 0;
}

void
numbers_fill(enum dtype dtype, char *array, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double x = (double)(numbers_random() % 4096) / 2048.0 - 1.0;
		uint8_t byte = (uint8_t)(numbers_random() % 0x70);
		uint16_t u16 = (uint16_t)(numbers_random() % 0x7B00);
		float f32 = (float)(x * 1.2345678);

		byte |= (uint8_t)(numbers_random() & 0x80);
		u16 |= (uint16_t)(numbers_random() & 0x8000);
		x *= 1.23456789012345;
		switch (dtype) {
		case DTYPE_F64:
			memcpy(array + 8 * i, &x, 8);
			break;
		case DTYPE_F16:
		case DTYPE_BF16:
			memcpy(array + 2 * i, &u16, 2);
			break;
		case DTYPE_F8_E4M3:
		case DTYPE_F8_E5M2:
			array[i] = (char)byte;
			break;
		default:
			memcpy(array + 4 * i, &f32, 4);
			break;
		}
	}
}

/* The power of two that the exponent says, or one over it: by the bits. */
static float
power(float x, bool inverse)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	bits &= 0x7F800000;
	if (inverse)
		bits = 0x7F000000 - bits;
	memcpy(&x, &bits, sizeof x);
	return x;
}

float
numbers_add_compensated(float average, int16_t *k, float p, float w)
{
	float c = (float)*k * 0x1p-39F * power(average, false);
	float d = p - average - c;
	float y = fmaf(d, w, c);
	float t = average + y;
	float rest = y - (t - average);
	float whole = rintf(rest * power(t, true) * 0x1p39F);

	if (!(whole < 32767.0F))
		whole = 32767.0F;
	if (whole < -32767.0F)
		whole = -32767.0F;
	*k = (int16_t)whole;
	return t;
}

void
numbers_fill_bits(char *array, size_t size)
{
	for (size_t i = 0; i < size; i++)
		array[i] = (char)numbers_random();
}

size_t
numbers_size(enum dtype dtype)
{
	return dtype_bits(dtype) / 8 / (dtype == DTYPE_C64 ? 2 : 1);
}

void
numbers_spoil(enum dtype dtype, char *array, size_t i)
{
	static const uint8_t e4m3 = 0xFF, e5m2 = 0x7C;
	static const uint16_t f16 = 0x7C00, bf16 = 0xFF80;
	const float f32 = NAN;
	const double f64 = -INFINITY;
	const void *value = &f32;

	switch (dtype) {
	case DTYPE_F8_E4M3:
		value = &e4m3;
		break;
	case DTYPE_F8_E5M2:
		value = &e5m2;
		break;
	case DTYPE_F16:
		value = &f16;
		break;
	case DTYPE_BF16:
		value = &bf16;
		break;
	case DTYPE_F64:
		value = &f64;
		break;
	default:
		break;
	}
	memcpy(array + i * numbers_size(dtype), value, numbers_size(dtype));
}
