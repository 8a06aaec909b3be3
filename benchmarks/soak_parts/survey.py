"""A small survey as files, the command that calibrates it, and what must hold of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from l0.calibration import CalibrationResult

KEEP = 300


def make(n: int = 3_000, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make records with weights and labels, and totals that other weights of them have."""
    rng = np.random.default_rng(seed)
    records = pd.DataFrame(
        {
            "id": np.arange(n),
            "weight": rng.uniform(50, 150, n),
            "area": rng.choice(list("abcdefgh"), n),
            "age": rng.choice(["0-17", "18-64", "65+"], n),
            "income": np.round(rng.lognormal(10, 1, n), 2),
        }
    )
    truth = records["weight"] * rng.uniform(0.6, 1.4, n)
    rows = []
    for label in ("area", "age"):
        for level, part in records.groupby(label):
            rows.append({"variable": "count", label: level, "value": truth[part.index].sum()})
            income = (truth * records["income"])[part.index].sum()
            rows.append({"variable": "income", label: level, "value": income})
    return records, pd.DataFrame(rows)


def write(folder: Path) -> None:
    """Write the survey to a folder."""
    records, targets = make()
    records.to_csv(folder / "records.csv", index=False)
    targets.to_csv(folder / "targets.csv", index=False)


def start(folder: Path, out: Path, *words: str, keep: int = KEEP) -> subprocess.Popen[str]:
    """Start the command line on the survey in a folder."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "l0", "calibrate", str(folder / "records.csv"),
            str(folder / "targets.csv"), "--key", "id", "--weight", "weight", "--n-records",
            str(keep), "--out", str(out), "--quiet", *words,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def digest(out: Path) -> bytes:
    """Read a result from a folder and give the bits of its weights; fail if it is not whole."""
    result = CalibrationResult.load(out)
    if not np.isfinite(result.values).all():
        raise ValueError("a weight is not finite")
    # A report of its own says that all tables are there.
    with tempfile.TemporaryDirectory() as elsewhere:
        result.to_html(Path(elsewhere, "report.html"))
    return result.values.tobytes()
