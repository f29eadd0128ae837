/*
 * Tables for people: columns as wide as their widest cell.
 */
#ifndef CLIENT_EMACTL_TABLE_H
#define CLIENT_EMACTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS_MAX 12

struct column {
	const char *title;
	bool is_number; /* flush right */
};

struct table {
	const struct column *columns;
	size_t n_columns;
	char **cells; /* row after row */
	size_t n_cells;
};

void table_init(struct table *ret_table, const struct column *columns,
		size_t n_columns);
void table_deinit(struct table *table);

/* The next cell, from left to right; rows begin by themselves. */
void table_add(struct table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* To standard output. */
void table_print(const struct table *table);

#endif
