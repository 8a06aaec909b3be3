"""How time, memory and passes over the matrix grow with the number of records.

``python benchmarks/scaling.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from environments import call

HERE = Path(__file__).resolve().parent
RECORDS = (30_000, 100_000, 300_000, 1_000_000)
#: The figures whose growth is fitted, with their head in the table and how they are written.
FIGURES = {
    "seconds": ("CPU s", ",.1f"),
    "passes": ("passes", ",.0f"),
    "memory": ("peak GB", ",.3f"),
    "times_compiled": ("x compiled", ",.2f"),
}


def run_json(threads: int, script: Path, *words: object) -> dict[str, Any]:
    """Run a job in a process of its own, whose memory is its own, and read what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, str(script), *map(str, words)]
    ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def measured(
    n_records: int, density: float, keep: int, methods: list[str], threads: int
) -> Iterator[dict[str, Any]]:
    """Make a surface and its problem, and solve it by each method."""
    with tempfile.TemporaryDirectory() as folder:
        surface, problem = Path(folder, "surface.npz"), Path(folder, "problem.l0")
        call(sys.executable, HERE / "surface_data.py", surface, n_records, 0, 0.0, density)
        made = run_json(threads, HERE / "scaling_job.py", "compile", surface, problem)
        surface.unlink()
        for method in methods:
            row = run_json(threads, HERE / "scaling_job.py", "solve", problem, keep, method)
            yield {"method": method, "compiled": made["seconds"], **row}


def exponent(sizes: list[int], figures: list[float]) -> float:
    """Fit b of figure = a size^b by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(figures, 1e-9)), 1)[0])


def print_row(row: dict[str, Any]) -> None:
    """Print the figures of a run, and the seconds of each stage."""
    figures = "  ".join(f"{row[name]:{form}} {head}" for name, (head, form) in FIGURES.items())
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in row["stages"].items())
    print(
        f"{row['method']:>8} {row['records']:>9,} records {row['entries'] / 1e6:>7.1f} M entries  "
        f"{figures}  loss {row['loss']:.2%}  ({stages} s)",
        flush=True,
    )


def main() -> None:
    """Run all sizes and methods, and fit how the figures grow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=RECORDS)
    parser.add_argument("--share", type=float, default=0.17, help="of the records that are kept")
    parser.add_argument("--keep", type=int, help="how many records are kept, in place of a share")
    parser.add_argument("--density", type=float, default=1.0, help="1 is 138 entries a record")
    parser.add_argument("--methods", nargs="+", default=["path", "hybrid"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file for the rows")
    options = parser.parse_args()
    rows = []
    for n_records in options.records:
        keep = options.keep or round(options.share * n_records)
        for row in measured(n_records, options.density, keep, options.methods, options.threads):
            print_row(row)
            rows.append(row)
    if len(options.records) > 1:
        for method in options.methods:
            of = [row for row in rows if row["method"] == method]
            sizes = [row["records"] for row in of]
            grown = ", ".join(
                f"{head} {exponent(sizes, [row[name] for row in of]):.2f}"
                for name, (head, _) in FIGURES.items()
            )
            print(f"{method}: exponents of the number of records: {grown}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
