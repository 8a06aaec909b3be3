"""The command that compares compact with gated models at random unequal sets of units."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def fuzz(*options):
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "fuzz_networks.py"), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_a_few_structures():
    done = fuzz("--only", "stack", "mlp")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "ok: all equal, in both precisions"
    assert sum(line.count("| same |") for line in done.stdout.splitlines()) == 3


@pytest.mark.slow
def test_all_structures():
    done = fuzz("--draws", "3")
    assert done.returncode == 0, done.stdout + done.stderr
