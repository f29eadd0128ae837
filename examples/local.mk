# Trainers that a reader can run.

noinst_PROGRAMS += examples/digits
examples_digits_SOURCES = \
	examples/digits.c examples/digits.h \
	examples/digits_data.c examples/digits_data.h \
	examples/digits_reference.c examples/digits_reference.h \
	examples/digits_train.c examples/digits_watch.c \
	examples/mlp.c examples/mlp.h examples/rng.h
# libproto is for the schedule in digits_reference.c only.
examples_digits_LDADD = client/libemad.la proto/libproto.la -lm
# Runs from the build folder without libtool's wrapper script.
examples_digits_LDFLAGS = $(AM_LDFLAGS) -no-install
EXTRA_DIST += examples/data/digits.csv examples/data/README.md
