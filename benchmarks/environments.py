"""Environments of their own for the packages that we are held against."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

PEER = "l0-python==0.6.2"


def peer_python(*others: str) -> Path:
    """Give the Python of an environment with l0-python 0.6.2 and the version of torch we run.

    It lies in the user's cache folder, and the first call makes it. `others` are put in beside
    l0-python, whatever versions of Python they declare.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = cache / "l0-benchmarks" / PEER.replace("==", "-")
    python = home / "bin" / "python"
    torch_pin = f"torch=={torch.__version__.split('+')[0]}"
    for package in (PEER, *others):
        ready = home / f"ready-{package}"
        if ready.exists():
            continue
        print(f"installing {package} into {home}", file=sys.stderr)
        if package == PEER:
            call(sys.executable, "-m", "venv", "--clear", home)
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        call(*pip, "--ignore-requires-python", package, torch_pin)
        ready.touch()
    return python


def call(*command: object, **environment: str) -> str:
    """Run a command to its end, with more in its environment, and give what it printed."""
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
