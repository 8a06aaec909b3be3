"""The command line, `l0 ...`. Commands import slow modules when they need them.

`l0 --help` is quick for that reason, and lists the commands in the order of the imports below.
"""

from l0.cli import fits, results, surveys
from l0.cli.app import app

__all__ = ["app", "fits", "results", "surveys"]
