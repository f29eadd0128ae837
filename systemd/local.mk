# The unit and its user.
