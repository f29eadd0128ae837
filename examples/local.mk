# Trainers that a reader can run.
