"""What `topfive calibrate` may be asked for, and what it does where nothing is said."""

METHODS = ("raps", "aps")
REJECT_SCORES = ("energy", "max_logit")
REJECT_RATE = 0.05
