# The unit and its user.

nodist_systemdsystemunit_DATA = systemd/emad.service
nodist_sysusers_DATA = systemd/emad.conf
EXTRA_DIST += systemd/emad.service.in systemd/emad.sysusers
CLEANFILES += systemd/emad.service systemd/emad.conf

# Not configure's: it would write ${prefix} for @bindir@.
systemd/emad.service: systemd/emad.service.in
	$(AM_V_GEN)$(MKDIR_P) systemd && \
	$(SED) -e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(top_srcdir)/systemd/emad.service.in >$@.part && mv $@.part $@

# Files in sysusers.d are read by this suffix.
systemd/emad.conf: systemd/emad.sysusers
	$(AM_V_GEN)$(MKDIR_P) systemd && \
	cp $(top_srcdir)/systemd/emad.sysusers $@.part && mv $@.part $@
