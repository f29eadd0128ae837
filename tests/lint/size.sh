#!/bin/sh
# How long a file and a function may be.  The aim is less: 400 and 60 lines.
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

file_max=400
test_max=600
function_max=60
line_max=80

report "no file has more than $file_max lines (a test's $test_max)" "$(
	files '*.[ch]' | xargs awk -v file_max=$file_max -v test_max=$test_max '
		{ n[FILENAME] = FNR }
		END {
			for (file in n)
				if (n[file] > (file ~ /^tests\// ? test_max \
								 : file_max))
					print file ": " n[file] " lines"
		}' | sort
)"

report "no function has more than $function_max lines" "$(
	files '*.[ch]' | xargs awk -v max=$function_max '
		/^\{/ { begin = FNR }
		/^\}/ && begin {
			if (FNR - begin - 1 > max)
				print FILENAME ":" begin ": " \
					FNR - begin - 1 " lines"
			begin = 0
		}'
)"

report "no line has more than $line_max columns" "$(
	files '*.[ch]' | while read -r file; do
		expand "$file" | awk -v file="$file" -v max=$line_max '
			length($0) > max { print file ":" FNR }'
	done
)"
plan
