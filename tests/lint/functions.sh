# What the lints share: the files they read, and TAP.  Sourced, not run.
# shellcheck shell=sh disable=SC2001

: "${top_srcdir:=$(dirname "$0")/../..}"
: "${top_builddir:=$top_srcdir}"
export LC_ALL=C
cd "$top_srcdir" || exit 99
n_checks=0

# Files whose name matches one of the patterns; nothing that is generated.
files() { # PATTERN...
	for pattern; do
		find proto daemon client examples systemd tests script \
			-type f -name "$pattern" ! -name '*.pb-c.*' 2>/dev/null
	done | sort
}

# One line of TAP: it is well if nothing offends.
report() { # NAME OFFENDERS
	n_checks=$((n_checks + 1))
	if [ -z "$2" ]; then
		echo "ok $n_checks - $1"
	else
		echo "not ok $n_checks - $1"
		echo "$2" | sed 's/^/# /'
	fi
}

plan() {
	echo "1..$n_checks"
}

# What differs between two lists, or nothing.
differences() { # NAME LIST NAME LIST
	{
		echo "$2" | sed 's/^/a /'
		echo "$4" | sed 's/^/b /'
	} | awk -v a="$1" -v b="$3" '
		{ from = $1; sub(/^[ab] /, "") }
		$0 == "" { next }
		from == "a" { in_a[$0] = 1 }
		from == "b" { in_b[$0] = 1 }
		END {
			for (line in in_a)
				if (!(line in in_b))
					print "only in " a ": " line
			for (line in in_b)
				if (!(line in in_a))
					print "only in " b ": " line
		}' | sort
}
