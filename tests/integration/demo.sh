#!/bin/sh
# The story of the README: a network is trained, its evaluator follows, and
# what the daemon made of it is what the trainer itself would have made.
set -u

# shellcheck disable=SC2154 # make check exports both
digits=$top_builddir/examples/digits
# shellcheck disable=SC2154
data=$top_srcdir/examples/data/digits.csv
instance=story-demo-$$
folder=$(mktemp -d)
EMAD_ADDRESS=ipc://$folder/emad.sock
export EMAD_ADDRESS
children=
n=0

clean_up() {
	for child in $children; do
		kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
	done
	rm -rf "$folder" "/dev/shm/emad.$instance."* \
		"/dev/shm/.emad.$instance."*
}
trap clean_up EXIT
trap 'exit 130' INT TERM

expect() { # SENTENCE COMMAND...
	sentence=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $sentence"
	else
		echo "not ok $n - $sentence"
		sed 's/^/# /' "$folder"/*.log
	fi
}

ended_well() { # PID
	wait "$1"
}

python_opens_it() {
	sed -n 's/^ *python3 -c "\(.*\)"$/\1/p' "$folder/watch.log" \
		>"$folder/line.py"
	grep -q load_file "$folder/line.py" &&
		"$EMAD_PYTHON" "$folder/line.py" >"$folder/python.log" 2>&1 &&
		grep -q "'fc1.weight': (256, 64)" "$folder/python.log"
}

if [ -n "${EMAD_PYTHON-}" ]; then
	echo 1..7
else
	echo 1..6
fi

mkfifo "$folder/says"
"$top_builddir/emad" --instance "$instance" --address "$EMAD_ADDRESS" \
	>"$folder/says" 2>"$folder/emad.log" &
daemon=$!
children=$daemon
timeout 60 head -n 1 "$folder/says" >"$folder/listening.log"
expect daemon_says_where_it_listens \
	grep -qF "listening at $EMAD_ADDRESS" "$folder/listening.log"

# The evaluator comes first and waits for a model that nobody knows yet.
"$digits" watch --data "$data" --steps 400 --every 100 \
	>"$folder/watch.log" 2>&1 &
watcher=$!
"$digits" train --data "$data" --steps 400 --verify \
	>"$folder/train.log" 2>&1 &
trainer=$!
children="$watcher $trainer $daemon"

expect every_bit_equals_the_average_kept_in_the_trainer ended_well "$trainer"
expect trainer_compared_both_averages sh -c \
	"grep -c ' 0 values differ' '$folder/train.log' | grep -qx 2"
expect evaluator_follows_to_the_last_step ended_well "$watcher"
children=$daemon
expect daemon_stops_when_asked sh -c \
	"'$top_builddir/emactl' stop >'$folder/stop.log' 2>&1"
expect average_outlives_the_daemon \
	test -s "/dev/shm/emad.$instance.digits.ema.safetensors"
if [ -n "${EMAD_PYTHON-}" ]; then
	expect python_line_of_the_evaluator_works python_opens_it
fi
