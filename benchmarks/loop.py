"""The production loop of `SparseCalibrationWeights` beside `l0.calibrate`, on the bundled CPS.

``python benchmarks/loop.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from checks import check
from environments import call

HERE = Path(__file__).resolve().parent
#: Families of targets that are held out, one after the other. The first row holds out none.
FAMILIES = ("", "snap/*", "returns/*", "wages/*")
COLUMNS = (
    ("error %", "error", 100, ".2f"), ("held out %", "held_out", 100, ".1f"),
    ("untargeted %", "untargeted", 100, ".1f"), ("records", "records", 1, ",.0f"),
    ("ESS", "ess", 1, ",.0f"), ("seconds", "seconds", 1, ".1f"), ("peak GB", "gigabytes", 1, ".2f"),
)  # fmt: skip


def fit(*arguments: object) -> dict[str, Any]:
    """Fit in a process of its own, with one thread."""
    output = call(sys.executable, HERE / "loop_job.py", *arguments, OMP_NUM_THREADS="1")
    return dict(json.loads(output))


def print_row(how: str, family: str, found: dict[str, Any]) -> None:
    """Print a fit."""
    cells = [
        "" if found[name] is None else format(found[name] * factor, form)
        for _, name, factor, form in COLUMNS
    ]
    print(f"{how:<10} {family or 'none':<10}" + "".join(f"{cell:>14}" for cell in cells))


def main() -> int:
    """Fit each family in both ways, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=10, help="of 100 epochs")
    parser.add_argument("--lambda-l0", type=float, default=0.02)
    options = parser.parse_args()
    titles = "".join(f"{title:>14}" for title, *_ in COLUMNS)
    print(f"{'fit':<10} {'held out':<10}{titles}", flush=True)
    passed = []
    next_chunk: dict[str, float] = {}
    for family in FAMILIES:
        held = [family] if family else []
        loop = fit("loop", options.chunks, options.lambda_l0, *held)
        print_row("loop", family, loop)
        # As many records as the loop happens to keep.
        ours = fit("calibrate", loop["records"], *held)
        print_row("calibrate", family, ours)
        next_chunk = loop.get("next_chunk", next_chunk)
        passed.append((f"error on the targets, {family or 'none'} held out", ours, loop, "error"))
        passed.append((f"untargeted error, {family or 'none'} held out", ours, loop, "untargeted"))
        sys.stdout.flush()
    print("\nError on the targets after a chunk more, %")
    for name, error in next_chunk.items():
        print(f"{name:<20}{100 * error:8.4f}")
    verdicts = [check(what, a[name], "at most", b[name]) for what, a, b, name in passed]
    verdicts.append(
        check(
            "error after a resume",
            next_chunk["resumed"],
            "exactly",
            next_chunk["not stopped"],
        )
    )
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
