#!/bin/sh
# Who may include whom.  To change these tables is to change the architecture.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

# Files that begin with: what their #include "..." may begin with.  The first
# row that fits counts.
layers='
proto/          proto/
daemon/core/    proto/ daemon/core/
daemon/io/      proto/ daemon/io/ daemon/log.h daemon/list.h
daemon/service/ proto/ daemon/core/ daemon/io/ daemon/service/ daemon/log.h daemon/list.h
daemon/log.     proto/ daemon/log.h
daemon/list.    proto/
daemon/         proto/ daemon/
client/emad.h   -
client/         proto/ client/
examples/       client/emad.h examples/ proto/
'
# Headers of libraries that begin with: the files that may name them.
libraries='
nng/            client/channel.
uv.h            daemon/io/ daemon/service/ daemon/server.
pthread.h       daemon/io/pool. client/channel. client/gate. client/thread.
immintrin.h     daemon/core/kernel_ client/copy.
arm_neon.h      daemon/core/kernel_neon.
jansson.h       proto/ client/emactl
systemd/        daemon/server.
'

# Prints "file included" for each include in quotes or in brackets.
includes() { # QUOTE
	files '*.[ch]' | grep -v '^tests/' | xargs awk -v quote="$1" '
		$1 == "#include" && substr($2, 1, 1) == quote {
			print FILENAME, substr($2, 2, length($2) - 2)
		}'
}

begins='
	function begins(text, list,    n, i, starts) {
		n = split(list, starts, " ")
		for (i = 1; i <= n; i++)
			if (index(text, starts[i]) == 1)
				return 1
		return 0
	}
	/^$/ { next }
	$1 != "in" {
		key[++n_rows] = $1
		$1 = ""
		value[n_rows] = $0
		next
	}'

report "every include keeps to its layer" "$({
	echo "$layers"
	includes '"' | sed 's/^/in /'
} | awk "$begins"'
	{
		for (i = 1; i <= n_rows && index($2, key[i]) != 1; i++)
			;
		if (i > n_rows || !begins($3, value[i]))
			print $2 " includes " $3
	}')"

report "every library has its home" "$({
	echo "$libraries"
	includes '<' | sed 's/^/in /'
} | awk "$begins"'
	{
		for (i = 1; i <= n_rows; i++)
			if (index($3, key[i]) == 1 && !begins($2, value[i]))
				print $2 " includes " $3
	}')"

report "every file includes its own header first" "$(
	files '*.c' | grep -v '^tests/' | while read -r file; do
		own=${file%.c}.h
		[ -e "$own" ] || continue
		first=$(sed -n 's/^#include ["<]\(.*\)[">].*/\1/p' "$file" |
			head -n 1)
		[ "$first" = "$own" ] || echo "$file includes $first first"
	done
)"
plan
