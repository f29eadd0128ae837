#!/bin/sh
# The story of emactl: what it says without a daemon, then a model's life
# from the first publish to the end of the daemon, seen from the shell.
set -u

# shellcheck disable=SC2154 # make check exports both
emactl=$top_builddir/emactl
# shellcheck disable=SC2154
manual=$top_srcdir/client/emactl.1
instance=story-emactl-$$
folder=$(mktemp -d)
EMAD_ADDRESS=ipc://$folder/emad.sock
export EMAD_ADDRESS
out=$folder/out
err=$folder/err
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

# Run emactl, keep what it says, and look at its exit code.
ctl() { # CODE ARGUMENT...
	expected=$1
	shift
	"$emactl" "$@" >"$out" 2>"$err" </dev/null
	[ $? -eq "$expected" ]
}

report() { # RESULT SENTENCE
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
		return
	fi
	echo "not ok $n - $2"
	sed 's/^/# /' "$out" "$err"
}

# SENTENCE EXIT-CODE PATTERN-IN-OUTPUT-OR-ERROR ARGUMENT...
says() {
	sentence=$1 code=$2 pattern=$3
	shift 3
	ctl "$code" "$@" && cat "$out" "$err" | grep -q -- "$pattern"
	report $? "$sentence"
}

expect() { # SENTENCE COMMAND...
	sentence=$1
	shift
	"$@"
	report $? "$sentence"
}

# A safetensors file of one float32 tensor, every byte of it the same.
make_file() { # FILE ELEMENTS OCTAL-BYTE
	size=$(($2 * 4))
	{
		printf '\140\0\0\0\0\0\0\0%-96s' \
			"{\"w\":{\"dtype\":\"F32\",\"shape\":[$2],\"data_offsets\":[0,$size]}}"
		head -c "$size" /dev/zero | tr '\0' "\\$3"
	} >"$folder/$1"
}

manual_has_every_option() {
	for command in '' status list show pull publish drop schedule stop; do
		# shellcheck disable=SC2086 # none is no argument
		"$emactl" $command --help >"$out" 2>"$err" || return 1
		sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}--\([a-z-]*\).*/\2/p' \
			"$out" >"$folder/options"
		while read -r option; do
			grep -q "Fl Fl $option\( \|$\)" "$manual" || {
				echo "no --$option in the manual" >>"$err"
				return 1
			}
		done <"$folder/options"
	done
}

manual_has_every_exit_code() {
	"$emactl" --help >"$out" 2>"$err" || return 1
	sed -n '/^Exit status:/,/^$/s/^  \([0-9]\)  .*/\1/p' "$out" |
		while read -r code; do
			grep -q "^\.It $code\$" "$manual" || exit 1
		done
}

full_output_is_an_error() {
	"$emactl" schedule >/dev/full 2>"$err"
	[ $? -eq 1 ] && grep -q 'No space left on device' "$err"
}

closed_output_is_an_error() {
	"$emactl" schedule >&- 2>"$err"
	[ $? -eq 1 ] && grep -q 'cannot write the output' "$err"
}

gone_reader_is_quiet() {
	"$emactl" schedule --steps 1000000 --csv 2>"$err" | head -n 1 >"$out"
	[ ! -s "$err" ]
}

plot_is_as_wide_as_columns() {
	for locale in C C.UTF-8; do
		COLUMNS=64 LC_ALL=$locale "$emactl" schedule --plot >"$out" \
			2>"$err" || return 1
		[ "$(LC_ALL=C.UTF-8 wc -L <"$out")" -le 64 ] || return 1
	done
}

json_is_one_value() {
	for request in status list 'show two' 'pull net' 'show nothing' \
		'schedule --steps 20' 'drop two/slow' --version; do
		# shellcheck disable=SC2086 # a request is several words
		"$emactl" --json $request >"$out" 2>"$err" </dev/null
		python3 -m json.tool <"$out" >/dev/null 2>>"$err" || return 1
	done
}

copy_is_the_file() {
	ctl 0 pull net -o "$folder/copy.safetensors" &&
		cmp "$folder/copy.safetensors" \
			"/dev/shm/emad.$instance.net.ema.safetensors" >>"$err"
}

nothing_is_left_over() {
	[ -z "$(find "$folder" -name '.emactl-*')" ]
}

# A limit on file sizes stands in for the full disk: the same path, no root.
full_disk_leaves_nothing() {
	(
		ulimit -f 1
		"$emactl" pull big -o "$folder/full.safetensors"
	) >"$out" 2>"$err"
	[ $? -eq 1 ] && grep -q "cannot write $folder/full" "$err" &&
		[ ! -e "$folder/full.safetensors" ] && nothing_is_left_over
}

# Whichever comes first, the end of the copy or the signal: no third thing.
interrupt_leaves_nothing() {
	"$emactl" pull big -o "$folder/cut.safetensors" >"$out" 2>"$err" &
	copier=$!
	while kill -0 "$copier" 2>/dev/null && nothing_is_left_over; do
		[ ! -e "$folder/cut.safetensors" ] || break
	done
	kill -TERM "$copier" 2>/dev/null
	wait "$copier"
	nothing_is_left_over || return 1
	[ ! -e "$folder/cut.safetensors" ] ||
		cmp "$folder/cut.safetensors" \
			"/dev/shm/emad.$instance.big.ema.safetensors" >>"$err"
}

