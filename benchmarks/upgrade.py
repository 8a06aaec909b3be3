"""`SparseCalibrationWeights` beside l0-python 0.6: time, memory and what comes out.

``python benchmarks/upgrade.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from checks import check
from environments import call, peer_python

HERE = Path(__file__).resolve().parent
FIGURES = {
    "seconds": "seconds an epoch",
    "gigabytes": "peak memory, GB",
    "loss": "loss",
    "mean_error": "mean error",
    "records": "records",
}

#: For each side and figure, one value a seed.
Runs = dict[str, dict[str, list[float]]]


def run(surface: Path, epochs: int, seeds: int, threads: int) -> Runs:
    """Fit on both sides in turns, each fit in a process of its own."""
    # -E: what PYTHONPATH holds is not for the peer; nor are its warnings for us.
    pythons = {"l0-python 0.6": (peer_python(), "-E", "-W", "ignore"), "l0": (sys.executable,)}
    runs: Runs = {side: {figure: [] for figure in FIGURES} for side in pythons}
    for seed in range(seeds):
        for side, python in pythons.items():
            job = (HERE / "epoch.py", surface, epochs, seed, threads)
            # Threads that spin while they wait would time what else the machine is doing.
            output = call(*python, *job, OMP_WAIT_POLICY="PASSIVE")
            for figure, value in json.loads(output).items():
                runs[side][figure].append(value)
    return runs


def print_table(runs: Runs) -> None:
    """Print a row a side, median and range over the seeds."""
    print(f"{'':<14}" + "".join(f"{title:>32}" for title in FIGURES.values()))
    for side, figures in runs.items():
        cells = (
            f"{statistics.median(values):,.5g} ({min(values):,.5g} to {max(values):,.5g})"
            for values in figures.values()
        )
        print(f"{side:<14}" + "".join(f"{cell:>32}" for cell in cells))


def verdict(runs: Runs) -> bool:
    """Say whether ours is fast enough, no larger and no worse."""
    theirs, ours = runs.values()
    spread = max(theirs["loss"]) - min(theirs["loss"])
    times = statistics.median(theirs["seconds"]) / statistics.median(ours["seconds"])
    limits = (
        ("times faster an epoch", times, "at least", 40),
        ("peak memory, GB", max(ours["gigabytes"]), "at most", min(theirs["gigabytes"])),
        (
            "median loss (theirs and their spread over seeds)",
            statistics.median(ours["loss"]),
            "at most",
            statistics.median(theirs["loss"]) + spread,
        ),
    )
    return all([check(*limit) for limit in limits])


def main() -> int:
    """Make a surface, fit it on both sides, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        surface = Path(folder) / "surface.npz"
        call(sys.executable, HERE / "surface_data.py", surface, options.records, 0, 0)
        runs = run(surface, options.epochs, options.seeds, options.threads)
    print(
        f"{options.records:,} records, {options.epochs} epochs, {options.seeds} seeds, "
        f"{options.threads} threads: median (min to max)"
    )
    print_table(runs)
    return 0 if verdict(runs) else 1


if __name__ == "__main__":
    sys.exit(main())
