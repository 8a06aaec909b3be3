"""l0-python 0.6.2, run beside this package: same Python, same torch, its own folder first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PEER = Path(sys.prefix) / "peer" / "l0-python-0.6.2"


@pytest.fixture(scope="session")
def run_on_peer():
    """Give a function that runs Python with `l0` being 0.6.2, and returns the finished process."""
    if not (PEER / "l0").is_dir():
        pytest.skip(f"l0-python 0.6.2 is not in {PEER}; `make test` puts it there")

    def run(*arguments):
        # -P: the folder of the script or the one we stand in would come before PYTHONPATH.
        return subprocess.run(
            [sys.executable, "-P", "-W", "ignore", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(PEER)},
            capture_output=True,
            text=True,
        )

    where = run("-c", "import importlib.util as u; print(u.find_spec('l0').origin)").stdout
    assert Path(where.strip()).is_relative_to(PEER)
    return run
