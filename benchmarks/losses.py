"""Columns for counts, outliers, survival times and several outcomes: ours beside other packages.

``python benchmarks/losses.py --help`` lists the options; README.md says what is printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from itertools import product
from typing import Any

import numpy as np
from checks import check_not_below
from environments import fits_of_peers
from losses_job import KINDS, PEERS, Cell, draw, fits
from threadpoolctl import threadpool_limits

from l0.linear_model import L0Cox, L0Regressor
from l0.linear_model.cox_loss import CoxLoss
from l0.linear_model.losses import HuberLoss, Loss, PoissonLoss, SquaredLoss
from l0.linear_model.newton import fit

JOB = "losses_job.py"
COLUMNS = ("exact", "F1", "deviance", "fit", "chosen", "seconds")
LOSSES = {"poisson": "poisson", "huber": "huber", "several": "squared"}
FITTED: dict[str, type[Loss]] = {
    "poisson": PoissonLoss,
    "huber": HuberLoss,
    "cox": CoxLoss,
    "several": SquaredLoss,
}
#: A ridge that changes no digit that is printed.
HARDLY = 1e-9


def ours(kind: str, x: Any, y: Any, **settings: Any) -> Any:
    """Fit the estimator of a kind of outcome."""
    if kind == "cox":
        return L0Cox(**settings).fit(x, y).coef_
    found = L0Regressor(loss=LOSSES[kind], **settings).fit(x, y).coef_
    return found.T if found.ndim == 2 else found


OURS = {
    "l0, k known": lambda kind, x, y, k: ours(kind, x, y, n_features=k),
    "l0, GICc": lambda kind, x, y, k: ours(kind, x, y),
}
RIVALS = {"l0, k known": ("abess, k known", "skglm, k known"), "l0, GICc": ("abess, GIC",)}


def measures(found: dict[str, Any]) -> dict[str, float]:
    """How near a fit is to the truth; README.md says what each is."""
    cell = Cell(*found["cell"])
    data, fresh = draw(cell), draw(cell, fresh=True)
    true, chosen = np.flatnonzero(data.slopes.any(axis=1)), found["columns"]
    slopes = np.zeros_like(data.slopes)
    if chosen:
        slopes[chosen] = np.reshape(found["slopes"], (len(chosen), -1))
    common = len(set(true) & set(chosen))
    left = float("nan")
    if len(chosen) <= cell.k:
        left = least(cell.kind, data, chosen) - least(cell.kind, data, true)
    return {
        "exact": float(common == len(true) == len(chosen)),
        "F1": 2 * common / (len(true) + len(chosen)),
        "deviance": deviance(cell.kind, fresh, slopes) - deviance(cell.kind, fresh, data.slopes),
        "fit": left,
        "chosen": float(len(chosen)),
        "seconds": found["seconds"],
    }


def deviance(kind: str, fresh: Any, slopes: Any) -> float:
    """Deviance of a fresh row, with the intercept that is best for these rows."""
    scores, y, n = fresh.x @ slopes, fresh.y, len(fresh.x)
    if kind == "cox":
        return 2 * CoxLoss(y, np.ones(n)).total(scores) / n
    if kind == "poisson":
        scores = np.clip(scores + np.log(y.mean() / np.exp(scores).mean()), -50, 50)
        return 2 * PoissonLoss(y, np.ones(n)).total(scores) / n
    left = (np.reshape(y, scores.shape) - scores).var(axis=0)
    return float(np.mean(np.log(left)))


def least(kind: str, data: Any, columns: Any) -> float:
    """Twice the least loss of a row of the fit on some columns, whatever slopes a package has."""
    x = data.x[:, list(columns)]
    z, y = (x - x.mean(axis=0)) / x.std(axis=0), data.y
    if kind != "cox":
        middle = np.median(y, axis=0) if kind == "huber" else 0.0
        y = (y - middle) / (y.std(axis=0) if kind == "several" else 1.0)
    loss = FITTED[kind](y, np.ones(len(y)))
    if loss.has_intercept:
        z = np.column_stack([np.ones(len(z)), z])
    return 2 * fit(loss, z, HARDLY, loss.has_intercept).value


def main() -> int:
    """Fit all cells, print a row a method and design, and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--n", type=int, nargs="+", default=[200, 500])
    parser.add_argument("--p", type=int, nargs="+", default=[500])
    parser.add_argument("--k", type=int, nargs="+", default=[8])
    parser.add_argument("--rho", type=float, nargs="+", default=[0.5, 0.9])
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), metavar="PEER")
    options = parser.parse_args()

    designs = list(product(options.kind, options.n, options.p, options.k, options.rho))
    cells = [Cell(*design, seed) for design in designs for seed in range(options.seeds)]
    with threadpool_limits(options.threads):
        found = list(fits(cells, OURS))
    if options.peers:
        found += fits_of_peers(JOB, cells, options.threads, *options.peers)
    rows: dict[tuple[Any, ...], list[dict[str, float]]] = defaultdict(list)
    for each in found:
        rows[(*each["cell"][:-1], each["method"])].append(measures(each))

    print(f"mean of {options.seeds} seeds; F1 with its standard error; CPU seconds\n")
    print(f"| outcome, n, p, k, rho | method | {' | '.join(COLUMNS)} |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    for row in sorted(rows, key=lambda row: designs.index(row[:-1])):
        written = {
            name: f"{statistics.mean(run[name] for run in rows[row]):.3g}" for name in COLUMNS
        }
        found_f1 = [run["F1"] for run in rows[row]]
        spread = np.std(found_f1) / len(found_f1) ** 0.5
        written["F1"] = f"{statistics.mean(found_f1):.3f} ± {spread:.3f}"
        print(f"| {', '.join(map(str, row[:-1]))} | {row[-1]} | {' | '.join(written.values())} |")
    print()
    return 0 if all(limits(rows)) else 1


def limits(rows: dict[tuple[Any, ...], list[dict[str, float]]]) -> list[bool]:
    """Check that the F1 of no design is below that of the same rule in another package."""
    passed = []
    for *design, method in list(rows):
        for rival in RIVALS.get(method, ()):
            if (*design, rival) in rows:
                own, other = (
                    [run["F1"] for run in rows[(*design, name)]] for name in (method, rival)
                )
                what = f"F1 of {method}, {', '.join(map(str, design))}, less that of {rival}"
                passed.append(check_not_below(what, own, other))
    return passed


if __name__ == "__main__":
    sys.exit(main())
