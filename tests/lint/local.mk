# The rules of HACKING.md, executable.
