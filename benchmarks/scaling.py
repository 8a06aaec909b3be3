"""How time, memory and passes over the matrix grow with the size of a problem.

``python benchmarks/scaling.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from environments import call
from jobs import run_json
from surface import share_or_count

HERE = Path(__file__).resolve().parent
RECORDS = (30_000, 100_000, 300_000, 1_000_000)
#: The sizes that can vary, one at a time, and their values otherwise.
SIZES = {"records": 300_000, "density": 1.0, "targets": 1.0, "keep": 0.17, "ranks": 1}
#: What the exponents of these sizes belong to: a figure of a row.
GROWN = {
    "records": "records",
    "density": "entries a record",
    "targets": "targets",
    "keep": "records kept",
    "ranks": "ranks",
}
#: The figures whose growth is fitted, with their head in the table and how they are written.
FIGURES = {
    "seconds": ("CPU s", ",.1f"),
    "wall": ("s", ",.1f"),
    "passes": ("passes", ",.0f"),
    "memory": ("peak GB", ",.3f"),
    "times_compiled": ("x compiled", ",.2f"),
}


def measured(size: dict[str, Any], methods: list[str], threads: int) -> Iterator[dict[str, Any]]:
    """Make a surface of a size and its problem, and solve it by each method."""
    n_records, keep, ranks = size["records"], size["keep"], size["ranks"]
    keep = round(keep * n_records) if keep < 1 else int(keep)
    with tempfile.TemporaryDirectory() as folder:
        surface, problem = Path(folder, "surface.npz"), Path(folder, "problem.l0")
        shape = n_records, 0, 0.0, size["density"], size["targets"]
        call(sys.executable, HERE / "surface_data.py", surface, *shape)
        made = run_json(threads, HERE / "scaling_job.py", "compile", surface, problem)
        surface.unlink()
        job = HERE / "scaling_job.py", "solve", problem, keep
        for method in methods:
            row = run_json(threads, *job, method, ranks=ranks)
            row["entries a record"] = row["entries"] / row["records"]
            yield {
                "method": method,
                "compiled": made["seconds"],
                "records kept": keep,
                "ranks": ranks,
            } | row


def exponent(sizes: list[float], figures: list[float]) -> float:
    """Fit b of figure = a size^b by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(figures, 1e-9)), 1)[0])


def print_row(row: dict[str, Any]) -> None:
    """Print the size of a problem, the figures of a run, and the seconds of each stage."""
    figures = "  ".join(f"{row[name]:{form}} {head}" for name, (head, form) in FIGURES.items())
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in row["stages"].items())
    print(
        f"{row['method']:>8} {row['records kept']:>7,} of {row['records']:>9,} records  "
        f"{row['targets']:>6,} targets {row['entries'] / 1e6:>6.1f} M entries  "
        f"{row['ranks']} ranks  {figures}  loss {row['loss']:.2%}  ({stages} s)",
        flush=True,
    )


def sizes_of(
    options: argparse.Namespace, parser: argparse.ArgumentParser
) -> tuple[str, list[dict[str, Any]]]:
    """List the sizes to run, and name what varies: the number of records if nothing else does."""
    values = {name: getattr(options, name) or [usual] for name, usual in SIZES.items()}
    several = [name for name, given in values.items() if len(given) > 1]
    if len(several) > 1:
        parser.error(f"only one size may vary, and {' and '.join(several)} have several values")
    if not several and options.records is None:
        values["records"] = RECORDS
    varied = several[0] if several else "records"
    first = {name: given[0] for name, given in values.items()}
    return varied, [first | {varied: value} for value in values[varied]]


def main() -> None:
    """Run all sizes and methods, and fit how the figures grow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+")
    parser.add_argument("--density", type=float, nargs="+", help="1 is 138 entries a record")
    parser.add_argument("--targets", type=float, nargs="+", help="a share of 31,956, at most 1")
    parser.add_argument("--keep", type=share_or_count, nargs="+", help="a number, or 17%%, a share")
    parser.add_argument("--ranks", type=int, nargs="+", help="processes that share the work")
    parser.add_argument("--methods", nargs="+", default=["path", "hybrid"])
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--json", type=Path, help="a file for the rows")
    options = parser.parse_args()
    varied, sizes = sizes_of(options, parser)
    rows = []
    for size in sizes:
        for row in measured(size, options.methods, options.threads):
            print_row(row)
            rows.append(row)
    if len(sizes) > 1:
        for method in options.methods:
            of = [row for row in rows if row["method"] == method]
            grown_by = [float(row[GROWN[varied]]) for row in of]
            grown = ", ".join(
                f"{head} {exponent(grown_by, [row[figure] for row in of]):.2f}"
                for figure, (head, _) in FIGURES.items()
            )
            print(f"{method}: exponents of the number of {GROWN[varied]}: {grown}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
