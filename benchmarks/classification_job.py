"""Made-up classes, and what other packages choose of their columns.

`classification.py` imports the first, and runs the second in an environment of its own: names of
methods are the arguments, a list of cells comes in as JSON, and a line of JSON a fit goes out.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import support_recovery_job as regressions

Array = Any
PROCESS = Path("/proc/self")


class Cell(NamedTuple):
    """A design, drawn anew for each seed."""

    n: int
    p: int
    k: int
    rho: float
    signal: float
    classes: int
    seed: int


class Data(NamedTuple):
    """Rows, their classes, and the true log-odds: a column of them for two classes."""

    x: Array
    y: Array
    slopes: Array
    scores: Array


def draw(cell: Cell, fresh: int = 0) -> Data:
    """Draw classes by softmax scores in k of the columns; other rows of the same truth if `fresh`.

    Columns are those of `support_recovery.py`. Two classes have k log-odds of one size, so many
    classes coefficients from N(0, 1); `signal` is the scores' standard deviation.
    """
    rows = cell._replace(n=fresh, seed=cell.seed + 10_000) if fresh else cell
    x, score, beta, _ = regressions.draw(regressions.Cell(*rows[:4], math.inf, "ones", rows.seed))
    slopes = beta[:, None]
    if cell.classes > 2:
        slopes = slopes * np.random.default_rng(cell.seed).normal(size=(cell.p, cell.classes))
        slopes -= slopes.mean(axis=1, keepdims=True)
    true = np.flatnonzero(beta)
    covariance = cell.rho ** np.abs(np.subtract.outer(true, true))
    variance = np.einsum("iq,ij,jq->q", slopes[true], covariance, slopes[true]).mean()
    slopes = slopes * cell.signal / math.sqrt(variance)
    scores = x @ slopes
    noise = np.random.default_rng([rows.seed, 1]).gumbel(size=(len(x), cell.classes))
    y = (two_or_more(scores) + noise).argmax(axis=1)
    return Data(x, y, slopes, scores)


def two_or_more(scores: Array) -> Array:
    """Scores of all classes, from log-odds where there are two."""
    return np.column_stack([np.zeros(len(scores)), scores]) if scores.shape[1] == 1 else scores


class Fit(NamedTuple):
    """Slopes (p, q) and intercepts (q,); q is 1 for two classes."""

    slopes: Array
    intercept: Array


def abess_known(x: Array, y: Array, k: int) -> Fit:
    """The number of columns known."""
    return abess_fit(x, y, support_size=[k])


def abess_gic(x: Array, y: Array, k: int) -> Fit:
    """The number of columns by abess's own criterion (GIC)."""
    return abess_fit(x, y, ic_type="gic")


def abess_fit(x: Array, y: Array, **settings: Any) -> Fit:
    """Fit abess's model for as many classes as there are."""
    import abess

    kind = abess.MultinomialRegression if y.max() > 1 else abess.LogisticRegression
    model = kind(**settings).fit(x, y)
    return Fit(np.reshape(model.coef_, (x.shape[1], -1)), np.ravel(model.intercept_))


def lasso_cv(x: Array, y: Array, k: int) -> Fit:
    """Logistic regression under an L1 penalty, one of five by three folds."""
    from sklearn.linear_model import LogisticRegressionCV

    # Each is scikit-learn's quickest for its number of classes.
    solver = {"solver": "saga", "tol": 1e-3} if y.max() > 1 else {"solver": "liblinear"}
    model = LogisticRegressionCV(
        Cs=np.logspace(-2, 0, 5),
        cv=3,
        l1_ratios=(1.0,),
        scoring="neg_log_loss",
        random_state=0,
        use_legacy_attributes=False,
        **solver,
    ).fit(x, y)
    return Fit(model.coef_.T, model.intercept_)


PEERS: dict[str, Callable[[Array, Array, int], Fit]] = {
    "abess, k known": abess_known,
    "abess, GIC": abess_gic,
    "L1, three folds": lasso_cv,
}


def fits(cells: list[Cell], methods: dict[str, Callable[..., Fit]]) -> Iterator[dict[str, Any]]:
    """Fit every method to every cell."""
    warnings.simplefilter("ignore")
    small = draw(Cell(100, 20, 2, 0.0, 3.0, 2, 0))
    for fit in methods.values():
        fit(small.x, small.y, 2)  # What is compiled or imported first is not timed.
    for cell in cells:
        data = draw(cell)
        for name, fit in methods.items():
            before = forget_peak()
            started = time.process_time()
            slopes, intercept = fit(data.x, data.y, cell.k)
            seconds = time.process_time() - started
            gigabytes = resident("VmHWM") - before
            columns = np.flatnonzero(slopes.any(axis=1))
            yield {
                "cell": list(cell),
                "method": name,
                "columns": columns.tolist(),
                "slopes": slopes[columns].tolist(),
                "intercept": np.ravel(intercept).tolist(),
                "seconds": seconds,
                "gigabytes": gigabytes,
            }


def forget_peak() -> float:
    """Start the peak of the memory of this process anew, on Linux; return the GB it holds now."""
    if PROCESS.exists():
        (PROCESS / "clear_refs").write_text("5")
    return resident("VmRSS")


def resident(name: str) -> float:
    """Return a figure of the memory of this process in GB, on Linux; elsewhere nan."""
    if not PROCESS.exists():
        return math.nan
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e9


if __name__ == "__main__":
    chosen = {name: PEERS[name] for name in sys.argv[1:]}
    for found in fits([Cell(*cell) for cell in json.load(sys.stdin)], chosen):
        print(json.dumps(found), flush=True)
