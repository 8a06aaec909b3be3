"""Made-up counts, outliers, survival times and several outcomes, and what other packages choose.

`losses.py` imports the first, and runs the second in an environment of its own: names of methods
are the arguments, a list of cells comes in as JSON, and a line of JSON a fit goes out.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Array = Any
#: The number of outcomes where there are several.
OUTCOMES = 4


class Cell(NamedTuple):
    """A design, drawn anew for each seed."""

    kind: str
    n: int
    p: int
    k: int
    rho: float
    seed: int


class Data(NamedTuple):
    """Rows, outcomes, and true slopes of shape (p, number of outcomes)."""

    x: Array
    y: Array
    slopes: Array


KINDS = ("poisson", "huber", "cox", "several")


def draw(cell: Cell, fresh: bool = False) -> Data:
    """Rows from N(0, Sigma), Sigma_ij = rho^|i - j|; k slopes of both signs, equally spaced.

    Fresh rows have the same slopes and, for "huber", no outliers.
    """
    slopes_of = np.random.default_rng([cell.seed, 1])
    generator = np.random.default_rng([cell.seed, 2 + fresh])
    n = 5000 if fresh else cell.n
    x = generator.normal(size=(n, cell.p))
    for column in range(1, cell.p):
        x[:, column] = cell.rho * x[:, column - 1] + np.sqrt(1 - cell.rho**2) * x[:, column]
    support = np.arange(cell.k) * (cell.p // cell.k)
    q = OUTCOMES if cell.kind == "several" else 1
    slopes = np.zeros((cell.p, q))
    signs = slopes_of.choice([-1.0, 1.0], size=(cell.k, q))
    slopes[support] = signs * slopes_of.uniform(0.5, 1.5, size=(cell.k, q))
    scores = x @ slopes
    if cell.kind == "several":
        noise = scores.std(axis=0) * generator.normal(size=scores.shape)
        return Data(x, scores + noise, slopes)
    if cell.kind == "poisson":
        slopes /= np.sqrt(2 * cell.k)
        return Data(x, generator.poisson(np.exp(x @ slopes)[:, 0] * 2).astype(float), slopes)
    if cell.kind == "huber":
        y = scores[:, 0] + scores.std() / 5**0.5 * generator.normal(size=n)
        if not fresh:
            y[generator.permutation(n)[: n // 20]] += 50
        return Data(x, y, slopes)
    slopes /= np.sqrt(cell.k / 2)
    ends = generator.exponential(np.exp(-x @ slopes)[:, 0])
    censored = generator.exponential(2.0, size=n)
    return Data(x, np.column_stack([np.minimum(ends, censored), ends <= censored]), slopes)


def abess_known(kind: str, x: Array, y: Array, k: int) -> Array:
    """The number of columns known."""
    import abess

    if kind == "poisson":
        return abess.PoissonRegression(support_size=[k]).fit(x, y).coef_
    if kind == "cox":
        return abess.CoxPHSurvivalAnalysis(support_size=[k]).fit(x, y).coef_
    if kind == "several":
        return abess.MultiTaskRegression(support_size=[k]).fit(x, y).coef_
    return abess.LinearRegression(support_size=[k]).fit(x, y).coef_


def abess_gic(kind: str, x: Array, y: Array, k: int) -> Array:
    """The number of columns by abess's own criterion (GIC)."""
    import abess

    if kind == "poisson":
        return abess.PoissonRegression(ic_type="gic").fit(x, y).coef_
    if kind == "cox":
        return abess.CoxPHSurvivalAnalysis(ic_type="gic").fit(x, y).coef_
    if kind == "several":
        return abess.MultiTaskRegression(ic_type="gic").fit(x, y).coef_
    return abess.LinearRegression(ic_type="gic").fit(x, y).coef_


