"""`python -m l0`, the same as the command `l0`."""

from l0.cli import app

app(prog_name="l0")
