"""Every selector on the bundled CPS: loss, untargeted error, ESS, largest ratio, seconds.

``python benchmarks/cps.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from checks import check
from numpy.typing import NDArray

from l0.calibration import SELECTORS, CalibrationProblem, CalibrationResult
from l0.calibration import solve as solving
from l0.calibration.evaluation.comparison import untargeted_metrics
from l0.calibration.evaluation.metrics import fit_metrics, weight_metrics
from l0.datasets import cps_paths

Metrics = dict[str, float]
#: Titles of metrics, and how they are shown.
Columns = dict[str, tuple[str, Callable[[float], str]]]

#: 0.5%, 2% and 10% of the records.
BUDGETS = (1_386, 5_545, 27_726)
COLUMNS: Columns = {
    "loss": ("loss %", lambda x: f"{100 * x:.2f}"),
    "untargeted_capped_error": ("untargeted %", lambda x: f"{100 * x:.1f}"),
    "effective_sample_size": ("ESS", lambda x: f"{x:,.0f}"),
    "max_weight_ratio": ("max w/w0", lambda x: f"{x:,.0f}"),
    "gap": ("gap", lambda x: f"{x:.0e}"),
    "seconds": ("seconds", lambda x: f"{x:.1f}"),
}
#: What `--whole` prints.
SIZE = "effective_sample_size"
WHOLE: Columns = {
    "fitted_loss": ("loss %, fitted", lambda x: f"{100 * x:.3f}"),
    "whole_loss": ("loss %, whole", lambda x: f"{100 * x:.3f}"),
    f"fitted_{SIZE}": ("ESS, fitted", COLUMNS[SIZE][1]),
    f"whole_{SIZE}": ("ESS, whole", COLUMNS[SIZE][1]),
    "fit": ("fit, CPU s", lambda x: f"{x:.2f}"),
    "rounding": ("whole weights, CPU s", lambda x: f"{x:.2f}"),
}


def compile_cps() -> CalibrationProblem:
    """Compile the bundled survey and targets."""
    tax_units, persons, targets = cps_paths()
    return CalibrationProblem.from_frames(
        tax_units, targets, key="tax_unit_id", weight="weight", members={"person": persons}
    )


def solve(problem: CalibrationProblem, **options: object) -> tuple[CalibrationResult, Metrics]:
    """Solve, and measure the whole call: checks, the full file, selection, refit, account."""
    started = time.perf_counter()
    result = problem.solve(**options)
    return result, {**result.metrics, "seconds": time.perf_counter() - started}


def weights_of(result: CalibrationResult, n_records: int) -> NDArray[np.float64]:
    """Give the weight of each record of the file, 0 for those not chosen."""
    weights = np.zeros(n_records)
    weights[result.indices] = result.values
    return weights


def design_metrics(problem: CalibrationProblem, full: CalibrationResult) -> Metrics:
    """Judge the design weights of all records as if they were a result."""
    w0 = problem.design_weights
    reference = weights_of(full, len(w0))[problem.record_order]
    error = (problem.estimate(w0) - problem.values) / problem.scales
    return {
        **fit_metrics(error, problem.importance),
        **untargeted_metrics(problem.untargeted.compare(reference, w0)),
        **weight_metrics(w0, w0),
        "gap": math.nan,  # nothing was fitted
        "seconds": 0.0,
    }


def print_titles(columns: Columns = COLUMNS) -> None:
    """Print the head of the table."""
    titles = ["method", "records", *(title for title, _ in columns.values())]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)


def print_row(name: str, budget: int, runs: Iterable[Metrics], columns: Columns = COLUMNS) -> None:
    """Print medians, and ranges where there are several runs. An unknown metric stays empty."""
    cells = []
    runs = list(runs)
    for metric, (_, show) in columns.items():
        values = [run[metric] for run in runs]
        if None in values:  # the full file is what all others are compared with
            cells.append("")
            continue
        spread = f" ({show(min(values))}-{show(max(values))})" if len(values) > 1 else ""
        cells.append(show(statistics.median(values)) + spread)
    print(f"| {name} | {budget:,} | " + " | ".join(cells) + " |", flush=True)


def check_full_file(full: list[Metrics]) -> bool:
    """Print the promises of the calibration of all records."""
    loss, size, gap, seconds = (
        statistics.median(run[metric] for run in full)
        for metric in ("loss", "effective_sample_size", "gap", "seconds")
    )
    return all(
        [
            check("full file, loss, %", 100 * loss, "at most", 1.70),
            check("full file, ESS", size, "at least", 110_000),
            check("full file, certified gap", gap, "at most", 1e-3),
            check("full file, median seconds", seconds, "at most", 2.0),
        ]
    )


def check_limits(runs: dict[tuple[str, int], list[Metrics]]) -> bool:
    """Print the promises of the default method and of the path that these runs can test."""
    hybrid, path, pps = (runs.get((method, 5_545), []) for method in ("hybrid", "path", "pps"))

    def worst(of: list[Metrics], metric: str, pick: Callable[[list[float]], float] = max) -> float:
        return pick([run[metric] for run in of])

    def ratio(to: list[Metrics]) -> float:
        pairs = zip(hybrid, to, strict=True)
        metric = "untargeted_capped_error"
        return max(run[metric] / other[metric] for run, other in pairs)

    worst_gap = max(run["gap"] for of in runs.values() for run in of)
    passed = [check("all methods, worst certified gap", worst_gap, "at most", 1e-3)]
    if hybrid:
        passed += [
            check("hybrid, worst loss, %", 100 * worst(hybrid, "loss"), "at most", 2.0),
            check("hybrid, fewest records", worst(hybrid, "n_records", min), "exactly", 5_545),
            check("hybrid, most records", worst(hybrid, "n_records"), "exactly", 5_545),
            check(
                "hybrid, worst ESS", worst(hybrid, "effective_sample_size", min), "at least", 4_000
            ),
            check("hybrid, worst seconds", worst(hybrid, "seconds"), "at most", 10),
        ]
    if hybrid and pps:
        passed.append(check("worst untargeted, share of pps", ratio(pps), "at most", 0.85))
    if hybrid and path:
        # The path is held to the same soft targets, and without them its error was 1.3 times this.
        passed.append(check("worst untargeted, share of path", ratio(path), "at most", 0.6))
    for budget, limit in ((5_545, 1.75), (1_386, 2.4)):
        if found := runs.get(("path", budget)):
            loss = 100 * worst(found, "loss")
            passed.append(check(f"path at {budget:,}, worst loss, %", loss, "at most", limit))
    return all(passed)


@contextmanager
def cpu_seconds(module: ModuleType, names: dict[str, str]) -> Iterator[Metrics]:
    """Measure functions that a module calls: the last call under each of the names given."""
    spent: Metrics = {}
    plain = {function: getattr(module, function) for function in names}

    def timed(function: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            started = time.process_time()
            try:
                return plain[function](*arguments)
            finally:
                spent[names[function]] = time.process_time() - started

        return call

    for function in names:
        setattr(module, function, timed(function))
    try:
        yield spent
    finally:
        for function, original in plain.items():
            setattr(module, function, original)


def compare_whole(problem: CalibrationProblem, budgets: Iterable[int | None], seeds: int) -> bool:
    """Print fitted and whole weights of `hybrid` and of the full file beside each other."""
    print_titles(WHOLE)
    fit_stage = {"refit": "fit", "calibrate_full_file": "fit", "whole_fit": "rounding"}
    more = []
    for budget in budgets:
        runs = []
        for seed in range(seeds):
            fitted = problem.solve(budget, seed=seed).metrics
            with cpu_seconds(solving, fit_stage) as spent:
                whole = problem.solve(budget, seed=seed, integer_weights=True).metrics
            runs.append(
                {
                    **{f"fitted_{name}": fitted[name] for name in ("loss", SIZE)},
                    **{f"whole_{name}": whole[name] for name in ("loss", SIZE)},
                    **spent,
                }
            )
        name = "full file" if budget is None else "hybrid"
        print_row(name, budget or problem.n_records, runs, WHOLE)
        more += [run["whole_loss"] - run["fitted_loss"] for run in runs]
    print()
    return check("whole weights, loss more than fitted, points", 100 * max(more), "at most", 0.1)


def main() -> int:
    """Run what was asked for, and fail where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=SELECTORS, default=list(SELECTORS))
    parser.add_argument("--n-records", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--whole", action="store_true", help="compare whole with fitted weights, and nothing else"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    started = time.perf_counter()
    problem = compile_cps()
    print(
        f"{problem.n_records:,} records, {problem.n_targets:,} targets, compiled in "
        f"{time.perf_counter() - started:.1f} s; median of {options.seeds} seeds (min-max), "
        f"{options.threads} threads\n"
    )
    full, _ = solve(problem)  # the first call is slower
    if options.whole:
        return 0 if compare_whole(problem, [*options.n_records, None], options.seeds) else 1
    print_titles()
    print_row("design weights", problem.n_records, [design_metrics(problem, full)])
    of_all = [solve(problem)[1] for _ in range(options.seeds)]
    print_row("full file", problem.n_records, of_all)
    runs = {}
    for budget in options.n_records:
        for method in options.methods:
            runs[method, budget] = [
                solve(problem, n_records=budget, method=method, seed=seed)[1]
                for seed in range(options.seeds)
            ]
            print_row(method, budget, runs[method, budget])
    print()
    passed = [check_full_file(of_all), check_limits(runs)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
