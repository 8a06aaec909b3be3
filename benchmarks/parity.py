"""Calibration with three distances: seconds beside those of R's package survey.

``python benchmarks/parity.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from checks import check
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from l0.calibration import CalibrationProblem

INPUTS = Path(__file__).parents[1] / "tests" / "parity"
DISTANCES = ("linear", "raking", "logit")


@dataclass(frozen=True)
class Size:
    """A problem, the bounds of its logit distance, and the most seconds that a solve may take."""

    problem: CalibrationProblem
    bounds: tuple[float, float]
    limit: float
    r_repeats: int

    @property
    def name(self) -> str:
        """Records x totals."""
        return f"{self.problem.n_records:,} x {self.problem.n_targets}"


def stored(data: str, limit: float) -> Size:
    """Read a data set of the tests."""
    setting = pd.read_csv(INPUTS / "settings.csv", index_col="data").loc[data]
    folder = INPUTS / "data" / data
    problem = CalibrationProblem.from_frames(
        folder / "records.csv.gz", folder / "totals.csv", weight=setting["weight"]
    )
    return Size(problem, (setting["low"], setting["high"]), limit, r_repeats=5)


def generated(n: int = 50_000, seed: int = 0) -> Size:
    """Make 192 totals: four labels with 32 levels each, and 64 amounts of half of the records."""
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, 32, (4, n))
    counts = (levels[:, None, :] == np.arange(32)[:, None]).reshape(128, n)
    amounts = generator.lognormal(0, 0.8, (64, n)) * (generator.random((64, n)) < 0.5)
    matrix = np.vstack([counts, amounts])
    weights = generator.uniform(50, 150, n)
    ratios = generator.uniform(0.9, 1.1, (4, 32))[np.arange(4)[:, None], levels].prod(0)
    problem = CalibrationProblem.from_matrix(matrix, matrix @ (weights * ratios), weights)
    return Size(problem, (0.5, 2.0), 3.0, r_repeats=1)


def options_of(size: Size, distance: str) -> dict[str, object]:
    """Only the logit distance needs bounds."""
    return {"distance": distance, **({"bounds": size.bounds} if distance == "logit" else {})}


def solve(size: Size, distance: str) -> tuple[NDArray[np.float64], float, str]:
    """Solve five times. Return the weights, the median seconds and how the fit ended."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        result = size.problem.solve(**options_of(size, distance))
        seconds.append(time.perf_counter() - started)
    weights = np.empty(len(result.values))
    weights[result.indices] = result.values
    return weights, statistics.median(seconds), result.metrics["fit_status"]


def solve_in_r(size: Size) -> dict[str, tuple[NDArray[np.float64], float]]:
    """Run `grake` on the same matrix. Return the weights and seconds by distance."""
    problem = size.problem
    # R inverts the products of the columns, and needs columns of similar size.
    units = abs(problem.matrix).mean(axis=1)
    columns = problem.matrix.toarray() / units[:, None]
    with tempfile.TemporaryDirectory() as folder:
        columns.astype(np.float64).tofile(Path(folder) / "columns")
        problem.design_weights.tofile(Path(folder) / "weights")
        (problem.values / units).tofile(Path(folder) / "population")
        shape = (problem.n_records, problem.n_targets, *size.bounds, size.r_repeats)
        script = Path(__file__).with_name("parity_grake.R")
        command = ["Rscript", str(script), folder, *map(str, shape)]
        lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = {}
        for line in lines.splitlines():
            distance, seconds = line.split()
            weights = np.empty(problem.n_records)
            weights[problem.record_order] = np.fromfile(Path(folder) / distance)
            found[distance] = weights, float(seconds)
        return found


def main() -> int:
    """Run all sizes and distances, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    with_r = shutil.which("Rscript") is not None
    if not with_r:
        print("no R: there is no Rscript on the PATH\n")
    columns = ("records x totals", "distance", "seconds", "seconds of R", "difference", "status")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    passed = []
    for size in (stored("api", 0.01), stored("eusilc", 0.3), generated()):
        others = solve_in_r(size) if with_r else {}
        runs = {}
        for distance in DISTANCES:
            with threadpool_limits(threads):
                weights, seconds, status = runs[distance] = solve(size, distance)
            cells = ["no R", ""]
            if distance in others:
                other, others_seconds = others[distance]
                cells = [f"{others_seconds:.3f}", f"{abs(weights / other - 1).max():.1e}"]
            row = (size.name, distance, f"{seconds:.4f}", *cells, status)
            print(f"| {' | '.join(row)} |", flush=True)
        slowest = max(seconds for _, seconds, _ in runs.values())
        passed.append((f"{size.name}, slowest distance, seconds", slowest, "at most", size.limit))
        exact = sum(status == "exact" for _, _, status in runs.values())
        passed.append((f"{size.name}, exact fits", exact, "exactly", len(DISTANCES)))
    print()
    return 0 if all([check(*one) for one in passed]) else 1


if __name__ == "__main__":
    sys.exit(main())
