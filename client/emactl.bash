# bash completion for emactl(1).                          -*- shell-script -*-

# What the words so far ask of the daemon, silently and without a long wait.
_emactl_ask() {
	local -a address=()
	local i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-a | --address)
			address=(--address "${COMP_WORDS[i + 1]}")
			;;
		esac
	done
	timeout 2 emactl "${address[@]}" --json "$@" 2>/dev/null
}

# The values of "name" in JSON on standard input; names need no escapes.
_emactl_names() {
	sed -n 's/^ *"name": "\([A-Za-z0-9._-]*\)".*/\1/p'
}

# Models, and behind "MODEL/" its profiles.  The model's own name comes first
# in its description and would be the one without a slash.
_emactl_models() {
	local model=${1%%/*} name

	if [[ $1 == */* ]]; then
		_emactl_ask show "$model" | sed -n '/"profiles"/,$p' |
			_emactl_names | sort -u |
			while read -r name; do
				printf '%s/%s\n' "$model" "$name"
			done
	else
		_emactl_ask list | _emactl_names
	fi
}

# Long options as the help of the command, or of the program, lists them.
_emactl_options() {
	emactl "$@" --help 2>/dev/null |
		sed -n 's/^ *\(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

_emactl_commands() {
	emactl --help 2>/dev/null |
		sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

_emactl_value() {
	case $1 in
	-o | --output)
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
		;;
	--variant)
		mapfile -t COMPREPLY < <(compgen -W \
			"ema_pytorch ema_pytorch_0.7 constant" -- "$2")
		;;
	--accumulator)
		mapfile -t COMPREPLY < <(compgen -W \
			"float32 float32_compensated float64" -- "$2")
		;;
	--timeout)
		mapfile -t COMPREPLY < <(compgen -W "inf" -- "$2")
		;;
	-a | --address | --at-step | --step | --profile | --beta | \
		--update-after-step | --update-every | --inv-gamma | \
		--power | --min-value | --param-or-buffer-names-no-ema | \
		--ignore-names | --ignore-startswith-names | --steps | \
		--from | --to | --points | --tensors) ;;
	*)
		return 1
		;;
	esac
}

# Sets command, and n_operands behind it, from the words before the cursor.
_emactl_scan() {
	local i word

	command='' n_operands=0
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if _emactl_value "$word" ''; then
			((i++))
		elif [[ $word == -* ]]; then
			continue
		elif [[ -z $command ]]; then
			command=$word
		else
			((n_operands++))
		fi
	done
	COMPREPLY=()
}

_emactl() {
	local current=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command n_operands

	_emactl_scan
	_emactl_value "$previous" "$current" && return
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_emactl_options ${command:+"$command"})" -- "$current")
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_emactl_commands)" -- "$current")
	elif [[ $n_operands == 0 && $command =~ ^(show|pull|publish|drop)$ ]]
	then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(_emactl_models "$current")" -- "$current")
	elif [[ $n_operands == 1 && $command == publish ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
} && complete -o filenames -F _emactl emactl
