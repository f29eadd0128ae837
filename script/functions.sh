# shellcheck shell=sh
# What script/demo, script/test and .ci/run share.  To be sourced in the top
# folder of the tree.

# Run a command silently; show the end of its output if it fails.
#
#   quietly LOG COMMAND...
quietly() {
	quietly_log=$1
	shift
	if ! "$@" >"$quietly_log" 2>&1; then
		tail -n 40 "$quietly_log" >&2
		echo "failed: $* (all of it: $quietly_log)" >&2
		return 1
	fi
}

# Configure and build in a folder of its own, unless that is done already.
#
#   build FOLDER [CONFIGURE-OPTION...]
build() {
	build_folder=$1
	shift
	mkdir -p "$build_folder"
	# Makefile.in is what autoreconf makes last: interrupted, it starts anew.
	if ! [ -x configure ] || ! [ -f Makefile.in ]; then
		quietly "$build_folder/autoreconf.log" autoreconf -fi || return 1
	fi
	if ! [ -f "$build_folder/Makefile" ]; then
		quietly "$build_folder/configure.log" \
			env -C "$build_folder" "$PWD/configure" "$@" || return 1
	fi
	quietly "$build_folder/make.log" \
		make -C "$build_folder" -j "$(nproc)" all
}

# Sets EMAD_PYTHON, for the tests that read what emad publishes with the
# safetensors package, to a Python that has it: made in FOLDER if need be.
#
#   need_python FOLDER
need_python() {
	if [ -z "${EMAD_PYTHON-}" ]; then
		EMAD_PYTHON=$PWD/$1/venv/bin/python
	fi
	export EMAD_PYTHON
	"$EMAD_PYTHON" -c 'import numpy, safetensors' 2>/dev/null && return 0
	echo "installing safetensors and numpy in $1/venv (pip)"
	mkdir -p "$1"
	quietly "$1/venv.log" python3 -m venv "$1/venv" || return 1
	quietly "$1/venv.log" "$1/venv/bin/pip" install \
		--disable-pip-version-check safetensors==0.8.0 numpy
}

# Run make check.  Sets n_passed and n_failed and prints what failed.
# A run without any result, or one that make itself ended, counts as failed.
#
#   check FOLDER [COMMAND-BEFORE-MAKE...]
check() {
	check_folder=$1
	shift
	check_code=0
	find "$check_folder" -name '*.trs' -delete
	"$@" make -C "$check_folder" -j "$(nproc)" check \
		>"$check_folder/check.log" 2>&1 || check_code=$?

	check_results=$check_folder/check.results
	find "$check_folder" -name '*.trs' -exec \
		sed -n 's/^:test-result: //p' {} + >"$check_results"
	n_passed=$(grep -Ec '^(PASS|XFAIL)' "$check_results" || true)
	n_failed=$(grep -Ec '^(FAIL|XPASS|ERROR)' "$check_results" || true)
	n_skipped=$(grep -c '^SKIP' "$check_results" || true)

	[ "$n_skipped" -eq 0 ] || echo "$n_skipped skipped"
	if [ "$n_failed" -gt 0 ]; then
		find "$check_folder/tests" -name '*.log' -exec \
			grep -hE '^(FAIL|XPASS|ERROR): ' {} + >&2 || true
		echo "all of it: $check_folder/test-suite.log" >&2
	elif [ "$check_code" -ne 0 ] || [ "$n_passed" -eq 0 ]; then
		tail -n 40 "$check_folder/check.log" >&2
		echo "make check ended with $check_code" \
			"(all of it: $check_folder/check.log)" >&2
		n_failed=1
	fi
}

# Sets peers_python to a Python that has the packages which the benchmarks
# compare emad with, and what draws: made in FOLDER if need be, and completed
# where the lists of packages have changed.  A peer that pip cannot install is
# named and left out.
#
#   need_peers FOLDER
need_peers() {
	peers_python=$PWD/$1/venv/bin/python
	peers_log=$1/venv.log
	peers_done=$1/venv/peers.txt
	peers_base=tests/bench/peers/requirements.txt
	peers_list=tests/bench/peers/requirements-peers.txt
	cat "$peers_base" "$peers_list" | cmp -s - "$peers_done" && return 0
	mkdir -p "$1"
	echo "installing in $1/venv (pip, some hundred MB and more):" \
		"$(sed -n 's/^\([a-z-]*==[^ ]*\).*/\1/p' \
			"$peers_base" "$peers_list" | tr '\n' ' ')"
	quietly "$peers_log" python3 -m venv "$1/venv" || return 1
	set -- "$peers_python" -m pip install --disable-pip-version-check
	quietly "$peers_log" "$@" -r "$peers_base" || return 1
	while read -r peer option; do
		[ "${peer#"#"}" = "$peer" ] || continue
		quietly "$peers_log" "$@" ${option:+"$option"} "$peer" ||
			echo "not installed: $peer"
	done <"$peers_list"
	cat "$peers_base" "$peers_list" >"$peers_done"
}
