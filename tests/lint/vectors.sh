#!/bin/sh
# The kernels are vector code.  Flags and compilers lose that without a word,
# and every result stays right: only the machine's code shows it.
# shellcheck source=tests/lint/functions.sh
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lint/functions.sh"

# KERNEL of MACHINE: instruction, on these operands.
vectors='
x86_64  avx512 vfmadd[0-9]*ps  %zmm
x86_64  avx512 vfmadd[0-9]*pd  %zmm
x86_64  avx512 vmulps          %zmm
x86_64  avx512 vcvtph2ps       %zmm
x86_64  avx512 vmovntps        %zmm
x86_64  avx512 vmovntpd        %zmm
x86_64  avx2   vfmadd[0-9]*ps  %ymm
x86_64  avx2   vfmadd[0-9]*pd  %ymm
x86_64  avx2   vmulps          %ymm
x86_64  avx2   vcvtph2ps       %ymm
x86_64  avx2   vmovntps        %ymm
x86_64  avx2   vmovntpd        %ymm
aarch64 neon   fmla            v[0-9]*[.]4s
aarch64 neon   fmla            v[0-9]*[.]2d
aarch64 neon   fmul            v[0-9]*[.]4s
aarch64 neon   fcvtl           v[0-9]*[.]4s
'

# The rows of $vectors that an object has nothing of.
missing_vectors() { # OBJECT KERNEL
	if ! code=$("${OBJDUMP:-objdump}" -d "$1" 2>&1); then
		echo "$code"
		return
	fi
	echo "$vectors" | while read -r _ kernel instruction operands; do
		[ "$kernel" = "$2" ] || continue
		echo "$code" |
			grep -qE "\\s$instruction\\s.*$operands" ||
			echo "$1: no $instruction $operands"
	done
}

# script/aarch64 asks about a machine that is not this one.
machine=${EMAD_MACHINE:-$(uname -m)}
for kernel in $(echo "$vectors" |
	awk -v machine="$machine" '$1 == machine { print $2 }' | uniq); do
	object=$top_builddir/daemon/core/.libs/kernel_$kernel.o
	[ -e "$object" ] || object=${object%.libs/*}${object##*.libs/}
	report "kernel_$kernel has the vector instructions it is for" \
		"$(missing_vectors "$object" "$kernel")"
done
plan
