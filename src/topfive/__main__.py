"""`python -m topfive`."""

from topfive.cli import run

run()
