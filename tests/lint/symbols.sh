#!/bin/sh
# The library exports what its header declares, and nothing else.
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

in_map=$(sed -n 's/^	\(emad_[a-z_0-9]*\);$/\1/p' client/libemad.map | sort)
in_header=$(awk '
	/^EMAD_API/ { reading = 1; text = "" }
	reading { text = text " " $0 }
	reading && /[(;]/ && match(text, /emad_[a-z_0-9]*\(/) {
		print substr(text, RSTART, RLENGTH - 1)
		reading = 0
	}' client/emad.h | sort)
library=$top_builddir/client/.libs/libemad.so

report "libemad.map lists what emad.h declares" \
	"$(differences libemad.map "$in_map" emad.h "$in_header")"
report "libemad.so exports what libemad.map lists" "$(
	if [ -e "$library" ]; then
		differences libemad.map "$in_map" libemad.so "$(
			"${NM:-nm}" -D --defined-only "$library" |
				awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'
		)"
	else
		echo "$library is not built"
	fi
)"
plan
