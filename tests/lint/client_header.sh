#!/bin/sh
# emad.h is good C++ and strict C, and libemad exports what it declares.

header=${top_srcdir:?}/client/emad.h
library=${top_builddir:?}/client/.libs/libemad.so
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

echo 1..3

result() {
	if [ "$1" -eq 0 ]; then
		echo "ok $2 - $3"
	else
		echo "not ok $2 - $3"
		sed 's/^/# /' "$folder/log"
	fi
}

printf '#include "%s"\nint\nmain(void)\n{\n\treturn EMAD_OK;\n}\n' \
	"$header" >"$folder/use.c"
cp "$folder/use.c" "$folder/use.cc"

if command -v g++ >/dev/null 2>&1; then
	set -- g++
else
	set -- clang
fi
"$@" -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
	"$folder/use.cc" >"$folder/log" 2>&1
result $? 1 "the header compiles as C++"

${CC:-cc} -x c -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
	"$folder/use.c" >"$folder/log" 2>&1
result $? 2 "the header compiles as C99"

# Names before a parenthesis in declarations that begin with EMAD_API.
tr '\n' ' ' <"$header" | grep -o 'EMAD_API [^;]*;' |
	grep -o 'emad_[a-z_]*(' | tr -d '(' | sort -u >"$folder/declared"
nm -D --defined-only "$library" | awk '$2 == "T" { print $3 }' |
	sed 's/@.*//' | sort -u >"$folder/exported"
diff "$folder/declared" "$folder/exported" >"$folder/log" 2>&1 &&
	[ -s "$folder/declared" ]
result $? 3 "the library exports what the header declares, nothing else"
