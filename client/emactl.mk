# emactl: the command line tool, on libemad's public face and the contract.

bin_PROGRAMS += emactl
emactl_SOURCES = \
	client/emactl.c client/emactl.h \
	client/emactl_admin.c \
	client/emactl_connection.c client/emactl_connection.h \
	client/emactl_copy.c client/emactl_copy.h \
	client/emactl_describe.c \
	client/emactl_options.c client/emactl_options.h \
	client/emactl_output.c client/emactl_output.h \
	client/emactl_plot.c client/emactl_plot.h \
	client/emactl_profile.c client/emactl_profile.h \
	client/emactl_progress.c client/emactl_progress.h \
	client/emactl_publish.c \
	client/emactl_pull.c \
	client/emactl_schedule.c \
	client/emactl_table.c client/emactl_table.h
emactl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
emactl_LDADD = client/libemad.la proto/libproto.la $(JANSSON_LIBS) -lm
dist_man_MANS += client/emactl.1

# bash-completion finds it by the command's name.
EXTRA_DIST += client/emactl.bash

install-data-local: install-emactl-completion
install-emactl-completion:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)'
	$(INSTALL_DATA) $(top_srcdir)/client/emactl.bash \
		'$(DESTDIR)$(bashcompletiondir)/emactl'

uninstall-local: uninstall-emactl-completion
uninstall-emactl-completion:
	rm -f '$(DESTDIR)$(bashcompletiondir)/emactl'

.PHONY: install-emactl-completion uninstall-emactl-completion
