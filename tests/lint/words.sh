#!/bin/sh
# Words that must not be committed.  They are put together here from halves, so
# that this file may hold them too.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

text_files() {
	files '*.[ch]' '*.def' '*.proto' '*.sh' '*.py' '*.mk' '*.md' '*.[1-8]' \
		'*.in'
	ls -- *.md configure.ac Makefile.am NEWS
}

report "nothing is left to be done" \
	"$(text_files | grep -v '\.md$' | xargs grep -nwE "TO""DO|FIX""ME|X""XX|HA""CK")"
report "nothing depends on one machine's folders" \
	"$(text_files | xargs grep -nE "(^|[^a-zA-Z0-9_.])/(wo""rk|ro""ot|ho""me)/")"
report "comments in C are /* like this */" "$(
	files '*.[ch]' '*.def' | xargs awk '{
		gsub(/"([^"\\]|\\.)*"/, "")
		if ($0 ~ /(^|[^:\/])\/\//)
			print FILENAME ":" FNR
	}'
)"
plan
