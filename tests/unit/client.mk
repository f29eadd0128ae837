# Unit tests, one line each; unit_tests collects them.
