#!/bin/sh
# What is said in several places is said alike.
# shellcheck disable=SC2016
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

# "NAME NUMBER meaning" from proto/status.def; the numbers that travel: "wire".
statuses() { # wire|client|all
	sed -n 's/^X(\([A-Z_0-9]*\), \([0-9]*\), "\(.*\)")$/\1 \2 \3/p' \
		proto/status.def |
		awk -v which="$1" '
			which == "wire" && $2 >= 64 { next }
			which == "client" && $2 < 64 { next }
			{ print }'
}

names_and_numbers() {
	sed 's/^\([A-Z_0-9]* [0-9]*\).*/\1/'
}

report "status.def has no number twice" "$(
	statuses all | awk '$2 in seen { print } { seen[$2] = 1 }'
)"
report "PROTOCOL.md has the table of status.def" "$(
	differences status.def "$(statuses wire)" PROTOCOL.md "$(
		sed -n 's/^| `\([A-Z_0-9]*\)` | \([0-9]*\) | \(.*\) |$/\1 \2 \3/p' \
			proto/PROTOCOL.md
	)"
)"
report "PROTOCOL.md names the client's own statuses" "$(
	text=$(tr '\n' ' ' <proto/PROTOCOL.md)
	statuses client | while read -r name number _; do
		case $text in
		*"\`$name\` $number"[,.]*) ;;
		*) echo "not found: \`$name\` $number" ;;
		esac
	done
)"
report "emad.h has the enum of status.def" "$(
	differences status.def "$(statuses all | names_and_numbers)" emad.h "$(
		sed -n '/^enum emad_status/,/^}/s/^	EMAD_\([A-Z_0-9]*\) = \([0-9]*\).*/\1 \2/p' \
			client/emad.h
	)"
)"
report "libemad(3) has the table of status.def" "$(
	differences status.def "$(statuses all)" libemad.3 "$(
		sed -n 's/^\.It Dv EMAD_\([A-Z_0-9]*\) Ta \([0-9]*\) Ta /\1 \2 /p' \
			client/libemad.3
	)"
)"
report "emactl(1) has the names of status.def" "$(
	differences status.def \
		"$(statuses all | sed 's/ .*//' | grep -v '^OK$')" emactl.1 \
		"$(sed -n 's/^\.It Li \([A-Z_0-9]*\)$/\1/p' client/emactl.1)"
)"
report "emad(8) has the options of emad" "$(
	differences options.c "$(
		sed -n 's/^	{ "\([a-z-]*\)", .*/\1/p' daemon/options.c
	)" emad.8 "$(
		sed -n 's/^\.It Fl Fl \([a-z-]*\).*/\1/p' daemon/emad.8
	)"
)"
plan
