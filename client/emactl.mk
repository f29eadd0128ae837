# emactl: the command line tool, on libemad alone.
