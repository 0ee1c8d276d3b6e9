"""What `topfive teach` does where nothing is said."""

SPLIT = 0.2  # of the pictures are held out
COST = 2.0  # percent of the old pictures that may be lost to new classes
