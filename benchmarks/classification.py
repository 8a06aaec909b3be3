"""Which columns are found for classes: L0Classifier beside abess and an L1 penalty.

``python benchmarks/classification.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from itertools import product
from typing import Any

import numpy as np
from checks import check, check_not_below
from classification_job import PEERS, Cell, Fit, draw, fits, two_or_more
from environments import fits_of_peers
from scipy.special import log_softmax

from l0.linear_model import L0Classifier


def ours(x: Any, y: Any, **settings: Any) -> Fit:
    """Fit an L0Classifier."""
    model = L0Classifier(**settings).fit(x, y)
    return Fit(model.coef_.T, model.intercept_)


OURS = {
    "L0Classifier, k known": lambda x, y, k: ours(x, y, n_features=k),
    "L0Classifier, GICc": lambda x, y, k: ours(x, y),
    "L0Classifier, EBIC": lambda x, y, k: ours(x, y, criterion="ebic"),
}
COLUMNS = ("exact", "F1", "fit", "log loss", "accuracy %", "chosen", "seconds", "GB")
#: What fits the other packages.
JOB = "classification_job.py"
#: Rows on which fits are judged.
FRESH = 5000
#: Many rows: rows, columns and true columns. The log-odds are those of the first rho and signal.
LARGE = ((20_000, 500, 20), (200_000, 50, 10), (1_000_000, 100, 5))
#: With many rows and k known: seconds as a multiple of those of abess, and GB beside X.
MOST_TIMES, MOST_GIGABYTES = 3.0, 1.0
#: Rows a true column below which the best columns of so many fit better than the true ones.
ENOUGH = 30


def measures(found: dict[str, Any]) -> dict[str, float]:
    """How near a fit is to the truth; README.md says what each is."""
    cell = Cell(*found["cell"])
    data, fresh = draw(cell), draw(cell, FRESH)
    true, chosen = np.flatnonzero(data.slopes.any(axis=1)), np.array(found["columns"], int)
    scores = fresh.x[:, chosen] @ np.reshape(found["slopes"], (len(chosen), -1))
    scores = two_or_more(scores + found["intercept"])
    common = len(set(true) & set(chosen))
    better = np.nan
    if len(chosen) == cell.k:
        better = objective(data.x[:, true], data.y) - objective(data.x[:, chosen], data.y)
    return {
        "exact": float(common == len(true) == len(chosen)),
        "F1": 2 * common / (len(true) + len(chosen)),
        "fit": better,
        "log loss": log_loss(scores, fresh.y) - log_loss(two_or_more(fresh.scores), fresh.y),
        "accuracy %": 100 * float(np.mean(scores.argmax(axis=1) == fresh.y)),
        "chosen": float(len(chosen)),
        "seconds": found["seconds"],
        "GB": found["gigabytes"],
    }


def objective(x: Any, y: Any) -> float:
    """What L0Classifier lowers, with all columns."""
    return float(L0Classifier(n_features=x.shape[1]).fit(x, y).criterion_path_[-1]) / 2


def log_loss(scores: Any, y: Any) -> float:
    """Mean negative log-likelihood of classes."""
    return -float(np.mean(log_softmax(scores, axis=1)[np.arange(len(y)), y]))


def main() -> int:
    """Fit all cells, print a row a method and design, and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=[200, 500, 1000])
    parser.add_argument("--p", type=int, default=1000)
    parser.add_argument("--k", type=int, nargs="+", default=[10])
    parser.add_argument("--rho", type=float, nargs="+", default=[0.5, 0.9])
    parser.add_argument("--signal", type=float, nargs="+", default=[3.0], help="sd of true scores")
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--large",
        action="store_true",
        help=f"two classes with many rows, {', '.join(map(str, LARGE))}, in place of n, p and k",
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=PEERS,
        default=list(PEERS),
        metavar="PEER",
        help=f"some of: {', '.join(map(repr, PEERS))}; none: L0Classifier alone",
    )
    options = parser.parse_args()

    designs = list(
        product(options.n, [options.p], options.k, options.rho, options.signal, options.classes)
    )
    if options.large:
        designs = [(*shape, options.rho[0], options.signal[0], 2) for shape in LARGE]
    cells = [Cell(*design, seed) for design in designs for seed in range(options.seeds)]
    found = list(fits(cells, OURS))
    if options.peers:
        found += fits_of_peers(JOB, cells, options.threads, *options.peers)
    rows: dict[tuple[Any, ...], list[dict[str, float]]] = defaultdict(list)
    for fit in found:
        rows[(*fit["cell"][:-1], fit["method"])].append(measures(fit))

    print(f"mean of {options.seeds} seeds; F1 with its standard error\n")
    print(f"| n, p, k, rho, signal, classes | method | {' | '.join(COLUMNS)} |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    for row in sorted(rows, key=lambda row: designs.index(row[:-1])):
        means = {name: statistics.mean(run[name] for run in rows[row]) for name in COLUMNS}
        spread = np.std([run["F1"] for run in rows[row]]) / len(rows[row]) ** 0.5
        written = {name: f"{mean:.3g}" for name, mean in means.items()}
        written["F1"] = f"{means['F1']:.3f} ± {spread:.3f}"
        written["fit"] = "" if np.isnan(means["fit"]) else f"{means['fit']:.4f}"
        print(f"| {', '.join(map(str, row[:-1]))} | {row[-1]} | {' | '.join(written.values())} |")
    print()
    return 0 if all(limits(rows, designs)) else 1


def limits(
    rows: dict[tuple[Any, ...], list[dict[str, float]]], designs: list[tuple[Any, ...]]
) -> list[bool]:
    """Check that no design's fit with k known is below abess's, nor its F1 with enough rows.

    With many rows, check the seconds and the memory too.
    """
    passed = []
    for design in designs:
        n, p, k, rho, signal, classes = design
        name = f"n {n}, p {p}, k {k}, rho {rho:g}, signal {signal:g}, {classes} classes"
        compared = [
            ("k known", "k known", "fit"),
            ("k known", "k known", "F1"),
            ("GICc", "GIC", "F1"),
        ]
        for size, other_size, measure in compared if n >= ENOUGH * k else compared[:1]:
            own, other = (
                [run[measure] for run in rows[(*design, method)]]
                for method in (f"L0Classifier, {size}", f"abess, {other_size}")
            )
            if other:
                what = f"{measure}, {size}, {name}, less abess's"
                passed.append(check_not_below(what, own, other))
        if (n, p, k) in LARGE:
            ours, theirs = (
                rows[(*design, f"{package}, k known")] for package in ("L0Classifier", "abess")
            )
            most = max(run["GB"] for run in ours)
            passed.append(check(f"GB beside X, {name}", most, "at most", MOST_GIGABYTES))
            if theirs:
                own, other = (
                    statistics.mean(run["seconds"] for run in runs) for runs in (ours, theirs)
                )
                what = f"seconds, {name}, over those of abess"
                passed.append(check(what, own / other, "at most", MOST_TIMES))
    return passed


if __name__ == "__main__":
    sys.exit(main())
