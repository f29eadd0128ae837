# The rules of HACKING.md, executable.

lints = tests/lint/layers.sh tests/lint/size.sh tests/lint/tables.sh \
	tests/lint/symbols.sh tests/lint/format.sh tests/lint/words.sh \
	tests/lint/vectors.sh
dist_check_SCRIPTS += $(lints)
EXTRA_DIST += tests/lint/functions.sh
TESTS += $(lints)
