/*
 * Arrays of every type that is averaged, filled and read in the plainest way.
 */
#ifndef TESTS_LIB_NUMBERS_H
#define TESTS_LIB_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/dtype.h"

/* The same sequence in every process. */
uint64_t numbers_random(void);

/* Bytes of a number: C64 has two of them in an element. */
size_t numbers_size(enum dtype dtype);

/* Number @i of an array; by arithmetic, exactly. */
double numbers_read(enum dtype dtype, const char *array, size_t i);

/* The same bits, or both NaN: which one depends on the operands' order. */
bool numbers_same(double a, double b);

/* @n numbers of ordinary size, which every type can hold. */
void numbers_fill(enum dtype dtype, char *array, size_t n);

/*
 * The average with its compensation *@k once @p is absorbed with weight @w, as
 * daemon/core/kernel_body.h defines it; *@k is what is to be kept beside it.
 */
float numbers_add_compensated(float average, int16_t *k, float p, float w);

/* Any bits. */
void numbers_fill_bits(char *array, size_t size);

/* Make number @i one that is not finite. */
void numbers_spoil(enum dtype dtype, char *array, size_t i);

#endif
