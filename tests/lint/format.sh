#!/bin/sh
# What clang-format would say that needs no clang-format.
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

tab=$(printf '\t')

text_files() {
	files '*.[ch]' '*.def' '*.proto' '*.sh' '*.py' '*.mk' '*.md' '*.[1-8]'
}

report "no line ends in white space" \
	"$(text_files | xargs grep -n "[ $tab]\$" | sed 's/:[^:]*$//')"
report "C is indented with tabs" \
	"$(files '*.[ch]' | xargs grep -nE '^        .*[^\]$' | cut -d: -f1,2)"
report "every file ends with its last line's end, and not with an empty one" "$(
	text_files | while read -r file; do
		[ -s "$file" ] || continue
		[ "$(tail -c 1 "$file" | wc -l)" -eq 1 ] &&
			[ -n "$(tail -n 1 "$file")" ] || echo "$file"
	done
)"
plan
