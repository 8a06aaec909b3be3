"""One process with several threads beside as many ranks with one thread each.

``python benchmarks/ranks.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from environments import call
from jobs import run_json

HERE = Path(__file__).resolve().parent


def run(n_ranks: int, n_threads: int, problem: Path, keep: int, method: str, file: Path) -> Any:
    """Solve a problem, and read what rank 0 prints."""
    job = HERE / "ranks_job.py", problem, keep, method, file
    return run_json(n_threads, *job, ranks=n_ranks, OMP_WAIT_POLICY="PASSIVE")


def main() -> None:
    """Make a surface, solve it each way in turn, and compare the records and the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=0.17, help="of the records that are kept")
    parser.add_argument("--methods", nargs="+", default=["path", "hybrid"])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        surface, problem = Path(folder, "surface.npz"), Path(folder, "problem.l0")
        call(sys.executable, HERE / "surface_data.py", surface, options.records, 0, 0.0)
        call(sys.executable, HERE / "scaling_job.py", "compile", surface, problem)
        surface.unlink()
        keep = round(options.share * options.records)
        for method in options.methods:
            files = [Path(folder, f"{name}.npz") for name in ("one", "several")]
            ways = ((1, options.ranks, files[0]), (options.ranks, 1, files[1]))
            rows = [
                [run(ranks, threads, problem, keep, method, file) for ranks, threads, file in ways]
                for _ in range(options.rounds)
            ]
            one, several = (min(row[way]["seconds"] for row in rows) for way in (0, 1))
            cpu = min(row[1]["cpu"] for row in rows)
            # The number of threads changes the last digits of sums, and ranks do not.
            run(1, 1, problem, keep, method, files[0])
            first, second = (np.load(file) for file in files)
            same = np.array_equal(first["indices"], second["indices"])
            off = np.abs(second["values"] / first["values"] - 1).max() if same else np.nan
            print(
                f"{method:>8} {options.records:>9,} records  1 process, {options.ranks} threads: "
                f"{one:.1f} s  {options.ranks} ranks, 1 thread: {several:.1f} s, "
                f"{cpu:.1f} of them on the CPU  ({several / one:.2f} times)  "
                f"as 1 process, 1 thread: records "
                f"{'the same' if same else 'others'}, weights within {off:.1g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