def skglm_known(kind: str, x: Array, y: Array, k: int) -> Array | None:
    """MCP (Huber) or L1, with the largest of 30 penalties that leaves k columns; the k largest."""
    from skglm import GeneralizedLinearEstimator
    from skglm.datafits import Cox, Huber, Poisson
    from skglm.penalties import L1, MCPenalty
    from skglm.solvers import AndersonCD, ProxNewton
    from skglm.utils.jit_compilation import compiled_clone

    if kind == "several":
        return None
    z = (x - x.mean(0)) / x.std(0)
    if kind == "huber":
        middle = np.median(y)
        scale = 1.4826 * np.median(np.abs(y - middle))
        datafit, penalty = Huber(1.345 * scale), MCPenalty
        solver = AndersonCD(fit_intercept=True)
        largest = np.abs(z.T @ np.clip(y - middle, -1.345 * scale, 1.345 * scale)).max() / len(y)
    elif kind == "poisson":
        datafit, penalty, solver = Poisson(), L1, ProxNewton(fit_intercept=True)
        largest = np.abs(z.T @ (y - y.mean())).max() / len(y)
    else:
        datafit, penalty, solver = Cox(), L1, ProxNewton(fit_intercept=False)
        datafit = compiled_clone(datafit)
        datafit.initialize(z, y)
        largest = np.abs(z.T @ datafit.raw_grad(y, np.zeros(len(y)))).max()
    beta = np.zeros(x.shape[1])
    for alpha in largest * np.geomspace(1, 0.01, 30):
        chosen = penalty(alpha, 3.0) if penalty is MCPenalty else penalty(alpha)
        if kind == "cox":  # its estimator does not take this loss
            beta = solver.solve(z, y, datafit, compiled_clone(chosen))[0]
        else:
            beta = np.ravel(GeneralizedLinearEstimator(datafit, chosen, solver).fit(z, y).coef_)
        if np.count_nonzero(beta) >= k:
            break
    beta = beta / x.std(0)
    beta[np.argsort(-np.abs(beta * x.std(0)))[k:]] = 0.0
    return beta


def sklearn_cv(kind: str, x: Array, y: Array, k: int) -> Array | None:
    """What scikit-learn has: the multi-task lasso, or all columns under a ridge or Huber's loss."""
    from sklearn.linear_model import HuberRegressor, MultiTaskLassoCV, PoissonRegressor
    from sklearn.model_selection import GridSearchCV

    if kind == "several":
        return MultiTaskLassoCV(cv=5, alphas=30).fit(x, y).coef_.T
    if kind == "cox":
        return None
    if kind == "huber":
        return HuberRegressor(max_iter=500).fit(x, y).coef_
    ridges = {"alpha": np.geomspace(1e-3, 10, 5).tolist()}
    search = GridSearchCV(PoissonRegressor(max_iter=500), ridges, cv=5).fit(x, y)
    return search.best_estimator_.coef_


PEERS: dict[str, Callable[[str, Array, Array, int], Array | None]] = {
    "abess, k known": abess_known,
    "abess, GIC": abess_gic,
    "skglm, k known": skglm_known,
    "scikit-learn": sklearn_cv,
}


def fits(cells: list[Cell], methods: dict[str, Callable[..., Array]]) -> Iterator[dict[str, Any]]:
    """Fit every method to every cell. A method that does not have a loss gives nothing."""
    warnings.simplefilter("ignore")
    for kind in sorted({cell.kind for cell in cells}):
        small = draw(Cell(kind, 60, 20, 2, 0.0, 0))
        for fit in methods.values():
            fit(kind, small.x, small.y, 2)  # What is compiled or imported first is not timed.
    for cell in cells:
        data = draw(cell)
        for name, fit in methods.items():
            started = time.process_time()
            beta = fit(cell.kind, data.x, data.y, cell.k)
            seconds = time.process_time() - started
            if beta is None:
                continue
            beta = np.reshape(beta, (cell.p, -1)) if np.ndim(beta) == 2 else np.ravel(beta)[:, None]
            columns = np.flatnonzero(beta.any(axis=1)).tolist()
            yield {
                "cell": list(cell),
                "method": name,
                "columns": columns,
                "slopes": beta[columns].tolist(),
                "seconds": seconds,
            }


if __name__ == "__main__":
    asked = {name: PEERS[name] for name in sys.argv[1:]}
    for found in fits([Cell(*cell) for cell in json.load(sys.stdin)], asked):
        print(json.dumps(found))
