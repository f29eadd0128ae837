#include "client/emactl_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/util.h"

#define GAP 2 /* between columns */

void
table_init(struct table *ret_table, const struct column *columns,
	   size_t n_columns)
{
	must(n_columns <= TABLE_COLUMNS_MAX);
	*ret_table =
		(struct table) { .columns = columns, .n_columns = n_columns };
}

void
table_deinit(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
}

void
table_add(struct table *table, const char *format, ...)
{
	va_list arguments;
	char *cell;

	va_start(arguments, format);
	must(vasprintf(&cell, format, arguments) >= 0);
	va_end(arguments);
	/* Grow by a row, not by a cell. */
	if (table->n_cells % table->n_columns == 0)
		table->cells = xrealloc(table->cells,
					(table->n_cells + table->n_columns) *
						sizeof *table->cells);
	table->cells[table->n_cells++] = cell;
}

static void
print_cell(const struct table *table, size_t column, int width,
	   const char *cell)
{
	bool is_last = column + 1 == table->n_columns;

	if (table->columns[column].is_number)
		(void)printf("%*s", width, cell);
	else
		(void)printf("%-*s", is_last ? 0 : width, cell);
	if (is_last)
		(void)putchar('\n');
	else
		(void)printf("%*s", GAP, "");
}

void
table_print(const struct table *table)
{
	int widths[TABLE_COLUMNS_MAX];

	for (size_t i = 0; i < table->n_columns; i++)
		widths[i] = (int)strlen(table->columns[i].title);
	for (size_t i = 0; i < table->n_cells; i++) {
		int width = (int)strlen(table->cells[i]);
		size_t column = i % table->n_columns;

		if (width > widths[column])
			widths[column] = width;
	}
	for (size_t i = 0; i < table->n_columns; i++)
		print_cell(table, i, widths[i], table->columns[i].title);
	for (size_t i = 0; i < table->n_cells; i++)
		print_cell(table, i % table->n_columns,
			   widths[i % table->n_columns], table->cells[i]);
}
