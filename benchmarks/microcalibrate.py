"""The package microcalibrate, on l0-python 0.6.2 and on ours: ``python microcalibrate.py``.

Its newest release imports `HardConcrete` from `l0` and calibrates survey weights with it. The same
jobs run in turns on both packages, in one environment that holds both it and l0-python 0.6.2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from checks import check
from environments import PEER, call, peer_python

HERE = Path(__file__).resolve().parent
CALLER = "microcalibrate==0.22.3"


def run(seeds: int, threads: int) -> dict[str, dict[str, list[float]]]:
    """Run each seed's job on both sides; give the figures of each side by name."""
    python = peer_python(CALLER)
    # Our checkout comes before what is installed; -P: this folder does not, with this very file.
    paths = {"peer": "", "ours": str(HERE.parent)}
    figures: dict[str, dict[str, list[float]]] = {side: {} for side in paths}
    for seed in range(seeds):
        for side, path in paths.items():
            job = (python, "-P", "-W", "ignore", HERE / "microcalibrate_job.py", seed, threads)
            output = call(*job, PYTHONPATH=path, TQDM_DISABLE="1")
            for name, value in json.loads(output).items():
                figures[side].setdefault(name, []).append(value)
    return figures


def main() -> int:
    """Print medians side by side, and fail where ours are worse."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many jobs, each on both sides")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    figures = run(options.seeds, options.threads)
    print(f"{CALLER}: median (min to max) of {options.seeds} seeds, {options.threads} threads")
    print(f"{'':18}{PEER:>34}{'this package':>34}")
    for name in figures["peer"]:
        found = [side[name] for side in figures.values()]
        cells = [f"{statistics.median(x):,.4g} ({min(x):,.4g} to {max(x):,.4g})" for x in found]
        print(f"{name:18}" + "".join(f"{cell:>34}" for cell in cells))
    medians = {
        side: {name: statistics.median(values) for name, values in found.items()}
        for side, found in figures.items()
    }
    passed = []
    for name in ("dense error, %", "sparse error, %", "records kept"):
        # Jobs on one side differ this much from seed to seed.
        limit = max(figures["peer"][name])
        passed.append(check(f"{name}, our median", medians["ours"][name], "at most", limit))
    for name in ("seconds", "gates alone, ms"):
        times = medians["peer"][name] / medians["ours"][name]
        passed.append(check(f"times faster, {name.split(',')[0]}", times, "at least", 1.0))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
