# The story of the README.

TESTS += tests/integration/demo.sh
EXTRA_DIST += tests/integration/demo.sh
