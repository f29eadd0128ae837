# A story of its own.
