"""A selector on a made-up surface of the largest published shape.

``python benchmarks/surface.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from checks import check
from environments import call
from surface_data import load

from l0.calibration import SELECTORS, CalibrationProblem
from l0.calibration.evaluation.metrics import fit_metrics

HERE = Path(__file__).resolve().parent
N_RECORDS, KEEP = 337_704, 57_240


def run(file: Path, keep: int, method: str, limits: bool) -> bool:
    """Solve and print what it took; say whether the path, at full size, kept its limits, if any."""
    started = time.perf_counter()
    problem = CalibrationProblem.from_matrix(*load(str(file)))
    compiled = time.perf_counter() - started
    design = (problem.estimate(problem.design_weights) - problem.values) / problem.scales
    before = fit_metrics(design, problem.importance)
    print(
        f"{problem.n_records:,} records, {problem.n_targets:,} targets, "
        f"{problem.matrix.nnz / problem.n_records:.0f} entries a record, "
        f"{torch.get_num_threads()} threads\n"
        f"read and compiled in {compiled:.1f} s\n"
        f"design weights: loss {before['loss']:.1%}, median error {before['median_error']:.1%}"
    )
    started = time.perf_counter()
    result = problem.solve(keep, method)
    seconds = time.perf_counter() - started
    print_stages(result.history.to_pylist(), seconds)
    # The most this process held at once: the generator ran in another.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    figures = (
        ("records kept", len(result.values), "exactly", keep),
        ("loss after refit, %", 100 * result.metrics["loss"], "at most", 0.35),
        ("seconds", seconds, "at most", 40.0),
        ("peak memory, GB", peak, "at most", 3.0),
    )
    if limits and (problem.n_records, keep, method) == (N_RECORDS, KEEP, "path"):
        return all([check(*figure) for figure in figures])
    for what, value, *_ in figures:
        print(f"{what}: {value:,.6g}")
    print(f"effective sample size: {result.metrics['effective_sample_size']:,.0f}")
    return True


def print_stages(history: list[dict[str, Any]], seconds: float) -> None:
    """Print the epochs and seconds of every stage, and what is left for checks and accounts."""
    upto, epoch = 0.0, 0
    for stage in dict.fromkeys(row["stage"] for row in history):
        last = [row for row in history if row["stage"] == stage][-1]
        took, epochs = last["seconds"] - upto, last["iteration"] - epoch
        print(f"{stage}: {epochs:,} epochs in {took:.1f} s, {1000 * took / epochs:.1f} ms an epoch")
        upto, epoch = last["seconds"], last["iteration"]
    print(f"checks before and accounts after: {seconds - upto:.1f} s")


def share_or_count(text: str) -> float:
    """Read ``17%`` or ``57240``."""
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def main() -> int:
    """Make a surface, run what was asked for, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=N_RECORDS)
    parser.add_argument(
        "--keep",
        type=share_or_count,
        default=KEEP / N_RECORDS,
        help="a number or, as 17%%, a share",
    )
    parser.add_argument(
        "--noise",
        type=share_or_count,
        default=0.0,
        help="relative errors of the totals, as 2%%, so that they contradict each other",
    )
    parser.add_argument("--method", choices=SELECTORS, default="path")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    n_records = options.records
    keep = round(options.keep * n_records) if options.keep < 1 else int(options.keep)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "surface.npz"
        made = file, n_records, options.seed, options.noise
        call(sys.executable, HERE / "surface_data.py", *made)
        passed = run(file, keep, options.method, limits=not options.noise)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
