"""`python -m topfive`."""

from topfive.cli.main import run

run()
