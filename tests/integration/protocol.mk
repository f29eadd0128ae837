TESTS += tests/integration/protocol.py
EXTRA_DIST += tests/integration/protocol.py