completions() { # WORD...
	PATH=$top_builddir:$PATH bash -c '
		. "$0"
		COMP_WORDS=(emactl "$@")
		COMP_CWORD=$#
		_emactl
		printf "%s\n" "${COMPREPLY[@]}"
	' "$top_srcdir/client/emactl.bash" "$@" >"$out" 2>"$err"
}

completes() { # WANTED WORD...
	wanted=$1
	shift
	completions "$@" && grep -qxF -- "$wanted" "$out"
}

stop_waits_for_the_end() {
	ctl 0 stop && [ ! -e "$folder/emad.sock" ] && ctl 3 status
}

echo 1..49

says no_command_is_wrong_usage 2 'no command given'
says unknown_command_suggests_the_nearest 2 'did you mean status?' statsu
says unknown_option_suggests_the_nearest 2 'did you mean --beta?' \
	schedule --bta 1
says option_of_another_command_is_refused 2 'list does not take --plot' \
	list --plot
says missing_operand_is_wrong_usage 2 'show takes MODEL' show
says bad_name_is_wrong_usage 2 'is not MODEL or MODEL/PROFILE' show a/b/c
says bad_number_is_wrong_usage 2 'not a whole number' pull net --at-step x
says bad_address_is_wrong_usage 2 'ipc:///absolute/path' \
	--address tcp://x list
says help_is_no_error 0 'Usage: emactl pull' pull --help
says version_is_printed 0 '^emactl [0-9]' --version
says absent_daemon_has_its_own_code_and_cure 3 \
	"no daemon at $EMAD_ADDRESS: start it with: emad" list
says error_is_json_too 3 '"status": "UNREACHABLE"' list --json
expect manual_has_every_option manual_has_every_option
expect manual_has_every_exit_code manual_has_every_exit_code
expect full_output_is_an_error full_output_is_an_error
expect closed_output_is_an_error closed_output_is_an_error
expect gone_reader_is_quiet gone_reader_is_quiet
says schedule_shows_decay_and_window 0 \
	'^ *110  init *0.7978200 *4.95 *49.46$' schedule
says schedule_is_csv 0 '^1,average,0.5,2,2$' \
	--csv schedule --variant constant --beta 0.5 --steps 3
says schedule_is_json 0 '"window_steps": 2.0' \
	--json schedule --variant constant --beta 0.5 --steps 3
expect plot_is_as_wide_as_columns plot_is_as_wide_as_columns
says bad_schedule_is_wrong_usage 2 'beta is 2' schedule --beta 2

make_file net.safetensors 1000 0
make_file other.safetensors 10 0
make_file nan.safetensors 1000 377
make_file big.safetensors 4000000 77
printf hello >"$folder/bad.safetensors"
mkfifo "$folder/says"
"$top_builddir/emad" --instance "$instance" --address "$EMAD_ADDRESS" \
	>"$folder/says" 2>"$folder/emad.log" &
children=$!
timeout 60 head -n 1 "$folder/says" >"$out"

says empty_daemon_lists_no_models 0 '^no models$' list
says status_tells_the_instance 0 "$instance" status
says file_that_is_not_there_is_named 1 'cannot open .*none.safetensors: No' \
	publish net "$folder/none.safetensors" --step 0
says file_of_another_kind_is_named 1 'bad.safetensors is not a safetensors' \
	publish net "$folder/bad.safetensors" --step 0
says publish_needs_a_step 2 'needs --step' \
	publish net "$folder/net.safetensors"
says snapshot_is_absorbed 0 'net: absorbed step 0' publish net \
	"$folder/net.safetensors" --step 0 --variant constant --beta 0.5
says model_keeps_its_profiles 0 'net: absorbed step 1' \
	publish net "$folder/net.safetensors" --step 1
says other_tensors_are_refused 1 'differs' \
	publish net "$folder/other.safetensors" --step 2
says nan_is_refused_by_name 1 '"w"' \
	publish net "$folder/nan.safetensors" --step 2
says unwanted_step_is_no_error 0 '"absorbed": false' --json \
	publish gated "$folder/net.safetensors" --step 5
says two_profiles_are_made 0 'absorbed step 0' publish two \
	"$folder/net.safetensors" --step 0 --variant constant \
	--profile slow --beta 0.999 --profile fast --beta 0.9
says list_has_a_line_for_each 0 '^two  *2  *1  *0 ' list
says show_has_the_file 0 "/dev/shm/emad.$instance.two.fast.safetensors" \
	show two/fast
says unknown_model_has_its_own_code 5 'no model' show nothing
says pull_prints_the_path 0 "^/dev/shm/emad.$instance.net.ema.safetensors$" \
	pull net
says pull_of_a_later_step_says_how_to_wait 4 'timeout SECONDS' \
	pull net --at-step 7
expect json_is_one_value json_is_one_value
expect copy_is_the_file copy_is_the_file
says device_is_not_replaced 2 'not a regular file' pull net -o /dev/null
ctl 0 publish big "$folder/big.safetensors" --step 0 --variant constant
expect full_disk_leaves_nothing full_disk_leaves_nothing
expect interrupt_leaves_nothing interrupt_leaves_nothing
expect commands_are_completed completes publish pu
expect options_are_completed completes --at-step pull --at
expect profiles_are_completed completes two/slow show two/
says drop_asks_or_needs_yes 2 'needs --yes' drop net
says drop_forgets_an_average 0 'dropped two/slow' drop two/slow --yes
expect stop_waits_for_the_end stop_waits_for_the_end
children=
