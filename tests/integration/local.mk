# Stories against the real daemon.
