"""Settings for the kernel of each page: short errors, sharp figures, complete outputs."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Set up the kernel. Pages call this with ``%load_ext cells``."""
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # the kernel sets them, for terminals
        os.environ.pop(name, None)
    shell.run_line_magic("xmode", "Minimal")
    shell.run_line_magic("config", "InlineBackend.figure_formats = ['svg']")
    pd.options.display.float_format = _number
    shell.register_magic_function(bash, "cell")


def bash(_line: str, cell: str) -> None:
    """Run a cell in bash. The output is one piece, and not several as with IPython's own magic."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", cell], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr}")
    sys.stdout.write(done.stdout)


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 1_000 else f"{x:,.4g}"
