#!/bin/sh
# Story: tests/replay finds the golden vectors reproduced, and finds what is
# not.
set -u

replay=${top_builddir:-.}/tests/replay
golden=${top_srcdir:-.}/tests/golden
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
n=0

# result STATUS SENTENCE: one line of TAP, with the output where it failed.
result() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$folder/output"
	fi
}

# play FOLDER WANTED-EXIT-CODE
play() {
	"$replay" "$1" >"$folder/output" 2>&1
	[ $? -eq "$2" ]
}

echo 1..6

play "$golden" 0
result $? "every_vector_is_reproduced_through_the_daemon"

mkdir "$folder/schedules" "$folder/trajectories" "$folder/empty"
cp "$golden/schedules.json" "$folder/schedules"
play "$folder/schedules" 0
result $? "folder_with_schedules_only_is_replayed"

# Another last digit of an averaged weight, of a decay.
sed 's/\("ema": *{"[^"]*": *\["[0-9a-f]*\)0"/\11"/; t
	s/\("ema": *{"[^"]*": *\["[0-9a-f]*\)[1-9a-f]"/\10"/' \
	"$golden/trajectories.json" >"$folder/trajectories/trajectories.json"
! cmp -s "$golden/trajectories.json" "$folder/trajectories/trajectories.json" &&
	play "$folder/trajectories" 1 &&
	grep -q 'expected [0-9a-f]*, got [0-9a-f]*$' "$folder/output" &&
	grep -q 'step [0-9]*: [a-z0-9_.]*, word [0-9]*:' "$folder/output"
result $? "weight_that_differs_in_one_digit_is_shown"

sed 's/p-1"/p-2"/' "$golden/schedules.json" >"$folder/schedules/schedules.json"
play "$folder/schedules" 1 && grep -q 'decay: expected 0x' "$folder/output"
result $? "decay_that_differs_is_shown"

play "$folder/empty" 2
result $? "folder_without_vectors_is_refused"

"$replay" >"$folder/output" 2>&1
[ $? -eq 2 ] && grep -q usage: "$folder/output"
result $? "missing_argument_is_refused"
