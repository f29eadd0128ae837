# The story of emactl.

TESTS += tests/integration/emactl.sh
EXTRA_DIST += tests/integration/emactl.sh
