"""Environments of their own for the packages that we are held against."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

PEER = "l0-python==0.6.2"

#: Where environments and data are kept between runs.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "l0-benchmarks"


def peer_python(*others: str) -> Path:
    """Give the Python of an environment with l0-python 0.6.2 and the version of torch we run.

    `others` are put in beside l0-python, whatever versions of Python they declare.
    """
    torch_pin = f"torch=={torch.__version__.split('+')[0]}"
    words = ("--ignore-requires-python", torch_pin)
    return python_with(PEER.replace("==", "-"), PEER, *others, words=words)


def python_with(name: str, *packages: str, words: tuple[str, ...] = ()) -> Path:
    """Give the Python of an environment with some packages, none of them ours.

    It lies in the user's cache folder, and the first call makes it. `words` go to pip beside each
    package.
    """
    home = CACHE / name
    python = home / "bin" / "python"
    for package in packages:
        ready = home / f"ready-{package}"
        if ready.exists():
            continue
        print(f"installing {package} into {home}", file=sys.stderr)
        if package == packages[0]:
            call(sys.executable, "-m", "venv", "--clear", home)
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        call(*pip, package, *words)
        ready.touch()
    return python


def fits_of_peers(job: str, cells: list[Any], threads: int, *names: str) -> list[dict[str, Any]]:
    """Run a script of this folder beside packages that choose columns, and give the fits it prints.

    It is given `names` as arguments and `cells` as JSON, and prints a line of JSON a fit.
    """
    python = python_with("support-recovery", "abess", "skglm", "scikit-learn")
    kinds = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    printed = subprocess.run(
        [str(python), str(Path(__file__).with_name(job)), *names],
        input=json.dumps(cells),
        env={**os.environ, **dict.fromkeys(kinds, str(threads))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    return [json.loads(line) for line in printed.splitlines()]


def call(*command: object, **environment: str) -> str:
    """Run a command to its end, with more in its environment, and give what it printed."""
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
